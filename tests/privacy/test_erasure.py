"""``erase_user(user)``: what is in its way, what becomes of sessions and consents, what is told."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone, translation

from audit.models import AuditLogEntry, OutboxEvent
from audit.services import record_entry
from audit.services.chain import Verification
from booking.models import Appointment
from booking.services import cancel_appointment, receive_webhook
from crm.errors import LeadNotMergeable
from crm.models import Lead, LeadIdentity
from crm.services import merge_leads
from ebalance.actor import acting_as
from ebalance.db.encryption.fields import Plaintext
from ebalance.privacy.erasure import erase_user
from ebalance.privacy.exports import storage
from ebalance.services import InvalidInput, NotFound, NotPermitted, Refused, TransitionRefused
from identity.errors import LastOwner, UpcomingAppointments
from identity.models import Consent, ErasureLedgerEntry, User
from identity.services import block_user, unblock_user
from tests.audit.tampering import grow
from tests.booking.outbox_assertions import outbox, refused, stored, told, writes_nothing
from tests.factories import (
    AnalyticsEventFactory,
    AnonymousQuestionFactory,
    AppointmentFactory,
    AvailabilitySlotFactory,
    ConsentFactory,
    ContentItemFactory,
    DataExportRequestFactory,
    DiaryEntryFactory,
    InteractiveRunFactory,
    LeadFactory,
    LeadIdentityFactory,
    LeadNoteFactory,
    PaymentFactory,
    QuestionAnswerFactory,
    ReviewFactory,
    ReviewPublicationConsentFactory,
    ServiceFactory,
    UserFactory,
    WaitlistRequestFactory,
    walk,
)
from tests.factories.base import ago, ahead
from tests.factories.booking import DEPOSIT
from tests.support import execute, refuses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("late_clock")]

AT = {"start_at_utc": ahead(days=30), "end_at_utc": ahead(days=30, minutes=50)}
EXPIRED = {"status": "canceled", "hold_expires_at": ago(minutes=1), "canceled_at": ago(minutes=1)}


@pytest.fixture
def anna() -> User:
    return UserFactory()


@pytest.fixture
def owner() -> User:
    return UserFactory(role="owner")


def session(client: User, state: str, **values: Any) -> Appointment:
    """A session of the client, in a slot of its own."""
    slot = AvailabilitySlotFactory(reserved=True)
    times = {"start_at_utc": slot.start_at_utc, "end_at_utc": slot.end_at_utc}
    return AppointmentFactory(client=client, slot=slot, **{state: True}, **{**times, **values})


def expired_hold(client: User) -> Appointment:
    row = AppointmentFactory(client=client, held=True, **AT)
    walk(row, EXPIRED)
    return row


def paying(row: Appointment, **values: Any) -> Any:
    return PaymentFactory(appointment=row, answered=True, **values)


def moved(client: User) -> Appointment:
    """A session that was moved while the rest of its price is being paid for."""
    first = AppointmentFactory(client=client, rescheduled=True)
    paying(first)
    return AppointmentFactory(
        client=client,
        rescheduled_from=first,
        status="confirmed",
        confirmed_at=timezone.now(),
        hold_expires_at=None,
        **AT,
    )


# -- what is in the way ---------------------------------------------------------------------------


def test_the_last_active_owner_is_not_erased(owner: User) -> None:
    UserFactory(role="owner", blocked=True)
    UserFactory(role="assistant")
    with refused(LastOwner, user=owner.pk):
        erase_user(owner, method="self_service")


def test_an_owner_is_erased_where_another_one_is_active(owner: User) -> None:
    other = UserFactory(role="owner")
    erase_user(owner, method="self_service")
    assert (owner.status, owner.user_roles.count()) == ("deleted", 0)
    with refused(LastOwner, user=other.pk):
        erase_user(other, method="self_service")


def test_an_owner_who_is_blocked_is_erased(owner: User) -> None:
    blocked = UserFactory(role="owner", blocked=True)
    erase_user(blocked, method="admin")
    assert (blocked.status, owner.is_active) == ("deleted", True)


def test_nobody_is_erased_whom_there_is_not() -> None:
    with refused(NotFound, what="user"):
        erase_user(uuid4(), method="admin")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"method": "magic"}, "method"),
        ({"method": None}, "method"),
        ({"method": "admin", "requested_at": datetime(2026, 1, 7)}, "requested_at"),  # noqa: DTZ001
        ({"method": "admin", "requested_at": "yesterday"}, "requested_at"),
    ],
)
def test_what_cannot_be_is_refused(anna: User, values: dict[str, Any], field: str) -> None:
    with refused(InvalidInput, field=field):
        erase_user(anna, **values)


@pytest.mark.parametrize("role", ["assistant", "editor", "client", None])
def test_only_the_person_and_an_owner_may_erase(anna: User, owner: User, role: str | None) -> None:
    actor = UserFactory(role=role)
    with refused(NotPermitted, permission="identity.delete_user"):
        erase_user(anna, method="admin", actor=actor)
    erase_user(anna, method="admin", actor=owner)
    boris = UserFactory(role=role)
    erase_user(boris, method="self_service", actor=boris)
    assert {anna.status, boris.status} == {"deleted"}


IN_THE_WAY = {
    "confirmed": lambda anna: session(anna, "confirmed"),
    "paid": lambda anna: session(anna, "paid"),
    "free of charge": lambda anna: session(anna, "confirmed", price_amount=0, deposit_amount=None),
    "held and being paid for": lambda anna: paying(session(anna, "held")).appointment,
    "ran out while being paid for": lambda anna: paying(expired_hold(anna)).appointment,
    "moved": moved,
    "as a lead": lambda anna: AppointmentFactory(client=None, lead=lead_of(anna), confirmed=True),
}
each_in_the_way = pytest.mark.parametrize("make", IN_THE_WAY.values(), ids=IN_THE_WAY)


def lead_of(user: User) -> Lead:
    lead = LeadFactory()
    lead.identities.create(user=user)
    return lead


@each_in_the_way
def test_a_session_ahead_is_in_the_way(anna: User, make: Any) -> None:
    row = make(anna)
    DiaryEntryFactory(user=anna)
    with refused(UpcomingAppointments, appointments=[row.pk], starts=[row.start_at_utc]):
        erase_user(anna, method="admin")


def test_a_refusal_names_the_sessions_by_their_times(anna: User) -> None:
    row = session(anna, "confirmed")
    with translation.override("en"), pytest.raises(UpcomingAppointments) as caught:
        erase_user(anna, method="admin")
    assert f"{row.start_at_utc:%Y, %H:%M}" in caught.value.sentence


NOT_IN_THE_WAY = {
    "over": lambda anna: session(anna, "completed"),
    "canceled": lambda anna: session(anna, "canceled"),
    "under way": lambda anna: session(
        anna, "confirmed", start_at_utc=ago(minutes=10), end_at_utc=ahead(minutes=40)
    ),
    "without an outcome yet": lambda anna: session(
        anna, "confirmed", start_at_utc=ago(days=1), end_at_utc=ago(days=1) + timedelta(minutes=50)
    ),
    "ran out": expired_hold,
    "ran out, and its payment failed": lambda anna: (
        paying(expired_hold(anna), status="failed", failure_category="timeout").appointment
    ),
    "somebody else's": lambda anna: session(UserFactory(), "confirmed"),
    "a paying one of somebody else's": lambda anna: (
        paying(session(UserFactory(), "held")).appointment
    ),
}


@pytest.mark.parametrize("make", NOT_IN_THE_WAY.values(), ids=NOT_IN_THE_WAY)
def test_other_sessions_are_not_and_stay_as_they_are(anna: User, make: Any) -> None:
    row = make(anna)
    before = stored(row)
    erased = erase_user(anna, method="admin")
    assert erased.canceled == []
    kept = ("status", "outcome", "start_at_utc", "canceled_at", "price_amount")
    assert {name: stored(row)[name] for name in kept} == {name: before[name] for name in kept}


# -- with force -----------------------------------------------------------------------------------


@each_in_the_way
def test_with_force_nothing_of_it_is_ahead_any_more(anna: User, make: Any) -> None:
    row = make(anna)
    erased = erase_user(anna, method="admin", force=True)
    assert [session.appointment for session in erased.canceled] == [row.pk]
    row.refresh_from_db()
    assert (row.status, row.outcome, row.client_id) == ("canceled", "canceled_by_client", None)
    if row.slot is not None:
        assert row.slot.status == "available"
    assert anna.status == "deleted"


def test_with_force_a_session_is_canceled_as_by_the_client(anna: User) -> None:
    """With the refund that the service's policy grants, told to whoever gives it back."""
    service = ServiceFactory(cancel_free_hours=24, cancel_partial_hours=6)
    soon = {"start_at_utc": ahead(hours=7), "end_at_utc": ahead(hours=8)}
    early = session(anna, "confirmed", service=service)
    late = session(anna, "confirmed", service=service, **soon)
    for row in (early, late):
        PaymentFactory(appointment=row, succeeded=True)
    erased = erase_user(anna, method="admin", force=True)
    refunds = {one.appointment: one.refund_amount for one in erased.canceled}
    assert refunds == {early.pk: DEPOSIT, late.pk: DEPOSIT // 2}
    for row in (early, late):
        assert "appointment_canceled" in told(row)
    due = OutboxEvent.objects.filter(event_type="refund_due")
    assert sorted(event.payload["amount"] for event in due) == [DEPOSIT // 2, DEPOSIT]


@pytest.mark.parametrize("make", [expired_hold, lambda anna: session(anna, "held")])
def test_money_that_still_comes_is_due_back_and_takes_no_time_again(anna: User, make: Any) -> None:
    payment = paying(make(anna))
    erase_user(anna, method="admin", force=True)
    receive_webhook(
        event_type="payment.succeeded",
        provider_payment_id=payment.provider_payment_id,
        amount=payment.amount,
        currency="RUB",
    )
    assert Appointment.objects.count() == 1
    assert [event.payload["reason"] for event in outbox(payment) if "reason" in event.payload] == [
        "time_gone"
    ]


def test_a_hold_that_nobody_pays_is_given_up_without_force(anna: User) -> None:
    row = session(anna, "held")
    erased = erase_user(anna, method="admin")
    assert [(one.appointment, one.refund_amount) for one in erased.canceled] == [(row.pk, 0)]
    assert [stored(row)["status"], stored(row.slot)["status"]] == ["canceled", "available"]


def test_force_does_not_help_the_last_owner(owner: User) -> None:
    session(owner, "confirmed")
    with refused(LastOwner):
        erase_user(owner, method="admin", force=True)


def test_what_is_refused_last_undoes_what_was_done_first(anna: User, monkeypatch: Any) -> None:
    """Nothing half done, whatever fails."""
    row = session(anna, "confirmed")
    DiaryEntryFactory(user=anna)

    def fails(*_: Any, **__: Any) -> None:
        raise Refused

    monkeypatch.setattr("ebalance.privacy.erasure.erase.record_entry", fails)
    with writes_nothing(), pytest.raises(Refused):
        erase_user(anna, method="admin", force=True)
    assert stored(row)["status"] == "confirmed"


# -- what becomes of rows with a life of their own ------------------------------------------------


def test_appointments_without_a_lead_share_one_without_a_name(anna: User) -> None:
    rows = [session(anna, "completed"), session(anna, "canceled")]
    erase_user(anna, method="admin")
    (lead,) = Lead.objects.all()
    assert (lead.source, lead.status, lead.utm) == ("booking", "inactive", None)
    assert not lead.identities.exists()
    for row in rows:
        assert (stored(row)["client_id"], stored(row)["lead_id"]) == (None, lead.pk)


def test_appointments_of_somebody_with_a_lead_stay_with_that(anna: User) -> None:
    lead, row = lead_of(anna), session(anna, "completed")
    later = lead_of(anna)
    erase_user(anna, method="admin")
    assert stored(row)["lead_id"] == lead.pk
    assert {*Lead.objects.values_list("pk", flat=True)} == {lead.pk, later.pk}
    assert {*Lead.objects.values_list("status", flat=True)} == {"inactive"}


def test_an_appointment_stays_with_the_lead_that_it_has(anna: User) -> None:
    other = LeadFactory()
    other.identities.create(user=UserFactory())
    row = session(anna, "completed", lead=other)
    erase_user(anna, method="admin")
    assert (stored(row)["client_id"], stored(row)["lead_id"]) == (None, other.pk)
    assert stored(other)["status"] == "new"


def test_what_was_agreed_to_ends_and_stays_as_evidence(anna: User) -> None:
    lead = lead_of(anna)
    active = [
        ConsentFactory(user=anna),
        ConsentFactory(user=anna, lead=lead, consent_type="telegram"),
        ConsentFactory(user=None, lead=lead, consent_type="communications"),
        ConsentFactory(user=anna, consent_type="communications", granted_at=ahead(days=1)),
    ]
    settled = [
        ConsentFactory(user=anna, revoked=True),
        ConsentFactory(user=anna, refused=True, consent_type="review_publication"),
    ]
    others = ConsentFactory()
    before = [stored(row) for row in [*settled, others]]
    moment = timezone.now()
    erased = erase_user(anna, method="admin", clock=lambda: moment)
    assert erased.counts["consents"] == 4
    for row in active:
        now = stored(row)
        assert now["revoked_at"] == max(moment, row.granted_at)
        assert told(row) == ["consent_withdrawn"]
    assert [stored(row) for row in [*settled, others]] == before
    assert Consent.objects.active().count() == 1


def test_a_published_review_is_unpublished_and_empty(anna: User) -> None:
    row = ReviewFactory(user=anna, published=True)
    consent = row.publication_consents.get()
    erase_user(anna, method="admin")
    row.refresh_from_db()
    assert (row.status, row.user_id, row.review_text_encrypted.open()) == ("unpublished", None, "")
    assert stored(consent)["revoked_at"] is not None
    assert "review_unpublished" in told(row)


@pytest.mark.parametrize("state", ["draft", "pending", "unpublished"])
def test_nobody_is_asked_to_decide_on_an_empty_review(anna: User, state: str) -> None:
    row = ReviewFactory(user=anna, status=state)
    erase_user(anna, method="admin")
    assert stored(row)["status"] == "unpublished"


def test_a_consent_to_publish_what_somebody_else_wrote_ends_too(anna: User) -> None:
    review = ReviewFactory(pending=True)
    consent = ReviewPublicationConsentFactory(review=review, user=anna)
    erase_user(anna, method="admin")
    assert stored(consent)["revoked_at"] is not None
    assert stored(review)["user_id"] == review.user_id


def test_runs_get_identifiers_that_lead_to_nobody(anna: User) -> None:
    rows = [
        InteractiveRunFactory(user=anna, anonymous_id="browser-of-anna"),
        InteractiveRunFactory(user=anna, anonymous_id="browser-of-anna", completed=True),
        InteractiveRunFactory(user=anna, anonymous_id=None),
    ]
    erase_user(anna, method="admin")
    now = [stored(row) for row in rows]
    assert {row["user_id"] for row in now} == {None}
    assert len({row["anonymous_id"] for row in now} - {None, "browser-of-anna"}) == 3
    assert now[1]["result_level"] == "moderate"


def test_sessions_end_at_the_next_request(anna: User) -> None:
    other = UserFactory(role="owner")
    anna.user_roles.create(role_id="owner")
    browser, others = Client(), Client()
    browser.force_login(anna)
    others.force_login(other)
    assert browser.get("/admin/").status_code == 200
    erase_user(anna, method="self_service")
    answer = browser.get("/admin/")
    assert (answer.status_code, answer.url.split("?")[0]) == (302, "/admin/login/")
    assert others.get("/admin/").status_code == 200
    assert execute("SELECT count(*) AS n FROM django_session") == [{"n": 1}]


def test_of_the_staff_what_they_did_stays(owner: User) -> None:
    anna = UserFactory(role="assistant")
    note, item = LeadNoteFactory(author=anna), ContentItemFactory(author=anna)
    answer = QuestionAnswerFactory(answered_by=anna)
    before = [stored(row) for row in (note, item, answer)]
    erase_user(anna, method="admin", actor=owner)
    assert [stored(row) for row in (note, item, answer)] == before


def test_nothing_new_is_written_of_an_erased_person(anna: User) -> None:
    erase_user(anna, method="admin")
    for table, make in {
        "diary_entries": lambda: DiaryEntryFactory(user=anna),
        "anonymous_questions": lambda: AnonymousQuestionFactory(user=anna),
        "appointments": lambda: AppointmentFactory(client=anna),
        "consents": lambda: ConsentFactory(user=anna),
        "waitlist_requests": lambda: WaitlistRequestFactory(user=anna),
    }.items():
        column = "client_user_id" if table == "appointments" else "user_id"
        with refuses(f"{table}_{column}_not_erased", table):
            make()


def test_a_form_that_was_opened_before_brings_nothing_back(anna: User) -> None:
    """Whole rows are written by admin and by ``save()``."""
    rows = [anna, session(anna, "completed"), ReviewFactory(user=anna, status="unpublished")]
    opened = [type(row).objects.get(pk=row.pk) for row in rows]
    opened[0].display_name = "Анна Петровна"
    erase_user(anna.pk, method="admin")
    rules = [
        "users_status_transition",
        "appointments_client_user_id_not_erased",
        "reviews_user_id_not_erased",
    ]
    for row, rule in zip(opened, rules, strict=True):
        with refuses(rule):
            row.save()


# -- what is told ---------------------------------------------------------------------------------


def test_the_ledger_the_outbox_and_the_log_are_told(anna: User, owner: User) -> None:
    lead, asked = lead_of(anna), ago(days=2)
    DiaryEntryFactory.create_batch(2, user=anna)
    erased = erase_user(anna, method="self_service", requested_at=asked, actor=owner)
    (entry,) = ErasureLedgerEntry.objects.all()
    assert (entry.subject_id, entry.method, entry.requested_at) == (
        anna.pk,
        "self_service",
        asked,
    )
    assert entry.completed_at == anna.deleted_at
    assert entry.counts == erased.counts
    assert erased.counts == {"users": 1, "diary_entries": 2, "leads": 1, "lead_identities": 1}
    assert [(e.event_type, e.payload) for e in outbox(anna)] == [
        ("user_erased", {"method": "self_service"})
    ]
    assert [(e.event_type, e.payload) for e in outbox(lead)] == [
        ("lead_erased", {"user_id": str(anna.pk)})
    ]
    written = AuditLogEntry.objects.get(action="user_erased")
    assert (written.entity_type, written.entity_id) == ("users", anna.pk)
    assert (written.actor, written.actor_role) == (owner, "owner")
    assert written.new_value == {"method": "self_service", "rows": 5, "appointments_canceled": 0}
    connection.check_constraints()
    log = AuditLogEntry.objects.filter(entity_id=anna.pk)
    assert {row.action for row in log} == {"user_erased", "user_status_changed"}


def test_a_lead_is_told_about_once(anna: User) -> None:
    lead = lead_of(anna)
    erase_user(anna, method="admin")
    LeadNoteFactory(lead=lead)
    erase_user(anna, method="admin")
    assert not lead.notes.exists()
    assert told(lead) == ["lead_erased"]
    assert told(anna) == ["user_erased"] * 2


def test_a_lead_that_is_somebody_elses_by_now_is_left_alone(anna: User) -> None:
    lead, boris = lead_of(anna), UserFactory()
    erase_user(anna, method="admin")
    lead.identities.create(user=boris)
    note = LeadNoteFactory(lead=lead)
    with writes_nothing():
        assert erase_user(anna, method="admin").rows == 0
    assert stored(note)["lead_id"] == lead.pk


def test_events_that_come_late_are_detached_by_a_repetition(anna: User) -> None:
    """Analytics have no foreign key that could refuse them."""
    erase_user(anna, method="admin")
    late = AnalyticsEventFactory(user_id=anna.pk)
    assert erase_user(anna, method="admin").counts == {"analytics_events": 1}
    assert (stored(late)["user_id"], stored(late)["anonymous_id"]) == (None, None)


def test_whoever_erases_themself_leaves_no_address(anna: User) -> None:
    UserFactory(role="owner")
    anna.user_roles.create(role_id="owner")
    with acting_as(anna, ip_address="192.0.2.77", user_agent="Mozilla/5.0"):
        erase_user(anna, method="self_service")
        connection.check_constraints()
    connection.check_constraints()
    log = AuditLogEntry.objects.filter(actor=anna)
    assert {row.action for row in log} == {"user_erased", "user_status_changed", "role_taken"}
    for row in log:
        assert (row.ip_address, row.user_agent, row.actor_role) == (None, None, "owner")


def test_the_address_of_whoever_erases_others_stays(anna: User, owner: User) -> None:
    with acting_as(owner, ip_address="192.0.2.77"):
        erase_user(anna, method="admin", actor=owner)
    written = AuditLogEntry.objects.get(action="user_erased")
    assert (written.actor, written.ip_address) == (owner, "192.0.2.77")
    UserFactory(role="owner")
    erase_user(owner, method="admin")
    written.refresh_from_db()
    assert (written.actor, written.ip_address) == (owner, None)


# -- outside of the database ----------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path, monkeypatch: Any) -> Path:
    path = tmp_path / "ledger" / "erasures.jsonl"
    monkeypatch.setattr(settings, "ERASURE_LEDGER_FILE", path)
    monkeypatch.setattr(settings, "EXPORTS_DIR", tmp_path / "exports")
    return path


def exported(user: User) -> Path:
    request = DataExportRequestFactory(user=user)
    address = storage.save(request, lambda stream: stream.write(b"everything") and None)
    walk(
        request,
        {"status": "processing"},
        {
            "status": "ready",
            "file_url": address,
            "completed_at": timezone.now(),
            "expires_at": ahead(days=7),
        },
    )
    return Path(settings.EXPORTS_DIR) / storage.name_in(address)


def test_files_of_exports_go_and_the_file_of_the_ledger_is_written(
    anna: User, file: Path, django_capture_on_commit_callbacks: Any
) -> None:
    lead = lead_of(anna)
    hers, his = exported(anna), exported(UserFactory())
    with django_capture_on_commit_callbacks(execute=True):
        erase_user(anna, method="admin")
        assert hers.exists()
        assert not file.exists()
    assert (hers.exists(), his.exists()) == (False, True)
    entry = ErasureLedgerEntry.objects.get()
    (line,) = file.read_text().splitlines()
    assert json.loads(line) == {
        "subject_id": str(anna.pk),
        "requested_at": f"{entry.requested_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "completed_at": f"{entry.completed_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "method": "admin",
        "leads": [str(lead.pk)],
    }


def test_what_is_rolled_back_leaves_files_alone(
    anna: User, file: Path, django_capture_on_commit_callbacks: Any
) -> None:
    kept = exported(anna)
    with django_capture_on_commit_callbacks(execute=True) as callbacks, transaction.atomic():
        erase_user(anna, method="admin")
        transaction.set_rollback(True)
    assert callbacks == []
    assert (kept.exists(), file.exists(), stored(anna)["status"]) == (True, False, "active")


def test_a_disk_that_is_full_does_not_undo_an_erasure(
    anna: User, file: Path, django_capture_on_commit_callbacks: Any, monkeypatch: Any, caplog: Any
) -> None:
    exported(anna)

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ebalance.privacy.erasure.erase.ledger.sync_file", fails)
    monkeypatch.setattr("ebalance.privacy.erasure.erase.storage.remove", fails)
    with django_capture_on_commit_callbacks(execute=True):
        erase_user(anna, method="admin")
    assert stored(anna)["status"] == "deleted"
    assert [record.getMessage() for record in caplog.records] == [
        "the file of an export could not be removed: No space left on device",
        "the ledger of erasures could not be written: No space left on device",
    ]


# -- blocking -------------------------------------------------------------------------------------


def test_a_person_is_blocked_and_let_in_again(anna: User, owner: User) -> None:
    browser = Client()
    anna.user_roles.create(role_id="assistant")
    browser.force_login(anna)
    for _ in range(2):
        block_user(anna, actor=owner)
        assert anna.status == "blocked"
        assert browser.get("/admin/").status_code == 302
    for _ in range(2):
        unblock_user(anna, actor=owner)
        assert anna.status == "active"
    connection.check_constraints()
    log = AuditLogEntry.objects.filter(entity_id=anna.pk, action="user_status_changed")
    assert [row.new_value for row in log.order_by("seq")] == [
        {"status": "blocked"},
        {"status": "active"},
    ]
    assert {row.actor for row in log} == {owner}


def test_the_last_owner_is_not_blocked(owner: User) -> None:
    with refused(LastOwner, user=owner.pk):
        block_user(owner)
    other = UserFactory(role="owner")
    block_user(owner, actor=other)
    assert owner.status == "blocked"


@pytest.mark.parametrize("service", [block_user, unblock_user])
def test_an_erased_person_is_neither_blocked_nor_let_in(anna: User, service: Any) -> None:
    erase_user(anna, method="admin")
    with refused(TransitionRefused, status="deleted"):
        service(anna)


@pytest.mark.parametrize("service", [block_user, unblock_user])
def test_only_an_owner_blocks(anna: User, service: Any) -> None:
    actor = UserFactory(role="assistant")
    with refused(NotPermitted):
        service(anna, actor=actor)
    with refused(NotFound):
        service(uuid4())


# -- leads ----------------------------------------------------------------------------------------


def test_of_a_lead_that_was_two_people_s_nothing_is_left_when_both_are_gone(anna: User) -> None:
    boris = UserFactory()
    lead = lead_of(boris)
    merge_leads(lead_of(anna), into=lead)
    note = LeadNoteFactory(lead=lead)
    erase_user(anna, method="admin")
    assert type(note).objects.filter(pk=note.pk).exists()
    erase_user(boris, method="admin")
    assert not type(note).objects.filter(pk=note.pk).exists()
    assert not lead.identities.exists()


@pytest.mark.parametrize("is_erased", [True, False])
def test_nobody_becomes_an_erased_lead(anna: User, is_erased: bool) -> None:
    """Erasures are repeated, and would take what is theirs."""
    lead, other = lead_of(anna), LeadIdentityFactory().lead
    erase_user(anna, method="admin")
    one, into = (lead, other) if is_erased else (other, lead)
    with refused(LeadNotMergeable):
        merge_leads(one, into=into)


def test_leads_that_are_theirs_only_by_a_contact_beside_another_are_named(anna: User) -> None:
    lead = LeadFactory()
    LeadIdentity.objects.create(lead=lead, email_encrypted=Plaintext(anna.email))
    assert erase_user(anna, method="admin").doubtful == []
    boris = UserFactory()
    lead = LeadFactory()
    LeadIdentity.objects.create(lead=lead, email_encrypted=Plaintext(boris.email))
    phone = LeadIdentityFactory(lead=lead, by_phone=True)
    assert erase_user(boris, method="admin").doubtful == [lead.pk]
    assert lead.identities.get() == phone


# -- from where -----------------------------------------------------------------------------------

VISIT = {"ip_address": "198.51.100.77", "user_agent": "Mozilla/5.0 (zq_zq)"}


def origins() -> list[dict[str, Any]]:
    return execute(
        "SELECT action FROM audit_log_entries WHERE num_nonnulls(ip_address, user_agent) > 0"
    )


def test_where_a_visitor_came_from_goes_with_the_lead_and_the_session(anna: User) -> None:
    lead = lead_of(anna)
    row = session(anna, "confirmed", lead=lead)
    with acting_as(None, **VISIT):
        lead.status = "paid"
        lead.save()
        cancel_appointment(row, by="client")
    connection.check_constraints()
    assert {row["action"] for row in origins()} >= {"lead_status_changed", "outcome_recorded"}
    erase_user(anna, method="admin")
    connection.check_constraints()
    assert origins() == []
    assert Verification().run().entries == AuditLogEntry.objects.count()
    # Whatever becomes of the rows, by whoever remembered them.
    LeadIdentityFactory(lead=lead)
    execute("UPDATE appointments SET client_user_id = %s", [UserFactory().pk])
    connection.check_constraints()
    assert Verification().run().entries == AuditLogEntry.objects.count()


@pytest.mark.parametrize("is_anna_known", [True, False])
def test_where_a_visitor_came_from_goes_though_the_lead_is_somebody_else_s_too(
    anna: User, is_anna_known: bool
) -> None:
    lead = lead_of(UserFactory())
    if is_anna_known:
        merge_leads(lead_of(anna), into=lead)
    row = session(anna, "confirmed", lead=lead)
    with acting_as(None, **VISIT):
        cancel_appointment(row, by="client")
    connection.check_constraints()
    erase_user(anna, method="admin")
    connection.check_constraints()
    assert origins() == []
    assert Verification().run().entries == AuditLogEntry.objects.count()


def test_where_a_visitor_came_from_goes_with_a_review_too(anna: User) -> None:
    review = ReviewFactory(user=anna)
    with acting_as(None, **VISIT):
        review.status = "pending"
        review.save()
    connection.check_constraints()
    assert [row["action"] for row in origins()] == ["review_status_changed"]
    erase_user(anna, method="admin")
    connection.check_constraints()
    assert origins() == []
    assert Verification().run().entries == AuditLogEntry.objects.count()


def test_a_new_visit_goes_when_it_is_erased_again(anna: User) -> None:
    lead = lead_of(anna)
    erase_user(anna, method="admin")
    for _ in range(2):
        with acting_as(None, **VISIT):
            execute("UPDATE leads SET status = 'new' WHERE id = %s", [lead.pk])
            connection.check_constraints()
        assert origins()
        erase_user(anna, method="admin")
        connection.check_constraints()
        assert origins() == []
    assert Verification().run().entries == AuditLogEntry.objects.count()


@pytest.mark.parametrize("is_actor", [False, True])
def test_who_erases_themself_in_a_request_of_nobody_leaves_no_origin(
    anna: User, is_actor: bool
) -> None:
    with acting_as(None, **VISIT):
        erase_user(anna, method="self_service", actor=anna if is_actor else None)
        connection.check_constraints()
    assert origins() == []


def test_where_a_visitor_came_from_stays_while_the_lead_is_known(anna: User) -> None:
    lead = lead_of(anna)
    with acting_as(None, **VISIT):
        lead.status = "paid"
        lead.save()
    connection.check_constraints()
    with refuses("audit_log_entries_immutable", "audit_log_entries"):
        execute(
            "UPDATE audit_log_entries SET ip_address = NULL, user_agent = NULL, origin_salt = NULL"
        )


def test_the_log_is_read_by_its_indexes(anna: User, owner: User) -> None:
    """What somebody's erasure costs does not grow with what others have done."""
    lead = lead_of(anna)
    with acting_as(None, **VISIT):
        lead.status = "paid"
        lead.save()
    with acting_as(anna, **VISIT):
        record_entry("login", anna)
    grow(5_000)
    execute("ANALYZE audit_log_entries")
    read: list[tuple[str, Any]] = []

    def keep(call: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if 'FROM "audit_log_entries"' in str(sql) or 'UPDATE "audit_log_entries"' in str(sql):
            read.append((sql, params))
        return call(sql, params, many, context)

    with connection.execute_wrapper(keep):
        erase_user(anna, method="admin", actor=owner)
    assert origins() == []
    assert {sql.split()[0] for sql, _ in read} == {"SELECT", "UPDATE"}
    for sql, params in read:
        plan = " ".join(row["QUERY PLAN"] for row in execute(f"EXPLAIN {sql}", params))
        assert "Seq Scan on audit_log_entries" not in plan, plan
