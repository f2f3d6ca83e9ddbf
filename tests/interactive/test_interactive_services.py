"""Services of interactives: publication of versions, start and end of runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

import content.services
from audit.models import OutboxEvent
from content.services import archive, unpublish
from crm.models import AnalyticsEvent, LeadTimelineEvent
from ebalance.db.ids import uuid7
from ebalance.services import (
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    TransitionRefused,
)
from identity.models import User
from interactive.errors import ConfigInvalid, NotPublished, ResultNotPossible
from interactive.models import InteractiveDefinition, InteractiveRun
from interactive.services import (
    abandon_run,
    complete_run,
    link_run_to_user,
    publish_version,
    start_run,
)
from tests.booking.outbox_assertions import writes_nothing
from tests.factories import InteractiveDefinitionFactory, InteractiveRunFactory, UserFactory
from tests.interactive.samples import SAMPLES, sample
from tests.rule_groups import loop_over
from tests.services import events
from tests.support import execute

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
VISITOR = "visitor-000001"


def noon() -> datetime:
    return NOON


@pytest.fixture
def editor() -> User:
    return UserFactory(role="editor")


def published(kind: str = "quiz", **values: Any) -> InteractiveDefinition:
    definition = InteractiveDefinitionFactory(interactive_type=kind, **values)
    publish_version(definition, config=sample(kind))
    return definition


def begin(definition: InteractiveDefinition, **values: Any) -> InteractiveRun:
    return start_run(definition, **{"anonymous_id": VISITOR, **values})


def payload(row: Any) -> dict[str, Any]:
    return OutboxEvent.objects.filter(aggregate_id=row.pk).order_by("pk").last().payload


# -- publishing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SAMPLES)
def test_configuration_becomes_the_published_version(editor: User, kind: str) -> None:
    definition = InteractiveDefinitionFactory(interactive_type=kind)
    version = publish_version(definition, config=sample(kind), actor=editor, clock=noon)
    assert (version.version, version.config, version.created_by) == (1, sample(kind), editor)
    stored = InteractiveDefinition.objects.get(pk=definition.pk)
    for row in (stored, definition):
        assert (row.status, row.published_at, row.published_version) == ("published", NOON, 1)
    assert events(definition) == ["interactive_published"]
    assert payload(definition) == {"interactive_type": kind, "published_version": 1}


def test_the_same_configuration_again_changes_nothing(editor: User) -> None:
    definition = published()
    version = definition.versions.get()
    with writes_nothing():
        assert publish_version(definition, config=sample("quiz"), actor=editor) == version


def test_another_configuration_is_the_next_version(editor: User) -> None:
    definition = InteractiveDefinitionFactory(interactive_type="ritual")
    publish_version(definition, config=sample("ritual"), clock=noon)
    changed = {"steps": sample("ritual")["steps"][:1]}
    assert publish_version(definition, config=changed, actor=editor).version == 2
    assert (definition.published_version, definition.published_at) == (2, NOON)
    assert definition.versions.get(version=1).config == sample("ritual")
    assert publish_version(definition, config=sample("ritual")).version == 3
    assert events(definition) == ["interactive_published"] * 3


def test_a_draft_is_published_again_without_a_new_version(editor: User) -> None:
    definition = published()
    unpublish(definition, actor=editor)
    assert publish_version(definition, config=sample("quiz"), actor=editor).version == 1
    assert (definition.status, definition.versions.count()) == ("published", 1)
    assert events(definition)[1:] == ["interactive_unpublished", "interactive_published"]


def test_numbers_continue_after_versions_of_other_sources() -> None:
    definition = InteractiveDefinitionFactory()
    definition.versions.create(version=4, config={"old": True})
    assert publish_version(definition, config=sample("quiz")).version == 5


def test_later_changes_of_the_caller_do_not_reach_the_version() -> None:
    definition, config = InteractiveDefinitionFactory(), sample("quiz")
    version = publish_version(definition, config=config)
    config["questions"].clear()
    assert version.config == definition.versions.get().config == sample("quiz")


@loop_over(
    ("config", "code"),
    [
        ({}, "missing"),
        (None, "not_json"),
        ([], "not_json"),
        ({**SAMPLES["quiz"], "secret": 1}, "unknown_key"),
        ({**SAMPLES["quiz"], "thresholds": SAMPLES["quiz"]["thresholds"][:2]}, "gap"),
        (SAMPLES["ritual"], "unknown_key"),
    ],
)
def test_bad_configuration_makes_no_version(editor: User, config: Any, code: str) -> None:
    for definition in (InteractiveDefinitionFactory(), published()):
        with writes_nothing(), pytest.raises(ConfigInvalid) as caught:
            publish_version(definition, config=config, actor=editor)
        assert code in {problem.code for problem in caught.value.problems}


MOVES = {
    "publish": ("draft", "published"),
    "unpublish": ("published", "draft"),
    "archive": ("published", "archived"),
    "restore": ("archived", "draft"),
}


def in_status(status: str) -> InteractiveDefinition:
    definition = published()
    if status == "draft":
        unpublish(definition)
    elif status == "archived":
        archive(definition)
    return definition


def call(definition: InteractiveDefinition, service: str, **arguments: Any) -> Any:
    if service == "publish":
        return publish_version(definition, config=sample("quiz"), **arguments)
    return getattr(content.services, service)(definition, **arguments)


@loop_over("status", ["draft", "published", "archived"])
@loop_over("service", MOVES)
def test_service_makes_the_moves_of_the_specification(
    editor: User, service: str, status: str
) -> None:
    definition, (source, target) = in_status(status), MOVES[service]
    if status == source:
        call(definition, service, actor=editor)
        assert definition.status == target
        assert InteractiveDefinition.objects.get(pk=definition.pk).status == target
    if status in (source, target):
        with writes_nothing():
            call(definition, service, actor=editor)
    else:
        with writes_nothing(), pytest.raises(TransitionRefused):
            call(definition, service, actor=editor)


@loop_over("service", MOVES)
@loop_over("role", ["assistant", "client"])
def test_only_owner_and_editor_publish(service: str, role: str) -> None:
    definition, actor = in_status(MOVES[service][0]), UserFactory(role=role)
    with writes_nothing(), pytest.raises(NotPermitted):
        call(definition, service, actor=actor)


@loop_over("service", MOVES)
def test_service_refuses_a_missing_row(service: str) -> None:
    with writes_nothing(), pytest.raises(NotFound):
        call(InteractiveDefinition(pk=uuid4()), service)


# -- starting a run -----------------------------------------------------------------------------


def test_a_run_begins_with_the_published_version() -> None:
    definition = published(kind="ritual")
    publish_version(definition, config={"steps": sample("ritual")["steps"][:1]})
    run = begin(definition, entry_point="seo", deep_link_id="link-0001", clock=noon)
    stored = InteractiveRun.objects.get(pk=run.pk)
    for row in (run, stored):
        assert (row.status, row.definition_version, row.started_at) == ("in_progress", 2, NOON)
        assert (row.anonymous_id, row.user_id) == (VISITOR, None)
        assert (row.entry_point, row.deep_link_id) == ("seo", "link-0001")
    assert events(run) == ["run_started"]
    assert payload(run) == {
        "interactive_definition_id": str(definition.pk),
        "definition_version": 2,
        "entry_point": "seo",
    }


def test_keys_are_accepted_instead_of_rows() -> None:
    definition, person = published(), UserFactory()
    run = begin(definition.pk, user=str(person.pk), anonymous_id=None)
    assert (run.interactive_definition_id, run.user_id) == (definition.pk, person.pk)


def test_run_records_no_tracking_event() -> None:
    run = begin(published())
    complete_run(run, result_level="low")
    assert not AnalyticsEvent.objects.exists()
    assert not LeadTimelineEvent.objects.exists()


@loop_over("status", ["draft", "archived"])
def test_only_a_published_interactive_is_run(status: str) -> None:
    definition = in_status(status)
    with writes_nothing(), pytest.raises(NotPublished):
        begin(definition)


@loop_over(
    ("values", "field"),
    [
        ({"anonymous_id": None}, "anonymous_id"),
        ({"anonymous_id": "short"}, "anonymous_id"),
        ({"anonymous_id": "visitor-1\n"}, "anonymous_id"),
        ({"anonymous_id": "anna@example.org"}, "anonymous_id"),
        ({"anonymous_id": 12345678}, "anonymous_id"),
        ({"deep_link_id": "a b c d e f"}, "deep_link_id"),
        ({"entry_point": "radio"}, "entry_point"),
        ({"entry_point": ["seo"]}, "entry_point"),
        ({"session_id": "a visit"}, "session_id"),
        ({"id": "no-uuid"}, "id"),
        ({"id": 5}, "id"),
    ],
)
def test_bad_values_start_no_run(values: dict[str, Any], field: str) -> None:
    definition = published()
    with writes_nothing(), pytest.raises(InvalidInput) as caught:
        begin(definition, **values)
    assert caught.value.details == {"field": field}


@loop_over("unknown", [uuid4(), "nonsense", ""])
def test_unknown_definitions_and_people_are_refused(unknown: Any) -> None:
    definition = published()
    with writes_nothing(), pytest.raises(NotFound):
        begin(unknown)
    with writes_nothing(), pytest.raises(NotFound):
        begin(definition, user=unknown)


def test_deleted_person_starts_no_run() -> None:
    definition, person = published(), UserFactory(deleted=True)
    with writes_nothing(), pytest.raises(NotFound):
        begin(definition, user=person)


def test_repeated_request_returns_the_same_run() -> None:
    definition, key = published(), uuid7()
    visit = uuid7()
    run = begin(definition, id=key, entry_point="seo", session_id=visit)
    assert run.session_id == visit
    same = {"entry_point": "seo", "session_id": str(visit)}
    with writes_nothing():
        assert begin(definition, id=key, **same) == run
        assert begin(definition, id=str(key), **same) == run
    link_run_to_user(run, user=UserFactory())
    complete_run(run, result_level="low")
    archive(definition)
    with writes_nothing():
        again = begin(definition, id=key, **same)
    assert (again, again.status) == (run, "completed")


@loop_over(
    "values",
    [
        {"anonymous_id": "visitor-000002"},
        {"session_id": lambda: uuid7()},
        {"entry_point": "ads"},
        {"deep_link_id": "link-0001"},
        {"user": lambda: UserFactory()},
        {"definition": lambda: published()},
    ],
    ids=lambda values: next(iter(values)),
)
def test_the_key_of_another_request_is_a_conflict(values: dict[str, Any]) -> None:
    definition, key = published(), uuid7()
    begin(definition, id=key, entry_point="seo")
    other = {"definition": definition, "anonymous_id": VISITOR, "entry_point": "seo"}
    other |= {name: value() if callable(value) else value for name, value in values.items()}
    with writes_nothing(), pytest.raises(IdempotencyConflict):
        start_run(id=key, **other)


# -- ending a run -------------------------------------------------------------------------------


def test_a_run_is_completed_with_its_result() -> None:
    run = begin(published(), clock=noon)
    complete_run(run, result_level="moderate", duration_ms=60_000, clock=lambda: NOON + MINUTE)
    stored = InteractiveRun.objects.get(pk=run.pk)
    for row in (run, stored):
        assert (row.status, row.completed_at) == ("completed", NOON + MINUTE)
        assert (row.result_level, row.result_profile, row.duration_ms) == ("moderate", None, 60_000)
        assert (row.crisis_triggered, row.crisis_trigger_type) == (False, None)
    assert events(run) == ["run_started", "run_completed"]
    assert payload(run) == {
        "interactive_definition_id": str(run.interactive_definition_id),
        "definition_version": 1,
        "result_level": "moderate",
    }


MINUTE = timedelta(minutes=1)


def test_repeated_completion_changes_nothing_and_another_is_refused() -> None:
    run = begin(published())
    stale = InteractiveRun.objects.get(pk=run.pk)
    complete_run(run, result_level="low", duration_ms=5)
    with writes_nothing():
        complete_run(run, result_level="low", duration_ms=5)
        complete_run(stale, result_level="low")
        with pytest.raises(TransitionRefused):
            complete_run(stale, result_level="high")
        with pytest.raises(TransitionRefused):
            complete_run(stale, result_level="low", crisis_trigger_type="panic_like")
        with pytest.raises(TransitionRefused):
            abandon_run(stale)


def test_abandoning_again_changes_nothing_and_completing_is_refused() -> None:
    run = begin(published())
    abandon_run(run)
    assert InteractiveRun.objects.get(pk=run.pk).status == run.status == "abandoned"
    assert events(run) == ["run_started", "run_abandoned"]
    with writes_nothing():
        abandon_run(run)
        with pytest.raises(TransitionRefused):
            complete_run(run, result_level="low")


def test_an_end_is_not_before_the_start() -> None:
    run = begin(published(), clock=noon)
    complete_run(run, result_level="low", clock=lambda: NOON - MINUTE)
    assert run.completed_at == NOON


RIGHT = {
    "quiz": [{"result_level": level} for level in ("low", "moderate", "high")],
    "thermometer": [{"result_level": level} for level in ("low", "high")],
    "navigator": [
        {"result_profile": profile} for profile in ("clarify", "restore_energy", "stabilize_now")
    ],
    "boundaries": [{}],
    "prep": [{}],
    "ritual": [{}],
}
EVERY_RESULT = [
    {},
    *({"result_level": level} for level in InteractiveRun.ResultLevel.values),
    *({"result_profile": profile} for profile in InteractiveRun.ResultProfile.values),
    {"result_level": "low", "result_profile": "clarify"},
]


@pytest.mark.parametrize("kind", RIGHT)
def test_run_ends_with_a_result_of_its_version(kind: str) -> None:
    definition = published(kind)
    for result in EVERY_RESULT:
        run = begin(definition)
        if result in RIGHT[kind]:
            complete_run(run, **result)
            assert run.status == "completed"
        else:
            with writes_nothing(), pytest.raises(ResultNotPossible):
                complete_run(run, **result)


def test_run_ends_with_a_result_of_the_version_that_was_shown() -> None:
    definition = published("navigator")
    run = begin(definition)
    changed = sample("navigator")
    del changed["results"]
    changed["steps"][0]["choices"][0]["result"] = "other"
    publish_version(definition, config=changed)
    with writes_nothing(), pytest.raises(ResultNotPossible):
        complete_run(run, result_profile="other")
    complete_run(run, result_profile="clarify")


def test_run_without_known_results_ends_with_any_result_of_its_kind() -> None:
    for level in InteractiveRun.ResultLevel.values:
        run = InteractiveRunFactory()
        complete_run(run, result_level=level)
        assert run.result_level == level
    with pytest.raises(ResultNotPossible):
        complete_run(InteractiveRunFactory(), result_profile="clarify")


@loop_over(
    "values",
    [
        {"result_level": "medium"},
        {"result_level": 1},
        {"result_profile": "nobody"},
        {"duration_ms": -1},
        {"duration_ms": 86_400_001},
        {"duration_ms": 1.5},
        {"duration_ms": True},
        {"duration_ms": "5"},
        {"crisis_trigger_type": "sadness"},
    ],
    ids=str,
)
def test_bad_values_end_no_run(values: dict[str, Any]) -> None:
    run = begin(published())
    with writes_nothing(), pytest.raises(InvalidInput) as caught:
        complete_run(run, **{"result_level": "low", **values})
    assert caught.value.details["field"] == next(iter(values))


@loop_over("milliseconds", [0, 86_400_000])
def test_a_run_lasts_up_to_a_day(milliseconds: int) -> None:
    run = begin(published())
    complete_run(run, result_level="low", duration_ms=milliseconds)
    assert InteractiveRun.objects.get(pk=run.pk).duration_ms == milliseconds


# -- crisis -------------------------------------------------------------------------------------


@loop_over("category", InteractiveRun.CrisisTrigger.values)
@loop_over("result", [{"result_level": "high"}, {}])
def test_crisis_is_published_with_its_category(category: str, result: dict[str, str]) -> None:
    run = begin(published())
    complete_run(run, crisis_trigger_type=category, **result)
    assert (run.crisis_triggered, run.crisis_trigger_type) == (True, category)
    assert events(run) == ["run_started", "run_completed", "run_crisis_triggered"]
    assert payload(run)["category"] == category
    with writes_nothing():
        complete_run(run, crisis_trigger_type=category, **result)


def test_a_crisis_may_end_a_run() -> None:
    run = begin(published())
    abandon_run(run, crisis_trigger_type="self_harm")
    assert (run.status, run.crisis_trigger_type) == ("abandoned", "self_harm")
    assert events(run) == ["run_started", "run_abandoned", "run_crisis_triggered"]
    with writes_nothing():
        abandon_run(run, crisis_trigger_type="self_harm")
        with pytest.raises(TransitionRefused):
            abandon_run(run, crisis_trigger_type="violence")


def test_crisis_stored_earlier_is_published_at_the_end() -> None:
    run = InteractiveRunFactory(crisis=True)
    complete_run(run, result_level="low")
    assert (run.crisis_triggered, run.crisis_trigger_type) == (True, "panic_like")
    assert events(run) == ["run_completed", "run_crisis_triggered"]


# -- linking ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", [None, "completed", "abandoned"])
def test_anonymous_run_is_linked_to_a_person_once(ended: str | None) -> None:
    run = InteractiveRunFactory(anonymous_id=VISITOR, **({ended: True} if ended else {}))
    person, other = UserFactory(), UserFactory()
    stale = InteractiveRun.objects.get(pk=run.pk)
    link_run_to_user(run, user=person)
    assert (run.user_id, run.anonymous_id) == (person.pk, VISITOR)
    assert events(run) == ["run_linked"]
    with writes_nothing():
        link_run_to_user(run, user=person)
        link_run_to_user(stale, user=person.pk)
        with pytest.raises(TransitionRefused):
            link_run_to_user(stale, user=other)


def test_run_is_not_linked_to_an_unknown_person() -> None:
    run = InteractiveRunFactory()
    for unknown in (uuid4(), UserFactory(deleted=True), None, "nonsense"):
        with writes_nothing(), pytest.raises(NotFound):
            link_run_to_user(run, user=unknown)


@loop_over("change", [complete_run, abandon_run, link_run_to_user])
def test_service_refuses_a_missing_run(change: Callable[..., None]) -> None:
    arguments = {"user": UserFactory()} if change is link_run_to_user else {}
    with writes_nothing(), pytest.raises(NotFound):
        change(InteractiveRun(pk=uuid4()), **arguments)


def test_events_name_no_person() -> None:
    person = UserFactory(email="anna@example.org")
    run = begin(published(title="Секретное"), entry_point="telegram")
    link_run_to_user(run, user=person)
    complete_run(run, result_level="high", crisis_trigger_type="violence")
    stored = str(execute("SELECT payload FROM outbox_events"))
    for secret in ("Секретное", "anna", str(person.pk), VISITOR):
        assert secret not in stored
