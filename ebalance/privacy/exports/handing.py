"""A copy of a person's data that the owner hands over, for example printed (access.md §1)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.utils import timezone

from audit.services import record_entry
from ebalance.services import Clock, NotPermitted, RowOrKey, get_or_refuse, storable_arguments
from identity.errors import AccountErased
from identity.models import User

from ..reveal import recorded_as
from .collecting import export_user_data
from .document import render_zip

DIARIES = "diary_entries"
REQUESTS = "data_export_requests"


@storable_arguments
def hand_over_user_data(
    user: RowOrKey[User], *, actor: Any, clock: Clock = timezone.now
) -> tuple[BytesIO, str]:
    """The ZIP file of ``export_user_data`` without diaries, and its name. It is not stored.

    Diaries, and requests for a diary, leave only through their author's login. Writes
    ``data_exported`` with the actor, in a transaction of its own, before the data are read. Raises
    NotFound; NotPermitted for anyone but an owner, and writes ``access_refused``; AccountErased;
    RuntimeError inside a transaction, whose rollback would remove the entry.
    """
    person = get_or_refuse(User.objects.all(), user)
    # Read again: blocking the actor, or removing a role, ends access at once.
    key: Any = getattr(actor, "pk", None)
    asker = User._base_manager.filter(pk=key).first()
    is_permitted = asker is not None and asker.has_perm("identity.add_dataexportrequest")
    with recorded_as(asker):
        if is_permitted and person.status != "deleted":
            record_entry("data_exported", about=person, values={"export_type": "user_data"})
        elif asker is not None and not is_permitted:
            record_entry("access_refused", about=person, values={"export_type": "user_data"})
    if not is_permitted:
        raise NotPermitted(entity="users", export_type="user_data")
    if person.status == "deleted":
        raise AccountErased()
    at = clock()
    made = export_user_data(person, clock=lambda: at, wanted=lambda table: table != DIARIES)
    rows = made["tables"].get(REQUESTS, [])
    made["tables"][REQUESTS] = [row for row in rows if row["export_type"] != "diary_pdf"]
    if not made["tables"][REQUESTS]:
        del made["tables"][REQUESTS]
    stream = BytesIO()
    render_zip(made, stream)
    stream.seek(0)
    return stream, f"user-data-{at:%Y-%m-%d}.zip"
