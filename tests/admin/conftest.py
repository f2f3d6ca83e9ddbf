from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import Client, override_settings
from django.urls import reverse

from tests.databases import Database
from tests.factories import UserFactory
from tests.services import committing


@pytest.fixture(scope="package", autouse=True)
def compiled_pages(django_db_setup: None, django_db_blocker: Any) -> None:
    """Compile the templates of a list and a form once, so that no single test pays for it.

    A page that fails to render is reported by its own test.
    """
    with django_db_blocker.unblock(), suppress(Exception), transaction.atomic():
        client, person = Client(), UserFactory(role="owner")
        client.force_login(person)
        for name, args in (("changelist", []), ("change", [person.pk]), ("delete", [person.pk])):
            meta = get_user_model()._meta
            client.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_{name}", args=args))
        transaction.set_rollback(True)


@pytest.fixture(scope="package", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hash passwords with a fast algorithm: these tests do not depend on its strength."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture
def as_role(db: None) -> Callable[[str | None], Client]:
    """Sign in a new person with this role and return the browser."""

    def sign_in(role: str | None, **person: Any) -> Client:
        client = Client()
        client.force_login(UserFactory(role=role, **person))
        return client

    return sign_in


@pytest.fixture
def owner(as_role: Callable[[str], Client]) -> Client:
    return as_role("owner")


@pytest.fixture
def committed(module_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """Commit what the test writes. The rows of other tests of the module stay."""
    with committing(module_database, django_db_blocker):
        yield module_database
