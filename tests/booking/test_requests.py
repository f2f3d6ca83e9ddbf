"""Intake forms and waitlist requests: both are sealed, and a submitted form does not change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from booking.models import IntakeForm
from tests.factories import (
    AppointmentFactory,
    IntakeFormFactory,
    LeadFactory,
    WaitlistRequestFactory,
    sealed,
)
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    Change,
    check_refusal_is_discreet,
)
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
    loop_over,
)
from tests.support import Case, delete_sql, execute, update_sql

pytestmark = pytest.mark.django_db

ONE = "intake_forms_one_per_appointment"
WHEN = "intake_forms_submitted_at_with_status"
STAYS = "intake_forms_submitted_stays"


def form(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, IntakeFormFactory, values, rule)


def waiting(name: str, **values: Any) -> Case:
    return Case(name, WaitlistRequestFactory, values)


@case_groups(
    form("a draft"),
    form("submitted at once", submitted=True),
    form("submitted without a time", WHEN, status="submitted"),
    form("a draft with a time", WHEN, submitted_at=timezone.now),
    form("a second one", ONE, appointment=lambda: IntakeFormFactory().appointment),
    form(
        "a second one after a submitted one",
        ONE,
        appointment=lambda: IntakeFormFactory(submitted=True).appointment,
    ),
)
def test_appointment_has_one_form(group: CaseGroup) -> None:
    check_case_group(group)


@case_groups(
    waiting("of a client"),
    waiting("of a lead", user=None, lead=LeadFactory.build),
    waiting("with a contact only", user=None),
    waiting("at any time", preferred_time_window=None),
)
def test_waitlist_request_needs_neither_client_nor_lead(group: CaseGroup) -> None:
    check_case_group(group)


def waitlist(trait: str, name: str, rule: str, /, **to: Any) -> Change:
    return Change(f"{trait}: {name}", WaitlistRequestFactory, {trait: True}, to, rule)


CLOSED_AT = "waitlist_requests_closed_at_with_status"
LATER = timezone.now() + timedelta(days=1)


@change_groups(
    waitlist("contacted", "closed without a time", CLOSED_AT, status="closed"),
    waitlist("contacted", "a closing time of an open one", CLOSED_AT, closed_at=LATER),
    waitlist("closed", "another closing time", "waitlist_requests_closing_stays", closed_at=LATER),
)
def test_closed_request_keeps_its_closing_time(group: ChangeGroup) -> None:
    check_change_group(group)


def change(name: str, rule: str | None = None, /, draft: bool = False, **to: Any) -> Change:
    return Change(name, IntakeFormFactory, {"submitted": not draft}, to, rule)


SUBMITTED = {"status": "submitted", "submitted_at": lambda row: timezone.now()}


@change_groups(
    change("other answers", STAYS, payload_encrypted=lambda row: sealed()),
    change("another session", STAYS, appointment_id=lambda row: AppointmentFactory().pk),
    change("another time of submission", STAYS, submitted_at=lambda row: timezone.now()),
    change("another time of writing", STAYS, created_at=lambda row: timezone.now()),
    change("no time of submission", STAYS, submitted_at=None),
    write_paths=ALL_WRITE_PATHS,
)
def test_submitted_form_does_not_change(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    change("answers", draft=True, payload_encrypted=lambda row: sealed()),
    change("another session", draft=True, appointment_id=lambda row: AppointmentFactory().pk),
    change(
        "submitted with other answers",
        draft=True,
        payload_encrypted=lambda row: sealed(),
        **SUBMITTED,
    ),
    change("submitted without a time", WHEN, draft=True, status="submitted"),
    change(
        "the session of another form",
        ONE,
        draft=True,
        appointment_id=lambda row: IntakeFormFactory().appointment_id,
    ),
    change(
        "back to a draft, with other answers",
        "intake_forms_status_transition",
        status="draft",
        submitted_at=None,
        payload_encrypted=lambda row: sealed(),
    ),
)
def test_draft_changes_until_it_is_submitted(group: ChangeGroup) -> None:
    check_change_group(group)


@loop_over("traits", [{}, {"submitted": True}], ids=["draft", "submitted"])
def test_form_may_be_deleted(traits: dict[str, Any]) -> None:
    delete_sql(IntakeFormFactory(**traits))
    assert not IntakeForm.objects.exists()


def test_form_is_deleted_with_its_appointment() -> None:
    row = IntakeFormFactory(submitted=True)
    delete_sql(row.appointment)
    assert not IntakeForm.objects.exists()


@loop_over("plain", ["Мне тревожно", '{"sleep": "bad"}', "", "v1.k1.Мне тревожно"], ids=str)
def test_plain_answers_do_not_replace_sealed_ones(plain: str) -> None:
    row = IntakeFormFactory()
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        execute("UPDATE intake_forms SET payload_encrypted = %s WHERE id = %s", [plain, row.pk])
    assert caught.value.__cause__.diag.constraint_name == "intake_forms_payload_encrypted_is_sealed"


def test_refusal_reveals_nothing_of_the_answers() -> None:
    row, answers = IntakeFormFactory(submitted=True), sealed()
    check_refusal_is_discreet(
        lambda: update_sql(row, payload_encrypted=answers),
        STAYS,
        "intake_forms",
        "appointment_id",
        answers,
        row.payload_encrypted.text,
        str(row.pk),
    )
