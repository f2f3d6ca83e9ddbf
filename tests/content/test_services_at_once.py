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


def of(item: ContentItem, verb: str, **arguments: Any) -> Callable[[], Any]:
    return lambda: getattr(services, verb)(ContentItem.objects.get(pk=item.pk), **arguments)


def test_editors_at_once_get_numbers_without_a_gap(committed: None) -> None:
    item, editors = ContentItemFactory(), [UserFactory(role="editor") for _ in range(6)]
    saves = [of(item, "save_revision", actor=e, title=f"Правка {n}") for n, e in enumerate(editors)]
    answers = run_concurrently(*saves)
    assert sorted(answer.revision for answer in answers) == [2, 3, 4, 5, 6, 7]
    numbers = [revision.revision for revision in item.revisions.order_by("revision")]
    assert numbers == [1, 2, 3, 4, 5, 6, 7]
    newest = item.revisions.get(revision=7)
    assert ContentItem.objects.get(pk=item.pk).title == newest.title


def test_the_same_text_at_once_is_one_revision(committed: None) -> None:
    item, actor = ContentItemFactory(), UserFactory(role="editor")
    answers = run_concurrently(*[of(item, "save_revision", actor=actor, title="Одно")] * 4)
    assert {answer.revision for answer in answers} == {2}
    assert item.revisions.count() == 2


def test_publishing_at_once_is_one_publication(committed: None) -> None:
    item, editors = (
        ContentItemFactory(body_markdown=ready()),
        [UserFactory(role="editor") for _ in range(4)],
    )
    tracked = AnalyticsEvent.objects.count()
    assert run_concurrently(*[of(item, "publish", actor=e) for e in editors]) == [None] * 4
    assert events(item) == ["content_published"]
    assert AnalyticsEvent.objects.count() == tracked + 1


def test_a_text_saved_while_it_is_published_meets_the_list(committed: None) -> None:
    """The bad text is either saved first and not published, or refused after the publication."""
    for _round in range(5):
        item, actor = ContentItemFactory(body_markdown=ready()), UserFactory(role="editor")
        answers = run_concurrently(
            of(item, "publish", actor=actor),
            of(item, "save_revision", actor=actor, body_markdown="Пусто"),
        )
        assert sorted(type(answer).__name__ for answer in answers) in (
            ["ContentRevision", "NotReadyToPublish"],
            ["NoneType", "NotReadyToPublish"],
        )
        item.refresh_from_db()
        assert (item.status == "published") == (item.publication_offences() == [])


def test_archiving_and_taking_back_at_once_is_one_of_them(committed: None) -> None:
    item, actor = ContentItemFactory(published=True), UserFactory(role="editor")
    answers = run_concurrently(of(item, "archive", actor=actor), of(item, "unpublish", actor=actor))
    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "TransitionRefused"]
    assert len(events(item)) == 1
