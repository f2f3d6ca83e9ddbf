"""Hand-picked lists of content and interactives."""

from django.db import models
from django.db.models import Deferrable, Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.fields import ClosedSet, Entity, RestrictForeignKey, SingleLineTextField
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import BY_EDITORS, goes_with
from ebalance.db.sets import PUBLICATION_MOVES, PublicationStatus
from ebalance.db.times import FactTime

from .items import ContentItem
from .publication import Publishable, published_has_date
from .taxonomy import Topic


class CuratedCollection(Publishable):
    """A hand-picked list of content and interactives."""

    class Type(models.TextChoices):
        PROBLEM = "problem", _("problem")
        FORMAT = "format", _("format")
        GOAL = "goal", _("goal")
        CONTEXT = "context", _("context")

    slug = SingleLineTextField(max_length=lengths.SLUG, db_comment=p0("slug in addresses"))
    title = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("title"))
    collection_type = ClosedSet(Type, db_comment=p0("what the list is picked by"))
    status = ClosedSet(
        PublicationStatus, default=PublicationStatus.DRAFT, db_comment=p0("life cycle")
    )
    topic = RestrictForeignKey(
        Topic,
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="curated_collections",
        db_comment=p0("topic, if one"),
    )
    published_at = FactTime(null=True, blank=True, db_comment=p0("when published, UTC"))

    event_name = "collection"

    retention = BY_EDITORS

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
        triggers = [
            *triggers.transitions("curated_collections", PUBLICATION_MOVES),
            *auditing.audited(
                "curated_collections",
                inserted=("collection_published", ["slug", "status"]),
                inserted_when="NEW.status = 'published'",
                changed=("collection_status_changed", ["status"]),
                deleted="collection_deleted",
                deleted_when="OLD.status = 'published'",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def publication_offences(self) -> list[str]:
        """A collection shows only published targets, so it needs at least one."""
        shown = self.items.filter(
            Q(content_item__status="published") | Q(interactive_definition__status="published")
        )
        return [] if shown.exists() else ["published_target_missing"]


class CuratedItem(Entity):
    """An entry of a collection: a content item or an interactive."""

    class Type(models.TextChoices):
        CONTENT = "content", _("content")
        INTERACTIVE = "interactive", _("interactive")

    collection = RestrictForeignKey(
        CuratedCollection, DB_CASCADE, related_name="items", db_comment=p0("collection")
    )
    item_type = ClosedSet(Type, db_comment=p0("which target is set"))
    content_item = RestrictForeignKey(
        ContentItem, null=True, blank=True, related_name="curated_items", db_comment=p0("content")
    )
    interactive_definition = RestrictForeignKey(
        "interactive.InteractiveDefinition",
        null=True,
        blank=True,
        related_name="curated_items",
        db_comment=p0("interactive"),
    )
    position = models.IntegerField(db_comment=p0("order, from 0"))
    note = SingleLineTextField(
        max_length=lengths.NOTE, null=True, blank=True, db_comment=p0("why it is here")
    )

    retention = goes_with("collection")

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
