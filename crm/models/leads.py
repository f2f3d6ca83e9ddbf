"""Leads, the identities that recognise them, and internal notes about them."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import auditing, lengths, patterns, rules, triggers
from ebalance.db.encryption.fields import BlindIndex, SealedText
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
    updated_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import DELETE, NULL, by_staff, keep, of_person, p0, p1, p2
from ebalance.db.schema.retention import After, goes_with, kept, purged

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


KEPT_WITHOUT_ACCOUNT = "24 months"
NO_ACCOUNT_NO_EVENT = f"""
    NOT EXISTS (SELECT FROM lead_identities o
                WHERE o.lead_id = lead_identities.lead_id AND o.user_id IS NOT NULL)
    AND NOT EXISTS (SELECT FROM lead_timeline_events e
                    WHERE e.lead_id = lead_identities.lead_id AND e.occurred_at
                        >= %(now)s::timestamptz - interval '{KEPT_WITHOUT_ACCOUNT}')"""
ROWS_WITHOUT_ACCOUNT = "and the lead's last event, of a lead without an account"


class LeadIdentity(Entity):
    """One identifier of a lead. Contacts are sealed and searched by blind index."""

    lead = RestrictForeignKey(
        Lead, DB_CASCADE, related_name="identities", db_comment=of_person("lead", DELETE)
    )
    user = RestrictForeignKey(
        "identity.User",
        null=True,
        blank=True,
        related_name="lead_identities",
        db_comment=of_person("registered person", DELETE),
    )
    anonymous_id = SingleLineTextField(
        max_length=lengths.OPAQUE_ID,
        null=True,
        blank=True,
        db_comment=p0("browser or bot identifier"),
    )
    email_encrypted = SealedText(
        token="lead_identities.email", null=True, blank=True, db_comment=p1("e-mail, sealed")
    )
    email_bidx = BlindIndex(
        source="email_encrypted",
        channel="email",
        null=True,
        blank=True,
        db_comment=p1("blind index of the e-mail", export=False),
    )
    phone_encrypted = SealedText(
        token="lead_identities.phone", null=True, blank=True, db_comment=p1("phone, sealed")
    )
    phone_bidx = BlindIndex(
        source="phone_encrypted",
        channel="phone",
        null=True,
        blank=True,
        db_comment=p1("blind index of the phone", export=False),
    )
    telegram_user_id = SingleLineTextField(
        max_length=lengths.TELEGRAM_ID, null=True, blank=True, db_comment=p1("Telegram id, digits")
    )
    is_primary = models.BooleanField(
        default=False, db_default=False, db_comment=p0("the one to use; one per lead")
    )
    created_at = created_at()

    retention = purged(
        KEPT_WITHOUT_ACCOUNT,
        After("created_at", where=NO_ACCOUNT_NO_EVENT, rows=ROWS_WITHOUT_ACCOUNT),
    )

    class Meta:
        db_table = "lead_identities"
        db_table_comment = "How leads are recognised; contacts sealed"
        verbose_name = _("contact of a lead")
        verbose_name_plural = _("contacts of a lead")
        constraints = [
            rules.opaque_id("lead_identities", "anonymous_id"),
            rules.sealed("lead_identities", "email_encrypted"),
            rules.blind_index("lead_identities", "email_bidx"),
            rules.sealed("lead_identities", "phone_encrypted"),
            rules.blind_index("lead_identities", "phone_bidx"),
            rules.matches(
                "lead_identities_telegram_user_id_is_digits",
                "telegram_user_id",
                patterns.DIGITS,
                _("A Telegram id consists of digits."),
            ),
            rules.Check(
                "lead_identities_identifier_present",
                Q(user__isnull=False)
                | Q(anonymous_id__isnull=False)
                | Q(email_encrypted__isnull=False)
                | Q(phone_encrypted__isnull=False)
                | Q(telegram_user_id__isnull=False),
                _("Give at least one identifier."),
            ),
            rules.all_or_none(
                "lead_identities_email_with_index",
                ["email_encrypted", "email_bidx"],
                _("A sealed e-mail comes with its blind index."),
            ),
            rules.all_or_none(
                "lead_identities_phone_with_index",
                ["phone_encrypted", "phone_bidx"],
                _("A sealed phone comes with its blind index."),
            ),
            rules.Unique(
                "lead_identities_one_primary",
                fields=["lead"],
                condition=Q(is_primary=True),
                message=_("A lead has one primary contact."),
            ),
            *(
                rules.Unique(
                    f"lead_identities_{field}_once_per_lead",
                    fields=["lead", field],
                    message=_("The lead already has this contact."),
                )
                for field in [
                    "user",
                    "anonymous_id",
                    "email_bidx",
                    "phone_bidx",
                    "telegram_user_id",
                ]
            ),
            rules.finite("lead_identities", "created_at"),
        ]
        triggers = [
            triggers.Rule(
                "lead_identities_not_of_merged_lead",
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("lead_id"),
                message=gettext_noop("This lead was merged into another: add the contact there"),
                column="lead_id",
                body="""
DECLARE
    target uuid;
BEGIN
    SELECT l.merged_into_id INTO target FROM public.leads l WHERE l.id = NEW.lead_id
    FOR KEY SHARE;
    IF target IS NOT NULL THEN
        REFUSE;
    END IF;
    RETURN NULL;
END""",
                broken=lambda row: Lead.objects.filter(
                    pk=row.lead_id, merged_into__isnull=False
                ).exists(),
            ),
        ]
        indexes = [
            rules.Index("lead_identities_by_user", "user", serves="leads of a person; erasure"),
            rules.Index("lead_identities_by_creation", "created_at", serves="purge_expired"),
            rules.Index("lead_identities_by_email", "email_bidx", serves="find_by_contact"),
            rules.Index("lead_identities_by_phone", "phone_bidx", serves="find_by_contact"),
            rules.Index(
                "lead_identities_by_telegram", "telegram_user_id", serves="find_by_contact"
            ),
            rules.Index(
                "lead_identities_by_anonymous_id", "anonymous_id", serves="record_event: whose lead"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


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
