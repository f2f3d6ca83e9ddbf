"""Compares the schema before and after a step, inside the step's transaction (migrations.md).

A loss is an object, a grant or rows that the step removed. A migration declares its losses with
``Contract``. A hazard is a change that locks a table for as long as its size demands, or that
breaks clients of the previous release. It cannot be declared; its sentence names the remedy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from ebalance.commands import format_rows
from ebalance.db.operations.steps import TEMPORARY, users_of_functions

from . import advice
from .objects import Key, Object, Objects, read_changes, read_objects, read_row_counts
from .statements import is_wider

MOST_UPDATED = 1000  # rows of a table; more is the work of a backfill


@dataclass(frozen=True)
class Finding:
    """A loss, whose ``loss`` a Contract may name, or a hazard, whose ``loss`` is empty."""

    sentence: str
    loss: str = ""


class Comparison:
    """The schema before a step; ``findings()`` compares it with the present one.

    ``new_tables``: made by an earlier step of the same migration; no client uses them.
    """

    def __init__(self, cursor: Any, new_tables: Collection[str] = ()):
        self._cursor = cursor
        self._new_tables = new_tables
        self.before: Objects = read_objects(cursor)
        self._rows = read_row_counts(cursor)
        self.new: list[Object] = []  # after findings()

    def findings(self, declared: Collection[str]) -> list[Finding]:
        """The hazards and the undeclared losses of the transaction.

        ``declared`` has the allowed losses by their names in ``Object.__str__``: "column
        users.phone", "table drafts". A declared table includes all that belongs to it.
        """
        written, removed = read_changes(self._cursor, self.before)
        self.new = [each for key, each in written.items() if key not in self.before]
        findings = [
            *self._new(written),
            *self._changed(written, declared),
            *self._removed(written, removed),
            *self._rows_written(),
        ]
        return [each for each in findings if each.loss not in declared or not each.loss]

    # -- new objects ----------------------------------------------------------------------------

    def _is_old_table(self, oid: int) -> bool:
        table = self.before.get(Key("pg_class", oid, 0))
        return table is not None and table.name not in self._new_tables

    def _new(self, written: Objects) -> Iterator[Finding]:
        for key, new in written.items():
            if key in self.before or not self._is_old_table(new.table):
                continue
            facts = new.facts
            if new.kind == "index" and not self._excludes_in_empty_table(key, written):
                yield Finding(f"builds {new} while its table is locked. {advice.INDEX}")
            elif new.kind == "constraint" and facts["type"] in "cf" and facts["is_valid"]:
                yield Finding(f"checks all rows for {new} under a lock. {advice.CONSTRAINT}")
            elif new.kind == "column" and facts["is_required"] and not facts["is_filled"]:
                yield Finding(f"adds {new} NOT NULL without a default. {advice.REQUIRED_COLUMN}")

    def _excludes_in_empty_table(self, index: Key, written: Objects) -> bool:
        for constraint in written.values():
            if constraint.kind == "constraint" and constraint.facts["index"] == index.oid:
                if constraint.facts["type"] != "x":
                    return False
                self._cursor.execute("SELECT %s::bigint::regclass::text", [constraint.table])
                (table,) = self._cursor.fetchone()
                self._cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")
                return self._cursor.fetchone() == (False,)
        return False

    # -- changed objects ------------------------------------------------------------------------

    def _changed(self, written: Objects, declared: Collection[str]) -> Iterator[Finding]:
        bodies = []
        for key, new in written.items():
            if (old := self.before.get(key) or self._recreated(new)) is None:
                continue
            if new.kind == "column" and new.facts["is_dropped"]:
                if not old.facts["is_dropped"]:
                    yield _loss(old)
                continue
            if old.name != new.name and not (_is_temporary(old) or _is_attached(key, written)):
                yield Finding(f"renames {old} to {new.name}. {advice.RENAME}")
            if lost := {*_privileges(old)} - {*_privileges(new)}:
                yield Finding(
                    f"takes back {min(lost)} on {old}. {advice.CONTRACT}", f"grant {old.name}"
                )
            if new.kind == "table":
                yield from _changed_table(old, new)
            elif new.kind == "constraint" and old.facts["is_valid"] and not new.facts["is_valid"]:
                yield Finding(f"stops enforcing {old}. {advice.CONTRACT}", str(old))
            elif new.kind == "column":
                yield from self._changed_column(key, old, new)
            elif new.kind == "trigger" and old.facts["is_enabled"] and not new.facts["is_enabled"]:
                yield Finding(f"disables {old}. {advice.CONTRACT}", str(old))
            elif (
                new.kind == "function"
                and old.facts["body"] != new.facts["body"]
                and f"body {new.name}" not in declared
            ):
                bodies.append(new.name)
        names = [name.partition("(")[0] for name in bodies]
        if names and (users := users_of_functions(self._cursor, names)):
            yield Finding(
                f"replaces {', '.join(bodies)}, which {users[0].name} uses ({len(users)} in all). "
                f"{advice.FUNCTION}"
            )

    def _recreated(self, new: Object) -> Object | None:
        """The function that was dropped and made again, with other privileges."""
        if new.kind != "function":
            return None
        return next((old for old in self.before.values() if str(old) == str(new)), None)

    def _changed_column(self, key: Key, old: Object, new: Object) -> Iterator[Finding]:
        was, now = old.facts, new.facts
        types = was["shown_type"], now["shown_type"]
        if (was["type"], was["typmod"]) != (now["type"], now["typmod"]) and not is_wider(*types):
            yield Finding(
                f"changes {old} from {was['shown_type']} to {now['shown_type']}. {advice.REWRITE}"
            )
        if now["is_required"] and not was["is_required"] and not self._is_checked(key, new):
            yield Finding(f"makes {old} NOT NULL, which checks all rows. {advice.NOT_NULL}")
        if was["is_filled"] and not now["is_filled"] and now["is_required"]:
            yield Finding(
                f"removes the default of {old}, which is NOT NULL. {advice.CONTRACT}",
                f"default {old.name}",
            )
        if was["is_computed"] and not now["is_computed"]:
            yield Finding(f"stops computing {old}. {advice.CONTRACT}", f"default {old.name}")
        if was["is_required"] and not now["is_required"]:
            yield Finding(f"removes NOT NULL from {old}. {advice.CONTRACT}", f"not null {old.name}")

    def _is_checked(self, column: Key, new: Object) -> bool:
        """Whether a validated CHECK keeps the column from being null."""
        name = new.name.split(".")[1]
        return any(
            _is_not_null(each, name)
            and each.table == column.oid
            and each.facts["is_valid"]
            and each.facts["columns"] == [column.number]
            for each in self.before.values()
        )

    def _is_redundant(self, removed: Object, written: Objects) -> bool:
        """Whether the CHECK repeats the NOT NULL of its column."""
        if removed.kind != "constraint" or len(removed.facts["columns"]) != 1:
            return False
        key = Key("pg_attribute", removed.table, removed.facts["columns"][0])
        column = written.get(key) or self.before[key]
        name = column.name.split(".")[1]
        return _is_not_null(removed, name) and column.facts["is_required"]

    # -- removed objects -----------------------------------------------------------------------

    def _removed(self, written: Objects, removed: list[Object]) -> Iterator[Finding]:
        tables = {each.table: each for each in removed if each.kind in {"table", "view"}}
        dropped = {
            (key.oid, key.number)
            for key, each in written.items()
            if each.kind == "column" and each.facts["is_dropped"]
        }
        constraints = {each.facts["index"] for each in removed if each.kind == "constraint"}
        indexes = {each.name: key.oid for key, each in self.before.items() if each.kind == "index"}
        new = {str(each): key for key, each in written.items()}
        for each in removed:
            if each.kind in {"table", "view"}:
                yield _loss(each)
            elif each.kind == "sequence":
                if not any(each.name.startswith(f"{table.name}_") for table in tables.values()):
                    yield _loss(each)
            elif (
                each.table in tables
                or _is_temporary(each)
                or each.facts.get("is_internal")
                or self._is_redundant(each, written)
            ):
                continue
            elif each.kind in {"index", "constraint"} and any(
                (each.table, number) in dropped for number in each.facts["columns"]
            ):
                continue  # dropped by its column
            elif each.kind == "index" and indexes[each.name] in constraints:
                continue  # dropped by its constraint
            elif (key := new.get(str(each))) is None:
                yield _loss(each)
            elif each.kind == "constraint" and key not in self.before:
                yield Finding(f"changes {each} in place. {advice.CHANGED_CHECK}")

    # -- rows -----------------------------------------------------------------------------------

    def _rows_written(self) -> Iterator[Finding]:
        for oid, (deleted, updated) in read_row_counts(self._cursor).items():
            if (table := self.before.get(Key("pg_class", oid, 0))) is None:
                continue
            deleted_before, updated_before = self._rows.get(oid, (0, 0))
            if deleted > deleted_before:
                yield Finding(
                    f"deletes {format_rows(deleted - deleted_before)} of {table}. {advice.ROWS}",
                    f"rows {table.name}",
                )
            if updated - updated_before > MOST_UPDATED:
                yield Finding(
                    f"updates {format_rows(updated - updated_before)} of {table} at once. "
                    f"{advice.MANY_ROWS}"
                )


def _changed_table(old: Object, new: Object) -> Iterator[Finding]:
    if old.facts["file"] != new.facts["file"]:
        yield Finding(f"rewrites or truncates {old}. {advice.REWRITE}")
    if old.facts["row_security"] > new.facts["row_security"]:
        yield Finding(f"disables row level security of {old}. {advice.CONTRACT}", str(old))
    if old.facts["is_partition"] and not new.facts["is_partition"]:
        yield Finding(f"detaches {old}. {advice.CONTRACT}", str(old))


def _is_not_null(each: Object, column: str) -> bool:
    return each.kind == "constraint" and each.facts["text"] in (
        f"CHECK (({column} IS NOT NULL))",
        f'CHECK (("{column}" IS NOT NULL))',
    )


def _is_attached(index: Key, written: Objects) -> bool:
    """Whether ADD CONSTRAINT … USING INDEX gave the index the name of its constraint."""
    return index.catalog in {"pg_index", "pg_class"} and any(
        each.kind == "constraint" and each.facts["index"] == index.oid for each in written.values()
    )


def _is_temporary(each: Object) -> bool:
    return each.kind == "constraint" and each.name.endswith(TEMPORARY)


def _loss(lost: Object) -> Finding:
    return Finding(f"drops {lost}. {advice.CONTRACT}", str(lost))


def _privileges(each: Object) -> Iterator[str]:
    """Each privilege of an access list, as ``role=privilege``."""
    for item in each.facts.get("acl") or ():
        role, _, rest = item.partition("=")
        for letter in rest.partition("/")[0].replace("*", ""):
            yield f"{role or 'PUBLIC'}={letter}"
