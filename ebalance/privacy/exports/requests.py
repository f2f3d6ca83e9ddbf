"""Requests for a copy of one's data: created by the person, processed by process_exports.

Several workers share the requests. A worker has a lease on the request that it processes
(audit.services.leases). If a request has the status ``processing`` and its lease has ended, its
worker was killed, and the next worker continues it.

The next run retries after an external failure (disk, database). A request that itself causes an
error becomes ``failed``, and the person may request another export.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from audit.services import leases, publish_event, record_entry
from audit.services.leases import OwnLease
from ebalance.services import (
    Clock,
    RowOrKey,
    lock_or_refuse,
    parse_choice,
    storable_arguments,
    transactional,
)
from identity.errors import AccountErased
from identity.models import DataExportRequest, User

from . import document, readable, storage
from .collecting import export_user_data

logger = logging.getLogger(__name__)

KEPT = timedelta(days=7)  # privacy.md §4
OPEN = ("requested", "processing")
DIARY = "diary_entries"
MAX_LOGGED = 50  # unreadable values that are listed in the log; the others are counted
OUTSIDE = (OSError, OperationalError, InterfaceError)

type Outcome = Literal["ready", "incomplete", "failed", "postponed", "gone", "elsewhere"]


@dataclass(frozen=True)
class ExportFile:
    file_url: str
    unreadable: list[document.Location]


@transactional
def request_export(
    user: RowOrKey[User], *, export_type: str, clock: Clock = timezone.now
) -> DataExportRequest:
    """Request a copy of this person's data. Returns the open request of the same type, if any.

    A blocked person may request one too. Raises NotFound, AccountErased, InvalidInput.
    """
    export_type = parse_choice(export_type, DataExportRequest.Type, "export_type")
    person = lock_or_refuse(User.objects.all(), user)
    if person.status == "deleted":
        raise AccountErased()
    own = DataExportRequest.objects.filter(user=person, export_type=export_type, status__in=OPEN)
    if (earlier := own.order_by("created_at", "pk").first()) is not None:
        return earlier
    return DataExportRequest.objects.create(
        user=person, export_type=export_type, created_at=clock()
    )


def open_requests() -> list[UUID]:
    """The requests to process, the oldest first; another worker may be processing some of them."""
    rows = DataExportRequest.objects.filter(status__in=OPEN).order_by("created_at", "pk")
    return list(rows.values_list("pk", flat=True))


@storable_arguments
def process_export(key: UUID, *, clock: Clock = timezone.now) -> Outcome:
    """Make the file of one request, unless it is finished or another worker processes it.

    "incomplete": the file is ready, but some values could not be decrypted. Never raises for a
    fault of the request; raises the database's error if the connection is lost.
    """
    with leases.lease(f"data_export:{key}") as own:
        request = _begin(key) if own else None
        if own is None or request is None:
            return "elsewhere"
        try:
            return _make(request, own, clock)
        except OUTSIDE as error:
            logger.error("data export %s is postponed: %s", key, _describe(error))
            return "postponed"
        except Exception as error:
            if not _fail(key, own, clock=clock):
                return "gone"
            logger.error("data export %s failed: %s", key, _describe(error))
            return "failed"


@transaction.atomic
def _begin(key: UUID) -> DataExportRequest | None:
    rows = DataExportRequest.objects.filter(pk=key, status__in=OPEN)
    request = rows.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
    if request is not None and request.status == "requested":
        request.status = "processing"
        request.save(update_fields=["status"])
    return request


def _make(request: DataExportRequest, own: OwnLease, clock: Clock) -> Outcome:
    made = build_file(request, clock())
    try:
        is_ready = _finish(request.pk, own, made.file_url, clock=clock)
    except OUTSIDE:
        # The commit may have succeeded. If it did not, sweep() removes the file.
        raise
    except BaseException:
        storage.remove(made.file_url)
        raise
    if not is_ready:
        storage.remove(made.file_url)
        return "gone"
    if not made.unreadable:
        return "ready"
    logger.error(
        "data export %s: %s values could not be opened: %s",
        request.pk,
        len(made.unreadable),
        ", ".join(map(str, made.unreadable[:MAX_LOGGED])),
    )
    return "incomplete"


@transactional
def _finish(key: UUID, own: OwnLease, file_url: str, *, clock: Clock) -> bool:
    """Returns False if the person was erased, or another worker processes the request."""
    request = _lock_processing(key, own)
    if request is None:
        return False
    now = clock()
    request.status, request.file_url = "ready", file_url
    request.completed_at, request.expires_at = now, now + KEPT
    request.save(update_fields=["status", "file_url", "completed_at", "expires_at"])
    # The event does not name the person: more people read events than exports.
    publish_event(
        "data_export_ready",
        request,
        export_type=request.export_type,
        expires_at=request.expires_at,
    )
    record_entry("data_exported", about=request.user, values={"export_type": request.export_type})
    return True


@transactional
def _fail(key: UUID, own: OwnLease, *, clock: Clock) -> bool:
    request = _lock_processing(key, own)
    if request is None:
        return False
    request.status, request.completed_at = "failed", clock()
    request.save(update_fields=["status", "completed_at"])
    return True


def _lock_processing(key: UUID, own: OwnLease) -> DataExportRequest | None:
    """The request, locked, if this worker still processes it."""
    rows = DataExportRequest.objects.filter(pk=key, status="processing")
    request = rows.select_for_update(no_key=True, of=("self",)).first()
    return request if own.is_still_ours() else None


def build_file(request: DataExportRequest, at: datetime) -> ExportFile:
    """Read the person's data, render them, and store the file."""
    is_diary = request.export_type == "diary_pdf"
    wanted = {"users", DIARY}.__contains__ if is_diary else lambda table: True
    made = export_user_data(request.user_id, clock=lambda: at, wanted=wanted)
    write = partial(document.render_zip, made)
    if is_diary:
        from .diary_pdf import render_diary_pdf  # the PDF library is slow to import

        tables = made["tables"]
        entries, zone = tables.get(DIARY, []), readable.zone_of(tables)
        write = partial(render_diary_pdf, entries, at=at, zone=zone)
    return ExportFile(storage.save(request, write), [*document.unreadable_in(made)])


def _describe(error: BaseException) -> str:
    """The type and location of an error in one line, without its message."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name}, line {frame.lineno}"
