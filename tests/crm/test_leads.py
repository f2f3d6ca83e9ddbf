"""Leads: their identities and their utm."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import JSONField, Value

from crm.models import Lead, LeadIdentity, LeadNote
from tests.adversarial_sql import refuses_by_any_rule
from tests.case_loops import (
    breaks_rules_of,
    check_changes,
    check_each,
    check_inserts,
    first_cases_of_each_rule,
)
from tests.factories import (
    LeadFactory,
    LeadIdentityFactory,
    LeadNoteFactory,
    UserFactory,
    blind_index,
    sealed,
)
from tests.rule_cases import UPDATES, Change, change_params, check_change
from tests.support import ROUTES, Case, breaks, check_insert, delete_sql, execute, refuses

pytestmark = pytest.mark.django_db

UTM = "leads_utm_is_p0"
KEYS = ["utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"]


def lead(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, LeadFactory, values, rule)


LEADS = [
    lead("utm unknown", utm=None),
    lead("utm empty", utm={}),
    lead("every utm", utm=dict.fromkeys(KEYS, "a" * 80)),
    *(lead(f"{key} alone", utm={key: "spring_2027.v1-b"}) for key in KEYS),
    *(
        lead(f"utm {value!r}", UTM, utm={"utm_source": value})
        for value in [
            "",
            "a" * 81,
            "a b",
            "почта",
            "maria@example.com",
            "+79991234567",
            "79991234567",
            "a\n",
            1,
            True,
            None,
            ["a"],
            {"a": "b"},
        ]
    ),
    *(
        lead(f"utm key {key!r}", UTM, utm={key: "a"})
        for key in ["utm_id", "source", "UTM_SOURCE", "email", "", "page_path", "entry_point"]
    ),
    lead("one good, one not", UTM, utm={"utm_source": "a", "utm_term": "я"}),
    lead("of no topic", topic_id=None),
    lead("any first status", status="inactive"),
]


@breaks_rules_of(*LEADS)
def test_utm_of_a_lead_contains_no_personal_data() -> None:
    check_inserts(LEADS, ["sql"])
    check_inserts(first_cases_of_each_rule(LEADS), ["orm"])


@breaks(UTM)
def test_utm_is_an_object_or_null() -> None:
    row = LeadFactory()

    def check(json: str) -> None:
        with refuses(UTM, "leads"):
            execute("INSERT INTO leads (source, utm) VALUES ('quiz', %s::jsonb)", [json])
        with refuses(UTM, "leads"):
            execute("UPDATE leads SET utm = %s::jsonb WHERE id = %s", [json, row.pk])

    values = ["null", "[]", '"utm_source"', "1", '["utm_source"]', "true"]
    check_each([(json, json) for json in values], check)


def test_orm_stores_no_json_null_as_utm() -> None:
    with refuses(UTM, "leads"):
        Lead.objects.create(source="quiz", utm=Value(None, JSONField()))


@change_params(
    Change("free text", LeadFactory, {}, {"utm": {"utm_source": "от подруги"}}, UTM),
    Change("one more key", LeadFactory, {}, {"utm": {"utm_source": "a", "gclid": "b"}}, UTM),
    Change("forgotten", LeadFactory, {}, {"utm": None}),
    Change("back and forth", LeadFactory, {"status": "paid"}, {"status": "new"}),
)
def test_lead_changes_within_its_rules(change: Change, write_path: str) -> None:
    check_change(change, write_path)


TABLE = "lead_identities"
PRESENT = f"{TABLE}_identifier_present"
EMAIL, PHONE = f"{TABLE}_email_with_index", f"{TABLE}_phone_with_index"
DIGITS = f"{TABLE}_telegram_user_id_is_digits"
PRIMARY = f"{TABLE}_one_primary"
NO_EMAIL = {"email_encrypted": None, "email_bidx": None}
# Trait -> the column that identifies the person.
CONTACTS = {
    "registered": "user_id",
    "by_browser": "anonymous_id",
    "by_email": "email_bidx",
    "by_phone": "phone_bidx",
    "by_telegram": "telegram_user_id",
}
ONCE = {
    name: f"{TABLE}_{'user' if column == 'user_id' else column}_once_per_lead"
    for name, column in CONTACTS.items()
}


def identity(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, LeadIdentityFactory, values, rule)


def trait(name: str) -> dict[str, Any]:
    return {} if name == "by_email" else {name: True}


IDENTITIES = [
    identity("without an identifier", PRESENT, **NO_EMAIL),
    identity("without an identifier, primary", PRESENT, **NO_EMAIL, primary=True),
    *(identity(name, **trait(name)) for name in CONTACTS),
    identity(
        "by everything",
        by_telegram=True,
        email_encrypted=sealed,
        email_bidx=blind_index,
        phone_encrypted=sealed,
        phone_bidx=blind_index,
        anonymous_id="visitor-1",
        user=UserFactory.build,
    ),
    identity("an e-mail without an index", EMAIL, email_bidx=None),
    identity("an index without an e-mail", EMAIL, email_encrypted=None),
    identity("an index alone", EMAIL, email_encrypted=None, anonymous_id="visitor-1"),
    identity("a phone without an index", PHONE, by_phone=True, phone_bidx=None),
    identity("an index without a phone", PHONE, by_browser=True, phone_bidx=blind_index),
    identity("a phone's index beside an e-mail", PHONE, phone_bidx=blind_index),
    *(
        identity(f"Telegram {value!r}", DIGITS, by_telegram=True, telegram_user_id=value)
        for value in ["@maria", "12 34", "-1", "1.5", "123\n", " 123", "١٢٣", "1e5", "+1"]
    ),
    identity("Telegram with one digit", by_telegram=True, telegram_user_id="1"),
]


@breaks_rules_of(*IDENTITIES)
def test_identity_has_a_valid_identifier() -> None:
    check_inserts(IDENTITIES, ["sql"])
    check_inserts(first_cases_of_each_rule(IDENTITIES), ["orm"])


def test_empty_telegram_id_is_refused() -> None:
    lead = LeadFactory()
    with refuses(DIGITS, TABLE):
        execute(f"INSERT INTO {TABLE} (lead_id, telegram_user_id) VALUES (%s, '')", [lead.pk])


@pytest.mark.parametrize("route", ROUTES)
@breaks(*ONCE.values())
def test_lead_has_each_contact_once(route: str) -> None:
    def check(name: str) -> None:
        first = LeadIdentityFactory(**trait(name))
        column = CONTACTS[name]
        known = {**trait(name), column: getattr(first, column)}
        check_insert(identity("again", ONCE[name], lead=first.lead, **known), route)
        check_insert(identity("of another lead", **known), route)
        check_insert(identity("another contact", **trait(name), lead=first.lead), route)

    check_each([(name, name) for name in CONTACTS], check)


def test_null_contacts_are_distinct() -> None:
    """NULLs are distinct: a lead may have many contacts of other kinds."""
    lead = LeadFactory()
    for name in CONTACTS:
        for _ in range(2):
            LeadIdentityFactory(lead=lead, **trait(name))
    assert LeadIdentity.objects.filter(lead=lead).count() == 2 * len(CONTACTS)


PRIMARIES = [
    identity("the first", primary=True),
    identity(
        "a second", PRIMARY, primary=True, lead=lambda: LeadIdentityFactory(primary=True).lead
    ),
    identity(
        "of another lead",
        primary=True,
        lead=lambda: LeadIdentityFactory(primary=True) and LeadFactory(),
    ),
    identity("beside it", lead=lambda: LeadIdentityFactory(primary=True).lead),
]


@breaks_rules_of(*PRIMARIES)
def test_lead_has_one_primary_contact() -> None:
    check_inserts(PRIMARIES)


def beside_a_primary() -> LeadIdentity:
    return LeadIdentityFactory(lead=LeadIdentityFactory(primary=True).lead)


CHANGES = [
    Change(
        "moved to a lead that has one",
        LeadIdentityFactory,
        {"primary": True},
        {"lead_id": lambda row: LeadIdentityFactory(primary=True).lead_id},
        PRIMARY,
    ),
    Change("its index lost", LeadIdentityFactory, {}, {"email_bidx": None}, EMAIL),
    Change("its only contact lost", LeadIdentityFactory, {}, NO_EMAIL, PRESENT),
    Change(
        "its last contact lost",
        LeadIdentityFactory,
        {"by_browser": True},
        {"anonymous_id": None},
        PRESENT,
    ),
    Change(
        "another contact instead",
        LeadIdentityFactory,
        {},
        {**NO_EMAIL, "anonymous_id": "visitor-1"},
    ),
]


@change_params(
    Change("made a second primary", beside_a_primary, {}, {"is_primary": True}, PRIMARY),
    write_paths=UPDATES,
)
def test_no_write_path_makes_a_second_primary_contact(change: Change, write_path: str) -> None:
    check_change(change, write_path)


@breaks_rules_of(*CHANGES)
def test_identity_changes_within_its_rules() -> None:
    check_changes(CHANGES)


def test_primary_contact_changes_in_two_statements_only() -> None:
    """One statement cannot do it, because a unique index is checked row by row."""
    first = LeadIdentityFactory(primary=True)
    second = LeadIdentityFactory(lead=first.lead)
    with refuses(PRIMARY, TABLE):
        execute(f"UPDATE {TABLE} SET is_primary = true")
    execute(f"UPDATE {TABLE} SET is_primary = false WHERE id = %s", [first.pk])
    execute(f"UPDATE {TABLE} SET is_primary = true WHERE id = %s", [second.pk])


def test_contacts_and_notes_are_deleted_with_their_lead() -> None:
    row = LeadIdentityFactory().lead
    LeadNoteFactory(lead=row)
    delete_sql(row)
    assert not LeadIdentity.objects.exists()
    assert not LeadNote.objects.exists()


def test_account_with_a_lead_is_not_deleted() -> None:
    row = LeadIdentityFactory(registered=True)
    with refuses_by_any_rule():
        delete_sql(row.user)
