"""The verbs of what clients send in: waitlist requests and intake forms, both sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.utils.timezone import now as wall_clock

from audit.services import publish_event
from content.models.publication import must_be_allowed
from crm.models import Lead
from crm.services import record_event
from ebalance.db import contacts
from ebalance.db.encryption import payloads
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.db.encryption.payloads import PayloadInvalid
from ebalance.db.ids import uuid7
from ebalance.db.querysets import EntityQuerySet
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    RowOrKey,
    TransitionRefused,
    get_or_refuse,
    key_of,
    lock_or_refuse,
    transactional,
)
from ebalance.services import uuid_or_none as uuid_of
from identity.models import User

from ..errors import AnswersInvalid, IntakeClosed, ServiceUnavailable
from ..models.services import Service
from ..models.times import BLOCKING
from .announcements import track
from .appointments import available_client, check_origin, is_key
from .chains import Chain

if TYPE_CHECKING:
    from ..models import Appointment, IntakeForm, WaitlistRequest


class WaitlistSubmission(EntityQuerySet):
    @transactional
    def submit(
        self,
        *,
        service: RowOrKey[Service],
        preferred_contact: str,
        contact: Plaintext,
        preferred_time_window: str | None = None,
        user: RowOrKey[User] | None = None,
        lead: RowOrKey[Lead] | None = None,
        anonymous_id: str | None = None,
        deep_link_id: str | None = None,
        entry_point: str | None = None,
        id: UUID | str | None = None,
        clock: Clock = wall_clock,
    ) -> WaitlistRequest:
        """Put somebody on the waitlist of a published service.

        ``contact`` is one of the kind ``preferred_contact``, in any spelling. The same ``id`` again
        returns the first request. The person becomes a lead, whose request this then is.

        Raises ServiceUnavailable, ClientUnavailable, IdempotencyConflict, InvalidInput, NotFound;
        UnsealedValue for a contact that is not Plaintext.
        """
        row = self.model(
            pk=request_id(id),
            service_id=key_of(service),
            user_id=key_of(user),
            lead_id=key_of(lead),
            preferred_contact=one_of(preferred_contact, "preferred_contact", self.model),
            preferred_time_window=None
            if preferred_time_window is None
            else one_of(preferred_time_window, "preferred_time_window", self.model),
        )
        check_contact(row.preferred_contact, contact)
        earlier = self.filter(pk=row.pk).first()
        if earlier is not None:
            return same_request(earlier, row, contact)
        check_origin(deep_link_id, entry_point)
        offered = get_or_refuse(Service.objects.all(), service)
        if offered.status != "published":
            raise ServiceUnavailable(service=offered.pk)
        row.service = offered
        row.user = None if user is None else available_client(user)
        row.lead = None if lead is None else get_or_refuse(Lead.objects.all(), lead)
        row.contact_value_encrypted = contact
        self.bulk_create([row], ignore_conflicts=True)
        placed = self.get(pk=row.pk)
        if placed.contact_value_encrypted != row.contact_value_encrypted:
            return same_request(placed, row, contact)
        if placed.user_id is not None:
            # Again: the INSERT has waited for whoever was deleting this person.
            available_client(placed.user_id)
        publish_event("waitlist_submitted", placed, **placed.said(), service_id=placed.service_id)
        known_as = record_event(
            "waitlist_submitted",
            lead=placed.lead_id,
            user=placed.user_id,
            anonymous_id=anonymous_id,
            contact={placed.preferred_contact: contact},
            properties={**placed.said(), "service_id": placed.service_id},
            acquisition={"entry_point": entry_point} if entry_point else {},
            deep_link_id=deep_link_id,
            topic=offered.topic_id,
            clock=clock,
        )
        if placed.lead_id is None and known_as is not None:
            placed.lead = known_as
            placed.save(update_fields=["lead"])
        return placed


class WaitlistVerbs:
    """Each reads the row again under its lock, and brings ``self`` up to date. ``actor`` None is
    the system.
    """

    @transactional
    def mark_contacted(self, *, actor: User | None = None) -> Self:
        """From new to contacted; repeatable. Raises TransitionRefused, NotPermitted, NotFound."""
        return self._moved(("new",), "contacted", actor)

    @transactional
    def close(self, *, actor: User | None = None) -> Self:
        """To closed; repeatable. Raises NotPermitted, NotFound."""
        return self._moved(("new", "contacted"), "closed", actor)

    def said(self) -> dict[str, Any]:
        """What events tell of the request; P0."""
        return {
            "preferred_contact": self.preferred_contact,
            "preferred_time_window": self.preferred_time_window,
        }

    def _moved(self, before: tuple[str, ...], after: str, actor: User | None) -> Self:
        must_be_allowed(actor, type(self))
        row = lock_or_refuse(type(self).objects.defer("contact_value_encrypted"), self.pk)
        if row.status in before:
            row.status = after
            row.save(update_fields=["status"])
            publish_event(f"waitlist_{after}", row, service_id=row.service_id)
        elif row.status != after:
            raise TransitionRefused(
                entity="waitlist_requests", id=row.pk, status=row.status, wanted=after
            )
        self.refresh_from_db()
        return self


class IntakeFormQuerySet(EntityQuerySet):
    @transactional
    def save_draft(
        self,
        *,
        appointment: RowOrKey[Appointment],
        payload: Plaintext,
        clock: Clock = wall_clock,
    ) -> IntakeForm:
        """Keep the answers given so far; all of them, they replace the ones before.

        A session has one form, also when it is moved. A draft may leave answers out. The same
        answers again change nothing.

        Raises IntakeClosed once the form is submitted or the session over, AnswersInvalid,
        NotFound; UnsealedValue for answers that are not Plaintext.
        """
        chain, row = open_session(appointment)
        form = next(iter(self._of(chain)), None)
        if form is not None and form.payload_encrypted.open() == payload_of(payload).reveal():
            return form
        if form is not None and form.status != "draft":
            raise IntakeClosed(entity="intake_forms", id=form.pk, status=form.status)
        if row.status not in BLOCKING:
            raise IntakeClosed(entity="appointments", id=row.pk, status=row.status)
        if form is None:
            form = self.model(appointment=row)
            answer(form, payload)
            form.save(force_insert=True)
            publish_event("intake_started", form, appointment_id=row.pk, service_id=row.service_id)
            track("intake_started", row, clock=clock)
        else:
            answer(form, payload)
            form.save(update_fields=["payload_encrypted"])
        return form

    def _of(self, chain: Chain) -> EntityQuerySet:
        forms = self.filter(appointment__in=[row.pk for row in chain])
        return forms.order_by("pk").select_for_update(no_key=True, of=("self",))


class IntakeVerbs:
    @transactional
    def submit(self, *, clock: Clock = wall_clock) -> Self:
        """From draft to submitted, with all that is asked for; then it stays. Repeatable.

        Raises AnswersInvalid, IntakeClosed once the session is over, NotFound.
        """
        forms = type(self).objects.all()
        chain, _row = open_session(get_or_refuse(forms, self.pk).appointment_id)
        form = lock_or_refuse(forms, self.pk)
        if form.status == "draft":
            form.send(chain, clock=clock)
        self.refresh_from_db()
        return self

    def send(self, chain: Chain, *, clock: Clock) -> None:
        """Submit this locked draft of a session."""
        row = chain.last
        if row.status not in BLOCKING:
            raise IntakeClosed(entity="appointments", id=row.pk, status=row.status)
        answers = Plaintext(self.payload_encrypted.open())
        self.status, self.submitted_at = "submitted", clock()
        answer(self, answers)  # checked in full, now that it is no draft
        self.save(update_fields=["status", "submitted_at", "payload_encrypted"])
        publish_event("intake_submitted", self, appointment_id=row.pk, service_id=row.service_id)
        track("intake_submitted", row, has_text_fields=has_text(answers), clock=clock)


# -- waitlist ---------------------------------------------------------------------------------


def request_id(given: UUID | str | None) -> UUID:
    if given is None:
        return uuid7()
    key = uuid_of(given)
    if key is None:
        raise InvalidInput(field="id")
    return key


def one_of(value: object, field: str, model: type[WaitlistRequest]) -> str:
    """``value``, one of the closed set of ``field``. Raises InvalidInput."""
    if not isinstance(value, str) or value not in model._meta.get_field(field).members.values:
        raise InvalidInput(field=field)
    return str(value)


def check_contact(channel: str, contact: Plaintext) -> None:
    """Raises InvalidInput for what is no contact of this kind; nothing of it is in there."""
    if not isinstance(contact, Plaintext):
        del contact
        raise UnsealedValue("contact takes Plaintext.")
    if normalised(channel, contact) is None:
        raise InvalidInput(field="contact")


def normalised(channel: str, contact: Plaintext) -> Plaintext | None:
    try:
        return Plaintext(contacts.normalise(channel, contact.reveal()))
    except contacts.ContactInvalid:
        return None


def same_request(
    earlier: WaitlistRequest, again: WaitlistRequest, contact: Plaintext
) -> WaitlistRequest:
    """The first of two requests with one id. Raises IdempotencyConflict.

    The lead is compared if one is given: the first request may have got its lead later.
    """
    channel = earlier.preferred_contact
    if not (
        is_key(again.service_id, earlier.service_id)
        and is_key(again.user_id, earlier.user_id)
        and (again.lead_id is None or is_key(again.lead_id, earlier.lead_id))
        and earlier.said() == again.said()
        and is_same(
            normalised(channel, contact),
            normalised(channel, Plaintext(earlier.contact_value_encrypted.open())),
        )
    ):
        raise IdempotencyConflict(entity="waitlist_requests", id=earlier.pk)
    return earlier


def is_same(one: Plaintext | None, other: Plaintext | None) -> bool:
    return one is not None and other is not None and one.reveal() == other.reveal()


# -- intake -----------------------------------------------------------------------------------


def open_session(appointment: RowOrKey[Appointment]) -> tuple[Chain, Appointment]:
    """The chain of an appointment, locked, and its last row. Raises NotFound."""
    from ..models import Appointment

    rows = Appointment.objects.all()
    chain = Chain.locked(rows, get_or_refuse(rows, appointment).pk)
    return chain, chain.last


def payload_of(payload: Plaintext) -> Plaintext:
    if not isinstance(payload, Plaintext):
        del payload
        raise UnsealedValue("payload takes Plaintext.")
    return payload


def answer(form: IntakeForm, answers: Plaintext) -> None:
    """Seal the answers into the form, checked by its schema. Raises AnswersInvalid, which holds
    nothing of them.
    """
    try:
        form.payload_encrypted = payload_of(answers)
    except PayloadInvalid as error:
        offence = {"rule": error.rule, "place": error.place}
    else:
        return
    raise AnswersInvalid(field="payload", **offence)


def has_text(answers: Plaintext) -> bool:
    """Whether something was written, not only chosen: texts are what has no list of answers."""
    payload = answers.reveal()
    return _has_text(payload, payloads.schema_for("intake", payload["version"]))


def _has_text(value: Any, schema: dict[str, Any]) -> bool:
    if isinstance(value, dict):
        declared = schema.get("properties", {})
        return any(_has_text(child, declared.get(name, {})) for name, child in value.items())
    return isinstance(value, str) and "enum" not in schema and bool(value.strip())
