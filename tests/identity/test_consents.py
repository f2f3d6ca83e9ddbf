"""Consents are evidence: one active per subject and purpose, withdrawn once, never rewritten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ebalance.db.ids import uuid7
from identity.models import Consent
from tests.adversarial_sql import each_stealthy_delete, refuses_by_any_rule, update_through_a_view
from tests.case_loops import breaks_rules_of, check_changes, check_each, check_inserts
from tests.factories import ConsentFactory, LeadFactory, UserFactory
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    DELETES,
    Change,
    check_delete,
    check_refusal_is_discreet,
)
from tests.support import (
    Case,
    breaks,
    delete_sql,
    execute,
    refuses,
    update_sql,
)

pytestmark = pytest.mark.django_db

EVIDENCE, ONCE = "consents_are_evidence", "consents_revoked_once"
DATED, AFTER = "consents_version_is_dated", "consents_revoked_after_granted"
OF_USER, OF_LEAD = "consents_one_active_per_user", "consents_one_active_per_lead"
NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
GIVEN_AT_NOON = {"granted_at": NOON}
REVOKED = {"granted_at": NOON, "revoked_at": NOON + timedelta(days=1)}


WITH_SUBJECT = [
    Case("person", ConsentFactory),
    Case("lead", ConsentFactory, {"of_lead": True}),
    Case("both", ConsentFactory, {"lead": LeadFactory}),
    Case("nobody", ConsentFactory, {"user": None}, "consents_subject_present"),
    Case(
        "nobody refused",
        ConsentFactory,
        {"user": None, "granted": False},
        "consents_subject_present",
    ),
]


@breaks_rules_of(*WITH_SUBJECT)
def test_consent_has_a_subject() -> None:
    check_inserts(WITH_SUBJECT)


def versions(rule: str | None, *values: str) -> list[Case]:
    return [Case(repr(value), ConsentFactory, {"version": value}, rule) for value in values]


VERSIONS = [
    *versions(None, "2026-01-07", "2026-01-07.2", "2026-01-07.10", "1999-12-31.0"),
    *versions(DATED, "v1", "2026-1-7", "07-01-2026", "2026-01-07.", "2026-01-07.1.2"),
    *versions(DATED, " 2026-01-07", "2026-01-07\n", "2026-01-07 ", "2026-01-07.a", "２026-01-07"),
]


@breaks_rules_of(*VERSIONS)
def test_version_is_the_date_of_a_text() -> None:
    check_inserts(VERSIONS)


def test_empty_version_is_refused() -> None:
    with refuses(DATED, "consents"):
        ConsentFactory(version="")


WITHDRAWN = [
    Case("at once", ConsentFactory, {**GIVEN_AT_NOON, "revoked_at": NOON}),
    Case("before", ConsentFactory, {**GIVEN_AT_NOON, "revoked_at": NOON - INSTANT}, AFTER),
    Case(
        "refusal",
        ConsentFactory,
        {**REVOKED, "granted": False},
        "consents_refusal_is_not_revoked",
    ),
    Case("refusal as it is", ConsentFactory, {"refused": True}),
]


@breaks_rules_of(*WITHDRAWN)
def test_consent_is_withdrawn_after_it_was_given() -> None:
    check_inserts(WITHDRAWN)


def user_with(**consent: Any) -> Any:
    return lambda: ConsentFactory(**consent).user


def lead_with(**consent: Any) -> Any:
    return lambda: ConsentFactory(**consent).lead


AT_A_TIME = [
    Case("again", ConsentFactory, {"user": user_with()}, OF_USER),
    Case(
        "again of a lead", ConsentFactory, {"user": None, "lead": lead_with(of_lead=True)}, OF_LEAD
    ),
    Case(
        "user's, now with a lead",
        ConsentFactory,
        {"user": user_with(), "lead": LeadFactory},
        OF_USER,
    ),
    Case("lead's, now with a user", ConsentFactory, {"lead": lead_with(of_lead=True)}, OF_LEAD),
    Case(
        "both had, now the user",
        ConsentFactory,
        {"user": lambda: ConsentFactory(lead=LeadFactory()).user},
        OF_USER,
    ),
    Case(
        "another version of the text",
        ConsentFactory,
        {"user": user_with(version="2025-01-01"), "version": "2026-01-07"},
        OF_USER,
    ),
    Case("another purpose", ConsentFactory, {"user": user_with(consent_type="telegram")}),
    Case("another person", ConsentFactory, {"user": lambda: ConsentFactory() and UserFactory()}),
    Case("after a withdrawal", ConsentFactory, {"user": user_with(revoked=True)}),
    Case("after a refusal", ConsentFactory, {"user": user_with(refused=True)}),
    Case("a refusal beside it", ConsentFactory, {"user": user_with(), "refused": True}),
    Case("two refusals", ConsentFactory, {"user": user_with(refused=True), "refused": True}),
    Case("two withdrawn", ConsentFactory, {"user": user_with(revoked=True), "revoked": True}),
    Case(
        "a lead's after a withdrawal",
        ConsentFactory,
        {"user": None, "lead": lead_with(of_lead=True, revoked=True)},
    ),
]


@breaks_rules_of(*AT_A_TIME)
def test_purpose_has_one_active_consent() -> None:
    check_inserts(AT_A_TIME)


# Each column in a second valid value.
REWRITTEN: dict[str, Any] = {
    "user_id": lambda _: UserFactory().pk,
    "lead_id": lambda _: LeadFactory().pk,
    "consent_type": "telegram",
    "granted": False,
    "version": "2026-02-01",
    "source": "admin",
    "granted_at": NOON - timedelta(days=1),
}


def test_every_column_but_the_withdrawal_is_tried() -> None:
    columns = {f.column for f in Consent._meta.concrete_fields}
    assert columns == {*REWRITTEN, "id", "revoked_at"}


REWRITES = [
    *[
        Change(f"{column} of {state}", ConsentFactory, row, {column: value}, EVIDENCE)
        for column, value in REWRITTEN.items()
        for state, row in [("an active one", GIVEN_AT_NOON), ("a withdrawn one", REVOKED)]
    ],
    Change("the person goes", ConsentFactory, {"lead": LeadFactory}, {"user_id": None}, EVIDENCE),
    Change("granted later", ConsentFactory, {"refused": True}, {"granted": True}, EVIDENCE),
    Change(
        "under cover of the withdrawal",
        ConsentFactory,
        GIVEN_AT_NOON,
        {"revoked_at": NOON, "version": "2026-02-01"},
        EVIDENCE,
    ),
]


@breaks_rules_of(*REWRITES)
def test_consent_is_never_rewritten() -> None:
    check_changes(REWRITES)


WITHDRAWALS = [
    Change("version", ConsentFactory, GIVEN_AT_NOON, {"version": "2026-02-01"}, EVIDENCE),
    Change("withdrawn", ConsentFactory, GIVEN_AT_NOON, {"revoked_at": NOON + INSTANT}),
    Change("withdrawn at once", ConsentFactory, GIVEN_AT_NOON, {"revoked_at": NOON}),
    Change(
        "withdrawn before", ConsentFactory, GIVEN_AT_NOON, {"revoked_at": NOON - INSTANT}, AFTER
    ),
    Change("withdrawn twice", ConsentFactory, REVOKED, {"revoked_at": NOON}, ONCE),
    Change("taken back", ConsentFactory, REVOKED, {"revoked_at": None}, ONCE),
    Change("written the same", ConsentFactory, REVOKED, {"revoked_at": REVOKED["revoked_at"]}),
    Change(
        "refusal withdrawn",
        ConsentFactory,
        {**GIVEN_AT_NOON, "refused": True},
        {"revoked_at": NOON},
        "consents_refusal_is_not_revoked",
    ),
]


@breaks_rules_of(*WITHDRAWALS)
def test_only_the_withdrawal_changes_and_only_once() -> None:
    check_changes(WITHDRAWALS)
    # One of each rule and one that is accepted.
    check_changes([WITHDRAWALS[i] for i in (0, 1, 3, 4, 7)], ALL_WRITE_PATHS)


def test_withdrawal_is_not_reverted_in_two_steps() -> None:
    consent = ConsentFactory(**REVOKED)
    with refuses(ONCE, "consents"):
        update_sql(consent, granted=True, revoked_at=None)
    with refuses("consents_id_stays", "consents"):
        execute("UPDATE consents SET id = %s", [uuid7()])
    with refuses(ONCE, "consents"):
        update_through_a_view(consent, "revoked_at", None)


@breaks("consents_no_delete")
@pytest.mark.parametrize("row", [{}, {"revoked": True}, {"refused": True}], ids=str)
def test_consent_is_never_deleted(row: dict[str, Any]) -> None:
    consent = ConsentFactory(**row)
    check_each(DELETES.items(), lambda delete: check_delete(consent, delete, "consents_no_delete"))


@each_stealthy_delete
def test_consent_is_not_deleted_indirectly(delete: Any) -> None:
    consent = ConsentFactory()
    with refuses("consents_no_delete", "consents"):
        delete(consent)


def test_no_setting_disables_the_evidence_triggers() -> None:
    """django-pgtrigger can ignore its own triggers for a while; these are not among them."""
    consent = ConsentFactory()
    ignored = "{consents:consents_are_evidence,consents:consents_no_delete}"
    execute(f"SET LOCAL pgtrigger.ignore = '{ignored}'")
    with refuses("consents_no_delete", "consents"):
        delete_sql(consent)
    with refuses(EVIDENCE, "consents"):
        update_sql(consent, source="admin")


@breaks("consents_no_truncate")
@pytest.mark.parametrize("tables", ["consents", "consents, lead_identities"])
def test_consents_are_not_truncated(tables: str) -> None:
    ConsentFactory()
    with refuses("consents_no_truncate", "consents"):
        execute(f"TRUNCATE {tables}")
    assert Consent.objects.count() == 1


@pytest.mark.parametrize("parent", ["users", "leads"])
def test_truncating_a_parent_does_not_truncate_consents(parent: str) -> None:
    ConsentFactory(lead=LeadFactory())
    with refuses_by_any_rule():
        execute(f"TRUNCATE {parent} CASCADE")
    assert Consent.objects.count() == 1


def test_a_new_agreement_follows_a_withdrawal() -> None:
    first = ConsentFactory(**GIVEN_AT_NOON)
    update_sql(first, revoked_at=NOON + INSTANT)
    ConsentFactory(user=first.user, version="2026-02-01")
    with refuses(OF_USER, "consents"):
        ConsentFactory(user=first.user)


def test_two_rows_of_one_statement_are_not_both_active() -> None:
    user = UserFactory()
    with refuses(OF_USER, "consents"):
        execute(
            "INSERT INTO consents (user_id, consent_type, version, source) "
            "SELECT %s, 'telegram', version, 'web' FROM unnest(%s::text[]) AS version",
            [user.pk, ["2026-01-07", "2026-01-08"]],
        )


def test_new_consent_is_granted_now_by_default() -> None:
    user = UserFactory()
    execute(
        "INSERT INTO consents (user_id, consent_type, version, source) "
        "VALUES (%s, 'telegram', '2026-01-07', 'web')",
        [user.pk],
    )
    (row,) = execute("SELECT granted, revoked_at, granted_at = now() AS is_now FROM consents")
    assert row == {"granted": True, "revoked_at": None, "is_now": True}


def test_refusal_reveals_nothing_of_the_consent() -> None:
    consent = ConsentFactory(
        **REVOKED, version="2026-03-03", user=UserFactory(display_name="Marker")
    )
    ids = [str(consent.pk), str(consent.user_id), "2026-03-03", "Marker"]
    for write, rule, column in [
        (lambda: update_sql(consent, source="admin"), EVIDENCE, "user_id"),
        (lambda: update_sql(consent, revoked_at=None), ONCE, "revoked_at"),
        (lambda: delete_sql(consent), "consents_no_delete", "id"),
        (lambda: execute("TRUNCATE consents"), "consents_no_truncate", "id"),
    ]:
        check_refusal_is_discreet(write, rule, "consents", column, *ids)
