"""Topics, tags, media, articles and pages, curated collections, the glossary."""

from django.db import models
from django.db.models import Deferrable, F, Func, Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules, triggers
from ebalance.db.classification import p0
from ebalance.db.fields import ClosedSet, Entity, Ref, TextLine, created_at, updated_at
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.sets import PUBLICATION_MOVES, Members, PublicationStatus

MIB = 1024 * 1024


def published_has_date(table: str) -> rules.Check:
    return rules.required_when(
        f"{table}_published_has_date",
        "published_at",
        Q(status="published"),
        _("What is published has a publication date."),
    )


class Topic(models.Model):
    """A theme that content, services and leads are sorted by; loaded by the seeds."""

    code = TextLine(primary_key=True, db_comment=p0("code of the topic"))
    title = TextLine(db_comment=p0("title shown to people"))
    is_active = models.BooleanField(
        default=True, db_default=True, db_comment=p0("whether the topic is offered")
    )

    class Meta:
        db_table = "topics"
        db_table_comment = "Themes of the platform"
        verbose_name = _("topic")
        verbose_name_plural = _("topics")
        constraints = [rules.code("topics", "code"), rules.not_blank("topics", "title")]

    def __str__(self) -> str:
        return self.title


class Tag(Entity):
    """A free label on content, written by editors."""

    slug = TextLine(db_comment=p0("slug in addresses"))
    title = TextLine(db_comment=p0("title shown to people"))

    class Meta:
        db_table = "tags"
        db_table_comment = "Labels on content"
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        constraints = [
            rules.Unique("tags_slug_unique", fields=["slug"]),
            rules.slug("tags"),
            rules.not_blank("tags", "title"),
        ]

    def __str__(self) -> str:
        return self.title


class MediaAsset(Entity):
    """An uploaded file that content may show; the bytes lie in the storage."""

    StorageProvider = Members("StorageProvider", "local_fs")
    MediaType = Members("MediaType", "image audio pdf")

    storage_provider = ClosedSet(
        StorageProvider, default=StorageProvider.local_fs, db_comment=p0("where the bytes lie")
    )
    object_key = TextLine(db_comment=p0("relative path in the storage"))
    public_url = TextLine(db_comment=p0("address under which it is served"))
    media_type = ClosedSet(MediaType, db_comment=p0("kind of file"))
    mime_type = TextLine(db_comment=p0("MIME type, agrees with media_type"))
    size_bytes = models.BigIntegerField(db_comment=p0("size, bytes"))
    title = TextLine(null=True, blank=True, db_comment=p0("title for editors"))
    alt_text = TextLine(null=True, blank=True, db_comment=p0("text for those who do not see it"))
    is_decorative = models.BooleanField(
        default=False, db_default=False, db_comment=p0("an image that needs no alt text")
    )
    uploaded_by = Ref(
        "identity.User",
        db_column="uploaded_by_user_id",
        related_name="media_assets",
        db_comment=p0("who uploaded it"),
    )
    created_at = created_at()

    class Meta:
        db_table = "media_assets"
        db_table_comment = "Uploaded files"
        verbose_name = _("media file")
        verbose_name_plural = _("media files")
        constraints = [
            rules.Unique("media_assets_object_key_unique", fields=["object_key"]),
            rules.Check(
                "media_assets_object_key_is_relative",
                Q(object_key__regex=r"^[^/\s][^\s\\]*$")
                & ~Q(object_key__regex=r"(^|/)\.\.?(/|$)")
                & ~Q(object_key__contains="//"),
                _("A relative path without “..” and without a leading slash."),
                field="object_key",
            ),
            rules.not_blank("media_assets", "public_url"),
            rules.Check(
                "media_assets_mime_agrees",
                Q(media_type="image", mime_type__regex=r"^image/[a-z0-9.+-]+$")
                | Q(media_type="audio", mime_type__regex=r"^audio/[a-z0-9.+-]+$")
                | Q(media_type="pdf", mime_type="application/pdf"),
                _("The MIME type does not agree with the kind of file."),
                field="mime_type",
            ),
            rules.Check(
                "media_assets_size_within_limit",
                Q(size_bytes__gt=0)
                & (
                    Q(media_type="image", size_bytes__lte=10 * MIB)
                    | Q(media_type="audio", size_bytes__lte=50 * MIB)
                    | Q(media_type="pdf", size_bytes__lte=20 * MIB)
                ),
                _("At most 10 MiB for an image, 50 MiB for audio, 20 MiB for a PDF."),
                field="size_bytes",
            ),
            rules.Check(
                "media_assets_image_is_described",
                ~Q(media_type="image")
                | Q(is_decorative=True)
                | Q(alt_text__isnull=False, alt_text__regex=r"\S"),
                _("An image has an alt text or is marked as decorative."),
                field="alt_text",
            ),
            rules.finite("media_assets", "created_at"),
        ]
        indexes = [
            rules.Index("media_assets_by_uploader", "uploaded_by", serves="the delete check"),
            rules.Index("media_assets_newest", "-created_at", serves="admin: newest files first"),
        ]

    def __str__(self) -> str:
        return self.title or self.object_key


