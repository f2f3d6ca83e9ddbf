"""Hands due messages to a sender, once each (docs/write-paths.md, "Messages").

A claim is a short transaction: rows that another one has locked are passed over, so a claim waits
for nobody. No lock outlives it, so it works through a transaction pooler. A claim that ran
out ends its message: it may have been sent. Consent, contact and session are asked at the claim,
under locks of person and session. So no message is claimed after a withdrawal or a cancellation
was committed. One that was claimed before may still arrive.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, models, transaction
from django.db.models import F, Q
from django.utils import timezone, translation

from audit.models import MessageTemplate, MessageTemplateVersion
from audit.services.claims import back_off
from audit.services.relay import is_code
from crm.models import Lead
from ebalance.db import lengths
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.encryption.values import Sealed
from ebalance.db.times import read_fact_clock
from ebalance.failures import reason_of
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    RowOrKey,
    TransitionRefused,
    get_or_refuse,
    lock_or_refuse,
    lock_rows,
    may_contact,
    parse_bool,
    parse_external_id,
    parse_optional_choice,
    refresh,
    storable_arguments,
    to_utc,
    transactional,
)
from identity.models import User

from ..errors import ClaimLost
from ..models import Appointment, MessageDelivery
from ..models.messages import OUTCOME_UNKNOWN
from .messages import REMINDERS, Kind, find_contact

logger = logging.getLogger(__name__)

MAX_LIMIT = 100  # messages of one claim: it locks their sessions and people meanwhile
LEASES = (1.0, 3_600.0)  # seconds
ROUNDS = 10  # of one claim: rows that are not sent do not use up the limit
MAX_ATTEMPTS = 20  # the last one is five to nine hours after the first
ABOUT_COMING = {Kind.BOOKING_CONFIRMATION, Kind.RESCHEDULED, *REMINDERS}
LANGUAGE = "ru"  # of the texts: nothing records another language of a person
CATEGORIES = {Kind.WAITLIST_OFFER: "waitlist", Kind.ANSWER_READY: "moderation"}


@dataclass(frozen=True)
class ClaimedMessage:
    """A message to send now. ``facts`` are P0; ``template`` is None if none is in use."""

    delivery: MessageDelivery
    contact: Plaintext | Sealed = field(repr=False)
    template: MessageTemplateVersion | None
    facts: Mapping[str, Any]

    def open_contact(self) -> str:
        """The address. Raises SealingError if the key of the contact is lost."""
        return self.contact.open() if isinstance(self.contact, Sealed) else self.contact.reveal()


@storable_arguments
def claim_due_messages(
    limit: int = 50,
    *,
    channel: str | None = None,
    lease_seconds: float = 300.0,
    clock: Clock = timezone.now,
) -> list[ClaimedMessage]:
    """Claim at most ``limit`` due messages, of ``channel`` or of all, the oldest first.

    The caller sends each before ``lease_seconds`` are over, and reports by ``mark_sent`` or
    ``mark_failed``. A message whose session is over, canceled or moved becomes ``canceled``; one
    without consent or contact, or of an erased person, ``suppressed``. Claims that ran out end.

    Commits before it returns: a caller's transaction could roll a claim back after the message was
    sent. Raises RuntimeError inside one, InvalidInput.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(field="limit")
    if isinstance(lease_seconds, bool) or not isinstance(lease_seconds, int | float):
        raise InvalidInput(field="lease_seconds")
    if not LEASES[0] <= lease_seconds <= LEASES[1]:
        raise InvalidInput(field="lease_seconds")
    rows = MessageDelivery.objects.filter(status="scheduled")
    if parse_optional_choice(channel, MessageTemplate.Channel, "channel") is not None:
        rows = rows.filter(channel=channel)
    with transaction.atomic(durable=True):
        _end_lost_claims(to_utc(clock(), "clock"))
    return _claim(rows, limit, timedelta(seconds=lease_seconds), clock=clock)


