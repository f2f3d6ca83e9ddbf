"""The classification of columns, declared once beside each field (privacy.md §1).

A declaration is the field's ``db_comment``. For Django and its migrations it is a text, such as
"P1 · e-mail". For ``data_map.columns()`` it also states what erasure does with the column and
whether an export has it. ``data_map.Column`` derives the defaults from the class and from the
table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

Privacy = Literal["P0", "P1", "P2"]


@dataclass(frozen=True)
class Erasure:
    """The effect of a person's erasure on a column of their rows (privacy.md §5)."""

    action: Literal["delete", "null", "replace", "keep"]
    note: str = ""
    value: Callable[[], Any] | None = None  # returns the new value for "replace"

    def __str__(self) -> str:
        words = {
            "delete": "the row is deleted",
            "null": "emptied",
            "replace": f"replaced by {self.note}",
            "keep": f"kept: {self.note}",
        }
        return words[self.action]


DELETE = Erasure("delete")
NULL = Erasure("null")


def replace(by: str, value: Callable[[], Any]) -> Erasure:
    """For a column that must have a value: erasure sets one without personal data."""
    return Erasure("replace", by, value)


def keep(why: str) -> Erasure:
    return Erasure("keep", why)


EMPTY_OBJECT = replace("an empty object", dict)
IDENTIFIES_NO_PERSON = keep("names nobody")
COLLEAGUE = keep("who of the staff did it; names nobody once they are erased")
EVIDENCE = keep("evidence; the id names nobody after erasure")
ACCOUNTING = keep("accounting")
NAMELESS_LEAD = keep("the lead has no identity left")


class Classified(str):
    """A column's declaration. As a text, its comment in the database."""

    privacy: Privacy
    erasure: Erasure | None  # None: by the class and the table
    export: bool | None  # None: by the class and the table
    links_person: bool
    names_colleague: bool
    is_carried: bool

    def __new__(
        cls,
        privacy: Privacy,
        meaning: str,
        *,
        erasure: Erasure | None = None,
        export: bool | None = None,
        links_person: bool = False,
        names_colleague: bool = False,
        is_carried: bool = False,
    ) -> Self:
        self = super().__new__(cls, f"{privacy} · {meaning}")
        self.privacy = privacy
        self.erasure = erasure
        self.export = export
        self.links_person = links_person
        self.names_colleague = names_colleague
        self.is_carried = is_carried
        return self

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    @property
    def meaning(self) -> str:
        return self.partition(" · ")[2]


def p0(meaning: str, *, erasure: Erasure | None = None, export: bool | None = None) -> Classified:
    """A safe column: ids, codes, closed sets, aggregates."""
    return Classified("P0", meaning, erasure=erasure, export=export)


def p1(meaning: str, *, erasure: Erasure | None = None, export: bool | None = None) -> Classified:
    """A personal column: contacts, names, notes about a person."""
    return Classified("P1", meaning, erasure=erasure, export=export)


def p2(meaning: str, *, erasure: Erasure | None = None, export: bool | None = None) -> Classified:
    """A sensitive column: text by or about a client, stored sealed only."""
    return Classified("P2", meaning, erasure=erasure, export=export)


def of_person(meaning: str, erasure: Erasure, *, privacy: Privacy = "P0") -> Classified:
    """An id by which a row belongs to a person: of their user, of their lead, of a row of theirs.

    Both its own table and the table that it refers to count as tables about people. It is P1 where
    the row itself is a fact about the person's life, as an entry of a diary is.
    """
    return Classified(privacy, meaning, erasure=erasure, links_person=True)


def carried_by(meaning: str) -> Classified:
    """A P0 reference to a row that a person's row occupies, as a session occupies its slot.

    Personal data in the occupied row belongs to the person of the latest such row.
    """
    return Classified("P0", meaning, is_carried=True)


def by_staff(meaning: str) -> Classified:
    """A P0 reference to the colleague who acted; it is not about the person of the row."""
    return Classified("P0", meaning, export=False, names_colleague=True)
