"""Moves of sealed values to new keys."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import lengths, patterns, rules, triggers
from ebalance.db.fields import Entity, SingleLineTextField, updated_at
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import kept
from ebalance.db.times import FactTime, now_default


class KeyRotation(Entity):
    """The progress of a table's move to new keys. Written by rotate_keys.

    The row names the transaction that is writing a batch. This is how the database distinguishes
    a value that moves to another key from a value that changes (is_resealing).
    """

    table_name = SingleLineTextField(max_length=lengths.CODE, db_comment=p0("table"))
    to_key = SingleLineTextField(
        max_length=lengths.CODE, db_comment=p0("id of the key that values are sealed with")
    )
    to_index_key = SingleLineTextField(
        max_length=lengths.CODE, db_comment=p0("id of the key that blind indexes are made with")
    )
    cursor = models.UUIDField(
        null=True,
        blank=True,
        db_comment=p0("last row that this pass has done, if a pass is running"),
    )
    rows_done = models.BigIntegerField(default=0, db_default=0, db_comment=p0("rows moved so far"))
    batch_transaction = models.BigIntegerField(
        null=True, blank=True, db_comment=p0("transaction (xid8) of the batch at work")
    )
    started_at = FactTime(
        db_default=now_default(), editable=False, db_comment=p0("when it began, UTC")
    )
    updated_at = updated_at()
    finished_at = FactTime(
        null=True, blank=True, db_comment=p0("when all rows had moved or another took over, UTC")
    )

    retention = kept("as the history of keys; a row for each rotation")

    class Meta:
        db_table = "key_rotations"
        db_table_comment = "Moves of tables to new keys"
        verbose_name = _("rotation of keys")
        verbose_name_plural = _("rotations of keys")
        constraints = [
            rules.code("key_rotations", "table_name"),
            *(
                rules.matches(
                    f"key_rotations_{field}_is_key_id",
                    field,
                    patterns.KEY_ID,
                    _("1 to 16 lower-case Latin letters and digits."),
                )
                for field in ("to_key", "to_index_key")
            ),
            rules.in_range("key_rotations", "rows_done", 0),
            rules.finite("key_rotations", "started_at", "updated_at", "finished_at"),
            rules.Unique(
                "key_rotations_one_open_per_table",
                fields=["table_name"],
                condition=Q(finished_at__isnull=True),
                message=_("A rotation of this table is already going on."),
            ),
        ]
        triggers = [triggers.touch_updated_at("key_rotations")]

    def __str__(self) -> str:
        return f"{self.table_name} → {self.to_key}"