class ContentItem(Entity):
    """An article, note, resource, landing or page; written by editors, read by everyone."""

    Type = Members("Type", "article note resource landing page")
    Status = Members("Status", "draft review published archived")
    TimeToBenefit = Members("TimeToBenefit", "1_3_min 7_10_min 20_30_min series")
    Format = Members("Format", "article note resource audio checklist")
    SupportLevel = Members("SupportLevel", "self_help micro_support consultation")

    content_type = ClosedSet(Type, db_comment=p0("kind of content"))
    slug = TextLine(db_comment=p0("slug in addresses, unique per kind"))
    title = TextLine(db_comment=p0("title"))
    excerpt = models.TextField(null=True, blank=True, db_comment=p0("short summary"))
    body_markdown = models.TextField(db_comment=p0("text, Markdown"))
    status = ClosedSet(Status, default=Status.draft, db_comment=p0("editorial state, states.md"))
    published_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when published, UTC"))
    author = Ref(
        "identity.User",
        db_column="author_user_id",
        related_name="content_items",
        db_comment=p0("who wrote it"),
    )
    time_to_benefit = ClosedSet(
        TimeToBenefit, null=True, blank=True, db_comment=p0("time until it helps")
    )
    format = ClosedSet(Format, null=True, blank=True, db_comment=p0("form of the material"))
    support_level = ClosedSet(
        SupportLevel, null=True, blank=True, db_comment=p0("how much support it offers")
    )
    seo_title = TextLine(null=True, blank=True, db_comment=p0("title for search engines"))
    seo_description = TextLine(null=True, blank=True, db_comment=p0("text for search engines"))
    seo_keywords = TextLine(null=True, blank=True, db_comment=p0("keywords for search engines"))
    canonical_url = TextLine(null=True, blank=True, db_comment=p0("canonical address"))
    created_at = created_at()
    updated_at = updated_at()

    topics = models.ManyToManyField(Topic, through="ContentItemTopic", related_name="content_items")
    tags = models.ManyToManyField(Tag, through="ContentItemTag", related_name="content_items")

    class Meta:
        db_table = "content_items"
        db_table_comment = "Articles, notes, resources, landings, pages"
        verbose_name = _("content item")
        verbose_name_plural = _("content items")
        constraints = [
            rules.Unique(
                "content_items_slug_unique_per_type",
                fields=["content_type", "slug"],
                message=_("There is already such a slug for this kind of content."),
            ),
            rules.slug("content_items"),
            rules.not_blank("content_items", "title"),
            published_has_date("content_items"),
            rules.finite("content_items", "created_at", "updated_at", "published_at"),
        ]
        indexes = [
            rules.Index(
                "content_items_by_address",
                "content_type",
                "slug",
                "status",
                serves="site: one item by kind, slug and status",
            ),
            rules.Index(
                "content_items_newest_published",
                "content_type",
                "-published_at",
                condition=Q(status="published"),
                serves="site: newest published of a kind",
            ),
            rules.Index(
                "content_items_review_queue",
                "updated_at",
                condition=Q(status="review"),
                serves="admin: the editor's review queue, longest waiting first",
            ),
            rules.Index("content_items_by_author", "author", serves="the delete check"),
        ]
        triggers = [
            *triggers.transitions(
                "content_items",
                {
                    "draft": ["review", "published"],
                    "review": ["draft", "published"],
                    "published": ["archived", "draft"],
                    "archived": ["draft"],
                },
            ),
            triggers.touch_updated_at("content_items"),
        ]

    def __str__(self) -> str:
        return self.title


