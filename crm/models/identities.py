"""The identifiers that recognise a lead."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import lengths, patterns, rules, triggers
from ebalance.db.encryption.fields import BlindIndex, SealedText
from ebalance.db.fields import (
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import DELETE, of_person, p0, p1
from ebalance.db.schema.retention import After, purged

from .leads import Lead

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
