"""Shared parts of the services of all domains (states.md, "Write paths").

A service is a plain function: one transaction, safe under concurrency, safe to repeat. It takes the
row first, then keyword arguments. It locks the rows that its decision depends on. It raises a
``Refused`` when a rule of the domain refuses, and then writes nothing. docs/write-paths.md lists
the locks, guarantees and errors of each service.

All services take their locks in one order, so that two of them never deadlock: appointments,
payments, deliveries of the payment provider, INSERTs that may conflict with another appointment,
slots, accounts, leads, events. Refunds are written under the lock of their payment.
"""

from __future__ import annotations

import functools
import inspect
import random
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol, cast
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

from ebalance.actor import Actor, acting_as, current_actor
from ebalance.db import patterns
from ebalance.db.storable import is_storable

type Clock = Callable[[], datetime]
"""Returns the current time, aware. Called after the locks are taken. Tests pass their own."""

type RowOrKey[Row: models.Model] = Row | UUID | str

MAX_ATTEMPTS = 5  # of a transaction that the database aborted
RETRIED_STATES = {"40001", "40P01"}  # serialization_failure, deadlock_detected


# -- refusals --------------------------------------------------------------------------------------


class Refused(Exception):
    """A rule of the domain refused. Nothing was written.

    ``code`` is for programs, ``sentence`` for people, in their language. ``details`` are P0 (ids,
    codes, times, numbers): logs may hold them, and sentences may name them.
    """

    code: ClassVar[str] = "refused"
    sentence_template: ClassVar[str | Promise] = _("This cannot be done.")

    def __init__(self, **details: object) -> None:
        super().__init__(details)
        self.details: Mapping[str, object] = details

    def __str__(self) -> str:
        details = ", ".join(f"{name}={value}" for name, value in self.details.items())
        return f"{self.code} ({details})" if details else self.code

    @property
    def sentence(self) -> str:
        return str(self.sentence_template) % self.details


class NotFound(Refused):
    code = "not_found"
    sentence_template = _("There is no such record any more.")


class InvalidInput(Refused):
    """A value that is invalid regardless of the stored data. ``field`` names the argument."""

    code = "invalid_input"
    sentence_template = _("Some of what was sent is not valid.")


class TransitionRefused(Refused):
    """The service does not accept the row's current state (states.md)."""

    code = "transition_refused"
    sentence_template = _("This is no longer possible: its state has changed meanwhile.")


class IdempotencyConflict(Refused):
    """An earlier request used the same key with other content."""

    code = "idempotency_conflict"
    sentence_template = _("This request was already made with other data. Please start again.")


class RuleBroken(Refused):
    """The database refused a write of the service; ``rule`` is the name of its constraint."""

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


