"""The checklist before publication (states.md). It applies to every kind of content.

The text of an item needs:

* **Disclaimer.** A paragraph, or a quotation, that begins with «Важно» and states that the text
  does not replace the help of a specialist. Editors may copy ``DISCLAIMER``.
* **Call to action.** A link to booking (``/booking``, ``/services`` and what is below them) or
  into Telegram (``https://t.me/…``).
* **Internal links.** Links to at least three different pages of the site, written from the root:
  ``[Дыхание](/articles/dyhanie)``. Links to the item itself do not count.
* **Alt texts.** Every image in the text has a description: ``![Рассвет над озером](/media/…)``.
  The database checks the files of an item (media_assets_image_is_described).

The text is parsed as CommonMark (content/markdown.py), so nothing inside code counts.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from . import markdown

VERSION = "1.0"  # in admin_content_published; increase it with every change of the rules

DISCLAIMER = "Важно: этот материал не заменяет консультацию специалиста."
# The three parts of a disclaimer. They are searched one after the other, which is linear in time.
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
    """Codes of the checks that the Markdown ``text`` fails, in the order of the checklist.

    ``slug`` is the item's own.
    """
    document = markdown.read(text)
    paths = map(markdown.internal_path, document.links)
    pages = {path for path in paths if path is not None and not is_own(path, slug)}
    checks = {
        DISCLAIMER_MISSING: any(map(is_disclaimer, document.paragraphs)),
        CTA_MISSING: any(map(is_call_to_action, document.links)),
        TOO_FEW_INTERNAL_LINKS: len(pages) >= INTERNAL_LINKS,
        ALT_TEXT_MISSING: all(map(markdown.is_visible, document.images)),
    }
    return [code for code, holds in checks.items() if not holds]


def is_disclaimer(paragraph: str) -> bool:
    statement = IMPORTANT.match(paragraph) and REPLACES_NOT.search(paragraph)
    return bool(statement and HELP.search(paragraph, statement.end()))


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
    """Whether the page is the item's own: the site ends each address of an item with its slug."""
    return page.rsplit("/", 1)[-1] == slug
