"""Pages of the schedule: rules, exceptions and slots."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import ClassVar

from django.contrib import admin, messages
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from ebalance.admin.dialogs import ServiceActionAdmin, service_action
from ebalance.admin.options import ModelAdmin, TabularInline

from .models import Appointment, AvailabilitySlot, ScheduleException, ScheduleRule
from .models.times import BLOCKING
from .services import block_slot, unblock_slot
from .services.closures import is_closed_by


def describe_start(start: datetime) -> str:
    """A start as admin shows times."""
    return date_format(timezone.localtime(start), "D, j E Y, H:i")


def usual_zone() -> str | None:
    """The zone of the newest schedule rule, which the practice works in."""
    return ScheduleRule.objects.order_by("-pk").values_list("timezone", flat=True).first()


def sessions_closed_by(exception: ScheduleException) -> list[Appointment]:
    """The sessions ahead in the closed time. An exception cancels none."""
    if exception.kind != ScheduleException.Kind.CLOSED:
        return []
    first, last = (
        datetime.combine(day, time(), UTC) + timedelta(days=days)
        for day, days in ((exception.starts_on, -1), (exception.ends_on, 2))
    )
    rows = Appointment.objects.filter(
        status__in=BLOCKING,
        start_at_utc__gt=max(timezone.now(), first),
        start_at_utc__lt=last,
    ).order_by("start_at_utc", "pk")
    return [
        row
        for row in rows
        if is_closed_by([exception], row.service_id, row.start_at_utc, row.end_at_utc)
    ]


class ScheduleRuleInline(TabularInline):
    model = ScheduleRule


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
    explained: ClassVar = {
        "service": _("Leave this empty if it is so for all services."),
        "kind": _(
            "Nobody can book a closed time from now on. Free times follow later, by themselves."
        ),
        "start_local": _("Leave start and end empty if the whole day is closed."),
    }
    list_filter = ("kind", "starts_on")
    search_fields = ("service__title", "note")
    ordering = ("-starts_on",)
    locked_fields = ("created_by",)
    list_before_template = "lists/empty.html"
    empty_list = _("Add days off and extra hours here. All other days follow the schedule rules.")

    def get_changeform_initial_data(self, request):
        return {"timezone": usual_zone()} | super().get_changeform_initial_data(request)

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name in self.explained:
            kwargs["help_text"] = self.explained[db_field.name]
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request, obj, form, change):
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)
        if starts := [row.start_at_utc for row in sessions_closed_by(obj)]:
            sentence = str(
                _("These sessions stay booked. Move or cancel them yourself: %(starts)s.")
            )
            listed = "; ".join(map(describe_start, starts))
            self.message_user(request, str(sentence) % {"starts": listed}, messages.WARNING)


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
