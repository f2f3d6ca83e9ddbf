"""Which rows belong to a person (``ebalance.privacy.subject``)."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import models

from audit.models import AuditLogEntry
from audit.services import record_entry
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


def theirs(user: User, model: type[models.Model]) -> set[Any]:
    table = next(table for table in tables() if table.model is model)
    rows = PersonalRows(user.pk).rows(table)
    assert rows is not None
    return set(rows)


def found(person: PersonalRows, model: type[models.Model]) -> set[Any]:
    """The keys of their rows."""
    rows = person.rows(next(table for table in tables() if table.model is model))
    assert rows is not None
    return set(rows.values_list("pk", flat=True))


def rows_of(user: User) -> set[models.Model]:
    """Everything that is theirs, whatever table it is in."""
    person = PersonalRows(user.pk)
    found = [person.rows(table) for table in tables()]
    return {row for rows in found if rows is not None for row in rows}


def known(lead: Lead, **values: Any) -> LeadIdentity:
    return LeadIdentity.objects.create(lead=lead, **values)


def known_by(lead: Lead, channel: str, contact: str) -> LeadIdentity:
    if channel == "telegram":
        return known(lead, telegram_user_id=contact)
    return known(lead, **{f"{channel}_encrypted": Plaintext(contact)})


# -- leads ----------------------------------------------------------------------------------------


def test_a_lead_is_theirs_that_has_the_account_among_its_identities(anna: User) -> None:
    lead, other = LeadFactory(), LeadFactory()
    known(lead, user=anna)
    assert theirs(anna, Lead) == {lead}
    assert other not in rows_of(anna)


@each_contact
def test_a_lead_is_theirs_that_has_a_contact_of_the_account(
    anna: User, boris: User, channel: str
) -> None:
    lead = LeadFactory()
    known_by(lead, channel, CONTACTS[channel])
    known_by(LeadFactory(), channel, OTHER[channel])
    assert theirs(anna, Lead) == {lead}
    assert lead not in rows_of(boris)


@each_contact
def test_a_contact_planted_in_the_lead_of_another_registered_person_makes_it_nobody_elses(
    anna: User, boris: User, channel: str
) -> None:
    lead = LeadFactory()
    known(lead, user=boris)
    planted = known_by(lead, channel, CONTACTS[channel])
    note = LeadNoteFactory(lead=lead)
    assert not rows_of(anna) & {lead, planted, note}
    assert rows_of(boris) >= {lead, planted, note}


def test_a_contact_planted_in_the_lead_of_somebody_who_has_no_account_leads_to_nothing_of_theirs(
    anna: User,
) -> None:
    lead = LeadFactory()
    known_by(lead, "email", OTHER["email"])
    planted = known_by(lead, "phone", PHONE)
    form = IntakeFormFactory(appointment=AppointmentFactory(client=None, lead=lead))
    note = LeadNoteFactory(lead=lead)
    for is_erasure in (False, True):
        person = PersonalRows(anna.pk, is_erasure=is_erasure)
        assert found(person, LeadIdentity) == {planted.pk}
        assert not {form.pk, note.pk} & (found(person, type(form)) | found(person, type(note)))


def test_what_a_browser_wrote_of_a_lead_known_by_a_contact_is_taken_apart_not_shown(
    anna: User,
) -> None:
    """A stranger may have typed the contact: what else the browser did is the stranger's."""
    lead = LeadFactory()
    known_by(lead, "email", EMAIL)
    known(lead, anonymous_id=BROWSER)
    run = InteractiveRunFactory(user=None, anonymous_id=BROWSER)
    assert found(PersonalRows(anna.pk), type(run)) == set()
    assert found(PersonalRows(anna.pk, is_erasure=True), type(run)) == {run.pk}


def test_what_goes_by_a_browser_alone_is_that_of_who_alone_was_seen_with_it(anna: User) -> None:
    for user in (anna, None):
        InteractiveRunFactory(user=user, anonymous_id=BROWSER)
    known(LeadFactory(), anonymous_id=BROWSER)
    link = DeepLinkFactory(anonymous_id=BROWSER)
    assert link.pk not in found(PersonalRows(anna.pk, is_erasure=True), type(link))


