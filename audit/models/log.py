"""The audit log, and the checkpoints of its removed segments."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import lengths, patterns, rules, triggers
from ebalance.db.fields import (
    BytesFromDatabase,
    ClosedSet,
    Entity,
    NumberFromDatabase,
    RestrictForeignKey,
    SingleLineTextField,
    UUIDFromDatabase,
    created_at,
)
from ebalance.db.schema.classification import EVIDENCE, NULL, of_person, p0, p1
from ebalance.db.schema.retention import kept, removed_by
from ebalance.db.times import TimeFromDatabase

KEPT = "3 years"  # at least (privacy.md §4)
FORGOTTEN = "origin_forgotten"  # action: earlier entries about the row may lose their origin


def may_be_emptied(entry: str) -> str:
    """SQL: the address and the user agent of the entry may be emptied.

    True if its actor is erased, or the account of a failed login is; for an entry without an
    actor, if a later entry records that its origin was forgotten (ebalance.privacy.erasure).
    """
    return f"""CASE WHEN {entry}.actor_user_id IS NOT NULL OR {entry}.entity_type = 'users'
    THEN coalesce({entry}.actor_user_id, {entry}.entity_id) IS NOT NULL AND NOT EXISTS (
        SELECT FROM public.users u
        WHERE u.id = coalesce({entry}.actor_user_id, {entry}.entity_id) AND u.status <> 'deleted')
    ELSE EXISTS (
        SELECT FROM public.audit_log_entries said
        WHERE said.entity_type = {entry}.entity_type AND said.entity_id = {entry}.entity_id
          AND said.seq > {entry}.seq AND said.action = '{FORGOTTEN}') END"""


class AuditLogEntry(Entity):
    """An action, its actor and its row. Append-only; each entry has the hash of its predecessor."""

    class ActorRole(models.TextChoices):
        OWNER = "owner", _("owner")
        ASSISTANT = "assistant", _("assistant")
        EDITOR = "editor", _("editor")
        CLIENT = "client", _("client")
        SYSTEM = "system", _("system")

    seq = NumberFromDatabase(
        editable=False,
        db_comment=p0("place in the chain; set by the database inside its lock", export=False),
    )
    actor = RestrictForeignKey(
        "identity.User",
        db_column="actor_user_id",
        null=True,
        blank=True,
        related_name="audit_log_entries",
        db_comment=of_person("who acted, if a person", EVIDENCE),
    )
    actor_role = ClosedSet(ActorRole, db_comment=p0("role in which they acted"))
    action = SingleLineTextField(max_length=lengths.CODE, db_comment=p0("what was done, a code"))
    entity_type = SingleLineTextField(
        max_length=lengths.CODE, db_comment=p0("what it was done to, a code")
    )
    entity_id = models.UUIDField(null=True, blank=True, db_comment=p0("id of the row"))
    entity_key = SingleLineTextField(
        max_length=lengths.SLUG, null=True, blank=True, db_comment=p0("key of the row, if text")
    )
    old_value = lengths.SizedJSON(
        max_length=lengths.JSON_DOCUMENT,
        null=True,
        blank=True,
        db_comment=p0("changed P0 columns before"),
    )
    new_value = lengths.SizedJSON(
        max_length=lengths.JSON_DOCUMENT,
        null=True,
        blank=True,
        db_comment=p0("changed P0 columns after"),
    )
    ip_address = models.GenericIPAddressField(
        null=True, blank=True, db_comment=p1("address of the request", erasure=NULL)
    )
    user_agent = SingleLineTextField(
        max_length=lengths.USER_AGENT,
        null=True,
        blank=True,
        db_comment=p1("user agent of the request", erasure=NULL),
    )
    created_at = created_at("when, UTC; set by the database", TimeFromDatabase)
    prev_hash = BytesFromDatabase(
        editable=False, db_comment=p0("row_hash of the row before", export=False)
    )
    row_hash = BytesFromDatabase(
        editable=False, db_comment=p0("SHA-256 of the canonical row", export=False)
    )
    # The canonical row holds a salted hash of address and user agent, so these may be emptied.
    origin_salt = UUIDFromDatabase(
        null=True,
        blank=True,
        editable=False,
        db_comment=p0("random; by it origin_hash can be checked", erasure=NULL, export=False),
    )
    origin_hash = BytesFromDatabase(
        null=True,
        blank=True,
        editable=False,
        db_comment=p0("salted SHA-256 of address and user agent", export=False),
    )

    retention = removed_by(
        "audit.services.retention.remove_old_segments",
        time=f"at least {KEPT} after `created_at`",
        note="then whole segments",
    )

    class Meta:
        db_table = "audit_log_entries"
        db_table_comment = "Audit log; append-only, hash-chained"
        verbose_name = _("audit log entry")
        verbose_name_plural = _("audit log")
        constraints = [
            rules.Unique("audit_log_entries_seq_unique", fields=["seq"]),
            rules.code("audit_log_entries", "action"),
            rules.code("audit_log_entries", "entity_type"),
            rules.matches(
                "audit_log_entries_entity_key_is_key",
                "entity_key",
                r"^(?=.*[A-Za-z])[A-Za-z0-9_-]{1,64}$",
                _("Only keys are kept here."),
            ),
            *(
                rules.Check(
                    f"audit_log_entries_{field}_is_p0",
                    Q(rules.holds("is_audit_value", field)),
                    _("The audit log holds no personal data."),
                    field=field,
                )
                for field in ("old_value", "new_value")
            ),
            rules.finite("audit_log_entries", "created_at"),
        ]
        indexes = [
            rules.Index(
                "audit_log_entries_of_entity",
                "entity_type",
                "entity_id",
                "seq",
                serves="history of a row",
            ),
            rules.Index("audit_log_entries_by_actor", "actor", "seq", serves="what a person did"),
        ]
        triggers = [
            triggers.Rule(
                "audit_log_entries_chain",
                operation=pgtrigger.Insert,
                execute="public.chain_audit_entry()",
            ),
            # Only an erasure changes an entry: it empties the origin of a request.
            triggers.Rule(
                "audit_log_entries_immutable",
                operation=pgtrigger.Update,
                message=triggers.APPEND_ONLY,
                broken=lambda row: not row._state.adding,
                withholds=("UPDATE", "DELETE"),
                body=f"""
