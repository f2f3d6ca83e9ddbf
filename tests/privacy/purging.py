"""Shared by the tests of purge_expired."""

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
    """The output of the command, and the message with which it fails."""
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
    """The stop event of a run. A run that waits for the event calls ``action`` instead."""

    def __init__(self, action: Callable[[float], object]) -> None:
        super().__init__()
        self.action = action

    def wait(self, timeout: float | None = None) -> bool:
        self.action(timeout or 0.0)
        return self.is_set()


def before(time: str) -> datetime:
    """The time this long ago, by the clock of the database."""
    return execute(f"SELECT now() - interval '{time or '0'}' AS earlier")[0]["earlier"]


def contents() -> dict[str, str]:
    """A hash of every table."""
    hashes = {}
    for table in tables():
        rows = "coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '')"
        (row,) = execute(f"SELECT {rows} AS hash FROM {table.name} t")
        hashes[table.name] = row["hash"]
    return hashes


@contextmanager
def touches(*names: str) -> Iterator[None]:
    """The block changes these tables only."""
    previous = contents()
    yield
    now = contents()
    assert {name for name in previous if previous[name] != now[name]} == {*names}


def exists(row: models.Model) -> bool:
    return type(row)._base_manager.filter(pk=row.pk).exists()
