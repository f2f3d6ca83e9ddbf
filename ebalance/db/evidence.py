"""Shared rules of the tables of consents: a row is evidence, and only a withdrawal is added."""

from collections.abc import Sequence

from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from . import patterns, rules, triggers


def consent_checks(table: str) -> list[rules.Check]:
    """The version is dated; only a granted consent is withdrawn, and not before it was given."""
    return [
        rules.matches(
            f"{table}_version_is_dated",
            "version",
            patterns.TEXT_VERSION,
            _("A version is a date, for example 2026-01-07 or 2026-01-07.2."),
        ),
        rules.Check(
            f"{table}_revoked_after_granted",
            Q(revoked_at__isnull=True) | Q(revoked_at__gte=F("granted_at")),
            _("A consent cannot be withdrawn before it was given."),
            field="revoked_at",
        ),
        rules.Check(
            f"{table}_refusal_is_not_revoked",
            Q(granted=True) | Q(revoked_at__isnull=True),
            _("A refusal cannot be withdrawn."),
            field="revoked_at",
        ),
        rules.finite(table, "granted_at", "revoked_at"),
    ]


def consent_triggers(
    table: str, columns: Sequence[str], *, kept: str | None = None
) -> list[triggers.Rule]:
    """``columns`` never change, ``revoked_at`` is set once, rows are not deleted.

    With ``kept``, an interval, a row may be deleted that long after its end. A refusal ends when it
    is given, a consent when it is withdrawn.
    """
    ended = "CASE WHEN OLD.granted THEN OLD.revoked_at ELSE OLD.granted_at END"
    is_kept = f"({ended} < public.fact_clock() - interval '{kept}') IS NOT TRUE" if kept else None
    return [
        triggers.frozen(
            table,
            "are_evidence",
            columns,
            message=gettext_noop("A consent is evidence: only its withdrawal can be recorded"),
        ),
        triggers.frozen(
            table,
            "revoked_once",
            ["revoked_at"],
            once="revoked_at",
            message=gettext_noop("A consent is withdrawn once"),
        ),
        triggers.no_delete(table, condition=is_kept),
        triggers.no_truncate(table),
    ]
