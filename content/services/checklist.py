"""The list before publication (states.md): what the text of every content item has.

It is the same for every kind of content; the specification makes no exception. An editor meets
it like this:

* **Disclaimer.** A paragraph, or a quotation, that begins with «Важно» and says that the text does
  not replace the help of a specialist. ``DISCLAIMER`` can be copied as it stands.
* **Call to action.** A link to booking (``/booking``, ``/services`` and what is below them) or
  into Telegram (``https://t.me/…``).
* **Internal links.** Links to at least three different pages of the site, written from the root:
  ``[Дыхание](/articles/dyhanie)``. Neither the item itself nor a place on its page counts.
* **Alt texts.** Every image in the text has a description: ``![Рассвет над озером](/media/…)``.
  Files of an item are described or decorative in the database (media_assets_image_is_described).

Markdown is read as CommonMark (content/markdown.py), so nothing inside code counts.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from .. import markdown

VERSION = "1.0"  # of this list, for admin_content_published; a change of the rules is a new one

DISCLAIMER = "Важно: этот материал не заменяет консультацию специалиста."
# What a disclaimer begins with, says and names: one after the other, so that it takes no time.
IMPORTANT = re.compile(r"важно\b", re.IGNORECASE)
REPLACES_NOT = re.compile(
    r"\bне\s+(замен(яет|яют|ит|ят)|(с?может|с?могут)\s+заменить|явля(ется|ются)\s+заменой)\b",
    re.IGNORECASE,
)
HELP = re.compile(
    r"\b(специалист|психолог|психотерап|психиатр|врач|консультаци|терапи|помощ)", re.IGNORECASE
)
BOOKING_SECTIONS = {"booking", "services"}
TELEGRAM_HOSTS = {"t.me", "telegram.me"}
INTERNAL_LINKS = 3

DISCLAIMER_MISSING = "disclaimer_missing"
CTA_MISSING = "cta_missing"
TOO_FEW_INTERNAL_LINKS = "internal_links_too_few"
ALT_TEXT_MISSING = "alt_text_missing"


def offences(text: str, *, slug: str) -> list[str]:
    """What the Markdown ``text`` of the item called ``slug`` lacks: codes, in the list's order."""
    document = markdown.read(text)
    pages = {markdown.internal_path(target) for target in document.links} - {None}
    checks = {
        DISCLAIMER_MISSING: any(map(is_disclaimer, document.paragraphs)),
        CTA_MISSING: any(map(is_call_to_action, document.links)),
        TOO_FEW_INTERNAL_LINKS: sum(not is_own(page, slug) for page in pages) >= INTERNAL_LINKS,
        ALT_TEXT_MISSING: all(map(markdown.is_visible, document.images)),
    }
    return [code for code, holds in checks.items() if not holds]


def is_disclaimer(paragraph: str) -> bool:
    said = IMPORTANT.match(paragraph) and REPLACES_NOT.search(paragraph)
    return bool(said and HELP.search(paragraph, said.end()))


def is_call_to_action(target: str) -> bool:
    page = markdown.internal_path(target)
    if page is not None:
        return page.split("/")[1] in BOOKING_SECTIONS
    try:
        parts = urlsplit(target)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme == "https" and host in TELEGRAM_HOSTS and len(parts.path) > 1


def is_own(page: str, slug: str) -> bool:
    """Addresses are the site's matter; in each of them an item is called by its slug."""
    return page.rsplit("/", 1)[-1] == slug
