"""The rights of the three database roles (access.md §2), tested as these roles."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, models, transaction

from booking.models import ScheduleException
from content.models import ContentItem
from ebalance.db import checks
from ebalance.db.apps import PROJECT_APPS
from ebalance.db.ids import uuid7
from ebalance.db.management.commands.grant_db_roles import DONE
from ebalance.db.operations import CreateView
from ebalance.db.schema import grants, roles
from ebalance.db.schema.data_map import Column, Table, columns, tables, views
from ebalance.db.server import QUIET_LOG
from tests.case_loops import check_each
from tests.databases import Database, Databases, default_connection_on
from tests.factories import (
    FACTORIES,
    AppointmentFactory,
    AuditLogEntryFactory,
    AvailabilitySlotFactory,
    ContentItemFactory,
    ContentRevisionFactory,
    EntityFactory,
    InteractiveDefinitionFactory,
    LeadTimelineEventFactory,
    MessageTemplateFactory,
    ReviewFactory,
    ScheduleExceptionFactory,
    ServiceFactory,
    UserFactory,
)
from tests.processes import ROOT, environment, manage
from tests.support import delete_sql, execute, refuses
from tests.test_factories import traits, without_seeds

pytestmark = pytest.mark.django_db

APPEND_ONLY = {"audit_log_entries", "erasure_ledger", "ugc_moderation_actions", "analytics_events"}
VERSIONS = {"content_revisions", "interactive_versions", "message_template_versions"}
EVIDENCE = {"consents", "review_publication_consents"}
# access.md §2: "No role but the owner deletes payments, refunds, webhook events, exports or the
# tracking plan."
DELETED_BY_OWNER = {
    "payments",
    "refunds",
    "payment_webhook_events",
    "data_export_requests",
    "erasure_requests",
    "tracking_events",
    "tracking_event_params",
}


@pytest.fixture(scope="module", autouse=True)
def granted(
    django_db_setup: None, databases: Databases, django_db_blocker: Any
) -> Iterator[Database]:
    """A database for this module in which the roles have their grants."""
    with django_db_blocker.unblock():
        database = databases.clone()
        with default_connection_on(database):
            call_command("grant_db_roles", stdout=io.StringIO())
            connection.close()
            yield database
        databases.drop(database.name)


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    """Run the block as this role. ``denies()`` catches its errors."""
    execute(f"SET LOCAL ROLE {role}")
    yield
    execute("RESET ROLE")


@contextmanager
def denies() -> Iterator[None]:
    """Assert that missing rights stop the block."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        yield
    assert caught.value.__cause__.sqlstate == "42501", caught.value


def tables_of(app: str) -> list[tuple[str, Table]]:
    return [(table.name, table) for table in tables() if table.domain == app]


def factories_of(app: str) -> list[tuple[type[models.Model], type[EntityFactory]]]:
    return [(model, made) for model, made in FACTORIES.items() if model._meta.app_label == app]


APPS = sorted({table.domain for table in tables()})
each_app = pytest.mark.parametrize("app", APPS)
each_project_app = pytest.mark.parametrize("app", PROJECT_APPS)


# -- the analyst ------------------------------------------------------------------------------


def check_reads_p0(table: Table) -> None:
    if table.model in FACTORIES:
        FACTORIES[table.model]()
    readable = [f'"{c.name}"' for c in table.columns if c.privacy == "P0"]
    with acting_as(grants.ANALYST):
        for column in readable:
            execute(f"SELECT {column} FROM {table.name} WHERE {column} IS NOT NULL")
        if readable:
            rows = execute(f"SELECT {', '.join(readable)} FROM {table.name}")
            assert rows or table.model not in FACTORIES


@each_app
def test_analyst_reads_every_p0_column(app: str) -> None:
    check_each(tables_of(app), check_reads_p0)


@pytest.mark.parametrize("role", [grants.APP, grants.ANALYST])
def test_views_are_read_by_app_and_analyst(role: str) -> None:
    with acting_as(role):
        for view in views():
            execute(f"SELECT * FROM {view.name}")


