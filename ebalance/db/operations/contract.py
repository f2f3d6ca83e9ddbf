"""Declares that a migration removes something on purpose (migrations.md, "In production")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.migrations.operations.base import Operation


class Contract(Operation):
    """The migration removes what an earlier release has replaced.

    Without it, ``migrate`` rolls back a migration that loses an object, a grant or rows. It covers
    the operations of its migration that remove something, and what ``drops`` names.

    ``expand``: the migration that added the replacement, as "booking.0312". It must have been
    applied before this run, and its backfills must be done.
    ``released``: the release that has that migration, as "1.1". Refusals name it.
    ``check``: SQL that selects rows whose data would be lost. A row refuses the migration.
    ``drops``: losses of RunSQL and RunPython, as "column users.phone", "rows drafts".
    """

    reduces_to_sql = False
    reversible = True

    def __init__(
        self, *, expand: str, released: str, check: str = "", drops: Sequence[str] = ()
    ) -> None:
        app_label, dot, name = expand.partition(".")
        if not (app_label and dot and name):
            raise ValueError(f"expand={expand!r} is no migration; write it as 'booking.0312'")
        if not released:
            raise ValueError("released= names the release that has the expand migration")
        self.expand = expand
        self.released = released
        self.check = check
        self.drops = tuple(drops)

    def deconstruct(self):
        kwargs: dict[str, Any] = {"expand": self.expand, "released": self.released}
        if self.check:
            kwargs["check"] = self.check
        if self.drops:
            kwargs["drops"] = list(self.drops)
        return self.__class__.__name__, [], kwargs

    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        pass

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        pass

    def describe(self):
        return f"Remove what {self.expand} (release {self.released}) has replaced"
