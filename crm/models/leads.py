"""Leads: people who showed interest."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import auditing, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    created_at,
    updated_at,
)
from ebalance.db.schema.classification import NULL, keep, of_person, p0
from ebalance.db.schema.retention import kept

MERGED = keep("a merged lead stays part of the other one")

FUNNEL_STAGES = (
    "new",
    "engaged",
    "booking_started",
    "paid",
    "booked_confirmed",
    "completed_session",
)
"""Statuses that events move a lead through, forward only (states.md)."""
STAFF_STATUSES = ("follow_up_needed", "inactive")
"""Statuses that staff set. No event moves a lead out of them."""


def merge_rules() -> list[triggers.Rule]:
    """A lead is merged once, without its identities, and never in a circle."""
    # Writers that add an identity, or merge another lead into this one, lock it FOR KEY SHARE.
    lock = "PERFORM FROM public.leads l WHERE l.id = NEW.id FOR UPDATE;"
    is_merged_now = "NEW.merged_into_id IS NOT NULL AND OLD.merged_into_id IS NULL"
    return [
        triggers.frozen(
            "leads",
            "merged_once",
            ["merged_into_id"],
            once="merged_into_id",
            message=gettext_noop("A merged lead stays merged into the same lead"),
        ),
        triggers.Rule(
            "leads_merged_has_no_identity",
            operation=pgtrigger.UpdateOf("merged_into_id"),
            condition=is_merged_now,
            message=gettext_noop("A merged lead has no contacts of its own"),
            column="merged_into_id",
            body=f"""
BEGIN
    {lock}
    IF EXISTS (SELECT FROM public.lead_identities i WHERE i.lead_id = NEW.id) THEN
        REFUSE;
    END IF;
    RETURN NEW;
END""",
            broken=lambda lead: (
                not lead._state.adding
                and lead.merged_into_id is not None
                and lead.identities.exists()
            ),
        ),
        triggers.Rule(
            "leads_merged_in_no_circle",
            operation=pgtrigger.UpdateOf("merged_into_id"),
            condition=is_merged_now,
            message=gettext_noop("A lead cannot be merged in a circle"),
            column="merged_into_id",
            body=f"""
DECLARE
    target uuid := NEW.merged_into_id;
BEGIN
    {lock}
    WHILE target IS NOT NULL LOOP
        IF target = NEW.id THEN
            REFUSE;
        END IF;
        SELECT l.merged_into_id INTO target FROM public.leads l WHERE l.id = target
        FOR KEY SHARE;
    END LOOP;
    RETURN NEW;
END""",
            broken=is_merged_in_circle,
        ),
    ]


def is_merged_in_circle(lead: Lead) -> bool:
    """Whether following ``merged_into`` from this lead leads back to it."""
    target = lead.merged_into_id
    while target is not None and target != lead.pk:
        rows = Lead.objects.filter(pk=target)
        target = rows.values_list("merged_into", flat=True).first()
    return target is not None


class Lead(Entity):
    """A person who showed interest, known by a contact or only by a browser.

    ``record_event`` writes it at the first contact. ``merge_leads`` turns two leads of one person
    into one: the merged lead keeps its row, which leads to the other one.
    """

    class Status(models.TextChoices):
        NEW = "new", _("new")
        ENGAGED = "engaged", _("engaged")
        BOOKING_STARTED = "booking_started", _("booking started")
        BOOKED_CONFIRMED = "booked_confirmed", _("booked confirmed")
        PAID = "paid", _("paid")
        COMPLETED_SESSION = "completed_session", _("completed session")
        FOLLOW_UP_NEEDED = "follow_up_needed", _("follow up needed")
        INACTIVE = "inactive", _("inactive")

    class Source(models.TextChoices):
        QUIZ = "quiz", _("quiz")
        TELEGRAM = "telegram", _("telegram")
        WAITLIST = "waitlist", _("waitlist")
        QUESTION = "question", _("question")
        BOOKING = "booking", _("booking")

    status = ClosedSet(Status, default=Status.NEW, db_comment=p0("stage in work with the lead"))
    source = ClosedSet(Source, db_comment=p0("first contact"))
    topic = RestrictForeignKey(
        "content.Topic",
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="leads",
        db_comment=p0("topic, if one"),
    )
    utm = models.JSONField(
        null=True, blank=True, db_comment=p0("utm_* of the first visit", erasure=NULL)
    )
    merged_into = RestrictForeignKey(
        "self",
        null=True,
        blank=True,
        related_name="merged_leads",
        db_comment=of_person("the lead that this one was merged into", MERGED),
    )
    created_at = created_at()
    updated_at = updated_at()

    retention = kept("until staff delete it; at erasure without identities")

    class Meta:
        db_table = "leads"
        db_table_comment = "People who showed interest"
        verbose_name = _("lead")
        verbose_name_plural = _("leads")
        constraints = [
            rules.Check(
                "leads_utm_is_p0",
                Q(rules.holds("is_utm", "utm")),
                _("Only utm_* parameters without personal data."),
                field="utm",
            ),
            rules.Check(
                "leads_merged_is_inactive",
                Q(merged_into__isnull=True) | Q(status="inactive"),
                _("A merged lead is inactive."),
                field="status",
            ),
            rules.Check(
                "leads_merged_not_into_itself",
                ~Q(merged_into=F("id")),
                _("A lead cannot be merged into itself."),
                field="merged_into",
            ),
            rules.finite("leads", "created_at", "updated_at"),
        ]
        indexes = [
            rules.Index("leads_by_status", "status", "-created_at", serves="admin: the funnel"),
            rules.Index("leads_newest", "-created_at", serves="admin: newest leads first"),
            rules.Index("leads_by_topic", "topic", serves="leads of a topic; delete"),
            rules.Index(
                "leads_merged_into_lead",
                "merged_into",
                condition=Q(merged_into__isnull=False),
                serves="DataSubject: the leads that were merged into one",
            ),
        ]
        triggers = [
            triggers.touch_updated_at("leads"),
            *merge_rules(),
            *auditing.audited(
                "leads",
                changed=("lead_status_changed", ["status"]),
                deleted="lead_deleted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_source_display()} · {self.get_status_display()}"
