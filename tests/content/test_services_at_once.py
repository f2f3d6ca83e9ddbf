"""Concurrent editors, each on a separate connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from content import services
from content.models import ContentItem
from crm.models import AnalyticsEvent
from tests.content.texts import ready
from tests.databases import Database
from tests.factories import ContentItemFactory, UserFactory
from tests.services import committing, events, run_concurrently

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def committed(module_database: Database, django_db_blocker: Any) -> Iterator[None]:
    """All tests commit to one database. Each reads only its own rows."""
    with committing(module_database, django_db_blocker):
        yield


def call_of(item: ContentItem, service: str, **arguments: Any) -> Callable[[], Any]:
    return lambda: getattr(services, service)(ContentItem.objects.get(pk=item.pk), **arguments)


def test_concurrent_revisions_get_consecutive_numbers(committed: None) -> None:
    item, editors = ContentItemFactory(), [UserFactory(role="editor") for _ in range(6)]
    saves = [
        call_of(item, "save_revision", actor=e, title=f"Правка {n}") for n, e in enumerate(editors)
    ]
    answers = run_concurrently(*saves)
    assert sorted(answer.revision for answer in answers) == [2, 3, 4, 5, 6, 7]
    numbers = [revision.revision for revision in item.revisions.order_by("revision")]
    assert numbers == [1, 2, 3, 4, 5, 6, 7]
    newest = item.revisions.get(revision=7)
    assert ContentItem.objects.get(pk=item.pk).title == newest.title


def test_concurrent_saves_of_the_same_text_make_one_revision(committed: None) -> None:
    item, actor = ContentItemFactory(), UserFactory(role="editor")
    answers = run_concurrently(*[call_of(item, "save_revision", actor=actor, title="Одно")] * 4)
    assert {answer.revision for answer in answers} == {2}
    assert item.revisions.count() == 2


def test_concurrent_calls_publish_once(committed: None) -> None:
    item, editors = (
        ContentItemFactory(body_markdown=ready()),
        [UserFactory(role="editor") for _ in range(4)],
    )
    tracked = AnalyticsEvent.objects.count()
    assert run_concurrently(*[call_of(item, "publish", actor=e) for e in editors]) == [None] * 4
    assert events(item) == ["content_published"]
    assert AnalyticsEvent.objects.count() == tracked + 1


def test_text_saved_during_publication_meets_the_checklist(committed: None) -> None:
    """The bad text is either saved first and not published, or refused after the publication."""
    for _round in range(5):
        item, actor = ContentItemFactory(body_markdown=ready()), UserFactory(role="editor")
        answers = run_concurrently(
            call_of(item, "publish", actor=actor),
            call_of(item, "save_revision", actor=actor, body_markdown="Пусто"),
        )
        assert sorted(type(answer).__name__ for answer in answers) in (
            ["ContentRevision", "NotReadyToPublish"],
            ["NoneType", "NotReadyToPublish"],
        )
        item.refresh_from_db()
        assert (item.status == "published") == (item.publication_offences() == [])


def test_one_of_concurrent_archive_and_unpublish_wins(committed: None) -> None:
    item, actor = ContentItemFactory(published=True), UserFactory(role="editor")
    answers = run_concurrently(
        call_of(item, "archive", actor=actor), call_of(item, "unpublish", actor=actor)
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "TransitionRefused"]
    assert len(events(item)) == 1