READS = [
    "SELECT {c} FROM {t}",
    "SELECT count({c}) FROM {t}",
    "SELECT 1 FROM {t} WHERE {c} IS NULL",
    "SELECT 1 FROM {t} ORDER BY {c}",
    "SELECT 1 FROM {t} GROUP BY {c}",
    "SELECT * FROM {t}",
    "SELECT {t} FROM {t}",
    "SELECT to_jsonb({t}) FROM {t}",
    "SELECT 1 FROM {t} a JOIN {t} b USING ({c})",
    "TABLE {t}",
    "COPY {t} TO STDOUT",
    "COPY {t} ({c}) TO STDOUT",
    "COPY (SELECT {c} FROM {t}) TO STDOUT",
    "DECLARE reader CURSOR FOR SELECT {c} FROM {t}",
    "CREATE TEMP TABLE copied AS SELECT {c} FROM {t}",
    "UPDATE {t} SET {c} = {c} RETURNING {c}",
    "DELETE FROM {t} RETURNING {c}",
    "INSERT INTO {t} ({c}) SELECT {c} FROM {t} RETURNING {c}",
]


# One column is read by every statement, each other column by these.
FEW_READS = ["SELECT {c} FROM {t}", "COPY {t} ({c}) TO STDOUT"]
AWKWARD = "users.email"


def test_analyst_is_refused_every_other_column() -> None:
    hidden = {str(column): column for column in columns() if column.privacy in ("P1", "P2")}
    assert AWKWARD in hidden

    def check(column: Column) -> None:
        for read in READS if str(column) == AWKWARD else FEW_READS:
            with denies():
                execute(read.format(c=f'"{column.name}"', t=column.table.name))

    with acting_as(grants.ANALYST):
        check_each(hidden.items(), check)


def check_writes_nothing(table: Table) -> None:
    column = table.columns[0].name
    for statement in (
        f"INSERT INTO {table.name} DEFAULT VALUES",
        f"UPDATE {table.name} SET {column} = {column}",
        f"DELETE FROM {table.name}",
        f"TRUNCATE {table.name}",
        f"SELECT {column} FROM {table.name} FOR UPDATE",
        f"LOCK TABLE {table.name} IN SHARE MODE",
    ):
        with denies():
            execute(statement)


@each_app
def test_analyst_writes_nothing(app: str) -> None:
    with acting_as(grants.ANALYST):
        check_each(tables_of(app), check_writes_nothing)


# -- views ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [grants.APP, grants.ANALYST])
def test_clients_read_the_free_slots(role: str) -> None:
    ServiceFactory(published=True, duration_minutes=50)
    slot = AvailabilitySlotFactory()
    closed = ScheduleExceptionFactory(starts_on="2020-01-01", ends_on="2020-01-02")
    with acting_as(role):
        assert [row["slot_id"] for row in execute("SELECT * FROM bookable_slots")] == [slot.pk]
    first = slot.start_at_utc.date()
    last = first + timedelta(days=1)
    ScheduleException.objects.filter(pk=closed.pk).update(starts_on=first, ends_on=last)
    with acting_as(role):
        assert execute("SELECT * FROM bookable_slots") == []


@pytest.mark.parametrize("security_invoker", [True, False])
def test_view_with_rights_of_its_owner_reads_what_the_analyst_may_not(
    security_invoker: bool,
) -> None:
    execute("DROP VIEW bookable_slots")
    query = """
        SELECT id AS slot_id, NULL::uuid AS service_id, now() AS start_at_utc, now() AS end_at_utc,
               length(email)::smallint AS buffer_minutes
        FROM users
    """
    operation = CreateView("BookableSlot", query, security_invoker=security_invoker)
    _, args, options = operation.deconstruct()
    assert CreateView(*args, **options).deconstruct() == operation.deconstruct()
    state = SimpleNamespace(apps=apps)
    with connection.schema_editor() as editor:
        operation.database_forwards("booking", editor, state, state)
    grant()
    assert grants.differences() == []
    user = UserFactory(email="anna@example.com")
    with acting_as(grants.ANALYST):
        with denies():
            execute("SELECT email FROM users")
        with denies() if security_invoker else nullcontext():
            (row,) = execute("SELECT * FROM bookable_slots WHERE slot_id = %s", [user.pk])
            assert row["buffer_minutes"] == 16


