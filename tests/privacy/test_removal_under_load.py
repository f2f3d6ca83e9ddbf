"""Purges, erasures and the command of requests at the same time: each row counts once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ebalance.privacy.erasure import erase_user, process_erasure_request, request_erasure
from tests.databases import Database, default_connection_on
from tests.factories import AnonymousQuestionFactory, UserFactory
from tests.privacy.purging import before, purge
from tests.services import run_concurrently
from tests.support import execute

pytestmark = pytest.mark.slow

PEOPLE = 4


@pytest.fixture(autouse=True)
def file(tmp_path: Path, settings: Any) -> Path:
    settings.ERASURE_LEDGER_FILE = tmp_path / "erasures.jsonl"
    return settings.ERASURE_LEDGER_FILE


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A separate database, to which the test commits."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


def test_purge_and_erasures_count_each_question_once(committed: Database) -> None:
    people = UserFactory.create_batch(PEOPLE)
    for days in (200, 201, 202):
        for person in (*people, None):
            at = before(f"{days} days")
            AnonymousQuestionFactory(user=person, rejected=True, submitted_at=at, moderated_at=at)
    work = [lambda person=person: erase_user(person.pk, method="admin") for person in people]
    results = run_concurrently(*work, lambda: purge("anonymous_questions", batch=1))
    assert not [result for result in results if isinstance(result, Exception)]
    purge("anonymous_questions")
    totals = execute("SELECT decided, rejected, cardinality(hours) AS hours FROM moderation_totals")
    assert totals == [{"decided": 5, "rejected": 5, "hours": 5}] * 3
    assert execute("SELECT FROM anonymous_questions") == []


def test_concurrent_workers_erase_each_person_once(committed: Database) -> None:
    boss = UserFactory(role="owner")
    people = UserFactory.create_batch(PEOPLE)
    keys = [request_erasure(person, actor=boss).pk for person in people]
    outcomes = run_concurrently(
        *(lambda key=key: process_erasure_request(key) for key in [*keys, *keys, *keys])
    )
    assert {str(outcome) for outcome in outcomes} <= {"done", "elsewhere"}
    assert execute("SELECT DISTINCT status FROM erasure_requests") == [{"status": "done"}]
    (row,) = execute(
        "SELECT count(*) AS n, count(DISTINCT subject_id) AS people FROM erasure_ledger"
    )
    assert row == {"n": PEOPLE, "people": PEOPLE}


def test_concurrent_requests_leave_one_open(committed: Database) -> None:
    boss, person = UserFactory(role="owner"), UserFactory()
    made = run_concurrently(*[lambda: request_erasure(person, actor=boss).pk] * 6)
    assert len({*made}) == 1
    assert len(execute("SELECT FROM erasure_requests")) == 1
