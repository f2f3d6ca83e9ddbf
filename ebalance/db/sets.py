"""Closed sets, written as the data model writes them: ``Members("Status", "draft published")``."""

from django.db import models
from django.utils.functional import lazy
from django.utils.translation import gettext, pgettext


def _label(set_name: str, words: str) -> str:
    own = pgettext(set_name, words)
    return own if own != words else gettext(words)


_lazy_label = lazy(_label, str)


class Members(models.TextChoices):
    """A TextChoices whose values are its names and whose labels go through gettext.

    Where one word does not fit every set, the catalogue has it with the set's name as context.
    """

    @property
    def label(self):
        return _lazy_label(type(self).__name__, self.name.replace("_", " "))


EntryPoint = Members("EntryPoint", "seo telegram direct referral ads internal")
EventSource = Members("EventSource", "web backend telegram admin")
PublicationStatus = Members("PublicationStatus", "draft published archived")

# states.md: curated_collections, glossary_terms, services, interactive_definitions
PUBLICATION_MOVES = {
    "draft": ["published"],
    "published": ["archived", "draft"],
    "archived": ["draft"],
}
