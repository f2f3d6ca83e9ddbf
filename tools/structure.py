"""Checks the structure of the application (`make lint`), described in docs/architecture.md.

* No circle of imports between modules.
* No module over 400 lines, except migrations.
* No `apps.get_model()` in an app, because it would hide an import.
* No SQL on a table of another app, except in the roofs.

import-linter checks the direction of imports by the contracts in pyproject.toml. Prints the faults
and exits 1 if there is one.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parent.parent
APPS = ("audit", "identity", "content", "interactive", "crm", "booking", "ugc")
PACKAGES = ("ebalance", *APPS)
MAX_LINES = 400
TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+(?:ONLY\s+)?(?:public\.)?\"?([a-z_]+)")
# Allowed SQL on a table of another app, each with its reason.
FOREIGN_SQL = {
    # A trigger checks that the person was erased before it lets an entry be emptied.
    ("audit/models/log.py", "users"),
    # A trigger lets a paid session lose its client only to erasure, and follow a merge of its lead.
    ("booking/models/paid_sessions.py", "users"),
    ("booking/models/paid_sessions.py", "leads"),
    # A trigger asks before a message is sent whether its person was erased and has agreed.
    ("booking/models/message_rules.py", "users"),
    ("booking/models/message_rules.py", "leads"),
    ("booking/models/message_rules.py", "lead_identities"),
    ("booking/models/message_rules.py", "consents"),
    # Metrics count facts of the apps below their own in one statement.
    ("crm/metrics.py", "interactive_definitions"),
    ("crm/metrics.py", "interactive_runs"),
    ("crm/metrics.py", "interactive_run_totals"),
    ("booking/metrics.py", "analytics_events"),
}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT)


def circles(imports: Mapping[str, set[str]]) -> Iterator[str]:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        yield "circle of imports: " + " -> ".join(reversed(error.args[1]))


def import_graph() -> dict[str, set[str]]:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}


def long_modules(paths: Iterator[Path]) -> Iterator[str]:
    for path in paths:
        lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            yield f"{path}: {lines} lines; cut it at a seam (at most {MAX_LINES})"


def hidden_imports(path: Path, tree: ast.AST) -> Iterator[str]:
    if path.parts[0] not in APPS:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "get_model":
            yield f"{path}:{node.lineno}: import the model instead of calling get_model()"


def foreign_sql(path: Path, tree: ast.AST, owners: Mapping[str, str]) -> Iterator[str]:
    app = path.parts[0]
    if app not in APPS:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for table in dict.fromkeys(TABLE.findall(node.value)):
                owner = owners.get(table, app)
                if owner != app and (str(path), table) not in FOREIGN_SQL:
                    yield f"{path}:{node.lineno}: SQL on {table}, a table of {owner}"


def table_owners() -> dict[str, str]:
    """The app of each table."""
    from django.apps import apps

    return {
        model._meta.db_table: label
        for label in APPS
        for model in apps.get_app_config(label).get_models()
    }


def faults() -> Iterator[str]:
    yield from circles(import_graph())
    yield from long_modules(modules())
    owners = table_owners()
    for path in modules():
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        yield from hidden_imports(path, tree)
        yield from foreign_sql(path, tree, owners)


def main() -> int:
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")
    import django

    django.setup()
    lines = [*faults()]
    print("".join(f"{line}\n" for line in lines), end="", flush=True)
    config = str(ROOT / "pyproject.toml")
    return 1 if lint_imports(config_filename=config, no_cache=True, no_logo=True) or lines else 0


if __name__ == "__main__":
    sys.exit(main())
