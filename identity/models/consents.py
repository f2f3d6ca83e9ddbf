"""Consents: texts that people agreed to or refused."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from ebalance.db import lengths, rules
from ebalance.db.evidence import consent_checks, consent_triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
)
from ebalance.db.schema.classification import EVIDENCE, of_person, p0
from ebalance.db.schema.retention import kept
from ebalance.db.times import FactTime, now_default

from ..querysets import ConsentQuerySet
from .people import User


class Consent(Entity):
    """Evidence that a person agreed to a text, or refused. Only ``revoked_at`` may change, once."""

    class Type(models.TextChoices):
        PERSONAL_DATA = "personal_data", _("personal data")
        COMMUNICATIONS = "communications", _("communications")
        TELEGRAM = "telegram", pgettext_lazy("Type", "telegram")
        REVIEW_PUBLICATION = "review_publication", _("review publication")

    class Source(models.TextChoices):
        WEB = "web", _("web")
        TELEGRAM = "telegram", _("telegram")
        ADMIN = "admin", _("admin")

    user = RestrictForeignKey(
        User,
        null=True,
        blank=True,
        related_name="consents",
        db_comment=of_person("who agreed, if known", EVIDENCE),
    )
    lead = RestrictForeignKey(
        "crm.Lead",
        null=True,
        blank=True,
        related_name="consents",
        db_comment=of_person("lead who agreed", EVIDENCE),
    )
    consent_type = ClosedSet(Type, db_comment=p0("purpose agreed to"))
    granted = models.BooleanField(
        default=True, db_default=True, db_comment=p0("true: agreed; false: refused")
    )
    version = SingleLineTextField(
        max_length=lengths.CODE,
        db_comment=p0("version of the text, YYYY-MM-DD or YYYY-MM-DD.n"),
    )
    source = ClosedSet(Source, db_comment=p0("where it was given"))
    granted_at = FactTime(
        db_default=now_default(), editable=False, db_comment=p0("when given, UTC")
    )
    revoked_at = FactTime(null=True, blank=True, db_comment=p0("when withdrawn, UTC; set once"))

    objects: ClassVar = ConsentQuerySet.as_manager()

    retention = kept("as evidence of who agreed to which text")

    class Meta:
        db_table = "consents"
        db_table_comment = "Evidence of consents; only revoked_at changes, once"
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        constraints = [
            *consent_checks("consents"),
            rules.Check(
                "consents_subject_present",
                Q(user__isnull=False) | Q(lead__isnull=False),
                _("A consent belongs to a person or a lead."),
            ),
            rules.Unique(
                "consents_one_active_per_user",
                fields=["user", "consent_type"],
                condition=Q(granted=True, revoked_at__isnull=True, user__isnull=False),
                message=_("This person has already given this consent."),
            ),
            rules.Unique(
                "consents_one_active_per_lead",
                fields=["lead", "consent_type"],
                condition=Q(granted=True, revoked_at__isnull=True, lead__isnull=False),
                message=_("This lead has already given this consent."),
            ),
        ]
        indexes = [
            rules.Index("consents_by_user", "user", "granted_at", serves="history of a person"),
            rules.Index("consents_by_lead", "lead", "granted_at", serves="history of a lead"),
        ]
        triggers = consent_triggers(
            "consents",
            ["user_id", "lead_id", "consent_type", "granted", "version", "source", "granted_at"],
        )

    def __str__(self) -> str:
        return f"{self.get_consent_type_display()} {self.version}"

    @property
    def status(self) -> str:
        """active, withdrawn or refused."""
        if not self.granted:
            return "refused"
        return "active" if self.revoked_at is None else "withdrawn"
