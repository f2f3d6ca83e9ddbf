"""Articles in every status, a collection and the glossary."""

from __future__ import annotations

from functools import partial

from content.models import (
    ContentItem,
    ContentItemTag,
    ContentItemTopic,
    ContentMedia,
    ContentRevision,
    CuratedCollection,
    CuratedItem,
    GlossaryTerm,
    GlossaryTermLink,
    GlossaryTermSynonym,
    MediaAsset,
    Tag,
)
from content.services import archive, publish, submit_for_review
from ebalance.actor import acting_as

from .article_texts import ARTICLES, Article
from .world import World

# Parts of a text that is ready for publication, see content/checklist.py.
DISCLAIMER = "Важно: этот материал не заменяет консультацию специалиста."
CALL_TO_ACTION = "[Записаться на консультацию](/booking)"
TERMS = [
    (
        "kpt",
        "Когнитивно-поведенческая терапия",
        "approach",
        "КПТ",
        "Направление психотерапии, которое работает с мыслями и привычками.",
    ),
    (
        "vygoranie",
        "Выгорание",
        "state",
        "Эмоциональное истощение",
        "Состояние, при котором отдых перестаёт возвращать силы.",
    ),
    (
        "lichnye-granicy",
        "Личные границы",
        "concept",
        "Границы",
        "Представление человека о том, что с ним можно делать, а что нельзя.",
    ),
]


def plan(world: World) -> None:
    items: dict[str, ContentItem] = {}
    for article in ARTICLES:
        world.at(world.day(-article.days, 11, 30), partial(write, world, items, article))
    world.at(world.day(-8, 16), partial(add_collection, world, items))
    world.at(world.day(-7, 12), partial(add_glossary, world, items))


def write(world: World, items: dict[str, ContentItem], article: Article) -> None:
    with acting_as(world.owner):
        item = ContentItem.objects.create(
            content_type="article",
            slug=article.slug,
            title=article.title,
            excerpt=article.excerpt,
            body_markdown=complete(article),
            author=world.owner,
            time_to_benefit=article.benefit,
            format="article",
            support_level="self_help",
        )
        ContentItemTopic.objects.create(content_item=item, topic_id=article.topic)
        ContentRevision.objects.create(
            content_item=item,
            revision=1,
            title=article.title,
            body_markdown=item.body_markdown,
            changed_by=world.owner,
        )
    items[article.slug] = world.stamp(item)
    world.pass_time(hours=3)
    if article.status == "review":
        submit_for_review(item, actor=world.owner)
    elif article.status != "draft":
        publish(item, actor=world.owner, clock=world.clock)
    if article.status == "archived":
        archive(item, actor=world.owner)


def complete(article: Article) -> str:
    """The text with what every article has: other articles to read, booking, the disclaimer."""
    others = [other for other in ARTICLES if other.slug != article.slug][:4]
    linked = "\n".join(f"- [{other.title}](/articles/{other.slug})" for other in others)
    return (
        f"# {article.title}\n\n{article.body}\n\n## Читайте также\n\n{linked}\n\n"
        f"{CALL_TO_ACTION}\n\n> {DISCLAIMER}\n"
    )


def add_collection(world: World, items: dict[str, ContentItem]) -> None:
    with acting_as(world.owner):
        tag = Tag.objects.create(slug="samopomoshch", title="Самопомощь")
        cover = MediaAsset.objects.create(
            object_key="demo/cover.webp",
            public_url="/media/demo/cover.webp",
            media_type="image",
            mime_type="image/webp",
            size_bytes=48_000,
            alt_text="Рассвет над озером",
            uploaded_by=world.owner,
        )
        collection = CuratedCollection.objects.create(
            slug="esli-trevozhno",
            title="Если тревожно",
            collection_type="problem",
            topic_id="anxiety",
        )
        shown = [items[article.slug] for article in ARTICLES if article.status == "published"]
        for item in shown:
            ContentItemTag.objects.create(content_item=item, tag=tag)
        ContentMedia.objects.create(content_item=shown[0], media_asset=cover, usage="cover")
        for position, item in enumerate(shown[:3]):
            CuratedItem.objects.create(
                collection=collection, item_type="content", content_item=item, position=position
            )
    publish(collection, actor=world.owner, clock=world.clock)
    world.stamp(cover)


def add_glossary(world: World, items: dict[str, ContentItem]) -> None:
    first = next(iter(items.values()))
    for slug, title, category, synonym, definition in TERMS:
        with acting_as(world.owner):
            term = GlossaryTerm.objects.create(
                slug=slug,
                title=title,
                category=category,
                short_definition=definition,
                body_markdown=f"# {title}\n\n{definition}\n",
            )
            GlossaryTermSynonym.objects.create(term=term, synonym=synonym)
            GlossaryTermLink.objects.create(term=term, content_item=first, link_type="recommended")
        publish(term, actor=world.owner, clock=world.clock)
