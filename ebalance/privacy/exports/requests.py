"""Requests for a copy of one's data: asked for, and worked off by process_exports.

Several workers share the requests. Whoever works on one holds an advisory lock of its session on
it, which ends with the session, however that ends: a request that is ``processing`` and whose lock
is free was left by a dead run, and the next one takes it up. So a worker needs a session of its
own, not one that a pooler hands around between transactions.

What cannot be done for reasons outside of the request (disk, database) is tried again by the next
run; a request that fails by itself is ``failed``, and the person may ask again.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from django.apps import apps
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from audit.services import publish_event, record_entry
from ebalance.db.querysets import EntityQuerySet
from ebalance.services import Clock, InvalidInput, RowOrKey, lock_or_refuse, transactional
from identity.errors import AccountErased

from . import document, readable, storage
from .collecting import collected

if TYPE_CHECKING:
    from identity.models import DataExportRequest

logger = logging.getLogger(__name__)

KEPT = timedelta(days=7)  # privacy.md §4
OPEN = ("requested", "processing")
DIARY = "diary_entries"
NAMED = 50  # values that could not be opened and are named in the log; the others are counted
OUTSIDE = (OSError, OperationalError, InterfaceError)

type Outcome = Literal["ready", "incomplete", "failed", "postponed", "gone", "elsewhere"]


@dataclass(frozen=True)
class Built:
    file_url: str
    unreadable: list[document.Place]


class ExportRequestQuerySet(EntityQuerySet):
    @transactional
    def request(
        self, *, user: RowOrKey, export_type: str, clock: Clock = timezone.now
    ) -> DataExportRequest:
        """A request for a copy of this person's data; while one of its kind is open, that one.

        Also for a blocked person: it is their right. Raises NotFound, AccountErased, InvalidInput.
        """
        if export_type not in self.model.Type.values:
            raise InvalidInput(field="export_type")
        person = lock_or_refuse(apps.get_model("identity.User").objects.all(), user)
        if person.status == "deleted":
            raise AccountErased()
        own = self.filter(user=person, export_type=export_type, status__in=OPEN)
        if (earlier := own.order_by("created_at", "pk").first()) is not None:
            return earlier
        return self.create(user=person, export_type=export_type, created_at=clock())

    request.alters_data = True  # type: ignore[attr-defined]

    def waiting(self) -> list[UUID]:
        """Requests that are to be worked off, the oldest first; some of them may be at work."""
        rows = self.filter(status__in=OPEN).order_by("created_at", "pk")
        return list(rows.values_list("pk", flat=True))

    def work_off(self, key: UUID, *, clock: Clock = timezone.now) -> Outcome:
        """Make the file of one request, unless it is done or at work elsewhere.

        "incomplete" is ready too, but something could not be opened. Never raises for what is
        wrong with the request; raises what the database raises when it is away.
        """
        with turn(key) as is_ours:
            request = self._begin(key) if is_ours else None
            if request is None:
                return "elsewhere"
            try:
                return self._made(request, clock)
            except OUTSIDE as error:
                logger.error("data export %s has to wait: %s", key, _said(error))
                return "postponed"
            except Exception as error:
                if not self._fail(key, clock=clock):
                    return "gone"
                logger.error("data export %s failed: %s", key, _said(error))
                return "failed"

    work_off.alters_data = True  # type: ignore[attr-defined]

    @transaction.atomic
    def _begin(self, key: UUID) -> DataExportRequest | None:
        rows = self.filter(pk=key, status__in=OPEN)
        request = rows.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
        if request is not None and request.status == "requested":
            request.status = "processing"
            request.save(update_fields=["status"])
        return request

    def _made(self, request: DataExportRequest, clock: Clock) -> Outcome:
        built = build(request, clock())
        try:
            is_ready = self._finish(request.pk, built.file_url, clock=clock)
        except OUTSIDE:
            # Nobody knows whether it was committed: sweep() will, and removes the file if not.
            raise
        except BaseException:
            storage.remove(built.file_url)
            raise
        if not is_ready:
            storage.remove(built.file_url)
            return "gone"
        if not built.unreadable:
            return "ready"
        logger.error(
            "data export %s: %s values could not be opened: %s",
            request.pk,
            len(built.unreadable),
            ", ".join(map(str, built.unreadable[:NAMED])),
        )
        return "incomplete"

    @transactional
    def _finish(self, key: UUID, file_url: str, *, clock: Clock) -> bool:
        """Whether it was still ours: the person was not erased, nobody else has taken it up."""
        request = self._at_work(key)
        if request is None:
            return False
        now = clock()
        request.status, request.file_url = "ready", file_url
        request.completed_at, request.expires_at = now, now + KEPT
        request.save(update_fields=["status", "file_url", "completed_at", "expires_at"])
        # Whose it is stands in the row: events are read by more people than exports are.
        publish_event(
            "data_export_ready",
            request,
            export_type=request.export_type,
            expires_at=request.expires_at,
        )
        record_entry(
            "data_exported", about=request.user, values={"export_type": request.export_type}
        )
        return True

    @transactional
    def _fail(self, key: UUID, *, clock: Clock) -> bool:
        request = self._at_work(key)
        if request is None:
            return False
        request.status, request.completed_at = "failed", clock()
        request.save(update_fields=["status", "completed_at"])
        return True

    def _at_work(self, key: UUID) -> DataExportRequest | None:
        """The request, locked, if this session is still the one that works on it."""
        rows = self.filter(pk=key, status="processing")
        request = rows.select_for_update(no_key=True, of=("self",)).first()
        return request if _asked("pg_try_advisory_xact_lock", key) else None


def build(request: DataExportRequest, at: datetime) -> Built:
    """Collect, render and keep the file of this request."""
    is_diary = request.export_type == "diary_pdf"
    wanted = {"users", DIARY}.__contains__ if is_diary else lambda table: True
    made = collected(request.user_id, at, wanted=wanted)
    write = partial(document.render_zip, made)
    if is_diary:
        from .diary_pdf import render_diary_pdf  # only who makes one pays for the import

        tables = made["tables"]
        entries, zone = tables.get(DIARY, []), readable.zone_of(tables)
        write = partial(render_diary_pdf, entries, at=at, zone=zone)
    return Built(storage.save(request, write), [*document.unreadable_in(made)])


@contextmanager
def turn(key: UUID) -> Iterator[bool]:
    """Whether nobody else is at work on this request; if so, nobody is until the block ends."""
    is_ours = _asked("pg_try_advisory_lock", key)
    try:
        yield is_ours
    finally:
        if is_ours:
            with suppress(DatabaseError, InterfaceError):  # the session is gone, the lock with it
                _asked("pg_advisory_unlock", key)


def _asked(function: str, key: UUID) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [f"data_export:{key}"])
        return cursor.fetchone()[0]


def _said(error: BaseException) -> str:
    """What went wrong and where, in one line that quotes nothing."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name}, line {place.lineno}"
