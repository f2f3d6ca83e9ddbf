"""Losses that an operation hides from the plan, or from a comparison by name (migrations.md)."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from .support import SERVICE, Project


class Hidden(NamedTuple):
    """``operations`` are refused with ``reason`` and nothing of them stays; ``twin`` is taken."""

    name: str
    before: str  # SQL of an earlier migration
    operations: str
    reason: str
    twin: str
    head: str = ""
    attributes: str = ""


def sql(text: str) -> str:
    return f"migrations.RunSQL({text!r}, '')"


CUSTOM = """
from django.db.migrations.operations.base import Operation


class Custom(Operation):
    def __init__(self, sql, through="cursor"):
        self.sql, self.through = sql, through

    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, editor, before, after):
        if self.through == "cursor":
            with editor.connection.cursor() as cursor:
                cursor.execute(self.sql)
        else:
            editor.execute(self.sql)
"""
DELETE = """
def delete(apps, editor):
    apps.get_model("booking", "Service").objects.all().delete()


def update(apps, editor):
    apps.get_model("booking", "Service").objects.update(title="Other")


def commit(apps, editor):
    editor.execute("DELETE FROM services")
    editor.execute("COMMIT")


def savepoint(apps, editor):
    from django.db import transaction

    with transaction.atomic():
        editor.execute("UPDATE services SET title = 'Other'")
