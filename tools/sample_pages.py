"""Compares ten pages of two commits: tools/sample_pages.py BEFORE [AFTER].

Chooses five modules, two tests, two documents and the README with a fixed seed, follows renamed
files, and prints a Markdown table with the faults that tools/prose.py reports in each version.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path

from prose import faults_of_file

ROOT = Path(__file__).resolve().parent.parent
SEED = 13
APPS = ("audit/", "identity/", "content/", "interactive/", "crm/", "booking/", "ugc/", "ebalance/")
SMALLEST = 2_000  # bytes; a smaller file has little prose


def git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def renamed_pages(before: str, after: str) -> list[tuple[str, str]]:
    """The paths of all pages that exist in both commits: before, after."""
    listed = git("ls-tree", "-r", "--name-only", after).split()
    unchanged = set(git("ls-tree", "-r", "--name-only", before).split()) & {*listed}
    pages = [(path, path) for path in unchanged]
    for line in git(
        "diff", "-M30%", "--diff-filter=R", "--name-status", before, after
    ).splitlines():
        _, old, new = line.split("\t")
        pages.append((old, new))
    return sorted(pages, key=lambda page: page[1])


def choose(pages: list[tuple[str, str]], after: str) -> list[tuple[str, str]]:
    def large(path: str) -> bool:
        return int(git("cat-file", "-s", f"{after}:{path}")) >= SMALLEST

    def sample(count: int, wanted: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return sorted(dice.sample([page for page in wanted if large(page[1])], count))

    dice = random.Random(SEED)
    python = [page for page in pages if page[1].endswith(".py") and "migrations" not in page[1]]
    modules = [page for page in python if page[1].startswith(APPS)]
    tests = [page for page in python if "/test_" in page[1]]
    documents = [page for page in pages if page[1].startswith("docs/") and page[1].endswith(".md")]
    readme = [page for page in pages if page[1] == "README.md"]
    return [*sample(5, modules), *sample(2, tests), *sample(2, documents), *readme]


def count_faults(commit: str, path: str) -> int:
    with tempfile.NamedTemporaryFile(suffix=Path(path).suffix) as copy:
        copy.write(git("show", f"{commit}:{path}").encode())
        copy.flush()
        return len(list(faults_of_file(Path(copy.name))))


def main(before: str, after: str = "HEAD") -> None:
    after = git("rev-parse", "--short", after).strip()
    print("| page | before | after | faults |\n|---|---|---|---|")
    for old, new in choose(renamed_pages(before, after), after):
        faults = f"{count_faults(before, old)} → {count_faults(after, new)}"
        print(f"| `{new}` | `git show {before}:{old}` | `git show {after}:{new}` | {faults} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
