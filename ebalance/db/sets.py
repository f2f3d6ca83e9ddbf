"""Closed sets, written as the data model writes them: ``Members("Status", "draft published")``."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Members(models.TextChoices):
    """A TextChoices whose values are its names and whose labels go through gettext."""

    @property
    def label(self):
        return _(self.name.replace("_", " "))


EntryPoint = Members("EntryPoint", "seo telegram direct referral ads internal")
EventSource = Members("EventSource", "web backend telegram admin")
PublicationStatus = Members("PublicationStatus", "draft published archived")

# states.md: curated_collections, glossary_terms, services, interactive_definitions
PUBLICATION_MOVES = {
    "draft": ["published"],
    "published": ["archived", "draft"],
    "archived": ["draft"],
}
