"""``erase_user(user)``: obstacles, effects on sessions and consents, events and log entries."""

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
from tests.audit.tampering import grow_log
from tests.booking.outbox_assertions import event_types, outbox, refused, stored, writes_nothing
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
    """A session of the client in its own slot."""
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
    """A session that was moved while the rest of its price was being paid."""
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


# -- obstacles ------------------------------------------------------------------------------------


def test_last_active_owner_is_not_erased(owner: User) -> None:
    UserFactory(role="owner", blocked=True)
    UserFactory(role="assistant")
    with refused(LastOwner, user=owner.pk):
        erase_user(owner, method="self_service")


def test_owner_is_erased_if_another_owner_is_active(owner: User) -> None:
    other = UserFactory(role="owner")
    erase_user(owner, method="self_service")
    assert (owner.status, owner.user_roles.count()) == ("deleted", 0)
    with refused(LastOwner, user=other.pk):
        erase_user(other, method="self_service")


def test_blocked_owner_is_erased(owner: User) -> None:
    blocked = UserFactory(role="owner", blocked=True)
    erase_user(blocked, method="admin")
    assert (blocked.status, owner.is_active) == ("deleted", True)


def test_unknown_person_is_refused() -> None:
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
def test_invalid_input_is_refused(anna: User, values: dict[str, Any], field: str) -> None:
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


UPCOMING = {
    "confirmed": lambda anna: session(anna, "confirmed"),
    "paid": lambda anna: session(anna, "paid"),
    "free of charge": lambda anna: session(anna, "confirmed", price_amount=0, deposit_amount=None),
    "held and being paid for": lambda anna: paying(session(anna, "held")).appointment,
    "ran out while being paid for": lambda anna: paying(expired_hold(anna)).appointment,
    "moved": moved,
    "as a lead": lambda anna: AppointmentFactory(client=None, lead=lead_of(anna), confirmed=True),
}
each_upcoming = pytest.mark.parametrize("make", UPCOMING.values(), ids=UPCOMING)


def lead_of(user: User) -> Lead:
    lead = LeadFactory()
    lead.identities.create(user=user)
    return lead


@each_upcoming
def test_upcoming_session_prevents_the_erasure(anna: User, make: Any) -> None:
    row = make(anna)
    DiaryEntryFactory(user=anna)
    with refused(UpcomingAppointments, appointments=[row.pk], starts=[row.start_at_utc]):
        erase_user(anna, method="admin")


def test_refusal_names_the_sessions_by_their_times(anna: User) -> None:
    row = session(anna, "confirmed")
    with translation.override("en"), pytest.raises(UpcomingAppointments) as caught:
        erase_user(anna, method="admin")
    assert f"{row.start_at_utc:%Y, %H:%M}" in caught.value.sentence


