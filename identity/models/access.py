"""Second factors of staff, and limits of the attempts to log in (access.md §1)."""

from __future__ import annotations

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.encryption.fields import Plaintext, Sealed, SealedText
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import DELETE, of_person, p0, p1
from ebalance.db.schema.retention import goes_with, until
from ebalance.db.times import FactTime, PlannedTime


class SecondFactor(Entity):
    """The secret of a person's authenticator app (TOTP), written when they set it up.

    A row without ``confirmed_at`` was offered and not used yet. Written by
    identity.services.second_factors.
    """

    user = RestrictForeignKey(
        "identity.User",
        DB_CASCADE,
        related_name="second_factors",
        db_comment=of_person("whose second factor", DELETE),
    )
    secret_encrypted: models.Field[Plaintext | Sealed, Sealed] = SealedText(
        token="second_factors.secret",
        db_comment=p1("secret of TOTP in base32, sealed", export=False),
    )
    last_step = models.BigIntegerField(
        null=True,
        blank=True,
        db_comment=p0("30-second step of the last code; older codes are refused", export=False),
    )
    confirmed_at = FactTime(
        null=True, blank=True, db_comment=p0("when its first code was typed, UTC")
    )
    created_at = created_at()

    retention = goes_with("user")

    class Meta:
        db_table = "second_factors"
        db_table_comment = "Second factors of staff, sealed"
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")
        constraints: ClassVar = [
            rules.sealed("second_factors", "secret_encrypted"),
            rules.Unique(
                "second_factors_one_in_use",
                fields=["user"],
                condition=Q(confirmed_at__isnull=False),
                message=_("This person already has a second factor."),
            ),
            rules.set_exactly_when(
                "second_factors_step_with_confirmation",
                "last_step",
                Q(confirmed_at__isnull=False),
                _("A second factor is confirmed by its first code."),
            ),
            rules.in_range("second_factors", "last_step", 0),
            rules.finite("second_factors", "confirmed_at", "created_at"),
        ]
        indexes: ClassVar = [
            rules.Index("second_factors_by_user", "user", serves="login; erasure"),
        ]
        triggers: ClassVar = [
            triggers.frozen(
                "second_factors",
                "person_stays",
                ["user_id", "created_at"],
                message=gettext_noop("A second factor stays with its person"),
            ),
            triggers.frozen(
                "second_factors",
                "confirmed_once",
                ["confirmed_at"],
                once="confirmed_at",
                message=gettext_noop("A second factor is confirmed once"),
            ),
            triggers.Rule(
                "second_factors_code_is_good_once",
                operation=pgtrigger.UpdateOf("last_step"),
                condition="NEW.last_step < OLD.last_step",
                message=gettext_noop("A code that was used is not good again"),
                column="last_step",
                broken=lambda row: is_step_earlier(row),
            ),
            triggers.Rule(
                "second_factors_end_sessions",
                operation=pgtrigger.UpdateOf("confirmed_at") | pgtrigger.Delete,
                when=pgtrigger.After,
                body="""
BEGIN
    IF (TG_OP = 'DELETE' AND OLD.confirmed_at IS NOT NULL)
       OR (TG_OP = 'UPDATE' AND OLD.confirmed_at IS DISTINCT FROM NEW.confirmed_at) THEN
        UPDATE public.users SET session_stamp = pg_catalog.gen_random_uuid() WHERE id = OLD.user_id;
    END IF;
    RETURN NULL;
END""",
            ),
            *auditing.audited(
                "second_factors",
                changed=("second_factor_set", ["confirmed_at"]),
                deleted="second_factor_removed",
                deleted_when="OLD.confirmed_at IS NOT NULL",
            ),
        ]

    def __str__(self) -> str:
        return str(self.user)


def is_step_earlier(row: SecondFactor) -> bool:
    before = (triggers.stored(row, "last_step") or {}).get("last_step")
    return before is not None and row.last_step is not None and row.last_step < before


class RecoveryCode(Entity):
    """One of the codes that replace a lost phone, once each. The code itself is not stored."""

    second_factor = RestrictForeignKey(
        SecondFactor,
        DB_CASCADE,
        related_name="recovery_codes",
        db_comment=of_person("of which second factor", DELETE),
    )
    code_hash = SingleLineTextField(
        max_length=lengths.PASSWORD, db_comment=p1("salted hash of the code", export=False)
    )
    used_at = FactTime(null=True, blank=True, db_comment=p0("when it was used, UTC"))

    retention = goes_with("second_factor")

    class Meta:
        db_table = "recovery_codes"
        db_table_comment = "Recovery codes of second factors, hashed"
        verbose_name = _("recovery code")
        verbose_name_plural = _("recovery codes")
        constraints: ClassVar = [
            rules.matches(
                "recovery_codes_are_hashed",
                "code_hash",
                r"^[a-z0-9_]+\$[!-~]{20,}$",
                _("A recovery code is stored as a hash."),
            ),
            rules.finite("recovery_codes", "used_at"),
        ]
        indexes: ClassVar = [
            rules.Index(
                "recovery_codes_by_factor", "second_factor", serves="login with a recovery code"
            ),
        ]
        triggers: ClassVar = [
            triggers.frozen(
                "recovery_codes",
                "factor_stays",
                ["second_factor_id"],
                message=gettext_noop("A recovery code stays with its second factor"),
            ),
            triggers.frozen(
                "recovery_codes",
                "used_once",
                ["used_at"],
                once="used_at",
                message=gettext_noop("A recovery code that was used is not good again"),
            ),
            *auditing.audited("recovery_codes", changed=("recovery_code_used", ["used_at"])),
        ]

    def __str__(self) -> str:
        return str(_("recovery code"))


class LoginLimit(Entity):
    """Attempts to log in that count together: to an account, from a client, of a known browser.

    Written by identity.services.login_limits. The row has a keyed hash in place of the name.
    """

    class Kind(models.TextChoices):
        ACCOUNT = "account", _("account")
        CLIENT = "client", _("network address")
        BROWSER = "browser", _("known browser")

    kind = ClosedSet(Kind, db_comment=p0("what the attempts have in common"))
    key_hash = SingleLineTextField(
        max_length=lengths.OPAQUE_ID,
        db_comment=p0("keyed hash of the account, network or browser; names nobody"),
    )
    attempts = models.IntegerField(db_comment=p0("failed attempts that count"))
    locked_until = PlannedTime(
        null=True, blank=True, db_comment=p0("no attempt is answered before, UTC")
    )
    expires_at = PlannedTime(db_comment=p0("when the attempts stop to count, UTC"))

    retention = until("expires_at")

    class Meta:
        db_table = "login_limits"
        db_table_comment = "Failed attempts to log in that count together"
        verbose_name = _("login limit")
        verbose_name_plural = _("login limits")
        constraints: ClassVar = [
            rules.matches(
                "login_limits_key_is_hashed",
                "key_hash",
                r"^[0-9a-f]{64}$",
                _("A limit is stored under a keyed hash."),
            ),
            rules.Unique("login_limits_once", fields=["key_hash"]),
            rules.in_range("login_limits", "attempts", 0, 1_000_000),
            rules.Check(
                "login_limits_lock_before_expiry",
                Q(locked_until__isnull=True) | Q(expires_at__gte=F("locked_until")),
                _("Attempts count at least until the lock ends."),
                field="locked_until",
            ),
            rules.finite("login_limits", "locked_until", "expires_at"),
        ]
        indexes: ClassVar = [
            rules.Index("login_limits_expires_at", "expires_at", serves="purge_expired"),
        ]

    def __str__(self) -> str:
        return str(self.get_kind_display())
