"""Runs of interactives, as aggregates."""

from __future__ import annotations

from secrets import token_urlsafe

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
)
from ebalance.db.schema.classification import NULL, of_person, p0, replace
from ebalance.db.schema.retention import Totals, purged
from ebalance.db.sets import EntryPoint
from ebalance.db.times import DayFromDatabase, FactTime, now_default

from .definitions import InteractiveDefinition

DAY_MS = 24 * 60 * 60 * 1000
DAY = "(started_at AT TIME ZONE 'Europe/Moscow')::date"  # days of metrics.md
ALIKE = (
    "interactive_definition_id",
    "status",
    "result_level",
    "result_profile",
    "entry_point",
    "crisis_triggered",
)
DAILY = Totals(
    table="interactive_run_totals",
    key="interactive_run_totals_once",
    by={"day": DAY, **{column: column for column in ALIKE}},
    sums={
        "runs": "count(*)",
        "timed_runs": "count(duration_ms)",
        "duration_ms": "coalesce(sum(duration_ms), 0)",
    },
)


class InteractiveRun(Entity):
    """One passage through an interactive: aggregates only, never an answer or a text."""

    class Status(models.TextChoices):
        IN_PROGRESS = "in_progress", _("in progress")
        COMPLETED = "completed", _("completed")
        ABANDONED = "abandoned", _("abandoned")

    class ResultLevel(models.TextChoices):
        LOW = "low", _("low")
        MODERATE = "moderate", _("moderate")
        HIGH = "high", _("high")

    class ResultProfile(models.TextChoices):
        STABILIZE_NOW = "stabilize_now", _("stabilize now")
        RESTORE_ENERGY = "restore_energy", _("restore energy")
        BOUNDARIES = "boundaries", _("boundaries")
        CLARIFY = "clarify", _("clarify")
        SUPPORT_CONTACT = "support_contact", _("support contact")
        OTHER = "other", _("other")

    class CrisisTrigger(models.TextChoices):
        SELF_HARM = "self_harm", _("self harm")
        SUICIDAL_IDEATION = "suicidal_ideation", _("suicidal ideation")
        VIOLENCE = "violence", _("violence")
        MINOR_RISK = "minor_risk", _("minor risk")
        PANIC_LIKE = "panic_like", _("panic like")

    interactive_definition = RestrictForeignKey(
        InteractiveDefinition, related_name="runs", db_comment=p0("interactive")
    )
    definition_version = models.IntegerField(
        null=True, blank=True, db_comment=p0("version that was shown")
    )
    user = RestrictForeignKey(
        "identity.User",
        null=True,
        blank=True,
        related_name="interactive_runs",
        db_comment=of_person("who ran it, if logged in", NULL, privacy="P1"),
    )
    # An erasure replaces the value: a run without a person needs an anonymous id.
    anonymous_id = SingleLineTextField(
        max_length=lengths.OPAQUE_ID,
        null=True,
        blank=True,
        db_comment=p0(
            "browser or bot identifier", erasure=replace("a new random identifier", token_urlsafe)
        ),
    )
    session_id = models.UUIDField(
        null=True, blank=True, db_comment=p0("visit, as in analytics_events", erasure=NULL)
    )
    status = ClosedSet(Status, default=Status.IN_PROGRESS, db_comment=p0("life cycle"))
    started_at = FactTime(db_default=now_default(), db_comment=p0("start, UTC"))
    completed_at = FactTime(null=True, blank=True, db_comment=p0("end, UTC"))
    result_level = ClosedSet(ResultLevel, null=True, blank=True, db_comment=p0("level reached"))
    result_profile = ClosedSet(
        ResultProfile, null=True, blank=True, db_comment=p0("profile a navigator arrived at")
    )
    duration_ms = models.IntegerField(null=True, blank=True, db_comment=p0("duration, ms"))
    deep_link_id = SingleLineTextField(
        max_length=lengths.OPAQUE_ID,
        null=True,
        blank=True,
        db_comment=p0("deep link that led here; no key, links expire first", erasure=NULL),
    )
    crisis_triggered = models.BooleanField(
        default=False, db_default=False, db_comment=p0("whether the crisis block was shown")
    )
    crisis_trigger_type = ClosedSet(
        CrisisTrigger, null=True, blank=True, db_comment=p0("category of the trigger, no details")
    )
    entry_point = ClosedSet(EntryPoint, null=True, blank=True, db_comment=p0("where from"))

    retention = purged(
        "90 days",
        after="started_at",
        note="added up by day in interactive_run_totals",
        totals=DAILY,
    )

    class Meta:
        db_table = "interactive_runs"
        db_table_comment = "Runs of interactives: aggregates only"
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = [
            rules.opaque_id("interactive_runs", "anonymous_id"),
            rules.opaque_id("interactive_runs", "deep_link_id"),
            rules.Check(
                "interactive_runs_subject_present",
                Q(user__isnull=False) | Q(anonymous_id__isnull=False),
                _("A run has a person or an anonymous identifier."),
            ),
            rules.in_range("interactive_runs", "definition_version", 1),
            rules.in_range("interactive_runs", "duration_ms", 0, DAY_MS),
            rules.set_exactly_when(
                "interactive_runs_completed_at_with_status",
                "completed_at",
                Q(status="completed"),
                _("An end is set exactly for a completed run."),
            ),
            rules.Check(
                "interactive_runs_completed_after_start",
                Q(completed_at__isnull=True) | Q(completed_at__gte=F("started_at")),
                _("A run does not end before it starts."),
                field="completed_at",
            ),
            rules.Check(
                "interactive_runs_result_when_completed",
                Q(status="completed") | rules.none_set(["result_level", "result_profile"]),
                _("Only a completed run has a result."),
                field="result_level",
            ),
            rules.set_exactly_when(
                "interactive_runs_trigger_type_with_flag",
                "crisis_trigger_type",
                Q(crisis_triggered=True),
                _("A trigger category is set exactly when the crisis block was shown."),
            ),
            rules.finite("interactive_runs", "started_at", "completed_at"),
        ]
        indexes = [
            rules.Index(
                "interactive_runs_by_definition",
                "interactive_definition",
                "started_at",
                serves="metrics: starts, completions and levels of an interactive",
            ),
            rules.Index("interactive_runs_by_user", "user", serves="a person's runs; export"),
            rules.Index("interactive_runs_by_start", "started_at", serves="purge_expired, 90 days"),
            rules.Index(
                "interactive_runs_by_session",
                "session_id",
                condition=Q(session_id__isnull=False),
                serves="erasure: runs of the visits that it unlinks",
            ),
        ]
        triggers = triggers.transitions(
            "interactive_runs", {"in_progress": ["completed", "abandoned"]}
        )

    def __str__(self) -> str:
        return f"{self.get_status_display()} {self.started_at:%d.%m.%Y}"


