"""What the tests of the outbox share: rows, relays, a sender that remembers, a way through time."""

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
    """A database where what the tests write is committed, so that its clock goes on."""
    with blocker.unblock():
        database = databases.clone()
        with default_connection_on(database):
            yield database
        databases.drop(database.name)


def write(
    count: int = 1,
    *,
    row: UUID | None = None,
    wait: float = 0,
    attempts: int = 0,
    sent: bool = False,
) -> list[UUID]:
    """Events of one row by plain SQL, due in ``wait`` seconds; their ids in order."""
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [row or uuid7(), wait, attempts, sent, count])
        return [event for (event,) in cursor.fetchall()]


def later(seconds: float) -> None:
    """Let this time pass for everything that is waited for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox_events SET available_at = available_at - make_interval(secs => %s) "
            "WHERE published_at IS NULL",
            [seconds],
        )


def state(event: UUID) -> tuple[int, str | None, bool]:
    """attempts, last_error, whether it was published."""
    row = OutboxEvent.objects.get(pk=event)
    return row.attempts, row.last_error, row.published_at is not None


def end_lease(event: UUID) -> None:
    """Let the lease of a claim run out: of this event and those that were claimed with it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox_events SET available_at = now() WHERE published_at IS NULL "
            "AND available_at = (SELECT available_at FROM outbox_events WHERE id = %s)",
            [event],
        )


class Memory:
    """Remembers what it was given; ``answer`` may raise for an event."""

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
    """An answer that refuses these events, or all when none is named."""

    def answer(event: OutboxEvent) -> None:
        if not which or event.pk in which:
            raise SendFailed(code)

    return answer


def drain(sender: Any = None, **options: Any) -> Memory:
    sender = sender or Memory()
    Relay(sender, **{"lease": 30.0, **options}).drain()
    return sender


@pytest.fixture
def most(settings: Any) -> int:
    """Few attempts until an event is dead."""
    settings.OUTBOX_MAX_ATTEMPTS = 3
    return 3
