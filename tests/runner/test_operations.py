"""The declared steps, in the forms that Django allows (migrations.md, "In production")."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command

from ebalance.db.schema.listing import schema_lines

from .support import Project, one

LONG = "parcels_" + "w" * 52
CHECK = f'models.CheckConstraint(condition=Q(weight__gte={{}}), name="{LONG}")'
ADD_CHECK = f'AddCheck("parcel", {CHECK.format(0)})'
BODY = (
    "CREATE OR REPLACE FUNCTION is_light(v int) RETURNS boolean LANGUAGE sql IMMUTABLE "
    "AS 'SELECT v < {}'"
)
REPLACE = f'ReplaceFunction("is_light", {BODY.format(2000)!r}, {BODY.format(1000)!r})'
PARCELS = """
    migrations.CreateModel("Parcel", fields=[
        ("id", models.BigAutoField(primary_key=True)),
        ("code", models.TextField(null=True)),
        ("weight", models.IntegerField(null=True)),
        ("users", models.ManyToManyField("identity.User", related_name="+")),
    ], options={"db_table": "parcels"}),
    migrations.CreateModel("Box", fields=[], options={"proxy": True}, bases=("booking.parcel",)),
"""


def python(sql: str) -> str:
    return f"migrations.RunSQL({sql!r}, '')"


USERS = python(
    BODY.format(1000) + "; ALTER TABLE parcels ADD CONSTRAINT light CHECK (is_light(weight)); "
    "CREATE INDEX parcels_light ON parcels (is_light(weight))"
)


@pytest.fixture
def parcels(project: Project) -> Project:
    """A table with rows, in development."""
    project.add("booking", "0390_parcels", PARCELS)
    project.migrate(environment="dev")
    project.execute(
        "INSERT INTO parcels (code, weight) SELECT 'p' || n, n FROM generate_series(1, 20) n"
    )
    return project


def shape(project: Project) -> list[str]:
    with project.active():
        return schema_lines()


@pytest.mark.parametrize(
    ("before", "operations"),
    [
        ("", 'AddIndexConcurrently("parcel", models.Index(fields=["weight"], name="by_weight"))'),
        (ADD_CHECK, f'ReplaceCheck("parcel", {CHECK.format(-1)})'),
        (
            ADD_CHECK,
            f'ReplaceCheck("parcel", {CHECK.format(-1)}), '
            f'ReplaceCheck("parcel", {CHECK.format(-2)})',
        ),
        (USERS, REPLACE),
        (
            "",
            f"migrations.SeparateDatabaseAndState(database_operations=[{ADD_CHECK}], "
            f"state_operations=[{ADD_CHECK}])",
        ),
    ],
    ids=["index", "check", "check twice", "function", "in SeparateDatabaseAndState"],
)
def test_steps_go_forward_and_back(parcels: Project, before: str, operations: str) -> None:
    parcels.add("booking", "0391_before", before or python("SELECT 1"))
    parcels.migrate(environment="dev")
    old = shape(parcels)
    parcels.add("booking", "0392_steps", operations)
    output = io.StringIO()
    with parcels.active():
        call_command("sqlmigrate", "booking", "0392", stdout=output)
    assert "ALTER TABLE" in output.getvalue() or "CREATE INDEX CONC" in output.getvalue()
    assert parcels.refusal() == ""
    new = shape(parcels)
    assert new != old
    # A database of production has no way back.
    parcels.execute("DELETE FROM system_settings WHERE key = 'environment'")
    parcels.migrate("booking", "0391", environment="dev")
    assert shape(parcels) == old
    assert parcels.refusal() == ""
    assert shape(parcels) == new


def test_steps_of_python_are_not_run_while_they_are_recorded(parcels: Project) -> None:
    head = (
        'def fill(apps, editor):\n    apps.get_model("booking", "Parcel").objects.update(weight=7)'
    )
    fill = "migrations.RunPython(fill, fill)"
    parcels.add(
        "booking",
        "0391_steps",
        f"migrations.SeparateDatabaseAndState(database_operations=[{fill}]), {ADD_CHECK}",
        head=head,
    )
    assert "Write it in a migration of its own" in parcels.refusal()
    assert one(parcels.execute("SELECT count(*) FROM parcels WHERE weight = 7")) == 1
    parcels.path("booking", "0391_steps").unlink()
    parcels.add("booking", "0391_steps_apart", f"{fill}, {ADD_CHECK}", head=head)
    assert parcels.refusal() == ""
    assert one(parcels.execute("SELECT count(*) FROM parcels WHERE weight = 7")) == 20


def test_function_of_an_exclude_is_refused(project: Project) -> None:
    (body,) = project.execute("SELECT pg_get_functiondef('busy_range'::regproc)")[0]
    project.add("booking", "0390_replace", f'ReplaceFunction("busy_range", {body!r})')
    refusal = project.refusal()
    assert "replaces busy_range, which appointments_no_overlap uses" in refusal
    assert "Refused before the first statement" in refusal
    project.path("booking", "0390_replace").unlink()
    (body,) = project.execute("SELECT pg_get_functiondef('is_code'::regproc)")[0]
    project.add("booking", "0390_other", f'ReplaceFunction("is_code", {body!r})')
    assert project.refusal() == ""


def test_not_null_changes_nothing_else_and_needs_filled_rows(parcels: Project) -> None:
    field = "models.IntegerField({})"
    parcels.add(
        "booking", "0391_more", f'SetNotNull("parcel", "weight", {field.format("db_default=3")})'
    )
    assert "changes more of weight than SetNotNull does" in parcels.refusal()
    parcels.path("booking", "0391_more").unlink()

    parcels.add("booking", "0391_not_null", f'SetNotNull("parcel", "weight", {field.format("")})')
    parcels.execute("UPDATE parcels SET weight = NULL WHERE id = 3")
    assert "makes weight NOT NULL, which is empty in some rows" in parcels.refusal()
    parcels.execute("INSERT INTO parcels (code) VALUES (NULL)")  # nothing hinders clients yet
    parcels.execute("UPDATE parcels SET weight = 1 WHERE weight IS NULL")
    assert parcels.refusal() == ""


def test_violated_rule_is_refused_until_rows_change(parcels: Project) -> None:
    parcels.execute("UPDATE parcels SET weight = -5 WHERE id = 3")
    parcels.add("booking", "0391_check", ADD_CHECK)
    assert "Change the rows that violate it, and run the command again" in parcels.refusal()
    parcels.execute("UPDATE parcels SET weight = 5 WHERE id = 3")
    assert parcels.refusal() == ""


def test_contract_covers_relations_of_many_to_many(parcels: Project) -> None:
    remove = 'migrations.RemoveField("parcel", "users")'
    parcels.add("booking", "0391_remove", remove)
    assert "Refused before the first statement" in (refusal := parcels.refusal())
    assert "drops table parcels_users" in refusal
    parcels.path("booking", "0391_remove").unlink()
    contract = 'Contract(expand="booking.0390", released="1.1.0")'
    parcels.add("booking", "0391_contract", f"{contract}, {remove}")
    assert parcels.refusal() == ""


def test_proxy_is_deleted_without_a_contract(parcels: Project) -> None:
    parcels.add("booking", "0391_proxy", 'migrations.DeleteModel("Box")')
    assert parcels.refusal() == ""
    assert one(parcels.execute("SELECT count(*) FROM parcels")) == 20


def test_operations_of_the_database_follow_each_other(parcels: Project) -> None:
    field = "models.IntegerField(null=True{})"
    parcels.add(
        "booking",
        "0391_separate",
        "migrations.SeparateDatabaseAndState(database_operations=["
        f'migrations.AddField("parcel", "size", {field.format("")}),'
        f'migrations.AlterField("parcel", "size", {field.format(", db_default=1")})])',
    )
    assert parcels.refusal() == ""


def test_comment_at_the_end_of_sql_ends_there(parcels: Project) -> None:
    parcels.add(
        "booking",
        "0391_comment",
        python("CREATE TABLE a (id int) -- why") + "," + python("CREATE TABLE b ()"),
    )
    assert parcels.refusal() == ""


def test_refused_step_may_leave_its_file(project: Project) -> None:
    drop = python("ALTER TABLE users DROP COLUMN display_name") + ","
    column = 'migrations.AddField("service", "extra", models.TextField(null=True))'
    project.add("booking", "0390_steps", f"{column}, {drop}")
    output, _ = project.start(environment="prod").communicate()
    assert "step 2 of 2, is refused" in output
    file = project.path("booking", "0390_steps")
    file.write_text(file.read_text().replace(drop, ""))
    run = project.start(environment="prod")
    output, _ = run.communicate()
    assert run.returncode == 0, output
    assert one(project.execute("SELECT count(*) FROM migration_steps")) == 0
