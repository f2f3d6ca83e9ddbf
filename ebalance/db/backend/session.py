"""Copies the current actor into the session variables of a transaction (access.md §3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from ebalance.actor import SYSTEM, current_actor, without_actor

# Statements that change no row; some of them cannot run in a transaction.
UTILITY_WORDS = {
    *(
        "BEGIN",
        "START",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "SAVEPOINT",
        "RELEASE",
        "SET",
        "RESET",
    ),
    *("SHOW", "DISCARD", "LOCK", "LISTEN", "UNLISTEN", "NOTIFY", "PREPARE", "DEALLOCATE"),
    *("DECLARE", "FETCH", "MOVE", "CLOSE", "CREATE", "ALTER", "DROP", "COMMENT", "GRANT", "REVOKE"),
    *("ANALYZE", "VACUUM", "CLUSTER", "REINDEX", "CHECKPOINT"),
}
READ_WORDS = {"SELECT", "VALUES", "TABLE"}
WORD = re.compile(r"[\s(]*(?:--[^\n]*\n[\s(]*|/\*.*?\*/[\s(]*)*([A-Za-z]+)", re.DOTALL)
# Django writes its own functions in capitals. Ours that appear in queries write nothing.
CALL = re.compile(r'([a-z_][a-z0-9_]*|")\s*\(')
PURE = {"split_part", "busy_range", "find_time_zone", "fact_clock"}
# Statements that undo or end the settings of a transaction.
ENDS = re.compile(r"\s*(?:ROLLBACK|ABORT|COMMIT|END)\b", re.IGNORECASE)


class SessionActor:
    """The actor of a connection's current transaction. Also an execute wrapper.

    Before a statement that may write, the wrapper opens a transaction if there is none, and sets
    the variables if the actor has changed since.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._was_set = False
        self._variables: dict[str, str] | None = SYSTEM  # None: unknown after a rollback
        self._is_setting = False

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if self._was_set and isinstance(sql, str) and ENDS.match(sql):
            self._variables = None
        if self._is_setting or not may_write(sql):
            return execute(sql, params, many, context)
        with self.in_transaction():
            return execute(sql, params, many, context)

    @contextmanager
    def in_transaction(self) -> Iterator[None]:
        """Run the block in a transaction whose variables name the current actor."""
        connection = self._connection
        if not connection.get_autocommit():
            self._update()
            yield
        elif current_actor() is None or connections[connection.alias] is not connection:
            yield
        else:
            with transaction.atomic(using=connection.alias):
                yield

    def reset(self) -> None:
        """Forget the variables, which end with the transaction."""
        self._was_set, self._variables = False, SYSTEM

    def begin(self) -> Callable[[], None] | None:
        """Called before a transaction begins; returns what to call after it has begun."""
        self.reset()
        wanted = self._wanted()
        return None if wanted == SYSTEM else lambda: self._set(wanted)

    def _update(self) -> None:
        """Set the variables if the actor changed; earlier writes keep their actor."""
        if current_actor() is None and not self._was_set:
            return
        wanted = self._wanted()
        if wanted == self._variables:
            return
        from ebalance.db.auditing import audit_triggers  # needs the models

        # Write the pending entries while the variables still name their actor.
        names = ", ".join(f"public.{name}" for name in audit_triggers())
        self._execute(f"SET CONSTRAINTS {names} IMMEDIATE; SET CONSTRAINTS {names} DEFERRED")
        self._set(wanted)

    def _wanted(self) -> dict[str, str]:
        actor = current_actor()
        if actor is None:
            return SYSTEM
        # Evaluating a lazy user runs queries.
        with without_actor():
            return actor.variables()

    def _set(self, variables: dict[str, str]) -> None:
        calls = ", ".join("set_config(%s, %s, true)" for _ in variables)
        values = [part for name, text in variables.items() for part in (f"ebalance.{name}", text)]
        self._was_set = True
        self._execute(f"SELECT {calls}", values)
        self._variables = variables

    def _execute(self, sql: str, params: list[str] | None = None) -> None:
        self._is_setting = True
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, params)
        finally:
            self._is_setting = False


def may_write(sql: object) -> bool:
    """Whether a statement may change rows; True if in doubt.

    A read may call a function that writes, unless all calls are in capitals, as Django's are.
    """
    if not isinstance(sql, str):
        return True
    match = WORD.match(sql)
    word = match[1].upper() if match else ""
    if ";" in sql.rstrip("; \n"):
        return True
    if word in READ_WORDS:
        return any(name not in PURE for name in CALL.findall(sql))
    return word not in UTILITY_WORDS
