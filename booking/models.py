"""Services, schedule, appointments, payments, intake forms, waitlist."""

import pgtrigger
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules, triggers
from ebalance.db.classification import p0, p1, p2
from ebalance.db.fields import (
    BlindIndex,
    ClosedSet,
    Entity,
    Ref,
    SealedText,
    TextLine,
    created_at,
    now_default,
    updated_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.sets import PUBLICATION_MOVES, EntryPoint, Members, PublicationStatus

# These keep their time: a hold, a paid and a confirmed appointment.
BLOCKING = ["pending_payment", "paid", "confirmed"]
ContactChannel = Members("ContactChannel", "email phone telegram")


def session_times(table: str) -> list[rules.Check]:
    """A session ends after it starts, within 12 hours, with a break of at most two."""
    return [
        rules.Check(
            f"{table}_ends_after_start",
            Q(rules.holds("is_session_length", "start_at_utc", "end_at_utc")),
            _("A session ends after it starts and lasts at most 12 hours."),
            field="end_at_utc",
        ),
        rules.in_range(table, "buffer_minutes", 0, 120),
    ]


class Service(Entity):
    """A kind of consultation on offer, with its price and its rules for cancelling."""

    Format = Members("Format", "online offline hybrid")

    slug = TextLine(db_comment=p0("slug in addresses"))
    title = TextLine(db_comment=p0("title"))
    description_markdown = models.TextField(db_comment=p0("description, Markdown"))
    format = ClosedSet(Format, db_comment=p0("online, offline or either"))
    offline_address = TextLine(null=True, blank=True, db_comment=p0("address of the practice"))
    duration_minutes = models.IntegerField(db_comment=p0("length of a session, minutes"))
    price_amount = models.IntegerField(db_comment=p0("price, whole roubles"))
    deposit_amount = models.IntegerField(
        null=True, blank=True, db_comment=p0("deposit, whole roubles")
    )
    cancel_free_hours = models.IntegerField(
        null=True, blank=True, db_comment=p0("hours before the start: full refund")
    )
    cancel_partial_hours = models.IntegerField(
        null=True, blank=True, db_comment=p0("hours before the start: half refund")
    )
    reschedule_min_hours = models.IntegerField(
        null=True, blank=True, db_comment=p0("hours before the start: moving allowed")
    )
    reschedule_max_count = models.IntegerField(
        null=True, blank=True, db_comment=p0("how many times an appointment may move")
    )
    status = ClosedSet(
        PublicationStatus, default=PublicationStatus.draft, db_comment=p0("states.md")
    )
    topic = Ref(
        "content.Topic",
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="services",
        db_comment=p0("topic, if one"),
    )
    position = models.IntegerField(default=0, db_default=0, db_comment=p0("order in lists"))
    created_at = created_at()
    updated_at = updated_at()

    class Meta:
        db_table = "services"
        db_table_comment = "Consultations on offer"
        verbose_name = _("service")
        verbose_name_plural = _("services")
        constraints = [
            rules.Unique("services_slug_unique", fields=["slug"]),
            rules.slug("services"),
            rules.not_blank("services", "title"),
            rules.in_range("services", "duration_minutes", 10, 480),
            rules.in_range("services", "price_amount", 0),
            rules.Check(
                "services_deposit_within_price",
                Q(deposit_amount__isnull=True)
                | Q(deposit_amount__gte=1, deposit_amount__lte=F("price_amount")),
                _("A deposit is at least 1 rouble and at most the price."),
                field="deposit_amount",
            ),
            rules.in_range("services", "cancel_free_hours", 0),
            rules.in_range("services", "cancel_partial_hours", 0),
            rules.Check(
                "services_partial_refund_within_free",
                Q(cancel_partial_hours__isnull=True)
                | Q(
                    cancel_free_hours__isnull=False,
                    cancel_partial_hours__lte=F("cancel_free_hours"),
                ),
                _("The limit for a half refund is not longer than that for a full one."),
                field="cancel_partial_hours",
            ),
            rules.in_range("services", "reschedule_min_hours", 0),
            rules.in_range("services", "reschedule_max_count", 0),
            rules.finite("services", "created_at", "updated_at"),
        ]
        indexes = [
            rules.Index("services_by_topic", "topic", serves="services of a topic"),
            rules.Index(
                "services_on_offer",
                "position",
                condition=Q(status="published"),
                serves="site: services on offer, in order",
            ),
        ]
        triggers = [
            *triggers.transitions("services", PUBLICATION_MOVES),
            triggers.touch_updated_at("services"),
        ]

    def __str__(self) -> str:
        return self.title


class ScheduleRule(Entity):
    """Recurring working hours in local wall time: slots keep their hour across clock changes."""

    Recurrence = Members("Recurrence", "weekly biweekly")

    service = Ref(
        Service,
        DB_CASCADE,
        null=True,
        blank=True,
        related_name="schedule_rules",
        db_comment=p0("only for this service; empty: any"),
    )
    weekday = models.SmallIntegerField(db_comment=p0("ISO weekday, 1 Monday to 7 Sunday"))
    start_local = models.TimeField(db_comment=p0("start, wall time in timezone"))
    end_local = models.TimeField(db_comment=p0("end, wall time, later the same day"))
    timezone = TextLine(db_comment=p0("IANA zone of the wall times"))
    recurrence = ClosedSet(Recurrence, db_comment=p0("every week or every second"))
    valid_from = models.DateField(db_comment=p0("first day"))
    valid_until = models.DateField(null=True, blank=True, db_comment=p0("last day; empty: open"))
    buffer_minutes = models.SmallIntegerField(
        default=0, db_default=0, db_comment=p0("break after a session, minutes")
    )
    is_active = models.BooleanField(default=True, db_default=True, db_comment=p0("in force"))

    class Meta:
        db_table = "schedule_rules"
        db_table_comment = "Recurring working hours"
        verbose_name = _("schedule rule")
        verbose_name_plural = _("schedule rules")
        constraints = [
            rules.in_range("schedule_rules", "weekday", 1, 7),
            rules.Check(
                "schedule_rules_ends_after_start",
                Q(end_local__gt=F("start_local")),
                _("The end is later the same day."),
                field="end_local",
            ),
            rules.time_zone("schedule_rules"),
            rules.Check(
                "schedule_rules_valid_until_after_from",
                Q(valid_until__isnull=True) | Q(valid_until__gte=F("valid_from")),
                _("The last day is not before the first."),
                field="valid_until",
            ),
            rules.in_range("schedule_rules", "buffer_minutes", 0, 120),
            rules.finite("schedule_rules", "valid_from", "valid_until"),
        ]
        indexes = [
            rules.Index(
                "schedule_rules_by_service", "service", "weekday", serves="generate_slots; delete"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.weekday}: {self.start_local}–{self.end_local}"


class AvailabilitySlot(Entity):
    """A time that can be booked, is booked, or is blocked; made from rules or by the calendar."""

    Status = Members("Status", "available reserved blocked")
    Source = Members("Source", "product google_calendar")
    BlockType = Members("BlockType", "exception buffer")

    service = Ref(
        Service,
        null=True,
        blank=True,
        related_name="slots",
        db_comment=p0("only for this service; empty: any"),
    )
    start_at_utc = models.DateTimeField(db_comment=p0("start, UTC"))
    end_at_utc = models.DateTimeField(db_comment=p0("end, UTC, at most 12 h later"))
    status = ClosedSet(Status, default=Status.available, db_comment=p0("states.md"))
    source = ClosedSet(Source, default=Source.product, db_comment=p0("who made it"))
    external_event_id = TextLine(
        null=True, blank=True, db_comment=p0("event in the outside calendar")
    )
    block_type = ClosedSet(BlockType, null=True, blank=True, db_comment=p0("why it is blocked"))
    buffer_minutes = models.SmallIntegerField(
        default=0, db_default=0, db_comment=p0("break kept after a session here, minutes")
    )
    note = TextLine(null=True, blank=True, db_comment=p1("internal note"))
    created_at = created_at()

    class Meta:
        db_table = "availability_slots"
        db_table_comment = "Times that can be booked or are blocked"
        verbose_name = _("slot")
        verbose_name_plural = _("slots")
        constraints = [
            *session_times("availability_slots"),
            rules.set_exactly_when(
                "availability_slots_external_id_with_source",
                "external_event_id",
                Q(source="google_calendar"),
                _("An outside event is set exactly for a slot of the outside calendar."),
            ),
            rules.set_exactly_when(
                "availability_slots_block_type_with_status",
                "block_type",
                Q(status="blocked"),
                _("A reason is set exactly for a blocked slot."),
            ),
            rules.Unique(
                "availability_slots_once",
                fields=["start_at_utc", "end_at_utc", "source", "service"],
                nulls_distinct=False,
                message=_("There is already such a slot."),
            ),
            rules.finite("availability_slots", "start_at_utc", "end_at_utc", "created_at"),
        ]
        indexes = [
            rules.Index(
                "availability_slots_free",
                "start_at_utc",
                "status",
                serves="site: free slots of a period",
            ),
            rules.Index(
                "availability_slots_by_source",
                "source",
                "start_at_utc",
                serves="calendar sync: slots of a source",
            ),
            rules.Index("availability_slots_by_service", "service", serves="the delete check"),
        ]
        triggers = [
            *triggers.transitions(
                "availability_slots",
                {
                    "available": ["reserved", "blocked"],
                    "reserved": ["available"],
                    "blocked": ["available"],
                },
            ),
            triggers.frozen(
                "availability_slots",
                "reserved_stays_put",
                ["start_at_utc", "end_at_utc", "service_id", "buffer_minutes", "source"],
                when="OLD.status = 'reserved'",
                message="A reserved slot is not moved",
            ),
            triggers.no_delete(
                "availability_slots",
                condition="OLD.status = 'reserved'",
                message="A reserved slot is not deleted",
            ),
            triggers.no_truncate("availability_slots"),
        ]

    def __str__(self) -> str:
        return f"{self.start_at_utc:%d.%m.%Y %H:%M} UTC"


class Appointment(Entity):
    """A session agreed with a client. Written by the booking verbs only (states.md)."""

    Format = Members("Format", "online offline")
    Status = Members("Status", "pending_payment paid confirmed canceled rescheduled completed")
    Outcome = Members(
        "Outcome", "attended no_show canceled_by_client canceled_by_provider rescheduled"
    )
    OutcomeReason = Members("OutcomeReason", "late_cancel tech_issue illness other unknown")
    RecordedByRole = Members("RecordedByRole", "owner assistant system")

    service = Ref(Service, related_name="appointments", db_comment=p0("service"))
    client = Ref(
        "identity.User",
        db_column="client_user_id",
        null=True,
        blank=True,
        related_name="appointments",
        db_comment=p0("client, if registered"),
    )
    lead = Ref(
        "crm.Lead",
        null=True,
        blank=True,
        related_name="appointments",
        db_comment=p0("lead, if not registered"),
    )
    client_request_id = TextLine(
        null=True, blank=True, db_comment=p0("idempotency key of the caller")
    )
    start_at_utc = models.DateTimeField(db_comment=p0("start, UTC"))
    end_at_utc = models.DateTimeField(db_comment=p0("end, UTC, at most 12 h later"))
    buffer_minutes = models.SmallIntegerField(
        default=0, db_default=0, db_comment=p0("break kept after it, minutes")
    )
    timezone = TextLine(db_comment=p0("the client's IANA zone"))
    format = ClosedSet(Format, db_comment=p0("online or offline"))
    status = ClosedSet(Status, default=Status.pending_payment, db_comment=p0("states.md"))
    hold_expires_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("until when the time is held unpaid, UTC")
    )
    price_amount = models.IntegerField(db_comment=p0("price agreed, whole roubles; never changes"))
    deposit_amount = models.IntegerField(
        null=True, blank=True, db_comment=p0("deposit agreed, whole roubles; never changes")
    )
    meeting_url = TextLine(null=True, blank=True, db_comment=p1("address of the video call"))
    location_text = TextLine(null=True, blank=True, db_comment=p1("where an offline session is"))
    slot = Ref(
        AvailabilitySlot,
        null=True,
        blank=True,
        related_name="appointments",
        db_comment=p0("slot it takes"),
    )
    external_calendar_event_id = TextLine(
        null=True, blank=True, db_comment=p0("event in the outside calendar")
    )
    rescheduled_from = Ref(
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
    outcome_recorded_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("when the outcome was recorded, UTC")
    )
    outcome_recorded_by_role = ClosedSet(
        RecordedByRole, null=True, blank=True, db_comment=p0("who recorded the outcome")
    )
    confirmed_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when confirmed, UTC"))
    canceled_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when canceled, UTC"))
    topic = Ref(
        "content.Topic",
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="appointments",
        db_comment=p0("topic, if one"),
    )
    deep_link_id = TextLine(
        null=True, blank=True, db_comment=p0("deep link it came by; no key, links expire first")
    )
    entry_point = ClosedSet(EntryPoint, null=True, blank=True, db_comment=p0("where from"))
    created_at = created_at()
    updated_at = updated_at()

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
            rules.not_blank("appointments", "client_request_id"),
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
            rules.time_zone("appointments"),
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
                execute=triggers.refusal(
                    "appointments_status_initial",
                    "status",
                    "An appointment starts as a hold; confirmed only when free of charge "
                    "or replacing a rescheduled one",
                ),
            ),
            # At the end of the transaction: old and new row are written in either order.
            triggers.Rule(
                "appointments_replaces_rescheduled",
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                timing=pgtrigger.Deferred,
                condition="NEW.status = 'confirmed' AND NEW.price_amount <> 0",
                body="""
BEGIN
    IF NOT EXISTS (SELECT FROM public.appointments
                   WHERE id = NEW.rescheduled_from_id AND status = 'rescheduled') THEN
        PERFORM public.raise_refusal('appointments_replaces_rescheduled', TG_TABLE_NAME,
            'rescheduled_from_id',
            'A paid session starts confirmed only in place of a rescheduled one');
    END IF;
    RETURN NULL;
END""",
            ),
            triggers.frozen(
                "appointments",
                "agreed_price_stays",
                ["price_amount", "deposit_amount"],
                message="The price agreed at booking does not change",
            ),
            triggers.frozen(
                "appointments",
                "origin_stays",
                ["rescheduled_from_id", "client_request_id"],
                message="What an appointment replaces, and the request it came by, do not change",
            ),
            triggers.touch_updated_at("appointments"),
        ]

    def __str__(self) -> str:
        return f"{self.start_at_utc:%d.%m.%Y %H:%M} UTC"


