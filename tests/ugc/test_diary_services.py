"""Services of diaries. Their events do not name the author."""

from __future__ import annotations

import copy
import json
from datetime import date, datetime
from typing import Any
from uuid import uuid4

import pytest

from crm.models import Lead, LeadTimelineEvent
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.services import IdempotencyConflict, InvalidInput, NotFound
from tests.factories import DiaryEntryFactory, UserFactory
from tests.factories.payloads import PAYLOADS
from tests.rule_groups import loop_over
from tests.support import execute
from tests.ugc.outbox_assertions import (
    NOW,
    analytics,
    at,
    event_types,
    outbox,
    refused,
    stored,
    tracked,
    writes_nothing,
)
from ugc.errors import AuthorUnavailable, PayloadUnusable
from ugc.models import DiaryEntry
from ugc.services import erase_diary_entry, write_diary_entry

pytestmark = pytest.mark.django_db

DAY = date(2027, 3, 1)


def write(**values: Any) -> DiaryEntry:
    given = {
        "user": UserFactory,
        "diary_type": "gratitude",
        "entry_date": DAY,
        "payload": Plaintext(PAYLOADS["diary_gratitude"]),
        **values,
    }
    return write_diary_entry(
        **{name: value() if value is UserFactory else value for name, value in given.items()}
    )


@pytest.mark.parametrize("diary_type", ["emotions", "abc", "sleep_energy", "gratitude"])
def test_an_entry_is_written(diary_type: str) -> None:
    author, payload = UserFactory(), PAYLOADS[f"diary_{diary_type}"]
    row = write(user=author, diary_type=diary_type, payload=Plaintext(payload))
    entry = DiaryEntry.objects.get()
    assert (entry.user, entry.diary_type, entry.entry_date) == (author, diary_type, DAY)
    assert entry.payload_encrypted.open() == payload
    assert event_types(row) == ["diary_entry_created"]
    assert tracked("diary_entry_created") == [{"diary_type": diary_type}]


def test_an_entry_is_erased_once() -> None:
    row = DiaryEntryFactory()
    stale = DiaryEntry.objects.get()
    erase_diary_entry(row, clock=at())
    assert stored(row).items() >= {"deleted_at": NOW, "payload_encrypted": None}.items()
    assert (row.deleted_at, row.payload_encrypted) == (NOW, None)
    assert event_types(row) == ["diary_entry_deleted"]
    assert tracked("diary_entry_deleted") == [{"diary_type": "gratitude"}]
    for repeated in (row, stale):
        with writes_nothing(row):
            erase_diary_entry(repeated, clock=at(1))
        assert repeated.deleted_at == NOW


def test_staff_cannot_learn_the_author_of_a_diary() -> None:
    """Staff read timelines, events and the outbox in admin, but only the author reads a diary."""
    author = UserFactory()
    row = write(user=author)
    erase_diary_entry(row)
    assert not Lead.objects.exists()
    assert not LeadTimelineEvent.objects.exists()
    for event in analytics("diary_entry_created") + analytics("diary_entry_deleted"):
        assert event.source == "web"
        assert (event.user_id, event.lead_id, event.anonymous_id) == (None, None, None)
    written = json.dumps(
        execute("SELECT to_jsonb(e) AS row FROM outbox_events e")
        + execute("SELECT to_jsonb(e) AS row FROM analytics_events e")
    )
    assert "diary_entry_created" in written
    assert str(author.pk) not in written
    assert DAY.isoformat() not in json.dumps([event.payload for event in outbox(row)])


def test_repeated_request_returns_the_first_entry() -> None:
    given = {"id": uuid4(), "user": UserFactory()}
    row = write(**given)
    with writes_nothing(row):
        assert write(**given).pk == row.pk
    payload = copy.deepcopy(PAYLOADS["diary_gratitude"])
    payload["note"] = "Другая заметка"
    other = UserFactory()
    for changed in (
        {"payload": Plaintext(payload)},
        {"entry_date": date(2027, 3, 2)},
        {"user": other},
        {"diary_type": "abc", "payload": Plaintext(PAYLOADS["diary_abc"])},
    ):
        with refused(IdempotencyConflict, row, entity="diary_entries", id=row.pk):
            write(**given | changed)


def test_late_repeat_does_not_restore_an_erased_entry() -> None:
    given = {"id": uuid4(), "user": UserFactory()}
    row = write(**given)
    erase_diary_entry(row)
    with writes_nothing(row):
        assert write(**given).payload_encrypted is None


@loop_over(
    ("values", "error", "details"),
    [
        ({"diary_type": "dreams"}, InvalidInput, {"field": "diary_type"}),
        ({"diary_type": None}, InvalidInput, {"field": "diary_type"}),
        ({"entry_date": "2027-03-01"}, InvalidInput, {"field": "entry_date"}),
        ({"entry_date": datetime(2027, 3, 1)}, InvalidInput, {"field": "entry_date"}),  # noqa: DTZ001
        ({"user": None}, InvalidInput, {"field": "user"}),
        ({"id": object()}, InvalidInput, {"field": "id"}),
        ({"payload": Plaintext("Спасибо")}, PayloadUnusable, {"rule": "type", "place": "$"}),
        ({"payload": Plaintext({"version": 9})}, PayloadUnusable, {"place": "$.version"}),
        ({"payload": Plaintext({"version": 1})}, PayloadUnusable, {"rule": "required"}),
        ({"payload": Plaintext(PAYLOADS["diary_abc"])}, PayloadUnusable, {"field": "payload"}),
        ({"user": uuid4()}, NotFound, {"what": "user"}),
    ],
)
def test_invalid_entry_writes_nothing(
    values: dict[str, Any], error: type, details: dict[str, Any]
) -> None:
    author = UserFactory()
    with refused(error, **details):
        write(**{"user": author, **values})


@loop_over("payload", [PAYLOADS["diary_gratitude"], "Спасибо", None])
def test_unsealed_entry_is_refused(payload: Any) -> None:
    author = UserFactory()
    with writes_nothing(), pytest.raises(UnsealedValue) as caught:
        write(user=author, payload=payload)
    assert "Спасибо" not in str(caught.value)


@loop_over("state", ["blocked", "deleted"])
def test_a_blocked_or_deleted_person_writes_no_diary(state: str) -> None:
    author = UserFactory(**{state: True})
    with refused(AuthorUnavailable, user=author.pk, status=state):
        write(user=author)


def test_missing_entry_is_refused() -> None:
    row = DiaryEntryFactory()
    DiaryEntry.objects.all().delete()
    with refused(NotFound):
        erase_diary_entry(row)
