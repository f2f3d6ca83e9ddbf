"""Locks that outlive a transaction."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from ebalance.db import lengths, rules
from ebalance.db.fields import Entity, SingleLineTextField
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import until
from ebalance.db.times import PlannedTime


class Lease(Entity):
    """A named lock of a process until ``expires_at``, which the process renews.

    Written by audit.services.leases. A process that was killed renews nothing, and the next one
    takes the lease over. The row is no session's state, so it works through a connection pooler.
    """

    name = SingleLineTextField(
        max_length=lengths.TITLE,
        db_comment=p0("what is locked, a code, with the id of a row if any"),
    )
    token = models.UUIDField(db_comment=p0("of this one taking of the lease"))
    holder = SingleLineTextField(
        max_length=lengths.OPAQUE_ID, db_comment=p0("host and process that hold it")
    )
    expires_at = PlannedTime(db_comment=p0("when it ends unless it is renewed, UTC"))

    retention = until("expires_at")

    class Meta:
        db_table = "leases"
        db_table_comment = "Locks that outlive a transaction"
        verbose_name = _("lease")
        verbose_name_plural = _("leases")
        constraints: ClassVar = [
            rules.matches(
                "leases_name_names_a_lock",
                "name",
                r"^[a-z][a-z_]{0,59}(:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$",
                _("A code of lower-case Latin letters, and an identifier if any."),
            ),
            rules.matches(
                "leases_holder_is_host_and_process",
                "holder",
                r"^[a-z0-9.-]{1,53}:[0-9]{1,10}$",
                _("A host name, a colon and a process number."),
            ),
            rules.finite("leases", "expires_at"),
            rules.Unique("leases_name_unique", fields=["name"]),
        ]
        indexes: ClassVar = [
            rules.Index("leases_expires_at", "expires_at", serves="purge_expired, at the end")
        ]

    def __str__(self) -> str:
        return self.name
