"""References to documents are valid: "privacy.md §5" in a docstring, a link in Markdown.

A reference is the name of a page of docs/spec, alone or with sections: ``privacy.md §5``,
``access.md section 3``, ``states.md, "Payments"``.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from tests.advice import advises
from tools.structure import PACKAGES

ROOT = Path(settings.BASE_DIR)
SPECIFICATION = ROOT / "docs/spec"
CODE = (*PACKAGES, "tests", "benchmarks", "tools")
OWN = "tests/test_references.py"  # quotes wrong references

GAP = r"[ \t]*(?:\n[ \t]*(?:#|--)?)?[ \t]*"  # a reference may continue on the next line
REFERENCE = re.compile(
    r"(?<![\w./-])(?P<file>(?:[\w-]+/)*[\w.-]+\.md|events\.json)\b"
    rf"(?P<numbers>(?:,?{GAP}(?:and )?(?:§|sections? )\d+)*)"
    rf"(?:,{GAP}(?:\"(?P<heading>[^\"\n]+)\"|(?P<word>[A-Z]\w+)(?=\))))?"
)
SECTION = re.compile(r"§(\d+)")
HEADING = re.compile(r"^#{1,6} +(?:(?P<number>\d+)\. +)?(?P<title>.+?) *$", re.MULTILINE)
# "**Payments.** …" begins a part of a section.
RUN_IN = re.compile(r"^(?:- )?\*\*(?P<title>[^*]+?)\.?\*\*", re.MULTILINE)
LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^()\s]+)\)")
VERBATIM = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@functools.cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code() -> Iterator[Path]:
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".sql"} and name_of(path) != OWN:
                yield path


def documents() -> Iterator[Path]:
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def sections(page: Path) -> set[str]:
    """The numbers and the titles of the sections of a page; of JSON its keys."""
    if page.suffix == ".json":
        return set(json.loads(read(page)))
    text = read(page)
    headings = [*HEADING.finditer(text)]
    numbers = {heading["number"] for heading in headings if heading["number"]}
    titles = {match["title"] for match in (*headings, *RUN_IN.finditer(text))}
    return numbers | titles


@functools.cache
def anchors(page: Path) -> set[str]:
    """The anchors that a forge gives to the headings of a page."""
    titles: list[str] = []
    for line in re.findall(r"^#{1,6} +(.+?) *$", read(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-")
        again = sum(anchor == slug for anchor in titles)
        titles.append(f"{slug}-{again}" if again else slug)
    return set(titles)


def page_of(file: str) -> Path | None:
    """The page of the specification that a reference names, with or without its folder."""
    page = SPECIFICATION / file.removeprefix("docs/spec/")
    return page if page.parent == SPECIFICATION and page.name != "README.md" else None


def wrong_references(path: Path, text: str) -> Iterator[str]:
    """Advice for each broken reference in ``text``, the text of ``path``."""
    if path.suffix == ".md":
        text = blank(LINK, text)  # wrong_links() checks these
    for match in REFERENCE.finditer(text):
        if text[match.start() - 1 : match.start()] == text[match.end() : match.end() + 1] == '"':
            continue  # a part of a path in code
        location, page = location_of(path, text, match), page_of(match["file"])
        if page is None or not page.is_file():
            if not any((folder / match["file"]).is_file() for folder in (ROOT, path.parent)):
                yield f"{location}: name a file that exists in place of {match['file']}"
            continue
        named = re.findall(r"\d+", match["numbers"])
        named += [title for title in (match["heading"], match["word"]) if title]
        for section in named:
            if section not in sections(page):
                yield f"{location}: name a section of {name_of(page)} in place of {section}"
    if path.parent == SPECIFICATION:
        # A number without the name of another page is a section of this page.
        for match in SECTION.finditer(blank(REFERENCE, text)):
            if match[1] not in sections(path):
                location = location_of(path, text, match)
                yield f"{location}: name a section of this page, not {match[1]}"


def wrong_links(path: Path, text: str) -> Iterator[str]:
    """Advice for each broken relative link in the document ``path``."""
    for match in LINK.finditer(blank(VERBATIM, text)):
        if re.match(r"[a-z]+:|/", match["target"]):
            continue
        file, _, anchor = match["target"].partition("#")
        target = path.parent / file if file else path
        location = location_of(path, text, match)
        if not target.exists():
            yield f"{location}: link to a file that exists in place of {match['target']}"
        elif anchor and anchor not in anchors(target):
            yield f"{location}: link to a heading that exists in place of {match['target']}"


def blank(pattern: re.Pattern[str], text: str) -> str:
    """Replace the matches in ``text`` by spaces; line numbers stay the same."""
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def location_of(path: Path, text: str, match: re.Match[str]) -> str:
    line = text.count("\n", 0, match.start()) + 1
    return f"{name_of(path)}:{line}"


@advises
def test_references_name_an_existing_page_and_section() -> Iterator[str]:
    for path in (*code(), *documents()):
        yield from wrong_references(path, read(path))


@advises
def test_links_of_documents_name_an_existing_file_and_heading() -> Iterator[str]:
    for path in documents():
        yield from wrong_links(path, read(path))


def test_wrong_reference_is_detected() -> None:
    path = ROOT / "crm/models/leads.py"
    right = '''"""Sealed (privacy.md §2, §3), audited (access.md section 3; states.md,
    "Payments"), planned (events.json, "about"; states.md, CRM), explained (docs/write-paths.md).
    # data-model.md
    # §0
    """'''
    assert [*wrong_references(path, right)] == []
    wrong = '''"""Sealed (privacy.md §2, §9), audited (roles.md §1),
    paid (states.md, "Prices"; states.md, Prices), named (data-model.md
    # §10), explained (docs/paths.md, docs/spec/paths.md).
    """'''
    assert [*wrong_references(path, wrong)] == [
        "crm/models/leads.py:1: name a section of docs/spec/privacy.md in place of 9",
        "crm/models/leads.py:1: name a file that exists in place of roles.md",
        "crm/models/leads.py:2: name a section of docs/spec/states.md in place of Prices",
        "crm/models/leads.py:2: name a section of docs/spec/states.md in place of Prices",
        "crm/models/leads.py:2: name a section of docs/spec/data-model.md in place of 10",
        "crm/models/leads.py:3: name a file that exists in place of docs/paths.md",
        "crm/models/leads.py:3: name a file that exists in place of docs/spec/paths.md",
    ]
    page = SPECIFICATION / "privacy.md"
    assert [*wrong_references(page, "See §5, data-model.md §9.\nSee §6.")] == [
        "docs/spec/privacy.md:2: name a section of this page, not 6"
    ]


def test_wrong_link_is_detected() -> None:
    path = ROOT / "docs/adr/0016-erasure.md"
    right = (
        "[a](0017-data-subject.md), [b](../spec/privacy.md#1-classes), [c](#costs), `[d](no.md)`"
    )
    assert [*wrong_links(path, f"{right}\n\n[e](https://localhost/no.md)")] == [
        "docs/adr/0016-erasure.md:1: link to a heading that exists in place of #costs"
    ]
    wrong = "```\n[a](no.md)\n```\n[b](no.md) [c](../spec/privacy.md#6-more)"
    assert [*wrong_links(path, wrong)] == [
        "docs/adr/0016-erasure.md:4: link to a file that exists in place of no.md",
        "docs/adr/0016-erasure.md:4: link to a heading that exists in place of "
        "../spec/privacy.md#6-more",
    ]
