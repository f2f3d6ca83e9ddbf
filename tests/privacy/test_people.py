"""The rows that belong to a person (``ebalance.privacy.subject``)."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import models

from audit.models import AuditLogEntry
from audit.services import record_entry
from crm.errors import LeadNotMergeable
from crm.models import Lead, LeadIdentity, LeadNote
from crm.services import merge_leads
from ebalance.actor import acting_as
from ebalance.db.encryption import keys
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.schema import classification
from ebalance.db.schema.data_map import tables
from ebalance.privacy.erasure import erase_user
from ebalance.privacy.rows import PersonalRows, Unreadable, unreachable_tables
from identity.models import User
from tests.factories import (
    AnalyticsEventFactory,
    AnonymousQuestionFactory,
    AppointmentFactory,
    AvailabilitySlotFactory,
    ConsentFactory,
    DeepLinkFactory,
    DiaryEntryFactory,
    IntakeFormFactory,
    InteractiveRunFactory,
    LeadFactory,
    LeadNoteFactory,
    LeadTimelineEventFactory,
    PaymentFactory,
    QuestionAnswerFactory,
    ReviewFactory,
    ReviewPublicationConsentFactory,
    UserFactory,
    UserRoleFactory,
    WaitlistRequestFactory,
    sealed,
)
from tests.factories.base import ahead
from tests.support import update_sql

pytestmark = pytest.mark.django_db

EMAIL, PHONE, TELEGRAM = "anna@example.com", "+79991234567", "100200300"
CONTACTS = {"email": EMAIL, "phone": PHONE, "telegram": TELEGRAM}
OTHER = {"email": "boris@example.com", "phone": "+79997654321", "telegram": "300200100"}
BROWSER = "visitor-of-anna"

each_contact = pytest.mark.parametrize("channel", CONTACTS)


@pytest.fixture
def anna() -> User:
    return UserFactory(email=EMAIL, phone=PHONE, telegram_user_id=TELEGRAM)


@pytest.fixture
def boris() -> User:
    return UserFactory(email=OTHER["email"], phone=OTHER["phone"])


def rows_in(user: User, model: type[models.Model]) -> set[Any]:
    table = next(table for table in tables() if table.model is model)
    rows = PersonalRows(user.pk).rows(table)
    assert rows is not None
    return set(rows)


def keys_in(person: PersonalRows, model: type[models.Model]) -> set[Any]:
    """The keys of the person's rows in the table."""
    rows = person.rows(next(table for table in tables() if table.model is model))
    assert rows is not None
    return set(rows.values_list("pk", flat=True))


def rows_of(user: User) -> set[models.Model]:
    """All rows of the person in all tables."""
    person = PersonalRows(user.pk)
    querysets = [person.rows(table) for table in tables()]
    return {row for rows in querysets if rows is not None for row in rows}


def add_identity(lead: Lead, **values: Any) -> LeadIdentity:
    return LeadIdentity.objects.create(lead=lead, **values)


def add_contact(lead: Lead, channel: str, contact: str) -> LeadIdentity:
    if channel == "telegram":
        return add_identity(lead, telegram_user_id=contact)
    return add_identity(lead, **{f"{channel}_encrypted": Plaintext(contact)})


# -- leads ----------------------------------------------------------------------------------------


def test_lead_with_the_account_as_identity_belongs_to_the_person(anna: User) -> None:
    lead, other = LeadFactory(), LeadFactory()
    add_identity(lead, user=anna)
    assert rows_in(anna, Lead) == {lead}
    assert other not in rows_of(anna)


@each_contact
def test_lead_with_a_contact_of_the_account_belongs_to_the_person(
    anna: User, boris: User, channel: str
) -> None:
    lead = LeadFactory()
    add_contact(lead, channel, CONTACTS[channel])
    add_contact(LeadFactory(), channel, OTHER[channel])
    assert rows_in(anna, Lead) == {lead}
    assert lead not in rows_of(boris)


