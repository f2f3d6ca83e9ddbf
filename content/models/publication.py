"""What published things have in common."""

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules


def published_has_date(table: str) -> rules.Check:
    return rules.required_when(
        f"{table}_published_has_date",
        "published_at",
        Q(status="published"),
        _("What is published has a publication date."),
    )
