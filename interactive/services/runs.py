"""Runs of interactives: start, end, and the link to a person.

The tracking events about runs (start_quiz and so on) have the source ``web`` in the tracking plan,
so the site sends them itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.services import publish_event
from ebalance.db.sets import EntryPoint
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    RowOrKey,
    TransitionRefused,
    get_or_refuse,
    lock_or_refuse,
    parse_opaque_id,
    parse_optional_choice,
    parse_uuid,
    refresh,
    sqlstate,
    transactional,
)
from identity.models import User

from .. import configs
from ..errors import NotPublished, ResultNotPossible
from ..models import InteractiveDefinition, InteractiveRun
from ..models.runs import DAY_MS

UNIQUE_VIOLATION = "23505"


@transactional
def start_run(
    definition: RowOrKey[InteractiveDefinition],
    *,
    user: RowOrKey[User] | None = None,
    anonymous_id: str | None = None,
    session_id: UUID | str | None = None,
    id: UUID | str | None = None,
    entry_point: str | None = None,
    deep_link_id: str | None = None,
    clock: Clock = timezone.now,
) -> InteractiveRun:
    """Start a run of the published version, for a person, an anonymous visitor, or both.

    ``session_id`` is the visit, as in the events of the site. ``id`` is the key of the run, chosen
    by the caller. The same request with the same ``id`` returns the first run, even if the run has
    ended or the interactive is no longer published. Locks the person.

    Raises NotFound (definition, person), NotPublished, InvalidInput (``field``), and
    IdempotencyConflict if ``id`` belongs to another request.
    """
    person = None if user is None else lock_present_user(user)
    run = InteractiveRun(
        **({} if id is None else {"id": parse_uuid(id, "id")}),
        interactive_definition=get_or_refuse(InteractiveDefinition._base_manager.all(), definition),
        user=person,
        anonymous_id=parse_opaque_id(anonymous_id, "anonymous_id"),
        session_id=None if session_id is None else parse_uuid(session_id, "session_id"),
        entry_point=parse_optional_choice(entry_point, EntryPoint, "entry_point"),
        deep_link_id=parse_opaque_id(deep_link_id, "deep_link_id"),
    )
    if run.user_id is None and run.anonymous_id is None:
        raise InvalidInput(field="anonymous_id")
    if id is not None and (earlier := earlier_run(run)):
        return earlier
    if run.interactive_definition.status != "published":
        raise NotPublished(entity="interactive_definitions", id=str(run.interactive_definition_id))
    run.definition_version = run.interactive_definition.published_version
    run.started_at = clock()
    return insert_run(run)


@transactional
def complete_run(
    run: RowOrKey[InteractiveRun],
    *,
    result_level: str | None = None,
    result_profile: str | None = None,
    duration_ms: int | None = None,
    crisis_trigger_type: str | None = None,
    clock: Clock = timezone.now,
) -> None:
    """End the run with its result. Locks the run.

    A quiz and a thermometer end with a level, a navigator with a profile, and the others with
    neither. The version that was shown limits the possible values. The result may be missing if the
    crisis block was shown. ``duration_ms`` is 0 to 24 hours. The same result again changes nothing,
    whatever the duration.

    Raises NotFound, InvalidInput, ResultNotPossible, and TransitionRefused for a run that was
    abandoned or completed with another result.
    """
    result = {
        "result_level": parse_optional_choice(
            result_level, InteractiveRun.ResultLevel, "result_level"
        ),
        "result_profile": parse_optional_choice(
            result_profile, InteractiveRun.ResultProfile, "result_profile"
        ),
        **crisis_columns(crisis_trigger_type),
    }
    if not (duration_ms is None or is_duration(duration_ms)):
        raise InvalidInput(field="duration_ms")
    row = lock_or_refuse(InteractiveRun._base_manager.all(), run)
    check_result(row, result)
    if needs_end(row, "completed", result):
        # The clock that gave the start may be ahead of this one.
        ended_at = max(clock(), row.started_at)
        end_run(row, "completed", completed_at=ended_at, duration_ms=duration_ms, **result)
    refresh(run, row)


@transactional
def abandon_run(run: RowOrKey[InteractiveRun], *, crisis_trigger_type: str | None = None) -> None:
    """End the run without a result, possibly because the crisis block was shown. Locks the run.

    Raises NotFound, InvalidInput, and TransitionRefused for a completed run.
    """
    crisis = crisis_columns(crisis_trigger_type)
    row = lock_or_refuse(InteractiveRun._base_manager.all(), run)
    if needs_end(row, "abandoned", crisis):
        end_run(row, "abandoned", **crisis)
    refresh(run, row)


@transactional
def link_run_to_user(run: RowOrKey[InteractiveRun], *, user: RowOrKey[User]) -> None:
    """Link an anonymous run to the person who has logged in. The run keeps its anonymous id.

    Locks the person, then the run. Raises NotFound, also for a deleted person, and
    TransitionRefused for a run of another person.
    """
    person = lock_present_user(user)
    row = lock_or_refuse(InteractiveRun._base_manager.all(), run)
    if row.user_id is None:
        row.user = person
        row.save(update_fields=["user"])
        publish_run_event(row, "run_linked")
    elif row.user_id != person.pk:
        raise TransitionRefused(**entity_details(row), status=row.status, wanted="linked")
    refresh(run, row)


# -- steps -----------------------------------------------------------------------------------------


def lock_present_user(user: RowOrKey[User]) -> User:
    """Lock the person, so that no erasure runs meanwhile.

    Raises NotFound, also for a deleted person.
    """
    return lock_or_refuse(User._base_manager.exclude(status="deleted"), user)


def insert_run(run: InteractiveRun) -> InteractiveRun:
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError as error:
        # A concurrent transaction with the same key won, and has committed by now.
        if sqlstate(error) != UNIQUE_VIOLATION or not (earlier := earlier_run(run)):
            raise
        return earlier
    publish_run_event(run, "run_started", entry_point=run.entry_point)
    return run


def earlier_run(run: InteractiveRun) -> InteractiveRun | None:
    """The stored run with this key. Raises IdempotencyConflict if its request was another one.

    The stored run may have been linked to a person since.
    """
    earlier = InteractiveRun.objects.filter(pk=run.pk).first()
    if earlier is None:
        return None
    same = (
        "interactive_definition_id",
        "anonymous_id",
        "session_id",
        "entry_point",
        "deep_link_id",
    )
    is_same = all(getattr(earlier, name) == getattr(run, name) for name in same)
    if not is_same or run.user_id not in (None, earlier.user_id):
        raise IdempotencyConflict(**entity_details(run))
    return earlier


def check_result(run: InteractiveRun, result: Mapping[str, Any]) -> None:
    """Raises ResultNotPossible unless the version that was shown can end with this result."""
    definition = run.interactive_definition
    version = definition.version_numbered(run.definition_version)
    is_crisis = run.crisis_triggered or "crisis_triggered" in result
    possible = configs.results(definition.interactive_type, version.config if version else None)
    for name, members in (("result_level", possible.levels), ("result_profile", possible.profiles)):
        value = result[name]
        if value is None:
            is_possible = members == configs.NO_RESULTS or is_crisis
        else:
            is_possible = members is None or value in members
        if not is_possible:
            raise ResultNotPossible(field=name)


def needs_end(run: InteractiveRun, status: str, result: Mapping[str, Any]) -> bool:
    """False if the locked run has ended like this before. Raises TransitionRefused."""
    if run.status == "in_progress":
        return True
    if run.status != status or any(getattr(run, n) != v for n, v in result.items()):
        raise TransitionRefused(**entity_details(run), status=run.status, wanted=status)
    return False


def end_run(run: InteractiveRun, status: str, **values: Any) -> None:
    values["status"] = status
    for name, value in values.items():
        setattr(run, name, value)
    run.save(update_fields=[*values])
    publish_run_event(
        run,
        f"run_{status}",
        result_level=run.result_level,
        result_profile=run.result_profile,
    )
    if run.crisis_triggered:
        publish_run_event(run, "run_crisis_triggered", category=run.crisis_trigger_type)


def publish_run_event(run: InteractiveRun, event_type: str, **payload: object) -> None:
    publish_event(
        event_type,
        run,
        interactive_definition_id=run.interactive_definition_id,
        definition_version=run.definition_version,
        **payload,
    )


def entity_details(run: InteractiveRun) -> dict[str, str]:
    """The details of a refusal that identify the run."""
    return {"entity": run._meta.db_table, "id": str(run.pk)}


# -- values that a caller passes -------------------------------------------------------------------


def crisis_columns(category: str | None) -> dict[str, Any]:
    """The columns of a run that showed the crisis block; none without a category."""
    parsed = parse_optional_choice(category, InteractiveRun.CrisisTrigger, "crisis_trigger_type")
    return {"crisis_triggered": True, "crisis_trigger_type": parsed} if parsed else {}


def is_duration(value: object) -> bool:
    return type(value) is int and 0 <= value <= DAY_MS
