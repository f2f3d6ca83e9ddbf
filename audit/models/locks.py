"""Rows that writers lock, and that a role with SELECT alone cannot lock."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules
from ebalance.db.fields import ClosedSet, Entity
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import kept


class Lock(Entity):
    """A lock, as a row. The SQL function ``take_lock()`` adds the row, and locks it.

    Any role may take an advisory lock. To lock a row, a role needs the UPDATE privilege on its
    table (docs/adr/0035-locks-are-rows.md).
    """

    class Kind(models.TextChoices):
        AUDIT_CHAIN = "audit_chain", _("chain of the audit log")
        LEAD_IDENTIFIER = "lead_identifier", _("identifier of leads")

    kind = ClosedSet(Kind, db_comment=p0("what is locked"))
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
            rules.Unique("locks_once", fields=["kind", "number"]),
            rules.in_range("locks", "number", 0, 9999),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.number}"