# -- the app ----------------------------------------------------------------------------------


def allowed(model: type[models.Model], privilege: str) -> Any:
    """Assert that the app's rights allow or deny the block."""
    (table,) = (table for table in tables() if table.model is model)
    return nullcontext() if privilege in grants.app_privileges(table) else denies()


def check_writes_as_granted(made: tuple[type[models.Model], type[EntityFactory]]) -> None:
    model, factory_class = made
    table, key = model._meta.db_table, model._meta.pk.column
    row = factory_class()
    with acting_as(grants.APP):
        with allowed(model, "INSERT"):
            without_seeds(model)
            row = factory_class()
            connection.check_constraints()
        with allowed(model, "UPDATE"):
            execute(f'UPDATE {table} SET "{key}" = "{key}" WHERE "{key}" = %s', [row.pk])
        with allowed(model, "DELETE"):
            execute(f'DELETE FROM {table} WHERE "{key}" = %s', [row.pk])


@each_project_app
def test_app_writes_the_rows_that_it_may_write(app: str) -> None:
    made = factories_of(app)
    check_each([(model.__name__, (model, f)) for model, f in made], check_writes_as_granted)


def test_app_may_not_change_append_only_tables() -> None:
    may_not: dict[str, set[str]] = {"UPDATE": set(), "DELETE": set(), "INSERT": set()}
    for table in tables():
        for privilege, names in may_not.items():
            if privilege not in grants.app_privileges(table):
                names.add(table.name)
    assert may_not["INSERT"] == {table.name for table in tables()} & grants.READ_ONLY
    assert may_not["UPDATE"] == APPEND_ONLY | VERSIONS | may_not["INSERT"]
    assert may_not["DELETE"] == may_not["UPDATE"] | EVIDENCE | DELETED_BY_OWNER


def check_stays(name: str) -> None:
    (model,) = (table.model for table in tables() if table.name == name)
    field = model._meta.concrete_fields[-1].column
    with acting_as(grants.APP):
        FACTORIES[model]()
        for statement in (
            f'UPDATE {name} SET "{field}" = "{field}"',
            f'UPDATE {name} SET "{field}" = "{field}" WHERE false',
            f"DELETE FROM {name}",
            f"DELETE FROM {name} WHERE false",
            f"SELECT 1 FROM {name} FOR UPDATE",
            f"TRUNCATE {name} CASCADE",
        ):
            with denies():
                execute(statement)


def test_app_is_refused_changes_of_append_only_rows() -> None:
    """The right is missing, so no rule is checked."""
    check_each([(name, name) for name in sorted(APPEND_ONLY | VERSIONS)], check_stays)


DDL = [
    "CREATE TABLE public.mine (id int)",
    "CREATE TEMPORARY TABLE mine (id int)",
    "CREATE VIEW public.mine AS SELECT 1",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql RETURN 1",
    "CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN RETURN NEW; END'",
    "CREATE EXTENSION hstore",
    "CREATE ROLE mine",
    "CREATE INDEX mine ON users (email)",
    "CREATE TRIGGER mine BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION public.refuse()",
    "ALTER TABLE users ADD mine int",
    "ALTER TABLE users OWNER TO ebalance_app",
    "ALTER TABLE users DISABLE TRIGGER ALL",
    "ALTER TABLE audit_log_entries DISABLE TRIGGER USER",
    "ALTER TABLE appointments DROP CONSTRAINT appointments_no_overlap",
    "ALTER FUNCTION public.refuse() OWNER TO ebalance_app",
    "ALTER ROLE ebalance_app SUPERUSER",
    "COMMENT ON COLUMN users.email IS 'P0 · e-mail'",
    "DROP TABLE audit_log_entries",
    "DROP TRIGGER audit_log_entries_immutable ON audit_log_entries",
    "DROP FUNCTION public.uuid7() CASCADE",
    "DROP SCHEMA public CASCADE",
    "TRUNCATE diary_entries",
    "GRANT ebalance_owner TO ebalance_app",
    "SET session_replication_role = replica",
    "SET LOCAL session_replication_role = replica",
    "SELECT set_config('session_replication_role', 'replica', true)",
    "SELECT setval('django_migrations_id_seq', 1)",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY topics TO PROGRAM 'cat'",
    "INSERT INTO django_migrations (app, name, applied) VALUES ('a', 'b', now())",
    "UPDATE django_migrations SET name = name",
    "DELETE FROM django_migrations",
]


