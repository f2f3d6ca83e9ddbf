"""Holidays and extra hours."""

from datetime import time

from django.db import models
from django.db.models import ExpressionWrapper, F, Q, Value
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from ebalance.db import auditing, lengths, rules
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
    TimeZoneField,
    created_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import NULL, of_person, p0, p1
from ebalance.db.schema.retention import kept
from ebalance.db.times import PlannedDay

from .services import Service

LONGEST_PERIOD = 366  # days, the first and the last included
# The actor of the entry is the colleague.
AUDITED = (
    "service_id",
    "starts_on",
    "ends_on",
    "timezone",
    "kind",
    "start_local",
    "end_local",
)


class ScheduleException(Entity):
    """Days that differ from the working hours: closed, or with extra hours on each of them.

    close_period(), open_period() and remove_exception() write it. A session does not take place
    at a time that an exception closes; sessions booked before stay.
    """

    class Kind(models.TextChoices):
        CLOSED = "closed", pgettext_lazy("Kind of exception", "closed")
        OPEN = "open", _("extra hours")

    # Extra hours have no break. The attribute makes an exception a source of offers as a rule is.
    buffer_minutes = 0

    service = RestrictForeignKey(
        Service,
        DB_CASCADE,
        null=True,
        blank=True,
        related_name="schedule_exceptions",
        db_comment=p0("only for this service; empty: all"),
    )
    starts_on = PlannedDay(db_comment=p0("first day"))
    ends_on = PlannedDay(db_comment=p0("last day, at most the 366th"))
    timezone = TimeZoneField(db_comment=p0("IANA zone of days and wall times"))
    kind = ClosedSet(Kind, db_comment=p0("closed, or open for extra hours"))
    start_local = models.TimeField(
        null=True,
        blank=True,
        db_comment=p0("start on each day, wall time in timezone; empty: closed all day"),
    )
    end_local = models.TimeField(
        null=True, blank=True, db_comment=p0("end on each day, wall time, later the same day")
    )
    note = SingleLineTextField(
        max_length=lengths.NOTE, null=True, blank=True, db_comment=p1("internal note")
    )
    created_by = RestrictForeignKey(
        "identity.User",
        db_column="created_by_user_id",
        null=True,
        blank=True,
        related_name="+",
        # The note may be about the colleague: why the practice is closed.
        db_comment=of_person("colleague who made it", NULL),
    )
    created_at = created_at()

    retention = kept("until staff delete it")

    class Meta:
        db_table = "schedule_exceptions"
        db_table_comment = "Holidays and extra hours"
        verbose_name = _("schedule exception")
        verbose_name_plural = _("schedule exceptions")
        constraints = [
            rules.Check(
                "schedule_exceptions_ends_on_after_start",
                Q(ends_on__gte=F("starts_on")),
                _("The last day is not before the first."),
                field="ends_on",
            ),
            rules.Check(
                "schedule_exceptions_at_most_366_days",
                Q(
                    ends_on__lt=ExpressionWrapper(
                        F("starts_on") + Value(LONGEST_PERIOD), models.DateField()
                    )
                ),
                _("An exception lasts at most 366 days."),
                field="ends_on",
            ),
            rules.all_or_none(
                "schedule_exceptions_hours_all_or_none",
                ["start_local", "end_local"],
                _("Start and end are given together."),
            ),
            rules.required_when(
                "schedule_exceptions_open_has_hours",
                "start_local",
                Q(kind="open"),
                _("Extra hours have a start and an end."),
            ),
            rules.Check(
                "schedule_exceptions_ends_after_start",
                Q(end_local__isnull=True) | Q(end_local__gt=F("start_local")),
                _("The end is later the same day."),
                field="end_local",
            ),
            # PostgreSQL accepts 24:00, which is on the next day.
            rules.Check(
                "schedule_exceptions_ends_before_midnight",
                Q(end_local__isnull=True) | Q(end_local__lte=time.max),
                _("The end is later the same day."),
                field="end_local",
            ),
            rules.finite("schedule_exceptions", "starts_on", "ends_on", "created_at"),
        ]
        indexes = [
            rules.Index(
                "schedule_exceptions_by_end",
                "ends_on",
                serves="bookable_slots: closed periods that are not over",
            ),
            rules.Index("schedule_exceptions_by_service", "service", serves="delete of a service"),
            rules.Index("schedule_exceptions_by_author", "created_by", serves="the delete check"),
        ]
        triggers = [
            *auditing.audited(
                "schedule_exceptions",
                inserted=("schedule_exception_created", AUDITED),
                changed=("schedule_exception_changed", AUDITED),
                deleted="schedule_exception_deleted",
            ),
        ]

    def __str__(self) -> str:
        days = f"{self.starts_on:%d.%m.%Y}–{self.ends_on:%d.%m.%Y}"
        if self.start_local is None or self.end_local is None:
            return days
        return f"{days}, {self.start_local:%H:%M}–{self.end_local:%H:%M}"