def storable_arguments[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Raise InvalidInput for an argument with a character that no text column can hold.

    That is NUL and half of a surrogate pair, in texts, keys of rows, plaintexts, and anywhere in
    lists and mappings. For services that are not ``transactional``, which asks the same.
    """
    names = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            require_storable(value, name)
        return function(*args, **kwargs)

    return run


def require_storable(value: object, field: str) -> None:
    """Raises InvalidInput. ``field`` names the argument."""
    is_fit = is_storable(value)
    del value  # error reporters show local variables
    if not is_fit:
        raise InvalidInput(field=field)


def transactional[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` as one transaction, or inside the caller's transaction if there is one.

    A transaction of its own is retried when the database aborts it (deadlock, serialization
    failure). Inside an outer transaction the caller must retry. A violated constraint is raised as
    RuleBroken, a value that no column can hold as InvalidInput. The audit log records
    ``actor``, unless a logged-in user already is the current actor.
    """

    @storable_arguments
    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        actor, current = kwargs.get("actor"), current_actor() or Actor()
        if not isinstance(actor, models.Model) or current.is_user:
            return retry(*args, **kwargs)
        with acting_as(actor, ip_address=current.ip_address, user_agent=current.user_agent):
            return retry(*args, **kwargs)

    def retry(*args: P.args, **kwargs: P.kwargs) -> R:
        attempts = MAX_ATTEMPTS if connection.get_autocommit() else 1
        for attempt in range(1, attempts + 1):
            try:
                with transaction.atomic():
                    return function(*args, **kwargs)
            except OperationalError as error:
                if attempt == attempts or sqlstate(error) not in RETRIED_STATES:
                    raise
            except IntegrityError as error:
                raise RuleBroken(rule=constraint_of(error)) from error
            except DataError as error:
                raise InvalidInput() from error
            time.sleep(random.uniform(0, 0.02 * 2**attempt))
        raise AssertionError("unreachable")

    return run


def constraint_of(error: BaseException) -> str | None:
    """The name of the violated constraint or rule, as the database reported it."""
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None


def sqlstate(error: BaseException) -> str | None:
    cause = error.__cause__
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


# -- rows ------------------------------------------------------------------------------------------


def lock_rows[Row: models.Model](
    rows: models.QuerySet[Row], *, skip_locked: bool = False
) -> list[Row]:
    """Read the rows again and lock them until the transaction ends, in the order of their keys.

    FOR NO KEY UPDATE: other transactions may still add rows that refer to them. ``skip_locked``
    leaves out what another transaction has locked, instead of waiting for it.
    """
    locked = rows.order_by("pk").select_for_update(
        no_key=True, of=("self",), skip_locked=skip_locked
    )
    return list(locked)


def pk_of(row_or_key: RowOrKey | None) -> Any:
    return row_or_key.pk if isinstance(row_or_key, models.Model) else row_or_key


def get_or_refuse[Row: models.Model](rows: models.QuerySet[Row], row_or_key: RowOrKey[Row]) -> Row:
    """Read the row again. Raises NotFound, also for a value that cannot be a key."""
    try:
        row = rows.filter(pk=pk_of(row_or_key)).first()
    except (ValidationError, ValueError, TypeError, DataError):
        row = None
    if row is None:
        raise NotFound(what=rows.model._meta.model_name)
    return row


def lock_or_refuse[Row: models.Model](rows: models.QuerySet[Row], row_or_key: RowOrKey[Row]) -> Row:
    """Read the row again and lock it until the transaction ends. Raises NotFound."""
    return get_or_refuse(rows.select_for_update(no_key=True, of=("self",)), row_or_key)


def refresh[Row: models.Model](given: RowOrKey[Row], row: Row) -> Row:
    """The caller's own instance with the values of ``row``, or ``row`` for a caller's key."""
    if not isinstance(given, models.Model):
        return row
    given.refresh_from_db()
    return given


def same_key(given: object, stored: UUID | None) -> bool:
    """Whether a caller's key, in any spelling, is ``stored``; None matches None."""
    if given is None or stored is None:
        return given is stored
    return uuid_or_none(given) == stored


# -- values that a caller passes -------------------------------------------------------------------


def uuid_or_none(value: object) -> UUID | None:
    """The UUID that ``value`` is or spells; None if it is none."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(cast("str", value))
    except (ValueError, TypeError, AttributeError):
        return None


def parse_uuid(value: object, field: str) -> UUID:
    """Raises InvalidInput for a value that neither is nor spells a UUID."""
    key = uuid_or_none(value)
    if key is None:
        raise InvalidInput(field=field)
    return key


def parse_choice(value: object, choices: type[models.TextChoices], field: str) -> str:
    """``value``, a member of a closed set. Raises InvalidInput."""
    if not isinstance(value, str) or value not in choices.values:
        raise InvalidInput(field=field)
    return str(value)


def parse_optional_choice(
    value: object, choices: type[models.TextChoices], field: str
) -> str | None:
    """As ``parse_choice``; None stays None."""
    return None if value is None else parse_choice(value, choices, field)


def parse_opaque_id(value: object, field: str) -> str | None:
    """The id of a browser, bot or deep link; None stays None. Raises InvalidInput."""
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(patterns.OPAQUE_ID, value):
        return value
    raise InvalidInput(field=field)


def parse_external_id(value: object, longest: int, field: str) -> str:
    """An id that another program made, of at most ``longest`` characters. Raises InvalidInput."""
    if (
        not isinstance(value, str)
        or len(value) > longest
        or not re.fullmatch(patterns.EXTERNAL_ID, value)
    ):
        raise InvalidInput(field=field)
    return value


def parse_text_version(value: object, field: str = "version") -> str:
    """The version of a legal text: YYYY-MM-DD or YYYY-MM-DD.n. Raises InvalidInput."""
    if not isinstance(value, str) or not re.fullmatch(patterns.TEXT_VERSION, value):
        raise InvalidInput(field=field)
    return value


def parse_bool(value: object, field: str) -> bool:
    """Raises InvalidInput for anything but True and False."""
    if not isinstance(value, bool):
        raise InvalidInput(field=field)
    return value


def to_utc(value: datetime, field: str) -> datetime:
    """``value`` in UTC. Raises InvalidInput for a time without a zone, or for no time at all."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidInput(field=field)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(field=field) from None


def require_permission(actor: Any, permission: str) -> None:
    """Raises NotPermitted unless the actor has ``permission``; None is the system and has all."""
    if actor is not None and not actor.has_perm(permission):
        raise NotPermitted(permission=permission)


def require_change(actor: Any, model: type[models.Model]) -> None:
    """Raises NotPermitted unless the actor may change rows of ``model`` (access.md §1)."""
    require_permission(actor, f"{model._meta.app_label}.change_{model._meta.model_name}")


# -- what the apps ask of code above them ----------------------------------------------------------


class EventRecorder(Protocol):
    """The part of ``record_event``'s signature that the apps below crm use."""

    def __call__(
        self,
        event_name: str,
        /,
        *,
        source: str,
        properties: Mapping[str, object],
        clock: Clock,
    ) -> object: ...


_event_recorder: EventRecorder | None = None


def set_event_recorder(recorder: EventRecorder) -> None:
    """Called by crm when Django starts: apps below crm cannot import it."""
    global _event_recorder
    _event_recorder = recorder


def track_event(
    event_name: str, *, source: str, properties: Mapping[str, object], clock: Clock
) -> None:
    """Record an event of the tracking plan. For the apps below crm; the others import crm."""
    if _event_recorder is None:
        raise RuntimeError("crm has not registered its event recorder yet.")
    _event_recorder(event_name, source=source, properties=properties, clock=clock)


class ContactPermission(Protocol):
    """The part of ``can_contact``'s signature that the apps use."""

    def __call__(
        self, channel: str, /, *, user: UUID | None, lead: UUID | None, clock: Clock
    ) -> bool: ...


_contact_permission: ContactPermission | None = None


def set_contact_permission(permission: ContactPermission) -> None:
    """Called by ebalance.privacy when Django starts: no app can import it."""
    global _contact_permission
    _contact_permission = permission


def may_contact(channel: str, *, user: UUID | None, lead: UUID | None, clock: Clock) -> bool:
    """Whether this person may be written to by ``channel`` (ebalance/privacy/mailing.py)."""
    if _contact_permission is None:
        raise RuntimeError("ebalance.privacy has not registered its permission yet.")
    return _contact_permission(channel, user=user, lead=lead, clock=clock)