@each_contact
def test_contact_planted_in_a_registered_lead_does_not_claim_the_lead(
    anna: User, boris: User, channel: str
) -> None:
    lead = LeadFactory()
    add_identity(lead, user=boris)
    planted = add_contact(lead, channel, CONTACTS[channel])
    note = LeadNoteFactory(lead=lead)
    assert not rows_of(anna) & {lead, planted, note}
    assert rows_of(boris) >= {lead, planted, note}


def test_contact_planted_in_an_unregistered_lead_claims_only_itself(
    anna: User,
) -> None:
    lead = LeadFactory()
    add_contact(lead, "email", OTHER["email"])
    planted = add_contact(lead, "phone", PHONE)
    form = IntakeFormFactory(appointment=AppointmentFactory(client=None, lead=lead))
    note = LeadNoteFactory(lead=lead)
    for is_erasure in (False, True):
        person = PersonalRows(anna.pk, is_erasure=is_erasure)
        assert keys_in(person, LeadIdentity) == {planted.pk}
        assert not {form.pk, note.pk} & (keys_in(person, type(form)) | keys_in(person, type(note)))


def test_browser_rows_of_a_lead_with_a_contact_are_erased_not_exported(
    anna: User,
) -> None:
    """Another person may have typed the contact, and may own the other rows of the browser."""
    lead = LeadFactory()
    add_contact(lead, "email", EMAIL)
    add_identity(lead, anonymous_id=BROWSER)
    run = InteractiveRunFactory(user=None, anonymous_id=BROWSER)
    assert keys_in(PersonalRows(anna.pk), type(run)) == set()
    assert keys_in(PersonalRows(anna.pk, is_erasure=True), type(run)) == {run.pk}


def test_browser_shared_with_another_lead_claims_no_rows(anna: User) -> None:
    for user in (anna, None):
        InteractiveRunFactory(user=user, anonymous_id=BROWSER)
    add_identity(LeadFactory(), anonymous_id=BROWSER)
    link = DeepLinkFactory(anonymous_id=BROWSER)
    assert link.pk not in keys_in(PersonalRows(anna.pk, is_erasure=True), type(link))


def test_shared_lead_does_not_pass_to_the_remaining_person(anna: User, boris: User) -> None:
    lead = LeadFactory()
    add_identity(lead, user=anna)
    add_identity(lead, user=boris)
    form = IntakeFormFactory(appointment=AppointmentFactory(client=None, lead=lead))
    note = LeadNoteFactory(lead=lead)
    erase_user(anna, method="self_service")
    person = PersonalRows(boris.pk)
    assert lead.pk in person.subject.shared
    assert not {form.pk, note.pk} & (keys_in(person, type(form)) | keys_in(person, type(note)))
    into = LeadFactory()
    merge_leads(lead, into=into)
    person = PersonalRows(boris.pk)
    assert into.pk in person.subject.shared
    assert not {form.pk, note.pk} & (keys_in(person, type(form)) | keys_in(person, type(note)))


@each_contact
def test_contact_planted_in_a_lead_of_another_client_claims_nothing(
    anna: User, boris: User, channel: str
) -> None:
    lead = LeadFactory()
    add_contact(lead, channel, CONTACTS[channel])
    appointment = AppointmentFactory(client=boris, lead=lead)
    assert not rows_of(anna) & {lead, appointment}
    assert lead in rows_of(boris)


BESIDE = {
    "appointment": lambda user, lead: AppointmentFactory(client=user, lead=lead),
    "waitlist": lambda user, lead: WaitlistRequestFactory(user=user, lead=lead),
    "consent": lambda user, lead: ConsentFactory(user=user, lead=lead),
}
each_beside = pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)


@each_beside
def test_lead_in_a_row_with_the_account_belongs_to_the_person(anna: User, beside: Any) -> None:
    lead = LeadFactory()
    row = beside(anna, lead)
    note = LeadNoteFactory(lead=lead)
    assert rows_of(anna) >= {lead, row, note}


@each_beside
def test_lead_in_rows_of_two_people_belongs_to_neither(
    anna: User, boris: User, beside: Any
) -> None:
    lead = LeadFactory()
    hers = beside(anna, lead)
    his = AppointmentFactory(client=boris, lead=lead)
    assert not (rows_of(anna) | rows_of(boris)) & {lead}
    assert hers in rows_of(anna)
    assert his in rows_of(boris)