@pytest.mark.parametrize("role", [grants.APP, grants.ANALYST])
def test_app_and_analyst_change_no_objects(role: str) -> None:
    def check(statement: str) -> None:
        with denies():
            execute(statement)

    with acting_as(role):
        check_each([(statement, statement) for statement in DDL], check)


def test_app_cannot_grant_rights() -> None:
    with acting_as(grants.APP):  # PostgreSQL only warns, because the role has nothing to grant
        execute("GRANT SELECT ON users TO ebalance_analyst")
        execute("GRANT SELECT ON users TO PUBLIC")
    assert grants.differences() == []


def check_app_writes(made: tuple[type[EntityFactory], dict[str, Any]]) -> None:
    factory_class, values = made
    with acting_as(grants.APP), allowed(factory_class._meta.model, "INSERT"):
        factory_class(**values)
        connection.check_constraints()


@each_project_app
def test_app_writes_rows_of_every_kind_and_state(app: str) -> None:
    """Triggers read, lock and write other rows with the rights of the app."""
    kinds = []
    for model, made in factories_of(app):
        kinds += [(f"{model.__name__}: {trait}", (made, {trait: True})) for trait in traits(made)]
        if "status" in {field.name for field in model._meta.fields}:
            kinds += [
                (f"{model.__name__}: {status}", (made, {"status": status}))
                for status in model._meta.get_field("status").members.values
                if status not in traits(made)
            ]
    if kinds:
        check_each(kinds, check_app_writes)


def test_app_withdraws_a_consent_and_unpublishes_the_review() -> None:
    with acting_as(grants.APP):
        review = ReviewFactory(published=True)
        execute("UPDATE review_publication_consents SET revoked_at = now()")
        review.refresh_from_db()
    assert review.status == "unpublished"


def item_with_revision() -> ContentItem:
    item = ContentItemFactory()
    ContentRevisionFactory(content_item=item)
    return item


@pytest.mark.parametrize(
    ("make", "versions"),
    [
        (item_with_revision, "revisions"),
        (lambda: InteractiveDefinitionFactory(published=True), "versions"),
        (lambda: MessageTemplateFactory(active=True), "versions"),
    ],
    ids=["content", "interactive", "template"],
)
def test_versions_are_deleted_with_their_parent(
    make: Callable[[], models.Model], versions: str
) -> None:
    with acting_as(grants.APP):
        parent = make()
        assert getattr(parent, versions).exists()
        delete_sql(parent)
        connection.check_constraints()
        assert not getattr(parent, versions).exists()


def test_rules_refuse_the_app_by_name() -> None:
    """The rule refuses; its function does not lack rights."""
    with acting_as(grants.APP):
        with refuses("lead_timeline_events_p0_only"):
            LeadTimelineEventFactory(properties={"topic": "anxiety", "page_path": "a@b.ru"})
        owner = UserFactory(role="owner")
        with refuses("user_roles_last_owner_stays"):
            owner.user_roles.all().delete()
        UserFactory(role="owner")
        owner.user_roles.all().delete()
        appointment = AppointmentFactory(confirmed=True)
        with refuses("appointments_no_overlap"):
            AppointmentFactory(
                start_at_utc=appointment.start_at_utc, end_at_utc=appointment.end_at_utc
            )


def test_app_continues_the_chain_of_the_audit_log() -> None:
    with acting_as(grants.APP):
        first, second = AuditLogEntryFactory.create_batch(2)
    assert (second.seq, bytes(second.prev_hash)) == (first.seq + 1, bytes(first.row_hash))


