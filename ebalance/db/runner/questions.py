"""Questions of the plan to the server, about stored rows and functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ebalance.db.operations.steps import users_of_functions

from . import advice

CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\s*\(", re.I)
VOLATILE = "SELECT proname FROM pg_proc WHERE proname = ANY (%s) AND provolatile = 'v' LIMIT 1"


def is_empty(connection: Any, table: str) -> bool:
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(table)
        cursor.execute(f"SELECT EXISTS (SELECT FROM public.{name})")
        return cursor.fetchone() == (False,)


def volatile_function(connection: Any, field: Any) -> str | None:
    """A volatile function in the database default of a field."""
    with connection.schema_editor(collect_sql=True) as editor:
        sql, _ = editor.db_default_sql(field)
    with connection.cursor() as cursor:
        cursor.execute(VOLATILE, [[name.lower() for name in CALL.findall(sql)]])
        row = cursor.fetchone()
    return row[0] if row else None


def faults_of_not_null(connection: Any, old: Any, new: Any) -> Iterator[str]:
    """Why SetNotNull cannot make the field ``old`` be ``new``."""
    editor = connection.schema_editor()
    if editor._field_should_be_altered(old, new, ignore={"null", "default"}):
        yield f"changes more of {old.name} than SetNotNull does. {advice.ONLY_NOT_NULL}"
    table, column = map(editor.quote_name, (old.model._meta.db_table, old.column))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s",
            [f"public.{table}", old.column],
        )
        if cursor.rowcount == 0:  # a migration of this run adds it
            return
        cursor.execute(f"SELECT EXISTS (SELECT FROM public.{table} WHERE {column} IS NULL)")
        if cursor.fetchone() == (True,):
            yield f"makes {old.name} NOT NULL, which is empty in some rows. {advice.NOT_NULL}"


def faults_of_function(connection: Any, name: str) -> Iterator[str]:
    """Why ReplaceFunction cannot replace the function ``name``."""
    with connection.cursor() as cursor:
        users = users_of_functions(cursor, [name])
        for user in users:
            if user.kind == "column":
                yield (
                    f"replaces {name}, which computes the stored column {user.table}.{user.name}. "
                    f"{advice.REWRITE}"
                )
        indexes = [user.name for user in users if user.kind == "index"]
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'x' AND conname = ANY (%s)",
            [indexes],
        )
        for (constraint,) in cursor.fetchall():
            yield f"replaces {name}, which {constraint} uses. {advice.USED_BY_EXCLUDE}"
