from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from ebalance.admin.dialogs import Dialog, ServiceActionAdmin, choice, service_action
from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline
from ebalance.admin.publishing import PublishingAdmin

from .models import (
    Appointment,
    AvailabilitySlot,
    IntakeForm,
    ScheduleException,
    ScheduleRule,
    Service,
    WaitlistRequest,
)
from .money_admin import MoneyDialog, PaymentInline
from .services import (
    block_slot,
    book_appointment,
    cancel_appointment,
    close_waitlist_request,
    confirm_appointment,
    correct_outcome,
    mark_waitlist_request_contacted,
    record_manual_payment,
    record_outcome,
    reschedule_appointment,
    unblock_slot,
)
from .services.staff_bookings import USUAL_HOLD

SLOTS_SHOWN = 200  # in the dialog that moves a session


class ReasonDialog(Dialog):
    shown_at = "reason_category"
    reason_category = choice(_("Reason"), Appointment.OutcomeReason.choices, required=False)


class CorrectionDialog(ReasonDialog):
    outcome = choice(
        _("What happened"),
        [("attended", _("took place")), ("no_show", _("the client did not come"))],
    )
    field_order = ("outcome", "reason_category")


class RescheduleDialog(Dialog):
    """Offers the available slots that the session fits into, the earliest first."""

    shown_at = "slot"
    slot = choice(_("New time"), ())
    by = choice(
        _("At whose wish"),
        [("client", _("the client")), ("provider", _("the psychologist"))],
        initial="provider",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slot"].choices = [("", "---------"), *map(slot_choice, self.free_slots())]

    def free_slots(self) -> QuerySet[AvailabilitySlot]:
        try:
            row = Appointment.objects.select_related("service").filter(pk=self.object_id).first()
        except ValidationError:
            row = None
        if row is None:
            return AvailabilitySlot.objects.none()
        return AvailabilitySlot.objects.filter(
            Q(service=row.service_id) | Q(service=None),
            status="available",
            start_at_utc__gt=timezone.now(),
            end_at_utc__gte=F("start_at_utc") + timedelta(minutes=row.service.duration_minutes),
        ).order_by("start_at_utc", "pk")[:SLOTS_SHOWN]


def slot_choice(slot: AvailabilitySlot) -> tuple[str, str]:
    """The key of the slot, and its start as admin shows times."""
    return str(slot.pk), date_format(timezone.localtime(slot.start_at_utc), "D, j E Y, H:i")


class ScheduleRuleInline(TabularInline):
    model = ScheduleRule


class IntakeFormInline(ReadOnly, TabularInline):
    model = IntakeForm
    show_title = True
    fields = ("status", "payload_encrypted", "created_at", "submitted_at")


@admin.register(Service)
class ServiceAdmin(PublishingAdmin):
    markdown_rows = 8
    list_display = ("title", "format", "duration_minutes", "price_amount", "status", "position")
    list_filter = ("status", "format", "topic")
    search_fields = ("title", "slug")
    inlines = (ScheduleRuleInline,)
    sections = {
        _("Price"): ("price_amount", "deposit_amount"),
        _("Cancelling and moving"): (
            "cancel_free_hours",
            "cancel_partial_hours",
            "reschedule_min_hours",
            "reschedule_max_count",
        ),
    }


@admin.register(ScheduleRule)
class ScheduleRuleAdmin(ModelAdmin):
    list_display = (
        "weekday_name",
        "start_local",
        "end_local",
        "timezone",
        "recurrence",
        "service",
        "valid_from",
        "is_active",
    )
    list_filter = ("recurrence", "is_active")
    search_fields = ("service__title", "timezone")

    @admin.display(description=_("weekday"), ordering="weekday")
    def weekday_name(self, rule: ScheduleRule) -> str:
        return str(WEEKDAYS[rule.weekday - 1])


@admin.register(ScheduleException)
class ScheduleExceptionAdmin(ModelAdmin):
    """Booking refuses closed times at once. Slots follow with the next ``generate_slots``."""

    list_display = ("starts_on", "ends_on", "kind", "start_local", "end_local", "service")
    list_filter = ("kind", "starts_on")
    search_fields = ("service__title", "note")
    ordering = ("-starts_on",)
    locked_fields = ("created_by",)

    def save_model(self, request, obj, form, change):
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)


