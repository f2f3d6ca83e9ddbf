"""Helpers for tests of the outbox: events, relays, a recording sender, a step through time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from audit.models import OutboxEvent
from audit.services.relay import Relay
from audit.services.senders import SendFailed
from ebalance.db.ids import uuid7
from tests.databases import Databases, default_connection_on

INSERT = """
INSERT INTO outbox_events (event_type, aggregate_type, aggregate_id, payload, available_at,
                           attempts, published_at)
SELECT 'thing_done', 'things', %s, jsonb_build_object('n', n),
       now() + make_interval(secs => %s), %s, CASE WHEN %s THEN now() END
FROM generate_series(1, %s) AS n RETURNING id
"""


@contextmanager
def outbox_database(databases: Databases, blocker: Any) -> Iterator[Any]:
    """A database in which tests commit, so that its clock advances."""
    with blocker.unblock():
        database = databases.clone()
        with default_connection_on(database):
            yield database
        databases.drop(database.name)


def write_events(
    count: int = 1,
    *,
    row: UUID | None = None,
    wait: float = 0,
    attempts: int = 0,
    sent: bool = False,
) -> list[UUID]:
    """Write events of one row by plain SQL, due in ``wait`` seconds; return their ids in order."""
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [row or uuid7(), wait, attempts, sent, count])
        return [event for (event,) in cursor.fetchall()]


def advance_time(seconds: float) -> None:
    """Bring the due time of all unpublished events forward."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox_events SET available_at = available_at - make_interval(secs => %s) "
            "WHERE published_at IS NULL",
            [seconds],
        )


def state(event: UUID) -> tuple[int, str | None, bool]:
    """Attempts, last error, and whether the event is published."""
    row = OutboxEvent.objects.get(pk=event)
    return row.attempts, row.last_error, row.published_at is not None


def end_lease(event: UUID) -> None:
    """End the lease of this event and of the events claimed with it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox_events SET available_at = now() WHERE published_at IS NULL "
            "AND available_at = (SELECT available_at FROM outbox_events WHERE id = %s)",
            [event],
        )


class Memory:
    """A sender that records its events; ``answer`` may raise for an event."""

    timeout = 1.0

    def __init__(self, answer: Callable[[OutboxEvent], object] | None = None) -> None:
        self.answer = answer or (lambda event: None)
        self.events: list[OutboxEvent] = []

    @property
    def ids(self) -> list[UUID]:
        return [event.pk for event in self.events]

    def send(self, event: OutboxEvent) -> None:
        self.events.append(event)
        self.answer(event)

    def close(self) -> None:
        pass


def refuse(*which: UUID, code: str = "http_500") -> Callable[[OutboxEvent], None]:
    """An answer that refuses these events, or all events if none is given."""

    def answer(event: OutboxEvent) -> None:
        if not which or event.pk in which:
            raise SendFailed(code)

    return answer


def drain(sender: Any = None, **options: Any) -> Memory:
    sender = sender or Memory()
    Relay(sender, **{"lease": 30.0, **options}).drain()
    return sender


@pytest.fixture
def max_attempts(settings: Any) -> int:
    """A small number of attempts before an event is dead."""
    settings.OUTBOX_MAX_ATTEMPTS = 3
    return 3
