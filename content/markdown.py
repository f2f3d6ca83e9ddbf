"""Links, images and paragraphs of a Markdown text, parsed as CommonMark.

Code blocks and code spans are skipped. Of raw HTML only the images count: the site decides whether
it shows HTML links.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

# Characters that a reader does not see; is_visible() of the database has the same list.
NOT_VISIBLE = (
    r"\s\x00-\x1F\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u180B-\u180E\u2000-\u200F"
    r"\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB"
)
VISIBLE = re.compile(f"[^{NOT_VISIBLE}]")

# These match HTML as browsers read it, in time linear in its length. html.parser needs minutes for
# some texts, and fails on others. An unclosed comment or tag extends to the end of the text.
HTML_IMAGE = re.compile(
    r"""<!--(?: -?> | .*?(?: --!?> | \Z ) )
    | <img(?=[\s/>]) ( (?: [^>=]+ | =\s*"[^"]*" | =\s*'[^']*' | = )* )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
HTML_ATTRIBUTE = re.compile(
    r"""([^\s/=]+) (?: \s*=\s* (?: "([^"]*)" | '([^']*)' | ([^\s"']\S*) ) )?""", re.VERBOSE
)


def is_visible(text: str | None) -> bool:
    return bool(text and VISIBLE.search(text))


@dataclass(frozen=True)
class Document:
    """The parts of a text, in the order of the text."""

    links: list[str] = field(default_factory=list)  # targets of visible links
    images: list[str] = field(default_factory=list)  # alternative texts, or ""
    paragraphs: list[str] = field(default_factory=list)  # words, with single spaces


@cache
def parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


def read(text: str) -> Document:
    document = Document()
    tokens = parser().parse(text)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "html_block":
            document.images.extend(images_of_html(token.content))
        if token.type != "inline":
            continue
        children = token.children or []
        document.links.extend(links(children))
        document.images.extend(images(children))
        if before is not None and before.type == "paragraph_open":
            text = words([child for child in children if child.type != "image"])
            document.paragraphs.append(" ".join(text.split()))
    return document


def links(tokens: Sequence[Token]) -> Iterator[str]:
    """Targets of links with a visible text or image. CommonMark does not nest links."""
    target, shown = None, False
    for token in tokens:
        if token.type == "link_open":
            target, shown = str(token.attrs.get("href", "")), False
        elif token.type == "link_close":
            if target and shown:
                yield target
            target = None
        elif token.type in ("text", "code_inline", "image"):
            shown = shown or is_visible(words([token]) or token.content)


def images(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "image":
            yield words(token.children or [])
        elif token.type == "html_inline":
            yield from images_of_html(token.content)


def words(tokens: Sequence[Token]) -> str:
    """The text without markup, code and raw HTML."""
    parts: list[str] = []
    for token in tokens:
        if token.type == "text":
            parts.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif token.type == "image":
            parts.append(words(token.children or []))
    return "".join(parts)


def images_of_html(html: str) -> Iterator[str]:
    for tag in HTML_IMAGE.finditer(html):
        if tag[1] is None:  # a comment
            continue
        given = HTML_ATTRIBUTE.finditer(tag[1])
        alt = next((a for a in given if a[1].lower() == "alt"), None)
        yield unescape("".join(filter(None, alt.group(2, 3, 4)))) if alt else ""


def internal_path(target: str) -> str | None:
    """The path of the page if the link points into this site, else None.

    Links that differ in query, fragment or trailing slash have the same path.
    """
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    path = unquote(parts.path)
    if parts.scheme or parts.netloc or not path.startswith("/"):
        return None
    if "\\" in path or path.startswith("//"):  # browsers read these as another host
        return None
    return posixpath.normpath(path)
