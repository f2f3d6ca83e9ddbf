"""Kinds of time columns. Migrations see plain Django fields and the triggers.

Each column of the project that stores a time or a day is one of these kinds:

* a fact states when something happened, and is at most five minutes ahead of the database's clock;
* a plan may lie ahead: a start, an expiry, the first day of working hours;
* a trigger sets a time of the database, for every writer;
* the day of an entry, which a person chooses, lies between 2000 and a year ahead.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pgtrigger
from django.db import connection, models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from . import rules
from .triggers import Rule, stored

LEEWAY = timedelta(minutes=5)
FIRST_DAY = date(2000, 1, 1)


class PlainInMigrations(models.Field):
    """A field that migrations see as Django's own."""

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, f"django.db.models.{self.get_internal_type()}", args, kwargs


class WithRules(PlainInMigrations):
    """A field that brings rules to its table."""

    def contribute_to_class(self, cls: Any, *args: Any, **kwargs: Any) -> None:
        super().contribute_to_class(cls, *args, **kwargs)
        if cls._meta.abstract or cls.__module__ == "__fake__":  # of a migration
            return
        for kind, made in self.make_rules(cls._meta.db_table, self.column or "").items():
            declared = [*getattr(cls._meta, kind, []), *made]
            setattr(cls._meta, kind, declared)
            cls._meta.original_attrs[kind] = declared

    def make_rules(self, table: str, column: str) -> dict[str, list[Any]]:
        raise NotImplementedError


class FactTime(WithRules, models.DateTimeField):
    """When something happened, as the writer gives it. Not ahead of the database's clock."""

    def make_rules(self, table: str, column: str) -> dict[str, list[Any]]:
        return {"triggers": [not_ahead(table, column)]}


class ReplayedTime(PlainInMigrations, models.DateTimeField):
    """A fact that a replay writes again as it was, even where the clock of this host is slow.

    No rule limits it; the service that writes it first stores the earlier of given and now.
    """


class PlannedTime(PlainInMigrations, models.DateTimeField):
    """A time that may lie ahead."""


class TimeFromDatabase(PlainInMigrations, models.DateTimeField):
    """A time that a trigger sets for every writer; an INSERT returns it."""

    db_returning = True


class PlannedTimeFromDatabase(TimeFromDatabase):
    """A time that may lie ahead. A trigger sets it where the writer gives none."""


class PlannedDay(PlainInMigrations, models.DateField):
    """A day that may lie ahead."""


class DayFromDatabase(PlainInMigrations, models.DateField):
    """A day that only the database computes."""


class EntryDay(WithRules, models.DateField):
    """The day of a person's entry: from 2000 to a year ahead."""

    def make_rules(self, table: str, column: str) -> dict[str, list[Any]]:
        since = rules.Check(
            f"{table}_{column}_since_2000",
            models.Q(**{f"{self.name}__gte": FIRST_DAY}),
            _("A day is not before the year 2000."),
            field=self.name,
        )
        return {"constraints": [since], "triggers": [within_a_year(table, column)]}


def not_ahead(table: str, column: str) -> Rule:
    """A new value of ``column`` is at most five minutes ahead of ``fact_clock()``."""
    return Rule(
        f"{table}_{column}_not_ahead",
        operation=pgtrigger.Insert | pgtrigger.UpdateOf(column),
        when=pgtrigger.After,
        condition=f"NEW.{column} > public.fact_clock() + interval '5 minutes'",
        refuse="refuse_new_value",
        message=gettext_noop("This time lies ahead of the clock"),
        column=column,
        broken=lambda row: is_new_value_ahead(row, column),
    )


def within_a_year(table: str, column: str) -> Rule:
    """A new day in ``column`` is at most a year ahead of ``fact_clock()``."""
    return Rule(
        f"{table}_{column}_within_a_year",
        operation=pgtrigger.Insert | pgtrigger.UpdateOf(column),
        when=pgtrigger.After,
        condition=f"NEW.{column} > "
        "((public.fact_clock() AT TIME ZONE 'UTC') + interval '1 year')::date",
        refuse="refuse_new_value",
        message=gettext_noop("This day lies more than a year ahead"),
        column=column,
        broken=lambda row: is_new_day_far_ahead(row, column),
    )


def read_fact_clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT public.fact_clock()")
        (time,) = cursor.fetchone()
    return time


def is_new_value_ahead(row: models.Model, column: str) -> bool:
    value = _value(row, column)
    # Ask the database only about a value that this machine's clock does not explain.
    if not isinstance(value, datetime) or value <= now() or value <= read_fact_clock() + LEEWAY:
        return False
    return (stored(row, column) or {}).get(column) != value


def is_new_day_far_ahead(row: models.Model, column: str) -> bool:
    value = _value(row, column)
    if not isinstance(value, date) or value <= now().date():
        return False
    return value > read_fact_clock().date() + timedelta(days=366) and (
        (stored(row, column) or {}).get(column) != value
    )


def _value(row: models.Model, column: str) -> object:
    field = next(f for f in row._meta.concrete_fields if f.column == column)
    return getattr(row, field.attname)


def now_default() -> models.Func:
    return models.Func(function="now", output_field=models.DateTimeField())
