"""A copy of one's data, and the ledger of erasures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.factories import DataExportRequestFactory, ErasureLedgerEntryFactory
from tests.strangers import each_stealthy_delete, is_refused, update_through_a_view
from tests.support import (
    Case,
    breaks,
    cases,
    check_insert,
    delete_sql,
    execute,
    refuses,
    update_sql,
)
from tests.trying import (
    EVERY_WAY,
    UPDATES,
    Change,
    change_params,
    check_change,
    check_delete,
    check_refusal_is_discreet,
    each_delete,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)
FILE, OVER = "data_export_requests_file_when_ready", "data_export_requests_completed_when_over"
FINISHED = {
    "file_url": "/exports/a.zip",
    "completed_at": NOON,
    "expires_at": NOON + timedelta(days=7),
}
READY = {"status": "ready", **FINISHED}
PROCESSING = {"processing": True}


@cases(
    Case("as asked for", DataExportRequestFactory),
    Case("with a file", DataExportRequestFactory, {"file_url": "/exports/a.zip"}, FILE),
    Case("with an expiry", DataExportRequestFactory, {"expires_at": NOON}, FILE),
    Case("with an end", DataExportRequestFactory, {"completed_at": NOON}, OVER),
)
def test_a_new_export_has_nothing_yet(case: Case, route: str) -> None:
    check_insert(case, route)


def export(name: str, row: dict[str, Any], to: dict[str, Any], rule: str | None = None) -> Change:
    return Change(name, DataExportRequestFactory, row, to, rule)


@change_params(
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
    export("at work with a file", PROCESSING, {"file_url": "/exports/a.zip"}, FILE),
    export("ready, the file gone", {"ready": True}, {"file_url": None}, FILE),
    export("ready, never expiring", {"ready": True}, {"expires_at": None}, FILE),
    export("failed, the end gone", {"failed": True}, {"completed_at": None}, OVER),
    ways=UPDATES,
)
def test_an_export_has_its_file_exactly_when_ready(change: Change, way: str) -> None:
    check_change(change, way)


def test_a_finished_export_has_an_address() -> None:
    """An empty text is no address."""
    with is_refused():
        update_sql(DataExportRequestFactory(processing=True), **{**READY, "file_url": ""})


# -- erasure ledger -------------------------------------------------------------------------------

COUNTS, AFTER = "erasure_ledger_counts_are_numbers", "erasure_ledger_completed_after_requested"


def counts(rule: str | None, *values: Any) -> list[Case]:
    return [Case(str(v), ErasureLedgerEntryFactory, {"counts": v}, rule) for v in values]


@cases(
    *counts(None, {"users": 0}, {"users": 1, "diary_entries": 12}, {"leads": 10**6}),
    *counts(COUNTS, {"users": "1"}, {"users": -1}, {"users": 1.5}, {"users": True}),
    *counts(COUNTS, {"users": None}, {"users": [1]}, {"users": {"id": 1}}, {"Анна": 1}),
    *counts(COUNTS, {"anna@example.com": 1}, {"Users": 1}, {"": 1}, {"users\n": 1}),
    *counts(COUNTS, [1], "Анна", 7, True),
    *counts(COUNTS, {"users": 1, "diary_entries": "много"}, {"users": 10**18}),
)
def test_the_ledger_counts_rows_per_table(case: Case, route: str) -> None:
    check_insert(case, route)


@pytest.mark.parametrize("counts", ["null", "[]", '"users"', '{"users": null}'])
def test_a_json_null_is_no_count(counts: str) -> None:
    with refuses(COUNTS, "erasure_ledger"):
        execute(
            "INSERT INTO erasure_ledger (subject_id, requested_at, method, counts) "
            "VALUES (uuid7(), now(), 'admin', %s::jsonb)",
            [counts],
        )


@pytest.mark.parametrize("counts", [{"phone_79991234567": 1}, {"users": 79991234567}], ids=str)
def test_a_phone_number_is_no_count(counts: dict[str, int]) -> None:
    """The ledger holds nothing personal: it outlives the person."""
    with is_refused():
        execute(
            "INSERT INTO erasure_ledger (subject_id, requested_at, method, counts) "
            "VALUES (uuid7(), now(), 'admin', %s)",
            [Jsonb(counts)],
        )


@cases(
    Case("at once", ErasureLedgerEntryFactory, {"requested_at": NOON, "completed_at": NOON}),
    Case(
        "before",
        ErasureLedgerEntryFactory,
        {"requested_at": NOON, "completed_at": NOON - timedelta(microseconds=1)},
        AFTER,
    ),
)
def test_an_erasure_is_done_after_it_was_asked_for(case: Case, route: str) -> None:
    check_insert(case, route)


def test_what_is_not_given_was_done_now() -> None:
    execute(
        "INSERT INTO erasure_ledger (subject_id, requested_at, method, counts) "
        "VALUES (uuid7(), now(), 'admin', '{}')"
    )
    (row,) = execute("SELECT completed_at = now() AS is_now FROM erasure_ledger")
    assert row == {"is_now": True}


IMMUTABLE = "erasure_ledger_immutable"


@change_params(
    Change("method", ErasureLedgerEntryFactory, {}, {"method": "admin"}, IMMUTABLE),
    Change("nothing", ErasureLedgerEntryFactory, {}, {"method": "self_service"}, IMMUTABLE),
    ways=EVERY_WAY,
)
def test_the_ledger_is_not_rewritten(change: Change, way: str) -> None:
    check_change(change, way)


@breaks("erasure_ledger_no_delete")
@each_delete
def test_the_ledger_is_not_shortened(delete: Any) -> None:
    check_delete(ErasureLedgerEntryFactory(), delete, "erasure_ledger_no_delete")


@breaks("erasure_ledger_no_truncate")
@each_stealthy_delete
def test_the_ledger_is_not_shortened_indirectly(delete: Any) -> None:
    entry = ErasureLedgerEntryFactory()
    with refuses("erasure_ledger_no_delete", "erasure_ledger"):
        delete(entry)
    with refuses(IMMUTABLE, "erasure_ledger"):
        update_through_a_view(entry, "method", "admin")
    with refuses("erasure_ledger_no_truncate", "erasure_ledger"):
        execute("TRUNCATE erasure_ledger")


def test_the_refusal_tells_nothing_of_the_erasure() -> None:
    entry = ErasureLedgerEntryFactory(counts={"marker": 424242})
    for write, rule in [
        (lambda: update_sql(entry, method="admin"), IMMUTABLE),
        (lambda: delete_sql(entry), "erasure_ledger_no_delete"),
        (lambda: execute("TRUNCATE erasure_ledger"), "erasure_ledger_no_truncate"),
    ]:
        check_refusal_is_discreet(
            write, rule, "erasure_ledger", "id", "marker", "424242", str(entry.subject_id)
        )
