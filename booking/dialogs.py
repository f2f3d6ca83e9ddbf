"""What staff is asked before a verb of booking runs."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import F, Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from ebalance.admin.dialogs import Dialog, choice

from .models import Appointment, AvailabilitySlot

SLOTS_SHOWN = 200  # the next free ones


class WithReason(Dialog):
    shown_at = "reason_category"
    reason_category = choice(_("Reason"), Appointment.OutcomeReason.choices, required=False)


class Move(Dialog):
    """The free slots that the session fits into, the next ones first."""

    shown_at = "slot"
    slot = choice(_("New time"), ())
    by = choice(
        _("At whose wish"),
        [("client", _("the client")), ("provider", _("the psychologist"))],
        initial="provider",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slot"].choices = [("", "---------"), *map(entry, self.free_slots())]

    def free_slots(self):
        try:
            row = Appointment.objects.select_related("service").filter(pk=self.object_id).first()
        except ValidationError:
            row = None
        if row is None:
            return AvailabilitySlot.objects.none()
        return AvailabilitySlot.objects.filter(
            Q(service=row.service_id) | Q(service=None),
            status="available",
            start_at_utc__gt=timezone.now(),
            end_at_utc__gte=F("start_at_utc") + timedelta(minutes=row.service.duration_minutes),
        ).order_by("start_at_utc", "pk")[:SLOTS_SHOWN]


def entry(slot: AvailabilitySlot) -> tuple[str, str]:
    """The choice of a slot: its key, and its start as admin shows times."""
    return str(slot.pk), date_format(timezone.localtime(slot.start_at_utc), "D, j E Y, H:i")
