"""Assertions about rows, events and moderation actions that a service has written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import models

from audit.models import OutboxEvent
from crm.models import AnalyticsEvent
from ebalance.services import Clock, Refused
from identity.models import User
from tests.factories import UserFactory
from tests.services import table_checksums
from ugc.models import ModerationAction

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
FORBIDDEN_ROLES = ["client", "editor", None]  # roles that may not moderate


def at(hours: float = 0) -> Clock:
    """A clock that always returns NOW plus ``hours``."""
    return lambda: NOW + timedelta(hours=hours)


def staff(role: str | None, **values: Any) -> User:
    return UserFactory(role=role, **values)


@contextmanager
def writes_nothing(*rows: models.Model) -> Iterator[None]:
    """No row of any table changes. A failure shows the changed columns of ``rows``."""
    before = table_checksums(), [stored(row) for row in rows]
    yield
    assert (table_checksums(), [stored(row) for row in rows]) == before


@contextmanager
def refused(error: type[Refused], *rows: models.Model, **details: object) -> Iterator[None]:
    """The block raises exactly this refusal and writes nothing."""
    with writes_nothing(*rows), pytest.raises(error) as caught:
        yield
    assert type(caught.value) is error
    assert details.items() <= caught.value.details.items(), caught.value.details
    assert caught.value.sentence


def stored(row: models.Model) -> dict[str, Any]:
    return type(row)._base_manager.filter(pk=row.pk).values().get()


def event_types(row: models.Model) -> list[str]:
    """Kinds of the outbox events about the row, in their order."""
    return [event.event_type for event in outbox(row)]


def outbox(row: models.Model) -> list[OutboxEvent]:
    about = {"aggregate_type": row._meta.db_table, "aggregate_id": row.pk}
    return list(OutboxEvent.objects.filter(**about).order_by("pk"))


def actions(row: models.Model) -> list[tuple[str, str | None]]:
    """The moderation actions on the row: action and reason."""
    rows = ModerationAction.objects.filter(ugc_id=row.pk, ugc_type=row.ugc_type)
    return list(rows.order_by("created_at", "pk").values_list("action", "reason_category"))


def tracked(event_name: str) -> list[dict[str, Any]]:
    """Properties of the stored events of this name."""
    return [event.properties for event in analytics(event_name)]


def analytics(event_name: str) -> list[AnalyticsEvent]:
    rows = AnalyticsEvent.objects.filter(tracking_event=event_name)
    return list(rows.order_by("received_at", "pk"))
