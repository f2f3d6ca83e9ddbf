"""A claim beside a cancellation, a withdrawal or an erasure that is not committed yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from booking.errors import ClientUnavailable, PersonErased
from booking.models import MessageDelivery, SessionNote
from booking.services import (
    cancel_appointment,
    claim_due_messages,
    schedule_message,
    write_session_note,
)
from ebalance.db.encryption.fields import Plaintext
from ebalance.privacy.consents import withdraw_consent
from ebalance.privacy.erasure import erase_user
from ebalance.services import Refused, constraint_of
from identity.models import User
from tests.booking.messaging import agreed_user, due_message, session
from tests.databases import Database
from tests.factories import UserFactory
from tests.processes import HANG_TIMEOUT, eventually
from tests.services import WAITING, committing, run_concurrently, waiting
from tests.support import execute

pytestmark = pytest.mark.slow

WITHDRAWAL = "UPDATE consents SET revoked_at = now() WHERE user_id = %s"
CLAIM = """
UPDATE message_deliveries SET status = 'sending', claimed_until = now() + interval '5 minutes'
WHERE id = %s
"""
ENDS: dict[str, tuple[Callable[[MessageDelivery], Any], tuple[str, str | None]]] = {
    "cancellation": (
        lambda row: cancel_appointment(row.appointment, by="provider"),
        ("canceled", None),
    ),
    "withdrawal": (
        lambda row: withdraw_consent(user=row.user, consent_type="communications"),
        ("suppressed", "no_consent"),
    ),
    "erasure": (
        lambda row: erase_user(row.user, method="admin", force=True),
        ("suppressed", "erased"),
    ),
}


@pytest.fixture(autouse=True)
def database(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    with committing(fresh_database, django_db_blocker):
        yield fresh_database


def outcome(row: MessageDelivery) -> tuple[str, str | None]:
    row.refresh_from_db()
    return row.status, row.suppressed_reason


@pytest.mark.parametrize("name", ENDS)
def test_claim_passes_over_a_message_that_is_being_ended(name: str) -> None:
    end, result = ENDS[name]
    row, other = due_message(), due_message()
    with transaction.atomic():
        end(row)
        (claimed,) = run_concurrently(claim_due_messages)
        assert [message.delivery for message in claimed] == [other]
    claim_due_messages()
    assert outcome(row) == result


@pytest.mark.parametrize("name", ENDS)
def test_claim_does_not_stop_an_end_that_was_rolled_back(name: str) -> None:
    end, _result = ENDS[name]
    row = due_message()
    with transaction.atomic():
        end(row)
        transaction.set_rollback(True)
    row = MessageDelivery.objects.get(pk=row.pk)
    assert [message.delivery for message in claim_due_messages()] == [row]


def test_claim_waits_for_a_withdrawal_by_another_program(database: Database) -> None:
    """It locks no person, so the rule of the database waits for the consent."""
    row = due_message()
    with waiting(database, WITHDRAWAL, [row.user_id], claim_due_messages, "COMMIT") as results:
        pass
    assert results == [[]]
    assert claim_due_messages() == []
    assert outcome(row) == ("suppressed", "no_consent")


@pytest.mark.parametrize("name", ENDS)
def test_end_waits_for_a_claim_by_another_program(database: Database, name: str) -> None:
    end, _result = ENDS[name]
    row = due_message()
    with waiting(database, CLAIM, [row.pk], lambda: end(row), "COMMIT"):
        pass
    assert outcome(row) == ("sending", None)


def test_second_claim_by_another_program_is_refused(database: Database) -> None:
    """It waits for the first one, and does not ask whether the message is still scheduled."""
    row = due_message()

    def claim() -> str | None:
        try:
            execute(CLAIM, [row.pk])
        except IntegrityError as error:
            return constraint_of(error)
        finally:
            connection.close()
        return None

    with waiting(database, CLAIM, [row.pk], claim, "COMMIT") as results:
        pass
    assert results == ["message_deliveries_one_claim"]


def result_beside_an_erasure(database: Database, user: User, call: Callable[[], Any]) -> Any:
    """The result of ``call``, which waits until the erasure of ``user`` is committed."""

    def run() -> Any:
        try:
            return call()
        except Refused as refusal:
            return refusal
        finally:
            connection.close()

    with database.connect(autocommit=True) as watcher, ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            erase_user(user, method="admin", force=True)
            answer = thread.submit(run)
            assert eventually(lambda: answer.done() or watcher.execute(WAITING).fetchone() != (0,))
            assert not answer.done(), answer.result()
        return answer.result(HANG_TIMEOUT)


def test_message_to_a_person_who_is_being_erased_is_refused(database: Database) -> None:
    user = agreed_user()
    refusal = result_beside_an_erasure(
        database,
        user,
        lambda: schedule_message("answer_ready", dedupe_key="q-1", user=user.pk),
    )
    assert isinstance(refusal, ClientUnavailable)
    assert not MessageDelivery.objects.exists()


def test_note_about_a_person_who_is_being_erased_is_refused(database: Database) -> None:
    appointment, owner = session(), UserFactory(role="owner")
    refusal = result_beside_an_erasure(
        database,
        appointment.client,
        lambda: write_session_note(appointment.pk, text=Plaintext("Заметка"), actor=owner),
    )
    assert isinstance(refusal, PersonErased)
    assert not SessionNote.objects.exists()