class Payment(Entity):
    """A payment with the provider. Card data has no column. Written by the payment verbs."""

    Provider = Members("Provider", "yookassa")
    Purpose = Members("Purpose", "deposit full")
    Currency = Members("Currency", "RUB")
    Status = Members("Status", "pending succeeded canceled failed")
    FailureCategory = Members(
        "FailureCategory", "canceled timeout provider_error insufficient_funds unknown"
    )

    appointment = Ref(Appointment, related_name="payments", db_comment=p0("what is paid for"))
    provider = ClosedSet(Provider, default=Provider.yookassa, db_comment=p0("payment provider"))
    provider_payment_id = TextLine(
        null=True, blank=True, db_comment=p0("the provider's id; empty until it has answered")
    )
    idempotency_key = TextLine(db_comment=p0("key under which the provider was asked"))
    purpose = ClosedSet(Purpose, db_comment=p0("deposit or full price"))
    amount = models.IntegerField(db_comment=p0("amount, whole roubles; never changes"))
    currency = ClosedSet(Currency, default=Currency.RUB, db_comment=p0("currency"))
    status = ClosedSet(Status, default=Status.pending, db_comment=p0("states.md"))
    failure_category = ClosedSet(
        FailureCategory, null=True, blank=True, db_comment=p0("why it failed")
    )
    created_at = created_at()
    confirmed_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("when it succeeded, UTC")
    )

    class Meta:
        db_table = "payments"
        db_table_comment = "Payments with the provider"
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            rules.in_range("payments", "amount", 1),
            rules.not_blank("payments", "idempotency_key"),
            rules.not_blank("payments", "provider_payment_id"),
            rules.Unique("payments_idempotency_key_unique", fields=["idempotency_key"]),
            rules.Unique(
                "payments_provider_payment_unique",
                fields=["provider", "provider_payment_id"],
                message=_("This payment of the provider is already recorded."),
            ),
            rules.set_exactly_when(
                "payments_confirmed_at_with_status",
                "confirmed_at",
                Q(status="succeeded"),
                _("A time of success is set exactly for a payment that succeeded."),
            ),
            rules.required_when(
                "payments_succeeded_has_provider_id",
                "provider_payment_id",
                Q(status="succeeded"),
                _("A payment that succeeded has the provider's id."),
            ),
            rules.Check(
                "payments_failure_category_when_over",
                Q(failure_category__isnull=True) | Q(status__in=["failed", "canceled"]),
                _("Only a failed or canceled payment has a reason."),
                field="failure_category",
            ),
            rules.Unique(
                "payments_one_success_per_purpose",
                fields=["appointment", "purpose"],
                condition=Q(status="succeeded"),
                message=_("This has already been paid."),
            ),
            rules.finite("payments", "created_at", "confirmed_at"),
        ]
        indexes = [
            rules.Index("payments_by_appointment", "appointment", serves="what was paid for it"),
            rules.Index(
                "payments_by_success",
                "confirmed_at",
                condition=Q(status="succeeded"),
                serves="metrics: GMV and AOV of a period",
            ),
        ]
        triggers = [
            *triggers.transitions(
                "payments", {"pending": ["succeeded", "canceled", "failed"]}, initial=["pending"]
            ),
            triggers.frozen(
                "payments",
                "terms_stay",
                ["amount", "currency", "purpose", "appointment_id"],
                message="Amount, currency, purpose and appointment of a payment never change",
            ),
            triggers.frozen(
                "payments",
                "provider_id_stays",
                ["provider", "provider_payment_id"],
                when="OLD.provider_payment_id IS NOT NULL",
                message="The provider's id, once known, does not change",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} ₽ · {self.get_status_display()}"


class PaymentWebhookEvent(Entity):
    """That the provider told us something; the body is not stored."""

    LastError = Members("LastError", "unknown_payment amount_mismatch out_of_order internal")

    provider = ClosedSet(Payment.Provider, db_comment=p0("payment provider"))
    provider_event_id = TextLine(db_comment=p0("what makes a repeated delivery the same"))
    event_type = TextLine(db_comment=p0("the provider's name of the event"))
    provider_payment_id = TextLine(db_comment=p0("the provider's id of the payment"))
    received_at = models.DateTimeField(db_default=now_default(), db_comment=p0("receipt, UTC"))
    processed_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("when it took effect, UTC")
    )
    attempts = models.IntegerField(default=0, db_default=0, db_comment=p0("tries so far"))
    last_error = ClosedSet(LastError, null=True, blank=True, db_comment=p0("last failure"))

    class Meta:
        db_table = "payment_webhook_events"
        db_table_comment = "Deliveries of the payment provider"
        verbose_name = _("payment notification")
        verbose_name_plural = _("payment notifications")
        constraints = [
            rules.not_blank("payment_webhook_events", "provider_event_id"),
            rules.matches(
                "payment_webhook_events_event_type_is_dotted_code",
                "event_type",
                r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$",
                _("Lower-case words joined by dots."),
            ),
            rules.not_blank("payment_webhook_events", "provider_payment_id"),
            rules.Unique("payment_webhook_events_once", fields=["provider", "provider_event_id"]),
            rules.in_range("payment_webhook_events", "attempts", 0),
            rules.finite("payment_webhook_events", "received_at", "processed_at"),
        ]
        indexes = [
            rules.Index(
                "payment_webhook_events_unprocessed",
                "received_at",
                condition=Q(processed_at__isnull=True),
                serves="process_webhooks: what is to be done, oldest first",
            ),
            rules.Index(
                "payment_webhook_events_by_payment",
                "provider_payment_id",
                serves="deliveries about a payment",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.provider_payment_id}"


class IntakeForm(Entity):
    """What a client tells before the first session; sealed."""

    Status = Members("Status", "draft submitted")

    appointment = Ref(
        Appointment, DB_CASCADE, related_name="intake_forms", db_comment=p0("for which session")
    )
    status = ClosedSet(Status, default=Status.draft, db_comment=p0("states.md"))
    payload_encrypted = SealedText(db_comment=p2("answers, sealed JSON"))
    created_at = created_at()
    submitted_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when submitted, UTC"))

    class Meta:
        db_table = "intake_forms"
        db_table_comment = "Intake forms, sealed"
        verbose_name = _("intake form")
        verbose_name_plural = _("intake forms")
        constraints = [
            rules.Unique("intake_forms_one_per_appointment", fields=["appointment"]),
            rules.sealed("intake_forms", "payload_encrypted"),
            rules.set_exactly_when(
                "intake_forms_submitted_at_with_status",
                "submitted_at",
                Q(status="submitted"),
                _("A submission time is set exactly for a submitted form."),
            ),
            rules.finite("intake_forms", "created_at", "submitted_at"),
        ]
        triggers = [
            *triggers.transitions("intake_forms", {"draft": ["submitted"]}),
            triggers.frozen(
                "intake_forms",
                "submitted_stays",
                ["appointment_id", "payload_encrypted", "submitted_at", "created_at"],
                when="OLD.status = 'submitted'",
                message="A submitted form is not changed",
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_status_display())


class WaitlistRequest(Entity):
    """Someone who waits for a free time."""

    TimeWindow = Members("TimeWindow", "weekday_morning weekday_evening weekend any")
    Status = Members("Status", "new contacted closed")

    user = Ref(
        "identity.User",
        null=True,
        blank=True,
        related_name="waitlist_requests",
        db_comment=p0("who waits, if registered"),
    )
    lead = Ref(
        "crm.Lead",
        null=True,
        blank=True,
        related_name="waitlist_requests",
        db_comment=p0("lead who waits"),
    )
    service = Ref(Service, related_name="waitlist_requests", db_comment=p0("for which service"))
    preferred_contact = ClosedSet(ContactChannel, db_comment=p0("how to answer"))
    contact_value_encrypted = SealedText(db_comment=p1("contact, sealed"))
    contact_value_bidx = BlindIndex(db_comment=p1("blind index of the contact"))
    preferred_time_window = ClosedSet(
        TimeWindow, null=True, blank=True, db_comment=p0("when it would suit")
    )
    status = ClosedSet(Status, default=Status.new, db_comment=p0("states.md"))
    created_at = created_at()

    class Meta:
        db_table = "waitlist_requests"
        db_table_comment = "People waiting for a free time"
        verbose_name = _("waitlist request")
        verbose_name_plural = _("waitlist requests")
        constraints = [
            rules.sealed("waitlist_requests", "contact_value_encrypted"),
            rules.blind_index("waitlist_requests", "contact_value_bidx"),
            rules.finite("waitlist_requests", "created_at"),
        ]
        indexes = [
            rules.Index("waitlist_requests_by_user", "user", serves="a person's requests; export"),
            rules.Index("waitlist_requests_by_lead", "lead", serves="a lead's requests"),
            rules.Index("waitlist_requests_by_service", "service", serves="who waits for it"),
            rules.Index(
                "waitlist_requests_by_contact", "contact_value_bidx", serves="find_by_contact"
            ),
            rules.Index(
                "waitlist_requests_open",
                "created_at",
                condition=Q(status__in=["new", "contacted"]),
                serves="admin: who still waits, oldest first",
            ),
        ]
        triggers = triggers.transitions(
            "waitlist_requests",
            {"new": ["contacted", "closed"], "contacted": ["closed"]},
            initial=["new"],
        )

    def __str__(self) -> str:
        return f"{self.get_preferred_contact_display()} · {self.get_status_display()}"
