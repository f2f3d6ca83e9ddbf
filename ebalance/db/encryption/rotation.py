"""Moves sealed values and blind indexes to the primary keys of their rings (privacy.md §2).

A batch is one transaction. It locks rows with values under an old key, skips locked rows, seals the
values again, writes those that have not changed since, and stores the progress in
``key_rotations``. A killed run loses one batch at most, a writer waits for one batch at most, and
several runs share the work.

See docs/adr/0009-key-rotation.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import NamedTuple
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection, models, transaction

from ebalance.failures import database_error, is_outside, reason_of

from .. import contacts
from ..apps import PROJECT_APPS
from . import envelope
from .blind_index import BlindIndex
from .fields import SealedField, SealingError
from .keys import Keyring
from .protected import ProtectedField, protected_fields

LOCK_TIMEOUT = "2s"  # for other locks of a batch, such as on a blind index
NO_TIME = "10ms"  # after the first such lock
PATIENCE = 30.0  # seconds without progress, while other transactions lock the remaining rows
PAUSE = 0.2  # seconds before rows that were locked are tried again
BUSY_STATES = ("55P03", "40P01", "40001")  # SQLSTATE: a lock timeout, a deadlock, a conflict


@dataclass(frozen=True)
class Share:
    """The number of rows of a column under one key."""

    field: ProtectedField
    key_id: str
    rows: int

    @property
    def is_current(self) -> bool:
        return self.key_id == ring_of(self.field).primary.id

    @property
    def is_known(self) -> bool:
        return self.key_id in ring_of(self.field).by_id


class Renewed(NamedTuple):
    """The old and the new values of a row."""

    row_id: UUID
    old: Sequence[str | None]
    new: Sequence[str | None]


class Ended(Exception):
    """Another run finished this rotation, or began a rotation to other keys."""


def sealed_models() -> list[type[models.Model]]:
    """All models that have sealed columns, in the order of the apps."""
    return [
        model
        for label in PROJECT_APPS
        for model in apps.get_app_config(label).get_models()
        if protected_fields(model)
    ]


def ring_of(field: ProtectedField) -> Keyring:
    ring: Keyring = (
        settings.BLIND_INDEX_KEYS if isinstance(field, BlindIndex) else settings.ENCRYPTION_KEYS
    )
    return ring


def shares(model: type[models.Model]) -> list[Share]:
    """The number of rows of each column by key."""
    result = []
    with connection.cursor() as db:
        for field in protected_fields(model):
            db.execute(
                f"SELECT {_key_id(field)} AS key_id, count(*) FROM {_table(model)} "
                f"WHERE {_quote(field.column)} IS NOT NULL GROUP BY 1 ORDER BY 1"
            )
            result += [Share(field, key_id, rows) for key_id, rows in db.fetchall()]
    return result


class Rotation:
    """The move of one table.

    After ``run()`` or ``rehearse()``, ``left`` has the reason for each row that cannot be moved,
    without any part of a value.
    """

    def __init__(
        self,
        model: type[models.Model],
        *,
        batch: int,
        stop: Event | None = None,
        patience: float = PATIENCE,
    ):
        self.model = model
        self.table: str = model._meta.db_table
        self.fields = protected_fields(model)
        self.batch = batch
        self.stop = stop or Event()
        self.patience = patience
        self.done = 0  # rows moved by this run
        self.left: dict[UUID, str] = {}
        self.id: UUID | None = None
        self.cursor: UUID | None = None
        channels = {f.channel_field for f in self.fields if isinstance(f, BlindIndex)} - {""}
        self.columns = [*(f.column for f in self.fields), *sorted(channels)]
        self.needs = " OR ".join(f"{_key_id(field)} <> %s" for field in self.fields)
        self.primaries = [ring_of(field).primary.id for field in self.fields]

    # -- the whole ------------------------------------------------------------------------------

    def remaining(self) -> int:
        """The number of rows with a value under an old key."""
        with connection.cursor() as db:
            db.execute(
                f"SELECT count(*) FROM {_table(self.model)} WHERE {self.needs}", self.primaries
            )
            (rows,) = db.fetchone()
        return rows

    def begin(self) -> int:
        """Open a rotation of the table, or continue the open one; returns how many rows it moved.

        An open rotation to other keys is ended: the keys of the latest run count. Otherwise two
        runs would undo each other's work for ever.
        """
        with transaction.atomic(), connection.cursor() as db:
            db.execute(
                "UPDATE key_rotations SET finished_at = now() WHERE table_name = %s "
                "AND finished_at IS NULL AND (to_key, to_index_key) <> (%s, %s)",
                self._target(),
            )
            db.execute(
                "INSERT INTO key_rotations (table_name, to_key, to_index_key) VALUES (%s, %s, %s) "
                "ON CONFLICT (table_name) WHERE finished_at IS NULL DO NOTHING",
                self._target(),
            )
            db.execute(
                "SELECT id, cursor, rows_done FROM key_rotations WHERE table_name = %s "
                "AND finished_at IS NULL AND (to_key, to_index_key) = (%s, %s)",
                self._target(),
            )
            row = db.fetchone()
        if row is None:  # a concurrent run began another rotation
            return self.begin()
        self.id, self.cursor, moved = row
        return moved

    def run(self, tick: Callable[[int], object] = lambda rows: None) -> None:
        """Move what can be moved, after ``begin()``; ``tick`` gets the rows of each batch.

        Ends early when ``stop`` is set, or when another run ends the rotation. Locked rows are
        retried until none has become free for ``patience`` seconds.
        """
        fewest, deadline = None, 0.0
        while self._pass(tick):
            busy = self.remaining() - len(self.left)
            if busy > 0 and (fewest is None or busy < fewest):
                fewest, deadline = busy, time.monotonic() + self.patience
            elif busy <= 0 or time.monotonic() > deadline:
                self.end()
                return
            if self.stop.wait(PAUSE):
                return

    def _pass(self, tick: Callable[[int], object]) -> bool:
        """Process the table once, from the stored position; returns whether to continue."""
        self.left.clear()
        while not self.stop.is_set():
            try:
                moved = self.move_batch()
            except Ended:
                return False
            if moved is None:
                self.cursor = None
                return True
            tick(moved)
        return False

    def end(self) -> None:
        """Close the rotation. If rows remain, it stays open for another run."""
        with connection.cursor() as db:
            db.execute(
                "UPDATE key_rotations SET cursor = NULL, finished_at = CASE WHEN %s THEN now() END "
                "WHERE table_name = %s AND finished_at IS NULL "
                "AND (to_key, to_index_key) = (%s, %s)",
                [self.remaining() == 0, *self._target()],
            )

    def _target(self) -> list[str]:
        return [
            self.table,
            settings.ENCRYPTION_KEYS.primary.id,
            settings.BLIND_INDEX_KEYS.primary.id,
        ]

    def rehearse(self, tick: Callable[[int], object] = lambda rows: None) -> None:
        """Open all that would be moved, and write nothing."""
        self.left.clear()
        cursor: UUID | None = None
        while not self.stop.is_set() and (rows := self._rows(cursor, lock="")):
            cursor = rows[-1][0]
            movable = len([*self._renewed(rows)])
            self.done += movable
            tick(movable)

    # -- a batch --------------------------------------------------------------------------------

    def move_batch(self) -> int | None:
        """Move the next rows; returns how many, or None at the end of the table."""
        with transaction.atomic(), connection.cursor() as db:
            rows = self._rows(self.cursor, lock="FOR NO KEY UPDATE SKIP LOCKED")
            if not rows:
                return None
            renewed = [*self._renewed(rows)]
            db.execute(
                "UPDATE key_rotations SET batch_transaction = pg_current_xact_id()::text::bigint "
                "WHERE id = %s AND finished_at IS NULL",
                [self.id],
            )
            if not db.rowcount:
                raise Ended
            moved = self._write(renewed) if renewed else 0
            db.execute(
                "UPDATE key_rotations SET rows_done = rows_done + %s, "
                "cursor = greatest(cursor, %s), batch_transaction = NULL WHERE id = %s",
                [moved, rows[-1][0], self.id],
            )
        self.cursor = rows[-1][0]
        self.done += moved
        return moved

    def _rows(self, cursor: UUID | None, *, lock: str) -> list[tuple]:
        """The next rows with a value under an old key: id and columns."""
        after = "" if cursor is None else "AND id > %s"
        names = ", ".join(map(_quote, self.columns))
        with connection.cursor() as db:
            db.execute(
                f"SELECT id, {names} FROM {_table(self.model)} "
                f"WHERE ({self.needs}) {after} ORDER BY id LIMIT %s {lock}",
                [*self.primaries, *([] if cursor is None else [cursor]), self.batch],
            )
            rows: list[tuple] = db.fetchall()
        return rows

    def _renewed(self, rows: list[tuple]) -> Iterator[Renewed]:
        ready = [f"{envelope.VERSION}.{primary}." for primary in self.primaries]
        steps = [*zip(range(len(ready)), ready, self.fields, strict=True)]
        for row_id, *old in rows:
            new = old[: len(steps)]
            for n, prefix, field in steps:
                text = old[n]
                if text is None or text.startswith(prefix):
                    continue
                try:
                    if isinstance(field, SealedField):
                        new[n] = _resealed(text, field, row_id)
                    elif isinstance(field, BlindIndex):
                        values = dict(zip(self.columns, old, strict=True))
                        new[n] = _index(field, row_id, values)
                except (SealingError, contacts.ContactInvalid) as error:
                    self.left[row_id] = f"{field.column}: {error}"
                except Exception as error:  # of a value that this program never wrote
                    self.left[row_id] = f"{field.column}: {reason_of(error)}"
            if new != old[: len(steps)]:
                yield Renewed(row_id, old, new)

    def _write(self, renewed: list[Renewed]) -> int:
        """Write a batch, row by row if a rule or a lock prevents it; returns how many."""
        _wait_for_locks(LOCK_TIMEOUT)
        try:
            return self._update(renewed)
        except DatabaseError as error:
            _refusal(error)
        moved = 0
        for row in renewed:
            try:
                moved += self._update([row])
            except DatabaseError as error:
                if rule := _refusal(error):
                    self.left[row.row_id] = f"refused by {rule}"
                else:  # a batch waits for one lock only
                    _wait_for_locks(NO_TIME)
        return moved

    def _update(self, renewed: list[Renewed]) -> int:
        names = [field.column for field in self.fields]
        sets = ", ".join(f"{_quote(name)} = v.new_{n}" for n, name in enumerate(names))
        same = " AND ".join(
            f"t.{_quote(name)} IS NOT DISTINCT FROM v.old_{n}" for n, name in enumerate(names)
        )
        given = ", ".join(f"old_{n}, new_{n}" for n in range(len(names)))
        # Binary (%b), so that psycopg need not escape each text for an array literal.
        arrays = ", ".join("%b::text[], %b::text[]" for _ in names)
        values: list[list] = [[row.row_id for row in renewed]]
        for n in range(len(names)):
            values += [[row.old[n] for row in renewed], [row.new[n] for row in renewed]]
        with transaction.atomic(), connection.cursor() as db:
            # A deferred trigger that refuses a row refuses it in this savepoint.
            db.execute("SET CONSTRAINTS ALL IMMEDIATE")
            db.execute(
                f"UPDATE {_table(self.model)} AS t SET {sets} "
                f"FROM unnest(%s::uuid[], {arrays}) AS v (id, {given}) "
                f"WHERE t.id = v.id AND {same}",
                values,
            )
            return db.rowcount


def _resealed(text: str, field: SealedField, row_id: UUID) -> str:
    """The value under the primary key. Raises SealingError.

    The bytes are copied without parsing.
    """
    return envelope.seal(envelope.open_sealed(text, field.token, row_id), field.token, row_id)


def _index(field: BlindIndex, row_id: UUID, row: dict[str, str]) -> str:
    """The blind index under the primary key. Raises SealingError or ContactInvalid."""
    source = field.model._meta.get_field(field.source)
    assert isinstance(source, SealedField)
    channel = field.channel or row[field.channel_field]
    # One expression, so that no frame of a traceback holds the contact.
    contact = contacts.normalise(channel, source.opened(row[source.column], row_id))
    return envelope.blind_index(contact)


def _wait_for_locks(limit: str) -> None:
    with connection.cursor() as db:
        db.execute("SELECT set_config('lock_timeout', %s, true)", [limit])


def _refusal(error: DatabaseError) -> str:
    """The rule that refused the rows; empty for a lock. Raises an error that concerns no row."""
    cause = database_error(error)
    if cause is None or is_outside(error):
        raise error
    if (cause.sqlstate or "").startswith(BUSY_STATES):
        return ""
    return cause.diag.constraint_name or cause.sqlstate or "a rule"


def _key_id(field: ProtectedField) -> str:
    """SQL: the key id of a value. Only the beginning of a long value is read."""
    return f"split_part(substr({_quote(field.column)}, 1, 20), '.', 2)"


def _quote(name: str) -> str:
    return connection.ops.quote_name(name)


def _table(model: type[models.Model]) -> str:
    return _quote(model._meta.db_table)
