"""Intake forms. Their answers are sealed."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from audit.services import publish_event
from ebalance.db.encryption import payloads
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.db.encryption.payloads import PayloadInvalid
from ebalance.services import (
    Clock,
    RowOrKey,
    get_or_refuse,
    lock_or_refuse,
    lock_rows,
    refresh,
    transactional,
)

from ..errors import AnswersInvalid, IntakeClosed
from ..models import Appointment, IntakeForm
from ..models.times import BLOCKING
from .chains import Chain
from .events import track_appointment


@transactional
def save_intake_draft(
    appointment: RowOrKey[Appointment], *, payload: Plaintext, clock: Clock = timezone.now
) -> IntakeForm:
    """Replace the answers of the session's form by ``payload``. A draft may leave answers out.

    A session has one form, which it keeps when it is moved. The same answers again change nothing.

    Raises IntakeClosed once the form is submitted or the session over, AnswersInvalid, NotFound;
    UnsealedValue for answers that are not Plaintext.
    """
    chain = Chain.lock(appointment)
    row = chain.last
    forms = lock_rows(IntakeForm.objects.filter(appointment__in=[row.pk for row in chain]))
    form = forms[0] if forms else None
    if form is not None and form.payload_encrypted.open() == check_plaintext(payload).reveal():
        return form
    if form is not None and form.status != "draft":
        raise IntakeClosed(entity="intake_forms", id=form.pk, status=form.status)
    check_session_open(row)
    if form is None:
        form = IntakeForm(appointment=row)
        seal_answers(form, payload)
        form.save(force_insert=True)
        publish_event("intake_started", form, appointment_id=row.pk, service_id=row.service_id)
        track_appointment("intake_started", row, clock=clock)
    else:
        seal_answers(form, payload)
        form.save(update_fields=["payload_encrypted"])
    return form


@transactional
def submit_intake_form(form: RowOrKey[IntakeForm], *, clock: Clock = timezone.now) -> IntakeForm:
    """From draft to submitted, with all required answers. Repeatable.

    Raises AnswersInvalid, IntakeClosed once the session is over, NotFound.
    """
    chain = Chain.lock(get_or_refuse(IntakeForm.objects.all(), form).appointment_id)
    row = lock_or_refuse(IntakeForm.objects.all(), form)
    if row.status == "draft":
        _submit_draft(row, chain.last, clock=clock)
    return refresh(form, row)


def _submit_draft(form: IntakeForm, appointment: Appointment, *, clock: Clock) -> None:
    check_session_open(appointment)
    answers = Plaintext(form.payload_encrypted.open())
    form.status, form.submitted_at = "submitted", clock()
    seal_answers(form, answers)  # the schema of a submitted form requires all answers
    form.save(update_fields=["status", "submitted_at", "payload_encrypted"])
    publish_event(
        "intake_submitted",
        form,
        appointment_id=appointment.pk,
        service_id=appointment.service_id,
    )
    track_appointment(
        "intake_submitted", appointment, has_text_fields=has_text(answers), clock=clock
    )


def check_session_open(appointment: Appointment) -> None:
    """Raises IntakeClosed."""
    if appointment.status not in BLOCKING:
        raise IntakeClosed(entity="appointments", id=appointment.pk, status=appointment.status)


def check_plaintext(payload: Plaintext) -> Plaintext:
    """Raises UnsealedValue."""
    if not isinstance(payload, Plaintext):
        del payload
        raise UnsealedValue("payload takes Plaintext.")
    return payload


def seal_answers(form: IntakeForm, answers: Plaintext) -> None:
    """Seal the answers into the form, which checks them by its schema.

    Raises AnswersInvalid, which holds no part of the answers.
    """
    try:
        form.payload_encrypted = check_plaintext(answers)
    except PayloadInvalid as error:
        offence = {"rule": error.rule, "place": error.path}
    else:
        return
    raise AnswersInvalid(field="payload", **offence)


def has_text(answers: Plaintext) -> bool:
    """Whether an answer is a text of the client, not a choice from a list of the schema."""
    payload = answers.reveal()
    return _has_text(payload, payloads.schema_for("intake", payload["version"]))


def _has_text(value: Any, schema: dict[str, Any]) -> bool:
    if isinstance(value, dict):
        declared = schema.get("properties", {})
        return any(_has_text(child, declared.get(name, {})) for name, child in value.items())
    return isinstance(value, str) and "enum" not in schema and bool(value.strip())