@each_beside
def test_row_beside_another_account_makes_a_registered_lead_shared(
    anna: User, boris: User, beside: Any
) -> None:
    lead = LeadFactory()
    identity, row = add_identity(lead, user=anna), beside(boris, lead)
    note = LeadNoteFactory(lead=lead)
    assert rows_of(anna) & {identity, row, lead, note} == {identity}
    assert rows_of(boris) & {identity, row, lead, note} == {row}


def test_accounts_of_a_shared_lead_have_only_unambiguous_rows(anna: User, boris: User) -> None:
    lead = LeadFactory()
    hers = {add_identity(lead, user=anna)} | {
        add_contact(lead, c, text) for c, text in CONTACTS.items()
    }
    his = {add_identity(lead, user=boris), add_contact(lead, "email", OTHER["email"])}
    ambiguous = {lead, add_identity(lead, anonymous_id=BROWSER), LeadNoteFactory(lead=lead)}
    waits = WaitlistRequestFactory(
        user=None, lead=lead, contact_value_encrypted=Plaintext("Anna@example.com")
    )
    assert rows_of(anna) & (hers | his | ambiguous | {waits}) == hers | {waits}
    assert rows_of(boris) & (hers | his | ambiguous | {waits}) == his


def test_rows_of_a_lead_belong_to_its_person(anna: User) -> None:
    lead, other = LeadFactory(), LeadFactory()
    add_identity(lead, user=anna)
    made = {
        add_identity(lead, anonymous_id=BROWSER),
        add_contact(lead, "email", "second@example.com"),
        LeadNoteFactory(lead=lead),
        DeepLinkFactory(lead=lead),
        LeadTimelineEventFactory(lead=lead),
        AppointmentFactory(client=None, lead=lead),
        WaitlistRequestFactory(user=None, lead=lead),
        ConsentFactory(user=None, lead=lead),
        AnalyticsEventFactory(lead_id=lead.pk),
    }
    others = {LeadNoteFactory(lead=other), AppointmentFactory(client=None, lead=other)}
    assert rows_of(anna) >= made
    assert not rows_of(anna) & others


def test_leads_merged_into_a_lead_belong_to_its_person(anna: User) -> None:
    first, second, third = LeadFactory.create_batch(3)
    add_identity(third, user=anna)
    consents = {ConsentFactory(user=None, lead=lead) for lead in (first, second)}
    events = {AnalyticsEventFactory(lead_id=lead.pk) for lead in (first, second)}
    merge_leads(first, into=second)
    merge_leads(second, into=third)
    assert rows_in(anna, Lead) == {first, second, third}
    assert rows_of(anna) >= consents | events


def test_merged_lead_still_leads_to_its_events(anna: User) -> None:
    lead, other = LeadFactory.create_batch(2)
    add_identity(other, user=anna)
    event = AnalyticsEventFactory(lead_id=lead.pk)
    merge_leads(lead, into=other)
    assert rows_in(anna, Lead) == {lead, other}
    assert event in rows_of(anna)


@each_beside
def test_rows_of_a_lead_stay_with_the_person_after_a_merge(anna: User, beside: Any) -> None:
    """Only a row that also names the account identifies the lead."""
    lead, second, third = LeadFactory.create_batch(3)
    row = beside(anna, lead)
    notes = {LeadNoteFactory(lead=lead), LeadNoteFactory(lead=second)}
    merge_leads(lead, into=second)
    merge_leads(second, into=third)
    assert rows_of(anna) >= {row, lead, second, third, *notes}
    erase_user(anna, method="self_service")
    assert not LeadNote.objects.exists()
    assert set(Lead.objects.filter(merged_into__isnull=False)) == {lead, second}