# -- rights beyond grants ---------------------------------------------------------------------


def test_functions_run_with_the_rights_of_their_caller() -> None:
    functions = execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    )
    assert functions == []


def test_owner_creates_and_alters_tables() -> None:
    """The statements of `migrate`, run by a role that is not a superuser."""
    with acting_as(grants.OWNER):
        execute("CREATE TABLE later (id uuid PRIMARY KEY, user_id uuid REFERENCES users)")
        execute("ALTER TABLE later ADD note text")
        execute("ALTER TABLE users ADD later text")
        execute(
            "CREATE OR REPLACE FUNCTION public.is_code(value text) RETURNS boolean "
            "LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN value IS NOT NULL"
        )


# -- grant_db_roles ---------------------------------------------------------------------------


def as_role(database: Database, role: str) -> str:
    """A DATABASE_URL under which every statement runs as this role."""
    return f"{database.url}&options={quote(f'-c role={role}')}"


def grant() -> str:
    """Run the command and return its warnings."""
    errors = io.StringIO()
    call_command("grant_db_roles", stdout=io.StringIO(), stderr=errors)
    return errors.getvalue()


def check() -> tuple[str, str]:
    out = io.StringIO()
    try:
        call_command("grant_db_roles", "--check", stdout=out)
    except CommandError as error:
        return str(error), out.getvalue()
    return "", out.getvalue()


def acls() -> list[dict]:
    return execute(
        "SELECT relname, relacl::text, relowner FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace ORDER BY relname"
    ) + execute(
        "SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute "
        "WHERE attacl IS NOT NULL AND attrelid > 16000 ORDER BY 1, 2"
    )


def test_second_run_changes_nothing() -> None:
    before = acls()
    assert check() == ("", "The roles have exactly the privileges that they need.\n")
    grant()
    assert acls() == before
    assert check()[0] == ""


STALE = {
    "GRANT SELECT (email) ON users TO ebalance_analyst": (
        "too much: ebalance_analyst: SELECT on table users.email"
    ),
    "GRANT SELECT ON lead_notes TO ebalance_analyst": (
        "too much: ebalance_analyst: SELECT on table lead_notes"
    ),
    "GRANT SELECT ON users TO PUBLIC": "too much: PUBLIC: SELECT on table users",
    "GRANT UPDATE ON audit_log_entries TO ebalance_app": (
        "too much: ebalance_app: UPDATE on table audit_log_entries"
    ),
    "GRANT UPDATE (user_agent) ON audit_log_entries TO ebalance_app": (
        "too much: ebalance_app: UPDATE on table audit_log_entries.user_agent"
    ),
    "GRANT INSERT ON django_migrations TO ebalance_app": (
        "too much: ebalance_app: INSERT on table django_migrations"
    ),
    "GRANT SELECT ON topics TO ebalance_app WITH GRANT OPTION": (
        "too much: ebalance_app: SELECT WITH GRANT OPTION on table topics"
    ),
    "GRANT USAGE ON SEQUENCE django_migrations_id_seq TO ebalance_app": (
        "too much: ebalance_app: USAGE on sequence django_migrations_id_seq"
    ),
    "GRANT CREATE ON SCHEMA public TO PUBLIC": "too much: PUBLIC: CREATE on schema public",
    "GRANT CREATE ON SCHEMA public TO ebalance_app": (
        "too much: ebalance_app: CREATE on schema public"
    ),
    "REVOKE INSERT ON topics FROM ebalance_app": "missing: ebalance_app: INSERT on table topics",
    "REVOKE SELECT (code) ON topics FROM ebalance_analyst": (
        "missing: ebalance_analyst: SELECT on table topics.code"
    ),
    "ALTER TABLE users OWNER TO CURRENT_USER": "not ebalance_owner's: table public.users",
    "ALTER FUNCTION public.uuid7() OWNER TO CURRENT_USER": (
        "not ebalance_owner's: routine public.uuid7()"
    ),
    "CREATE TABLE unheard_of (id int GENERATED ALWAYS AS IDENTITY)": (
        "not ebalance_owner's: table public.unheard_of"
    ),
    "CREATE VIEW faces AS SELECT email FROM users; GRANT SELECT ON faces TO ebalance_analyst": (
        "too much: ebalance_analyst: SELECT on table faces"
    ),
}


