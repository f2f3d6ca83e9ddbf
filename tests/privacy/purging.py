"""What the tests of purge_expired share."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Event
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import models

from ebalance.db.schema.data_map import Table, tables
from ebalance.privacy import retention
from tests.support import execute


def named(name: str) -> Table:
    return next(table for table in tables() if table.name == name)


def command(*arguments: str, **options: Any) -> str:
    output = io.StringIO()
    call_command("purge_expired", *arguments, stdout=output, stderr=output, **options)
    return output.getvalue()


def refused(*arguments: str, **options: Any) -> tuple[str, str]:
    """What the command prints, and what it fails with."""
    output = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("purge_expired", *arguments, stdout=output, stderr=output, **options)
    return output.getvalue(), str(caught.value)


def purge(name: str, **options: Any) -> retention.Purge:
    given = {"now": retention.database_time(), "batch": 100, "stop": Event(), "patience": 0.0}
    made = retention.purge_of(named(name), **{**given, **options})
    made.run()
    return made


class OnWait(Event):
    """The event by which a run is stopped; a run that waits for it calls `action` instead."""

    def __init__(self, action: Callable[[float], object]) -> None:
        super().__init__()
        self.action = action

    def wait(self, timeout: float | None = None) -> bool:
        self.action(timeout or 0.0)
        return self.is_set()


def before(time: str) -> datetime:
    """This long ago, by the clock of the database."""
    return execute(f"SELECT now() - interval '{time or '0'}' AS moment")[0]["moment"]


def contents() -> dict[str, str]:
    """A hash of every table."""
    found = {}
    for table in tables():
        rows = "coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '')"
        (row,) = execute(f"SELECT {rows} AS hash FROM {table.name} t")
        found[table.name] = row["hash"]
    return found


@contextmanager
def touches(*names: str) -> Iterator[None]:
    """The block changes these tables, and no other."""
    found = contents()
    yield
    now = contents()
    assert {name for name in found if found[name] != now[name]} == {*names}


def there(row: models.Model) -> bool:
    return type(row)._base_manager.filter(pk=row.pk).exists()
