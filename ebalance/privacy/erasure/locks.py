"""The locks of an erasure: the person's appointments, the account, the leads."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from uuid import UUID

from django.db import transaction

from booking.models import Appointment
from crm.models import Lead
from ebalance.services import Clock, NotFound
from identity.models import User
from identity.services import require_other_owner

from ..rows import PersonalRows
from .order import ErasureOrder
from .sessions import CanceledSession, cancel_sessions

MAX_LOCK_ATTEMPTS = 5  # afterwards lock out of order instead of starting again


class Overtaken(Exception):
    """Before the locks, another transaction booked, or linked a lead to an account."""


def lock_person(
    request: ErasureOrder, actor: User | None, clock: Clock
) -> tuple[User | None, PersonalRows, list[CanceledSession]]:
    """Lock the account and everything of the person, and cancel the sessions ahead.

    Returns the account, the person's rows as they are now, and the canceled sessions. Raises
    NotFound, LastOwner, UpcomingAppointments.
    """
    by_staff = actor if actor is not None and actor.pk != request.subject else None
    for attempt in count():
        locked = _lock_appointments(_appointment_keys(request.rows()))
        with suppress(Overtaken), transaction.atomic():
            user = _lock_user(request)
            booked = _appointment_keys(request.rows()) - {row.pk for row in locked}
            if booked and attempt < MAX_LOCK_ATTEMPTS:
                raise Overtaken
            # This breaks the order of locks; the database aborts one side of a deadlock.
            locked += _lock_appointments(booked)
            canceled = cancel_sessions(
                locked,
                is_forced=request.is_forced,
                is_repeated=request.is_repeated,
                staff=by_staff,
                clock=clock,
            )
            person = request.rows()
            _lock_leads(person)
            current = request.rows()
            keys = {row.pk for row in locked}
            if (
                current.subject.leads != person.subject.leads
                or not _appointment_keys(current) <= keys
            ):
                raise Overtaken
            return user, current, canceled
    raise AssertionError("unreachable")


def _appointment_keys(person: PersonalRows) -> set[UUID]:
    return set(person.of("appointments").values_list("pk", flat=True))


def _lock_appointments(keys: set[UUID]) -> list[Appointment]:
    """FOR UPDATE: new payments and forms, which refer to them, wait too."""
    rows = Appointment.objects.filter(pk__in=keys)
    return list(rows.order_by("pk").select_for_update(of=("self",)))


def _lock_leads(person: PersonalRows) -> None:
    rows = Lead.objects.filter(pk__in=person.subject.leads)
    list(rows.order_by("pk").select_for_update(of=("self",)))


def _lock_user(request: ErasureOrder) -> User | None:
    """FOR UPDATE: new rows that refer to the person wait, and are refused then."""
    user = User.objects.select_for_update(of=("self",)).filter(pk=request.subject).first()
    if user is None:
        if request.is_repeated:
            return None
        raise NotFound(what="user")
    if user.status == "active" and user.user_roles.filter(role="owner").exists():
        require_other_owner(user)
    return user
