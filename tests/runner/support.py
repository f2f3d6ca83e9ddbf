"""A copy of the project's migrations, to which a test adds its own."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import override_settings

from ebalance.db.apps import PROJECT_APPS
from ebalance.db.runner import releases
from tests.databases import Database, default_connection_on

_numbers = itertools.count()
FILE = '''"""A migration of a test.

{note}
"""

import django.contrib.postgres.operations
import pgtrigger.compiler
import pgtrigger.migrations
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models
from django.db.models import F, Q

import ebalance.db.ids
import ebalance.db.operations
from ebalance.db import rules
from ebalance.db.operations import *

{head}

class Migration(migrations.Migration):
    {attributes}
    dependencies = {dependencies}
    operations = [
{operations}
    ]
'''
NOTE = "Rollback note: run `DROP TABLE what_it_made`; nothing is lost."

SERVICE = """
    INSERT INTO services (id, slug, title, description_markdown, format, duration_minutes,
                          price_amount, status)
    VALUES (uuid7(), 'talk', 'Talk', 'Text', 'online', 50, 5000, 'draft')
"""


class Project:
    """Migrations in packages of a temporary folder, applied to a database of the test."""

    def __init__(self, folder: Path, database: Database, blocker: Any) -> None:
        self.blocker = blocker
        self.role = ""  # that migrates; by default the one that connects
        self.package = f"migrations_of_test_{os.getpid()}_{next(_numbers)}"
        self.folder = folder
        self.database = database
        root = folder / self.package
        root.mkdir()
        (root / "__init__.py").touch()
        for app in PROJECT_APPS:
            shutil.copytree(
                Path(settings.BASE_DIR, app, "migrations"),
                root / app,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        self.modules = {app: f"{self.package}.{app}" for app in PROJECT_APPS}

    def path(self, app: str, name: str) -> Path:
        return self.folder / self.package / app / f"{name}.py"

    def remove_unreleased(self) -> None:
        """Remove the copies of migrations that no release has."""
        released = {line.path for line in releases.released_files(Path(settings.BASE_DIR))}
        for app in PROJECT_APPS:
            for path in (self.folder / self.package / app).glob("[0-9]*.py"):
                if f"{app}/migrations/{path.name}" not in released:
                    path.unlink()

    def add(
        self,
        app: str,
        name: str,
        operations: str,
        *,
        note: str = NOTE,
        head: str = "",
        attributes: str = "",
    ) -> None:
        """Write a migration after the last one of ``app``."""
        folder = self.folder / self.package / app
        last = max(path.stem for path in folder.glob("[0-9]*.py"))
        dependencies = repr([(app, last)])
        self.path(app, name).write_text(
            FILE.format(
                note=note,
                head=head,
                attributes=attributes,
                dependencies=dependencies,
                operations=indent(operations.strip().rstrip(",") + ",", " " * 8),
            )
        )

    @contextmanager
    def active(self, environment: str = "prod") -> Iterator[None]:
        """Use the migrations and the database in this process."""
        sys.path.insert(0, str(self.folder))
        options = {**connection.settings_dict["OPTIONS"]}
        if self.role:
            options["assume_role"] = self.role
        try:
            with (
                self.blocker.unblock(),
                override_settings(MIGRATION_MODULES=self.modules, ENVIRONMENT=environment),
                patch.dict(connection.settings_dict, OPTIONS=options),
                default_connection_on(self.database),
            ):
                yield
        finally:
            sys.path.remove(str(self.folder))

    def migrate(self, *arguments: str, environment: str = "prod", **options: Any) -> str:
        """The output of ``migrate``. Raises CommandError."""
        output = io.StringIO()
        with self.active(environment):
            call_command(
                "migrate",
                *arguments,
                interactive=False,
                verbosity=0,
                stdout=output,
                stderr=output,
                **options,
            )
        return output.getvalue()

    def refusal(self, *arguments: str, environment: str = "prod", **options: Any) -> str:
        """The refusal of ``migrate``, or an empty string if it succeeds."""
        try:
            self.migrate(*arguments, environment=environment, **options)
        except CommandError as error:
            return str(error)
        return ""

    def start(self, *arguments: str, environment: str = "dev") -> subprocess.Popen[str]:
        """``migrate`` as a process of its own."""
        module = self.folder / "settings_of_test.py"
        module.write_text(
            "from ebalance.settings import *\n"
            f"MIGRATION_MODULES = {self.modules!r}\nENVIRONMENT = {environment!r}\n"
        )
        return subprocess.Popen(
            [sys.executable, "manage.py", "migrate", "--no-input", *arguments],
            cwd=settings.BASE_DIR,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "settings_of_test",
                "PYTHONPATH": str(self.folder),
                "DATABASE_URL": self.database.url,
                "EBALANCE_ENV": "dev",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def execute(self, sql: str, params: Any = None) -> list[tuple[Any, ...]]:
        """Execute SQL as another client would, and return its rows."""
        with self.database.connect(autocommit=True) as connection:
            cursor = connection.execute(sql, params)
            return cursor.fetchall() if cursor.description else []

    def applied(self, app: str) -> list[str]:
        return [
            name
            for (name,) in self.execute(
                "SELECT name FROM django_migrations WHERE app = %s ORDER BY id", [app]
            )
        ]


def one(rows: list[tuple[Any, ...]]) -> Any:
    ((value,),) = rows
    return value