class ContentRevision(Entity):
    """The text of an item as it once stood. Immutable."""

    content_item = Ref(
        ContentItem, DB_CASCADE, related_name="revisions", db_comment=p0("item it belongs to")
    )
    revision = models.IntegerField(db_comment=p0("number, from 1, per item"))
    title = TextLine(db_comment=p0("title then"))
    excerpt = models.TextField(null=True, blank=True, db_comment=p0("summary then"))
    body_markdown = models.TextField(db_comment=p0("text then, Markdown"))
    meta = models.JSONField(null=True, blank=True, db_comment=p0("other fields then, an object"))
    changed_by = Ref(
        "identity.User",
        db_column="changed_by_user_id",
        related_name="content_revisions",
        db_comment=p0("who saved it"),
    )
    created_at = created_at()

    class Meta:
        db_table = "content_revisions"
        db_table_comment = "Earlier texts of content; immutable"
        verbose_name = _("revision")
        verbose_name_plural = _("revisions")
        constraints = [
            rules.Unique("content_revisions_once_per_item", fields=["content_item", "revision"]),
            rules.in_range("content_revisions", "revision", 1),
            rules.not_blank("content_revisions", "title"),
            rules.Check(
                "content_revisions_meta_is_object",
                Q(rules.holds("is_json_object", "meta")),
                _("This must be a JSON object."),
                field="meta",
            ),
            rules.finite("content_revisions", "created_at"),
        ]
        indexes = [
            rules.Index("content_revisions_by_editor", "changed_by", serves="the delete check"),
        ]
        triggers = triggers.versions("content_revisions", "content_items", "content_item_id")

    def __str__(self) -> str:
        return f"№ {self.revision}"


class ContentItemTopic(Entity):
    """That an item belongs to a topic."""

    content_item = Ref(ContentItem, DB_CASCADE, db_comment=p0("item"))
    topic = Ref(Topic, db_column="topic_code", db_comment=p0("topic"))

    class Meta:
        db_table = "content_item_topics"
        db_table_comment = "Topics of content"
        verbose_name = _("topic of an item")
        verbose_name_plural = _("topics of an item")
        constraints = [
            rules.Unique("content_item_topics_once", fields=["content_item", "topic"]),
        ]
        indexes = [
            rules.Index(
                "content_item_topics_by_topic", "topic", "content_item", serves="items of a topic"
            ),
        ]

    def __str__(self) -> str:
        return str(self.topic_id)


class ContentItemTag(Entity):
    """That an item carries a tag."""

    content_item = Ref(ContentItem, DB_CASCADE, db_comment=p0("item"))
    tag = Ref(Tag, DB_CASCADE, db_comment=p0("tag"))

    class Meta:
        db_table = "content_item_tags"
        db_table_comment = "Tags of content"
        verbose_name = _("tag of an item")
        verbose_name_plural = _("tags of an item")
        constraints = [rules.Unique("content_item_tags_once", fields=["content_item", "tag"])]
        indexes = [
            rules.Index("content_item_tags_by_tag", "tag", "content_item", serves="items of a tag"),
        ]

    def __str__(self) -> str:
        return str(self.tag_id)