BEGIN
    IF to_jsonb(OLD) - '{{ip_address,user_agent,origin_salt}}'::text[]
          IS DISTINCT FROM to_jsonb(NEW) - '{{ip_address,user_agent,origin_salt}}'::text[]
       OR num_nonnulls(OLD.ip_address, OLD.user_agent, OLD.origin_salt) = 0
       OR num_nonnulls(NEW.ip_address, NEW.user_agent, NEW.origin_salt) > 0
       OR NOT ({may_be_emptied("OLD")}) THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END""",
            ),
            # Retention removes old entries that a checkpoint covers (services.retention).
            triggers.Rule(
                "audit_log_entries_no_delete",
                operation=pgtrigger.Delete,
                message=triggers.APPEND_ONLY,
                body=f"""
BEGIN
    IF OLD.created_at > public.fact_clock() - interval '{KEPT}'
       OR NOT EXISTS (SELECT FROM public.audit_checkpoints c WHERE c.seq >= OLD.seq) THEN
        {triggers.REFUSE}
    END IF;
    RETURN OLD;
END""",
            ),
            triggers.no_truncate("audit_log_entries"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.action}"


class AuditCheckpoint(Entity):
    """The last entry that retention removed, signed, so that the rest of the log still verifies.

    purge_expired writes it, after it has verified the entries and before it removes them.
    """

    seq = models.BigIntegerField(db_comment=p0("number of the last entry to be removed"))
    row_hash = models.BinaryField(db_comment=p0("row_hash of that entry"))
    entries = models.BigIntegerField(db_comment=p0("number of entries that go"))
    key_id = SingleLineTextField(
        max_length=lengths.CODE, db_comment=p0("id of the key of the signature")
    )
    signature = models.BinaryField(db_comment=p0("HMAC-SHA-256 of seq, row_hash, entries"))
    created_at = created_at()

    retention = kept("so that the rest of the log verifies")

    class Meta:
        db_table = "audit_checkpoints"
        db_table_comment = "Where removed segments of the audit log ended; append-only"
        verbose_name = _("checkpoint of the audit log")
        verbose_name_plural = _("checkpoints of the audit log")
        constraints = [
            rules.Unique("audit_checkpoints_seq_unique", fields=["seq"]),
            rules.in_range("audit_checkpoints", "seq", 1),
            rules.in_range("audit_checkpoints", "entries", 1),
            rules.matches(
                "audit_checkpoints_key_id_is_key_id",
                "key_id",
                patterns.KEY_ID,
                _("1 to 16 lower-case Latin letters and digits."),
            ),
            rules.finite("audit_checkpoints", "created_at"),
        ]
        triggers = [
            triggers.Rule(
                "audit_checkpoints_end_an_old_segment",
                operation=pgtrigger.Insert,
                message=gettext_noop(
                    "A checkpoint is the last entry of a segment that is old enough to go"
                ),
                column="seq",
                body=f"""
BEGIN
    IF NOT EXISTS (SELECT FROM public.audit_log_entries
                   WHERE seq = NEW.seq AND row_hash = NEW.row_hash)
       OR EXISTS (SELECT FROM public.audit_log_entries
                  WHERE seq <= NEW.seq
                    AND created_at > public.fact_clock() - interval '{KEPT}') THEN
        {triggers.REFUSE}
    END IF;
    RETURN NULL;
END""",
            ),
            *triggers.append_only("audit_checkpoints"),
        ]

    def __str__(self) -> str:
        return str(self.seq)
