"""Concurrent publications of interactives, and concurrent ends of runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from ebalance.db.ids import uuid7
from ebalance.services import IdempotencyConflict, NotFound, TransitionRefused
from identity.models import User
from interactive.models import InteractiveDefinition, InteractiveRun
from interactive.services import (
    abandon_run,
    complete_run,
    link_run_to_user,
    publish_version,
    start_run,
)
from tests.databases import Database
from tests.factories import InteractiveDefinitionFactory, InteractiveRunFactory, UserFactory
from tests.interactive.samples import sample
from tests.processes import HANG_TIMEOUT, eventually
from tests.services import committing, events, run_concurrently
from tests.support import execute


@pytest.fixture(scope="module")
def committed(module_database: Database, django_db_blocker: Any) -> Iterator[None]:
    """All tests commit to one database. Each reads only its own rows."""
    with committing(module_database, django_db_blocker):
        yield


def call_of(row: Any, change: Callable[..., Any], **arguments: Any) -> Callable[[], Any]:
    return lambda: change(type(row).objects.get(pk=row.pk), **arguments)


def kinds(answers: list[Any]) -> Counter[str]:
    return Counter(type(answer).__name__ for answer in answers)


def test_concurrent_configurations_get_consecutive_numbers(committed: None) -> None:
    definition = InteractiveDefinitionFactory(interactive_type="ritual")
    configs = [{**sample("ritual"), "intro": f"Вариант {n}"} for n in range(5)]
    answers = run_concurrently(
        *[call_of(definition, publish_version, config=config) for config in configs]
    )
    assert sorted(answer.version for answer in answers) == [1, 2, 3, 4, 5]
    stored = InteractiveDefinition.objects.get(pk=definition.pk)
    assert stored.published_version == 5
    assert events(definition) == ["interactive_published"] * 5


def test_concurrent_equal_configurations_make_one_version(committed: None) -> None:
    definition = InteractiveDefinitionFactory()
    answers = run_concurrently(*[call_of(definition, publish_version, config=sample("quiz"))] * 4)
    assert {answer.version for answer in answers} == {1}
    assert events(definition) == ["interactive_published"]


def test_concurrent_equal_requests_start_one_run(committed: None) -> None:
    definition, key = InteractiveDefinitionFactory(), uuid7()
    publish_version(definition, config=sample("quiz"))

    def begin(visitor: str) -> Callable[[], Any]:
        return lambda: start_run(definition.pk, anonymous_id=visitor, id=key)

    answers = run_concurrently(*[begin("visitor-000001")] * 4)
    assert {answer.pk for answer in answers} == {key}
    run = InteractiveRun.objects.get(interactive_definition=definition)
    assert events(run) == ["run_started"]
    key = uuid7()
    answers = run_concurrently(begin("visitor-000001"), begin("visitor-000002"))
    assert kinds(answers) == {"InteractiveRun": 1, IdempotencyConflict.__name__: 1}


def test_a_run_ends_once(committed: None) -> None:
    """One of three concurrent ends wins and publishes its event once."""
    for _round in range(5):
        run = InteractiveRunFactory()
        answers = run_concurrently(
            call_of(run, complete_run, result_level="low"),
            call_of(run, complete_run, result_level="high"),
            call_of(run, abandon_run),
        )
        assert kinds(answers) == {"NoneType": 1, TransitionRefused.__name__: 2}
        assert len(events(run)) == 1


def test_concurrent_equal_ends_publish_one_event(committed: None) -> None:
    run = InteractiveRunFactory()
    assert run_concurrently(*[call_of(run, complete_run, result_level="low")] * 4) == [None] * 4
    assert events(run) == ["run_completed"]


def test_run_is_not_linked_to_a_person_during_their_erasure(committed: None) -> None:
    definition, run, person = InteractiveDefinitionFactory(), InteractiveRunFactory(), UserFactory()
    publish_version(definition, config=sample("quiz"))
    is_locked = threading.Event()

    def erase() -> None:
        with transaction.atomic():
            locked = User.objects.select_for_update().get(pk=person.pk)
            is_locked.set()
            wait_until_blocked(2)
            locked.status, locked.deleted_at = "deleted", timezone.now()
            locked.email = locked.phone = locked.display_name = None
            locked.telegram_user_id = locked.telegram_username = None
            locked.save()

    def after(call: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: is_locked.wait(HANG_TIMEOUT) and call()

    begin = partial(start_run, definition.pk, user=person.pk)
    answers = run_concurrently(
        erase, after(call_of(run, link_run_to_user, user=person.pk)), after(begin)
    )
    assert kinds(answers) == {"NoneType": 1, NotFound.__name__: 2}, answers
    assert not InteractiveRun.objects.filter(user=person.pk).exists()


def wait_until_blocked(number: int) -> None:
    """Wait until ``number`` other sessions of this database wait for a lock."""
    waiting = (
        "SELECT count(*) AS number FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    assert eventually(lambda: execute(waiting)[0]["number"] >= number), "no session waits"


def test_run_belongs_to_the_first_linked_person(committed: None) -> None:
    run, people = InteractiveRunFactory(), [UserFactory() for _ in range(3)]
    answers = run_concurrently(
        *[call_of(run, link_run_to_user, user=person.pk) for person in people]
    )
    assert kinds(answers) == {"NoneType": 1, TransitionRefused.__name__: 2}
    winner = people[answers.index(None)]
    assert InteractiveRun.objects.get(pk=run.pk).user_id == winner.pk