def test_a_lead_that_was_two_people_s_does_not_become_the_one_s_who_is_left(
    anna: User, boris: User
) -> None:
    lead = LeadFactory()
    known(lead, user=anna)
    known(lead, user=boris)
    form = IntakeFormFactory(appointment=AppointmentFactory(client=None, lead=lead))
    note = LeadNoteFactory(lead=lead)
    erase_user(anna, method="self_service")
    person = PersonalRows(boris.pk)
    assert lead.pk in person.subject.shared
    assert not {form.pk, note.pk} & (found(person, type(form)) | found(person, type(note)))
    into = LeadFactory()
    merge_leads(lead, into=into)
    person = PersonalRows(boris.pk)
    assert into.pk in person.subject.shared
    assert not {form.pk, note.pk} & (found(person, type(form)) | found(person, type(note)))


@each_contact
def test_a_contact_planted_in_a_lead_that_rows_name_beside_another_person_neither(
    anna: User, boris: User, channel: str
) -> None:
    lead = LeadFactory()
    known_by(lead, channel, CONTACTS[channel])
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
def test_a_lead_is_theirs_that_a_row_names_beside_the_account(anna: User, beside: Any) -> None:
    lead = LeadFactory()
    row = beside(anna, lead)
    note = LeadNoteFactory(lead=lead)
    assert rows_of(anna) >= {lead, row, note}


@each_beside
def test_a_lead_named_beside_two_people_is_neither_of_theirs(
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
    identity, row = known(lead, user=anna), beside(boris, lead)
    note = LeadNoteFactory(lead=lead)
    assert rows_of(anna) & {identity, row, lead, note} == {identity}
    assert rows_of(boris) & {identity, row, lead, note} == {row}


def test_of_a_lead_that_two_accounts_are_known_as_each_has_only_what_is_surely_theirs(
    anna: User, boris: User
) -> None:
    lead = LeadFactory()
    hers = {known(lead, user=anna)} | {known_by(lead, c, text) for c, text in CONTACTS.items()}
    his = {known(lead, user=boris), known_by(lead, "email", OTHER["email"])}
    nobodys = {lead, known(lead, anonymous_id=BROWSER), LeadNoteFactory(lead=lead)}
    waits = WaitlistRequestFactory(
        user=None, lead=lead, contact_value_encrypted=Plaintext("Anna@example.com")
    )
    assert rows_of(anna) & (hers | his | nobodys | {waits}) == hers | {waits}
    assert rows_of(boris) & (hers | his | nobodys | {waits}) == his


def test_what_belongs_to_a_lead_is_theirs(anna: User) -> None:
    lead, other = LeadFactory(), LeadFactory()
    known(lead, user=anna)
    made = {
        known(lead, anonymous_id=BROWSER),
        known_by(lead, "email", "second@example.com"),
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


def test_leads_that_were_merged_into_theirs_are_theirs(anna: User) -> None:
    first, second, third = LeadFactory.create_batch(3)
    known(third, user=anna)
    consents = {ConsentFactory(user=None, lead=lead) for lead in (first, second)}
    events = {AnalyticsEventFactory(lead_id=lead.pk) for lead in (first, second)}
    merge_leads(first, into=second)
    merge_leads(second, into=third)
    assert theirs(anna, Lead) == {first, second, third}
    assert rows_of(anna) >= consents | events


def test_merged_lead_still_leads_to_its_events(anna: User) -> None:
    lead, other = LeadFactory.create_batch(2)
    known(other, user=anna)
    event = AnalyticsEventFactory(lead_id=lead.pk)
    merge_leads(lead, into=other)
    assert theirs(anna, Lead) == {lead, other}
    assert event in rows_of(anna)


@each_beside
def test_rows_of_a_lead_stay_theirs_when_it_is_merged(anna: User, beside: Any) -> None:
    """The lead is known by nothing but a row that names the account too."""
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
    known(other, user=boris)
    merge_leads(lead, into=other)
    for user in (anna, boris):
        assert not rows_of(user) & {lead, other, note}
    assert row in rows_of(anna)
    erase_user(anna, method="self_service")
    assert LeadNote.objects.filter(pk=note.pk).exists()
    assert note not in rows_of(boris)
    erase_user(boris, method="self_service")
    assert not LeadNote.objects.filter(pk=note.pk).exists()


def test_leads_that_are_remembered_are_theirs_unless_they_are_somebody_elses(boris: User) -> None:
    remembered, lost = LeadFactory.create_batch(2)
    known_by(remembered, "email", EMAIL)
    known(lost, user=boris)
    person = PersonalRows(uuid4(), remembered=[remembered.pk, lost.pk, uuid4()])
    assert {remembered.pk} <= person.subject.leads
    assert lost.pk not in person.subject.leads


# -- by a browser ---------------------------------------------------------------------------------


def test_what_names_nobody_is_theirs_by_a_browser_that_nobody_else_was_seen_with(
    anna: User, boris: User
) -> None:
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
    "identity": lambda user: known(LeadFactory(), user=user, anonymous_id=BROWSER),
}
each_sight = pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)


