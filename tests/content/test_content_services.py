"""Services of content items: revisions, review, publication."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.utils import translation

from audit.models import OutboxEvent
from content import services
from content.checklist import DISCLAIMER
from content.errors import WANTED, NotReadyToPublish
from content.models import ContentItem, ContentRevision
from content.services import (
    archive,
    publish,
    restore,
    rollback,
    save_revision,
    submit_for_review,
    unpublish,
)
from content.services.revisions import META, REVISED, TEXT
from crm.models import AnalyticsEvent, LeadTimelineEvent
from ebalance.services import InvalidInput, NotFound, NotPermitted, RuleBroken, TransitionRefused
from identity.models import User
from tests.booking.outbox_assertions import writes_nothing
from tests.content.texts import LINKS, ready
from tests.factories import ContentItemFactory, ContentRevisionFactory, UserFactory
from tests.rule_groups import loop_over
from tests.services import events
from tests.support import execute, update_sql

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def noon() -> datetime:
    return NOON


def an_hour_later() -> datetime:
    return NOON + timedelta(hours=1)


@pytest.fixture
def editor() -> User:
    return UserFactory(role="editor")


def text(row: ContentItem | ContentRevision) -> dict[str, Any]:
    if isinstance(row, ContentItem):
        return {name: getattr(row, name) for name in REVISED}
    return {name: getattr(row, name) for name in TEXT} | row.meta


# -- revisions ----------------------------------------------------------------------------------


def test_saved_text_is_stored_in_the_item_and_a_revision(editor: User) -> None:
    item = ContentItemFactory(title="Было")
    revision = save_revision(item, actor=editor, title="Стало", seo_title="Для поиска")
    assert (item.title, item.seo_title) == ("Стало", "Для поиска")
    stored = ContentItem.objects.get(pk=item.pk)
    assert text(stored) == text(item) == text(revision)
    assert set(revision.meta) == set(META)
    assert revision.changed_by == editor


def test_first_revision_keeps_the_text_of_the_author(editor: User) -> None:
    item = ContentItemFactory(title="Было")
    before = text(item)
    save_revision(item, actor=editor, title="Стало")
    first, second = item.revisions.order_by("revision")
    assert (first.revision, text(first), first.changed_by) == (1, before, item.author)
    assert (second.revision, second.title, second.changed_by) == (2, "Стало", editor)
    assert events(item) == ["content_revised", "content_revised"]


def test_text_written_without_the_service_gets_its_own_revision(editor: User) -> None:
    item = ContentItemFactory()
    save_revision(item, actor=editor, title="Первое")
    update_sql(item, title="Мимо сервиса")
    save_revision(item, actor=editor, title="Второе")
    titles = item.revisions.order_by("revision").values_list("title", flat=True)
    assert list(titles)[1:] == ["Первое", "Мимо сервиса", "Второе"]


def test_unchanged_text_makes_no_revision(editor: User) -> None:
    item = ContentItemFactory()
    revision = save_revision(item, actor=editor, title="Стало")
    with writes_nothing():
        assert save_revision(item, actor=editor, title="Стало") == revision
        assert save_revision(item, actor=editor) == revision
        assert save_revision(ContentItem.objects.get(pk=item.pk), actor=editor) == revision


def test_omitted_field_stays_and_emptied_field_becomes_null(editor: User) -> None:
    item = ContentItemFactory(excerpt="Кратко", seo_title="Для поиска")
    save_revision(item, actor=editor, seo_title=" ", excerpt=None, format="")
    item.refresh_from_db()
    assert (item.seo_title, item.excerpt, item.format) == (None, None, None)
    assert item.body_markdown == ContentItemFactory.build().body_markdown


def test_a_stale_copy_does_not_undo_a_colleagues_change(editor: User) -> None:
    item = ContentItemFactory(title="Было", excerpt="Было")
    stale = ContentItem.objects.get(pk=item.pk)
    save_revision(item, actor=editor, title="Стало")
    save_revision(stale, actor=editor, excerpt="Стало")
    assert (stale.title, stale.excerpt) == ("Стало", "Стало")


@loop_over(
    "changes",
    [
        {"status": "published"},
        {"slug": "drugoj"},
        {"author": None},
        {"no_such": "a"},
        {"title": None},
        {"title": ""},
        {"title": 5},
        {"body_markdown": None},
        {"format": "video"},
        {"title": "а\0б"},
        {"body_markdown": "а\ud800б"},
        {"seo_title": ["a"]},
    ],
    ids=str,
)
def test_bad_values_are_refused_and_nothing_is_written(
    editor: User, changes: dict[str, Any]
) -> None:
    item = ContentItemFactory()
    with writes_nothing(), pytest.raises(InvalidInput) as caught:
        save_revision(item, actor=editor, **{"excerpt": "Новое", **changes})
    assert caught.value.details["field"] == next(iter(changes))


def test_broken_rule_of_the_database_is_a_refusal(editor: User) -> None:
    item = ContentItemFactory()
    with writes_nothing(), pytest.raises(RuleBroken) as caught:
        save_revision(item, actor=editor, title="\u200b")
    assert caught.value.details["rule"] == "content_items_title_not_blank"


@loop_over(
    ("column", "limit"),
    [
        ("title", 200),
        ("excerpt", 2_000),
        ("body_markdown", 200_000),
        ("seo_title", 200),
        ("seo_description", 2_000),
        ("seo_keywords", 2_000),
        ("canonical_url", 2_000),
    ],
)
def test_text_too_long_is_refused_by_the_name_of_its_rule(
    editor: User, column: str, limit: int
) -> None:
    item, start = ContentItemFactory(), "/" if column == "canonical_url" else "я"
    with writes_nothing(), pytest.raises(RuleBroken) as caught:
        save_revision(item, actor=editor, **{column: start + "я" * limit})
    assert caught.value.details["rule"] == f"content_items_{column}_has_length"
    assert str(limit) in caught.value.sentence
    save_revision(item, actor=editor, **{column: start + "я" * (limit - 1)})


@loop_over("url", ["javascript:alert(1)", "//evil.ru", "http://a.ru", "https://a@b.ru", "a\\b"])
def test_address_of_another_form_is_refused_by_the_name_of_its_rule(editor: User, url: str) -> None:
    item = ContentItemFactory()
    with writes_nothing(), pytest.raises(RuleBroken) as caught:
        save_revision(item, actor=editor, canonical_url=url)
    assert caught.value.details["rule"] == "content_items_canonical_url_is_address"


def test_revision_needs_an_actor() -> None:
    item = ContentItemFactory()
    with writes_nothing():
        with pytest.raises(InvalidInput):
            save_revision(item, actor=None, title="Стало")
        with pytest.raises(InvalidInput):
            rollback(item, revision=1, actor=None)


# -- rollback -----------------------------------------------------------------------------------


def test_rollback_restores_every_column_as_a_new_revision(editor: User) -> None:
    item = ContentItemFactory(seo_keywords="сон", canonical_url=None)
    first = text(item)
    changed = {name: f"новое {name}" for name in ("title", "excerpt", "body_markdown")}
    changed |= {"format": "audio", "support_level": None, "canonical_url": "/a", "seo_keywords": ""}
    save_revision(item, actor=editor, **changed)
    assert text(item) != first
    restored = rollback(item, revision=1, actor=editor)
    assert (restored.revision, text(restored)) == (3, first)
    assert text(item) == text(ContentItem.objects.get(pk=item.pk)) == first
    assert text(item.revisions.get(revision=2))["title"] == "новое title"
    payload = OutboxEvent.objects.filter(aggregate_id=item.pk).order_by("pk").last().payload
    assert payload == {"content_type": "article", "revision": 3, "restored_revision": 1}


def test_rollback_accepts_a_row_and_is_idempotent(editor: User) -> None:
    item = ContentItemFactory(title="Было")
    save_revision(item, actor=editor, title="Стало")
    first = item.revisions.get(revision=1)
    restored = rollback(item, revision=first, actor=editor)
    with writes_nothing():
        assert rollback(item, revision=first, actor=editor) == restored
        assert rollback(item, revision=restored, actor=editor) == restored
        assert rollback(item, revision=str(first.pk), actor=editor) == restored


def test_rollback_keeps_the_slug(editor: User) -> None:
    item = ContentItemFactory(title="Было")
    save_revision(item, actor=editor, title="Стало")
    item.slug = "novyj-adres"
    item.save()
    rollback(item, revision=1, actor=editor)
    assert (item.title, item.slug) == ("Было", "novyj-adres")


def test_rollback_refuses_foreign_and_unknown_revisions(editor: User) -> None:
    item, foreign = ContentItemFactory(), ContentRevisionFactory(revision=1)
    save_revision(item, actor=editor, title="Стало")
    unknown = (7, 0, -1, 2**70, foreign, foreign.pk, ContentRevisionFactory.build(), item)
    for revision in (*unknown, uuid4(), None, True, "nonsense", 1.5, []):
        with writes_nothing(), pytest.raises(NotFound):
            rollback(item, revision=revision, actor=editor)


def test_revision_of_another_source_may_have_fewer_columns(editor: User) -> None:
    item = ContentItemFactory(seo_title="Сейчас", format="audio")
    meta = {"format": None, "seo_title": 5, "slug": "ukradennyj", "other": {"a": 1}}
    ContentRevisionFactory(content_item=item, revision=1, title="Давно", meta=meta)
    rollback(item, revision=1, actor=editor)
    assert (item.title, item.format, item.seo_title) == ("Давно", None, "Сейчас")
    assert item.slug != "ukradennyj"


# -- publication --------------------------------------------------------------------------------

# The moves of states.md, by service: the target status and the statuses it starts from.
MOVES: dict[str, tuple[str, set[str]]] = {
    "submit_for_review": ("review", {"draft"}),
    "return_to_draft": ("draft", {"review"}),
    "publish": ("published", {"draft", "review"}),
    "unpublish": ("draft", {"published"}),
    "archive": ("archived", {"published"}),
    "restore": ("draft", {"archived"}),
}
EVENTS = {
    "submit_for_review": "content_submitted",
    "return_to_draft": "content_returned",
    "publish": "content_published",
    "unpublish": "content_unpublished",
    "archive": "content_archived",
    "restore": "content_restored",
}
STATES = ("draft", "review", "published", "archived")


def item_in(status: str) -> ContentItem:
    traits = {} if status == "draft" else {status: True}
    return ContentItemFactory(body_markdown=ready(), **traits)


@pytest.mark.parametrize("status", STATES)
@loop_over("service", MOVES)
def test_service_makes_the_moves_of_the_specification(
    editor: User, service: str, status: str
) -> None:
    item = item_in(status)
    target, sources = MOVES[service]
    move = partial(getattr(services, service), item)
    if status in sources:
        move(actor=editor)
        assert item.status == ContentItem.objects.get(pk=item.pk).status == target
        assert events(item) == [EVENTS[service]]
        with writes_nothing():
            move(actor=editor)
    elif status == target:
        with writes_nothing():
            move(actor=editor)
    else:
        with writes_nothing(), pytest.raises(TransitionRefused) as caught:
            move(actor=editor)
        wanted = {"entity": "content_items", "id": str(item.pk), "status": status, "wanted": target}
        assert caught.value.details == wanted


def test_service_decides_on_the_stored_row(editor: User) -> None:
    item = item_in("draft")
    stale = ContentItem.objects.get(pk=item.pk)
    publish(item, actor=editor)
    archive(item, actor=editor)
    with writes_nothing(), pytest.raises(TransitionRefused):
        publish(stale, actor=editor)
    with writes_nothing(), pytest.raises(TransitionRefused):
        submit_for_review(stale, actor=editor)


@loop_over("service", MOVES)
def test_service_refuses_a_missing_row(service: str) -> None:
    with writes_nothing(), pytest.raises(NotFound):
        getattr(services, service)(ContentItem(pk=uuid4()))


@pytest.mark.parametrize("service", [*MOVES, "save_revision", "rollback"])
@loop_over("role", ["assistant", "client", None])
def test_only_owner_and_editor_write(service: str, role: str | None) -> None:
    item = item_in(min(MOVES.get(service, ("", {"draft"}))[1]))
    actor = UserFactory(role=role) if role else UserFactory()
    arguments = {"rollback": {"revision": 1}}.get(service, {})
    with writes_nothing(), pytest.raises(NotPermitted):
        getattr(services, service)(item, **arguments, actor=actor)


def test_blocked_editor_writes_nothing() -> None:
    item, actor = item_in("draft"), UserFactory(role="editor")
    actor.status = "blocked"
    with writes_nothing(), pytest.raises(NotPermitted):
        publish(item, actor=actor)


@pytest.mark.parametrize("role", ["owner", "editor", None])
def test_owner_editor_and_system_publish(role: str | None) -> None:
    item = item_in("draft")
    actor = UserFactory(role=role) if role else None
    publish(item, actor=actor, clock=noon)
    assert (item.status, item.published_at) == ("published", NOON)
    event = AnalyticsEvent.objects.get()
    assert event.tracking_event_id == "admin_content_published"
    assert event.source == ("admin" if role else "backend")
    assert event.properties == {
        "content_type": "article",
        "content_id": str(item.pk),
        "qa_checklist_version": "1.0",
    }
    assert event.user_id is None
    assert not LeadTimelineEvent.objects.exists()


def test_publishing_again_writes_no_second_event(editor: User) -> None:
    item = item_in("draft")
    publish(item, actor=editor)
    with writes_nothing():
        publish(item, actor=editor)
        publish(ContentItem.objects.get(pk=item.pk), actor=editor)


def test_first_publication_sets_the_date(editor: User) -> None:
    item = item_in("draft")
    publish(item, actor=editor, clock=noon)
    for take_back in (unpublish, archive):
        take_back(item, actor=editor)
        if item.status == "archived":
            restore(item, actor=editor)
        assert item.published_at == NOON
        publish(item, actor=editor, clock=an_hour_later)
        assert item.published_at == NOON


# -- the checklist before publication -----------------------------------------------------------


def test_refusal_names_the_missing_parts(editor: User) -> None:
    item = ContentItemFactory(body_markdown="![](/media/a.webp)")
    assert item.publication_offences() == [
        "disclaimer_missing",
        "cta_missing",
        "internal_links_too_few",
        "alt_text_missing",
    ]
    with writes_nothing(), pytest.raises(NotReadyToPublish) as caught:
        publish(item, actor=editor)
    assert caught.value.offences == tuple(item.publication_offences())
    assert caught.value.details["id"] == str(item.pk)
    assert item.status == "draft"
    with translation.override("en"):
        for code in caught.value.offences:
            assert str(WANTED[code]) in caught.value.sentence


@loop_over("kind", ContentItem.Type.values)
def test_checklist_is_the_same_for_every_kind(kind: str) -> None:
    assert ContentItemFactory(content_type=kind, body_markdown=ready()).publication_offences() == []
    short = ContentItemFactory(content_type=kind, body_markdown=ready(links=LINKS[:1]))
    assert short.publication_offences() == ["internal_links_too_few"]


def test_link_to_the_item_itself_is_no_internal_link() -> None:
    body = ready(links=[*LINKS[:1], "[сам](/articles/ya-sam)"])
    item = ContentItemFactory(slug="ya-sam", body_markdown=body)
    assert item.publication_offences() == ["internal_links_too_few"]
    item = ContentItemFactory(slug="drugoj", body_markdown=body)
    assert item.publication_offences() == []


def test_published_text_keeps_the_checklist(editor: User) -> None:
    item = item_in("draft")
    publish(item, actor=editor)
    without = item.body_markdown.replace(DISCLAIMER, "Берегите себя.")
    with writes_nothing(), pytest.raises(NotReadyToPublish) as caught:
        save_revision(item, actor=editor, body_markdown=without)
    assert caught.value.offences == ("disclaimer_missing",)
    save_revision(item, actor=editor, body_markdown=item.body_markdown + "\nЕщё слово.\n")
    unpublish(item, actor=editor)
    save_revision(item, actor=editor, body_markdown=without)
    with pytest.raises(NotReadyToPublish):
        publish(item, actor=editor)


def test_rollback_of_a_published_item_keeps_the_checklist(editor: User) -> None:
    item = ContentItemFactory(body_markdown="Набросок")
    save_revision(item, actor=editor, body_markdown=ready())
    publish(item, actor=editor)
    with writes_nothing(), pytest.raises(NotReadyToPublish):
        rollback(item, revision=1, actor=editor)


def test_item_published_without_the_checklist_can_be_corrected(editor: User) -> None:
    item = ContentItemFactory(published=True, body_markdown="Опечатко")
    save_revision(item, actor=editor, body_markdown="Опечатка")
    assert item.body_markdown == "Опечатка"


def test_events_are_p0(editor: User) -> None:
    item = ContentItemFactory(
        title="Секретное название", slug="slovo-79991234567", body_markdown=ready()
    )
    save_revision(item, actor=editor, title="Секретное название 2")
    for service in ("submit_for_review", "publish", "archive", "restore"):
        getattr(services, service)(item, actor=editor)
    stored = str(execute("SELECT payload FROM outbox_events"))
    assert "Секретное" not in stored
    assert item.slug not in stored
