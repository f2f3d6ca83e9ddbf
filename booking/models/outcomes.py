"""The outcome of a session: how it is stored, and how a wrong one is corrected."""

from datetime import timedelta

import pgtrigger
from django.utils.translation import gettext_noop

from ebalance.db import triggers

OUTCOME = (
    "outcome",
    "outcome_reason_category",
    "outcome_recorded_at",
    "outcome_recorded_by_role",
)
CORRECTED_WITHIN = timedelta(days=30)  # after the outcome was recorded


def corrected_outcome() -> triggers.Rule:
    """A recorded outcome changes only from attended to no_show or back, for 30 days.

    So do reason and role of a completed session. Its ``outcome_recorded_at`` never changes:
    corrections do not prolong the time for others.
    """
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in OUTCOME)
    return triggers.Rule(
        "appointments_outcome_corrected_only",
        operation=pgtrigger.UpdateOf(*OUTCOME),
        when=pgtrigger.After,  # a CHECK that is broken too has the better sentence
        condition="OLD.outcome IS NOT NULL AND (OLD.outcome IS DISTINCT FROM NEW.outcome "
        f"OR OLD.status = 'completed' AND ({changed}))",
        message=gettext_noop(
            "An outcome is corrected only between attended and no show, within 30 days"
        ),
        column="outcome",
        body=f"""
BEGIN
    -- By a CHECK, a completed session is attended or not.
    IF (OLD.status = 'completed' AND NEW.status = 'completed'
        AND NEW.outcome_recorded_at = OLD.outcome_recorded_at
        AND public.fact_clock() <= OLD.outcome_recorded_at + interval '30 days') IS NOT TRUE THEN
        {triggers.REFUSE}
    END IF;
    RETURN NULL;
END""",
    )
