"""A person is forgotten (privacy.md §5): everything that says something of them goes, in one
transaction, and the ledger says that it did.

What becomes of each column is declared beside its field (columns.py); here is what has to
happen besides. Locks: the person's appointments, the account, what their cancellation needs, the
leads, the rest. Whoever writes of the person meanwhile waits for the account or the lead, and is
refused then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import ProgrammingError, connection, models, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from audit.models import OutboxEvent
from audit.models.log import FORGOTTEN
from audit.services import publish_event, record_entry
from ebalance.actor import Actor, acting_as, current_actor
from ebalance.db.schema.data_map import tables
from ebalance.privacy.erasure.columns import LOG, removals
from ebalance.privacy.subject import LEADS, PEOPLE, SHARED, Person
from ebalance.services import (
    Clock,
    InvalidInput,
    NotFound,
    NotPermitted,
    lock_rows,
    sqlstate,
    to_utc,
    transactional,
)
from identity.errors import ErasureUnavailable, LastOwner, UpcomingAppointments

from ..consents import end, tell
from ..exports import storage
from . import ledger

logger = logging.getLogger(__name__)

INSUFFICIENT_PRIVILEGE = "42501"
PATIENCE = 5  # times that the locks are taken anew, in their order
BLOCKING = ("pending_payment", "paid", "confirmed")


@dataclass(frozen=True)
class Canceled:
    """A session that was cancelled because its client is erased. ``refund_amount``: roubles."""

    appointment: UUID
    start: datetime
    refund_amount: int | None  # None: nobody was told anything


@dataclass
class Erased:
    """What came of it: rows deleted or changed by table, and sessions that were cancelled.

    ``doubtful``: leads in which a contact of theirs stood beside one that their account has not.
    The contact is gone; whose the rest is, staff may know.
    """

    subject: UUID
    counts: dict[str, int] = field(default_factory=dict)
    canceled: list[Canceled] = field(default_factory=list)
    doubtful: list[UUID] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(self.counts.values())

    def count(self, table: str, rows: int) -> None:
        if rows:
            self.counts[table] = self.counts.get(table, 0) + rows


@dataclass(frozen=True)
class Order:
    """Whom to erase, and how it came about."""

    subject: UUID
    method: str
    requested_at: datetime | None
    force: bool = False
    # After a restore: sessions are cancelled without a word, what came of them was told long ago.
    is_repeated: bool = False
    leads: frozenset[UUID] = frozenset()  # remembered from the first time


def erase(
    subject: UUID,
    *,
    method: str,
    requested_at: datetime | None = None,
    force: bool = False,
    actor: Any = None,
    clock: Clock = timezone.now,
) -> Erased:
    """Erase the person of this account. Again it removes what has come since, if anything.

    ``method`` is one of ErasureLedgerEntry.Method. Paid and confirmed sessions ahead, and those
    being paid for, are cancelled as by the client with ``force``; else they are in the way. Other
    holds are cancelled anyway. ``actor`` is the person or somebody who may delete people.

    Raises LastOwner, UpcomingAppointments, NotFound, NotPermitted, InvalidInput, and
    ErasureUnavailable where the connection has not the rights for it.
    """
    model: Any = apps.get_model("identity.ErasureLedgerEntry")
    if method not in model.Method.values:
        raise InvalidInput(field="method")
    if actor is not None and actor.pk != subject and not actor.has_perm("identity.delete_user"):
        raise NotPermitted(permission="identity.delete_user")
    asked = None if requested_at is None else to_utc(requested_at, "requested_at")
    with leaving_no_trace(subject, actor), as_the_owner():
        return _erase(Order(subject, method, asked, force), actor=actor, clock=clock)


def erase_again(lines: Sequence[ledger.Line], *, clock: Clock = timezone.now) -> Erased:
    """After a restore: erase whom these lines of the ledger are about, all of one person.

    The table has the lines again afterwards. Raises LastOwner, ErasureUnavailable.
    """
    first = lines[0]
    order = Order(
        first.subject_id,
        first.method,
        first.requested_at,
        force=True,
        is_repeated=True,
        leads=frozenset().union(*(line.leads for line in lines)),
    )
    with as_the_owner():
        erased = _erase(order, actor=None, clock=clock)
    _note_again(lines)
    return erased


@transactional
def _note_again(lines: Iterable[ledger.Line]) -> None:
    """Into the table, which has lost them."""
    rows = apps.get_model("identity.ErasureLedgerEntry").objects
    with connection.cursor() as cursor:  # one at a time
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('public.erasure_ledger'))")
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
def leaving_no_trace(subject: UUID, actor: Any) -> Iterator[None]:
    """Whoever erases themself leaves neither address nor browser in the entries about it."""
    acts = current_actor() or Actor()
    who = acts.user if acts.is_user else actor
    # A request of nobody who is logged in, and no colleague's command: the person's own.
    if who is not None and who.pk != subject:
        yield
        return
    with acting_as(who, role=acts.role):
        yield


@contextmanager
def as_the_owner() -> Iterator[None]:
    """Events and the log are append-only to the application's own role."""
    try:
        yield
    except ProgrammingError as error:
        if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
            raise
        raise ErasureUnavailable() from error


