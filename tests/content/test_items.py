"""Items with their revisions, topics, tags and files."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from content.models import ContentItem, ContentMedia
from tests.factories import (
    ContentItemFactory,
    ContentItemTagFactory,
    ContentItemTopicFactory,
    ContentMediaFactory,
    ContentRevisionFactory,
    CuratedCollectionFactory,
    GlossaryTermFactory,
    MediaAssetFactory,
    TagFactory,
    UserFactory,
)
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    Change,
    range_cases,
)
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
)
from tests.support import (
    Case,
    execute,
    refuses,
)

pytestmark = pytest.mark.django_db

# -- addresses and publication --------------------------------------------------------------------

SLUG_TAKEN = "content_items_slug_unique_per_type"


@case_groups(
    Case("same kind", ContentItemFactory, {"slug": lambda: ContentItemFactory().slug}, SLUG_TAKEN),
    Case(
        "of an archived item",
        ContentItemFactory,
        {"slug": lambda: ContentItemFactory(archived=True).slug},
        SLUG_TAKEN,
    ),
    Case(
        "another kind",
        ContentItemFactory,
        {"slug": lambda: ContentItemFactory().slug, "content_type": "page"},
    ),
    Case("tag", TagFactory, {"slug": lambda: TagFactory().slug}, "tags_slug_unique"),
    Case("tag of the same title", TagFactory, {"title": lambda: TagFactory().title}),
    Case(
        "collection",
        CuratedCollectionFactory,
        {"slug": lambda: CuratedCollectionFactory().slug, "collection_type": "goal"},
        "curated_collections_slug_unique",
    ),
    Case(
        "term",
        GlossaryTermFactory,
        {"slug": lambda: GlossaryTermFactory().slug, "category": "state"},
        "glossary_terms_slug_unique",
    ),
)
def test_an_address_leads_to_one_page(group: CaseGroup) -> None:
    check_case_group(group)


@change_groups(
    Change("kind", ContentItemFactory, {"slug": "taken"}, {"content_type": "page"}, SLUG_TAKEN),
    Change("slug", ContentItemFactory, {"content_type": "page"}, {"slug": "taken"}, SLUG_TAKEN),
    Change("both free", ContentItemFactory, {}, {"content_type": "note", "slug": "taken"}),
    write_paths=ALL_WRITE_PATHS,
)
def test_an_item_does_not_move_to_an_address_in_use(group: ChangeGroup) -> None:
    ContentItemFactory(content_type="page", slug="taken")
    check_change_group(group)


PUBLISHABLE = [
    (ContentItemFactory, "content_items", ["draft", "review", "archived"]),
    (CuratedCollectionFactory, "curated_collections", ["draft", "archived"]),
    (GlossaryTermFactory, "glossary_terms", ["draft", "archived"]),
]


@case_groups(
    *[
        Case(
            table,
            factory,
            {"published": True, "published_at": None},
            f"{table}_published_has_date",
        )
        for factory, table, _ in PUBLISHABLE
    ],
    *[
        Case(
            f"{table} {status} {date and 'dated'}",
            factory,
            {"status": status, "published_at": date},
        )
        for factory, table, others in PUBLISHABLE
        for status, dates in [
            ("published", [timezone.now]),
            *[(o, [None, timezone.now]) for o in others],
        ]
        for date in dates
    ],
)
def test_published_row_has_a_date(group: CaseGroup) -> None:
    check_case_group(group)


@change_groups(
    *[
        Change(f"{table}: {name}", factory, row, to, f"{table}_published_has_date")
        for factory, table, _ in PUBLISHABLE
        for name, row, to in [
            ("published without one", {}, {"status": "published"}),
            ("its date goes", {"published": True}, {"published_at": None}),
        ]
    ],
    *[
        Change(f"{table}: withdrawn without one", factory, {"published": True}, to)
        for factory, table, _ in PUBLISHABLE
        for to in [{"status": "draft", "published_at": None}]
    ],
    write_paths=ALL_WRITE_PATHS,
)
def test_published_row_keeps_its_date(group: ChangeGroup) -> None:
    check_change_group(group)


# -- revisions ------------------------------------------------------------------------------------

ONCE = "content_revisions_once_per_item"
META = "content_revisions_meta_is_object"


def metas(rule: str | None, *values: Any) -> list[Case]:
    return [Case(repr(value), ContentRevisionFactory, {"meta": value}, rule) for value in values]


@case_groups(
    *range_cases(ContentRevisionFactory, "revision", 1),
    *metas(None, None, {}, {"seo_title": "Тревога", "tags": ["son"]}),
    *metas(META, ["seo_title"], "seo_title", 7, True, False, 0),
    Case(
        "same number",
        ContentRevisionFactory,
        {"content_item": lambda: ContentRevisionFactory(revision=7).content_item, "revision": 7},
        ONCE,
    ),
    Case(
        "next number",
        ContentRevisionFactory,
        {"content_item": lambda: ContentRevisionFactory(revision=7).content_item, "revision": 8},
    ),
    Case(
        "same number of another item",
        ContentRevisionFactory,
        {"revision": lambda: ContentRevisionFactory().revision},
    ),
)
def test_a_revision_has_a_number_and_an_object(group: CaseGroup) -> None:
    check_case_group(group)


def test_a_json_null_is_no_object() -> None:
    item, editor = ContentItemFactory(), UserFactory()
    statement = (
        "INSERT INTO content_revisions (content_item_id, revision, title, body_markdown, meta, "
        "changed_by_user_id) VALUES (%s, 1, 'Тревога', '', %s::jsonb, %s)"
    )
    for json in ["null", "[]", '""']:
        with refuses(META, "content_revisions"):
            execute(statement, [item.pk, json, editor.pk])
    execute(statement, [item.pk, None, editor.pk])


# -- topics, tags, files --------------------------------------------------------------------------


@case_groups(
    Case(
        "topic twice",
        ContentItemTopicFactory,
        {"content_item": lambda: ContentItemTopicFactory().content_item},
        "content_item_topics_once",
    ),
    Case(
        "second topic",
        ContentItemTopicFactory,
        {"content_item": lambda: ContentItemTopicFactory().content_item, "topic_id": "burnout"},
    ),
    Case(
        "topic of another item",
        ContentItemTopicFactory,
        {"topic": lambda: ContentItemTopicFactory().topic},
    ),
    Case(
        "tag twice",
        ContentItemTagFactory,
        {
            "content_item": lambda: ContentItemTagFactory().content_item,
            "tag": lambda: ContentItem.objects.get().tags.get(),
        },
        "content_item_tags_once",
    ),
    Case(
        "second tag",
        ContentItemTagFactory,
        {"content_item": lambda: ContentItemTagFactory().content_item},
    ),
    Case(
        "tag of another item", ContentItemTagFactory, {"tag": lambda: ContentItemTagFactory().tag}
    ),
)
def test_item_has_each_topic_and_tag_once(group: CaseGroup) -> None:
    check_case_group(group)


TWO_COVERS, FILE_ONCE = "content_media_one_cover", "content_media_once"


def file_of(**used: Any) -> dict[str, Any]:
    """The item and the file of an existing use."""
    return {
        "content_item": lambda: ContentMediaFactory(**used).content_item,
        "media_asset": lambda: ContentMedia.objects.get().media_asset,
    }


@case_groups(
    *[
        Case(
            f"{usage} twice",
            ContentMediaFactory,
            {**file_of(usage=usage), "usage": usage},
            FILE_ONCE,
        )
        for usage in ["inline", "attachment", "audio"]
    ],
    *[
        Case(f"cover also {usage}", ContentMediaFactory, {**file_of(), "usage": usage})
        for usage in ["inline", "attachment", "audio"]
    ],
    Case(
        "second cover",
        ContentMediaFactory,
        {**file_of(), "media_asset": MediaAssetFactory},
        TWO_COVERS,
    ),
    Case(
        "cover of another item",
        ContentMediaFactory,
        {"media_asset": lambda: ContentMediaFactory().media_asset},
    ),
    Case(
        "second file in the text",
        ContentMediaFactory,
        {**file_of(usage="inline"), "media_asset": MediaAssetFactory, "usage": "inline"},
    ),
)
def test_file_has_each_usage_once_and_item_has_one_cover(group: CaseGroup) -> None:
    check_case_group(group)


@change_groups(
    Change(
        "the same file",
        ContentMediaFactory,
        {**file_of(usage="inline"), "usage": "attachment"},
        {"usage": "inline"},
        FILE_ONCE,
    ),
    Change(
        "a second cover",
        ContentMediaFactory,
        {"content_item": lambda: ContentMediaFactory().content_item, "usage": "inline"},
        {"usage": "cover"},
        TWO_COVERS,
    ),
    Change(
        "to an item with a cover",
        ContentMediaFactory,
        {},
        {"content_item_id": lambda _: ContentMediaFactory().content_item_id},
        TWO_COVERS,
    ),
    Change("the only cover", ContentMediaFactory, {"usage": "inline"}, {"usage": "cover"}),
    write_paths=ALL_WRITE_PATHS,
)
def test_a_use_changes_by_the_same_rules(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    Change(
        "topic",
        ContentItemTopicFactory,
        {"content_item": lambda: ContentItemTopicFactory().content_item, "topic_id": "burnout"},
        {"topic_code": "anxiety"},
        "content_item_topics_once",
    ),
    Change(
        "tag",
        ContentItemTagFactory,
        {"content_item": lambda: ContentItemTagFactory().content_item},
        {
            "tag_id": lambda row: (
                ContentItem.objects.get()
                .tags.exclude(pk=row.tag_id)
                .values_list("pk", flat=True)
                .get()
            )
        },
        "content_item_tags_once",
    ),
)
def test_topic_and_tag_do_not_change_into_existing_ones(group: ChangeGroup) -> None:
    check_change_group(group)
