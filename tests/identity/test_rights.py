"""Exports of one's data, and the ledger of erasures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.adversarial_sql import each_stealthy_delete, refuses_by_any_rule, update_through_a_view
from tests.case_loops import breaks_rules_of, check_changes, check_each, check_inserts
from tests.factories import DataExportRequestFactory, ErasureLedgerEntryFactory
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    DELETES,
    UPDATES,
    Change,
    check_delete,
    check_refusal_is_discreet,
)
from tests.support import (
    Case,
    breaks,
    delete_sql,
    execute,
    refuses,
    update_sql,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)
FILE, OVER = "data_export_requests_file_when_ready", "data_export_requests_completed_when_over"
FINISHED = {
    "file_url": "exports/a.zip",
    "completed_at": NOON,
    "expires_at": NOON + timedelta(days=7),
}
READY = {"status": "ready", **FINISHED}
PROCESSING = {"processing": True}


NEW_EXPORTS = [
    Case("as asked for", DataExportRequestFactory),
    Case("with a file", DataExportRequestFactory, {"file_url": "exports/a.zip"}, FILE),
    Case("with an expiry", DataExportRequestFactory, {"expires_at": NOON}, FILE),
    Case("with an end", DataExportRequestFactory, {"completed_at": NOON}, OVER),
]


@breaks_rules_of(*NEW_EXPORTS)
def test_new_export_has_no_file_and_no_end() -> None:
    check_inserts(NEW_EXPORTS)


def export(name: str, row: dict[str, Any], to: dict[str, Any], rule: str | None = None) -> Change:
    return Change(name, DataExportRequestFactory, row, to, rule)


EXPORTS = [
    export("ready", PROCESSING, READY),
    export("ready without a file", PROCESSING, {**READY, "file_url": None}, FILE),
    export("ready without an expiry", PROCESSING, {**READY, "expires_at": None}, FILE),
    export("ready with neither", PROCESSING, {"status": "ready", "completed_at": NOON}, FILE),
    export("ready without an end", PROCESSING, {**READY, "completed_at": None}, OVER),
    export("failed", PROCESSING, {"status": "failed", "completed_at": NOON}),
    export("failed at once", {}, {"status": "failed", "completed_at": NOON}),
    export("failed without an end", PROCESSING, {"status": "failed"}, OVER),
    export("failed with a file", PROCESSING, {**READY, "status": "failed"}, FILE),
    export("at work", {}, {"status": "processing"}),
    export("at work with an end", {}, {"status": "processing", "completed_at": NOON}, OVER),
    export("at work with a file", PROCESSING, {"file_url": "exports/a.zip"}, FILE),
    export("ready, the file gone", {"ready": True}, {"file_url": None}, FILE),
    export("ready, never expiring", {"ready": True}, {"expires_at": None}, FILE),
    export("failed, the end gone", {"failed": True}, {"completed_at": None}, OVER),
]


@breaks_rules_of(*EXPORTS)
def test_export_has_its_file_exactly_when_ready() -> None:
    check_changes(EXPORTS)
    check_changes([EXPORTS[0], EXPORTS[1], EXPORTS[4]], UPDATES)


@pytest.mark.parametrize(
    "key", ["", "/exports/a.zip", "https://x.ru/a.zip", "exports/../a.zip", ".a", "a//b", "A.zip"]
)
def test_file_of_an_export_is_a_key_and_no_url(key: str) -> None:
    row = DataExportRequestFactory(processing=True)
    with refuses("data_export_requests_file_url_is_object_key", "data_export_requests"):
        update_sql(row, **{**READY, "file_url": key})


# -- erasure ledger -------------------------------------------------------------------------------

COUNTS, AFTER = "erasure_ledger_counts_are_numbers", "erasure_ledger_completed_after_requested"


def counts(rule: str | None, *values: Any) -> list[Case]:
    return [Case(str(v), ErasureLedgerEntryFactory, {"counts": v}, rule) for v in values]


COUNTED = [
    *counts(None, {"users": 0}, {"users": 1, "diary_entries": 12}, {"leads": 10**6}),
    *counts(COUNTS, {"users": "1"}, {"users": -1}, {"users": 1.5}, {"users": True}),
    *counts(COUNTS, {"users": None}, {"users": [1]}, {"users": {"id": 1}}, {"Анна": 1}),
    *counts(COUNTS, {"anna@example.com": 1}, {"Users": 1}, {"": 1}, {"users\n": 1}),
    *counts(COUNTS, [1], "Анна", 7, True),
    *counts(COUNTS, {"users": 1, "diary_entries": "много"}, {"users": 10**18}),
]


@breaks_rules_of(*COUNTED)
def test_ledger_counts_rows_per_table() -> None:
    check_inserts(COUNTED)


def insert_counts(counts: Any) -> None:
    execute(
        "INSERT INTO erasure_ledger (subject_id, requested_at, method, counts) "
        "VALUES (uuid7(), now(), 'admin', %s::jsonb)",
        [counts],
    )


def test_json_null_is_no_count() -> None:
    for counts in ("null", "[]", '"users"', '{"users": null}'):
        with refuses(COUNTS, "erasure_ledger"):
            insert_counts(counts)


def test_phone_number_is_no_count() -> None:
    """The ledger outlives the person and holds nothing personal."""
    for counts in ({"phone_79991234567": 1}, {"users": 79991234567}):
        with refuses_by_any_rule():
            insert_counts(Jsonb(counts))


COMPLETIONS = [
    Case("at once", ErasureLedgerEntryFactory, {"requested_at": NOON, "completed_at": NOON}),
    Case(
        "before",
        ErasureLedgerEntryFactory,
        {"requested_at": NOON, "completed_at": NOON - timedelta(microseconds=1)},
        AFTER,
    ),
]


@breaks_rules_of(*COMPLETIONS)
def test_erasure_ends_after_its_request() -> None:
    check_inserts(COMPLETIONS)


def test_ledger_entry_is_completed_now_by_default() -> None:
    execute(
        "INSERT INTO erasure_ledger (subject_id, requested_at, method, counts) "
        "VALUES (uuid7(), now(), 'admin', '{}')"
    )
    (row,) = execute("SELECT completed_at = now() AS is_now FROM erasure_ledger")
    assert row == {"is_now": True}


IMMUTABLE = "erasure_ledger_immutable"


REWRITES = [
    Change("method", ErasureLedgerEntryFactory, {}, {"method": "admin"}, IMMUTABLE),
    Change("nothing", ErasureLedgerEntryFactory, {}, {"method": "self_service"}, IMMUTABLE),
]


@breaks_rules_of(*REWRITES)
def test_ledger_is_never_rewritten() -> None:
    check_changes(REWRITES, ALL_WRITE_PATHS)


@breaks("erasure_ledger_no_delete")
def test_ledger_entry_is_never_deleted() -> None:
    entry = ErasureLedgerEntryFactory()
    check_each(
        DELETES.items(), lambda delete: check_delete(entry, delete, "erasure_ledger_no_delete")
    )


@breaks("erasure_ledger_no_truncate")
@each_stealthy_delete
def test_ledger_is_not_shortened_indirectly(delete: Any) -> None:
    entry = ErasureLedgerEntryFactory()
    with refuses("erasure_ledger_no_delete", "erasure_ledger"):
        delete(entry)
    with refuses(IMMUTABLE, "erasure_ledger"):
        update_through_a_view(entry, "method", "admin")
    with refuses("erasure_ledger_no_truncate", "erasure_ledger"):
        execute("TRUNCATE erasure_ledger")


def test_refusal_reveals_nothing_of_the_erasure() -> None:
    entry = ErasureLedgerEntryFactory(counts={"marker": 424242})
    for write, rule in [
        (lambda: update_sql(entry, method="admin"), IMMUTABLE),
        (lambda: delete_sql(entry), "erasure_ledger_no_delete"),
        (lambda: execute("TRUNCATE erasure_ledger"), "erasure_ledger_no_truncate"),
    ]:
        check_refusal_is_discreet(
            write, rule, "erasure_ledger", "id", "marker", "424242", str(entry.subject_id)
        )
