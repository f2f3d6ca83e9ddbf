"""The outbox in admin: the owner filters dead letters and requeues them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

import ebalance.urls  # noqa: F401  (the pages are registered with the addresses)
from audit.models import OutboxEvent
from tests.admin.conftest import as_role, owner
from tests.factories import OutboxEventFactory

from .outbox import max_attempts

__all__ = ["as_role", "max_attempts", "owner"]

LIST = "admin:audit_outboxevent_changelist"


@pytest.fixture
def events(db: None, max_attempts: int) -> dict[str, OutboxEvent]:
    return {
        "waiting": OutboxEventFactory(event_type="a_waiting"),
        "retrying": OutboxEventFactory(event_type="a_retrying", attempts=1, last_error="timeout"),
        "dead": OutboxEventFactory(
            event_type="a_dead", attempts=max_attempts, last_error="timeout"
        ),
        "published": OutboxEventFactory(event_type="a_published", sent=True),
    }


@pytest.mark.parametrize("chosen", ["waiting", "retrying", "dead", "published"])
def test_events_are_filtered_by_delivery_state(
    chosen: str, events: dict[str, OutboxEvent], owner: Client
) -> None:
    page = owner.get(reverse(LIST), {"delivery": chosen}).content.decode()
    assert [name for name in events if f">a_{name}<" in page] == [chosen]


@pytest.mark.parametrize("value", ["", "delete", "lag", "nothing"])
def test_unknown_delivery_state_is_ignored(
    value: str, events: dict[str, OutboxEvent], owner: Client
) -> None:
    answer = owner.get(reverse(LIST), {"delivery": value}, follow=True)
    assert answer.status_code == 200
    assert OutboxEvent.objects.count() == len(events)


def requeue(client: Client, events: dict[str, OutboxEvent]) -> Any:
    chosen = [str(event.pk) for event in events.values()]
    return client.post(
        reverse(LIST), {"action": "requeue", "_selected_action": chosen}, follow=True
    )


def test_owner_requeues_dead_letters(
    events: dict[str, OutboxEvent], owner: Client, max_attempts: int
) -> None:
    before = {row["id"]: row for row in OutboxEvent.objects.values()}
    assert requeue(owner, events).status_code == 200
    after = {row["id"]: row for row in OutboxEvent.objects.values()}
    changed = [key for key in before if before[key] != after[key]]
    assert changed == [events["dead"].pk]
    assert after[changed[0]]["attempts"] == 0
    (entry,) = LogEntry.objects.all()
    assert (entry.object_id, entry.change_message) == (str(events["dead"].pk), "requeue")


def test_second_requeue_changes_nothing(events: dict[str, OutboxEvent], owner: Client) -> None:
    requeue(owner, events)
    requeue(owner, events)
    assert LogEntry.objects.count() == 1
    assert not OutboxEvent.objects.dead().exists()


@pytest.mark.parametrize("role", ["assistant", "editor"])
def test_other_roles_cannot_see_or_requeue_events(
    role: str, events: dict[str, OutboxEvent], as_role: Callable[[str], Client]
) -> None:
    client = as_role(role)
    assert client.get(reverse(LIST)).status_code == 404  # hides even the existence of the page
    assert requeue(client, events).status_code == 404
    assert OutboxEvent.objects.dead().count() == 1