@transactional
def mark_sent(
    delivery: RowOrKey[MessageDelivery],
    *,
    provider_message_id: str | None = None,
    template_version: RowOrKey[MessageTemplateVersion] | None = None,
    clock: Clock = timezone.now,
) -> MessageDelivery:
    """Record that the provider accepted a claimed message. Repeatable.

    ``delivery`` is the claimed row: a report of a claim that another one has followed does not
    count. A report by key counts for the present claim.

    ``template_version`` is the text that was sent, if it is not the claimed one. A report after the
    end of the claim counts as long as nobody has ended the claim.

    Raises ClaimLost for a claim that was ended or followed, IdempotencyConflict for another id of
    the provider, TransitionRefused, InvalidInput, NotFound.
    """
    if provider_message_id is not None:
        provider_message_id = parse_external_id(
            provider_message_id, lengths.EXTERNAL_ID, "provider_message_id"
        )
    row = lock_or_refuse(MessageDelivery.objects.all(), delivery)
    if row.status == "sent":
        if provider_message_id not in (None, row.provider_message_id):
            raise IdempotencyConflict(entity="message_deliveries", id=row.pk)
        return refresh(delivery, row)
    _require_claimed(row, delivery, "sent")
    if template_version is not None:
        row.template_version = get_or_refuse(MessageTemplateVersion.objects.all(), template_version)
    if row.template_version_id is None:
        raise InvalidInput(field="template_version")
    row.status, row.claimed_until = "sent", None
    row.sent_at = min(
        to_utc(clock(), "clock"), read_fact_clock()
    )  # the clock of a host may be fast
    if row.user_id or row.lead_id:  # not of a person who was erased meanwhile
        row.provider_message_id = provider_message_id
    row.save()
    return refresh(delivery, row)


@transactional
def mark_failed(
    delivery: RowOrKey[MessageDelivery],
    *,
    error: str,
    temporary: bool = False,
    clock: Clock = timezone.now,
) -> MessageDelivery:
    """Record that a claimed message was not sent, because of ``error``, a code. Repeatable.

    After a temporary failure it is due again, later each time, up to MAX_ATTEMPTS, unless its
    session is over, canceled or moved. A claim that ran out is never tried again. ``delivery`` as
    for ``mark_sent``: a late repeat does not end the claim of another sender.

    Raises ClaimLost for a claim that was ended or followed, TransitionRefused, InvalidInput,
    NotFound.
    """
    if not isinstance(error, str) or not is_code(error):
        raise InvalidInput(field="error")
    temporary = parse_bool(temporary, "temporary")
    row = lock_or_refuse(MessageDelivery.objects.all(), delivery)
    if row.status in ("failed", "scheduled", "suppressed") and row.last_error == error:
        return refresh(delivery, row)
    _require_claimed(row, delivery, "failed")
    now = max(to_utc(clock(), "clock"), read_fact_clock())
    if row.claimed_until is not None and row.claimed_until <= now:
        row.status, row.last_error = "failed", OUTCOME_UNKNOWN
    else:
        row.status, row.last_error = _status_after_failure(row, temporary, now), error
    if row.status == "scheduled":
        row.due_at = now + timedelta(seconds=back_off(row.attempts))
        row.template_version = None
    row.suppressed_reason = "erased" if row.status == "suppressed" else None
    row.claimed_until = None
    row.save()
    return refresh(delivery, row)


# -- steps -----------------------------------------------------------------------------------------


def _end_lost_claims(now: datetime) -> None:
    """The outcome is unknown. Rows that a report has locked are passed over."""
    lost = lock_rows(
        MessageDelivery.objects.filter(status="sending", claimed_until__lte=now), skip_locked=True
    )
    for row in lost:
        with _skip_bad_row(row):
            row.status, row.last_error, row.claimed_until = "failed", OUTCOME_UNKNOWN, None
            row.save(update_fields=["status", "last_error", "claimed_until"])


@contextmanager
def _skip_bad_row(row: MessageDelivery) -> Iterator[None]:
    """A row that cannot be written does not stop the others."""
    try:
        with transaction.atomic():
            yield
    except DatabaseError as error:
        logger.error("message %s was passed over: %s", row.pk, reason_of(error))


@transactional
def _claim(
    scheduled: models.QuerySet[MessageDelivery],
    limit: int,
    lease: timedelta,
    *,
    clock: Clock,
) -> list[ClaimedMessage]:
    claimed: list[ClaimedMessage] = []
    seen: list[Any] = []
    for _round in range(ROUNDS):
        due = scheduled.filter(due_at__lte=to_utc(clock(), "clock")).exclude(pk__in=seen)
        oldest = due.order_by("due_at", "pk").select_for_update(skip_locked=True, of=("self",))
        rows = list(oldest[: limit - len(claimed)])
        if not rows:
            break
        seen += [row.pk for row in rows]
        locked = _Locked(rows)
        for row in filter(locked.has_all, rows):
            with _skip_bad_row(row):
                claimed += _settle(row, locked, lease, clock=clock)
        if len(claimed) == limit:
            break
    return claimed


