"""Working hours and the times that can be booked."""

from datetime import time

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, pgettext_lazy

from ebalance.db import lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    ExternalId,
    RestrictForeignKey,
    SingleLineTextField,
    TimeZoneField,
    created_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import p0, p1
from ebalance.db.schema.retention import kept
from ebalance.db.times import PlannedDay, PlannedTime

from .services import Service
from .times import session_times


class ScheduleRule(Entity):
    """Recurring working hours in local wall time: slots keep their hour across clock changes."""

    class Recurrence(models.TextChoices):
        WEEKLY = "weekly", _("weekly")
        BIWEEKLY = "biweekly", _("biweekly")

    service = RestrictForeignKey(
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
    timezone = TimeZoneField(db_comment=p0("IANA zone of the wall times"))
    recurrence = ClosedSet(Recurrence, db_comment=p0("every week or every second"))
    valid_from = PlannedDay(db_comment=p0("first day"))
    valid_until = PlannedDay(null=True, blank=True, db_comment=p0("last day; empty: open"))
    buffer_minutes = models.SmallIntegerField(
        default=0, db_default=0, db_comment=p0("break after a session, minutes")
    )
    is_active = models.BooleanField(default=True, db_default=True, db_comment=p0("in force"))

    retention = kept("until staff delete it")

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
            # PostgreSQL accepts 24:00, which is on the next day.
            rules.Check(
                "schedule_rules_ends_before_midnight",
                Q(end_local__lte=time.max),
                _("The end is later the same day."),
                field="end_local",
            ),
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
        return f"{self.weekday}: {self.start_local:%H:%M}–{self.end_local:%H:%M}"


class AvailabilitySlot(Entity):
    """A time that can be booked, is booked, or is blocked; made from rules, staff or the calendar.

    Only generate_slots() withdraws a slot: no schedule rule offers it any more. It can offer the
    slot again. Staff close a slot by blocking it.
    """

    class Status(models.TextChoices):
        AVAILABLE = "available", _("available")
        RESERVED = "reserved", _("reserved")
        BLOCKED = "blocked", _("blocked")
        WITHDRAWN = "withdrawn", _("withdrawn")

    class Source(models.TextChoices):
        PRODUCT = "product", pgettext_lazy("Source", "product")
        GOOGLE_CALENDAR = "google_calendar", _("google calendar")

    class BlockType(models.TextChoices):
        EXCEPTION = "exception", _("exception")
        BUFFER = "buffer", _("buffer")

    service = RestrictForeignKey(
        Service,
        null=True,
        blank=True,
        related_name="slots",
        db_comment=p0("only for this service; empty: any"),
    )
    schedule_rule = RestrictForeignKey(
        ScheduleRule,
        null=True,
        blank=True,
        related_name="slots",
        # A rule that made slots is switched off, not deleted: the slots show when it was in force.
        db_comment=p0("rule that made it; empty: staff or the outside calendar"),
    )
    # Not a foreign key: the exception is deleted to take its hours back, and its slots stay known.
    schedule_exception_id = models.UUIDField(
        null=True,
        blank=True,
        editable=False,
        db_comment=p0("exception whose extra hours made it, which may be deleted since"),
    )
    start_at_utc = PlannedTime(db_comment=p0("start, UTC"))
    end_at_utc = PlannedTime(db_comment=p0("end, UTC, at most 12 h later"))
    status = ClosedSet(Status, default=Status.AVAILABLE, db_comment=p0("life cycle"))
    source = ClosedSet(Source, default=Source.PRODUCT, db_comment=p0("who made it"))
    external_event_id = ExternalId(
        max_length=lengths.EXTERNAL_ID,
        null=True,
        blank=True,
        db_comment=p0("event in the outside calendar"),
    )
    block_type = ClosedSet(BlockType, null=True, blank=True, db_comment=p0("why it is blocked"))
    buffer_minutes = models.SmallIntegerField(
        default=0, db_default=0, db_comment=p0("break kept after a session here, minutes")
    )
    note = SingleLineTextField(
        max_length=lengths.NOTE, null=True, blank=True, db_comment=p1("internal note")
    )
    created_at = created_at()

    retention = kept("until staff delete it")

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
            rules.Check(
                "availability_slots_withdrawn_has_rule",
                ~Q(status="withdrawn")
                | Q(schedule_rule__isnull=False)
                | Q(schedule_exception_id__isnull=False),
                _("Only a slot that a schedule rule made is withdrawn; block any other slot."),
                field="schedule_rule",
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
            rules.Index(
                "availability_slots_by_rule",
                "schedule_rule",
                "start_at_utc",
                serves="generate_slots: slots to withdraw; delete",
            ),
        ]
        triggers = [
            *triggers.transitions(
                "availability_slots",
                {
                    "available": ["reserved", "blocked", "withdrawn"],
                    "reserved": ["available"],
                    "blocked": ["available"],
                    "withdrawn": ["available"],
                },
            ),
            triggers.frozen(
                "availability_slots",
                "reserved_stays_put",
                ["start_at_utc", "end_at_utc", "service_id", "buffer_minutes", "source"],
                status="reserved",
                message=gettext_noop("A reserved slot is not moved"),
            ),
            triggers.no_delete(
                "availability_slots",
                condition="OLD.status = 'reserved'",
                message=gettext_noop("A reserved slot is not deleted"),
                withholds=(),
            ),
            triggers.no_truncate("availability_slots"),
        ]

    def __str__(self) -> str:
        return f"{self.start_at_utc:%d.%m.%Y %H:%M} UTC"