@each_beside
def test_lead_merged_into_the_lead_of_another_account_is_shared(
    anna: User, boris: User, beside: Any
) -> None:
    lead, other = LeadFactory.create_batch(2)
    row = beside(anna, lead)
    note = LeadNoteFactory(lead=lead)
    add_identity(other, user=boris)
    merge_leads(lead, into=other)
    for user in (anna, boris):
        assert not rows_of(user) & {lead, other, note}
    assert row in rows_of(anna)
    erase_user(anna, method="self_service")
    assert LeadNote.objects.filter(pk=note.pk).exists()
    assert note not in rows_of(boris)
    erase_user(boris, method="self_service")
    assert not LeadNote.objects.filter(pk=note.pk).exists()


def test_remembered_leads_belong_to_the_person_unless_reassigned(boris: User) -> None:
    remembered, lost = LeadFactory.create_batch(2)
    add_contact(remembered, "email", EMAIL)
    add_identity(lost, user=boris)
    person = PersonalRows(uuid4(), remembered=[remembered.pk, lost.pk, uuid4()])
    assert {remembered.pk} <= person.subject.leads
    assert lost.pk not in person.subject.leads


# -- by a browser ---------------------------------------------------------------------------------


def test_unnamed_rows_of_an_exclusive_browser_belong_to_the_person(anna: User, boris: User) -> None:
    InteractiveRunFactory(user=anna, anonymous_id=BROWSER)
    made = {
        AnalyticsEventFactory(anonymous_id=BROWSER),
        InteractiveRunFactory(anonymous_id=BROWSER),
        DeepLinkFactory(anonymous_id=BROWSER),
    }
    other = AnalyticsEventFactory(anonymous_id="visitor-of-somebody")
    assert rows_of(anna) >= made
    assert not rows_of(anna) & {other}
    assert not rows_of(boris) & made


SEEN = {
    "run": lambda user: InteractiveRunFactory(user=user, anonymous_id=BROWSER),
    "event": lambda user: AnalyticsEventFactory(user_id=user.pk, anonymous_id=BROWSER),
    "identity": lambda user: add_identity(LeadFactory(), user=user, anonymous_id=BROWSER),
}
each_sight = pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)


@each_sight
def test_shared_browser_claims_no_rows(anna: User, boris: User, seen: Any) -> None:
    hers, his = SEEN["event"](anna), seen(boris)
    ambiguous = {
        AnalyticsEventFactory(anonymous_id=BROWSER),
        InteractiveRunFactory(anonymous_id=BROWSER),
    }
    assert not (rows_of(anna) | rows_of(boris)) & ambiguous
    assert hers in rows_of(anna)
    assert his in rows_of(boris)


def test_browser_of_an_unrelated_lead_is_shared(anna: User) -> None:
    SEEN["run"](anna)
    add_identity(LeadFactory(), anonymous_id=BROWSER)
    assert not rows_of(anna) & {AnalyticsEventFactory(anonymous_id=BROWSER)}


def test_event_of_a_missing_lead_names_no_other_person(anna: User) -> None:
    SEEN["run"](anna)
    event = AnalyticsEventFactory(anonymous_id=BROWSER, lead_id=uuid4(), user_id=uuid4())
    assert event in rows_of(anna)


# -- by a contact ---------------------------------------------------------------------------------


@each_contact
def test_unnamed_request_belongs_to_the_person_with_its_contact(
    anna: User, boris: User, channel: str
) -> None:
    request = WaitlistRequestFactory(
        user=None,
        preferred_contact=channel,
        contact_value_encrypted=Plaintext(CONTACTS[channel]),
    )
    assert request in rows_of(anna)
    assert request not in rows_of(boris)


@pytest.mark.parametrize("stored_under", ["old", "new"])
def test_contacts_match_under_the_old_and_the_new_key(
    anna: User, stored_under: str, settings: Any
) -> None:
    (old,) = settings.BLIND_INDEX_KEYS
    both = [keys.Key("k2", b"2" * 32), old]
    if stored_under == "new":
        settings.BLIND_INDEX_KEYS = keys.Keyring(both)
    lead = LeadFactory()
    add_contact(lead, "email", EMAIL)
    request = WaitlistRequestFactory(user=None, contact_value_encrypted=Plaintext(EMAIL))
    settings.BLIND_INDEX_KEYS = keys.Keyring(both)
    assert rows_of(anna) >= {lead, request}