@transactional
def _erase(order: Order, *, actor: Any, clock: Clock) -> Erased:
    erased = Erased(order.subject)
    user, person = _held(order, erased, actor, clock)
    now = to_utc(clock(), "clock")
    requested_at = order.requested_at or now
    if requested_at > now and not order.is_repeated:  # the clock of a restored host may be behind
        raise InvalidInput(field="requested_at")
    files = _files(person)
    _end_consents(person, erased, now)
    _close_reviews(person)
    leads = _existing(person)
    erased.doubtful = sorted(person.doubtful)
    _tell_once(SHARED, person.shared)  # while it can be seen
    origins = _origins_of_nobody(person)
    found = removals(
        person, unsettled={"users": ~Q(status="deleted"), "leads": ~Q(status="inactive")}
    )
    settled: dict[str, Mapping[str, Any]] = {
        "users": {"status": "deleted", "deleted_at": Coalesce(F("deleted_at"), Value(now))},
        "leads": {"status": "inactive"},
        "appointments": _lead_instead(person, leads),
    }
    for removal in found:
        name = removal.table.name
        if name == LOG:
            _tell_of_forgotten(origins)
        erased.count(name, removal.apply(**settled.get(name, {})))
    if erased.rows:
        _tell(order, erased, user, leads, requested_at, now)
        transaction.on_commit(partial(_after_commit, files, is_in_ledger=order.is_repeated))
    return erased


# -- locks, and what is in the way ----------------------------------------------------------------


def _held(order: Order, erased: Erased, actor: Any, clock: Clock) -> tuple[Any, Person]:
    """The account and the person as they are now, locked, and free of sessions ahead.

    Raises NotFound, LastOwner, UpcomingAppointments.
    """
    for attempt in count():
        held = _locked_appointments(_appointments(_person(order)))
        with suppress(_Overtaken), transaction.atomic():
            user = _locked_user(order)
            booked = _appointments(_person(order)) - {row.pk for row in held}
            if booked and attempt < PATIENCE:
                raise _Overtaken
            # Whoever goes on booking all the time is not waited for: a deadlock breaks off one.
            held += _locked_appointments(booked)
            canceled = _cancel(held, order, actor, clock)
            person = _person(order)
            _lock_leads(person)
            now = _person(order)
            if now.leads != person.leads or not _appointments(now) <= {row.pk for row in held}:
                raise _Overtaken
            erased.canceled = canceled
            return user, now
    raise AssertionError("unreachable")


class _Overtaken(Exception):
    """Somebody got in before the locks: has booked, or told whose a lead is."""


def _person(order: Order) -> Person:
    """With the leads of an earlier time: whoever knows their ids may have written of them since."""
    remembered = order.leads | ledger.leads_of(order.subject)
    return Person(order.subject, remembered=remembered, is_erasure=True)


def _rows(person: Person, name: str) -> models.QuerySet:
    rows = person.rows(next(table for table in tables() if table.name == name))
    assert rows is not None
    return rows


def _appointments(person: Person) -> set[UUID]:
    return set(_rows(person, "appointments").values_list("pk", flat=True))


def _locked_appointments(keys: set[UUID]) -> list[Any]:
    """FOR UPDATE: what refers to them, payments and forms, waits too."""
    rows = apps.get_model("booking.Appointment").objects.filter(pk__in=keys)
    return list(rows.order_by("pk").select_for_update(of=("self",)))


def _lock_leads(person: Person) -> None:
    rows = apps.get_model("crm.Lead").objects.filter(pk__in=person.leads)
    list(rows.order_by("pk").select_for_update(of=("self",)))


def _locked_user(order: Order) -> Any:
    """FOR UPDATE: whatever is to refer to the person waits, and is refused then."""
    users = apps.get_model("identity.User").objects
    user = users.select_for_update(of=("self",)).filter(pk=order.subject).first()
    if user is None:
        if order.is_repeated:
            return None
        raise NotFound(what="user")
    if user.status == "active" and user.user_roles.filter(role="owner").exists():
        must_not_be_last_owner(user)
    return user


