"""How runs begin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from audit.services import publish_event
from ebalance.db import patterns
from ebalance.db.querysets import EntityQuerySet
from ebalance.db.sets import EntryPoint
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    RowOrKey,
    get_or_refuse,
    lock_or_refuse,
    sqlstate,
    transactional,
)

from .errors import NotPublished

if TYPE_CHECKING:
    from identity.models import User

    from .models import InteractiveDefinition, InteractiveRun

UNIQUE_VIOLATION = "23505"


class RunQuerySet(EntityQuerySet):
    @transactional
    def start_run(
        self,
        *,
        definition: RowOrKey[InteractiveDefinition],
        user: RowOrKey[User] | None = None,
        anonymous_id: str | None = None,
        id: UUID | None = None,
        entry_point: str | None = None,
        deep_link_id: str | None = None,
        clock: Clock = timezone.now,
    ) -> InteractiveRun:
        """Begin a run of the published version, by a person, an anonymous visitor, or both.

        ``id``, chosen by the caller, makes it safe to repeat: the same request again answers the
        run there is, whatever has become of it and of the interactive meanwhile. The tracking
        events about runs (start_quiz and the like) have the source ``web`` in the plan: the site
        sends them itself. Locks the person.

        Raises NotFound (definition, person), NotPublished, InvalidInput (``field``),
        IdempotencyConflict when ``id`` belongs to another request.
        """
        person = None if user is None else present_person(user)
        run = self.model(
            **({} if id is None else {"id": key(id)}),
            interactive_definition=get_or_refuse(definitions(self.model), definition),
            user=person,
            anonymous_id=opaque(anonymous_id, "anonymous_id"),
            entry_point=member(EntryPoint, entry_point, "entry_point"),
            deep_link_id=opaque(deep_link_id, "deep_link_id"),
        )
        if run.user_id is None and run.anonymous_id is None:
            raise InvalidInput(field="anonymous_id")
        if id is not None and (earlier := self._earlier(run)):
            return earlier
        if run.interactive_definition.status != "published":
            raise NotPublished(
                entity="interactive_definitions", id=str(run.interactive_definition_id)
            )
        run.definition_version = run.interactive_definition.published_version
        run.started_at = clock()
        return self._begun(run)

    def _begun(self, run: InteractiveRun) -> InteractiveRun:
        try:
            with transaction.atomic():
                run.save(force_insert=True)
        except IntegrityError as error:
            # The same request at the same moment; it was faster, and is committed by now.
            if sqlstate(error) != UNIQUE_VIOLATION or not (earlier := self._earlier(run)):
                raise
            return earlier
        publish_event(
            "run_started",
            run,
            interactive_definition_id=run.interactive_definition_id,
            definition_version=run.definition_version,
            entry_point=run.entry_point,
        )
        return run

    def _earlier(self, run: InteractiveRun) -> InteractiveRun | None:
        """The run that the same request began. The person may have been added since."""
        earlier = self.filter(pk=run.pk).first()
        if earlier is None:
            return None
        same = ("interactive_definition_id", "anonymous_id", "entry_point", "deep_link_id")
        is_same = all(getattr(earlier, name) == getattr(run, name) for name in same)
        if not is_same or run.user_id not in (None, earlier.user_id):
            raise IdempotencyConflict(entity="interactive_runs", id=str(run.pk))
        return earlier


def definitions(run: type[models.Model]) -> models.QuerySet:
    return run._meta.get_field("interactive_definition").related_model._base_manager.all()


def present_person(user: RowOrKey[User]) -> User:
    """The person, locked: nobody is erased meanwhile. Raises NotFound, also for who was deleted."""
    return lock_or_refuse(get_user_model()._base_manager.exclude(status="deleted"), user)


def key(value: UUID | str) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(field="id") from None


def opaque(value: str | None, field: str) -> str | None:
    """An identifier of a browser or a link. Raises InvalidInput."""
    if value is None or (isinstance(value, str) and re.fullmatch(patterns.OPAQUE_ID, value)):
        return value
    raise InvalidInput(field=field)


def member(members: type[models.TextChoices], value: str | None, field: str) -> str | None:
    """A value of a closed set. Raises InvalidInput."""
    if value is None:
        return None
    if isinstance(value, str) and value in members.values:
        return str(value)
    raise InvalidInput(field=field)
