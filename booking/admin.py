from django.contrib import admin
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _

from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline

from .models import (
    Appointment,
    AvailabilitySlot,
    IntakeForm,
    Payment,
    PaymentWebhookEvent,
    ScheduleRule,
    Service,
    WaitlistRequest,
)


class ScheduleRuleInline(TabularInline):
    model = ScheduleRule


class PaymentInline(ReadOnly, TabularInline):
    model = Payment
    show_title = True
    fields = ("purpose", "amount", "status", "failure_category", "created_at", "confirmed_at")


class IntakeFormInline(ReadOnly, TabularInline):
    model = IntakeForm
    show_title = True
    fields = ("status", "payload_encrypted", "created_at", "submitted_at")


@admin.register(Service)
class ServiceAdmin(ModelAdmin):
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


@admin.register(AvailabilitySlot)
class AvailabilitySlotAdmin(ModelAdmin):
    list_display = ("start_at_utc", "end_at_utc", "status", "source", "block_type", "service")
    list_filter = ("status", "source", "block_type", "start_at_utc")
    search_fields = ("service__title", "external_event_id", "note")
    ordering = ("-start_at_utc",)


@admin.register(Appointment)
class AppointmentAdmin(ModelAdmin):
    """The verbs of booking write status, times of decisions, and outcome (states.md)."""

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


@admin.register(Payment)
class PaymentAdmin(ReadOnly, ModelAdmin):
    list_display = ("appointment", "purpose", "amount", "status", "created_at", "confirmed_at")
    list_filter = ("status", "purpose", "failure_category", "created_at")
    search_fields = ("idempotency_key", "provider_payment_id")


@admin.register(PaymentWebhookEvent)
class PaymentWebhookEventAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "event_type",
        "provider_payment_id",
        "received_at",
        "processed_at",
        "attempts",
        "last_error",
    )
    list_filter = ("last_error", "received_at")
    search_fields = ("provider_payment_id", "provider_event_id", "event_type")


@admin.register(IntakeForm)
class IntakeFormAdmin(ReadOnly, ModelAdmin):
    list_display = ("appointment", "status", "created_at", "submitted_at")
    list_filter = ("status", "created_at")
    search_fields = ("appointment__client__display_name", "appointment__client__email")


@admin.register(WaitlistRequest)
class WaitlistRequestAdmin(ModelAdmin):
    # The contact was checked and indexed as one of this kind; here it stays sealed.
    locked_fields = ("preferred_contact",)
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
