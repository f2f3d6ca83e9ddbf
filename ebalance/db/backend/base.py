"""Django's PostgreSQL backend with foreign keys that are named after their column.

It also connects to the bundled server when no DATABASE_URL is set, and keeps values out of errors
and logs (docs/adr/0010-redaction.md).
"""

import copy
import logging
import time
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.postgresql.client import DatabaseClient as PostgresClient
from django.db.backends.postgresql.features import DatabaseFeatures as PostgresFeatures
from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations
from django.db.backends.postgresql.schema import DatabaseSchemaEditor as PostgresSchemaEditor
from django.db.backends.utils import CursorDebugWrapper as DjangoCursorDebugWrapper
from django.db.backends.utils import CursorWrapper as DjangoCursorWrapper
from django.db.utils import DatabaseErrorWrapper as DjangoErrorWrapper
from django.utils.functional import cached_property
from django.utils.module_loading import import_string

from .messages import safe_message
from .session import SessionActor

logger = logging.getLogger("django.db.backends")


class DatabaseFeatures(PostgresFeatures):
    # UNIQUE NULLS NOT DISTINCT and MERGE need 15.
    minimum_database_version = (15,)


class DatabaseOperations(PostgresOperations):
    def deferrable_sql(self) -> str:
        # Deferrable, so that a transaction may insert in any order after SET CONSTRAINTS;
        # immediate, so that an error is raised by the statement that causes it.
        return " DEFERRABLE INITIALLY IMMEDIATE"

    def last_executed_query(self, cursor, sql, params):
        # Django would insert the parameters.
        return sql if isinstance(sql, str) else f"<{type(sql).__name__}>"


class DatabaseClient(PostgresClient):
    def runshell(self, parameters):
        self.connection.use_bundled_server()  # type: ignore[attr-defined]
        super().runshell(parameters)


def is_unsampled(field, connection) -> bool:
    """Whether the column holds personal texts or addresses. Its comment starts with its class."""
    is_personal = (field.db_comment or "").startswith(("P1 ", "P2 "))
    return is_personal and field.db_type(connection) in {"text", "inet", "jsonb"}


class DatabaseSchemaEditor(PostgresSchemaEditor):
    sql_create_column_inline_fk = None  # type: ignore[assignment]

    def _create_like_index_sql(self, model, field):
        # A second index for LIKE on a key, with a generated name; no query needs it.
        return None

    def _fk_constraint_name(self, model, field, suffix):
        return self.quote_name(f"{model._meta.db_table}_{field.column}_fk")

    def begin_step(self):
        """End a step of an operation that is not one transaction (ebalance/db/operations)."""

    # The planner copies values into its statistics, which an erasure does not reach. So personal
    # texts and addresses have none (docs/adr/0036-no-statistics-of-personal-texts.md).

    def create_model(self, model):
        super().create_model(model)
        for field in model._meta.local_concrete_fields:
            self._set_statistics(model, field, is_unsampled(field, self.connection), False)

    def add_field(self, model, field):
        super().add_field(model, field)
        self._set_statistics(model, field, is_unsampled(field, self.connection), False)

    def alter_field(self, model, old_field, new_field, strict=False):
        super().alter_field(model, old_field, new_field, strict)
        was, now = (is_unsampled(field, self.connection) for field in (old_field, new_field))
        self._set_statistics(model, new_field, now, was)

    def _alter_field(self, model, old_field, new_field, old_type, new_type, *args, **kwargs):
        if old_type == new_type and old_field.db_comment != new_field.db_comment:
            # With a new comment Django alters the type too, and the server checks all rows again.
            comment = new_field.db_comment
            self.execute(*self._alter_column_comment_sql(model, new_field, new_type, comment))  # type: ignore[attr-defined]
            old_field = copy.copy(old_field)
            old_field.db_comment = new_field.db_comment
        super()._alter_field(model, old_field, new_field, old_type, new_type, *args, **kwargs)  # type: ignore[misc]

    def _set_statistics(self, model, field, is_now, was):
        if is_now != was:
            self.execute(
                f"ALTER TABLE {self.quote_name(model._meta.db_table)} "
                f"ALTER COLUMN {self.quote_name(field.column)} SET STATISTICS {0 if is_now else -1}"
            )


class DatabaseErrorWrapper(DjangoErrorWrapper):
    """Removes data from the driver's message before Django copies it.

    The driver's own error is cleaned too, since tracebacks print it as the cause.
    """

    def __exit__(self, exc_type, exc_value, traceback):
        if isinstance(exc_value, psycopg.Error):
            exc_value.args = (safe_message(exc_value),)
        super().__exit__(exc_type, exc_value, traceback)


class Unwrapped:
    """The cursor methods that execute wrappers do not intercept."""

    db: Any
    cursor: Any

    @contextmanager
    def copy(self, *args, **kwargs):
        with self.db.session_actor.in_transaction(), self.cursor.copy(*args, **kwargs) as stream:
            yield stream

    def stream(self, *args, **kwargs):
        with self.db.session_actor.in_transaction():
            yield from self.cursor.stream(*args, **kwargs)

    def callproc(self, *args, **kwargs):
        with self.db.session_actor.in_transaction():
            return super().callproc(*args, **kwargs)  # type: ignore[misc]


class CursorWrapper(Unwrapped, DjangoCursorWrapper):
    pass


class CursorDebugWrapper(Unwrapped, DjangoCursorDebugWrapper):
    """Django's, without parameters in `connection.queries` and in the log."""

    @contextmanager
    def debug_sql(self, sql=None, params=None, use_last_executed_query=False, many=False):
        start = time.monotonic()
        try:
            yield
        finally:
            duration = time.monotonic() - start
            shown = self.db.ops.last_executed_query(self.cursor, sql, None)
            if many:
                shown = f"many times: {shown}"
            self.db.queries_log.append({"sql": shown, "time": f"{duration:.3f}"})
            logger.debug(
                "(%.3f) %s; alias=%s",
                duration,
                shown,
                self.db.alias,
                extra={"duration": duration, "sql": shown, "alias": self.db.alias},
            )


class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = DatabaseSchemaEditor
    features_class = DatabaseFeatures
    ops_class = DatabaseOperations
    client_class = DatabaseClient

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.session_actor = SessionActor(self)
        self.execute_wrappers.append(self.session_actor)

    @cached_property
    def wrap_database_errors(self):
        return DatabaseErrorWrapper(self)

    def make_cursor(self, cursor):
        return CursorWrapper(cursor, self)

    def make_debug_cursor(self, cursor):
        return CursorDebugWrapper(cursor, self)

    def use_bundled_server(self) -> None:
        """Start the bundled server, if the settings name one, and connect to its socket."""
        if path := self.settings_dict.get("BUNDLED"):
            self.settings_dict["HOST"] = import_string(path)().socket_dir

    def _set_autocommit(self, autocommit):
        set_actor = None if autocommit else self.session_actor.begin()
        super()._set_autocommit(autocommit)  # type: ignore[misc]
        if set_actor:
            try:
                set_actor()
            except BaseException:
                self.close()  # else the connection would stay in an unmanaged transaction
                raise

    def _commit(self):
        super()._commit()  # type: ignore[misc]
        self.session_actor.reset()

    def _rollback(self):
        super()._rollback()  # type: ignore[misc]
        self.session_actor.reset()

    def disable_constraint_checking(self):
        """Let fixtures be loaded in any order: deferrable constraints are checked at the end.

        Returns False: loaddata calls check_constraints() itself, and nothing must be enabled again.
        """
        with self.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        return False

    def get_connection_params(self):
        self.use_bundled_server()
        return super().get_connection_params()