class _Locked:
    """The sessions and the people of messages, locked. Rows that others have locked are missing."""

    def __init__(self, rows: list[MessageDelivery]) -> None:
        def lock(rows_of: models.QuerySet[Any], column: str) -> dict[Any, Any]:
            keys = {getattr(row, column) for row in rows} - {None}
            locked = lock_rows(rows_of.filter(pk__in=keys), skip_locked=True) if keys else []
            return {row.pk: row for row in locked}

        sessions = Appointment.objects.select_related("service")
        self.appointments = lock(sessions, "appointment_id")
        self.users = lock(User.objects.all(), "user_id")
        self.leads = lock(Lead.objects.all(), "lead_id")

    def has_all(self, row: MessageDelivery) -> bool:
        return (
            {row.appointment_id} <= {None, *self.appointments}
            and {row.user_id} <= {None, *self.users}
            and {row.lead_id} <= {None, *self.leads}
        )


def _settle(
    row: MessageDelivery, locked: _Locked, lease: timedelta, *, clock: Clock
) -> list[ClaimedMessage]:
    """Claim the message, or end it and return nothing."""
    now = to_utc(clock(), "clock")
    appointment = locked.appointments.get(row.appointment_id)
    if (ended := _reason_to_cancel(row, appointment, now)) is not None:
        row.status, row.last_error = "canceled", ended
        row.save(update_fields=["status", "last_error"])
        return []
    user = locked.users.get(row.user_id)
    contact = find_contact(row.channel, row.user_id, row.lead_id)
    reason = None
    if user is not None and user.status == "deleted":
        reason = "erased"
    elif contact is None:
        reason = "no_contact"
    elif not may_contact(row.channel, user=row.user_id, lead=row.lead_id, clock=clock):
        reason = "no_consent"
    if contact is None or reason is not None:
        row.status, row.suppressed_reason = "suppressed", reason
        row.save(update_fields=["status", "suppressed_reason"])
        return []
    row.status, row.claimed_until = "sending", now + lease
    row.attempts += 1
    row.template_version = template = _find_template(row)
    row.save(update_fields=["status", "claimed_until", "attempts", "template_version"])
    return [ClaimedMessage(row, contact, template, _facts(row, appointment))]


def _reason_to_cancel(
    row: MessageDelivery, appointment: Appointment | None, now: datetime
) -> str | None:
    """A code, if a message about a session is no longer true or of no use."""
    if appointment is None:
        return None
    if row.kind == Kind.CANCELED:
        return "too_late" if appointment.end_at_utc <= now else None
    if appointment.status == "canceled" or (
        appointment.status == "rescheduled" and row.kind != Kind.RESCHEDULED
    ):
        return f"session_{appointment.status}"
    is_late = row.kind in ABOUT_COMING and appointment.start_at_utc <= now
    return "too_late" if is_late else None


def _status_after_failure(row: MessageDelivery, temporary: bool, now: datetime) -> str:
    if not temporary or row.attempts >= MAX_ATTEMPTS:
        return "failed"
    if row.user_id is None and row.lead_id is None:
        return "suppressed"
    return "failed" if _reason_to_cancel(row, row.appointment, now) else "scheduled"


def _find_template(row: MessageDelivery) -> MessageTemplateVersion | None:
    """The version in use of the active template named as the kind: its code, or in Russian."""
    with translation.override(LANGUAGE):
        words = str(row.get_kind_display())
    versions = MessageTemplateVersion.objects.filter(
        Q(template__name__iexact=row.kind) | Q(template__name__iexact=words),
        template__status="active",
        template__channel=row.channel,
        template__category=CATEGORIES.get(Kind(row.kind), "booking"),
        template__language=LANGUAGE,
        version=F("template__active_version"),
    )
    return versions.order_by("template__created_at").first()


def _facts(row: MessageDelivery, appointment: Appointment | None) -> dict[str, Any]:
    """P0 facts for the text. Addresses of the session (P1) are on the appointment."""
    facts: dict[str, Any] = {"kind": row.kind}
    if appointment is not None:
        facts |= {
            "appointment_id": appointment.pk,
            "service_title": appointment.service.title,
            "start_at_utc": appointment.start_at_utc,
            "end_at_utc": appointment.end_at_utc,
            "timezone": appointment.timezone,
            "format": appointment.format,
        }
    return facts


def _require_claimed(row: MessageDelivery, given: RowOrKey[MessageDelivery], wanted: str) -> None:
    # A row that was read before its claim has no attempts yet.
    known = given.attempts if isinstance(given, MessageDelivery) else 0
    is_followed = known not in (0, row.attempts)
    if row.status == "sending" and not is_followed:
        return
    is_lost = is_followed or (row.status == "failed" and row.last_error == OUTCOME_UNKNOWN)
    raise (ClaimLost if is_lost else TransitionRefused)(
        entity="message_deliveries", id=row.pk, status=row.status, wanted=wanted
    )