@each_sight
def test_a_shared_browser_leads_to_nothing(anna: User, boris: User, seen: Any) -> None:
    hers, his = SEEN["event"](anna), seen(boris)
    nobodys = {
        AnalyticsEventFactory(anonymous_id=BROWSER),
        InteractiveRunFactory(anonymous_id=BROWSER),
    }
    assert not (rows_of(anna) | rows_of(boris)) & nobodys
    assert hers in rows_of(anna)
    assert his in rows_of(boris)


def test_a_browser_that_was_seen_with_a_stranger_s_lead_is_shared(anna: User) -> None:
    SEEN["run"](anna)
    known(LeadFactory(), anonymous_id=BROWSER)
    assert not rows_of(anna) & {AnalyticsEventFactory(anonymous_id=BROWSER)}


def test_an_event_of_a_lead_that_is_gone_names_nobody(anna: User) -> None:
    SEEN["run"](anna)
    event = AnalyticsEventFactory(anonymous_id=BROWSER, lead_id=uuid4(), user_id=uuid4())
    assert event in rows_of(anna)


# -- by a contact ---------------------------------------------------------------------------------


@each_contact
def test_a_request_without_a_name_is_theirs_by_its_contact(
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
def test_contacts_are_found_under_the_old_and_the_new_key(
    anna: User, stored_under: str, settings: Any
) -> None:
    (old,) = settings.BLIND_INDEX_KEYS
    both = [keys.Key("k2", b"2" * 32), old]
    if stored_under == "new":
        settings.BLIND_INDEX_KEYS = keys.Keyring(both)
    lead = LeadFactory()
    known_by(lead, "email", EMAIL)
    request = WaitlistRequestFactory(user=None, contact_value_encrypted=Plaintext(EMAIL))
    settings.BLIND_INDEX_KEYS = keys.Keyring(both)
    assert rows_of(anna) >= {lead, request}


@each_contact
def test_a_question_without_a_name_is_theirs_by_its_opened_contact(
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


def test_a_question_of_somebody_who_is_named_is_not_another_ones_by_its_contact(
    anna: User, boris: User
) -> None:
    question = AnonymousQuestionFactory(user=boris, contact_value_encrypted=Plaintext(EMAIL))
    assert question not in rows_of(anna)
    assert question in rows_of(boris)


def test_a_contact_that_does_not_open_is_nobodys(anna: User) -> None:
    question = AnonymousQuestionFactory(contact_value_encrypted=Plaintext(EMAIL))
    update_sql(question, contact_value_encrypted=sealed())
    assert question not in rows_of(anna)


def test_a_contact_that_somebody_typed_into_their_lead_leads_to_nobody_elses_words(
    anna: User,
) -> None:
    """Else whoever types a stranger's address could export the stranger's questions."""
    lead = LeadFactory()
    known(lead, user=anna)
    known_by(lead, "email", "stranger@example.com")
    words = {
        AnonymousQuestionFactory(contact_value_encrypted=Plaintext("stranger@example.com")),
        WaitlistRequestFactory(
            user=None, contact_value_encrypted=Plaintext("stranger@example.com")
        ),
    }
    assert not rows_of(anna) & words


# -- by other rows --------------------------------------------------------------------------------


def test_what_belongs_to_rows_of_theirs_is_theirs(anna: User, boris: User) -> None:
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


def test_the_note_of_a_slot_is_theirs_whose_session_took_it_last(anna: User, boris: User) -> None:
    slot, free = AvailabilitySlotFactory(), AvailabilitySlotFactory()
    AppointmentFactory(client=boris, slot=slot, canceled=True)
    AppointmentFactory(client=anna, slot=slot)
    assert rows_of(anna) & {slot, free} == {slot}
    assert not rows_of(boris) & {slot, free}


def test_who_of_the_staff_did_it_is_not_whose_it_is(anna: User, boris: User) -> None:
    lead = LeadFactory()
    known(lead, user=boris)
    note = LeadNoteFactory(lead=lead, author=anna)
    answer = QuestionAnswerFactory(question=AnonymousQuestionFactory(user=boris), answered_by=anna)
    assert not rows_of(anna) & {note, answer}
    assert rows_of(boris) >= {note, answer}


def test_a_session_is_theirs_who_is_signed_in_there(anna: User, boris: User) -> None:
    opened = {}
    for user in (anna, boris, None):
        store = SessionStore()
        store.update({"_auth_user_id": str(user.pk)} if user else {"seen": 1})
        store.save()
        opened[user] = Session.objects.get(pk=store.session_key)
    Session.objects.create(session_key="broken", session_data="rubbish", expire_date=ahead(days=1))
    assert theirs(anna, Session) == {opened[anna]}


def test_of_the_audit_log_theirs_is_what_they_did_and_who_failed_to_be_them(
    anna: User, boris: User
) -> None:
    entries: dict[str, UUID] = {}
    for name, actor, about in [
        ("hers", anna, boris),
        ("his", boris, anna),
        ("failed", None, anna),
        ("failed for him", None, boris),
    ]:
        with acting_as(actor, ip_address="192.0.2.7"):
            entries[name] = record_entry("login_failed", about)
    assert {row.pk for row in theirs(anna, AuditLogEntry)} == {entries["hers"], entries["failed"]}


def test_nothing_of_somebody_who_does_not_exist_is_found() -> None:
    AnonymousQuestionFactory()
    AnalyticsEventFactory()
    known(LeadFactory(), anonymous_id=BROWSER)
    assert rows_of(User(pk=uuid4())) == set()


def test_an_account_with_contacts_older_than_the_rules_has_the_others(boris: User) -> None:
    update_sql(boris, email="no-domain@" + "x" * 70)
    lead = LeadFactory()
    known_by(lead, "phone", OTHER["phone"])
    assert lead in rows_of(boris)


# -- export ---------------------------------------------------------------------------------------


def exported(user: User) -> dict[str, list[dict[str, Any]]]:
    return {table.name: list(rows) for table, rows in PersonalRows(user.pk).export()}


def test_an_export_opens_what_is_sealed_and_has_the_exported_columns_only(anna: User) -> None:
    question = AnonymousQuestionFactory(user=anna, question_text_encrypted=Plaintext("Почему?"))
    found = exported(anna)
    (row,) = found["anonymous_questions"]
    assert row["id"] == question.pk
    assert row["question_text_encrypted"] == "Почему?"
    (own,) = found["users"]
    assert own["email"] == EMAIL
    assert "password" not in own
    for table in tables():
        declared = {column.name for column in table.columns if column.in_export}
        for row in found.get(table.name, []):
            assert row.keys() == declared


def test_an_export_says_of_a_value_that_does_not_open_why(anna: User) -> None:
    question = AnonymousQuestionFactory(user=anna)
    update_sql(question, question_text_encrypted=sealed())
    (row,) = exported(anna)["anonymous_questions"]
    assert isinstance(row["question_text_encrypted"], Unreadable)
    assert repr(row["question_text_encrypted"]) == "<unreadable: SealBroken>"


# -- no table is forgotten ------------------------------------------------------------------------


def test_every_table_with_something_personal_can_be_reached_from_a_person() -> None:
    assert unreachable_tables() == []


@pytest.mark.parametrize(
    "declared",
    [classification.p1("who it is about"), classification.p0("who it is about", export=True)],
    ids=["personal", "exported"],
)
def test_a_personal_column_to_which_nothing_leads_is_named(
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
