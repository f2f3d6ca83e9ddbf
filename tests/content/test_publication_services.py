"""Publication of collections and of the glossary."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from content import services
from content.errors import NotReadyToPublish
from content.models import CuratedCollection, GlossaryTerm
from content.services import publish, unpublish
from ebalance.services import NotFound, NotPermitted, TransitionRefused
from tests.booking.outbox_assertions import writes_nothing
from tests.factories import (
    ContentItemFactory,
    CuratedCollectionFactory,
    CuratedItemFactory,
    GlossaryTermFactory,
    InteractiveDefinitionFactory,
    UserFactory,
)
from tests.rule_groups import loop_over
from tests.services import events

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def collection(**values: Any) -> CuratedCollection:
    made = CuratedCollectionFactory(**values)
    CuratedItemFactory(collection=made, content_item=ContentItemFactory(published=True))
    return made


MADE = {"collection": collection, "glossary_term": GlossaryTermFactory}
every_kind = pytest.mark.parametrize("kind", MADE)

MOVES = {
    "publish": ("draft", "published", "published"),
    "unpublish": ("published", "draft", "unpublished"),
    "archive": ("published", "archived", "archived"),
    "restore": ("archived", "draft", "restored"),
}


def row_in(kind: str, status: str) -> CuratedCollection | GlossaryTerm:
    return MADE[kind](**({} if status == "draft" else {status: True}))


@every_kind
@loop_over("status", ["draft", "published", "archived"])
@loop_over("service", MOVES)
def test_service_makes_the_moves_of_the_specification(kind: str, service: str, status: str) -> None:
    row, (source, target, event) = row_in(kind, status), MOVES[service]
    actor = UserFactory(role="editor")
    move = partial(getattr(services, service), row)
    if status == source:
        move(actor=actor)
        assert row.status == type(row).objects.get(pk=row.pk).status == target
        assert events(row) == [f"{kind}_{event}"]
    if status in (source, target):
        with writes_nothing():
            move(actor=actor)
    else:
        with writes_nothing(), pytest.raises(TransitionRefused):
            move(actor=actor)


@every_kind
def test_first_publication_sets_the_date(kind: str) -> None:
    row = row_in(kind, "draft")
    publish(row, clock=lambda: NOON)
    unpublish(row)
    publish(row)
    assert row.published_at == NOON


@every_kind
@loop_over("service", MOVES)
def test_only_owner_and_editor_change_the_status(kind: str, service: str) -> None:
    row, assistant = row_in(kind, MOVES[service][0]), UserFactory(role="assistant")
    with writes_nothing(), pytest.raises(NotPermitted):
        getattr(services, service)(row, actor=assistant)


@every_kind
@loop_over("service", MOVES)
def test_service_refuses_a_deleted_row(kind: str, service: str) -> None:
    row = MADE[kind]() if kind == "glossary_term" else CuratedCollectionFactory()
    stale = type(row).objects.get(pk=row.pk)
    row.delete()
    with writes_nothing(), pytest.raises(NotFound):
        getattr(services, service)(stale)


def test_an_empty_collection_is_not_published() -> None:
    row = CuratedCollectionFactory()
    CuratedItemFactory(collection=row)
    CuratedItemFactory(
        collection=row,
        content_item=None,
        item_type="interactive",
        interactive_definition=InteractiveDefinitionFactory(),
    )
    with writes_nothing(), pytest.raises(NotReadyToPublish) as caught:
        publish(row)
    assert caught.value.offences == ("published_target_missing",)


def test_collection_with_a_published_target_is_published() -> None:
    to_content, to_interactive = collection(), CuratedCollectionFactory()
    CuratedItemFactory(
        collection=to_interactive,
        content_item=None,
        item_type="interactive",
        interactive_definition=InteractiveDefinitionFactory(published=True),
    )
    for row in (to_content, to_interactive):
        publish(row)
        assert row.status == "published"


@loop_over("definition", ["", " ", "\u200b"])
def test_term_without_a_definition_is_not_published(definition: str) -> None:
    row = GlossaryTermFactory(short_definition=definition)
    with writes_nothing(), pytest.raises(NotReadyToPublish) as caught:
        publish(row)
    assert caught.value.offences == ("definition_missing",)
