"""Messages to people: when each is due, and whether it was sent. No address, no text."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from audit.models import MessageTemplate, MessageTemplateVersion
from crm.models import Lead
from ebalance.db import lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    ExternalId,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
)
from ebalance.db.schema.classification import NULL, of_person, p0
from ebalance.db.schema.retention import After, purged
from ebalance.db.times import FactTime, PlannedTime, read_fact_clock
from identity.models import Consent

from .appointments import Appointment
from .message_rules import (
    CONSENT_IS_ACTIVE,
    LEAD_FOLLOWS_MERGE,
    PERSON_IS_NOT_ERASED,
    SESSION_IS_ON,
)
from .paid_sessions import is_merged_into

# The consent that a message of each channel needs.
CONSENT_OF_CHANNEL: dict[str, str] = {
    "email": Consent.Type.COMMUNICATIONS.value,
    "telegram": Consent.Type.TELEGRAM.value,
}
OUTCOME_UNKNOWN = "outcome_unknown"  # last_error of a claim that ran out


class MessageDelivery(Entity):
    """A message that is due to one person, once. Only the services of booking write it.

    A claimed message is ``sending`` until the sender reports. If the claim runs out first, the
    message is ``failed`` (OUTCOME_UNKNOWN): it may have arrived, so it is never sent again.
    """

    class Kind(models.TextChoices):
        BOOKING_CONFIRMATION = "booking_confirmation", _("booking confirmation")
        REMINDER_24H = "reminder_24h", _("reminder 24 hours before")
        REMINDER_1H = "reminder_1h", _("reminder 1 hour before")
        RESCHEDULED = "rescheduled", _("session moved")
        CANCELED = "canceled", _("session canceled")
        WAITLIST_OFFER = "waitlist_offer", _("offer of a free time")
        ANSWER_READY = "answer_ready", _("answer to a question")
        FOLLOW_UP = "follow_up", _("message after the session")

    class Status(models.TextChoices):
        SCHEDULED = "scheduled", _("scheduled")
        SENDING = "sending", _("being sent")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")
        CANCELED = "canceled", _("canceled")
        SUPPRESSED = "suppressed", _("not sent")

    class SuppressedReason(models.TextChoices):
        NO_CONSENT = "no_consent", _("no consent")
        NO_CONTACT = "no_contact", _("no contact")
        ERASED = "erased", _("person erased")

    kind = ClosedSet(Kind, db_comment=p0("occasion"))
    channel = ClosedSet(MessageTemplate.Channel, db_comment=p0("how it is sent"))
    template_version = RestrictForeignKey(
        MessageTemplateVersion,
        null=True,
        blank=True,
        related_name="deliveries",
        db_comment=p0("text that was sent; set when it is claimed, and in every sent row"),
    )
    user = RestrictForeignKey(
        "identity.User",
        null=True,
        blank=True,
        related_name="message_deliveries",
        db_comment=of_person("to whom, if registered", NULL),
    )
    lead = RestrictForeignKey(
        "crm.Lead",
        null=True,
        blank=True,
        related_name="message_deliveries",
        db_comment=of_person("lead to whom, if not registered", NULL),
    )
    appointment = RestrictForeignKey(
        Appointment,
        null=True,
        blank=True,
        related_name="message_deliveries",
        db_comment=of_person("session it is about", NULL),
    )
    dedupe_key = ExternalId(
        max_length=lengths.EXTERNAL_ID,
        db_comment=p0("at most one message has this key: kind and id of what it is about"),
    )
    due_at = PlannedTime(db_comment=p0("not sent before, UTC"))
    status = ClosedSet(Status, default=Status.SCHEDULED, db_comment=p0("life cycle"))
    suppressed_reason = ClosedSet(
        SuppressedReason, null=True, blank=True, db_comment=p0("why it was not sent")
    )
    claimed_until = PlannedTime(
        null=True, blank=True, db_comment=p0("until when the sender reports, UTC")
    )
    attempts = models.IntegerField(default=0, db_default=0, db_comment=p0("claims so far"))
    last_error = SingleLineTextField(
        max_length=lengths.CODE, null=True, blank=True, db_comment=p0("code of the last failure")
    )
    provider_message_id = ExternalId(
        max_length=lengths.EXTERNAL_ID,
        null=True,
        blank=True,
        # It may lead to the address at the provider.
        db_comment=p0("the provider's id", erasure=NULL),
    )
    sent_at = FactTime(null=True, blank=True, db_comment=p0("when sent, UTC"))
    created_at = created_at()

    # A message that is still ahead stays: a session may be booked long before.
    retention = purged("13 months", After("created_at", where="due_at < %(now)s", rows="if due"))

    class Meta:
        db_table = "message_deliveries"
        db_table_comment = "Messages to people, each sent at most once; no address, no text"
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            rules.Unique(
                "message_deliveries_dedupe_key_unique",
                fields=["dedupe_key"],
                message=_("This message is already scheduled."),
            ),
            rules.required_when(
                "message_deliveries_sent_has_template",
                "template_version",
                Q(status="sent"),
                _("A sent message has the version of its text."),
            ),
            rules.set_exactly_when(
                "message_deliveries_suppressed_with_reason",
                "suppressed_reason",
                Q(status="suppressed"),
                _("A reason is set exactly for a message that is not sent."),
            ),
            rules.set_exactly_when(
                "message_deliveries_claimed_until_with_status",
                "claimed_until",
                Q(status="sending"),
                _("The end of a claim is set exactly while a message is being sent."),
            ),
            rules.set_exactly_when(
                "message_deliveries_sent_at_with_status",
                "sent_at",
                Q(status="sent"),
                _("A time of sending is set exactly for a sent message."),
            ),
            rules.in_range("message_deliveries", "attempts", 0),
            rules.code("message_deliveries", "last_error"),
            rules.finite("message_deliveries", "due_at", "claimed_until", "sent_at", "created_at"),
        ]
        indexes = [
            rules.Index(
                "message_deliveries_due",
                "due_at",
                condition=Q(status="scheduled"),
                serves="claim_due_messages",
            ),
            rules.Index(
                "message_deliveries_claimed",
                "claimed_until",
                condition=Q(status="sending"),
                serves="claims that ran out",
            ),
            rules.Index("message_deliveries_by_user", "user", "-due_at", serves="a person's"),
            rules.Index("message_deliveries_by_lead", "lead", "-due_at", serves="a lead's"),
            rules.Index(
                "message_deliveries_by_appointment", "appointment", serves="messages of a session"
            ),
            rules.Index(
                "message_deliveries_by_template", "template_version", serves="the delete check"
            ),
            rules.Index("message_deliveries_by_creation", "created_at", serves="purge_expired"),
        ]
        triggers = [
            *triggers.transitions(
                "message_deliveries",
                {
                    "scheduled": ["sending", "canceled", "suppressed"],
                    "sending": ["sent", "failed", "scheduled", "suppressed"],
                },
                initial=["scheduled"],
            ),
            triggers.frozen(
                "message_deliveries",
                "facts_stay",
                ["kind", "channel", "dedupe_key"],
                message=gettext_noop("Kind, channel and key of a message never change"),
            ),
            # Only an erasure empties them.
            triggers.frozen(
                "message_deliveries",
                "links_stay",
                ["user_id", "appointment_id"],
                emptied={"user_id": "user_id", "appointment_id": "user_id"},
                message=gettext_noop("Person and session of a message never change"),
            ),
            triggers.Rule(
                "message_deliveries_lead_stays",
                operation=pgtrigger.UpdateOf("lead_id"),
                condition="NEW.lead_id IS NOT NULL AND OLD.lead_id IS DISTINCT FROM NEW.lead_id",
                message=gettext_noop("A message follows its lead only into a merge"),
                column="lead_id",
                body=LEAD_FOLLOWS_MERGE,
                broken=lambda row: changes_lead(row),
            ),
            triggers.frozen(
                "message_deliveries",
                "what_was_sent_stays",
                ["template_version_id", "sent_at", "attempts", "due_at", "provider_message_id"],
                status="sent",
                emptied={"provider_message_id": "user_id"},
                message=gettext_noop("What was sent does not change"),
            ),
            triggers.Rule(
                "message_deliveries_one_claim",
                operation=pgtrigger.UpdateOf("status", "claimed_until"),
                # A second claim has another end, also one that waited for the first one's lock.
                condition="OLD.status = 'sending' AND ("
                "NEW.status = 'sending' AND OLD.claimed_until <> NEW.claimed_until OR "
                "NEW.status = 'scheduled' AND OLD.claimed_until <= public.fact_clock())",
                message=gettext_noop(
                    "A message is claimed once, and not again after its claim ran out"
                ),
                column="status",
                broken=lambda row: claims_again(row),
            ),
            triggers.Rule(
                "message_deliveries_session_is_on",
                operation=pgtrigger.UpdateOf("status"),
                condition="OLD.status = 'scheduled' AND NEW.status = 'sending' "
                "AND NEW.appointment_id IS NOT NULL",
                message=gettext_noop("This session was canceled or moved"),
                column="appointment_id",
                body=SESSION_IS_ON,
            ),
            triggers.Rule(
                "message_deliveries_person_not_erased",
                operation=pgtrigger.UpdateOf("status"),
                condition="OLD.status = 'scheduled' AND NEW.status = 'sending' "
                "AND NEW.user_id IS NOT NULL",
                message=gettext_noop("This person was erased; nothing is sent to them"),
                column="user_id",
                body=PERSON_IS_NOT_ERASED,
            ),
            triggers.Rule(
                "message_deliveries_person_agreed",
                operation=pgtrigger.UpdateOf("status"),
                condition="OLD.status = 'scheduled' AND NEW.status = 'sending'",
                message=gettext_noop("Without an active consent nothing is sent"),
                column="channel",
                body=CONSENT_IS_ACTIVE,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.get_status_display()}"


def claims_again(row: MessageDelivery) -> bool:
    """Whether a claimed message would be claimed again (message_deliveries_one_claim)."""
    old = triggers.stored(row, "status", "claimed_until")
    if old is None or old["status"] != "sending":
        return False
    if row.status == "sending":
        return row.claimed_until not in (None, old["claimed_until"])
    return row.status == "scheduled" and old["claimed_until"] <= read_fact_clock()


def changes_lead(row: MessageDelivery) -> bool:
    """Whether a message would go to another lead (message_deliveries_lead_stays)."""
    old = triggers.stored(row, "lead_id")
    if old is None or row.lead_id in (None, old["lead_id"]):
        return False
    return not is_merged_into(Lead.objects.filter(pk=old["lead_id"]).first(), row.lead_id)
