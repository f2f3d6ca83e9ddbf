"""What the verbs of all domains share: the write paths of states.md.

A verb is a manager, queryset or model method that is one transaction, safe under concurrency
and safe to repeat. It reads the rows it decides on under their locks, takes the actor as a
keyword where there is one, and raises a ``Refused`` when a rule of the domain says no; then
nothing has been written. docs/write-paths.md lists what each locks, promises and raises.

Locks are taken in one order, so that verbs never wait for each other in a circle: deliveries of
the payment provider (advisory), payments, appointments, then INSERTs that may meet another
appointment, then slots, then leads and events.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import psycopg
from django.core.exceptions import ValidationError
from django.db import (
    DataError,
    IntegrityError,
    OperationalError,
    connection,
    models,
    transaction,
)
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ebalance import acting

type Clock = Callable[[], datetime]
"""Tells the time, aware; asked after the locks are held. Tests and replays give their own."""

type RowOrKey[Row: models.Model] = Row | UUID | str

ATTEMPTS = 5  # of a transaction which the database broke off in favour of another
BROKEN_OFF = {"40001", "40P01"}  # serialization_failure, deadlock_detected


class Refused(Exception):
    """A rule of the domain said no. Nothing was written.

    ``code`` is for programs, ``sentence`` for people, in their language. ``details`` are P0 (ids,
    codes, times, numbers): they may stand in a log, and sentences may name them.
    """

    code: ClassVar[str] = "refused"
    sentence_template: ClassVar[str | Promise] = _("This cannot be done.")

    def __init__(self, **details: object) -> None:
        super().__init__(details)
        self.details: Mapping[str, object] = details

    def __str__(self) -> str:
        said = ", ".join(f"{name}={value}" for name, value in self.details.items())
        return f"{self.code} ({said})" if said else self.code

    @property
    def sentence(self) -> str:
        return str(self.sentence_template) % self.details


class NotFound(Refused):
    code = "not_found"
    sentence_template = _("There is no such record any more.")


class InvalidInput(Refused):
    """A value that no state of the data could make right; ``field`` says which."""

    code = "invalid_input"
    sentence_template = _("Some of what was sent is not valid.")


class TransitionRefused(Refused):
    """The row is in a state from which this verb does not lead (states.md)."""

    code = "transition_refused"
    sentence_template = _("This is no longer possible: its state has changed meanwhile.")


class IdempotencyConflict(Refused):
    """The key of an earlier request came with other content."""

    code = "idempotency_conflict"
    sentence_template = _("This request was already made with other data. Please start again.")


class RuleBroken(Refused):
    """The database refused what a verb wrote; ``rule`` is the name of its constraint."""

    code = "rule_broken"

    @property
    def sentence(self) -> str:
        from ebalance.db.errors import explain  # needs the models to be loaded

        cause = self.__cause__
        return explain(cause) if isinstance(cause, IntegrityError) else super().sentence


class NotPermitted(Refused):
    """The actor's roles do not include this (access.md §1)."""

    code = "not_permitted"
    sentence_template = _("You are not allowed to do this.")


def verb[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` as one transaction, inside the caller's where there is one.

    A transaction of its own that the database breaks off (deadlock, serialization failure) is
    run again, a few times; inside the caller's that is for the caller to do. What the database
    refuses is raised as RuleBroken, a value that no column can hold as InvalidInput. What it writes
    is the ``actor``'s in the audit log, unless somebody who is logged in is acting anyway.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        actor, here = kwargs.get("actor"), acting.current() or acting.Actor()
        if not isinstance(actor, models.Model) or here.is_somebody:
            return attempts(*args, **kwargs)
        with acting.acting_as(actor, ip_address=here.ip_address, user_agent=here.user_agent):
            return attempts(*args, **kwargs)

    def attempts(*args: P.args, **kwargs: P.kwargs) -> R:
        tries = ATTEMPTS if connection.get_autocommit() else 1
        for attempt in range(1, tries + 1):
            try:
                with transaction.atomic():
                    return function(*args, **kwargs)
            except OperationalError as error:
                if attempt == tries or sqlstate(error) not in BROKEN_OFF:
                    raise
            except IntegrityError as error:
                raise RuleBroken(rule=rule_of(error)) from error
            except DataError as error:
                raise InvalidInput() from error
            time.sleep(random.uniform(0, 0.02 * 2**attempt))
        raise AssertionError("unreachable")

    return run


def rule_of(error: BaseException) -> str | None:
    """The name of the constraint or rule that the database named in its refusal."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None


def sqlstate(error: BaseException) -> str | None:
    cause = error.__cause__
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


def locked[Row: models.Model](rows: models.QuerySet[Row]) -> list[Row]:
    """The rows as they are now, locked until the transaction ends, in the order of their keys.

    FOR NO KEY UPDATE: other rows may refer to them meanwhile.
    """
    return list(rows.order_by("pk").select_for_update(no_key=True, of=("self",)))


def key_of(row_or_key: RowOrKey | None) -> Any:
    return row_or_key.pk if isinstance(row_or_key, models.Model) else row_or_key


def found[Row: models.Model](rows: models.QuerySet[Row], row_or_key: RowOrKey[Row]) -> Row:
    """The row as it is now. Raises NotFound, also for what cannot be a key at all."""
    what = rows.model._meta.model_name
    try:
        row = rows.filter(pk=key_of(row_or_key)).first()
    except (ValidationError, ValueError, TypeError, DataError):
        row = None
    if row is None:
        raise NotFound(what=what)
    return row


def found_locked[Row: models.Model](rows: models.QuerySet[Row], row_or_key: RowOrKey[Row]) -> Row:
    """The row as it is now, locked until the transaction ends. Raises NotFound."""
    return found(rows.select_for_update(no_key=True, of=("self",)), row_or_key)


def moment(value: datetime, field: str) -> datetime:
    """``value`` in UTC. Raises InvalidInput for a time without a zone or no time at all."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidInput(field=field)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(field=field) from None
