"""Runs benchmarks of this checkout and of another commit alternately, and prints the ratios.

    .venv/bin/python benchmarks/beside_commit.py COMMIT "rotation.py" "purge.py --runs 200000" …

Each benchmark runs twice per checkout. A line with a label, two spaces and a number is a figure.
The ratio is the mean of this checkout divided by that of the other commit.
"""

from __future__ import annotations

import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from common import ROOT

RUNS = 2
FIGURE = re.compile(r"^\s*(?P<label>\S.*?)\s{2,}(?P<number>[\d,.]*\d)(?:\s+\S+)?(?:\s{2,}.*)?$")

type Figures = dict[str, list[float]]


def main(commit: str, benchmarks: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(other), commit],
            cwd=ROOT,
            check=True,
        )
        try:
            for benchmark in benchmarks:
                compare(benchmark, other)
        finally:
            subprocess.run(
                ["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True
            )


def compare(benchmark: str, other: Path) -> None:
    before: Figures = defaultdict(list)
    after: Figures = defaultdict(list)
    for _ in range(RUNS):
        measure(benchmark, other, before)
        measure(benchmark, ROOT, after)
    print(f"\n{benchmark}\n{'':62}{'other':>14}{'this':>14}{'ratio':>8}")
    for label in after:
        if label in before:
            old, new = statistics.mean(before[label]), statistics.mean(after[label])
            ratio = f"{new / old:8.2f}" if old else ""
            print(f"{label:62}{old:14,.2f}{new:14,.2f}{ratio}", flush=True)


def measure(benchmark: str, checkout: Path, figures: Figures) -> None:
    print(f"{benchmark} in {checkout.name} …", file=sys.stderr)
    name, *options = shlex.split(benchmark)
    output = subprocess.run(
        [sys.executable, str(checkout / "benchmarks" / name), *options],
        cwd=checkout,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    section = ""
    for line in output.splitlines():
        if figure := FIGURE.match(line.rstrip()):
            label = f"{section} {figure['label']}".strip()
            figures[label[-60:]].append(float(figure["number"].replace(",", "")))
        elif line and not line.startswith(" "):
            section = line.partition(":")[0]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
