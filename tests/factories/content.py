"""Topics, media, articles, collections, the glossary."""

from __future__ import annotations

import factory

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
    Topic,
)

from .base import EntityFactory, now
from .identity import UserFactory

BODY = "# Как пережить тревожный вечер\n\nСначала замечаем дыхание.\n"


class TopicFactory(EntityFactory):
    """A separate topic; the seeded ones are used by key (``topic_id="anxiety"``)."""

    code = factory.Sequence(lambda n: f"topic_{n}")
    title = factory.Sequence(lambda n: f"Тема {n}")

    class Meta:
        model = Topic


class TagFactory(EntityFactory):
    slug = factory.Sequence(lambda n: f"samopomoshch-{n}")
    title = factory.Sequence(lambda n: f"Самопомощь {n}")

    class Meta:
        model = Tag


class MediaAssetFactory(EntityFactory):
    object_key = factory.Sequence(lambda n: f"2026/01/rassvet-{n}.webp")
    public_url = factory.LazyAttribute(lambda o: f"/media/{o.object_key}")
    media_type = "image"
    mime_type = "image/webp"
    size_bytes = 48_000
    title = "Рассвет"
    alt_text = "Рассвет над озером"
    uploaded_by = factory.SubFactory(UserFactory)

    class Meta:
        model = MediaAsset

    class Params:
        audio = factory.Trait(
            media_type="audio",
            mime_type="audio/mpeg",
            alt_text=None,
            object_key=factory.Sequence(lambda n: f"2026/01/dyhanie-{n}.mp3"),
        )
        pdf = factory.Trait(
            media_type="pdf",
            mime_type="application/pdf",
            alt_text=None,
            object_key=factory.Sequence(lambda n: f"2026/01/pamyatka-{n}.pdf"),
        )
        decorative = factory.Trait(alt_text=None, is_decorative=True)


class ContentItemFactory(EntityFactory):
    content_type = "article"
    slug = factory.Sequence(lambda n: f"trevozhnyj-vecher-{n}")
    title = factory.Sequence(lambda n: f"Как пережить тревожный вечер {n}")
    excerpt = "Несколько шагов, которые возвращают опору."
    body_markdown = BODY
    author = factory.SubFactory(UserFactory)
    time_to_benefit = "7_10_min"
    format = "article"
    support_level = "self_help"

    class Meta:
        model = ContentItem

    class Params:
        review = factory.Trait(status="review")
        published = factory.Trait(status="published", published_at=now())
        archived = factory.Trait(status="archived", published_at=now())


class ContentRevisionFactory(EntityFactory):
    content_item = factory.SubFactory(ContentItemFactory)
    revision = factory.Sequence(lambda n: n + 1)
    title = "Как пережить тревожный вечер"
    body_markdown = BODY
    changed_by = factory.SubFactory(UserFactory)

    class Meta:
        model = ContentRevision


class ContentItemTopicFactory(EntityFactory):
    content_item = factory.SubFactory(ContentItemFactory)
    topic_id = "anxiety"

    class Meta:
        model = ContentItemTopic


class ContentItemTagFactory(EntityFactory):
    content_item = factory.SubFactory(ContentItemFactory)
    tag = factory.SubFactory(TagFactory)

    class Meta:
        model = ContentItemTag


class ContentMediaFactory(EntityFactory):
    content_item = factory.SubFactory(ContentItemFactory)
    media_asset = factory.SubFactory(MediaAssetFactory)
    usage = "cover"

    class Meta:
        model = ContentMedia


class CuratedCollectionFactory(EntityFactory):
    slug = factory.Sequence(lambda n: f"esli-trevozhno-{n}")
    title = factory.Sequence(lambda n: f"Если тревожно {n}")
    collection_type = "problem"
    topic_id = "anxiety"

    class Meta:
        model = CuratedCollection

    class Params:
        published = factory.Trait(status="published", published_at=now())
        archived = factory.Trait(status="archived", published_at=now())


class CuratedItemFactory(EntityFactory):
    collection = factory.SubFactory(CuratedCollectionFactory)
    item_type = "content"
    content_item = factory.SubFactory(ContentItemFactory)
    position = factory.Sequence(lambda n: n)
    note = "С этого удобно начать"

    class Meta:
        model = CuratedItem

    class Params:
        interactive = factory.Trait(
            item_type="interactive",
            content_item=None,
            interactive_definition=factory.SubFactory(
                "tests.factories.interactive.InteractiveDefinitionFactory"
            ),
        )


class GlossaryTermFactory(EntityFactory):
    slug = factory.Sequence(lambda n: f"lichnye-granicy-{n}")
    title = factory.Sequence(lambda n: f"Личные границы {n}")
    category = "concept"
    short_definition = "Граница между своим и чужим."
    body_markdown = "# Личные границы\n\nГде заканчиваюсь я и начинается другой.\n"

    class Meta:
        model = GlossaryTerm

    class Params:
        published = factory.Trait(status="published", published_at=now())
        archived = factory.Trait(status="archived", published_at=now())


class GlossaryTermSynonymFactory(EntityFactory):
    term = factory.SubFactory(GlossaryTermFactory)
    synonym = factory.Sequence(lambda n: f"Границы {n}")

    class Meta:
        model = GlossaryTermSynonym


class GlossaryTermLinkFactory(EntityFactory):
    term = factory.SubFactory(GlossaryTermFactory)
    content_item = factory.SubFactory(ContentItemFactory)
    link_type = "recommended"

    class Meta:
        model = GlossaryTermLink
