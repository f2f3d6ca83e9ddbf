"""Moves sealed values and blind indexes to the primary keys of their rings (privacy.md §2).

A batch is one transaction (ebalance/db/walks.py). It locks rows with values under an old key, skips
locked rows, seals the values again, writes those that have not changed since, and stores the
progress in ``key_rotations``. Several runs share the work.

See docs/adr/0009-key-rotation.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import connection, models, transaction

from ebalance.failures import reason_of

from .. import contacts
from ..apps import PROJECT_APPS
from ..walks import PROGRESS_LIMITS, Ended, KeyWalk, Tick, limited, quote, set_local
from . import envelope
from .blind_index import BlindIndex
from .fields import SealedField, SealingError
from .keys import Keyring
from .protected import ProtectedField, protected_fields


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
                f"SELECT {_key_id(field)} AS key_id, count(*) FROM {quote(model._meta.db_table)} "
                f"WHERE {quote(field.column)} IS NOT NULL GROUP BY 1 ORDER BY 1"
            )
            result += [Share(field, key_id, rows) for key_id, rows in db.fetchall()]
    return result


class Rotation(KeyWalk):
    """The move of one table. A reason in ``refused`` has no part of a value.

    ``run()`` needs ``begin()`` before it, and ends early when another run ends the rotation.
    """

    def __init__(self, model: type[models.Model], **options: Any):
        super().__init__(**options)
        self.model = model
        self.name: str = model._meta.db_table
        self.fields = protected_fields(model)
        self.id: UUID | None = None
        channels = {f.channel_field for f in self.fields if isinstance(f, BlindIndex)} - {""}
        self.columns = [*(f.column for f in self.fields), *sorted(channels)]
        self.primaries = [ring_of(field).primary.id for field in self.fields]
        self.table, self.key = quote(self.name), "id"
        self.where = " OR ".join(f"{_key_id(field)} <> %s" for field in self.fields)
        self.params = self.primaries

    # -- the whole ------------------------------------------------------------------------------

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

    def run(self, tick: Tick = lambda rows: None) -> bool:
        if is_complete := super().run(tick):
            self.end()
        return is_complete

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
            self.name,
            settings.ENCRYPTION_KEYS.primary.id,
            settings.BLIND_INDEX_KEYS.primary.id,
        ]

    def rehearse(self, tick: Tick = lambda rows: None) -> None:
        """Open all that would be moved, and write nothing."""
        while not self.stop.is_set() and (chosen := self.find(self.batch)):
            self.cursor = chosen[-1]
            movable = len([*self._renewed(self._rows(chosen, lock=""))])
            self.done += movable
            tick(movable)

    # -- a batch --------------------------------------------------------------------------------

    def change(self, chosen: list[UUID]) -> int:
        with limited(PROGRESS_LIMITS) as db:
            db.execute(
                "UPDATE key_rotations SET batch_transaction = pg_current_xact_id()::text::bigint "
                "WHERE id = %s AND finished_at IS NULL",
                [self.id],
            )
            if not db.rowcount:
                raise Ended
            set_local(db, self.limits())
            renewed = [*self._renewed(self._rows(chosen, lock="FOR NO KEY UPDATE SKIP LOCKED"))]
            moved = self._update(renewed) if renewed else 0
            db.execute(
                "UPDATE key_rotations SET rows_done = rows_done + %s, "
                "cursor = greatest(cursor, %s), batch_transaction = NULL WHERE id = %s",
                [moved, chosen[-1], self.id],
            )
        self.cursor = chosen[-1]
        return moved

    def _rows(self, chosen: list[UUID], *, lock: str) -> list[tuple]:
        """These rows, if they have a value under an old key: id and columns."""
        names = ", ".join(map(quote, self.columns))
        with connection.cursor() as db:
            db.execute(
                f"SELECT id, {names} FROM {self.table} "
                f"WHERE id = ANY (%s) AND ({self.where}) ORDER BY id {lock}",
                [chosen, *self.primaries],
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
                    self.refused[row_id] = f"{field.column}: {error}"
                except Exception as error:  # of a value that this program never wrote
                    self.refused[row_id] = f"{field.column}: {reason_of(error)}"
            if new != old[: len(steps)]:
                yield Renewed(row_id, old, new)

    def _update(self, renewed: list[Renewed]) -> int:
        names = [field.column for field in self.fields]
        sets = ", ".join(f"{quote(name)} = v.new_{n}" for n, name in enumerate(names))
        same = " AND ".join(
            f"t.{quote(name)} IS NOT DISTINCT FROM v.old_{n}" for n, name in enumerate(names)
        )
        given = ", ".join(f"old_{n}, new_{n}" for n in range(len(names)))
        # Binary (%b), so that psycopg need not escape each text for an array literal.
        arrays = ", ".join("%b::text[], %b::text[]" for _ in names)
        values: list[list] = [[row.row_id for row in renewed]]
        for n in range(len(names)):
            values += [[row.old[n] for row in renewed], [row.new[n] for row in renewed]]
        with connection.cursor() as db:
            db.execute(
                f"UPDATE {self.table} AS t SET {sets} "
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


def _key_id(field: ProtectedField) -> str:
    """SQL: the key id of a value. Only the beginning of a long value is read."""
    return f"split_part(substr({quote(field.column)}, 1, 20), '.', 2)"
