"""Every table declares its retention, in agreement with the specification."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, models

from booking.models import Appointment
from crm.models import DeepLink, Lead
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema import dictionary
from ebalance.db.schema.data_map import Table, Undeclared, tables
from ebalance.db.schema.retention import (
    GoesWith,
    Kept,
    Purged,
    RemovedBy,
    Retention,
    goes_with,
    kept,
)
from ebalance.db.schema.third_party import TABLES as THIRD_PARTY
from ebalance.privacy import retention
from ebalance.privacy.totals import totals_of
from tests.advice import (
    advises,
    of_class,
    of_column,
    of_field,
    of_rule,
    of_table,
    undeclared,
)
from tests.db import catalog
from tests.support import execute

pytestmark = pytest.mark.django_db

# Transcribed from privacy.md §4: table to time and columns from which it runs. The specification
# does not cover Django's tables.
PURGED = {
    "deep_links": ("", "expires_at"),
    "interactive_runs": ("90 days", "started_at"),
    "interactive_run_totals": ("13 months", "day"),
    "moderation_totals": ("13 months", "day"),
    "erasure_requests": ("90 days", "completed_at"),  # not in the specification: ADR 0049
    "anonymous_questions": ("90 days", "answered_at moderated_at moderated_at"),
    "waitlist_requests": ("90 days", "closed_at"),
    "lead_identities": ("24 months", "created_at"),
    "intake_forms": ("7 days", "created_at"),
    "message_deliveries": ("13 months", "created_at"),
    "session_notes": ("0 days", "created_at"),
    "diary_entries": ("30 days", "deleted_at"),
    "data_export_requests": ("90 days", "created_at"),
    "review_publication_consents": ("3 years", "revoked_at granted_at"),
    "analytics_events": ("13 months", "received_at"),
    "payment_webhook_events": ("90 days", "processed_at"),
    "outbox_events": ("90 days", "published_at"),
    "leases": ("", "expires_at"),  # not in the specification: ADR 0033
    "login_limits": ("", "expires_at"),  # not in the specification: ADR 0039
    "django_session": ("", "expire_date"),
    "django_admin_log": ("3 years", "action_time"),
}
# The index that a batch reads.
INDEXES = {
    ("anonymous_questions", "answered_at"): "anonymous_questions_answered",
    ("anonymous_questions", "moderated_at"): "anonymous_questions_decided",
    ("intake_forms", "created_at"): "intake_forms_by_creation",
    ("message_deliveries", "created_at"): "message_deliveries_by_creation",
    ("session_notes", "created_at"): "session_notes_by_creation",
    ("lead_identities", "created_at"): "lead_identities_by_creation",
    ("waitlist_requests", "closed_at"): "waitlist_requests_closed",
    ("analytics_events", "received_at"): "analytics_events_by_receipt",
    ("data_export_requests", "created_at"): "data_export_requests_over",
    ("deep_links", "expires_at"): "deep_links_by_expiry",
    ("diary_entries", "deleted_at"): "diary_entries_deleted",
    ("django_session", "expire_date"): "django_session_expire_date_a5c62663",
    ("interactive_run_totals", "day"): "interactive_run_totals_once",
    ("interactive_runs", "started_at"): "interactive_runs_by_start",
    ("moderation_totals", "day"): "moderation_totals_one_per_day",
    ("erasure_requests", "completed_at"): "erasure_requests_over",
    ("leases", "expires_at"): "leases_expires_at",
    ("login_limits", "expires_at"): "login_limits_expires_at",
    ("outbox_events", "published_at"): "outbox_events_published",
    ("payment_webhook_events", "processed_at"): "payment_webhook_events_processed",
    ("review_publication_consents", "granted_at"): "review_publication_consents_refused",
    ("review_publication_consents", "revoked_at"): "review_publication_consents_withdrawn",
}
# Three years of a practice's admin log are read in milliseconds.
READ_AS_A_WHOLE = {("django_admin_log", "action_time")}


def named(name: str) -> Table:
    return next(table for table in tables() if table.name == name)


def declared() -> dict[str, Purged]:
    return {name: r for name, r in retentions().items() if isinstance(r, Purged)}


def retentions() -> dict[str, Retention]:
    """The tables with a declared retention; undeclared() lists the others."""
    retention_of = {}
    for table in tables():
        with contextlib.suppress(Undeclared):
            retention_of[table.name] = table.retention
    return retention_of


def ends() -> Iterator[tuple[str, Any]]:
    """Every purged table with each column from which its time runs."""
    for name, declaration in declared().items():
        for end in declaration.ends:
            yield name, end


@advises
def test_every_table_of_the_database_has_a_retention() -> Iterator[str]:
    live = execute(
        "SELECT relname AS name FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'm', 'f')"
    )
    yield from undeclared()
    known = {table.name for table in tables()}
    for name in {row["name"] for row in live} - known:
        yield of_table(name)("declare `retention = …` in", "the table has no retention")
    for name in known - {row["name"] for row in live}:
        yield of_table(name)("make a migration for", "the table is not in the database")
    for table in tables():
        with contextlib.suppress(Undeclared):  # undeclared() lists it
            if not str(table.retention).strip():
                yield of_table(table.name)("give the words of `retention` in")


def test_table_without_a_retention_is_named_with_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {*test_every_table_of_the_database_has_a_retention.__wrapped__()}
    monkeypatch.delattr(Lead, "retention")
    execute("CREATE TABLE notes (id uuid)")
    assert {*test_every_table_of_the_database_has_a_retention.__wrapped__()} - before == {
        f"{of_class(Lead).file}: declare `retention = …` in `Lead`: the table has no retention",
        '<app>/models/: declare `retention = …` in `a model with db_table = "notes"`: '
        "the table has no retention",
    }


def test_missing_or_wrong_retention_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Lead, "retention")
    with pytest.raises(Undeclared, match="leads has no retention"):
        _ = named("leads").retention
    monkeypatch.setattr(Lead, "retention", "90 days", raising=False)
    with pytest.raises(Undeclared, match="leads has no retention"):
        _ = named("leads").retention


def test_retention_is_not_inherited() -> None:
    class Shortened(DeepLink):
        class Meta:
            abstract = True

    assert Shortened.retention == DeepLink.retention
    with pytest.raises(Undeclared, match="shortened has no retention"):
        _ = Table("shortened", "", "crm", Shortened).retention


def test_retention_matches_the_specification() -> None:
    assert {
        name: (retention.time, " ".join(end.column for end in retention.ends))
        for name, retention in declared().items()
    } == PURGED
    log = named("audit_log_entries").retention
    assert isinstance(log, RemovedBy)
    assert log.time.startswith("at least 3 years")
    for evidence in ("appointments", "payments", "consents", "erasure_ledger"):
        assert isinstance(named(evidence).retention, Kept)


def test_timeline_and_answers_are_deleted_with_their_parents() -> None:
    for name, parent in (("lead_timeline_events", "lead"), ("question_answers", "question")):
        assert named(name).retention == GoesWith(parent)


@advises
def test_database_deletes_rows_with_their_parent() -> Iterator[str]:
    parents = {name: r.parent for name, r in retentions().items() if isinstance(r, GoesWith)}
    assert len(parents) > 10
    for name, field in parents.items():
        if name not in THIRD_PARTY:
            parent = named(name).model._meta.get_field(field)
            if parent.remote_field.on_delete is not DB_CASCADE:
                yield of_field(parent)(
                    "set on_delete=DB_CASCADE on", "the row goes with its parent"
                )


@advises
def test_kept_rows_do_not_refer_to_purged_rows() -> Iterator[str]:
    """Otherwise a restricting key would block the purge."""
    for row in catalog.constraints():
        if row["kind"] == "f":
            (parent,) = re.findall(r"REFERENCES (\w+)\(", row["definition"])
            if parent in declared() and retentions().get(row["table"]) != GoesWith("question"):
                yield of_rule(row["table"], row["name"])(
                    f"declare retention = goes_with(…) in {of_table(row['table']).declaration} for",
                    f"rows of {parent} are purged",
                )


def test_faulty_retention_is_named_with_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    goes, stays = (
        test_database_deletes_rows_with_their_parent,
        test_kept_rows_do_not_refer_to_purged_rows,
    )
    before = {*goes.__wrapped__(), *stays.__wrapped__()}
    monkeypatch.setattr(Appointment, "retention", goes_with("client"))
    (line,) = {*goes.__wrapped__()} - before
    file = of_class(Appointment).file
    assert line.startswith(f"{file}: set on_delete=DB_CASCADE on `Appointment.client`")
    execute(
        "ALTER TABLE appointments ADD run_id uuid "
        "CONSTRAINT appointments_run_id_fk REFERENCES interactive_runs"
    )
    (line,) = {*stays.__wrapped__()} - before
    assert line.startswith(
        f"{file}: declare retention = goes_with(…) in Appointment for `appointments_run_id_fk`"
    )


@advises
def test_retention_times_are_intervals_from_a_date_column() -> Iterator[str]:
    for name, end in ends():
        field = {f.column: f for f in named(name).model._meta.concrete_fields}.get(end.column)
        if not isinstance(field, models.DateField):
            yield of_table(name)("name a moment or a day in `retention` of", end.column)
        execute("SELECT %s::interval", [declared()[name].time or "0"])


@advises
def test_purge_batches_read_by_index() -> Iterator[str]:
    """In index order: without a sort, and reading only purged rows."""
    for name, end in ends():
        location = of_column(name, end.column)
        if (name, end.column) in READ_AS_A_WHOLE:
            continue
        for plan, batch in plans_of_a_batch(name, end):
            index = INDEXES.get((name, end.column))
            if index is None or index not in batch:
                yield location(
                    "declare an Index(…, serves=…) and name it in INDEXES in "
                    "tests/db/test_retention.py for",
                    f"a batch of the purge reads {re.sub(r' +', ' ', batch)[:200]}",
                )
            elif "Sort" in batch or "Seq Scan" in plan:
                yield location("order the Index as the purge reads, for", batch)


def plans_of_a_batch(name: str, end: Any) -> list[tuple[str, str]]:
    """The plans of the first and of a later batch, each with the part that reads."""
    seen = []

    def keep(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if "batch AS" in str(sql):
            seen.append((sql, params))
        return execute(sql, params, many, context)

    purge = retention.purge_of(named(name), now=retention.database_time(), batch=500, stop=None)
    with connection.execute_wrapper(keep):
        purge.begin_pass(end)
        purge.change(purge.find(500))
        purge.begin, purge.at = ">=", purge.now
        purge.change(purge.find(500))
    assert len(seen) == 2
    plans = []
    for sql, params in seen:
        lines = [row["QUERY PLAN"] for row in execute(f"EXPLAIN {sql}", params)]
        batch = " ".join(lines[lines.index("  CTE batch") :]).split("CTE gone")[0]
        plans.append((" ".join(lines), batch))
    return plans


def test_purge_without_an_index_is_named_with_its_file() -> None:
    before = {*test_purge_batches_read_by_index.__wrapped__()}
    execute("DROP INDEX IF EXISTS deep_links_by_expiry")
    lines = {*test_purge_batches_read_by_index.__wrapped__()} - before
    start = f"{of_class(DeepLink).file}: declare an Index(…, serves=…) and name it in INDEXES"
    assert lines
    assert all(line.startswith(start) and "`DeepLink.expires_at`" in line for line in lines)


@pytest.mark.parametrize("counted", ["interactive_runs", "anonymous_questions"])
def test_totals_fill_every_column_and_have_a_unique_rule(counted: str) -> None:
    totals = totals_of(named(counted))
    table = named(totals.table)
    given = {*totals.by, *totals.sums, *totals.lists}
    assert {column.name for column in table.columns} == given | {"id"}
    (unique,) = [c for c in table.model._meta.constraints if c.name == totals.key]
    fields = [table.model._meta.get_field(name) for name in unique.fields]
    assert [f.column for f in fields] == [*totals.by]
    assert unique.nulls_distinct is False or not any(f.null for f in fields)


def test_dictionary_shows_the_retention_of_every_table() -> None:
    text = dictionary.render()
    for table in tables():
        assert f"\n### {table.name}\n\n{table.meaning}.\n\nKept {table.retention}.\n" in text
    for line in (
        "Kept until `expires_at`.",
        "Kept 90 days after `started_at`; added up by day in interactive_run_totals.",
        "Kept as long as its lead.",
        "Kept for accounting.",
    ):
        assert line in text
    assert str(kept("for ever")) == "for ever"
