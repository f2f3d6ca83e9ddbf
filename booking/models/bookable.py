"""The view of all times that can be booked."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ebalance.db.schema.classification import p0
from ebalance.db.times import PlannedTime
from ebalance.db.views import View


class BookableSlot(View):
    """A slot that clients can book now (docs/adr/0047-schedule-exceptions.md).

    For a published service, all of its time lies ahead and is free. Its query is in the migration.
    """

    slot_id = models.UUIDField(primary_key=True, db_comment=p0("slot"))
    service_id = models.UUIDField(null=True, db_comment=p0("only for this service; empty: any"))
    start_at_utc = PlannedTime(db_comment=p0("start, UTC"))
    end_at_utc = PlannedTime(db_comment=p0("end, UTC"))
    buffer_minutes = models.SmallIntegerField(
        db_comment=p0("break kept after a session here, minutes")
    )

    class Meta(View.Meta):
        db_table = "bookable_slots"
        db_table_comment = "Times that can be booked now"
        verbose_name = _("bookable slot")
        verbose_name_plural = _("bookable slots")

    def __str__(self) -> str:
        return f"{self.start_at_utc:%d.%m.%Y %H:%M} UTC"
