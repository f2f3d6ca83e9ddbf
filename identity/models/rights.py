"""Rights of a person: a copy of the data, and erasure."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, pgettext_lazy

from ebalance.db import lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
)
from ebalance.db.schema.classification import DELETE, EVIDENCE, by_staff, keep, of_person, p0, p1
from ebalance.db.schema.retention import After, kept, purged
from ebalance.db.times import FactTime, PlannedTime, ReplayedTime, now_default

from .people import User


class DataExportRequest(Entity):
    """A person's request for a copy of their data. A background command makes the file."""

    class Type(models.TextChoices):
        USER_DATA = "user_data", _("user data")
        DIARY_PDF = "diary_pdf", _("diary pdf")

    class Status(models.TextChoices):
        REQUESTED = "requested", _("requested")
        PROCESSING = "processing", _("processing")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")

    user = RestrictForeignKey(
        User, related_name="data_export_requests", db_comment=of_person("whose data", DELETE)
    )
    export_type = ClosedSet(Type, db_comment=p0("what is exported"))
    status = ClosedSet(Status, default=Status.REQUESTED, db_comment=p0("progress"))
    file_url = SingleLineTextField(
        max_length=lengths.PATH,
        null=True,
        blank=True,
        db_comment=p1("key of the finished file in the export store"),
    )
    created_at = created_at("when requested, UTC")
    completed_at = FactTime(null=True, blank=True, db_comment=p0("when finished or failed, UTC"))
    expires_at = PlannedTime(null=True, blank=True, db_comment=p0("when the file is removed, UTC"))

    retention = purged(
        "90 days",
        # Even if the file was made late, it is removed before the row.
        After(
            "created_at",
            where="status IN ('ready', 'failed') AND (expires_at < %(now)s) IS NOT FALSE",
            rows="once it is over",
        ),
        note="the file until `expires_at`",
    )
    deleted_by_owner_only = True

    class Meta:
        db_table = "data_export_requests"
        db_table_comment = "Requests for a copy of one's data"
        verbose_name = _("data export")
        verbose_name_plural = _("data exports")
        constraints = [
            rules.object_key("data_export_requests", "file_url"),
            rules.set_exactly_when(
                "data_export_requests_file_when_ready",
                ["file_url", "expires_at"],
                Q(status="ready"),
                _("A file and its expiry are set exactly when the export is ready."),
            ),
            rules.set_exactly_when(
                "data_export_requests_completed_when_over",
                "completed_at",
                Q(status__in=["ready", "failed"]),
                _("A finish time is set exactly when the export is over."),
            ),
            rules.finite("data_export_requests", "created_at", "completed_at", "expires_at"),
        ]
        indexes = [
            rules.Index(
                "data_export_requests_by_user",
                "user",
                serves="a person's exports; the delete check",
            ),
            rules.Index(
                "data_export_requests_over",
                "created_at",
                condition=Q(status__in=["ready", "failed"]),
                serves="purge_expired, 90 days",
            ),
            rules.Index(
                "data_export_requests_queue",
                "created_at",
                condition=Q(status__in=["requested", "processing"]),
                serves="process_exports: what is to be done, oldest first",
            ),
        ]
        triggers = triggers.transitions(
            "data_export_requests",
            {"requested": ["processing", "failed"], "processing": ["ready", "failed"]},
            initial=["requested"],
        )

    def __str__(self) -> str:
        return f"{self.get_export_type_display()} {self.pk}"