def must_not_be_last_owner(user: Any) -> None:
    """Raises LastOwner. The role's row is locked: two owners cannot each count on the other."""
    lock_rows(apps.get_model("identity.Role").objects.filter(pk="owner"))
    others = apps.get_model("identity.UserRole").objects.filter(role="owner")
    if not others.filter(user__status="active").exclude(user=user.pk).exists():
        raise LastOwner(user=user.pk)


# -- sessions ahead -------------------------------------------------------------------------------


def sessions_ahead(subject: UUID, *, clock: Clock = timezone.now) -> list[Any]:
    """What would be in the way of an erasure at this moment, the next one first."""
    rows = _rows(Person(subject, is_erasure=True), "appointments")
    return sorted(upcoming(rows, clock())[0], key=lambda row: row.start_at_utc)


def upcoming(rows: Iterable[Any], now: datetime) -> tuple[list[Any], list[Any]]:
    """Of a person's appointments those ahead that matter to others, and holds that do not.

    A hold that ran out while it was being paid for counts: its money would take the time again.
    """
    rows = list(rows)
    being_paid = _being_paid(rows)
    matter: list[Any] = []
    holds: list[Any] = []
    for row in rows:
        is_ahead, is_being_paid = row.start_at_utc > now, row.pk in being_paid
        match row.status:
            case "paid" | "confirmed" if is_ahead:
                matter.append(row)
            case "pending_payment" if is_being_paid and row.end_at_utc > now:
                matter.append(row)
            case "pending_payment":
                holds.append(row)
            case "canceled" if row.outcome is None and is_being_paid and is_ahead:
                matter.append(row)
    return matter, holds


def _being_paid(rows: list[Any]) -> set[UUID]:
    """Those with a payment under way; it stands at the first of a chain."""
    by_key = {row.pk: row for row in rows}
    first = {}
    for row in rows:
        at = row
        while at.rescheduled_from_id in by_key:
            at = by_key[at.rescheduled_from_id]
        first[row.pk] = at.pk
    payments = apps.get_model("booking.Payment").objects.filter(status="pending")
    paying = set(payments.filter(appointment__in=by_key).values_list("appointment", flat=True))
    return {key for key, at in first.items() if at in paying}


def _cancel(held: list[Any], order: Order, actor: Any, clock: Clock) -> list[Canceled]:
    """Cancel what is ahead, as the client would. Raises UpcomingAppointments without force."""
    now = clock()
    matter, holds = upcoming(held, now)
    if matter and not order.force:
        raise UpcomingAppointments(
            appointments=[row.pk for row in matter], starts=[row.start_at_utc for row in matter]
        )
    if order.is_repeated:
        return _cancel_quietly([*matter, *holds], now)
    by_staff = actor if actor is not None and actor.pk != order.subject else None
    done = []
    for row in sorted([*matter, *holds], key=lambda row: row.pk):
        if row.status == "canceled":
            _give_up([row], now)
            refund = 0
        else:
            refund = row.cancel(by="client", actor=by_staff, clock=lambda: now).refund_amount
        done.append(Canceled(row.pk, row.start_at_utc, refund))
    return done


def _cancel_quietly(rows: list[Any], now: datetime) -> list[Canceled]:
    """Nobody is told: this has been done before, and money was given back then."""
    ahead = [row for row in rows if row.status in BLOCKING]
    appointments = apps.get_model("booking.Appointment").objects
    appointments.filter(pk__in=[row.pk for row in ahead]).update(
        status="canceled", canceled_at=now, **_outcome(now)
    )
    _give_up([row for row in rows if row.status == "canceled"], now)
    slots = apps.get_model("booking.AvailabilitySlot").objects.filter(
        pk__in={row.slot_id for row in ahead if row.slot_id is not None}
    )
    lock_rows(slots)
    slots.filter(status="reserved").update(status="available")
    return [Canceled(row.pk, row.start_at_utc, None) for row in rows]


def _give_up(rows: list[Any], now: datetime) -> None:
    """Holds that ran out: with an outcome, money that still comes does not take the time again."""
    appointments = apps.get_model("booking.Appointment").objects
    appointments.filter(pk__in=[row.pk for row in rows]).update(**_outcome(now))


def _outcome(now: datetime) -> dict[str, Any]:
    return {
        "outcome": "canceled_by_client",
        "outcome_recorded_at": now,
        "outcome_recorded_by_role": "system",
    }


# -- what rows ask for by themselves --------------------------------------------------------------


