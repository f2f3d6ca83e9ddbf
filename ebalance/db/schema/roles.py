"""Makes the roles of the database and grants them what ``grants`` derives from the models."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from functools import partial

import psycopg
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from ..server import QUIET_LOG
from . import catalog, exposures
from .data_map import columns
from .grants import ANALYST, APP, OWNER, ROLES, Grant, differences, live, not_owned, wanted

# Serialises runs on one database; a role that only reads cannot take it.
LOCK = "LOCK TABLE public.django_migrations IN SHARE ROW EXCLUSIVE MODE"
LOCK_TIMEOUT = "4s"  # a change of owner locks the table; the site must not wait for it
ATTEMPTS = 5


class NotSetUp(Exception):
    """The database lacks a table, or refused a grant. The message is one line."""


def set_up() -> None:
    """Make the roles, make the owner own everything, and grant ``wanted()``. Idempotent.

    Raises NotSetUp, and django.db.DatabaseError for a missing privilege or a locked table. The
    grants are one transaction: after an error only the roles exist.
    """
    missing = {str(column) for column in columns()} - {*catalog.read_column(catalog.COLUMNS)}
    if missing:
        raise NotSetUp(f"{min(missing)} does not exist yet: run `manage.py migrate` first.")
    for role in ROLES:
        _repeat(partial(_make_role, role))
    for statement in exposures.set_timeouts():
        _try(statement)
    _repeat(_grant_all)


def keep_values_out_of_the_log() -> None:
    """Set QUIET_LOG for new sessions of this database. Needs a superuser.

    Raises django.db.DatabaseError.
    """
    _repeat(_set_log_settings)


def _make_role(role: str) -> None:
    if role not in catalog.read_column("SELECT rolname FROM pg_roles"):
        _execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))


def _grant_all() -> None:
    _execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
    _execute(sql.SQL(LOCK))
    _join_owner()
    granted = wanted()
    statements = [*_revoke_on_tables()]
    if _on_database(granted) == _on_database(live()):
        # Needs the database's owner, which the owner of the tables need not be.
        granted -= _on_database(granted)
    else:
        statements += _revoke_on_database()
    # Before the owner changes: PostgreSQL requires the new owner's right to create.
    statements += [*grant_statements(granted), *owner_statements(), *exposures.mend()]
    _execute(sql.SQL("; ").join(statements))
    if left := differences():
        raise NotSetUp(f"The grants differ: {left[0]} ({len(left)} in all). Nothing was changed.")


def _on_database(grants: set[Grant]) -> set[Grant]:
    return {grant for grant in grants if grant.kind in {"SCHEMA", "DATABASE"}}


def _join_owner() -> None:
    """Only a member of the owner, or a superuser, may make it own something."""
    is_member = "pg_has_role(current_user, %s, 'USAGE') AND pg_has_role(current_user, %s, %s)"
    kind = "SET" if connection.pg_version >= 160000 else "MEMBER"  # type: ignore[attr-defined]
    if catalog.read_column(f"SELECT {is_member}", [OWNER, OWNER, kind]) == [False]:
        _execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(OWNER)))


def _revoke_on_tables() -> Iterator[sql.Composable]:
    clients = sql.SQL(", ").join([sql.Identifier(APP), sql.Identifier(ANALYST)])
    for kind, name in catalog.read_rows(catalog.RELATIONS):
        # This revokes rights on columns too.
        yield sql.SQL("REVOKE ALL ON {} {} FROM {}, PUBLIC").format(
            sql.SQL(kind), sql.Identifier("public", name), clients
        )


def _revoke_on_database() -> Iterator[sql.Composable]:
    (database,) = catalog.read_column("SELECT current_database()")
    named = sql.Identifier(database)
    roles = sql.SQL(", ").join([sql.Identifier(role) for role in ROLES])
    yield sql.SQL("REVOKE ALL ON SCHEMA public FROM {}").format(roles)
    yield sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(named, roles)
    yield sql.SQL("REVOKE CREATE, TEMPORARY ON DATABASE {} FROM PUBLIC").format(named)


def grant_statements(grants: set[Grant]) -> Iterator[sql.Composable]:
    """One statement per role and object."""
    by_object: dict[tuple[str, str, str], list[sql.Composable]] = defaultdict(list)
    by_column: dict[tuple[str, str, str], list[sql.Composable]] = defaultdict(list)
    for grant in sorted(grants):
        target = (grant.role, grant.kind, grant.name)
        if grant.column:
            by_column[target].append(sql.Identifier(grant.column))
        else:
            by_object[target].append(sql.SQL(grant.privilege))
    for target, names in by_column.items():
        by_object[target].append(sql.SQL("SELECT ({})").format(sql.SQL(", ").join(names)))
    for (role, kind, name), privileges in by_object.items():
        parts = [name] if kind in {"SCHEMA", "DATABASE"} else ["public", name]
        yield sql.SQL("GRANT {} ON {} {} TO {}").format(
            sql.SQL(", ").join(privileges),
            sql.SQL(kind),
            sql.Identifier(*parts),
            sql.Identifier(role),
        )


def owner_statements(names: Collection[str] | None = None) -> Iterator[sql.Composable]:
    """Make the owner own all objects, or those of ``names``."""
    for kind, name in not_owned():
        if names is not None and name.removeprefix("public.").strip('"') not in names:
            continue
        yield sql.SQL("ALTER {} {} OWNER TO {}").format(
            # The catalog has quoted the name.
            sql.SQL(kind),
            sql.SQL(name),
            sql.Identifier(OWNER),
        )


def _set_log_settings() -> None:
    (database,) = catalog.read_column("SELECT current_database()")
    for name, value in QUIET_LOG.items():
        _execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(database), sql.Identifier(name), sql.Literal(value)
            )
        )


def _repeat(work: Callable[[], None]) -> None:
    """Call ``work`` in a transaction; retry after a conflict with a concurrent run.

    Roles belong to the whole server: a run for another database may create them concurrently.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                work()
            return
        except DatabaseError as error:
            if attempt == ATTEMPTS or not _is_transient(error):
                raise
            time.sleep(0.05 * attempt)


def _is_transient(error: DatabaseError) -> bool:
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error):
        return False
    errors = psycopg.errors
    made_meanwhile = errors.DuplicateObject | errors.UniqueViolation
    in_use = errors.DeadlockDetected | errors.LockNotAvailable
    return isinstance(cause, made_meanwhile | in_use) or (
        "tuple concurrently" in str(cause)  # an internal error (XX000) without a code of its own
    )


def _try(statement: sql.Composable) -> None:
    """Execute it if the session has the privilege. ``exposures.findings()`` names what is left."""
    try:
        _repeat(partial(_execute, statement))
    except DatabaseError as error:
        if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
            raise


def _execute(statement: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