class ContentMedia(Entity):
    """A file used in an item."""

    Usage = Members("Usage", "cover inline attachment audio")

    content_item = Ref(ContentItem, DB_CASCADE, related_name="media", db_comment=p0("item"))
    media_asset = Ref(MediaAsset, related_name="usages", db_comment=p0("file"))
    usage = ClosedSet(Usage, db_comment=p0("how it is used"))

    class Meta:
        db_table = "content_media"
        db_table_comment = "Files used in content"
        verbose_name = _("file of an item")
        verbose_name_plural = _("files of an item")
        constraints = [
            rules.Unique("content_media_once", fields=["content_item", "media_asset", "usage"]),
            rules.Unique(
                "content_media_one_cover",
                fields=["content_item"],
                condition=Q(usage="cover"),
                message=_("An item has one cover."),
            ),
        ]
        indexes = [
            rules.Index("content_media_by_asset", "media_asset", serves="where a file is used"),
        ]

    def __str__(self) -> str:
        return str(self.get_usage_display())


class CuratedCollection(Entity):
    """A hand-picked list of content and interactives."""

    Type = Members("Type", "problem format goal context")

    slug = TextLine(db_comment=p0("slug in addresses"))
    title = TextLine(db_comment=p0("title"))
    collection_type = ClosedSet(Type, db_comment=p0("what the list is picked by"))
    status = ClosedSet(
        PublicationStatus, default=PublicationStatus.draft, db_comment=p0("states.md")
    )
    topic = Ref(
        Topic,
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="curated_collections",
        db_comment=p0("topic, if one"),
    )
    published_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when published, UTC"))

    class Meta:
        db_table = "curated_collections"
        db_table_comment = "Hand-picked lists"
        verbose_name = _("collection")
        verbose_name_plural = _("collections")
        constraints = [
            rules.Unique("curated_collections_slug_unique", fields=["slug"]),
            rules.slug("curated_collections"),
            rules.not_blank("curated_collections", "title"),
            published_has_date("curated_collections"),
            rules.finite("curated_collections", "published_at"),
        ]
        indexes = [
            rules.Index("curated_collections_by_topic", "topic", serves="collections of a topic"),
        ]
        triggers = triggers.transitions("curated_collections", PUBLICATION_MOVES)

    def __str__(self) -> str:
        return self.title


class CuratedItem(Entity):
    """One place in a collection: an item or an interactive."""

    Type = Members("Type", "content interactive")

    collection = Ref(
        CuratedCollection, DB_CASCADE, related_name="items", db_comment=p0("collection")
    )
    item_type = ClosedSet(Type, db_comment=p0("which target is set"))
    content_item = Ref(
        ContentItem, null=True, blank=True, related_name="curated_items", db_comment=p0("content")
    )
    interactive_definition = Ref(
        "interactive.InteractiveDefinition",
        null=True,
        blank=True,
        related_name="curated_items",
        db_comment=p0("interactive"),
    )
    position = models.IntegerField(db_comment=p0("order, from 0"))
    note = TextLine(null=True, blank=True, db_comment=p0("why it is here"))

    class Meta:
        db_table = "curated_items"
        db_table_comment = "Places in collections"
        verbose_name = _("place in a collection")
        verbose_name_plural = _("places in a collection")
        constraints = [
            rules.in_range("curated_items", "position", 0),
            rules.Check(
                "curated_items_exactly_one_target",
                Q(
                    item_type="content",
                    content_item__isnull=False,
                    interactive_definition__isnull=True,
                )
                | Q(
                    item_type="interactive",
                    content_item__isnull=True,
                    interactive_definition__isnull=False,
                ),
                _("Exactly one target, of the kind named."),
                field="item_type",
            ),
            # Deferrable, so that a reorder is one transaction of plain updates.
            rules.Unique(
                "curated_items_position_unique",
                fields=["collection", "position"],
                deferrable=Deferrable.DEFERRED,
            ),
            rules.Unique(
                "curated_items_content_once",
                fields=["collection", "content_item"],
                message=_("This is already in the collection."),
            ),
            rules.Unique(
                "curated_items_interactive_once",
                fields=["collection", "interactive_definition"],
                message=_("This is already in the collection."),
            ),
        ]
        indexes = [
            rules.Index("curated_items_by_content", "content_item", serves="the delete check"),
            rules.Index(
                "curated_items_by_interactive", "interactive_definition", serves="the delete check"
            ),
        ]

    def __str__(self) -> str:
        return f"№ {self.position}"


