"""A wrong outcome: corrected for 30 days, by the service and by every writer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditLogEntry
from booking.errors import CorrectionTooLate
from booking.models import Appointment
from booking.services import correct_outcome, record_outcome
from ebalance.services import InvalidInput, NotFound, NotPermitted, TransitionRefused
from tests.audit.audit_cases import write_entries
from tests.booking.outbox_assertions import at, confirmed, outbox, refused, tracked, writes_nothing
from tests.clocks import fact_clock_at
from tests.factories import AppointmentFactory, UserFactory
from tests.rule_cases import UPDATES
from tests.rule_groups import loop_over
from tests.support import breaks, refuses

pytestmark = pytest.mark.django_db

RULE = "appointments_outcome_corrected_only"
DAYS = timedelta(days=30)
MICRO = timedelta(microseconds=1)


def recorded(row: Appointment, **since: float) -> Any:
    assert row.outcome_recorded_at is not None
    return row.outcome_recorded_at + timedelta(**since)


# -- every writer ---------------------------------------------------------------------------------


@breaks(RULE)
@loop_over("write_path", UPDATES)
def test_outcome_is_corrected_for_thirty_days(write_path: str) -> None:
    row = AppointmentFactory(completed=True)
    change = UPDATES[write_path]
    with fact_clock_at(recorded(row, days=30)):
        change(row, outcome="no_show", outcome_reason_category="illness")
        row.refresh_from_db()
        change(row, outcome="attended", outcome_recorded_by_role="assistant")
        row.refresh_from_db()
    with fact_clock_at(recorded(row, days=30) + MICRO), refuses(RULE, "appointments"):
        change(row, outcome="no_show")


@loop_over(
    "changes",
    [
        {"outcome_recorded_at": lambda row: row.outcome_recorded_at + MICRO},
        {"outcome": "no_show", "outcome_recorded_at": lambda row: row.start_at_utc},
    ],
)
def test_correction_does_not_prolong_the_time_for_others(changes: dict[str, Any]) -> None:
    row = AppointmentFactory(completed=True)
    to = {name: value(row) if callable(value) else value for name, value in changes.items()}
    with fact_clock_at(recorded(row, days=1)), refuses(RULE, "appointments"):
        UPDATES["sql"](row, **to)


@loop_over(
    ("state", "outcome"),
    [("canceled", "canceled_by_provider"), ("canceled", None), ("rescheduled", None)],
)
@breaks(RULE)
def test_other_outcomes_are_not_corrected(state: str, outcome: str | None) -> None:
    row = AppointmentFactory(**{state: True})
    nothing = {"outcome_recorded_at": None, "outcome_recorded_by_role": None}
    with fact_clock_at(recorded(row)), refuses(RULE, "appointments"):
        UPDATES["sql"](row, outcome=outcome, **(nothing if outcome is None else {}))


# -- the service ----------------------------------------------------------------------------------


def attended() -> Appointment:
    row = confirmed()
    return record_outcome(row, outcome="attended", clock=at(row.end_at_utc))


def test_wrong_outcome_is_corrected_audited_and_published() -> None:
    row = attended()
    before, owner = row.outcome_recorded_at, UserFactory(role="owner")
    now = recorded(row, days=2)
    with fact_clock_at(now):
        corrected = correct_outcome(
            row, outcome="no_show", reason_category="illness", actor=owner, clock=at(now)
        )
        assert (corrected.status, corrected.outcome) == ("completed", "no_show")
        assert (row.outcome_reason_category, row.outcome_recorded_by_role) == ("illness", "owner")
        assert row.outcome_recorded_at == before
        notice = outbox(row)[-1]
        assert (notice.event_type, notice.payload["outcome"]) == (
            "appointment_outcome_corrected",
            "no_show",
        )
        assert [event["outcome"] for event in tracked("appointment_outcome_recorded")] == [
            "attended",
            "no_show",
        ]
        write_entries()
        entry = AuditLogEntry.objects.filter(entity_id=row.pk).latest("seq")
        assert (entry.action, entry.actor_id) == ("outcome_recorded", owner.pk)
        assert (entry.old_value["outcome"], entry.new_value["outcome"]) == ("attended", "no_show")
        with writes_nothing():
            correct_outcome(
                row, outcome="no_show", reason_category="illness", actor=owner, clock=at(now)
            )


def test_correction_is_refused() -> None:
    row, editor, paid = attended(), UserFactory(role="editor"), confirmed()
    with fact_clock_at(recorded(row)):
        with refused(CorrectionTooLate):
            correct_outcome(row, outcome="no_show", clock=at(recorded(row, days=30) + MICRO))
        with refused(NotPermitted):
            correct_outcome(row, outcome="no_show", actor=editor)
        with refused(InvalidInput, field="outcome"):
            correct_outcome(row, outcome="canceled_by_client")
        with refused(InvalidInput, field="reason_category"):
            correct_outcome(row, outcome="no_show", reason_category="nonsense")
        with refused(NotFound):
            correct_outcome("nobody", outcome="no_show")
    with refused(TransitionRefused):
        correct_outcome(paid, outcome="no_show")
