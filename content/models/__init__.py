"""Topics, tags, media, articles and pages, curated collections, the glossary."""

from .collections import CuratedCollection, CuratedItem
from .glossary import GlossaryTerm, GlossaryTermLink, GlossaryTermSynonym
from .items import ContentItem, ContentItemTag, ContentItemTopic, ContentMedia, ContentRevision
from .media import MediaAsset
from .taxonomy import Tag, Topic

__all__ = [
    "ContentItem",
    "ContentItemTag",
    "ContentItemTopic",
    "ContentMedia",
    "ContentRevision",
    "CuratedCollection",
    "CuratedItem",
    "GlossaryTerm",
    "GlossaryTermLink",
    "GlossaryTermSynonym",
    "MediaAsset",
    "Tag",
    "Topic",
]
