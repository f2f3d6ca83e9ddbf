"""Curated collections: each item has one target; no target and no position occurs twice."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from content.models import CuratedItem
from tests.factories import (
    ContentItemFactory,
    CuratedCollectionFactory,
    CuratedItemFactory,
    InteractiveDefinitionFactory,
)
from tests.rule_cases import ALL_WRITE_PATHS, Change, range_cases
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
)
from tests.support import Case, execute, refuses

pytestmark = pytest.mark.django_db

TARGET, POSITION = "curated_items_exactly_one_target", "curated_items_position_unique"
CONTENT, INTERACTIVE = "curated_items_content_once", "curated_items_interactive_once"
NO_TARGET = {"content_item": None, "interactive_definition": None}
BOTH = {"content_item": ContentItemFactory, "interactive_definition": InteractiveDefinitionFactory}


@case_groups(
    Case("content", CuratedItemFactory),
    Case("interactive", CuratedItemFactory, {"interactive": True}),
    *[
        Case(f"{kind}: {name}", CuratedItemFactory, {"item_type": kind, **targets}, TARGET)
        for kind, others in [
            ("content", {**BOTH, "content_item": None}),
            ("interactive", {**BOTH, "interactive_definition": None}),
        ]
        for name, targets in [("none", NO_TARGET), ("both", BOTH), ("the other's", others)]
    ],
)
def test_item_has_one_target_of_its_kind(group: CaseGroup) -> None:
    check_case_group(group)


@change_groups(
    Change("kind", CuratedItemFactory, {}, {"item_type": "interactive"}, TARGET),
    Change("gone", CuratedItemFactory, {}, {"content_item_id": None}, TARGET),
    Change(
        "both",
        CuratedItemFactory,
        {},
        {"interactive_definition_id": lambda _: InteractiveDefinitionFactory().pk},
        TARGET,
    ),
    Change(
        "replaced",
        CuratedItemFactory,
        {},
        {
            "item_type": "interactive",
            "content_item_id": None,
            "interactive_definition_id": lambda _: InteractiveDefinitionFactory().pk,
        },
    ),
    write_paths=ALL_WRITE_PATHS,
)
def test_a_target_is_replaced_as_a_whole(group: ChangeGroup) -> None:
    check_change_group(group)


def beside(**placed: Any) -> dict[str, Any]:
    """Values for an item in the collection of an existing item."""
    return {"collection": lambda: CuratedItemFactory(position=0, **placed).collection}


SAME_CONTENT = {**beside(), "content_item": lambda: CuratedItem.objects.get().content_item}
SAME_INTERACTIVE = {
    **beside(interactive=True),
    "interactive": True,
    "interactive_definition": lambda: CuratedItem.objects.get().interactive_definition,
}


@case_groups(
    *range_cases(CuratedItemFactory, "position", 0),
    Case("same place", CuratedItemFactory, {**beside(), "position": 0}, POSITION),
    Case("next place", CuratedItemFactory, {**beside(), "position": 1}),
    Case("gap", CuratedItemFactory, {**beside(), "position": 100}),
    Case(
        "same place elsewhere",
        CuratedItemFactory,
        {**beside(), "collection": CuratedCollectionFactory, "position": 0},
    ),
    Case("content twice", CuratedItemFactory, {**SAME_CONTENT, "position": 1}, CONTENT),
    Case("interactive twice", CuratedItemFactory, {**SAME_INTERACTIVE, "position": 1}, INTERACTIVE),
    Case(
        "two interactives",
        CuratedItemFactory,
        {**beside(interactive=True), "interactive": True, "position": 1},
    ),
    Case(
        "content beside an interactive",
        CuratedItemFactory,
        {**beside(interactive=True), "position": 1},
    ),
    Case(
        "content elsewhere",
        CuratedItemFactory,
        {"content_item": lambda: CuratedItemFactory().content_item},
    ),
)
def test_position_and_target_appear_once(group: CaseGroup) -> None:
    check_case_group(group)


@change_groups(
    Change("place", CuratedItemFactory, {**beside(), "position": 1}, {"position": 0}, POSITION),
    Change("free place", CuratedItemFactory, {**beside(), "position": 1}, {"position": 2}),
    Change("below", CuratedItemFactory, {}, {"position": -1}, "curated_items_position_in_range"),
    Change(
        "content",
        CuratedItemFactory,
        {**beside(), "position": 1},
        {
            "content_item_id": lambda row: (
                CuratedItem.objects.exclude(pk=row.pk).values_list("content_item", flat=True).get()
            )
        },
        CONTENT,
    ),
    Change(
        "collection",
        CuratedItemFactory,
        {"position": 0},
        {"collection_id": lambda _: CuratedItemFactory(position=0).collection_id},
        POSITION,
    ),
    write_paths=ALL_WRITE_PATHS,
)
def test_item_changes_by_the_same_rules(group: ChangeGroup) -> None:
    check_change_group(group)


@pytest.fixture
def three() -> list[CuratedItem]:
    collection = CuratedCollectionFactory()
    return [CuratedItemFactory(collection=collection, position=n) for n in range(3)]


def test_reorder_works_with_plain_updates_in_a_transaction(three: list[CuratedItem]) -> None:
    with transaction.atomic():
        for item in three:
            CuratedItem.objects.filter(pk=item.pk).update(position=2 - item.position)
    connection.check_constraints()
    assert list(CuratedItem.objects.order_by("position")) == three[::-1]


def test_reorder_works_in_one_statement(three: list[CuratedItem]) -> None:
    execute("SET CONSTRAINTS curated_items_position_unique IMMEDIATE")
    execute("UPDATE curated_items SET position = (position + 1) %% 3", [])
    assert set(CuratedItem.objects.values_list("position", flat=True)) == {0, 1, 2}


def test_reorder_that_leaves_a_duplicate_position_is_refused(three: list[CuratedItem]) -> None:
    with refuses(POSITION, "curated_items"):
        for item in three[:2]:
            CuratedItem.objects.filter(pk=item.pk).update(position=1)


def test_savepoint_does_not_hide_a_duplicate_position(three: list[CuratedItem]) -> None:
    with refuses(POSITION, "curated_items"):
        with transaction.atomic():
            CuratedItem.objects.filter(pk=three[0].pk).update(position=1)
        execute("SET CONSTRAINTS ALL DEFERRED")


def test_duplicate_target_is_refused_immediately(three: list[CuratedItem]) -> None:
    """Only the rule of positions waits for the end of the transaction."""
    with refuses(CONTENT, "curated_items"):
        execute("SET CONSTRAINTS ALL DEFERRED")
        CuratedItem.objects.update(content_item=three[0].content_item)
