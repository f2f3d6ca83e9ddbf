"""Internal notes about leads."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from ebalance.db import rules, triggers
from ebalance.db.encryption.fields import SealedText
from ebalance.db.fields import (
    Entity,
    RestrictForeignKey,
    created_at,
    updated_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import DELETE, by_staff, of_person, p2
from ebalance.db.schema.retention import goes_with

from .leads import Lead


class LeadNote(Entity):
    """A staff member's note about a lead; sealed."""

    lead = RestrictForeignKey(
        Lead, DB_CASCADE, related_name="notes", db_comment=of_person("lead", DELETE)
    )
    author = RestrictForeignKey(
        "identity.User",
        db_column="author_user_id",
        related_name="lead_notes",
        db_comment=by_staff("who wrote it"),
    )
    note_encrypted = SealedText(token="lead_notes.note", db_comment=p2("note, sealed"))
    created_at = created_at()
    updated_at = updated_at()

    retention = goes_with("lead")

    class Meta:
        db_table = "lead_notes"
        db_table_comment = "Internal notes about leads, sealed"
        verbose_name = _("note about a lead")
        verbose_name_plural = _("notes about a lead")
        constraints = [
            rules.sealed("lead_notes", "note_encrypted"),
            rules.finite("lead_notes", "created_at", "updated_at"),
        ]
        indexes = [
            rules.Index("lead_notes_of_lead", "lead", "-created_at", serves="a lead's notes"),
            rules.Index("lead_notes_by_author", "author", serves="the delete check"),
        ]
        triggers = [triggers.touch_updated_at("lead_notes", resealed=["note_encrypted"])]

    def __str__(self) -> str:
        return str(self.pk)