def test_check_names_differences_and_a_run_corrects_them() -> None:
    for statement in STALE:
        execute(statement)
    refusal, lines = check()
    assert "run `manage.py grant_db_roles`" in refusal
    assert [line for line in STALE.values() if line not in lines.splitlines()] == []
    grant()
    assert grants.differences() == []


@pytest.mark.slow
def test_check_names_each_difference_and_a_run_corrects_it() -> None:
    def check_one(case: tuple[str, str]) -> None:
        statement, line = case
        execute(statement)
        assert line in check()[1].splitlines()
        grant()
        assert grants.differences() == []

    check_each([(statement, (statement, line)) for statement, line in STALE.items()], check_one)


def test_public_may_not_create_temporary_tables() -> None:
    (database,) = execute("SELECT current_database() AS name")
    execute(f'GRANT TEMPORARY ON DATABASE "{database["name"]}" TO PUBLIC')
    assert grants.differences() == [f"too much: PUBLIC: TEMPORARY on database {database['name']}"]


POWERS = [
    ("ALTER ROLE ebalance_app SUPERUSER", "too much: ebalance_app is SUPERUSER"),
    ("ALTER ROLE ebalance_analyst BYPASSRLS", "too much: ebalance_analyst is BYPASSRLS"),
    (
        "GRANT pg_read_all_data TO ebalance_analyst",
        "too much: ebalance_analyst is a member of pg_read_all_data",
    ),
    (
        "GRANT ebalance_owner TO ebalance_app",
        "too much: ebalance_app is a member of ebalance_owner",
    ),
    (
        "GRANT SET ON PARAMETER session_replication_role TO ebalance_app",
        "too much: ebalance_app is allowed to set session_replication_role",
    ),
    (
        "ALTER ROLE ebalance_app SET ebalance.actor_user_id = 'somebody'",
        "too much: ebalance_app is preset with ebalance.actor_user_id",
    ),
    (
        "ALTER ROLE ALL SET session_replication_role = replica",
        "too much: PUBLIC is preset with session_replication_role",
    ),
]


def test_powers_beyond_grants_are_named_but_not_revoked() -> None:
    """A role belongs to the whole server, so the command does not revoke its other powers."""

    def check_one(case: tuple[str, str]) -> None:
        statement, line = case
        execute(statement)
        assert grants.differences() == [line]
        with pytest.raises(CommandError, match=line):
            grant()

    check_each([(case[0], case) for case in POWERS], check_one)


def test_objects_of_an_extension_are_left_alone() -> None:
    if not execute("SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements'"):
        pytest.skip("this server has no pg_stat_statements")
    execute("CREATE EXTENSION pg_stat_statements SCHEMA public")
    assert grants.differences() == []
    before = acls()
    grant()
    assert acls() == before


def test_server_log_is_set_to_hold_no_values(granted: Database) -> None:
    with granted.connect() as session:
        for name, value in QUIET_LOG.items():
            assert session.execute(f"SHOW {name}").fetchone() == (value,)


def assert_granted(url: str) -> None:
    result = manage("grant_db_roles", "--check", DATABASE_URL=url)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{DONE}\n", "")


@pytest.mark.slow
def test_check_before_the_first_run_names_everything(fresh_database: Database) -> None:
    result = manage("grant_db_roles", "--check", DATABASE_URL=fresh_database.url)
    assert result.returncode == 1
    assert "missing: ebalance_app: SELECT on table users\n" in result.stdout
    assert "missing: ebalance_analyst: SELECT on table users.status\n" in result.stdout
    assert "run `manage.py grant_db_roles`" in result.stderr
    for _ in range(2):
        assert manage("grant_db_roles", DATABASE_URL=fresh_database.url).returncode == 0
    assert_granted(fresh_database.url)


