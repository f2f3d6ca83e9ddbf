"""The database's clock in tests: rules and the audit log ask ``fact_clock()`` for the time.

The template of the test databases has a ``fact_clock()`` that reads the setting
``tests.fact_clock``; without the setting it is the clock itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

LATE = "2199-01-01Z"
REPLACED = """
CREATE OR REPLACE FUNCTION public.fact_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    PARALLEL SAFE
    RETURN coalesce(nullif(current_setting('tests.fact_clock', true), '')::timestamptz,
                    clock_timestamp())
"""


def _set(value: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('tests.fact_clock', %s, false)", [value])


@contextmanager
def fact_clock_at(time: datetime | str) -> Iterator[None]:
    """Set the clock of the rules to ``time`` for this session."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('tests.fact_clock', true)")
        (before,) = cursor.fetchone()
    _set(str(time))
    try:
        yield
    finally:
        _set(before or "")


def restore_fact_clock() -> None:
    """Make ``fact_clock()`` the function of the migrations again, in the connected database."""
    path = Path(settings.BASE_DIR) / "identity" / "migrations" / "sql" / "0001_functions.sql"
    pattern = r"CREATE (FUNCTION public\.fact_clock\(\).*?;)"
    (definition,) = re.findall(pattern, path.read_text(), re.DOTALL)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE OR REPLACE {definition}")
