from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import F, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from ebalance.admin.dialogs import Dialog, ServiceActionAdmin, choice, service_action
from ebalance.admin.forms import Form
from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline
from ebalance.admin.publishing import PublishingAdmin
from ebalance.admin.text_dialogs import TextDialog

from .models import (
    Appointment,
    AvailabilitySlot,
    IntakeForm,
    MessageDelivery,
    Service,
    SessionNote,
    WaitlistRequest,
)
from .money_admin import MoneyDialog, PaymentInline, in_roubles, key_of_click
from .schedule_admin import ScheduleRuleInline, describe_start, usual_zone
from .services import (
    book_appointment,
    cancel_appointment,
    close_waitlist_request,
    confirm_appointment,
    correct_outcome,
    mark_waitlist_request_contacted,
    record_manual_payment,
    record_outcome,
    reschedule_appointment,
    write_session_note,
)
from .services.bookings import LONGEST_HOLD
from .services.closures import is_closed
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
    return str(slot.pk), describe_start(slot.start_at_utc)


class AppointmentForm(Form):
    def clean_hold_expires_at(self) -> datetime | None:
        """Refuse here what book_appointment refuses without a field of this page."""
        hold, given = self.cleaned_data["hold_expires_at"], self.cleaned_data
        service, start = given.get("service"), given.get("start_at_utc")
        if hold and service and start:
            end = start + timedelta(minutes=service.duration_minutes)
            if not timezone.now() < hold <= end + LONGEST_HOLD:
                raise ValidationError(
                    _("Choose a time that is not over, at most a day after the session.")
                )
        return hold


class SessionNoteDialog(TextDialog):
    id = key_of_click()


class IntakeFormInline(ReadOnly, TabularInline):
    model = IntakeForm
    show_title = True
    fields = ("status", "payload_encrypted", "created_at", "submitted_at")


class SessionNoteInline(ReadOnly, TabularInline):
    model = SessionNote
    fields = ("written", "author", "updated_at")

    def get_readonly_fields(self, request, obj=None):
        return ["written", *super().get_readonly_fields(request, obj)]

    @admin.display(description=_("created at"))
    def written(self, note: SessionNote) -> str:
        """The time, which leads to the page that reveals the note."""
        address = reverse("admin:booking_sessionnote_change", args=[note.pk])
        shown = date_format(timezone.localtime(note.created_at), "j E Y, H:i")
        return format_html('<a class="text-link" href="{}">{}</a>', address, shown)


@admin.register(Service)
class ServiceAdmin(PublishingAdmin):
    markdown_rows = 8
    list_display = (
        "title",
        "format",
        "duration_minutes",
        in_roubles("price_amount", _("price amount")),
        "status",
        "position",
    )
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


def cancel_and_describe(row: Appointment, by: str, **values: Any) -> str:
    refund = cancel_appointment(row, by=by, **values).refund_amount
    sentence = _("The session is canceled. Due back to the client: %(amount)s roubles.")
    return str(sentence) % {"amount": refund}


@admin.register(Appointment)
class AppointmentAdmin(ServiceActionAdmin):
    """Services of booking write status, times and outcome (states.md)."""

    form = AppointmentForm
    list_display = (
        "start_at_utc",
        "client",
        "lead",
        "status",
        "outcome",
        "service",
        in_roubles("price_amount", _("price amount")),
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
        "write_note",
    )
    # A hold that ran out is canceled, and can still be paid.
    buttons = {
        "pending_payment": ["take_money", "cancel_by_client", "cancel_by_provider"],
        "paid": ["take_money", "confirm", "cancel_by_client", "cancel_by_provider"],
        "confirmed": [n for n in actions_detail if n not in ("confirm", "correct_outcome")],
        "completed": ["take_money", "correct_outcome", "write_note"],
        "canceled": ["take_money", "write_note"],
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
    write_note = service_action(
        "write_note",
        _("Write a note"),
        write_session_note,
        form=SessionNoteDialog,
        permission="write_note",
    )
    inlines = (PaymentInline, IntakeFormInline, SessionNoteInline)
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

    def has_write_note_permission(self, request, object_id=None) -> bool:
        return request.user.has_perm("booking.add_sessionnote")

    def get_changeform_initial_data(self, request):
        return {"timezone": usual_zone()} | super().get_changeform_initial_data(request)

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
        if is_closed(obj.service_id, obj.start_at_utc, obj.end_at_utc):
            sentence = _("The schedule closes this time. The session is booked all the same.")
            self.message_user(request, sentence, messages.WARNING)


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


@admin.register(MessageDelivery)
class MessageDeliveryAdmin(ReadOnly, ModelAdmin):
    list_display = ("due_at", "kind", "user", "lead", "channel", "status", "suppressed_reason")
    list_filter = ("status", "kind", "channel", "suppressed_reason", "due_at")
    list_before_template = "lists/empty.html"
    empty_list = _("Messages to clients about their sessions and questions appear here.")

    def columns(self, request):
        return [f for f in super().columns(request) if f.name != "dedupe_key"]

    search_fields = ("user__display_name", "user__email")
    ordering = ("-due_at",)


@admin.register(SessionNote)
class SessionNoteAdmin(ReadOnly, ModelAdmin):
    """The dialog of a session writes them: no form accepts a value to be sealed."""

    list_display = ("appointment", "author", "created_at", "updated_at")
    list_filter = ("created_at",)
    list_before_template = "lists/empty.html"
    empty_list = _("Write a note on the page of its session. Only the owner reads notes.")
    search_fields = ("appointment__client__display_name", "appointment__client__email")
