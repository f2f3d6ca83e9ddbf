"""Daily totals of removed rows: SQL that adds rows to them in the statement that removes the rows.

purge_expired and erase_user use it, so that a metric counts a row once, before and after.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import connection

from crm.cta import followed_by_cta
from ebalance.db.schema.data_map import Table
from ebalance.db.schema.retention import Purged, Totals
from ebalance.db.walks import quote
from interactive.models import InteractiveRun

from .links import table_named
from .rows import PersonalRows

RUNS, EVENTS = "interactive_runs", "analytics_events"

# Sums that need tables of apps above that of the removed rows.
MORE_SUMS = {
    RUNS: {"cta_runs": f"count(*) FILTER (WHERE {followed_by_cta('gone')})"},
}


def totals_of(table: Table) -> Totals | None:
    """The totals of the table's removed rows, if it has some."""
    if not isinstance(table.retention, Purged) or (totals := table.retention.totals) is None:
        return None
    return replace(totals, sums={**totals.sums, **MORE_SUMS.get(table.name, {})})


def total_params() -> dict[str, Any]:
    """The parameters of ``added()``."""
    return {"environment": settings.ENVIRONMENT}


def added(totals: Totals) -> str:
    """SQL: add the rows of ``gone`` to their totals, with the parameters ``total_params()``.

    Rows are written in the order of the key, so that concurrent statements do not deadlock.
    """
    given = {**totals.by, **totals.sums, **totals.lists}
    groups = ", ".join(str(n + 1) for n in range(len(totals.by)))
    more = [f"{quote(c)} = total.{quote(c)} + excluded.{quote(c)}" for c in totals.sums]
    more += [f"{quote(c)} = total.{quote(c)} || excluded.{quote(c)}" for c in totals.lists]
    return (
        f"INSERT INTO {quote(totals.table)} AS total ({', '.join(map(quote, given))}) "
        f"SELECT {', '.join(given.values())} FROM gone WHERE {totals.where} "
        f"GROUP BY {groups} ORDER BY {groups} "
        f"ON CONFLICT ON CONSTRAINT {quote(totals.key)} DO UPDATE SET {', '.join(more)}"
    )


def delete_counted(
    table: Table, totals: Totals, keys: Collection[Any], *, where: str = "true"
) -> int:
    """Delete the rows with these keys that meet ``where``, and add them to their totals.

    ``where`` is SQL over ``row``. Returns the number of deleted rows.
    """
    assert table.model is not None
    key = quote(str(table.model._meta.pk.column))
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH gone AS (DELETE FROM {quote(table.name)} AS row "
            f"WHERE row.{key} = ANY (%(keys)s) AND {where} RETURNING row.*), "
            f"added AS ({added(totals)}) SELECT count(*) FROM gone",
            {"keys": list(keys), **total_params()},
        )
        (rows,) = cursor.fetchone()
    return rows


def delete_runs_with_cta(person: PersonalRows) -> int:
    """Add completed runs that a call to action follows to their totals, before an erasure.

    Afterwards the events no longer name their visit, so no metric would find the call to action.
    Covers runs of the person, and runs without a person in the person's visits. Returns the number
    of deleted runs.
    """
    events = person.of(EVENTS).filter(session_id__isnull=False)
    visits = list(events.order_by().values_list("session_id", flat=True).distinct())
    runs = InteractiveRun.objects.filter(status="completed", session_id__isnull=False)
    keys = {
        *person.of(RUNS).filter(pk__in=runs.values("pk")).values_list("pk", flat=True),
        *runs.filter(user=None, session_id__in=visits).values_list("pk", flat=True),
    }
    table = table_named(RUNS)
    totals = totals_of(table)
    assert totals is not None
    return delete_counted(table, totals, keys, where=followed_by_cta("row")) if keys else 0
