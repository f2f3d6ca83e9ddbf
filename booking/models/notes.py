"""The psychologist's notes about sessions."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import rules, triggers
from ebalance.db.encryption.fields import SealedText
from ebalance.db.encryption.values import Plaintext, Sealed
from ebalance.db.fields import (
    Entity,
    RestrictForeignKey,
    created_at,
    updated_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import DELETE, by_staff, of_person, p2
from ebalance.db.schema.retention import After, purged

from .appointments import Appointment

SESSION_OVER = """(
    SELECT a.end_at_utc < %(now)s::timestamptz - interval '3 years'
    FROM appointments a WHERE a.id = session_notes.appointment_id)"""


class SessionNote(Entity):
    """The psychologist's own note about a session; sealed. No assistant reads it."""

    appointment = RestrictForeignKey(
        Appointment,
        DB_CASCADE,
        related_name="session_notes",
        db_comment=of_person("session", DELETE),
    )
    author = RestrictForeignKey(
        "identity.User",
        db_column="author_user_id",
        related_name="session_notes",
        db_comment=by_staff("who wrote it"),
    )
    note_encrypted: models.Field[Plaintext | Sealed, Sealed] = SealedText(
        token="session_notes.note", db_comment=p2("note, sealed")
    )
    created_at = created_at()
    updated_at = updated_at()

    retention = purged(
        "0 days", After("created_at", where=SESSION_OVER, rows="if its session was 3 years ago")
    )

    class Meta:
        db_table = "session_notes"
        db_table_comment = "The psychologist's notes about sessions, sealed"
        verbose_name = _("note about a session")
        verbose_name_plural = _("notes about a session")
        constraints = [
            rules.sealed("session_notes", "note_encrypted"),
            rules.finite("session_notes", "created_at", "updated_at"),
        ]
        indexes = [
            rules.Index(
                "session_notes_of_session",
                "appointment",
                "-created_at",
                serves="notes of a session",
            ),
            rules.Index("session_notes_by_author", "author", serves="the delete check"),
            rules.Index("session_notes_by_creation", "created_at", serves="purge_expired"),
        ]
        triggers = [
            triggers.touch_updated_at("session_notes", resealed=["note_encrypted"]),
            triggers.frozen(
                "session_notes",
                "origin_stays",
                ["appointment_id", "author_user_id"],
                message=gettext_noop("A note keeps its session and its author"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%d.%m.%Y %H:%M} UTC"