@admin.register(AvailabilitySlot)
class AvailabilitySlotAdmin(ServiceActionAdmin):
    """A new slot is available. Services block it, or reserve it for an appointment."""

    list_display = ("start_at_utc", "end_at_utc", "status", "source", "block_type", "service")
    list_filter = ("status", "source", "block_type", "start_at_utc")
    search_fields = ("service__title", "external_event_id", "note")
    ordering = ("-start_at_utc",)
    locked_fields = ("status", "block_type", "schedule_rule")
    settled_fields = ("start_at_utc", "end_at_utc")
    actions = ("block_selected", "unblock_selected")
    actions_detail = ("block", "unblock")
    buttons = {"available": ["block"], "blocked": ["unblock"]}

    block = service_action("block", _("Block this time"), block_slot)
    unblock = service_action("unblock", _("Give this time back"), unblock_slot)

    @admin.action(description=_("Block the selected times"), permissions=["change"])
    def block_selected(self, request, slots):
        self.call_for_all(request, slots, block_slot)

    @admin.action(description=_("Give the selected times back"), permissions=["change"])
    def unblock_selected(self, request, slots):
        self.call_for_all(request, slots, unblock_slot)


def cancel_and_describe(row: Appointment, by: str, **values: Any) -> str:
    refund = cancel_appointment(row, by=by, **values).refund_amount
    sentence = _("The session is canceled. Due back to the client: %(amount)s roubles.")
    return str(sentence) % {"amount": refund}