@each_contact
def test_unnamed_question_belongs_to_the_person_with_its_contact(
    anna: User, boris: User, channel: str
) -> None:
    spelling = {"email": "Anna@Example.com", "phone": "8 999 123-45-67", "telegram": TELEGRAM}
    question = AnonymousQuestionFactory(contact_value_encrypted=Plaintext(spelling[channel]))
    answer = QuestionAnswerFactory(question=question)
    others = {
        AnonymousQuestionFactory(contact_value_encrypted=None),
        AnonymousQuestionFactory(contact_value_encrypted=Plaintext(OTHER[channel])),
    }
    assert rows_of(anna) >= {question, answer}
    assert not rows_of(anna) & others
    assert not rows_of(boris) & {question}


def test_contact_does_not_claim_a_question_of_a_named_person(anna: User, boris: User) -> None:
    question = AnonymousQuestionFactory(user=boris, contact_value_encrypted=Plaintext(EMAIL))
    assert question not in rows_of(anna)
    assert question in rows_of(boris)


def test_unreadable_contact_claims_nothing(anna: User) -> None:
    question = AnonymousQuestionFactory(contact_value_encrypted=Plaintext(EMAIL))
    update_sql(question, contact_value_encrypted=sealed())
    assert question not in rows_of(anna)


def test_contact_typed_into_a_lead_claims_no_texts(
    anna: User,
) -> None:
    """Otherwise a person who types another's address could export the other's questions."""
    lead = LeadFactory()
    add_identity(lead, user=anna)
    add_contact(lead, "email", "stranger@example.com")
    words = {
        AnonymousQuestionFactory(contact_value_encrypted=Plaintext("stranger@example.com")),
        WaitlistRequestFactory(
            user=None, contact_value_encrypted=Plaintext("stranger@example.com")
        ),
    }
    assert not rows_of(anna) & words


# -- by other rows --------------------------------------------------------------------------------


def test_rows_that_refer_to_rows_of_the_person_belong_to_them(anna: User, boris: User) -> None:
    mine, other = AppointmentFactory(client=anna), AppointmentFactory(client=boris)
    review = ReviewFactory(user=anna)
    made = {
        PaymentFactory(appointment=mine),
        IntakeFormFactory(appointment=mine),
        ReviewPublicationConsentFactory(review=review, user=None),
        DiaryEntryFactory(user=anna),
        UserRoleFactory(user=anna),
    }
    others = {PaymentFactory(appointment=other), DiaryEntryFactory(user=boris)}
    assert rows_of(anna) >= made | {mine, review}
    assert not rows_of(anna) & others


def test_slot_note_belongs_to_the_last_client(anna: User, boris: User) -> None:
    slot, free = AvailabilitySlotFactory(), AvailabilitySlotFactory()
    AppointmentFactory(client=boris, slot=slot, canceled=True)
    AppointmentFactory(client=anna, slot=slot)
    assert rows_of(anna) & {slot, free} == {slot}
    assert not rows_of(boris) & {slot, free}


def test_row_does_not_belong_to_its_staff_author(anna: User, boris: User) -> None:
    lead = LeadFactory()
    add_identity(lead, user=boris)
    note = LeadNoteFactory(lead=lead, author=anna)
    answer = QuestionAnswerFactory(question=AnonymousQuestionFactory(user=boris), answered_by=anna)
    assert not rows_of(anna) & {note, answer}
    assert rows_of(boris) >= {note, answer}


def test_login_session_belongs_to_the_signed_in_person(anna: User, boris: User) -> None:
    opened = {}
    for user in (anna, boris, None):
        store = SessionStore()
        store.update({"_auth_user_id": str(user.pk)} if user else {"seen": 1})
        store.save()
        opened[user] = Session.objects.get(pk=store.session_key)
    Session.objects.create(session_key="broken", session_data="rubbish", expire_date=ahead(days=1))
    assert rows_in(anna, Session) == {opened[anna]}