class ErasureRequest(Entity):
    """A request of admin to erase a person. process_erasure_requests carries it out."""

    class Status(models.TextChoices):
        REQUESTED = "requested", _("requested")
        DONE = "done", _("done")
        REFUSED = "refused", _("refused")

    class RefusedReason(models.TextChoices):
        LAST_OWNER = "last_owner", _("the last active owner")
        UPCOMING_APPOINTMENTS = "upcoming_appointments", _("sessions ahead")
        NOT_PERMITTED = "not_permitted", _("the requester may no longer delete people")

    user = RestrictForeignKey(
        User, related_name="erasure_requests", db_comment=of_person("whom to erase", EVIDENCE)
    )
    requested_by = RestrictForeignKey(
        User,
        db_column="requested_by_user_id",
        related_name="requested_erasures",
        db_comment=by_staff("who asked: staff, or the person"),
    )
    status = ClosedSet(Status, default=Status.REQUESTED, db_comment=p0("progress"))
    cancels_appointments = models.BooleanField(
        default=False,
        db_default=False,
        db_comment=p0("sessions ahead are canceled as by the client; else they stop the erasure"),
    )
    refused_reason = ClosedSet(
        RefusedReason, null=True, blank=True, db_comment=p0("why it was refused")
    )
    created_at = created_at("when requested, UTC")
    completed_at = FactTime(null=True, blank=True, db_comment=p0("when done or refused, UTC"))

    retention = purged("90 days", after="completed_at", note="the ledger of erasures stays")
    deleted_by_owner_only = True

    class Meta:
        db_table = "erasure_requests"
        db_table_comment = "Requests to erase a person"
        verbose_name = _("erasure request")
        verbose_name_plural = _("erasure requests")
        constraints = [
            rules.Unique(
                "erasure_requests_one_open_per_user",
                fields=["user"],
                condition=Q(status="requested"),
                message=_("The deletion of this person is already requested."),
            ),
            rules.set_exactly_when(
                "erasure_requests_completed_when_over",
                "completed_at",
                Q(status__in=["done", "refused"]),
                _("A finish time is set exactly when the request is done or refused."),
            ),
            rules.set_exactly_when(
                "erasure_requests_reason_when_refused",
                "refused_reason",
                Q(status="refused"),
                _("A reason is set exactly for a refused request."),
            ),
            rules.finite("erasure_requests", "created_at", "completed_at"),
        ]
        indexes = [
            rules.Index(
                "erasure_requests_by_user", "user", serves="a person's requests; the delete check"
            ),
            rules.Index("erasure_requests_by_requester", "requested_by", serves="the delete check"),
            rules.Index(
                "erasure_requests_queue",
                "created_at",
                condition=Q(status="requested"),
                serves="process_erasure_requests: what is to be done, oldest first",
            ),
            rules.Index(
                "erasure_requests_over",
                "completed_at",
                condition=Q(completed_at__isnull=False),
                serves="purge_expired, 90 days",
            ),
        ]
        triggers = [
            *triggers.transitions(
                "erasure_requests", {"requested": ["done", "refused"]}, initial=["requested"]
            ),
            triggers.frozen(
                "erasure_requests",
                "request_stays",
                ["user_id", "requested_by_user_id", "created_at"],
                message=gettext_noop("A request keeps its person, its requester and its time"),
            ),
            triggers.Rule(
                "erasure_requests_done_is_erased",
                operation=pgtrigger.UpdateOf("status"),
                condition="NEW.status = 'done' AND OLD.status <> 'done'",
                message=gettext_noop("A request is done only when the person is erased"),
                column="status",
                body=f"""
BEGIN
    -- Deleted is final, so no lock is needed.
    IF NOT EXISTS (SELECT FROM public.users WHERE id = NEW.user_id AND status = 'deleted') THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END""",
                broken=lambda row: row.status == "done" and row.user.status != "deleted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_status_display()} · {self.created_at:%d.%m.%Y}"


class ErasureLedgerEntry(Entity):
    """Records that a person was erased, and when. Replayed after a restore from backup."""

    class Method(models.TextChoices):
        SELF_SERVICE = "self_service", _("self service")
        ADMIN = "admin", pgettext_lazy("Method", "admin")
        RETENTION = "retention", _("retention")

    subject_id = models.UUIDField(
        db_comment=p0(
            "id of the erased person; names nobody any more",
            erasure=keep("erasure is repeated by it after a restore"),
        )
    )
    requested_at = ReplayedTime(db_comment=p0("when erasure was asked for, UTC"))
    completed_at = ReplayedTime(db_default=now_default(), db_comment=p0("when it was done, UTC"))
    method = ClosedSet(Method, db_comment=p0("who started it"))
    counts = lengths.SizedJSON(
        max_length=lengths.JSON_OBJECT,
        blank=True,
        db_comment=p0("rows erased per table, {table: number}"),
    )

    retention = kept("to repeat erasures after a restore from a backup")

    class Meta:
        db_table = "erasure_ledger"
        db_table_comment = "Append-only list of erasures"
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        constraints = [
            rules.Check(
                "erasure_ledger_counts_are_numbers",
                Q(rules.holds("is_row_counts", "counts")),
                _("Counts are an object of table names and whole numbers."),
                field="counts",
            ),
            rules.finite("erasure_ledger", "requested_at", "completed_at"),
            rules.Check(
                "erasure_ledger_completed_after_requested",
                Q(completed_at__gte=models.F("requested_at")),
                _("An erasure is not finished before it was asked for."),
                field="completed_at",
            ),
        ]
        indexes = [
            rules.Index("erasure_ledger_by_subject", "subject_id", serves="replay_erasures"),
        ]
        triggers = triggers.append_only("erasure_ledger")

    def __str__(self) -> str:
        return str(self.subject_id)
