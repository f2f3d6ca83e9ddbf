from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.factories import UserFactory


@pytest.fixture
def as_role(db: None) -> Callable[[str], Client]:
    """A browser in which somebody with this role is signed in."""

    def sign_in(role: str, **person: Any) -> Client:
        client = Client()
        client.force_login(UserFactory(role=role, **person))
        return client

    return sign_in


@pytest.fixture
def owner(as_role: Callable[[str], Client]) -> Client:
    return as_role("owner")