@pytest.mark.slow
def test_member_of_the_owner_migrates_and_grants(fresh_database: Database) -> None:
    """The member is neither the database's owner nor a superuser."""
    assert manage("grant_db_roles", DATABASE_URL=fresh_database.url).returncode == 0
    url = as_role(fresh_database, "ebalance_owner")
    assert manage("migrate", DATABASE_URL=url).returncode == 0
    assert manage("loaddata", "seeds", DATABASE_URL=url).returncode == 0
    with fresh_database.connect() as session:
        session.execute("SET ROLE ebalance_owner; GRANT SELECT ON users TO ebalance_analyst")
    result = manage("grant_db_roles", DATABASE_URL=url)
    assert (result.returncode, result.stderr) == (0, "")
    assert_granted(url)


def test_unmigrated_column_is_reported() -> None:
    execute("ALTER TABLE tags RENAME title TO caption")
    with pytest.raises(CommandError, match=r"tags\.title does not exist yet: run `manage\.py mig"):
        grant()


@pytest.mark.slow
def test_database_without_tables_is_reported_in_one_line(empty_database: Database) -> None:
    result = manage("grant_db_roles", DATABASE_URL=empty_database.url)
    assert result.returncode == 1
    assert result.stderr.endswith("run `manage.py migrate` first.\n")
    assert len(result.stderr.splitlines()) == 1


def test_role_that_may_not_grant_is_named() -> None:
    for role in ("ebalance_app", "ebalance_analyst", "pg_monitor"):
        refusal = pytest.raises(CommandError, match=f"{role} may not set up the roles")
        with acting_as(role), refusal, transaction.atomic():
            grant()


@pytest.mark.slow
def test_role_that_may_not_grant_is_refused_in_one_line(granted: Database) -> None:
    result = manage("grant_db_roles", DATABASE_URL=as_role(granted, "pg_monitor"))
    assert result.returncode == 1
    assert "pg_monitor may not set up the roles: " in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_run_does_not_wait_long_for_locks(granted: Database, monkeypatch) -> None:
    """A session that waits for a table lock blocks all later ones."""
    monkeypatch.setattr(roles, "LOCK_TIMEOUT", "10ms")
    with granted.connect() as session:
        session.execute(roles.LOCK)
        with pytest.raises(CommandError, match="Another session uses these tables, try again"):
            grant()


@pytest.mark.slow
def test_concurrent_runs_do_not_break_each_other(databases: Databases) -> None:
    """On one database, and on another of the same server."""
    made = [databases.clone(), databases.clone()]
    try:
        running = [
            subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "grant_db_roles"],
                env=environment(DATABASE_URL=database.url),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for database in [*made, *made]
        ]
        for process in running:
            _, errors = process.communicate(timeout=120)
            assert (process.returncode, errors) == (0, "")
        for database in made:
            assert_granted(database.url)
    finally:
        for database in made:
            databases.drop(database.name)


@pytest.fixture
def deployer() -> str:
    """A role that owns the database and is a member of ebalance_owner, but no superuser.

    The rollback of the test removes it.
    """
    name = f"deployer_{uuid7().hex}"
    (database,) = execute("SELECT current_database() AS name")
    execute(f"CREATE ROLE {name}; GRANT ebalance_owner TO {name}")
    execute(f'ALTER DATABASE "{database["name"]}" OWNER TO {name}')
    return name


def test_objects_of_the_database_owner_pass_to_the_owner_role(deployer: str) -> None:
    execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    with acting_as(deployer):
        execute("CREATE TABLE later (id uuid PRIMARY KEY, user_id uuid REFERENCES users)")
        grant()
    assert grants.differences() == []
    (row,) = execute("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'later'")
    assert row == {"relowner": "ebalance_owner"}


def test_missing_right_to_set_the_log_is_reported_with_a_hint(deployer: str, monkeypatch) -> None:
    monkeypatch.setattr(checks, "loud_settings", lambda: ["log_error_verbosity"])
    with acting_as(deployer):
        assert "a superuser sets log_error_verbosity = terse." in grant()