class InteractiveRunTotal(Entity):
    """The number of equal runs of a day. purge_expired writes it and removes the runs."""

    day = DayFromDatabase(db_comment=p0("day of the start, Europe/Moscow"))
    interactive_definition = RestrictForeignKey(
        InteractiveDefinition, related_name="run_totals", db_comment=p0("interactive")
    )
    status = ClosedSet(InteractiveRun.Status, db_comment=p0("life cycle of the runs"))
    result_level = ClosedSet(
        InteractiveRun.ResultLevel, null=True, blank=True, db_comment=p0("level reached")
    )
    result_profile = ClosedSet(
        InteractiveRun.ResultProfile,
        null=True,
        blank=True,
        db_comment=p0("profile a navigator arrived at"),
    )
    entry_point = ClosedSet(EntryPoint, null=True, blank=True, db_comment=p0("where from"))
    crisis_triggered = models.BooleanField(db_comment=p0("whether the crisis block was shown"))
    runs = models.BigIntegerField(db_comment=p0("number of runs"))
    timed_runs = models.BigIntegerField(db_comment=p0("number of runs whose duration is known"))
    duration_ms = models.BigIntegerField(db_comment=p0("their durations added up, ms"))
    cta_runs = models.BigIntegerField(
        default=0,
        db_default=0,
        db_comment=p0("number of completed runs that a cta_click of their visit follows"),
    )

    retention = purged("13 months", after="day")

    class Meta:
        db_table = "interactive_run_totals"
        db_table_comment = "Daily totals of deleted runs"
        verbose_name = _("total of runs")
        verbose_name_plural = _("totals of runs")
        constraints = [
            rules.Unique(
                "interactive_run_totals_once",
                fields=[
                    "day",
                    "interactive_definition",
                    "status",
                    "result_level",
                    "result_profile",
                    "entry_point",
                    "crisis_triggered",
                ],
                nulls_distinct=False,
            ),
            rules.in_range("interactive_run_totals", "runs", 1),
            rules.in_range("interactive_run_totals", "timed_runs", 0),
            rules.in_range("interactive_run_totals", "duration_ms", 0),
            rules.Check(
                "interactive_run_totals_cta_runs_within_runs",
                Q(cta_runs__gte=0, cta_runs__lte=F("runs")),
                _("Between 0 and the number of runs."),
                field="cta_runs",
            ),
            rules.finite("interactive_run_totals", "day"),
        ]
        indexes = [
            rules.Index(
                "interactive_run_totals_by_definition",
                "interactive_definition",
                "day",
                serves="metrics: an interactive's runs of a period; the delete check",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.runs}"
