"""State machines: the initial states of a row and the allowed moves (states.md)."""

from collections.abc import Mapping, Sequence
from typing import Any

import pgtrigger
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from .rule import Rule, literal, stored


class Transition(Rule):
    """A move of the state machine that is not listed in ``moves``."""

    moves: Mapping[str, Sequence[str]] = {}

    def validate(self, instance: models.Model) -> None:
        if self.broken and self.broken(instance):
            column = self.column or ""
            old = (stored(instance, column) or {}).get(column)
            field: Any = instance._meta.get_field(column)
            labels = dict(field.flatchoices)
            raise ValidationError(
                {
                    field.name: ValidationError(
                        _("The status cannot go from “%(old)s” to “%(new)s”."),
                        code=self.rule,
                        params={
                            "old": labels.get(old, old),
                            "new": labels.get(field.value_from_object(instance)),
                        },
                    )
                }
            )


def transitions(
    table: str,
    moves: Mapping[str, Sequence[str]],
    *,
    initial: Sequence[str] | None = None,
    field: str = "status",
) -> list[Rule]:
    """The state machine of ``table`` (states.md): every move not listed is refused.

    ``initial`` lists the states of a new row; None allows any state.
    """
    allowed = [(old, new) for old, targets in moves.items() for new in targets]

    def is_move_refused(instance: models.Model) -> bool:
        row = stored(instance, field)
        if row is None:
            return False
        old, new = row[field], getattr(instance, field)
        return old != new and (old, new) not in allowed

    pairs = ", ".join(f"({literal(old)}, {literal(new)})" for old, new in allowed)
    move = Transition(
        f"{table}_{field}_transition",
        operation=pgtrigger.UpdateOf(field),
        condition=f"OLD.{field} IS DISTINCT FROM NEW.{field} "
        f"AND NOT ((OLD.{field}, NEW.{field}) IN ({pairs}))",
        message=gettext_noop("This change of status is not allowed"),
        column=field,
        broken=is_move_refused,
        refuse="refuse_transition",
    )
    move.moves = moves
    return [move] if initial is None else [move, initial_states(table, initial, field=field)]


def initial_states(table: str, states: Sequence[str], *, field: str = "status") -> Rule:
    """A new row starts in one of ``states``."""
    return Rule(
        f"{table}_{field}_initial",
        operation=pgtrigger.Insert,
        condition=f"NEW.{field} NOT IN ({', '.join(map(literal, states))})",
        message=gettext_noop("A new record cannot start in this status"),
        column=field,
        broken=lambda row: row._state.adding and getattr(row, field) not in states,
    )
