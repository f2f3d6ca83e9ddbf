"""Starts, completions and levels, by interactive and day (metrics.md)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db import connection

# Totals are stored by day, so runs count the same before and after purge_expired has added them up.
# One statement reads runs and totals from one snapshot.
QUERY = """
SELECT day, interactive_definition_id,
       sum(runs),
       coalesce(sum(runs) FILTER (WHERE status = 'completed'), 0),
       coalesce(sum(runs) FILTER (WHERE result_level = 'low'), 0),
       coalesce(sum(runs) FILTER (WHERE result_level = 'moderate'), 0),
       coalesce(sum(runs) FILTER (WHERE result_level = 'high'), 0)
FROM (
    SELECT day, interactive_definition_id, status, result_level, runs
    FROM interactive_run_totals WHERE day BETWEEN %(first)s AND %(last)s
    UNION ALL
    SELECT (started_at AT TIME ZONE 'Europe/Moscow')::date, interactive_definition_id, status,
           result_level, 1
    FROM interactive_runs
    WHERE started_at >= (%(first)s::date::timestamp AT TIME ZONE 'Europe/Moscow')
      AND started_at < ((%(last)s::date + 1)::timestamp AT TIME ZONE 'Europe/Moscow')
) AS run
GROUP BY day, interactive_definition_id ORDER BY day, interactive_definition_id
"""


@dataclass(frozen=True)
class RunsOfDay:
    """The runs of an interactive that were started on a day of Europe/Moscow."""

    day: date
    interactive_definition_id: UUID
    started: int
    completed: int
    low: int  # completed with this level
    moderate: int
    high: int

    @property
    def completion_rate(self) -> float:
        """0 to 1."""
        return self.completed / self.started


def runs_by_day(first: date, last: date) -> list[RunsOfDay]:
    """Each day and interactive with runs, from ``first`` to ``last``. Purged runs count too.

    One query. Totals are kept for 13 months.
    """
    with connection.cursor() as cursor:
        cursor.execute(QUERY, {"first": first, "last": last})
        return [RunsOfDay(*row[:2], *map(int, row[2:])) for row in cursor.fetchall()]
