from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ebalance.metrics import Period
from ebalance.reports.figures import read_metrics


class Command(BaseCommand):
    help = "Print the metrics of a period. Only reads; works on a standby too."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        for name, dest, default in (
            ("--from", "first", "30 days in all"),
            ("--to", "last", "today"),
        ):
            parser.add_argument(
                name, dest=dest, type=parse_day, metavar="DATE", help=f"a day (default: {default})"
            )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, first: date | None, last: date | None, **options: Any) -> None:
        try:
            figures = read_metrics(Period.choose(first, last))
        except ValueError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(figures, ensure_ascii=False, indent=2))
        else:
            self.stdout.write("\n".join(list_lines(figures)))


def parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text} is not a date, for example 2026-11-30.") from None


def list_lines(figures: Any, indent: str = "") -> Iterator[str]:
    """A figure a line; the figures of a group are indented below its name."""
    items = figures.items() if isinstance(figures, dict) else enumerate(figures, 1)
    for name, value in items:
        if isinstance(value, dict | list) and value:
            yield f"{indent}{name}"
            yield from list_lines(value, indent + "  ")
        else:
            yield f"{indent}{name}: {'–' if value is None or value in ({}, []) else value}"
