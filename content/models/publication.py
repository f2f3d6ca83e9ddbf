"""The base of the publishable models: their events and the conditions of publication."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules
from ebalance.db.fields import ClosedSet, Entity

from ..errors import NotReadyToPublish


def published_has_date(table: str) -> rules.Check:
    return rules.required_when(
        f"{table}_published_has_date",
        "published_at",
        Q(status="published"),
        _("What is published has a publication date."),
    )


class Publishable(Entity):
    """A row with the statuses draft, published and archived.

    ``content.services`` changes the status (states.md).
    """

    event_name: ClassVar[str]  # prefix of its outbox events: glossary_term
    published_from: ClassVar[Collection[str]] = ("draft",)
    not_ready_error: ClassVar[type[NotReadyToPublish]] = NotReadyToPublish
    status: ClosedSet  # each model declares the column with its own set

    class Meta:
        abstract = True

    def publication_offences(self) -> list[str]:
        """Codes of the unmet conditions of publication. Empty when the row is ready."""
        return []

    def event_facts(self) -> Mapping[str, Any]:
        """The payload that all outbox events about the row have in common; P0."""
        return {}