def test_audit_entries_belong_to_the_actor_or_the_failed_account(anna: User, boris: User) -> None:
    entries: dict[str, UUID] = {}
    for name, actor, about in [
        ("hers", anna, boris),
        ("his", boris, anna),
        ("failed", None, anna),
        ("failed for him", None, boris),
    ]:
        with acting_as(actor, ip_address="192.0.2.7"):
            entries[name] = record_entry("login_failed", about)
    assert {row.pk for row in rows_in(anna, AuditLogEntry)} == {entries["hers"], entries["failed"]}


def test_unknown_person_has_no_rows() -> None:
    AnonymousQuestionFactory()
    AnalyticsEventFactory()
    add_identity(LeadFactory(), anonymous_id=BROWSER)
    assert rows_of(User(pk=uuid4())) == set()


def test_account_with_an_invalid_old_contact_matches_by_the_others(boris: User) -> None:
    update_sql(boris, email="no-domain@" + "x" * 70)
    lead = LeadFactory()
    add_contact(lead, "phone", OTHER["phone"])
    assert lead in rows_of(boris)


# -- export ---------------------------------------------------------------------------------------


def exported(user: User) -> dict[str, list[dict[str, Any]]]:
    return {table.name: list(rows) for table, rows in PersonalRows(user.pk).export()}


def test_export_opens_sealed_values_and_has_only_exported_columns(anna: User) -> None:
    question = AnonymousQuestionFactory(user=anna, question_text_encrypted=Plaintext("Почему?"))
    rows = exported(anna)
    (row,) = rows["anonymous_questions"]
    assert row["id"] == question.pk
    assert row["question_text_encrypted"] == "Почему?"
    (own,) = rows["users"]
    assert own["email"] == EMAIL
    assert "password" not in own
    for table in tables():
        declared = {column.name for column in table.columns if column.in_export}
        for row in rows.get(table.name, []):
            assert row.keys() == declared


def test_export_marks_an_unreadable_value_with_the_reason(anna: User) -> None:
    question = AnonymousQuestionFactory(user=anna)
    update_sql(question, question_text_encrypted=sealed())
    (row,) = exported(anna)["anonymous_questions"]
    assert isinstance(row["question_text_encrypted"], Unreadable)
    assert repr(row["question_text_encrypted"]) == "<unreadable: SealBroken>"


# -- completeness ---------------------------------------------------------------------------------


def test_every_personal_table_is_reachable_from_a_person() -> None:
    assert unreachable_tables() == []


@pytest.mark.parametrize(
    "declared",
    [classification.p1("who it is about"), classification.p0("who it is about", export=True)],
    ids=["personal", "exported"],
)
def test_unreachable_personal_column_is_reported(
    monkeypatch: Any, declared: classification.Classified
) -> None:
    tags = next(table for table in tables() if table.name == "tags")
    title = next(column for column in tags.columns if column.name == "title")
    monkeypatch.setattr(title.field, "db_comment", declared)
    monkeypatch.delitem(tags.__dict__, "columns")
    assert unreachable_tables() == ["tags"]
    monkeypatch.undo()
    tags.__dict__.pop("columns", None)
    assert unreachable_tables() == []


# -- after an erasure -----------------------------------------------------------------------------


def test_empty_lead_that_erasure_creates_is_known_as_erased(anna: User, boris: User) -> None:
    appointment = AppointmentFactory(client=anna, lead=None)
    erase_user(anna, method="self_service", force=True)
    appointment.refresh_from_db()
    with pytest.raises(LeadNotMergeable):
        merge_leads(appointment.lead, into=LeadFactory())
    LeadNoteFactory(lead=appointment.lead)
    erase_user(anna, method="self_service")
    assert not LeadNote.objects.exists()


def test_doubtful_lead_stays_doubtful_after_an_erasure(anna: User, boris: User) -> None:
    lead = LeadFactory()
    add_contact(lead, "email", EMAIL)
    add_contact(lead, "phone", OTHER["phone"])
    note = LeadNoteFactory(lead=lead)
    assert note not in rows_of(boris)
    erase_user(anna, method="self_service")
    assert note not in rows_of(boris)
    erase_user(boris, method="self_service")
    assert not LeadNote.objects.filter(pk=note.pk).exists()
