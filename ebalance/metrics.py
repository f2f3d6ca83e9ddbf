"""Shared parts of the metrics (metrics.md): the period, and reading a definition.

Each metric has one definition, in the ``metrics.py`` of its app.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from ebalance.db.zones import find_zone

DAYS = 30  # of a period without a first day
YEARS = range(2000, 2101)
ZONE_SETTING, USUAL_ZONE = "practice_timezone", "Europe/Moscow"


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
        it would end before it begins, lies outside of YEARS, or if the setting of the zone is
        wrong.
        """
        now = timezone.now() if now is None else now
        zone = read_zone()
        with connection.cursor() as cursor:
            cursor.execute("SELECT (%s AT TIME ZONE %s)::date", [now, zone])
            (today,) = cursor.fetchone()
        last = today if last is None else last
        for day in (first, last):
            if day is not None and day.year not in YEARS:
                raise ValueError(f"The year of {day} is not between {YEARS[0]} and {YEARS[-1]}.")
        first = last - timedelta(days=DAYS - 1) if first is None else first
        if first > last:
            raise ValueError(f"The period ends on {last}, before its first day {first}.")
        return cls(first, last, zone, now)


def read_zone() -> str:
    """The zone of the practice's days: the setting ZONE_SETTING.

    Raises ValueError if the setting is no zone that the server knows.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM system_settings WHERE key = %s", [ZONE_SETTING])
        row = cursor.fetchone()
    if row is None:
        return USUAL_ZONE
    value = json.loads(row[0])
    zone = find_zone(value)
    if zone is None:
        raise ValueError(f"The setting {ZONE_SETTING} is {value!r}, which is not a time zone.")
    return zone


@dataclass(frozen=True)
class Metric:
    """The definition of a metric, in SQL.

    ``sql`` is a SELECT. It names the days of the period ``{first}`` and ``{last}``, its start
    ``{begins}``, the time after it ``{ends}``, and the start of the period of equal length before
    it ``{previous}``. ``{zone}``, ``{environment}`` and ``{now}`` are those of the period.
    ``parts`` are pieces of SQL that several definitions share, by name.
    """

    name: str
    sql: str
    parts: Mapping[str, str] = field(default_factory=dict)

    def read(self, period: Period) -> list[dict[str, Any]]:
        """The rows of the metric in the period. Numbers with decimals are floats."""
        query = self._build(
            first="%(first)s::date",
            last="%(last)s::date",
            zone="%(zone)s::text",
            environment="%(environment)s::text",
            now="%(now)s::timestamptz",
        )
        with connection.cursor() as cursor:
            cursor.execute(query, asdict(period))
            columns = [column.name for column in cursor.description]
            rows = [[float(v) if isinstance(v, Decimal) else v for v in r] for r in cursor]
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def _build(self, *, first: str, last: str, zone: str, **others: str) -> str:
        """The SELECT with this SQL for the names of the period."""
        sql = self.sql
        for name, part in self.parts.items():
            sql = sql.replace(f"{{{name}}}", part)
        return sql.format(
            first=first,
            last=last,
            zone=zone,
            begins=f"({first}::timestamp AT TIME ZONE {zone})",
            ends=f"(({last} + 1)::timestamp AT TIME ZONE {zone})",
            previous=f"(({first} - ({last} - {first} + 1))::timestamp AT TIME ZONE {zone})",
            **others,
        )
