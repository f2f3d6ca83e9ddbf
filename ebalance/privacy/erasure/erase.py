"""``erase_user``: removes everything about a person in one transaction (privacy.md §5).

Module ``columns`` erases each column as its field declares. This module does the rest: sessions,
consents, reviews, events and the ledger. Order of locks: the person's appointments, the account,
the rows that the cancellation needs, the leads, the rest. A concurrent transaction that writes
about the person waits for the account or the lead, and is refused then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import ProgrammingError, connection, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from audit.models import OutboxEvent
from audit.models.log import FORGOTTEN
from audit.services import publish_event, record_entry
from crm.models import Lead
from crm.services.history import LEAD_ERASED, LEAD_SHARED
from ebalance.actor import Actor, acting_as, current_actor
from ebalance.db.schema.data_map import tables
from ebalance.services import (
    Clock,
    NotFound,
    NotPermitted,
    RowOrKey,
    lock_rows,
    parse_choice,
    sqlstate,
    storable_arguments,
    to_utc,
    transactional,
)
from identity.errors import ErasureUnavailable
from identity.models import ErasureLedgerEntry, User
from ugc.models import Review
from ugc.services import withdraw_review_consent

from ..consents import end_consents, publish_consent_event
from ..exports import storage
from ..links import LEADS, PEOPLE
from ..rows import PersonalRows
from ..subject import parse_key
from ..totals import delete_runs_with_cta
from . import ledger
from .columns import LOG, removals
from .locks import lock_person
from .order import Erased, ErasureOrder
from .requests import close_requests
from .sessions import suppress_messages

logger = logging.getLogger(__name__)

INSUFFICIENT_PRIVILEGE = "42501"


@storable_arguments
def erase_user(
    user: RowOrKey[User],
    *,
    method: str,
    requested_at: datetime | None = None,
    force: bool = False,
    actor: User | None = None,
    clock: Clock = timezone.now,
) -> Erased:
    """Erase the person of this account. A repeated call removes what was written since.

    ``method`` is one of ErasureLedgerEntry.Method. Paid and confirmed sessions ahead, and those
    that are being paid for, stop the erasure; with ``force`` they are canceled as by the client.
    Other holds are canceled in any case. ``actor`` is the person or may delete people.

    Raises LastOwner, UpcomingAppointments, NotFound, NotPermitted, InvalidInput, and
    ErasureUnavailable if the connection does not have the rights of the database's owner.
    """
    subject = parse_key(user, "user")
    if subject is None:
        raise NotFound(what="user")
    method = parse_choice(method, ErasureLedgerEntry.Method, "method")
    if actor is not None and actor.pk != subject and not actor.has_perm("identity.delete_user"):
        raise NotPermitted(permission="identity.delete_user")
    asked_at = None if requested_at is None else to_utc(requested_at, "requested_at")
    request = ErasureOrder(subject, method, asked_at, is_forced=force)
    with without_origin(subject, actor), explained_privileges():
        erased = _erase(request, actor=actor, clock=clock)
    if isinstance(user, User):
        user.refresh_from_db()
    return erased


def erase_again(lines: Sequence[ledger.LedgerLine], *, clock: Clock = timezone.now) -> Erased:
    """Erase the person whom these lines of the ledger file name, after a restore.

    Writes the lines into the table again. Raises LastOwner, ErasureUnavailable.
    """
    first = lines[0]
    request = ErasureOrder(
        first.subject_id,
        first.method,
        first.requested_at,
        is_forced=True,
        is_repeated=True,
        leads=frozenset().union(*(line.leads for line in lines)),
    )
    with explained_privileges():
        erased = _erase(request, actor=None, clock=clock)
    _restore_entries(lines)
    return erased


@transactional
def _restore_entries(lines: Iterable[ledger.LedgerLine]) -> None:
    """Write the lines that the restored table does not have."""
    rows = ErasureLedgerEntry.objects
    with connection.cursor() as cursor:  # one process at a time
        cursor.execute("LOCK TABLE public.erasure_ledger IN SHARE ROW EXCLUSIVE MODE")
    for line in lines:
        if rows.filter(subject_id=line.subject_id, requested_at=line.requested_at).exists():
            continue
        rows.create(
            subject_id=line.subject_id,
            requested_at=line.requested_at,
            completed_at=line.completed_at,
            method=line.method,
            counts={},
        )


@contextmanager
def without_origin(subject: UUID, actor: User | None) -> Iterator[None]:
    """Keep address and browser out of the log entries of people who erase themselves."""
    current = current_actor() or Actor()
    user = current.user if current.is_user else actor
    # A request without a logged-in user is the person's own.
    if user is not None and user.pk != subject:
        yield
        return
    with acting_as(user, role=current.role):
        yield


@contextmanager
def explained_privileges() -> Iterator[None]:
    """Raise ErasureUnavailable if the connected role lacks a privilege.

    The application's own role may only append to events and to the log.
    """
    try:
        yield
    except ProgrammingError as error:
        if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
            raise
        raise ErasureUnavailable() from error


@transactional
def _erase(request: ErasureOrder, *, actor: User | None, clock: Clock) -> Erased:
    user, person, canceled = lock_person(request, actor, clock)
    erased = Erased(request.subject, canceled=canceled)
    now = to_utc(clock(), "clock")
    requested_at = request.requested_at or now
    if not request.is_repeated:  # the clock of a restored host may be slow
        requested_at = min(requested_at, now)
    files = _export_files(person)
    _end_consents(person, erased, now)
    _close_reviews(person)
    suppress_messages(person.of("message_deliveries"))  # the news of a cancellation too
    leads = _leads_that_stay(person)
    erased.doubtful = sorted(person.subject.doubtful)
    # After this transaction only the event shows that these leads had another person's data too.
    _publish_once(LEAD_SHARED, person.subject.shared | person.subject.doubtful)
    anonymous = _anonymous_acts(person)
    erased.count("interactive_runs", delete_runs_with_cta(person))
    to_remove = removals(
        person, unsettled={"users": ~Q(status="deleted"), "leads": ~Q(status="inactive")}
    )
    settled: dict[str, Mapping[str, Any]] = {
        "users": {"status": "deleted", "deleted_at": Coalesce(F("deleted_at"), Value(now))},
        "leads": {"status": "inactive"},
        "appointments": {"lead_id": Coalesce(F("lead_id"), Value(leads[0]))} if leads else {},
    }
    for removal in to_remove:
        name = removal.table.name
        if name == LOG:
            _record_forgotten(anonymous)
        erased.count(name, removal.apply(**settled.get(name, {})))
    close_requests(request.subject, now)
    if erased.rows:
        _announce(request, erased, user, leads, requested_at, now)
        transaction.on_commit(partial(_after_commit, files, is_in_ledger_file=request.is_repeated))
    return erased


# -- rows with rules of their own -----------------------------------------------------------------


def _end_consents(person: PersonalRows, erased: Erased, now: datetime) -> None:
    """End all consents; the database unpublishes a review with its consent."""
    active = lock_rows(person.of("consents").filter(granted=True, revoked_at=None))
    for row in active:
        end_consents([row], max(now, row.granted_at))
        publish_consent_event("consent_withdrawn", row)
    erased.count("consents", len(active))
    name = "review_publication_consents"
    to_publish = person.of(name).filter(granted=True, revoked_at=None)
    reviews = list(to_publish.values_list("review", flat=True))
    for review in Review.objects.filter(pk__in=reviews).order_by("pk"):
        withdraw_review_consent(review, clock=lambda: now)
    erased.count(name, len(reviews))


def _close_reviews(person: PersonalRows) -> None:
    """Take emptied reviews out of moderation."""
    rows = person.of("reviews").filter(status__in=["draft", "pending"])
    reviews = Review.objects.filter(pk__in=list(rows.values_list("pk", flat=True)))
    reviews.filter(status="draft").update(status="pending")
    reviews.filter(status="pending").update(status="unpublished")


def _leads_that_stay(person: PersonalRows) -> list[UUID]:
    """The keys of the person's leads, the oldest first.

    An appointment without a client needs a lead. If there is none, an empty one is created.
    """
    rows = Lead.objects.filter(pk__in=person.subject.leads)
    leads = list(rows.order_by("pk").values_list("pk", flat=True))
    if not leads and person.of("appointments").filter(lead=None).exists():
        lead = Lead(source="booking", status="inactive")
        lead.save(force_insert=True)
        leads = [lead.pk]
    return leads


# -- ledger, events, log --------------------------------------------------------------------------


def _announce(
    request: ErasureOrder,
    erased: Erased,
    user: User | None,
    leads: list[UUID],
    requested_at: datetime,
    now: datetime,
) -> None:
    """Write the ledger and the audit log, and publish events for services that have copies."""
    about = user or User(pk=request.subject)
    ErasureLedgerEntry.objects.create(
        subject_id=request.subject,
        requested_at=requested_at,
        completed_at=max(now, requested_at),
        method=request.method,
        counts=erased.counts,
    )
    publish_event("user_erased", about, method=request.method)
    _publish_once(LEAD_ERASED, leads, user_id=request.subject)
    record_entry(
        "user_erased",
        about,
        values={
            "method": request.method,
            "rows": erased.rows,
            "appointments_canceled": len(erased.canceled),
        },
    )


def _publish_once(event_type: str, leads: Iterable[UUID], **payload: object) -> None:
    """Publish the event about each lead that does not have it yet."""
    published = OutboxEvent.objects.filter(
        aggregate_type=LEADS, aggregate_id__in=leads, event_type=event_type
    )
    for lead in {*leads} - set(published.values_list("aggregate_id", flat=True)):
        publish_event(event_type, Lead(pk=lead), **payload)


def _anonymous_acts(person: PersonalRows) -> list[tuple[str, UUID]]:
    """Tables and keys of rows with anonymous entries in the log that hold an origin."""
    entries = person.of(LOG).filter(actor=None).exclude(entity_type=PEOPLE)
    entries = entries.exclude(ip_address=None, user_agent=None, origin_salt=None)
    return sorted(entries.values_list("entity_type", "entity_id").distinct())


def _record_forgotten(rows: Iterable[tuple[str, UUID]]) -> None:
    """Add the entries that the log requires before the origin of older entries is removed."""
    models_by_table: dict[str, Any] = {table.name: table.model for table in tables()}
    for table, key in rows:
        record_entry(FORGOTTEN, models_by_table[table](pk=key))


# -- outside of the database ----------------------------------------------------------------------


def _export_files(person: PersonalRows) -> list[str]:
    rows = person.of("data_export_requests").filter(file_url__isnull=False)
    return list(rows.values_list("file_url", flat=True))


def _after_commit(files: list[str], *, is_in_ledger_file: bool) -> None:
    """Remove export files, and update the ledger file.

    After a failure the next run of process_exports removes the files, and the next erasure adds the
    line to the ledger file.
    """
    for address in files:
        with suppress(storage.UnknownKey):
            try:
                storage.remove(address)
            except OSError as error:
                logger.error("the file of an export could not be removed: %s", error.strerror)
    if is_in_ledger_file:
        return
    try:
        ledger.sync_file()
    except OSError as error:
        logger.error("the ledger of erasures could not be written: %s", error.strerror)
