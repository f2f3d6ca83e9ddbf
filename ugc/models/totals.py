"""The numbers of decided questions: SQL that metrics use too, and what is kept of deleted ones."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import IsNull
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules
from ebalance.db.fields import Entity
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import Totals, purged
from ebalance.db.times import DayFromDatabase

# -- SQL over ``row``, the alias of a decided question (metrics.md, Exactly 7) ---------------------


def decision_day(row: str) -> str:
    return f"({row}.moderated_at AT TIME ZONE 'Europe/Moscow')::date"


def is_rejected_first(row: str) -> str:
    """Whether the first decision rejects. Without a moderation action, the status answers."""
    return (
        "coalesce((SELECT action = 'reject' FROM ugc_moderation_actions "
        f"WHERE ugc_type = 'anonymous_question' AND ugc_id = {row}.id "
        "AND action IN ('approve', 'reject') ORDER BY created_at, id LIMIT 1), "
        f"{row}.status = 'rejected')"
    )


def has_crisis_flag(row: str) -> str:
    return f"'crisis' = ANY ({row}.trigger_flags)"


def is_within_due(row: str) -> str:
    """Whether the first decision met the deadline of that time.

    Rows of release 1.0 keep it in ``due_at`` until the backfill is done.
    """
    return f"{row}.moderated_at <= coalesce({row}.moderated_due_at, {row}.due_at)"


def decision_hours(row: str) -> str:
    return _hours(f"{row}.moderated_at - {row}.submitted_at")


def answer_hours(row: str) -> str:
    return _hours(f"{row}.answered_at - {row}.submitted_at")


def _hours(interval: str) -> str:
    return f"round(extract(epoch FROM {interval}) / 3600, 15)"


# -- of deleted questions --------------------------------------------------------------------------

DAILY = Totals(
    table="moderation_totals",
    key="moderation_totals_one_per_day",
    by={"day": decision_day("gone")},
    sums={
        "decided": "count(*)",
        "rejected": f"count(*) FILTER (WHERE {is_rejected_first('gone')})",
        "crisis": f"count(*) FILTER (WHERE {has_crisis_flag('gone')})",
        "within_due": f"count(*) FILTER (WHERE {is_within_due('gone')})",
        "answered": "count(gone.answered_at)",
    },
    lists={
        "hours": f"array_agg({decision_hours('gone')})",
        "answer_hours": f"coalesce(array_agg({answer_hours('gone')}) "
        "FILTER (WHERE gone.answered_at IS NOT NULL), '{}')",
    },
    where="gone.moderated_at IS NOT NULL",
)


def hour_list(meaning: str) -> ArrayField:
    return ArrayField(models.DecimalField(), default=list, blank=True, db_comment=p0(meaning))


class ModerationTotal(Entity):
    """The deleted questions that were first decided on a day. The purge and erasures write it."""

    day = DayFromDatabase(db_comment=p0("day of the first decision, Europe/Moscow"))
    decided = models.BigIntegerField(db_comment=p0("number of questions"))
    rejected = models.BigIntegerField(db_comment=p0("of these: rejected by the first decision"))
    crisis = models.BigIntegerField(db_comment=p0("of these: with a crisis flag at the end"))
    within_due = models.BigIntegerField(
        db_comment=p0("of these: first decided by the deadline of that time")
    )
    hours = hour_list("hours from submission to the first decision, in no order")
    answered = models.BigIntegerField(db_comment=p0("of these: answered"))
    answer_hours = hour_list("hours from submission to the answer, in no order")

    retention = purged("13 months", after="day")

    class Meta:
        db_table = "moderation_totals"
        db_table_comment = "Daily totals of deleted questions"
        verbose_name = _("total of moderation")
        verbose_name_plural = _("totals of moderation")
        constraints = [
            rules.Unique("moderation_totals_one_per_day", fields=["day"]),
            rules.in_range("moderation_totals", "decided", 1),
            *(
                rules.Check(
                    f"moderation_totals_{column}_within_decided",
                    Q((f"{column}__gte", 0), (f"{column}__lte", F("decided"))),
                    _("Between 0 and the number of decided questions."),
                    field=column,
                )
                for column in ("rejected", "crisis", "within_due", "answered")
            ),
            *(
                rules.Check(
                    f"moderation_totals_{column}_of_each",
                    Q((f"{column}__len", F(counted)))
                    & Q(IsNull(models.Func(column, None, function="array_position"), True)),
                    _("One number for each counted question."),
                    field=column,
                )
                for column, counted in (("hours", "decided"), ("answer_hours", "answered"))
            ),
            rules.finite("moderation_totals", "day"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.decided}"