def _end_consents(person: Person, erased: Erased, now: datetime) -> None:
    """Whatever they agreed to ends now; a review is unpublished with its consent."""
    from ugc.services import withdraw_review_consent  # identity's models import this module

    given = lock_rows(_rows(person, "consents").filter(granted=True, revoked_at=None))
    for row in given:
        end([row], max(now, row.granted_at))
        tell("consent_withdrawn", row)
    erased.count("consents", len(given))
    name = "review_publication_consents"
    to_publish = _rows(person, name).filter(granted=True, revoked_at=None)
    reviews = list(to_publish.values_list("review", flat=True))
    for review in apps.get_model("ugc.Review").objects.filter(pk__in=reviews).order_by("pk"):
        withdraw_review_consent(review, clock=lambda: now)
    erased.count(name, len(reviews))


def _close_reviews(person: Person) -> None:
    """Nobody is to decide on an empty text."""
    rows = _rows(person, "reviews").filter(status__in=["draft", "pending"])
    keys = list(rows.values_list("pk", flat=True))
    reviews = apps.get_model("ugc.Review").objects.filter(pk__in=keys)
    reviews.filter(status="draft").update(status="pending")
    reviews.filter(status="pending").update(status="unpublished")


def _existing(person: Person) -> list[UUID]:
    """Their leads, the oldest first; of merged ones there may be nothing left."""
    rows = apps.get_model("crm.Lead").objects.filter(pk__in=person.leads)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _lead_instead(person: Person, leads: list[UUID]) -> dict[str, Any]:
    """Who an appointment was with, once it has no client: a lead without identities."""
    if not _rows(person, "appointments").filter(lead=None).exists():
        return {}
    if not leads:
        lead = apps.get_model("crm.Lead")(source="booking", status="inactive")
        lead.save(force_insert=True)
        leads = [lead.pk]
    return {"lead_id": Coalesce(F("lead_id"), Value(leads[0]))}


# -- what is told ---------------------------------------------------------------------------------


def _tell(
    order: Order,
    erased: Erased,
    user: Any,
    leads: list[UUID],
    requested_at: datetime,
    now: datetime,
) -> None:
    """To the ledger, to other services, which have copies, and to the audit log."""
    about = user or apps.get_model("identity.User")(pk=order.subject)
    apps.get_model("identity.ErasureLedgerEntry").objects.create(
        subject_id=order.subject,
        requested_at=requested_at,
        completed_at=max(now, requested_at),
        method=order.method,
        counts=erased.counts,
    )
    publish_event("user_erased", about, method=order.method)
    _tell_once("lead_erased", leads, user_id=order.subject)
    record_entry(
        "user_erased",
        about,
        values={
            "method": order.method,
            "rows": erased.rows,
            "appointments_canceled": len(erased.canceled),
        },
    )


def _origins_of_nobody(person: Person) -> list[tuple[str, UUID]]:
    """Tables and keys of what somebody unknown has done something to, from where the log says."""
    told = _rows(person, LOG).filter(actor=None).exclude(entity_type=PEOPLE)
    told = told.exclude(ip_address=None, user_agent=None, origin_salt=None)
    return sorted(told.values_list("entity_type", "entity_id").distinct())


def _tell_of_forgotten(rows: Iterable[tuple[str, UUID]]) -> None:
    """The log may be emptied only of what it says itself was forgotten."""
    models_by_table = {table.name: table.model for table in tables()}
    for table, key in rows:
        model: Any = models_by_table[table]
        record_entry(FORGOTTEN, model(pk=key))


def _tell_once(event_type: str, leads: Iterable[UUID], **payload: object) -> None:
    told = OutboxEvent.objects.filter(
        aggregate_type=LEADS, aggregate_id__in=leads, event_type=event_type
    )
    for lead in {*leads} - set(told.values_list("aggregate_id", flat=True)):
        publish_event(event_type, apps.get_model("crm.Lead")(pk=lead), **payload)


def _files(person: Person) -> list[str]:
    rows = _rows(person, "data_export_requests").filter(file_url__isnull=False)
    return list(rows.values_list("file_url", flat=True))


def _after_commit(files: list[str], *, is_in_ledger: bool) -> None:
    """What stands outside of the database. What fails here is made good by the next run: of
    process_exports, and of whatever else writes the ledger.
    """
    for address in files:
        with suppress(storage.UnknownAddress):
            try:
                storage.remove(address)
            except OSError as error:
                logger.error("the file of an export could not be removed: %s", error.strerror)
    if is_in_ledger:
        return
    try:
        ledger.sync_file()
    except OSError as error:
        logger.error("the ledger of erasures could not be written: %s", error.strerror)
