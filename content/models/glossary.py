"""The glossary."""

from django.db import models
from django.db.models import F, Func
from django.utils.translation import gettext_lazy as _

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    Markdown,
    RestrictForeignKey,
    SingleLineTextField,
    Text,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import BY_EDITORS, goes_with
from ebalance.db.sets import PUBLICATION_MOVES, PublicationStatus
from ebalance.db.times import FactTime

from ..markdown import is_visible
from .items import ContentItem
from .publication import Publishable, published_has_date


class GlossaryTerm(Publishable):
    """A term with its explanation."""

    class Category(models.TextChoices):
        APPROACH = "approach", _("approach")
        STATE = "state", _("state")
        CONCEPT = "concept", _("concept")

    slug = SingleLineTextField(max_length=lengths.SLUG, db_comment=p0("slug in addresses"))
    title = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("the term"))
    category = ClosedSet(Category, db_comment=p0("kind of term"))
    short_definition = Text(max_length=lengths.NOTE, db_comment=p0("definition in a sentence"))
    body_markdown = Markdown(db_comment=p0("text, Markdown"))
    status = ClosedSet(
        PublicationStatus, default=PublicationStatus.DRAFT, db_comment=p0("life cycle")
    )
    published_at = FactTime(null=True, blank=True, db_comment=p0("when published, UTC"))
    meta_description = SingleLineTextField(
        max_length=lengths.NOTE, null=True, blank=True, db_comment=p0("text for search engines")
    )
    keywords = SingleLineTextField(
        max_length=lengths.NOTE, null=True, blank=True, db_comment=p0("keywords for search engines")
    )

    event_name = "glossary_term"

    retention = BY_EDITORS

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
        triggers = [
            *triggers.transitions("glossary_terms", PUBLICATION_MOVES),
            *auditing.audited(
                "glossary_terms",
                inserted=("term_published", ["slug", "status"]),
                inserted_when="NEW.status = 'published'",
                changed=("term_status_changed", ["status"]),
                deleted="term_deleted",
                deleted_when="OLD.status = 'published'",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def publication_offences(self) -> list[str]:
        return [] if is_visible(self.short_definition) else ["definition_missing"]


class GlossaryTermSynonym(Entity):
    """Another word for a term."""

    term = RestrictForeignKey(
        GlossaryTerm, DB_CASCADE, related_name="synonyms", db_comment=p0("term")
    )
    synonym = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("the other word"))

    retention = goes_with("term")

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

    class Type(models.TextChoices):
        MENTIONED_IN = "mentioned_in", _("mentioned in")
        RECOMMENDED = "recommended", _("recommended")

    term = RestrictForeignKey(GlossaryTerm, DB_CASCADE, related_name="links", db_comment=p0("term"))
    content_item = RestrictForeignKey(
        ContentItem, DB_CASCADE, related_name="glossary_links", db_comment=p0("item")
    )
    link_type = ClosedSet(Type, db_comment=p0("how they belong together"))

    retention = goes_with("term")

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
