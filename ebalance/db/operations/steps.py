"""Operations that change a table in steps, each a transaction of its own.

``migrate`` begins a new step at each statement that validates a constraint or works CONCURRENTLY,
and at ``begin_step()``. It stores which steps are done, so that a killed run is continued.
A migration with such an operation needs no ``atomic = False``.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from django.contrib.postgres import operations as postgres
from django.db.migrations.operations import AddConstraint, AddField, AlterField
from django.db.migrations.operations.base import Operation

from ebalance.db import rules

# A constraint under construction. It gets its own name when the old one is dropped.
TEMPORARY = "__new"
PLAIN_UNIQUE = re.compile(
    r"ALTER TABLE (?P<table>\S+) ADD CONSTRAINT (?P<name>\S+) UNIQUE(?P<nulls>.*?) "
    r"(?P<columns>\(.*?\))(?P<deferrable>.*)",
    re.DOTALL,
)


class Stepwise:
    """Marks an operation whose migration is not one transaction."""

    is_stepwise = True

    def _ensure_not_in_transaction(self, schema_editor: Any) -> None:
        if not schema_editor.collect_sql:  # `sqlmigrate` begins a transaction, and executes nothing
            super()._ensure_not_in_transaction(schema_editor)  # type: ignore[misc]


class AddIndexConcurrently(Stepwise, postgres.AddIndexConcurrently):
    """Builds an index beside the writers of its table, then sets its comment."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        if isinstance(self.index, rules.Index):
            name = schema_editor.quote_name(self.index.name)
            serves = schema_editor.quote_value(self.index.serves)
            schema_editor.execute(f"COMMENT ON INDEX {name} IS {serves}", None)


class RemoveIndexConcurrently(Stepwise, postgres.RemoveIndexConcurrently):
    """Drops an index beside the writers of its table. Needs a Contract."""


class AddCheck(Stepwise, AddConstraint):
    """Adds a CHECK NOT VALID, which holds for new rows at once, then validates the stored rows."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            sql = self.constraint.create_sql(model, schema_editor)
            _add_validated(schema_editor, model._meta.db_table, self.constraint.name, str(sql))

    def describe(self):
        return f"Add constraint {self.constraint.name} beside the writers of {self.model_name}"


class ReplaceCheck(AddCheck):
    """Replaces a CHECK with another one of the same name. One of the two always holds."""

    def state_forwards(self, app_label, state):
        state.remove_constraint(app_label, self.model_name_lower, self.constraint.name)
        state.add_constraint(app_label, self.model_name_lower, self.constraint)

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            name = self.constraint.name
            renamed = self.constraint.clone()
            renamed.name = temporary_name(name)
            sql = str(renamed.create_sql(model, schema_editor))
            _replace(schema_editor, model._meta.db_table, name, sql)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        old = to_state.models[app_label, self.model_name_lower].get_constraint_by_name(
            self.constraint.name
        )
        ReplaceCheck(self.model_name, old).database_forwards(
            app_label, schema_editor, from_state, to_state
        )

    def describe(self):
        return f"Replace constraint {self.constraint.name} of {self.model_name}"


class AddUnique(Stepwise, AddConstraint):
    """Adds a UNIQUE constraint by an index that is built beside the writers of the table."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        sql = str(self.constraint.create_sql(model, schema_editor))
        if (plain := PLAIN_UNIQUE.fullmatch(sql)) is None:
            # An index with a condition or an expression: there is no constraint to attach it to.
            schema_editor.execute(sql.replace("CREATE UNIQUE INDEX", CREATE_UNIQUE, 1), None)
            return
        schema_editor.execute(
            f"{CREATE_UNIQUE} {plain['name']} ON {plain['table']} "
            f"{plain['columns']}{plain['nulls']}",
            None,
        )
        schema_editor.execute(
            f"ALTER TABLE {plain['table']} ADD CONSTRAINT {plain['name']} "
            f"UNIQUE USING INDEX {plain['name']}{plain['deferrable']}",
            None,
        )

    def describe(self):
        return f"Add constraint {self.constraint.name} beside the writers of {self.model_name}"


CREATE_UNIQUE = "CREATE UNIQUE INDEX CONCURRENTLY"


class AddForeignKey(Stepwise, AddField):
    """Adds a nullable column with a foreign key NOT VALID, then validates it."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        before = [*schema_editor.deferred_sql]
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        added = [sql for sql in schema_editor.deferred_sql if sql not in before]
        schema_editor.deferred_sql[:] = before
        model = to_state.apps.get_model(app_label, self.model_name)
        table = model._meta.db_table
        field = model._meta.get_field(self.name)
        name = f"{table}_{field.column}_fk"
        for sql in map(str, added):
            if "FOREIGN KEY" in sql:
                _add_validated(schema_editor, table, name, sql)
            else:
                schema_editor.execute(
                    sql.replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1), None
                )

    def describe(self):
        return f"Add foreign key {self.name} to {self.model_name}"


class SetNotNull(Stepwise, AlterField):
    """Makes a column NOT NULL without a scan under a lock.

    ``field`` is the field with null=False; nothing else of it may change. The rows that were empty
    are filled by a Backfill of an earlier migration.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        table = model._meta.db_table
        column = model._meta.get_field(self.name).column
        constraint = temporary_name(f"{table}_{column}_not_null")
        quote = schema_editor.quote_name
        _add_validated(
            schema_editor,
            table,
            constraint,
            f"ALTER TABLE {quote(table)} ADD CONSTRAINT {quote(constraint)} "
            f"CHECK ({quote(column)} IS NOT NULL)",
        )
        schema_editor.execute(
            f"ALTER TABLE {quote(table)} ALTER COLUMN {quote(column)} SET NOT NULL; "
            f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(constraint)}",
            None,
        )

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        AlterField.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def describe(self):
        return f"Make {self.name} of {self.model_name} NOT NULL"


