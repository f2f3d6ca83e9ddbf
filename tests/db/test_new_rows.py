"""Rules about new rows: a row that ON CONFLICT leaves out is not new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, models

from ebalance.privacy.erasure import erase_user
from tests.advice import advises, of_rule
from tests.factories import (
    FACTORIES,
    AnonymousQuestionFactory,
    AppointmentFactory,
    ConsentFactory,
    DataExportRequestFactory,
    ModerationActionFactory,
    PaymentFactory,
    ReviewFactory,
    WaitlistRequestFactory,
)
from tests.support import execute

pytestmark = pytest.mark.django_db

# Triggers that fire BEFORE INSERT, each with its reason. All others see inserted rows only.
BEFORE_INSERT = {
    "analytics_events_p0_only": "personal data must not reach a page of the table",
    "lead_timeline_events_p0_only": "personal data must not reach a page of the table",
    "anonymous_questions_set_due_at": "sets a column",
    "audit_log_entries_chain": "sets columns",
    "deep_links_set_expiry": "sets a column",
    "payments_manual_within_price": "locks the appointment before the keys of the row",
}
TRIGGERS = """
SELECT c.relname AS "table", t.tgname AS name
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
  AND t.tgtype & 4 > 0 AND t.tgtype & 2 > 0 AND t.tgtype & 1 > 0
"""


@advises
def test_rules_about_new_rows_fire_after_the_insert() -> Iterator[str]:
    before = {row["name"]: row["table"] for row in execute(TRIGGERS)}
    for name in before.keys() - BEFORE_INSERT.keys():
        yield of_rule(before[name], name)(
            "leave out `when=` (a message makes it AFTER) in", "it fires BEFORE INSERT"
        )
    for name in BEFORE_INSERT.keys() - before.keys():
        yield f"tests/db/test_new_rows.py: remove {name} from BEFORE_INSERT: it does not exist"


def test_planted_rule_before_the_insert_is_named() -> None:
    execute(
        "CREATE TRIGGER appointments_status_initial2 BEFORE INSERT ON appointments "
        "FOR EACH ROW EXECUTE FUNCTION public.refuse('x', 'id', 'x')"
    )
    (line,) = test_rules_about_new_rows_fire_after_the_insert.__wrapped__()
    assert "appointments_status_initial2" in line


def late_rows() -> Iterator[models.Model]:
    """Rows in states that no row starts in, or that refer to a deleted row."""
    yield AppointmentFactory(completed=True)
    yield AppointmentFactory(canceled=True)
    yield PaymentFactory(succeeded=True)
    yield WaitlistRequestFactory(closed=True)
    yield DataExportRequestFactory(ready=True)
    yield AnonymousQuestionFactory(answered=True)
    yield ReviewFactory(published=True)
    escalated = AnonymousQuestionFactory(approved=True)
    escalated.status = "flagged"
    escalated.save(update_fields=["status"])
    yield escalated
    question = AnonymousQuestionFactory()
    of_nothing = ModerationActionFactory(ugc=question)
    question.delete()
    yield of_nothing
    consent = ConsentFactory()
    erase_user(consent.user_id, method="admin")
    yield consent


def upsert(row: models.Model) -> None:
    """Insert the stored row again, as another service copies rows."""
    table = row._meta.db_table
    columns = ", ".join(field.column for field in row._meta.concrete_fields)
    before = execute(f"SELECT * FROM {table} WHERE id = %s", [row.pk])
    execute(
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table} WHERE id = %s "
        "ON CONFLICT (id) DO NOTHING",
        [row.pk],
    )
    connection.check_constraints()
    assert execute(f"SELECT * FROM {table} WHERE id = %s", [row.pk]) == before


def test_unchanged_row_in_a_late_state_may_be_upserted() -> None:
    for row in late_rows():
        upsert(row)


def test_unchanged_row_of_every_table_may_be_upserted() -> None:
    for factory_class in FACTORIES.values():
        row = factory_class()
        if row._meta.pk.column == "id" and row._meta.db_table != "audit_log_entries":
            upsert(row)
