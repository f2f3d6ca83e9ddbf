"""Schedules messages to people. ``message_claims`` hands them to a sender.

A message has one key, so a repeated call schedules nothing. Consent and contact decide only the
channel here: the claim asks both again (ADR 0048).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from audit.models import MessageTemplate
from crm.models import Lead, LeadIdentity
from ebalance.db import lengths
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.encryption.values import Sealed
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    RowOrKey,
    get_or_refuse,
    lock_or_refuse,
    may_contact,
    parse_choice,
    parse_external_id,
    require_change,
    to_utc,
    transactional,
)
from identity.models import CONTACT_COLUMNS, User

from ..errors import ClientUnavailable
from ..models import Appointment, MessageDelivery
from ..models.messages import CONSENT_OF_CHANNEL

Kind = MessageDelivery.Kind
REMINDERS = {Kind.REMINDER_24H: timedelta(hours=24), Kind.REMINDER_1H: timedelta(hours=1)}
# The others are scheduled by ``schedule_messages``.
SINGLE_KINDS = (Kind.WAITLIST_OFFER, Kind.ANSWER_READY, Kind.FOLLOW_UP)


@transactional
def schedule_messages(
    appointment: RowOrKey[Appointment],
    *,
    actor: User | None = None,
    clock: Clock = timezone.now,
) -> list[MessageDelivery]:
    """Schedule what its client has to know about the session now; returns all its messages.

    A confirmed session ahead: the confirmation, or ``rescheduled`` if it replaces a moved one, at
    once, and the reminders whose time has not passed. A canceled session that is not over:
    ``canceled``. A hold that expired, and any other session: nothing. Repeatable. The services that
    confirm, move and cancel a session do the same without this call.

    Raises NotPermitted for an actor who may not change messages, NotFound.
    """
    require_change(actor, MessageDelivery)
    row = lock_or_refuse(Appointment.objects.all(), appointment)
    schedule_session_messages(row, clock=clock)
    return list(MessageDelivery.objects.filter(appointment=row).order_by("due_at", "pk"))


@transactional
def schedule_message(
    kind: str,
    *,
    dedupe_key: str,
    user: RowOrKey[User] | None = None,
    lead: RowOrKey[Lead] | None = None,
    appointment: RowOrKey[Appointment] | None = None,
    channel: str | None = None,
    due_at: datetime | None = None,
    actor: User | None = None,
    clock: Clock = timezone.now,
) -> MessageDelivery:
    """Schedule one message of SINGLE_KINDS to ``user``, ``lead`` or an appointment's client.

    ``dedupe_key`` names the occasion within the kind, such as the id of a question or of an offer:
    a repeated call returns the first message. ``due_at`` (aware) is now by default, ``channel`` the
    one by which the person can be reached.

    Raises IdempotencyConflict for a key with other content, ClientUnavailable for an erased person,
    NotPermitted, InvalidInput, NotFound.
    """
    require_change(actor, MessageDelivery)
    if parse_choice(kind, Kind, "kind") not in SINGLE_KINDS:
        raise InvalidInput(field="kind")
    key = parse_external_id(dedupe_key, lengths.EXTERNAL_ID - lengths.CODE, "dedupe_key")
    now = to_utc(clock(), "clock")
    row = MessageDelivery(
        kind=kind,
        dedupe_key=f"{kind}:{key}",
        due_at=now if due_at is None else to_utc(due_at, "due_at"),
    )
    if appointment is not None:
        row.appointment = get_or_refuse(Appointment.objects.all(), appointment)
    row.user, row.lead = _get_person(user, lead, row.appointment)
    if channel is not None:
        parse_choice(channel, MessageTemplate.Channel, "channel")
    row.channel = channel or choose_channel(row.user_id, row.lead_id, clock=clock)
    stored = _insert([row])[0]
    # The time and the chosen channel may differ: the first call decides.
    same = ("kind", "user_id", "lead_id", "appointment_id")
    if any(getattr(stored, name) != getattr(row, name) for name in same):
        raise IdempotencyConflict(entity="message_deliveries", id=stored.pk)
    return stored


def schedule_session_messages(row: Appointment, *, clock: Clock) -> None:
    """Schedule the messages of a locked appointment, as ``schedule_messages`` does."""
    due = _messages_due(row, to_utc(clock(), "clock"))
    if not due:
        return
    # One person: a message to a client who is also a lead is the client's.
    user, lead = (row.client_id, None) if row.client_id else (None, row.lead_id)
    channel = choose_channel(user, lead, clock=clock)
    _insert(
        [
            MessageDelivery(
                kind=kind,
                channel=channel,
                user_id=user,
                lead_id=lead,
                appointment=row,
                dedupe_key=f"{kind.value}:{row.pk}",
                due_at=time,
            )
            for kind, time in due
        ]
    )


def choose_channel(user: UUID | None, lead: UUID | None, *, clock: Clock) -> str:
    """The first channel with a contact and a consent, else the first with a contact, else e-mail.

    A message that cannot be sent is scheduled too: its row shows why nothing was sent.
    """
    reachable = [c for c in CONSENT_OF_CHANNEL if find_contact(c, user, lead) is not None]
    for channel in reachable:
        if may_contact(channel, user=user, lead=lead, clock=clock):
            return channel
    return next(iter([*reachable, *CONSENT_OF_CHANNEL]))


def find_contact(channel: str, user: UUID | None, lead: UUID | None) -> Plaintext | Sealed | None:
    """The contact of the account; without one, of the lead, the primary identity first."""
    column = CONTACT_COLUMNS[channel]
    if user is not None:
        return _protected(User.objects.filter(pk=user).values_list(column, flat=True).first())
    if lead is None:
        return None
    identities = LeadIdentity.objects.filter(lead=lead).select_related("user")
    for identity in identities.order_by("-is_primary", "pk"):
        own = identity.email_encrypted if channel == "email" else identity.telegram_user_id
        if own is None and identity.user is not None:
            own = getattr(identity.user, column)
        if own is not None:
            return _protected(own)
    return None


def _protected(contact: str | Sealed | None) -> Plaintext | Sealed | None:
    return Plaintext(contact) if isinstance(contact, str) else contact


def _messages_due(row: Appointment, now: datetime) -> list[tuple[Kind, datetime]]:
    if row.status == "canceled" and row.outcome is not None and row.end_at_utc > now:
        return [(Kind.CANCELED, now)]
    if row.status != "confirmed" or row.start_at_utc <= now:
        return []
    replaced = row.rescheduled_from
    is_moved = replaced is not None and replaced.status == "rescheduled"
    first = Kind.RESCHEDULED if is_moved else Kind.BOOKING_CONFIRMATION
    reminders = [(kind, row.start_at_utc - before) for kind, before in REMINDERS.items()]
    return [(first, now), *((kind, time) for kind, time in reminders if time > now)]


def _get_person(
    user: RowOrKey[User] | None, lead: RowOrKey[Lead] | None, appointment: Appointment | None
) -> tuple[User | None, Lead | None]:
    """The account or the lead; of an appointment's client without either. Raises InvalidInput."""
    if user is None and lead is None and appointment is not None:
        user, lead = appointment.client, None if appointment.client_id else appointment.lead
    if (user is None) == (lead is None):
        raise InvalidInput(field="user")
    # Locked: an erasure waits, or the person is erased by now.
    account = None if user is None else lock_or_refuse(User.objects.all(), user)
    if account is not None and account.status == "deleted":
        raise ClientUnavailable(user=account.pk)
    return account, None if lead is None else _lock_current_lead(lead)


def _lock_current_lead(lead: RowOrKey[Lead]) -> Lead:
    """The lead, or the one that has its contacts now. Locked: a merge waits, or is over by now."""
    row = lock_or_refuse(Lead.objects.all(), lead)
    while row.merged_into_id is not None:
        row = lock_or_refuse(Lead.objects.all(), row.merged_into_id)
    return row


def _insert(rows: list[MessageDelivery]) -> list[MessageDelivery]:
    """Insert the rows whose keys are new; returns the stored ones in the same order."""
    MessageDelivery.objects.bulk_create(rows, ignore_conflicts=True)
    keys = [row.dedupe_key for row in rows]
    stored = {row.dedupe_key: row for row in MessageDelivery.objects.filter(dedupe_key__in=keys)}
    return [stored[key] for key in keys]
