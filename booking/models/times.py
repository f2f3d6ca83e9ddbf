"""Rules that slots and appointments share."""

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules

# These keep their time: a hold, a paid and a confirmed appointment.
BLOCKING = ["pending_payment", "paid", "confirmed"]


def session_times(table: str) -> list[rules.Check]:
    """A session ends after it starts, within 12 hours, with a break of at most two."""
    return [
        rules.Check(
            f"{table}_ends_after_start",
            Q(rules.holds("is_session_length", "start_at_utc", "end_at_utc")),
            _("A session ends after it starts and lasts at most 12 hours."),
            field="end_at_utc",
        ),
        rules.in_range(table, "buffer_minutes", 0, 120),
    ]
