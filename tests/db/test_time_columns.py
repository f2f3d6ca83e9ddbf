"""Each time is a fact, a plan, the database's own or the day of an entry (data-model.md §0).

The kind is the class of the field (ebalance/db/times.py); the rules are read from the catalog.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from audit.models import AuditLogEntry
from crm.models import AnalyticsEvent
from crm.services import record_event
from ebalance.db import times
from tests.advice import advises, of_column, of_field
from tests.clocks import fact_clock_at
from tests.db import catalog
from tests.factories import (
    AnonymousQuestionFactory,
    AppointmentFactory,
    AuditLogEntryFactory,
    ConsentFactory,
    DiaryEntryFactory,
)
from tests.support import breaks, columns_of, execute, insert_row, refuses, save_related, update_sql

pytestmark = pytest.mark.django_db

KINDS = (
    times.FactTime,
    times.ReplayedTime,
    times.PlannedTime,
    times.TimeFromDatabase,
    times.PlannedDay,
    times.DayFromDatabase,
    times.EntryDay,
)
FUTURE = datetime(2099, 1, 1, tzinfo=UTC)


def list_columns(kind: type[models.Field]) -> list[tuple[str, str]]:
    return [
        (model._meta.db_table, field.column)
        for model in catalog.project_models()
        for field in model._meta.concrete_fields
        if isinstance(field, kind)
    ]


FACTS = list_columns(times.FactTime)


@advises
def test_every_time_column_has_a_kind() -> Iterator[str]:
    declared = {where for kind in KINDS for where in list_columns(kind)}
    for column in catalog.columns():
        where = (column["table"], column["name"])
        if column["type"].startswith(("timestamp", "date")) and where not in declared:
            yield of_column(*where)(
                "declare a FactTime, a PlannedTime or another kind of ebalance/db/times.py:"
            )
    for model in catalog.project_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, models.DateField) and not isinstance(field, KINDS):
                yield of_field(field)("declare a kind of ebalance/db/times.py:")


@advises
def test_every_fact_has_its_rule() -> Iterator[str]:
    definitions = {(t["table"], t["name"]): t["definition"] for t in catalog.triggers()}
    limits = {
        times.FactTime: (
            "not_ahead",
            r"\(new\.{} > \(fact_clock\(\) \+ '00:05:00'::interval\)\)",
        ),
        times.EntryDay: (
            "within_a_year",
            r"new\.{} > .*fact_clock\(\) AT TIME ZONE 'UTC'::text\) \+ '1 year'::interval",
        ),
    }
    for kind, (suffix, limit) in limits.items():
        for table, column in list_columns(kind):
            definition = definitions.get((table, f"{table}_{column}_{suffix}"), "")
            if not re.search(
                rf"AFTER INSERT OR UPDATE OF {column} ON .*{limit.format(column)}",
                definition,
                re.IGNORECASE,
            ):
                yield of_column(table, column)("run makemigrations for the rule of", definition)


@breaks(*(f"{table}_{column}_not_ahead" for table, column in FACTS))
@pytest.mark.parametrize(("table", "column"), FACTS)
def test_facts_are_not_ahead_of_the_clock(table: str, column: str) -> None:
    """Where another rule of the row refuses first, the rule itself is asked in a bare table."""
    execute(f"CREATE TABLE public.bare AS SELECT * FROM public.{table} WITH NO DATA")
    (trigger,) = [t for t in catalog.triggers() if t["name"] == f"{table}_{column}_not_ahead"]
    execute(re.sub(r" ON public\.\w+ ", " ON public.bare ", trigger["definition"]))
    now = datetime(2030, 1, 1, tzinfo=UTC)
    with fact_clock_at(now):
        insert_row("bare", {column: now + timedelta(minutes=5)})
        insert_row("bare", {column: None})
        with refuses(f"{table}_{column}_not_ahead", "bare"):
            insert_row("bare", {column: now + timedelta(minutes=5, microseconds=1)})
        with refuses(f"{table}_{column}_not_ahead", "bare"):
            execute(f"UPDATE public.bare SET {column} = '2099-01-01Z'")


def test_stored_future_fact_does_not_stop_other_changes() -> None:
    """A clock that was wrong once must not block the row for ever."""
    with fact_clock_at(FUTURE):
        row = ConsentFactory(granted_at=FUTURE - timedelta(days=1))
    update_sql(row, granted_at=row.granted_at)
    appointment = AppointmentFactory(created_at=timezone.now() + timedelta(minutes=4))
    with fact_clock_at("2020-01-01Z"):
        appointment.topic_id = None
        appointment.save()


def test_full_clean_refuses_a_fact_ahead_of_the_clock() -> None:
    row = ConsentFactory.build(granted_at=FUTURE)
    row.user.save()
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    assert caught.value.error_dict["granted_at"][0].code == "consents_granted_at_not_ahead"
    row.granted_at = timezone.now()
    row.full_clean()


@breaks("diary_entries_entry_date_within_a_year", "diary_entries_entry_date_since_2000")
def test_days_of_entries_lie_between_2000_and_a_year_ahead() -> None:
    row = columns_of(saved_parents(DiaryEntryFactory.build()))
    with fact_clock_at("2028-02-29T12:00Z"):
        for n, (day, rule) in enumerate(
            {
                date(1999, 12, 31): "since_2000",
                date(2000, 1, 1): None,
                date(2029, 2, 28): None,
                date(2029, 3, 1): "within_a_year",
            }.items()
        ):
            given = row | {"entry_date": day, "id": f"01890000-0000-7000-8000-00000000000{n}"}
            if rule is None:
                insert_row("diary_entries", given)
            else:
                with refuses(f"diary_entries_entry_date_{rule}", "diary_entries"):
                    insert_row("diary_entries", given)


def saved_parents(row: models.Model) -> models.Model:
    save_related(row)
    return row


@pytest.mark.parametrize("day", [date(1999, 12, 31), date(2099, 1, 1)])
def test_full_clean_refuses_the_day_of_an_entry(day: date) -> None:
    row = saved_parents(DiaryEntryFactory.build(entry_date=day))
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    assert "entry_date" in caught.value.error_dict


def test_event_from_the_future_occurred_now() -> None:
    now = timezone.now()
    for occurred_at in (FUTURE, now + timedelta(seconds=1)):
        event_id = record_at(occurred_at, now)
        assert AnalyticsEvent.objects.get(event_id=event_id).occurred_at == now
    earlier = now - timedelta(days=3)
    assert AnalyticsEvent.objects.get(event_id=record_at(earlier, now)).occurred_at == earlier


def record_at(occurred_at: datetime, now: datetime) -> str:
    event_id = str(uuid4())
    record_event(
        "diary_entry_created",
        source="web",
        event_id=event_id,
        occurred_at=occurred_at,
        properties={"diary_type": "emotions"},
        clock=lambda: now,
    )
    return event_id


@pytest.mark.parametrize("given", ["2017-01-01Z", "2099-01-01Z", "infinity"])
def test_audit_entry_is_dated_by_the_database(given: str) -> None:
    row = columns_of(saved_parents(AuditLogEntryFactory.build())) | {"created_at": given}
    for column in ("seq", "prev_hash", "row_hash", "origin_salt", "origin_hash"):
        row.pop(column, None)
    with fact_clock_at("2026-05-01T10:00Z"):
        insert_row("audit_log_entries", row)
    entry = AuditLogEntry.objects.order_by("seq").last()
    assert entry is not None
    assert entry.created_at == datetime(2026, 5, 1, 10, tzinfo=UTC)


def test_only_the_erasure_ledger_is_replayed() -> None:
    assert list_columns(times.ReplayedTime) == [
        ("erasure_ledger", "requested_at"),
        ("erasure_ledger", "completed_at"),
    ]


def test_database_overwrites_the_time_of_its_own_columns() -> None:
    assert set(list_columns(times.TimeFromDatabase)) == {
        ("audit_log_entries", "created_at"),
        ("anonymous_questions", "due_at"),
        ("anonymous_questions", "moderated_due_at"),
        ("anonymous_questions", "answer_due_at"),
        ("deep_links", "expires_at"),  # where the writer gives none
    }
    row = columns_of(saved_parents(AnonymousQuestionFactory.build())) | {"due_at": FUTURE}
    insert_row("anonymous_questions", row)
    (stored,) = execute("SELECT due_at FROM anonymous_questions WHERE id = %s", [row["id"]])
    assert stored["due_at"].year < 2099


def test_rules_ask_one_function_for_the_time() -> None:
    """No rule of a table asks now() by itself, except touch_updated_at(), which asks nothing."""
    asking = re.compile(
        r"\b(now|clock_timestamp|statement_timestamp|timeofday)\s*\(|current_(date|time)",
        re.IGNORECASE,
    )
    bodies = {f["name"]: f["source"] for f in catalog.functions()}
    own = {name for name, source in bodies.items() if asking.search(source)}
    assert own - {"fact_clock", "uuid7"} == {"touch_updated_at"}
    assert [t["name"] for t in catalog.triggers() if asking.search(t["definition"])] == []
