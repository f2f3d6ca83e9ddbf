"""Of every table it is declared how long its rows are kept, as the specification says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection, models

from crm.models import DeepLink, Lead
from ebalance.db import dictionary, purging
from ebalance.db.inventory import Table, Undeclared, tables
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.retention import GoesWith, Kept, Purged, RemovedBy, kept
from ebalance.db.third_party import TABLES as THIRD_PARTY
from tests.db import catalog
from tests.support import execute

pytestmark = pytest.mark.django_db

# privacy.md §4, transcribed: table to time and columns from which it runs. Django's tables by our
# own decision.
PURGED = {
    "deep_links": ("", "expires_at"),
    "interactive_runs": ("90 days", "started_at"),
    "interactive_run_totals": ("13 months", "day"),
    "anonymous_questions": ("90 days", "answered_at moderated_at"),
    "diary_entries": ("30 days", "deleted_at"),
    "data_export_requests": ("90 days", "created_at"),
    "review_publication_consents": ("3 years", "revoked_at granted_at"),
    "analytics_events": ("13 months", "received_at"),
    "payment_webhook_events": ("90 days", "processed_at"),
    "outbox_events": ("90 days", "published_at"),
    "django_session": ("", "expire_date"),
    "django_admin_log": ("3 years", "action_time"),
}
# Where a batch begins to read.
INDEXES = {
    ("anonymous_questions", "answered_at"): "anonymous_questions_answered",
    ("anonymous_questions", "moderated_at"): "anonymous_questions_rejected",
    ("analytics_events", "received_at"): "analytics_events_by_receipt",
    ("data_export_requests", "created_at"): "data_export_requests_over",
    ("deep_links", "expires_at"): "deep_links_by_expiry",
    ("diary_entries", "deleted_at"): "diary_entries_deleted",
    ("django_session", "expire_date"): "django_session_expire_date_a5c62663",
    ("interactive_run_totals", "day"): "interactive_run_totals_once",
    ("interactive_runs", "started_at"): "interactive_runs_by_start",
    ("outbox_events", "published_at"): "outbox_events_published",
    ("payment_webhook_events", "processed_at"): "payment_webhook_events_processed",
    ("review_publication_consents", "granted_at"): "review_publication_consents_refused",
    ("review_publication_consents", "revoked_at"): "review_publication_consents_withdrawn",
}
# Three years of what a practice does in admin are read in milliseconds.
READ_AS_A_WHOLE = {("django_admin_log", "action_time")}


def named(name: str) -> Table:
    return next(table for table in tables() if table.name == name)


def declared() -> dict[str, Purged]:
    return {t.name: t.retention for t in tables() if isinstance(t.retention, Purged)}


ENDS = [(name, end) for name, retention in declared().items() for end in retention.ends]
each_end = pytest.mark.parametrize(
    ("name", "end"), ENDS, ids=[f"{name}.{end.column}" for name, end in ENDS]
)


def test_every_table_of_the_database_has_a_retention() -> None:
    live = execute(
        "SELECT relname AS name FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'm', 'f')"
    )
    said = {table.name: str(table.retention) for table in tables()}
    assert said.keys() == {row["name"] for row in live}
    assert all(words.strip() for words in said.values())


def test_a_table_without_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Lead, "retention")
    with pytest.raises(Undeclared, match="leads has no retention"):
        _ = named("leads").retention
    monkeypatch.setattr(Lead, "retention", "90 days", raising=False)
    with pytest.raises(Undeclared, match="leads has no retention"):
        _ = named("leads").retention


def test_what_a_parent_declares_is_not_its_childrens() -> None:
    class Shortened(DeepLink):
        class Meta:
            abstract = True

    assert Shortened.retention == DeepLink.retention
    with pytest.raises(Undeclared, match="shortened has no retention"):
        _ = Table("shortened", "", "crm", Shortened).retention


def test_it_is_as_the_specification_says() -> None:
    assert {
        name: (retention.time, " ".join(end.column for end in retention.ends))
        for name, retention in declared().items()
    } == PURGED
    log = named("audit_log_entries").retention
    assert isinstance(log, RemovedBy)
    assert log.time.startswith("at least 3 years")
    for evidence in ("appointments", "payments", "consents", "erasure_ledger"):
        assert isinstance(named(evidence).retention, Kept)


def test_the_timeline_goes_with_its_lead_and_answers_with_their_question() -> None:
    for name, parent in (("lead_timeline_events", "lead"), ("question_answers", "question")):
        assert named(name).retention == GoesWith(parent)


def test_what_goes_with_another_row_is_deleted_by_the_database() -> None:
    found = [table for table in tables() if isinstance(table.retention, GoesWith)]
    assert len(found) > 10
    for table in found:
        if table.name not in THIRD_PARTY:
            parent = table.model._meta.get_field(table.retention.parent)
            assert parent.remote_field.on_delete is DB_CASCADE, table.name


def test_nothing_that_stays_refers_to_a_row_that_goes() -> None:
    """Else a restricting key would hold up the purge."""
    for row in catalog.constraints():
        if row["kind"] == "f":
            (parent,) = re.findall(r"REFERENCES (\w+)\(", row["definition"])
            if parent in declared():
                assert named(row["table"]).retention == GoesWith("question"), row["name"]


@each_end
def test_a_time_is_an_interval_and_begins_at_a_moment(name: str, end: Any) -> None:
    model = named(name).model
    field = next(f for f in model._meta.concrete_fields if f.column == end.column)
    assert isinstance(field, models.DateField)
    execute("SELECT %s::interval", [declared()[name].time or "0"])


@each_end
def test_a_batch_reads_by_the_index_of_its_moment(name: str, end: Any) -> None:
    """In its order: nothing is sorted, and nothing read that is not removed."""
    seen = []

    def keep(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if "batch AS" in str(sql):
            seen.append((sql, params))
        return execute(sql, params, many, context)

    purge = purging.purge_of(named(name), now=purging.database_time(), batch=500, stop=None)
    with connection.execute_wrapper(keep):
        purge._batch(end, "", None, 500)
        purge._batch(end, ">=", purge.options.now, 500)
    assert len(seen) == 2
    for sql, params in seen:
        lines = [row["QUERY PLAN"] for row in execute(f"EXPLAIN {sql}", params)]
        batch = " ".join(lines[lines.index("  CTE batch") :]).split("CTE gone")[0]
        if (name, end.column) in READ_AS_A_WHOLE:
            continue
        assert INDEXES[name, end.column] in batch, batch
        assert "Sort" not in batch
        assert "Seq Scan" not in " ".join(lines)
    assert (name, end.column) in INDEXES.keys() | READ_AS_A_WHOLE


def test_totals_have_a_value_for_every_column_and_a_rule_that_keeps_each_once() -> None:
    totals = declared()["interactive_runs"].totals
    table = named(totals.table)
    given = {*totals.by, *totals.sums}
    assert {column.name for column in table.columns} == given | {"id"}
    (unique,) = [c for c in table.model._meta.constraints if c.name == totals.key]
    fields = [table.model._meta.get_field(name) for name in unique.fields]
    assert [f.column for f in fields] == [*totals.by]
    assert unique.nulls_distinct is False


def test_the_dictionary_says_it_of_every_table() -> None:
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
