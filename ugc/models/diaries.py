"""Diaries; sealed. Only the author reads them."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules
from ebalance.db.encryption.fields import SealedJSON
from ebalance.db.fields import ClosedSet, Entity, RestrictForeignKey, created_at
from ebalance.db.schema.classification import DELETE, of_person, p0, p1, p2
from ebalance.db.schema.retention import purged
from ebalance.db.times import EntryDay, FactTime


class DiaryEntry(Entity):
    """An entry of a client's diary. Only the author reads it, no staff role does."""

    class Type(models.TextChoices):
        EMOTIONS = "emotions", _("emotions")
        ABC = "abc", _("abc")
        SLEEP_ENERGY = "sleep_energy", _("sleep energy")
        GRATITUDE = "gratitude", _("gratitude")

    user = RestrictForeignKey(
        "identity.User",
        related_name="diary_entries",
        db_comment=of_person("whose diary", DELETE, privacy="P1"),
    )
    diary_type = ClosedSet(Type, db_comment=p1("kind of diary"))
    entry_date = EntryDay(db_comment=p1("day it is about"))
    payload_encrypted = SealedJSON(
        token="diary_entries.payload",
        schema=lambda entry: (f"diary_{entry.diary_type}", False),
        checked_by=("diary_type",),
        null=True,
        blank=True,
        db_comment=p2("entry, sealed JSON; empty exactly when deleted"),
    )
    created_at = created_at()
    deleted_at = FactTime(null=True, blank=True, db_comment=p0("when deleted, UTC"))

    retention = purged("30 days", after="deleted_at", note="else while the account is active")

    class Meta:
        db_table = "diary_entries"
        db_table_comment = "Diaries of clients, sealed"
        verbose_name = _("diary entry")
        verbose_name_plural = _("diary entries")
        constraints = [
            rules.sealed("diary_entries", "payload_encrypted"),
            rules.Check(
                "diary_entries_deleted_means_gone",
                Q(deleted_at__isnull=True, payload_encrypted__isnull=False)
                | Q(deleted_at__isnull=False, payload_encrypted__isnull=True),
                _("A deleted entry keeps no text, any other has one."),
                field="deleted_at",
            ),
            rules.finite("diary_entries", "entry_date", "created_at", "deleted_at"),
        ]
        indexes = [
            rules.Index(
                "diary_entries_of_user", "user", "-entry_date", serves="the author's diary; export"
            ),
            rules.Index(
                "diary_entries_deleted",
                "deleted_at",
                condition=Q(deleted_at__isnull=False),
                serves="purge_expired, 30 days",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
