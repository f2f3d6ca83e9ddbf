"""Refusals of the content services. ``code`` is part of the API."""

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from ebalance.services import Refused

# Names of the missing parts, by code of the offence.
WANTED = {
    "disclaimer_missing": _(
        "a disclaimer (a paragraph that begins with “Important:” and says that the text does not "
        "replace the help of a specialist)"
    ),
    "cta_missing": _("a call to action (a link to booking or to Telegram)"),
    "internal_links_too_few": _("links to at least three other pages of the site"),
    "alt_text_missing": _("a description of every image in the text"),
    "published_target_missing": _("something published in the collection"),
    "definition_missing": _("a short definition"),
}


class NotReadyToPublish(Refused):
    """The row, or its new text, breaks rules of publication. ``offences`` are their codes."""

    code = "not_ready_to_publish"
    sentence_template = _("This is not ready to be published. It still needs: %(wanted)s.")

    def __init__(self, *, offences: Sequence[str], **details: object) -> None:
        super().__init__(offences=tuple(offences), **details)
        self.offences = tuple(offences)

    @property
    def sentence(self) -> str:
        wanted = "; ".join(str(WANTED.get(code, code)) for code in self.offences)
        return str(self.sentence_template) % {"wanted": wanted}
