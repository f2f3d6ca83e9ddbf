"""Indexes that are built beside the writers of their table.

A build that failed or was killed leaves an invalid index, which serves no query and enforces
nothing. ``IF NOT EXISTS`` would keep it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError
from django.db import IntegrityError, transaction

from ebalance.failures import database_error

# Waits for older transactions, which does not block others, and takes as long as the table demands.
LIMITS = "SET lock_timeout = 0; SET statement_timeout = '6h'"
NO_LIMITS = "RESET lock_timeout; SET statement_timeout = 0"
LEFT_OVER = re.compile(r".*_cc(?:new|old)\d*")  # of REINDEX CONCURRENTLY
CREATION = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
    r"CREATE\s+(?P<unique>UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    r'"?(?P<name>\w+)"?\s+ON\s+(?:ONLY )?(?P<table>(?:(?:public|"public")\.)?"?\w+"?)(?P<rest>.*)',
    re.I | re.DOTALL,
)
STATE = """
    SELECT i.indisvalid, pg_get_indexdef(c.oid)
    FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = %s
"""
INVALID = """
    SELECT c.relname, t.relname,
           EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisvalid
    ORDER BY c.relname
"""


def repair_indexes(connection: Any, write: Callable[[str], object]) -> None:
    """Rebuild each invalid index, and drop what an interrupted rebuild has left.

    Does so for indexes of recorded migrations too. Raises CommandError if rows violate an index.
    """
    with connection.cursor() as cursor:
        cursor.execute(INVALID)
        for name, table, is_building in cursor.fetchall():
            if is_building:
                write(f"Another session is building the index {name} of {table}.")
            elif LEFT_OVER.fullmatch(name):
                execute(cursor, f'DROP INDEX CONCURRENTLY public."{name}"')
                write(f"Dropped {name}, which an interrupted rebuild had left.")
            else:
                try:
                    execute(cursor, f'REINDEX INDEX CONCURRENTLY public."{name}"')
                except IntegrityError as error:
                    cause = database_error(error)
                    reason = cause.diag.message_primary if cause else error
                    raise CommandError(
                        f"The index {name} of {table} is invalid and cannot be rebuilt: {reason}. "
                        "Correct the rows, and run the command again."
                    ) from None
                write(f"Rebuilt the index {name} of {table}: its build had been interrupted.")


def execute(cursor: Any, sql: str) -> None:
    """Execute one statement outside of a transaction, with the limits of long work."""
    cursor.execute(LIMITS)
    try:
        cursor.execute(sql)
    finally:
        cursor.execute(NO_LIMITS)


def build_index(connection: Any, sql: str) -> None:
    """Execute CREATE INDEX CONCURRENTLY, unless the index exists with the same definition.

    An invalid index is dropped and built again; a failed build is dropped. Raises CommandError if
    an index of that name has another definition.
    """
    statement = CREATION.fullmatch(sql)
    if statement is None:
        raise CommandError(f"CREATE INDEX CONCURRENTLY needs a name here: {sql[:100]}")
    name = statement["name"]
    drop = f'DROP INDEX CONCURRENTLY IF EXISTS public."{name}"'
    with connection.cursor() as cursor:
        cursor.execute(STATE, [name])
        if row := cursor.fetchone():
            is_valid, definition = row
            if not is_valid:
                execute(cursor, drop)
            elif _shape(definition) == _shape(_definition(connection, statement)):
                return
            else:
                raise CommandError(
                    f"The index {name} exists with another definition: {definition}. "
                    "Drop it or rename it, and run the command again."
                )
        try:
            execute(cursor, sql)
        except BaseException:
            if connection.connection is not None and not connection.connection.closed:
                execute(cursor, drop)
            raise


def _shape(definition: str) -> tuple[bool, str]:
    """A definition without the names of the index and of its table."""
    head, _, tail = definition.partition(" USING ")
    return "UNIQUE INDEX" in head, tail


def _definition(connection: Any, statement: re.Match[str]) -> str:
    """The definition that the server would store, from an index on an empty copy of the table."""
    copy = "public.ebalance_index_definition"
    with connection.cursor() as cursor, transaction.atomic(using=connection.alias):
        cursor.execute(f"CREATE TABLE {copy} (LIKE {statement['table']})")
        cursor.execute(
            f"CREATE {statement['unique'] or ''}INDEX ebalance_index_definition_index ON {copy}"
            f"{statement['rest']}"
        )
        cursor.execute("SELECT pg_get_indexdef('public.ebalance_index_definition_index'::regclass)")
        (definition,) = cursor.fetchone()
        transaction.set_rollback(True, using=connection.alias)
    return definition