"""
SEPARATE = (
    "migrations.SeparateDatabaseAndState(database_operations=[migrations.RunPython({0}, {0})])"
)
DRAFTS = "CREATE TABLE drafts (id int PRIMARY KEY, n int); INSERT INTO drafts VALUES (1, 1);"
INDEX = DRAFTS + "CREATE INDEX drafts_by_n ON drafts (n)"
DROPS = 'Contract(expand="booking.0390", released="1.1.0", drops=["{}"]), '
CHECKED = (
    "CREATE FUNCTION is_inner(v text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; "
    "CREATE FUNCTION is_outer(v text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS "
    "'BEGIN RETURN is_inner(v); END'; CREATE TABLE drafts (t text CHECK (is_outer(t)))"
)
INNER = "CREATE FUNCTION is_inner(v text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'"
LONG = "d" * 60  # with a column, longer than an identifier may be
CASES = [
    Hidden(
        "Python in SeparateDatabaseAndState",
        "",
        SEPARATE.format("delete"),
        "deletes 1 row of table services",
        SEPARATE.format("update"),
        head=DELETE,
    ),
    Hidden(
        "a cursor of an operation of the project",
        DRAFTS,
        'Custom("DROP TABLE drafts")',
        "drops table drafts",
        'Custom("INSERT INTO drafts VALUES (2, 2)")',
        head=CUSTOM,
    ),
    Hidden(
        "COMMIT in Python",
        "",
        "migrations.RunPython(commit, commit)",
        "begins or ends a transaction",
        "migrations.RunPython(savepoint, savepoint)",
        head=DELETE,
    ),
    Hidden(
        "COMMIT in an operation of the project",
        DRAFTS,
        'Custom("DELETE FROM drafts; COMMIT", "editor")',
        "begins or ends a transaction",
        'Custom("SAVEPOINT a; ROLLBACK TO SAVEPOINT a", "editor")',
        head=CUSTOM,
    ),
    *(
        Hidden(
            f"a concurrent drop, {name}",
            INDEX,
            sql(text),
            "drops index drafts_by_n",
            DROPS.format("index drafts_by_n") + sql(text),
            attributes="atomic = False",
        )
        for name, text in {
            "after a comment": "/* why */ DROP INDEX CONCURRENTLY drafts_by_n",
            "on two lines": "DROP INDEX\n  CONCURRENTLY drafts_by_n",
            "with its schema": 'DROP INDEX CONCURRENTLY "public"."drafts_by_n"',
        }.items()
    ),
    Hidden(
        "a table named concurrently",
        'CREATE TABLE drafts (id int); CREATE TABLE "concurrently" (id int)',
        sql('DROP TABLE drafts, "concurrently"'),
        "drops table drafts",
        sql('ALTER TABLE "concurrently" ADD n int'),
        attributes="atomic = False",
    ),
    Hidden(
        "the privilege that all have by default",
        "CREATE FUNCTION extra() RETURNS int RETURN 1",
        sql("REVOKE EXECUTE ON FUNCTION extra() FROM PUBLIC"),
        "takes back PUBLIC=X on function extra()",
        DROPS.format("grant extra()") + sql("REVOKE EXECUTE ON FUNCTION extra() FROM PUBLIC"),
    ),
    Hidden(
        "a privilege of the schema",
        "",
        sql("REVOKE USAGE ON SCHEMA public FROM PUBLIC"),
        "takes back PUBLIC=U on schema public",
        sql("GRANT USAGE ON SCHEMA public TO PUBLIC"),
    ),
    Hidden(
        "another owner",
        DRAFTS,
        sql("ALTER TABLE drafts OWNER TO pg_database_owner"),
        "on table drafts",
        sql("ALTER TABLE drafts ADD m int"),
    ),
    Hidden(
        "a function is dropped and made again",
        CHECKED,
        sql("DROP FUNCTION is_inner(text); " + INNER),
        "replaces is_inner(v text), which drafts_t_check uses",
        sql(INNER.replace("is_inner", "is_other")),
    ),
    Hidden(
        "the triggers of a foreign key",
        DRAFTS + "CREATE TABLE notes (draft int REFERENCES drafts)",
        sql("ALTER TABLE notes DISABLE TRIGGER ALL"),
        "disables trigger notes.RI_ConstraintTrigger",
        sql("ALTER TABLE services ENABLE ALWAYS TRIGGER services_touch_updated_at"),
    ),
    Hidden(
        "a computed column",
        "CREATE TABLE drafts (n int, twice int GENERATED ALWAYS AS (n * 2) STORED)",
        sql("ALTER TABLE drafts ALTER twice DROP EXPRESSION"),
        "stops computing column drafts.twice",
        DROPS.format("default drafts.twice")
        + sql("ALTER TABLE drafts ALTER twice DROP EXPRESSION"),
    ),
    Hidden(
        "a partition",
        "CREATE TABLE drafts (n int) PARTITION BY RANGE (n); "
        "CREATE TABLE drafts_1 PARTITION OF drafts FOR VALUES FROM (0) TO (10)",
        sql("ALTER TABLE drafts DETACH PARTITION drafts_1"),
        "detaches table drafts_1",
        DROPS.format("table drafts_1") + sql("ALTER TABLE drafts DETACH PARTITION drafts_1"),
    ),
    Hidden(
        "policies that hold for the owner",
        DRAFTS + "ALTER TABLE drafts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        sql("ALTER TABLE drafts NO FORCE ROW LEVEL SECURITY"),
        "disables row level security of table drafts",
        DROPS.format("table drafts") + sql("ALTER TABLE drafts NO FORCE ROW LEVEL SECURITY"),
    ),
    Hidden(
        "a trigger with the name of a temporary object",
        DRAFTS + "CREATE TRIGGER guard__new BEFORE UPDATE ON drafts "
        "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        sql("DROP TRIGGER guard__new ON drafts"),
        "drops trigger drafts.guard__new",
        DROPS.format("trigger drafts.guard__new") + sql("DROP TRIGGER guard__new ON drafts"),
    ),
    Hidden(
        "a column with a long name",
        f"CREATE TABLE {LONG} (a int, b int)",
        DROPS.format(f"column {LONG}.a") + sql(f"ALTER TABLE {LONG} DROP a, DROP b"),
        f"drops column {LONG}.b",
        DROPS.format(f"column {LONG}.a") + sql(f"ALTER TABLE {LONG} DROP a"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_production_refuses(project: Project, case: Hidden) -> None:
    project.execute(SERVICE)
    project.add("booking", "0390_before", sql(case.before or "SELECT 1"))
    project.migrate()
    before = listing(project)
    project.add(
        "booking", "0391_refused", case.operations, head=case.head, attributes=case.attributes
    )
    assert case.reason in project.refusal()
    assert listing(project) == before

    project.path("booking", "0391_refused").unlink()
    project.add("booking", "0391_twin", case.twin, head=case.head, attributes=case.attributes)
    assert project.refusal() == ""


def listing(project: Project) -> list[tuple[object, ...]]:
    """Objects and rows, which a refused migration would change."""
    return project.execute(
        "SELECT relname, relkind::text, relacl::text FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace "
        "UNION ALL SELECT title, format, NULL FROM services ORDER BY 1, 2"
    )
