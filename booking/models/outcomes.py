"""The outcome of a session: how it is stored, and how a wrong one is corrected."""

from datetime import timedelta
from typing import Any

import pgtrigger
from django.utils.translation import gettext_noop

from ebalance.db import triggers
from ebalance.db.times import read_fact_clock

OUTCOME = (
    "outcome",
    "outcome_reason_category",
    "outcome_recorded_at",
    "outcome_recorded_by_role",
)
CORRECTED_WITHIN = timedelta(days=30)  # after the outcome was recorded


def corrected_outcome() -> triggers.Rule:
    """A recorded outcome changes only from attended to no_show or back, for 30 days.

    ``outcome_recorded_at`` never changes, so corrections do not prolong the time for others.
    """
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in OUTCOME)
    return triggers.Rule(
        "appointments_outcome_corrected_only",
        operation=pgtrigger.UpdateOf(*OUTCOME),
        condition=f"OLD.outcome IS NOT NULL AND ({changed})",
        message=gettext_noop(
            "An outcome is corrected only between attended and no show, within 30 days"
        ),
        column="outcome",
        broken=lambda row: is_wrong_correction(row),
        body=f"""
BEGIN
    IF (OLD.outcome IN ('attended', 'no_show') AND NEW.outcome IN ('attended', 'no_show')
        AND OLD.status = 'completed' AND NEW.status = 'completed'
        AND NEW.outcome_recorded_at = OLD.outcome_recorded_at
        AND public.fact_clock() <= OLD.outcome_recorded_at + interval '30 days') IS NOT TRUE THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END""",
    )


def is_wrong_correction(row: Any) -> bool:
    """The rule in Python, for ``full_clean()``."""
    old = triggers.stored(row, "status", *OUTCOME)
    if not old or old["outcome"] is None or all(old[c] == getattr(row, c) for c in OUTCOME):
        return False
    return not (
        {old["outcome"], row.outcome} <= {"attended", "no_show"}
        and old["status"] == row.status == "completed"
        and old["outcome_recorded_at"] == row.outcome_recorded_at
        and read_fact_clock() <= old["outcome_recorded_at"] + CORRECTED_WITHIN
    )
