"""Intake forms and waitlist requests. The texts of clients are sealed."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import rules, triggers
from ebalance.db.encryption.fields import BlindIndex, SealedJSON, SealedText
from ebalance.db.encryption.values import Plaintext, Sealed
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    created_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import DELETE, of_person, p0, p1, p2
from ebalance.db.schema.retention import After, purged
from ebalance.db.times import FactTime

from ..querysets import WaitlistRequestQuerySet
from .appointments import Appointment
from .services import Service

# The last row of the chain that the form's appointment belongs to: a move opens a new row.
LAST_SESSION = """
    WITH RECURSIVE chain AS (
        SELECT a.* FROM appointments a WHERE a.id = intake_forms.appointment_id
        UNION ALL
        SELECT a.* FROM appointments a JOIN chain ON a.rescheduled_from_id = chain.id)
    SELECT CASE
        WHEN status = 'canceled' AND canceled_at < %(now)s::timestamptz - interval '7 days'
            THEN 'over'
        WHEN end_at_utc < %(now)s::timestamptz - interval '12 months' THEN 'over'
        ELSE 'kept' END
    FROM chain
    WHERE NOT EXISTS (SELECT FROM appointments n WHERE n.rescheduled_from_id = chain.id)"""
ROWS_OVER = "if its last session was 12 months ago, or was cancelled 7 days ago"


class ContactChannel(models.TextChoices):
    EMAIL = "email", _("email")
    PHONE = "phone", _("phone")
    TELEGRAM = "telegram", _("telegram")


class IntakeForm(Entity):
    """A client's answers before the first session, sealed."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        SUBMITTED = "submitted", _("submitted")

    appointment = RestrictForeignKey(
        Appointment,
        DB_CASCADE,
        related_name="intake_forms",
        db_comment=of_person("for which session", DELETE),
    )
    status = ClosedSet(Status, default=Status.DRAFT, db_comment=p0("life cycle"))
    payload_encrypted: models.Field[Plaintext | Sealed, Sealed] = SealedJSON(
        token="intake_forms.payload",
        schema=lambda form: ("intake", form.status == "draft"),
        checked_by=("status",),
        db_comment=p2("answers, sealed JSON"),
    )
    created_at = created_at()
    submitted_at = FactTime(null=True, blank=True, db_comment=p0("when submitted, UTC"))

    retention = purged(
        "7 days",
        After("created_at", where=f"({LAST_SESSION}) = 'over'", rows=ROWS_OVER),
        note="with its appointment at the latest",
    )

    class Meta:
        db_table = "intake_forms"
        db_table_comment = "Intake forms, sealed"
        verbose_name = _("intake form")
        verbose_name_plural = _("intake forms")
        constraints = [
            rules.Unique("intake_forms_one_per_appointment", fields=["appointment"]),
            rules.sealed("intake_forms", "payload_encrypted"),
            rules.set_exactly_when(
                "intake_forms_submitted_at_with_status",
                "submitted_at",
                Q(status="submitted"),
                _("A submission time is set exactly for a submitted form."),
            ),
            rules.finite("intake_forms", "created_at", "submitted_at"),
        ]
        indexes = [
            rules.Index("intake_forms_by_creation", "created_at", serves="purge_expired"),
        ]
        triggers = [
            *triggers.transitions("intake_forms", {"draft": ["submitted"]}),
            triggers.frozen(
                "intake_forms",
                "submitted_stays",
                ["appointment_id", "payload_encrypted", "submitted_at", "created_at"],
                status="submitted",
                resealed=["payload_encrypted"],
                message=gettext_noop("A submitted form is not changed"),
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_status_display())


class WaitlistRequest(Entity):
    """A person who waits for a free time. The contact is sealed."""

    class TimeWindow(models.TextChoices):
        WEEKDAY_MORNING = "weekday_morning", _("weekday morning")
        WEEKDAY_EVENING = "weekday_evening", _("weekday evening")
        WEEKEND = "weekend", _("weekend")
        ANY = "any", _("any")

    class Status(models.TextChoices):
        NEW = "new", _("new")
        CONTACTED = "contacted", _("contacted")
        CLOSED = "closed", _("closed")

    user = RestrictForeignKey(
        "identity.User",
        null=True,
        blank=True,
        related_name="waitlist_requests",
        db_comment=of_person("who waits, if registered", DELETE),
    )
    lead = RestrictForeignKey(
        "crm.Lead",
        null=True,
        blank=True,
        related_name="waitlist_requests",
        db_comment=of_person("lead who waits", DELETE),
    )
    service = RestrictForeignKey(
        Service, related_name="waitlist_requests", db_comment=p0("for which service")
    )
    preferred_contact = ClosedSet(ContactChannel, db_comment=p0("how to answer"))
    contact_value_encrypted: models.Field[Plaintext | Sealed, Sealed] = SealedText(
        token="waitlist_requests.contact", db_comment=p1("contact, sealed")
    )
    contact_value_bidx = BlindIndex(
        source="contact_value_encrypted",
        channel_field="preferred_contact",
        db_comment=p1("blind index of the contact", export=False),
    )
    preferred_time_window = ClosedSet(
        TimeWindow, null=True, blank=True, db_comment=p0("when it would suit")
    )
    status = ClosedSet(Status, default=Status.NEW, db_comment=p0("life cycle"))
    created_at = created_at()
    closed_at = FactTime(null=True, blank=True, db_comment=p0("when closed, UTC"))

    objects: ClassVar[models.Manager] = WaitlistRequestQuerySet.as_manager()

    retention = purged("90 days", after="closed_at")

    class Meta:
        db_table = "waitlist_requests"
        db_table_comment = "People waiting for a free time"
        verbose_name = _("waitlist request")
        verbose_name_plural = _("waitlist requests")
        constraints = [
            rules.sealed("waitlist_requests", "contact_value_encrypted"),
            rules.blind_index("waitlist_requests", "contact_value_bidx"),
            rules.set_exactly_when(
                "waitlist_requests_closed_at_with_status",
                "closed_at",
                Q(status="closed"),
                _("A closing time is set exactly for a closed request."),
            ),
            rules.finite("waitlist_requests", "created_at", "closed_at"),
        ]
        indexes = [
            rules.Index("waitlist_requests_by_user", "user", serves="a person's requests; export"),
            rules.Index("waitlist_requests_by_lead", "lead", serves="a lead's requests"),
            rules.Index("waitlist_requests_by_service", "service", serves="who waits for it"),
            rules.Index(
                "waitlist_requests_by_contact", "contact_value_bidx", serves="find_by_contact"
            ),
            rules.Index(
                "waitlist_requests_open",
                "created_at",
                condition=Q(status__in=["new", "contacted"]),
                serves="admin: who still waits, oldest first",
            ),
            rules.Index(
                "waitlist_requests_closed",
                "closed_at",
                condition=Q(closed_at__isnull=False),
                serves="purge_expired",
            ),
        ]
        triggers = [
            *triggers.transitions(
                "waitlist_requests",
                {"new": ["contacted", "closed"], "contacted": ["closed"]},
                initial=["new"],
            ),
            triggers.frozen(
                "waitlist_requests",
                "closing_stays",
                ["closed_at"],
                once="closed_at",
                message=gettext_noop("The closing time of a request is not changed"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_preferred_contact_display()} · {self.get_status_display()}"

    def event_facts(self) -> dict[str, Any]:
        """The payload that events about the request have besides its key and service; P0."""
        return {
            "preferred_contact": self.preferred_contact,
            "preferred_time_window": self.preferred_time_window,
        }