class GlossaryTerm(Entity):
    """A term explained."""

    Category = Members("Category", "approach state concept")

    slug = TextLine(db_comment=p0("slug in addresses"))
    title = TextLine(db_comment=p0("the term"))
    category = ClosedSet(Category, db_comment=p0("kind of term"))
    short_definition = models.TextField(db_comment=p0("definition in a sentence"))
    body_markdown = models.TextField(db_comment=p0("text, Markdown"))
    status = ClosedSet(
        PublicationStatus, default=PublicationStatus.draft, db_comment=p0("states.md")
    )
    published_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when published, UTC"))
    meta_description = TextLine(null=True, blank=True, db_comment=p0("text for search engines"))
    keywords = TextLine(null=True, blank=True, db_comment=p0("keywords for search engines"))

    class Meta:
        db_table = "glossary_terms"
        db_table_comment = "The glossary"
        verbose_name = _("glossary term")
        verbose_name_plural = _("glossary terms")
        constraints = [
            rules.Unique("glossary_terms_slug_unique", fields=["slug"]),
            rules.slug("glossary_terms"),
            rules.not_blank("glossary_terms", "title"),
            published_has_date("glossary_terms"),
            rules.finite("glossary_terms", "published_at"),
        ]
        triggers = triggers.transitions("glossary_terms", PUBLICATION_MOVES)

    def __str__(self) -> str:
        return self.title


class GlossaryTermSynonym(Entity):
    """Another word for a term."""

    term = Ref(GlossaryTerm, DB_CASCADE, related_name="synonyms", db_comment=p0("term"))
    synonym = TextLine(db_comment=p0("the other word"))

    class Meta:
        db_table = "glossary_term_synonyms"
        db_table_comment = "Synonyms of glossary terms"
        verbose_name = _("synonym")
        verbose_name_plural = _("synonyms")
        constraints = [
            rules.not_blank("glossary_term_synonyms", "synonym"),
            rules.Unique(
                "glossary_term_synonyms_once_per_term",
                F("term"),
                Func(F("synonym"), function="lower"),
                message=_("The term already has this synonym."),
            ),
        ]

    def __str__(self) -> str:
        return self.synonym


class GlossaryTermLink(Entity):
    """A link between a term and an item."""

    Type = Members("Type", "mentioned_in recommended")

    term = Ref(GlossaryTerm, DB_CASCADE, related_name="links", db_comment=p0("term"))
    content_item = Ref(
        ContentItem, DB_CASCADE, related_name="glossary_links", db_comment=p0("item")
    )
    link_type = ClosedSet(Type, db_comment=p0("how they belong together"))

    class Meta:
        db_table = "glossary_term_links"
        db_table_comment = "Links between glossary and content"
        verbose_name = _("glossary link")
        verbose_name_plural = _("glossary links")
        constraints = [
            rules.Unique("glossary_term_links_once", fields=["term", "content_item", "link_type"]),
        ]
        indexes = [
            rules.Index("glossary_term_links_by_item", "content_item", serves="terms of an item"),
        ]

    def __str__(self) -> str:
        return str(self.get_link_type_display())
