"""Rows that writers lock, and that a role with SELECT alone cannot lock."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.utils.translation import gettext_lazy as _

from ebalance.db import lengths, rules, triggers
from ebalance.db.fields import Entity, SingleLineTextField
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import kept


class Lock(Entity):
    """A lock, as a row. The SQL function ``take_lock()`` adds the row, and locks it.

    Any role may take an advisory lock. To lock a row, a role needs the UPDATE privilege on its
    table (docs/adr/0035-locks-are-rows.md).
    """

    name = SingleLineTextField(max_length=lengths.CODE, db_comment=p0("code of the lock"))
    number = models.IntegerField(
        db_default=0, default=0, db_comment=p0("part of the lock; 0 if it has one part")
    )

    retention = kept("so that it can be locked")

    class Meta:
        db_table = "locks"
        db_table_comment = "Rows that writers lock; a role that only reads cannot"
        verbose_name = _("lock")
        verbose_name_plural = _("locks")
        constraints = [
            rules.Unique("locks_once_per_name_and_number", fields=["name", "number"]),
            rules.code("locks", "name"),
            rules.in_range("locks", "number", 0, 9999),
        ]
        triggers = [
            # It withholds no privilege: who locks a row needs the privilege to change it.
            triggers.Rule(
                "locks_immutable",
                operation=pgtrigger.Update,
                message=triggers.APPEND_ONLY,
                broken=lambda row: not row._state.adding,
            ),
            triggers.no_delete("locks", message=triggers.APPEND_ONLY),
            triggers.no_truncate("locks"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.number}"