@admin.register(Appointment)
class AppointmentAdmin(ServiceActionAdmin):
    """Services of booking write status, times and outcome (states.md)."""

    list_display = (
        "start_at_utc",
        "service",
        "client",
        "lead",
        "status",
        "outcome",
        "price_amount",
    )
    list_filter = ("status", "outcome", "format", "topic", "entry_point", "start_at_utc")
    search_fields = ("client__display_name", "client__email", "client__phone", "service__title")
    ordering = ("-start_at_utc",)
    date_hierarchy = "start_at_utc"
    locked_fields = (
        "status",
        "outcome",
        "outcome_reason_category",
        "outcome_recorded_at",
        "outcome_recorded_by_role",
        "confirmed_at",
        "canceled_at",
    )
    # The fields of a new appointment. book_appointment() sets the others.
    booked_with = (
        *("service", "client", "lead", "start_at_utc", "timezone", "format", "topic"),
        "hold_expires_at",
    )
    settled_fields = (
        "service",
        "start_at_utc",
        "end_at_utc",
        "buffer_minutes",
        "slot",
        "hold_expires_at",
    )
    actions_detail = (
        "take_money",
        "confirm",
        "attended",
        "no_show",
        "correct_outcome",
        "reschedule",
        "cancel_by_client",
        "cancel_by_provider",
    )
    # A hold that ran out is canceled, and can still be paid.
    buttons = {
        "pending_payment": ["take_money", "cancel_by_client", "cancel_by_provider"],
        "paid": ["take_money", "confirm", "cancel_by_client", "cancel_by_provider"],
        "confirmed": [n for n in actions_detail if n not in ("confirm", "correct_outcome")],
        "completed": ["take_money", "correct_outcome"],
        "canceled": ["take_money"],
    }

    take_money = service_action(
        "take_money",
        _("Record a payment"),
        record_manual_payment,
        form=MoneyDialog,
        permission="record_payment",
    )
    confirm = service_action("confirm", _("Confirm"), confirm_appointment)
    attended = service_action(
        "attended",
        _("Took place"),
        lambda row, **values: record_outcome(row, outcome="attended", **values),
    )
    no_show = service_action(
        "no_show",
        _("The client did not come"),
        lambda row, **values: record_outcome(row, outcome="no_show", **values),
        form=ReasonDialog,
    )
    correct_outcome = service_action(
        "correct_outcome", _("Correct the outcome"), correct_outcome, form=CorrectionDialog
    )
    reschedule = service_action(
        "reschedule", _("Move"), reschedule_appointment, form=RescheduleDialog
    )
    cancel_by_client = service_action(
        "cancel_by_client",
        _("The client cancels"),
        lambda row, **values: cancel_and_describe(row, "client", **values),
        form=ReasonDialog,
    )
    cancel_by_provider = service_action(
        "cancel_by_provider",
        _("The psychologist cancels"),
        lambda row, **values: cancel_and_describe(row, "provider", **values),
        form=ReasonDialog,
    )
    inlines = (PaymentInline, IntakeFormInline)
    sections = {
        _("Price"): ("price_amount", "deposit_amount"),
        _("Outcome"): (
            "outcome",
            "outcome_reason_category",
            "outcome_recorded_at",
            "outcome_recorded_by_role",
        ),
        _("Origin"): (
            "rescheduled_from",
            "client_request_id",
            "external_calendar_event_id",
            "topic",
            "deep_link_id",
            "entry_point",
        ),
    }

    def has_record_payment_permission(self, request, object_id=None) -> bool:
        return request.user.has_perm("booking.record_payment")

    def get_fieldsets(self, request, obj=None):
        if obj is None:
            return [(None, {"fields": self.booked_with})]
        return super().get_fieldsets(request, obj)

    def save_model(self, request, obj, form, change):
        """Staff book any free start, which waits for its money until they choose, or for a day.

        The session takes the available slot that contains its start, if any.
        """
        if change:
            super().save_model(request, obj, form, change)
            return
        booked = book_appointment(
            obj.service_id,
            start=obj.start_at_utc,
            client=obj.client_id,
            lead=obj.lead_id,
            client_request_id=f"admin-{obj.pk}",
            timezone=obj.timezone,
            format=obj.format,
            topic=obj.topic_id,
            override=True,
            hold_until=obj.hold_expires_at or timezone.now() + USUAL_HOLD,
            actor=request.user,
        )
        obj.pk = booked.pk
        obj.refresh_from_db()


@admin.register(IntakeForm)
class IntakeFormAdmin(ReadOnly, ModelAdmin):
    list_display = ("appointment", "status", "created_at", "submitted_at")
    list_filter = ("status", "created_at")
    search_fields = ("appointment__client__display_name", "appointment__client__email")


@admin.register(WaitlistRequest)
class WaitlistRequestAdmin(ServiceActionAdmin):
    # The sealed contact was checked and indexed as one of this kind.
    locked_fields = ("preferred_contact", "status")
    actions = ("mark_selected_contacted", "close_selected")
    actions_detail = ("mark_contacted", "close")
    buttons = {"new": ["mark_contacted", "close"], "contacted": ["close"]}

    mark_contacted = service_action(
        "mark_contacted", _("Mark as contacted"), mark_waitlist_request_contacted
    )
    close = service_action("close", _("Close"), close_waitlist_request)

    @admin.action(description=_("Mark the selected as contacted"), permissions=["change"])
    def mark_selected_contacted(self, request, waiting):
        self.call_for_all(request, waiting, mark_waitlist_request_contacted)

    @admin.action(description=_("Close the selected"), permissions=["change"])
    def close_selected(self, request, waiting):
        self.call_for_all(request, waiting, close_waitlist_request)

    list_display = (
        "service",
        "user",
        "lead",
        "preferred_contact",
        "preferred_time_window",
        "status",
        "created_at",
    )
    list_filter = ("status", "preferred_contact", "preferred_time_window", "created_at")
    search_fields = ("service__title", "user__display_name", "user__email")
