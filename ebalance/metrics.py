"""Shared parts of the metrics (metrics.md): the period, and reading a definition.

Each metric has one definition, in the ``metrics.py`` of its app. ``manage.py metrics`` and the
views of the analyst read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

DAYS = 30  # of a period without a first day
# The zone of the practice's days, as SQL. The views read this setting too.
ZONE = """coalesce((SELECT value #>> '{}' FROM public.system_settings
    WHERE key = 'practice_timezone'), 'Europe/Moscow')"""


@dataclass(frozen=True)
class Period:
    """Days of the practice, ``first`` and ``last`` included, and the time "now" of its figures.

    Only events of ``environment`` count.
    """

    first: date
    last: date
    zone: str
    now: datetime
    environment: str = field(default_factory=lambda: settings.ENVIRONMENT)

    @classmethod
    def choose(
        cls, first: date | None = None, last: date | None = None, *, now: datetime | None = None
    ) -> Period:
        """The period from ``first`` to ``last``; by default the last 30 days.

        Without ``last`` it ends today, and without ``first`` it has 30 days. Raises ValueError if
        it would end before it begins.
        """
        now = timezone.now() if now is None else now
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT zone, (%s AT TIME ZONE zone)::date FROM (SELECT {ZONE}) AS s (zone)", [now]
            )
            zone, today = cursor.fetchone()
        last = today if last is None else last
        first = last - timedelta(days=DAYS - 1) if first is None else first
        if first > last:
            raise ValueError(f"The period ends on {last}, before its first day {first}.")
        return cls(first, last, zone, now)


@dataclass(frozen=True)
class Metric:
    """The definition of a metric, in SQL.

    ``sql`` is a SELECT. It names the period by ``{first}`` and ``{last}`` (days), by ``{begins}``
    and ``{ends}`` (the times between which it lies), and by ``{previous}``, the begin of the
    period of equal length before it; further ``{zone}``, ``{environment}`` and ``{now}``.
    ``parts`` are pieces of SQL that several definitions share, by name. ``name`` is the name of
    its view, ``comment`` describes the rows of the view.
    """

    name: str
    comment: str
    sql: str
    parts: Mapping[str, str] = field(default_factory=dict)

    def read(self, period: Period) -> list[dict[str, Any]]:
        """The rows of the metric in the period. Numbers with decimals are floats."""
        kinds = {
            "first": "date",
            "last": "date",
            "zone": "text",
            "environment": "text",
            "now": "timestamptz",
        }
        query = self._build({name: f"%({name})s::{kind}" for name, kind in kinds.items()})
        with connection.cursor() as cursor:
            cursor.execute(query, {name: getattr(period, name) for name in kinds})
            columns = [column.name for column in cursor.description]
            rows = [[float(v) if isinstance(v, Decimal) else v for v in r] for r in cursor]
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def build_view(self) -> str:
        """The SELECT of the view: the metric in each period of the view metric_periods."""
        names = ("first", "last", "zone", "environment", "now")
        query = self._build({name: f"p.{name}_value" for name in names})
        return (
            "SELECT p.period, metric.* FROM public.metric_periods p "
            f"CROSS JOIN LATERAL ({query}) AS metric"
        )

    def _build(self, values: Mapping[str, str]) -> str:
        """``values``: SQL of first, last, zone, environment and now."""
        first, last, zone = values["first"], values["last"], values["zone"]
        sql = self.sql
        for name, part in self.parts.items():
            sql = sql.replace(f"{{{name}}}", part)
        return sql.format(
            **values,
            begins=f"({first}::timestamp AT TIME ZONE {zone})",
            ends=f"(({last} + 1)::timestamp AT TIME ZONE {zone})",
            previous=f"(({first} - ({last} - {first} + 1))::timestamp AT TIME ZONE {zone})",
        )
