"""Articles, notes, resources, landings, pages, with their revisions, topics, tags and files."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.fields import (
    Address,
    ClosedSet,
    Entity,
    Markdown,
    RestrictForeignKey,
    SingleLineTextField,
    Text,
    created_at,
    updated_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import by_staff, p0
from ebalance.db.schema.retention import BY_EDITORS, goes_with
from ebalance.db.times import FactTime

from .. import checklist
from ..querysets import ContentItemQuerySet
from .media import MediaAsset
from .publication import Publishable, published_has_date
from .taxonomy import Tag, Topic


class ContentItem(Publishable):
    """An article, note, resource, landing or page; written by editors, read by everyone."""

    class Type(models.TextChoices):
        ARTICLE = "article", _("article")
        NOTE = "note", _("note")
        RESOURCE = "resource", _("resource")
        LANDING = "landing", _("landing")
        PAGE = "page", _("page")

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        REVIEW = "review", pgettext_lazy("Status", "review")
        PUBLISHED = "published", _("published")
        ARCHIVED = "archived", _("archived")

    class TimeToBenefit(models.TextChoices):
        MIN_1_3 = "1_3_min", _("1 3 min")
        MIN_7_10 = "7_10_min", _("7 10 min")
        MIN_20_30 = "20_30_min", _("20 30 min")
        SERIES = "series", _("series")

    class Format(models.TextChoices):
        ARTICLE = "article", _("article")
        NOTE = "note", _("note")
        RESOURCE = "resource", _("resource")
        AUDIO = "audio", _("audio")
        CHECKLIST = "checklist", _("checklist")

    class SupportLevel(models.TextChoices):
        SELF_HELP = "self_help", _("self help")
        MICRO_SUPPORT = "micro_support", _("micro support")
        CONSULTATION = "consultation", _("consultation")

    content_type = ClosedSet(Type, db_comment=p0("kind of content"))
    slug = SingleLineTextField(
        max_length=lengths.SLUG, db_comment=p0("slug in addresses, unique per kind")
    )
    title = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("title"))
    excerpt = Text(max_length=lengths.NOTE, null=True, blank=True, db_comment=p0("short summary"))
    body_markdown = Markdown(db_comment=p0("text, Markdown"))
    status = ClosedSet(Status, default=Status.DRAFT, db_comment=p0("editorial state"))
    published_at = FactTime(null=True, blank=True, db_comment=p0("when published, UTC"))
    author = RestrictForeignKey(
        "identity.User",
        db_column="author_user_id",
        related_name="content_items",
        db_comment=by_staff("who wrote it"),
    )
    time_to_benefit = ClosedSet(
        TimeToBenefit, null=True, blank=True, db_comment=p0("time until it helps")
    )
    format = ClosedSet(Format, null=True, blank=True, db_comment=p0("form of the material"))
    support_level = ClosedSet(
        SupportLevel, null=True, blank=True, db_comment=p0("how much support it offers")
    )
    seo_title = SingleLineTextField(
        max_length=lengths.TITLE, null=True, blank=True, db_comment=p0("title for search engines")
    )
    seo_description = SingleLineTextField(
        max_length=lengths.NOTE, null=True, blank=True, db_comment=p0("text for search engines")
    )
    seo_keywords = SingleLineTextField(
        max_length=lengths.NOTE, null=True, blank=True, db_comment=p0("keywords for search engines")
    )
    canonical_url = Address(null=True, blank=True, db_comment=p0("canonical address"))
    created_at = created_at()
    updated_at = updated_at()

    topics = models.ManyToManyField(Topic, through="ContentItemTopic", related_name="content_items")
    tags = models.ManyToManyField(Tag, through="ContentItemTag", related_name="content_items")

    event_name = "content"
    published_from = ("draft", "review")

    objects: ClassVar = ContentItemQuerySet.as_manager()

    retention = BY_EDITORS

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
            rules.not_blank("content_items", "seo_title"),
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
                "content_items_newest",
                "-published_at",
                "-id",
                condition=Q(status="published"),
                serves="site: published items of a topic, newest first",
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
            *auditing.audited(
                "content_items",
                inserted=("content_published", ["content_type", "slug", "status"]),
                inserted_when="NEW.status = 'published'",
                changed=("content_status_changed", ["status"]),
                deleted="content_item_deleted",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def publication_offences(self) -> list[str]:
        return checklist.offences(self.body_markdown, slug=self.slug)

    def event_facts(self) -> Mapping[str, Any]:
        return {"content_type": self.content_type}


class ContentRevision(Entity):
    """An earlier or the current text of an item. Immutable."""

    content_item = RestrictForeignKey(
        ContentItem, DB_CASCADE, related_name="revisions", db_comment=p0("item it belongs to")
    )
    revision = models.IntegerField(db_comment=p0("number, from 1, per item"))
    title = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("title then"))
    excerpt = Text(max_length=lengths.NOTE, null=True, blank=True, db_comment=p0("summary then"))
    body_markdown = Markdown(db_comment=p0("text then, Markdown"))
    meta = lengths.SizedJSON(
        max_length=lengths.JSON_OBJECT,
        null=True,
        blank=True,
        db_comment=p0("other fields then, an object"),
    )
    changed_by = RestrictForeignKey(
        "identity.User",
        db_column="changed_by_user_id",
        related_name="content_revisions",
        db_comment=by_staff("who saved it"),
    )
    created_at = created_at()

    retention = goes_with("content_item")

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
    """A topic of an item."""

    content_item = RestrictForeignKey(ContentItem, DB_CASCADE, db_comment=p0("item"))
    topic = RestrictForeignKey(Topic, db_column="topic_code", db_comment=p0("topic"))

    retention = goes_with("content_item")

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
                "content_item_topics_by_topic",
                "topic",
                "content_item",
                serves="items of a topic with few items; the delete check",
            ),
        ]

    def __str__(self) -> str:
        return str(self.topic_id)


class ContentItemTag(Entity):
    """A tag of an item."""

    content_item = RestrictForeignKey(ContentItem, DB_CASCADE, db_comment=p0("item"))
    tag = RestrictForeignKey(Tag, DB_CASCADE, db_comment=p0("tag"))

    retention = goes_with("content_item")

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

    class Usage(models.TextChoices):
        COVER = "cover", _("cover")
        INLINE = "inline", _("inline")
        ATTACHMENT = "attachment", _("attachment")
        AUDIO = "audio", _("audio")

    content_item = RestrictForeignKey(
        ContentItem, DB_CASCADE, related_name="media", db_comment=p0("item")
    )
    media_asset = RestrictForeignKey(MediaAsset, related_name="usages", db_comment=p0("file"))
    usage = ClosedSet(Usage, db_comment=p0("how it is used"))

    retention = goes_with("content_item")

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
