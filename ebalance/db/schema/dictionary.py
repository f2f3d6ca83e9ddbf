"""The data dictionary: every table and column with its class, as Markdown."""

from itertools import groupby
from pathlib import Path

from django.conf import settings
from django.db import connection

from .classification import IDENTIFIES_NO_PERSON
from .data_map import Column, Table, tables, views

FILE = Path(settings.BASE_DIR) / "docs" / "data-dictionary.md"

HEAD = """\
# Data dictionary

Written by `manage.py data_dictionary` from the declarations of the models; do not edit it by hand.

- **Class**: P0 safe, P1 personal, P2 sensitive. `ebalance_analyst` reads P0 and nothing else.
- **At erasure**: the effect of a person's erasure on the column. Kept without a reason: the column
  identifies nobody.
- **In export**: whether the copy of a person's data has the column.
- **Kept**: how long all rows are kept; `manage.py purge_expired` removes them afterwards.
"""
COLUMNS = ["Column", "Type", "Null", "Class", "Meaning", "At erasure", "In export"]


def render() -> str:
    """The whole document. Needs the models only, no database."""
    parts = [HEAD]
    for domain, members in groupby(tables(), key=lambda table: table.domain):
        parts.append(f"## {domain}\n")
        parts += [_table(table) for table in members]
        parts += [_view(view) for view in views() if view.domain == domain]
    return "\n".join(parts)


def _table(table: Table) -> str:
    return _section(table, f"Kept {table.retention}.\n")


def _view(view: Table) -> str:
    return _section(view, "A view, which stores nothing.\n")


def _section(relation: Table, kept: str) -> str:
    rows = [COLUMNS, ["---"] * len(COLUMNS), *(_row(column) for column in relation.columns)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"### {relation.name}\n", f"{relation.meaning}.\n", kept, *lines, ""])


def _row(column: Column) -> list[str]:
    field = column.field
    erasure = column.erasure
    return [
        f"`{column.name}`",
        (field.db_type(connection) or "") if field else "",
        "yes" if field and field.null else "",
        column.privacy,
        column.declared.meaning.replace("|", r"\|"),
        "kept" if erasure == IDENTIFIES_NO_PERSON else str(erasure),
        "yes" if column.in_export else "",
    ]
