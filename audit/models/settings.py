"""Settings that staff may change at run time."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.fields import (
    RestrictForeignKey,
    SingleLineTextField,
    updated_at,
    validate_triggers,
)
from ebalance.db.schema.classification import by_staff, p0
from ebalance.db.schema.retention import kept
from ebalance.db.zones import find_zone


class SystemSetting(models.Model):
    """A setting that staff may change at run time. No secrets."""

    key = SingleLineTextField(
        max_length=lengths.CODE, primary_key=True, db_comment=p0("code of the setting")
    )
    value = lengths.SizedJSON(
        max_length=lengths.JSON_OBJECT, blank=True, db_comment=p0("value, JSON")
    )
    updated_by = RestrictForeignKey(
        "identity.User",
        db_column="updated_by_user_id",
        null=True,
        blank=True,
        related_name="system_settings",
        db_comment=by_staff("who changed it last"),
    )
    updated_at = updated_at()

    retention = kept("until staff delete it")

    class Meta:
        db_table = "system_settings"
        db_table_comment = "Settings changed at run time; no secrets"
        verbose_name = _("setting")
        verbose_name_plural = _("settings")
        constraints = [
            rules.code("system_settings", "key"),
            rules.Check(
                "system_settings_key_names_no_secret",
                ~Q(key__regex=r"(^|_)(secret|token|password|key)s?(_|$)"),
                _("Secrets are not kept here."),
                field="key",
            ),
            rules.finite("system_settings", "updated_at"),
        ]
        indexes = [
            rules.Index("system_settings_by_editor", "updated_by", serves="the delete check"),
        ]
        triggers = [
            triggers.touch_updated_at("system_settings"),
            *auditing.audited(
                "system_settings",
                inserted=("setting_added", ["value"]),
                changed=("setting_changed", ["value"]),
                deleted="setting_removed",
            ),
            triggers.key_stays("system_settings", "key"),
            triggers.Rule(
                "system_settings_practice_timezone_is_known",
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("value"),
                condition="NEW.key = 'practice_timezone' "
                "AND NOT public.is_time_zone(coalesce(NEW.value #>> '{}', ''))",
                message=gettext_noop("The server does not know this time zone"),
                column="value",
                broken=lambda row: row.key == "practice_timezone" and find_zone(row.value) is None,
            ),
        ]

    def __str__(self) -> str:
        return self.key

    def clean(self) -> None:
        super().clean()
        validate_triggers(self)
