"""Checks the language of the project (`make lint`); see CONTRIBUTING.md, "Language".

* Names: no word of WORDS_IN_NAMES in a name that is defined (function, class, argument, variable).
* Prose: docstrings, comments and Markdown. No sentence opens with a word of OPENINGS, and no word
  of WORDS_IN_PROSE occurs.
* Tests: a name begins with its subject and has at most 70 characters.

ALLOWED lists exceptions, each with its reason. Prints file, line and rule, and exits 1 if there is
a fault. Arguments are paths; without any, all files of the repository are checked.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST_TEST_NAME = 70

# fmt: off
WORDS_IN_NAMES = {
    "tell", "tells", "telling", "told", "say", "says", "said", "found", "held", "here", "moment",
    "moments", "whose", "way", "ways", "seat", "seats", "place", "places", "meddling", "stranger",
    "strangers", "whoever", "somebody", "anybody", "nobody", "verb", "verbs",
}
TEST_OPENINGS = {
    "what", "who", "whose", "which", "it", "its", "is", "are", "was", "has", "they", "cannot",
}
# fmt: on
OPENINGS = re.compile(r"(?:What|Whose|Who|Whoever|Whatever|Whichever|Whom|Nobody|Somebody)\b[^?]*$")
WORDS_IN_PROSE = re.compile(
    r"\b(?:tells?|telling|told|says?|saying|said|stands?|stood|comes?|came|goes|gone|went|"
    r"whoever|whomever|thereby|thereof|verbs?)\b",
    re.IGNORECASE,
)
# A name, or a phrase of the prose, that may stay, and the reason.
ALLOWED: dict[str, str] = {
    "NotFound": "the usual name of this error; its code is not_found",
    "PersonNotFound": "the usual name of this error",
    "held": "a trait of AppointmentFactory, beside paid and confirmed",
    "stand-in": "a noun: the replacement of an exception (ebalance/redaction)",
}
ALLOWED_PHRASES = re.compile("|".join(map(re.escape, ALLOWED)))

Fault = tuple[int, str]


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """All names that a module defines, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.alias(asname=str(name)):
                yield node.lineno, name


def words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def faults_of_names(tree: ast.AST) -> Iterator[Fault]:
    for line, name in names(tree):
        for word in words(name):
            if word in WORDS_IN_NAMES and name not in ALLOWED:
                yield line, f"name {name}: not {word!r}"
        if name.startswith("test_"):
            if len(name) > LONGEST_TEST_NAME:
                yield line, f"name {name}: {len(name)} characters, at most {LONGEST_TEST_NAME}"
            if name.split("_")[1] in TEST_OPENINGS:
                yield line, f"name {name}: begin with the subject"


def docstring(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        match node.body[:1]:
            case [ast.Expr(value=ast.Constant(value=str(text)))]:
                yield node.body[0].lineno, text


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Blocks of comments; the lines of a block follow each other."""
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != last + 1:
            yield last - len(block) + 1, "\n".join(block)
            block = []
        block.append(token.string.lstrip("# "))
        last = token.start[0]
    if block:
        yield last - len(block) + 1, "\n".join(block)


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """The sentences of a text and the lines in which they begin; code and quotations are cut."""
    plain = re.sub(r"``[^`]*``|`[^`\n]*`|\"[^\"\n]*\"|«[^»]*»", "`", text)
    start = 0
    for end in re.finditer(r"(?<=[.!?:])\s+(?=[A-Z`])|\n\s*\n|\n\s*[*|-] |$", plain):
        sentence = plain[start : end.start()]
        stripped = sentence.strip(" \n*|-#>")
        if stripped:
            yield plain.count("\n", 0, start + sentence.index(stripped)), stripped
        start = end.end()


def faults_of_prose(first: int, text: str) -> Iterator[Fault]:
    for offset, sentence in sentences(text):
        if OPENINGS.match(sentence):
            yield first + offset, f"opens with a pronoun: {' '.join(sentence.split())[:60]}"
        for word in WORDS_IN_PROSE.findall(ALLOWED_PHRASES.sub("", sentence)):
            yield first + offset, f"{word!r}: {' '.join(sentence.split())[:90]}"


def faults_of_file(path: Path) -> Iterator[Fault]:
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        headings_and_code = r"(?ms)^```.*?^```|^#+ [^\n]*"
        text = re.sub(headings_and_code, lambda match: "\n" * match[0].count("\n"), source)
        yield from faults_of_prose(1, text)
        return
    tree = ast.parse(source)
    yield from faults_of_names(tree)
    for node in ast.walk(tree):
        for first, text in docstring(node):
            yield from faults_of_prose(first, text)
    for first, text in comments(source):
        yield from faults_of_prose(first, text)


def all_files() -> list[Path]:
    """Python and English Markdown under version control."""
    git = ["git", "ls-files", "-z", "--", "*.py", "*.md", ":!:*.ru.*"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def main(arguments: list[str]) -> int:
    paths = [Path(argument).resolve() for argument in arguments] or all_files()
    count = 0
    for path in paths:
        for line, fault in sorted(faults_of_file(path)):
            print(f"{path.relative_to(ROOT)}:{line}: {fault}")
            count += 1
    print(f"Language: {len(paths)} files, {count} faults.")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
