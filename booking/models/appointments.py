"""Sessions agreed with clients."""

import pgtrigger
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    ExternalId,
    RestrictForeignKey,
    SecureURL,
    SingleLineTextField,
    TimeZoneField,
    created_at,
    updated_at,
)
from ebalance.db.schema.classification import NAMELESS_LEAD, NULL, carried_by, of_person, p0, p1
from ebalance.db.schema.retention import kept
from ebalance.db.sets import EntryPoint
from ebalance.db.times import FactTime, PlannedTime

from .outcomes import OUTCOME, corrected_outcome
from .paid_sessions import paid_session_rules
from .schedule import AvailabilitySlot
from .services import Service
from .times import BLOCKING, session_times


class Appointment(Entity):
    """A session agreed with a client. Only the services of booking write it (states.md)."""

    class Format(models.TextChoices):
        ONLINE = "online", _("online")
        OFFLINE = "offline", _("offline")

    class Status(models.TextChoices):
        PENDING_PAYMENT = "pending_payment", _("pending payment")
        PAID = "paid", _("paid")
        CONFIRMED = "confirmed", _("confirmed")
        CANCELED = "canceled", _("canceled")
        RESCHEDULED = "rescheduled", _("rescheduled")
        COMPLETED = "completed", _("completed")

    class Outcome(models.TextChoices):
        ATTENDED = "attended", _("attended")
        NO_SHOW = "no_show", _("no show")
        CANCELED_BY_CLIENT = "canceled_by_client", _("canceled by client")
        CANCELED_BY_PROVIDER = "canceled_by_provider", _("canceled by provider")
        RESCHEDULED = "rescheduled", _("rescheduled")

    class OutcomeReason(models.TextChoices):
        LATE_CANCEL = "late_cancel", _("late cancel")
        TECH_ISSUE = "tech_issue", _("tech issue")
        ILLNESS = "illness", _("illness")
        OTHER = "other", _("other")
        UNKNOWN = "unknown", _("unknown")

    class RecordedByRole(models.TextChoices):
        OWNER = "owner", _("owner")
        ASSISTANT = "assistant", _("assistant")
        SYSTEM = "system", _("system")

    service = RestrictForeignKey(Service, related_name="appointments", db_comment=p0("service"))
    client = RestrictForeignKey(
        "identity.User",
        db_column="client_user_id",
        null=True,
        blank=True,
        related_name="appointments",
        # An erasure replaces the client by a lead without identities: one of the two is always set.
        db_comment=of_person("client, if registered", NULL),
    )
    lead = RestrictForeignKey(
        "crm.Lead",
        null=True,
        blank=True,
        related_name="appointments",
        db_comment=of_person("lead, if not registered", NAMELESS_LEAD),
    )
    client_request_id = ExternalId(
        max_length=lengths.EXTERNAL_ID,
        null=True,
        blank=True,
        db_comment=p0("idempotency key of the caller", erasure=NULL),
    )
    start_at_utc = PlannedTime(db_comment=p0("start, UTC"))
    end_at_utc = PlannedTime(db_comment=p0("end, UTC, at most 12 h later"))
    buffer_minutes = models.SmallIntegerField(
        default=0, db_default=0, db_comment=p0("break kept after it, minutes")
    )
    timezone = TimeZoneField(
        copied_from="rescheduled_from_id", db_comment=p0("the client's IANA zone")
    )
    format = ClosedSet(Format, db_comment=p0("online or offline"))
    status = ClosedSet(Status, default=Status.PENDING_PAYMENT, db_comment=p0("life cycle"))
    hold_expires_at = PlannedTime(
        null=True, blank=True, db_comment=p0("until when the time is held unpaid, UTC")
    )
    price_amount = models.IntegerField(db_comment=p0("price agreed, whole roubles; never changes"))
    deposit_amount = models.IntegerField(
        null=True, blank=True, db_comment=p0("deposit agreed, whole roubles; never changes")
    )
    meeting_url = SecureURL(null=True, blank=True, db_comment=p1("address of the video call"))
    location_text = SingleLineTextField(
        max_length=lengths.NOTE, null=True, blank=True, db_comment=p1("where an offline session is")
    )
    slot = RestrictForeignKey(
        AvailabilitySlot,
        null=True,
        blank=True,
        related_name="appointments",
        db_comment=carried_by("slot it takes"),
    )
    external_calendar_event_id = ExternalId(
        max_length=lengths.EXTERNAL_ID,
        null=True,
        blank=True,
        # That event may carry the client's name.
        db_comment=p0("event in the outside calendar", erasure=NULL),
    )
    rescheduled_from = RestrictForeignKey(
        "self",
        null=True,
        blank=True,
        related_name="rescheduled_to",
        db_comment=p0("the appointment this one replaces"),
    )
    outcome = ClosedSet(Outcome, null=True, blank=True, db_comment=p0("what became of it"))
    outcome_reason_category = ClosedSet(
        OutcomeReason, null=True, blank=True, db_comment=p0("category of the reason")
    )
    outcome_recorded_at = FactTime(
        null=True, blank=True, db_comment=p0("when the outcome was recorded, UTC")
    )
    outcome_recorded_by_role = ClosedSet(
        RecordedByRole, null=True, blank=True, db_comment=p0("who recorded the outcome")
    )
    confirmed_at = FactTime(null=True, blank=True, db_comment=p0("when confirmed, UTC"))
    canceled_at = FactTime(null=True, blank=True, db_comment=p0("when canceled, UTC"))
    topic = RestrictForeignKey(
        "content.Topic",
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="appointments",
        db_comment=p0("topic, if one"),
    )
    deep_link_id = SingleLineTextField(
        max_length=lengths.OPAQUE_ID,
        null=True,
        blank=True,
        db_comment=p0("deep link that led here; no key, links expire first", erasure=NULL),
    )
    entry_point = ClosedSet(EntryPoint, null=True, blank=True, db_comment=p0("where from"))
    created_at = created_at()
    updated_at = updated_at()

    retention = kept("for accounting; personal columns are emptied at erasure")

    class Meta:
        db_table = "appointments"
        db_table_comment = "Sessions agreed with clients"
        verbose_name = _("appointment")
        verbose_name_plural = _("appointments")
        constraints = [
            *session_times("appointments"),
            rules.Exclusion(
                "appointments_no_overlap",
                message=_("This time overlaps with another appointment or its break."),
                expressions=[
                    (
                        Func(
                            F("start_at_utc"),
                            F("end_at_utc"),
                            F("buffer_minutes"),
                            function="busy_range",
                            output_field=DateTimeRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    )
                ],
                condition=Q(status__in=BLOCKING),
            ),
            rules.Unique(
                "appointments_one_blocking_per_slot",
                fields=["slot"],
                condition=Q(status__in=BLOCKING, slot__isnull=False),
                message=_("This slot is already taken."),
            ),
            rules.Unique("appointments_client_request_unique", fields=["client_request_id"]),
            rules.Unique("appointments_rescheduled_once", fields=["rescheduled_from"]),
            rules.Check(
                "appointments_client_or_lead_present",
                Q(client__isnull=False) | Q(lead__isnull=False),
                _("An appointment has a client or a lead."),
            ),
            rules.Check(
                "appointments_not_rescheduled_from_itself",
                Q(rescheduled_from__isnull=True) | ~Q(rescheduled_from=F("id")),
                _("An appointment does not replace itself."),
                field="rescheduled_from",
            ),
            rules.opaque_id("appointments", "deep_link_id"),
            rules.required_when(
                "appointments_hold_has_expiry",
                "hold_expires_at",
                Q(status="pending_payment"),
                _("A hold has an expiry."),
            ),
            rules.in_range("appointments", "price_amount", 0),
            rules.Check(
                "appointments_deposit_within_price",
                Q(deposit_amount__isnull=True)
                | Q(deposit_amount__gte=1, deposit_amount__lte=F("price_amount")),
                _("A deposit is at least 1 rouble and at most the price."),
                field="deposit_amount",
            ),
            rules.Check(
                "appointments_confirmed_at_with_status",
                Q(status__in=["confirmed", "rescheduled", "completed"], confirmed_at__isnull=False)
                | Q(status__in=["pending_payment", "paid"], confirmed_at__isnull=True)
                | Q(status="canceled"),
                _("A confirmation time is set from confirmation on, not before."),
                field="confirmed_at",
            ),
            rules.set_exactly_when(
                "appointments_canceled_at_with_status",
                "canceled_at",
                Q(status="canceled"),
                _("A cancellation time is set exactly for a canceled appointment."),
            ),
            rules.all_or_none(
                "appointments_outcome_all_or_none",
                ["outcome", "outcome_recorded_at", "outcome_recorded_by_role"],
                _("An outcome, its time and its author are given together."),
            ),
            rules.Check(
                "appointments_reason_with_outcome",
                Q(outcome_reason_category__isnull=True) | Q(outcome__isnull=False),
                _("A reason needs an outcome."),
                field="outcome_reason_category",
            ),
            rules.Check(
                "appointments_outcome_agrees_with_status",
                Q(
                    status="completed",
                    outcome__isnull=False,
                    outcome__in=["attended", "no_show"],
                )
                | Q(status="canceled", outcome__isnull=True)
                | Q(
                    status="canceled",
                    outcome__isnull=False,
                    outcome__in=["canceled_by_client", "canceled_by_provider"],
                )
                | Q(status="rescheduled", outcome__isnull=True)
                | Q(status="rescheduled", outcome__isnull=False, outcome="rescheduled")
                | Q(status__in=BLOCKING, outcome__isnull=True),
                _("The outcome does not agree with the status."),
                field="outcome",
            ),
            rules.Check(
                "appointments_outcome_not_before_start",
                Q(outcome__isnull=True)
                | ~Q(outcome__in=["attended", "no_show"])
                | Q(outcome_recorded_at__gte=F("start_at_utc")),
                _("Attendance is not recorded before the start."),
                field="outcome_recorded_at",
            ),
            rules.finite(
                "appointments",
                "start_at_utc",
                "end_at_utc",
                "hold_expires_at",
                "outcome_recorded_at",
                "confirmed_at",
                "canceled_at",
                "created_at",
                "updated_at",
            ),
        ]
        indexes = [
            rules.Index(
                "appointments_by_time",
                "start_at_utc",
                "status",
                serves="admin: the calendar; conflicts",
            ),
            rules.Index(
                "appointments_stale_holds",
                "hold_expires_at",
                condition=Q(status="pending_payment"),
                serves="expire_holds",
            ),
            rules.Index("appointments_by_client", "client", "-start_at_utc", serves="a client's"),
            rules.Index("appointments_by_lead", "lead", "-start_at_utc", serves="a lead's"),
            rules.Index("appointments_by_service", "service", serves="the delete check"),
            rules.Index("appointments_by_slot", "slot", serves="appointments of a slot; delete"),
            rules.Index("appointments_by_topic", "topic", serves="metrics by topic; delete"),
        ]
        triggers = [
            *triggers.transitions(
                "appointments",
                {
                    "pending_payment": ["paid", "canceled"],
                    "paid": ["confirmed", "canceled"],
                    "confirmed": ["canceled", "rescheduled", "completed"],
                },
            ),
            triggers.Rule(
                "appointments_status_initial",
                operation=pgtrigger.Insert,
                condition="NOT (NEW.status = 'pending_payment' OR (NEW.status = 'confirmed' AND "
                "(NEW.rescheduled_from_id IS NOT NULL OR NEW.price_amount = 0)))",
                message=gettext_noop(
                    "An appointment starts as a hold; confirmed only when free of charge "
                    "or in place of a rescheduled one"
                ),
                column="status",
                broken=lambda row: (
                    row._state.adding
                    and row.status != "pending_payment"
                    and (
                        row.status != "confirmed"
                        or (row.rescheduled_from_id is None and row.price_amount != 0)
                    )
                ),
            ),
            # At the end of the transaction: old and new row are written in either order.
            triggers.Rule(
                "appointments_replaces_rescheduled",
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                timing=pgtrigger.Deferred,
                condition="NEW.status = 'confirmed' AND NEW.price_amount <> 0",
                message=gettext_noop(
                    "A paid session starts confirmed only in place of a rescheduled one"
                ),
                column="rescheduled_from_id",
                body=f"""
BEGIN
    IF NOT EXISTS (SELECT FROM public.appointments
                   WHERE id = NEW.rescheduled_from_id AND status = 'rescheduled')
       -- Rows of one transaction could otherwise vouch for each other in a circle.
       OR EXISTS (
           WITH RECURSIVE chain AS (
               SELECT id, rescheduled_from_id FROM public.appointments
               WHERE id = NEW.rescheduled_from_id
               UNION
               SELECT a.id, a.rescheduled_from_id
               FROM public.appointments a JOIN chain ON a.id = chain.rescheduled_from_id)
           SELECT FROM chain WHERE id = NEW.id) THEN
        {triggers.REFUSE}
    END IF;
    RETURN NULL;
END""",
            ),
            *paid_session_rules(),
            corrected_outcome(),
            triggers.frozen(
                "appointments",
                "agreed_price_stays",
                ["price_amount", "deposit_amount"],
                message=gettext_noop("The price agreed at booking does not change"),
            ),
            triggers.frozen(
                "appointments",
                "origin_stays",
                ["rescheduled_from_id", "client_request_id"],
                emptied={"client_request_id": "client_user_id"},  # when the client is erased
                message=gettext_noop(
                    "What an appointment replaces, and the request it came by, do not change"
                ),
            ),
            triggers.touch_updated_at("appointments"),
            *auditing.audited(
                "appointments",
                changed=("outcome_recorded", OUTCOME),
                deleted="appointment_deleted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.start_at_utc:%d.%m.%Y %H:%M} UTC"