NOT_UPCOMING = {
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


@pytest.mark.parametrize("make", NOT_UPCOMING.values(), ids=NOT_UPCOMING)
def test_other_sessions_do_not_prevent_it_and_stay_unchanged(anna: User, make: Any) -> None:
    row = make(anna)
    before = stored(row)
    erased = erase_user(anna, method="admin")
    assert erased.canceled == []
    kept = ("status", "outcome", "start_at_utc", "canceled_at", "price_amount")
    assert {name: stored(row)[name] for name in kept} == {name: before[name] for name in kept}


# -- with force -----------------------------------------------------------------------------------


@each_upcoming
def test_force_cancels_the_upcoming_session(anna: User, make: Any) -> None:
    row = make(anna)
    erased = erase_user(anna, method="admin", force=True)
    assert [session.appointment for session in erased.canceled] == [row.pk]
    row.refresh_from_db()
    assert (row.status, row.outcome, row.client_id) == ("canceled", "canceled_by_client", None)
    if row.slot is not None:
        assert row.slot.status == "available"
    assert anna.status == "deleted"


def test_force_cancels_a_session_on_behalf_of_the_client(anna: User) -> None:
    """The policy of the service decides the refund, and an event publishes it."""
    service = ServiceFactory(cancel_free_hours=24, cancel_partial_hours=6)
    soon = {"start_at_utc": ahead(hours=7), "end_at_utc": ahead(hours=8)}
    early = session(anna, "confirmed", service=service)
    late = session(anna, "confirmed", service=service, **soon)
    erased = erase_user(anna, method="admin", force=True)
    refunds = {one.appointment: one.refund_amount for one in erased.canceled}
    assert refunds == {early.pk: DEPOSIT, late.pk: DEPOSIT // 2}
    for row in (early, late):
        assert "appointment_canceled" in event_types(row)
    due = OutboxEvent.objects.filter(event_type="refund_due")
    assert sorted(event.payload["amount"] for event in due) == [DEPOSIT // 2, DEPOSIT]


@pytest.mark.parametrize("make", [expired_hold, lambda anna: session(anna, "held")])
def test_late_payment_is_due_back_and_books_no_time(anna: User, make: Any) -> None:
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


def test_unpaid_hold_is_released_without_force(anna: User) -> None:
    row = session(anna, "held")
    erased = erase_user(anna, method="admin")
    assert [(one.appointment, one.refund_amount) for one in erased.canceled] == [(row.pk, 0)]
    assert [stored(row)["status"], stored(row.slot)["status"]] == ["canceled", "available"]


def test_force_does_not_erase_the_last_owner(owner: User) -> None:
    session(owner, "confirmed")
    with refused(LastOwner):
        erase_user(owner, method="admin", force=True)


def test_late_failure_rolls_back_the_whole_erasure(anna: User, monkeypatch: Any) -> None:
    """A failure leaves no partial erasure."""
    row = session(anna, "confirmed")
    DiaryEntryFactory(user=anna)

    def fail(*_: Any, **__: Any) -> None:
        raise Refused

    monkeypatch.setattr("ebalance.privacy.erasure.erase.record_entry", fail)
    with writes_nothing(), pytest.raises(Refused):
        erase_user(anna, method="admin", force=True)
    assert stored(row)["status"] == "confirmed"


# -- rows that are kept ---------------------------------------------------------------------------


def test_appointments_without_a_lead_share_an_anonymous_lead(anna: User) -> None:
    rows = [session(anna, "completed"), session(anna, "canceled")]
    erase_user(anna, method="admin")
    (lead,) = Lead.objects.all()
    assert (lead.source, lead.status, lead.utm) == ("booking", "inactive", None)
    assert not lead.identities.exists()
    for row in rows:
        assert (stored(row)["client_id"], stored(row)["lead_id"]) == (None, lead.pk)


def test_appointments_move_to_the_existing_lead(anna: User) -> None:
    lead, row = lead_of(anna), session(anna, "completed")
    later = lead_of(anna)
    erase_user(anna, method="admin")
    assert stored(row)["lead_id"] == lead.pk
    assert {*Lead.objects.values_list("pk", flat=True)} == {lead.pk, later.pk}
    assert {*Lead.objects.values_list("status", flat=True)} == {"inactive"}


def test_appointment_keeps_its_own_lead(anna: User) -> None:
    other = LeadFactory()
    other.identities.create(user=UserFactory())
    row = session(anna, "completed", lead=other)
    erase_user(anna, method="admin")
    assert (stored(row)["client_id"], stored(row)["lead_id"]) == (None, other.pk)
    assert stored(other)["status"] == "new"


def test_consents_are_withdrawn_and_kept_as_evidence(anna: User) -> None:
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
    instant = timezone.now()
    erased = erase_user(anna, method="admin", clock=lambda: instant)
    assert erased.counts["consents"] == 4
    for row in active:
        now = stored(row)
        assert now["revoked_at"] == max(instant, row.granted_at)
        assert event_types(row) == ["consent_withdrawn"]
    assert [stored(row) for row in [*settled, others]] == before
    assert Consent.objects.active().count() == 1


def test_a_published_review_is_unpublished_and_empty(anna: User) -> None:
    row = ReviewFactory(user=anna, published=True)
    consent = row.publication_consents.get()
    erase_user(anna, method="admin")
    row.refresh_from_db()
    assert (row.status, row.user_id, row.review_text_encrypted.open()) == ("unpublished", None, "")
    assert stored(consent)["revoked_at"] is not None
    assert "review_unpublished" in event_types(row)


@pytest.mark.parametrize("state", ["draft", "pending", "unpublished"])
def test_empty_review_needs_no_moderation(anna: User, state: str) -> None:
    row = ReviewFactory(user=anna, status=state)
    erase_user(anna, method="admin")
    assert stored(row)["status"] == "unpublished"


def test_consent_to_publish_a_review_of_another_person_is_withdrawn(anna: User) -> None:
    review = ReviewFactory(pending=True)
    consent = ReviewPublicationConsentFactory(review=review, user=anna)
    erase_user(anna, method="admin")
    assert stored(consent)["revoked_at"] is not None
    assert stored(review)["user_id"] == review.user_id


def test_runs_get_unlinked_identifiers(anna: User) -> None:
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


def test_work_of_erased_staff_is_kept(owner: User) -> None:
    anna = UserFactory(role="assistant")
    note, item = LeadNoteFactory(author=anna), ContentItemFactory(author=anna)
    answer = QuestionAnswerFactory(answered_by=anna)
    before = [stored(row) for row in (note, item, answer)]
    erase_user(anna, method="admin", actor=owner)
    assert [stored(row) for row in (note, item, answer)] == before


def test_new_row_of_an_erased_person_is_refused(anna: User) -> None:
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


def test_stale_form_does_not_restore_erased_values(anna: User) -> None:
    """Admin and ``save()`` write whole rows."""
    rows = [anna, session(anna, "completed"), ReviewFactory(user=anna, status="unpublished")]
    opened = [type(row).objects.get(pk=row.pk) for row in rows]
    opened[0].display_name = "Анна Петровна"
    erase_user(anna.pk, method="admin")
    rules = [
        "users_status_transition",
        "appointments_person_stays",
        "reviews_user_id_not_erased",
    ]
    for row, rule in zip(opened, rules, strict=True):
        with refuses(rule):
            row.save()


# -- ledger, events and log -----------------------------------------------------------------------


def test_erasure_is_in_the_ledger_the_outbox_and_the_log(anna: User, owner: User) -> None:
    lead, requested_at = lead_of(anna), ago(days=2)
    DiaryEntryFactory.create_batch(2, user=anna)
    erased = erase_user(anna, method="self_service", requested_at=requested_at, actor=owner)
    (entry,) = ErasureLedgerEntry.objects.all()
    assert (entry.subject_id, entry.method, entry.requested_at) == (
        anna.pk,
        "self_service",
        requested_at,
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


def test_erasure_of_a_lead_is_published_once(anna: User) -> None:
    lead = lead_of(anna)
    erase_user(anna, method="admin")
    LeadNoteFactory(lead=lead)
    erase_user(anna, method="admin")
    assert not lead.notes.exists()
    assert event_types(lead) == ["lead_erased"]
    assert event_types(anna) == ["user_erased"] * 2


def test_lead_linked_to_another_person_since_is_kept(anna: User) -> None:
    lead, boris = lead_of(anna), UserFactory()
    erase_user(anna, method="admin")
    lead.identities.create(user=boris)
    note = LeadNoteFactory(lead=lead)
    with writes_nothing():
        assert erase_user(anna, method="admin").rows == 0
    assert stored(note)["lead_id"] == lead.pk


def test_repeated_erasure_detaches_late_events(anna: User) -> None:
    """Analytics have no foreign key that could refuse late events."""
    erase_user(anna, method="admin")
    late = AnalyticsEventFactory(user_id=anna.pk)
    assert erase_user(anna, method="admin").counts == {"analytics_events": 1}
    assert (stored(late)["user_id"], stored(late)["anonymous_id"]) == (None, None)


def test_person_who_erases_themself_leaves_no_address(anna: User) -> None:
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


def test_address_of_the_actor_stays_when_others_are_erased(anna: User, owner: User) -> None:
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


def test_export_files_are_removed_and_the_ledger_file_is_written(
    anna: User, file: Path, django_capture_on_commit_callbacks: Any
) -> None:
    lead = lead_of(anna)
    own, other = exported(anna), exported(UserFactory())
    with django_capture_on_commit_callbacks(execute=True):
        erase_user(anna, method="admin")
        assert own.exists()
        assert not file.exists()
    assert (own.exists(), other.exists()) == (False, True)
    entry = ErasureLedgerEntry.objects.get()
    (line,) = file.read_text().splitlines()
    assert json.loads(line) == {
        "subject_id": str(anna.pk),
        "requested_at": f"{entry.requested_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "completed_at": f"{entry.completed_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "method": "admin",
        "leads": [str(lead.pk)],
    }


def test_rolled_back_erasure_leaves_files_alone(
    anna: User, file: Path, django_capture_on_commit_callbacks: Any
) -> None:
    kept = exported(anna)
    with django_capture_on_commit_callbacks(execute=True) as callbacks, transaction.atomic():
        erase_user(anna, method="admin")
        transaction.set_rollback(True)
    assert callbacks == []
    assert (kept.exists(), file.exists(), stored(anna)["status"]) == (True, False, "active")


def test_full_disk_does_not_undo_an_erasure(
    anna: User, file: Path, django_capture_on_commit_callbacks: Any, monkeypatch: Any, caplog: Any
) -> None:
    exported(anna)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ebalance.privacy.erasure.erase.ledger.sync_file", fail)
    monkeypatch.setattr("ebalance.privacy.erasure.erase.storage.remove", fail)
    with django_capture_on_commit_callbacks(execute=True):
        erase_user(anna, method="admin")
    assert stored(anna)["status"] == "deleted"
    assert [record.getMessage() for record in caplog.records] == [
        "the file of an export could not be removed: No space left on device",
        "the ledger of erasures could not be written: No space left on device",
    ]


# -- blocking -------------------------------------------------------------------------------------


def test_person_is_blocked_and_unblocked(anna: User, owner: User) -> None:
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


def test_last_owner_is_not_blocked(owner: User) -> None:
    with refused(LastOwner, user=owner.pk):
        block_user(owner)
    other = UserFactory(role="owner")
    block_user(owner, actor=other)
    assert owner.status == "blocked"


@pytest.mark.parametrize("service", [block_user, unblock_user])
def test_erased_person_is_neither_blocked_nor_unblocked(anna: User, service: Any) -> None:
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


def test_shared_lead_is_emptied_when_both_people_are_erased(anna: User) -> None:
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
def test_erased_lead_cannot_be_merged(anna: User, is_erased: bool) -> None:
    """A repeated erasure would remove the rows of the other lead."""
    lead, other = lead_of(anna), LeadIdentityFactory().lead
    erase_user(anna, method="admin")
    one, into = (lead, other) if is_erased else (other, lead)
    with refused(LeadNotMergeable):
        merge_leads(one, into=into)


def test_doubtful_leads_are_reported(anna: User) -> None:
    lead = LeadFactory()
    LeadIdentity.objects.create(lead=lead, email_encrypted=Plaintext(anna.email))
    assert erase_user(anna, method="admin").doubtful == []
    boris = UserFactory()
    lead = LeadFactory()
    LeadIdentity.objects.create(lead=lead, email_encrypted=Plaintext(boris.email))
    phone = LeadIdentityFactory(lead=lead, by_phone=True)
    assert erase_user(boris, method="admin").doubtful == [lead.pk]
    assert lead.identities.get() == phone


# -- origins in the audit log ---------------------------------------------------------------------

VISIT = {"ip_address": "198.51.100.77", "user_agent": "Mozilla/5.0 (zq_zq)"}


def origins() -> list[dict[str, Any]]:
    return execute(
        "SELECT action FROM audit_log_entries WHERE num_nonnulls(ip_address, user_agent) > 0"
    )


def test_origin_is_removed_with_the_lead_and_the_session(anna: User) -> None:
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
    # The log verifies even if the rows are linked to other people later.
    LeadIdentityFactory(lead=lead)
    execute("UPDATE appointments SET client_user_id = %s", [UserFactory().pk])
    connection.check_constraints()
    assert Verification().run().entries == AuditLogEntry.objects.count()


@pytest.mark.parametrize("is_anna_known", [True, False])
def test_origin_is_removed_although_the_lead_is_shared(anna: User, is_anna_known: bool) -> None:
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


def test_origin_is_removed_with_a_review(anna: User) -> None:
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


def test_repeated_erasure_removes_a_new_origin(anna: User) -> None:
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
def test_erasure_in_an_anonymous_request_leaves_no_origin(anna: User, is_actor: bool) -> None:
    with acting_as(None, **VISIT):
        erase_user(anna, method="self_service", actor=anna if is_actor else None)
        connection.check_constraints()
    assert origins() == []


def test_origin_stays_while_the_lead_is_known(anna: User) -> None:
    lead = lead_of(anna)
    with acting_as(None, **VISIT):
        lead.status = "paid"
        lead.save()
    connection.check_constraints()
    with refuses("audit_log_entries_immutable", "audit_log_entries"):
        execute(
            "UPDATE audit_log_entries SET ip_address = NULL, user_agent = NULL, origin_salt = NULL"
        )


def test_erasure_reads_the_log_by_its_indexes(anna: User, owner: User) -> None:
    """The cost of an erasure does not grow with the entries of other people."""
    lead = lead_of(anna)
    with acting_as(None, **VISIT):
        lead.status = "paid"
        lead.save()
    with acting_as(anna, **VISIT):
        record_entry("login", anna)
    grow_log(5_000)
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