# CHECKs, indexes and stored generated columns that depend on functions, also through others.
USERS = r"""
WITH RECURSIVE used AS (
    SELECT p.oid, p.proname FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY (%s)
    UNION
    SELECT p.oid, p.proname
    FROM used JOIN pg_proc p ON p.pronamespace = 'public'::regnamespace
    WHERE p.prosrc ~ ('\m' || used.proname || '\M')
       OR EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                    AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = used.oid)
), dependent AS (
    SELECT d.classid, d.objid FROM pg_depend d
    WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM used)
)
SELECT 'constraint', t.relname::text, k.conname::text, pg_get_constraintdef(k.oid)
FROM dependent d JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
JOIN pg_class t ON t.oid = k.conrelid
WHERE k.contype = 'c'
UNION
SELECT 'index', t.relname, c.relname, ''
FROM dependent d JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
UNION
SELECT 'column', t.relname, a.attname, ''
FROM dependent d JOIN pg_attrdef e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum AND a.attgenerated = 's'
JOIN pg_class t ON t.oid = a.attrelid
ORDER BY 1, 2, 3
"""


class User(NamedTuple):
    """An object that uses a function. Its rows were checked or computed with the old body."""

    kind: str  # constraint, index, column
    table: str
    name: str
    definition: str  # of a constraint


def users_of_functions(cursor: Any, names: list[str]) -> list[User]:
    """The objects that use the functions of the schema ``public`` with these names."""
    cursor.execute(USERS, [names])
    return [User(*row) for row in cursor.fetchall() if not row[2].endswith(TEMPORARY)]


class ReplaceFunction(Stepwise, Operation):
    """Replaces a function, and checks the stored rows of each CHECK that uses it.

    ``name``: the function, without schema. ``sql``: CREATE OR REPLACE FUNCTION. ``reverse_sql``:
    the same with the old body. Indexes that use the function are rebuilt.
    """

    reduces_to_sql = True

    def __init__(self, name: str, sql: str, reverse_sql: str = "") -> None:
        self.name = name
        self.sql = sql
        self.reverse_sql = reverse_sql

    @property
    def reversible(self) -> bool:  # type: ignore[override]
        return bool(self.reverse_sql)

    def deconstruct(self):
        kwargs = {"name": self.name, "sql": self.sql}
        if self.reverse_sql:
            kwargs["reverse_sql"] = self.reverse_sql
        return self.__class__.__name__, [], kwargs

    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        self._replace(schema_editor, self.sql)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        self._replace(schema_editor, self.reverse_sql)

    def _replace(self, schema_editor: Any, sql: str) -> None:
        schema_editor.execute(sql.rstrip().rstrip(";"), None)
        with schema_editor.connection.cursor() as cursor:
            users = users_of_functions(cursor, [self.name])
        quote = schema_editor.quote_name
        for user in users:
            if user.kind == "index":
                schema_editor.execute(f"REINDEX INDEX CONCURRENTLY {quote(user.name)}", None)
            elif user.kind == "constraint":
                schema_editor.begin_step()
                temporary = quote(temporary_name(user.name))
                definition = user.definition.removesuffix(" NOT VALID")
                add = f"ALTER TABLE {quote(user.table)} ADD CONSTRAINT {temporary} {definition}"
                _replace(schema_editor, user.table, user.name, add)

    def describe(self):
        return f"Replace function {self.name} and check the rows that depend on it"


def temporary_name(name: str) -> str:
    """The name of an object until it replaces another one. At most 63 characters."""
    return name[: 63 - len(TEMPORARY)] + TEMPORARY


def _add_validated(schema_editor: Any, table: str, name: str, sql: str) -> None:
    quote = schema_editor.quote_name
    schema_editor.execute(f"{sql} NOT VALID", None)
    schema_editor.execute(f"ALTER TABLE {quote(table)} VALIDATE CONSTRAINT {quote(name)}", None)


def _replace(schema_editor: Any, table: str, name: str, sql: str) -> None:
    """Add the constraint under its temporary name, validate it, and drop the old one."""
    quote = schema_editor.quote_name
    temporary = temporary_name(name)
    _add_validated(schema_editor, table, temporary, sql)
    schema_editor.execute(
        f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(name)}; "
        f"ALTER TABLE {quote(table)} RENAME CONSTRAINT {quote(temporary)} TO {quote(name)}",
        None,
    )
