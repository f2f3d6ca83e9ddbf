"""Whether the conditions of a Contract hold, asked before the first statement of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError, transaction

from ebalance.db.backfills import BackfillError, declared_backfills, is_done, is_obsolete
from ebalance.db.operations import Contract

from .releases import release_of

CHECK_TIMEOUT = "2min"


def faults_of_contract(migration: Any, contract: Contract, executor: Any) -> Iterator[str]:
    """Why ``migration``, which has this ``contract``, may not run yet."""
    loader = executor.loader
    app_label, _, prefix = contract.expand.partition(".")
    names = [
        name for app, name in loader.disk_migrations if app == app_label and name.startswith(prefix)
    ]
    if len(names) != 1:
        yield f"has a Contract for {contract.expand}, which is no migration"
        return
    expand = loader.disk_migrations[app_label, names[0]]
    if (app_label, names[0]) not in loader.applied_migrations:
        yield (
            f"removes what {contract.expand} replaces, which is not applied yet. "
            f"Deploy release {contract.released} first, then this one."
        )
        return
    if release_of(expand) not in {None, contract.released}:
        yield (
            f"names release {contract.released} for {contract.expand}, which is in "
            f"{release_of(expand)}"
        )
    ancestors = loader.graph.forwards_plan((migration.app_label, migration.name))
    for job in declared_backfills(loader).values():
        if job.app_label != app_label or not (
            job.is_applied(loader) or (app_label, job.migration) in ancestors
        ):
            continue
        try:
            is_open = not job.is_applied(loader) or not (is_obsolete(job) or is_done(job))
        except (DatabaseError, BackfillError) as error:
            yield f"needs the backfill {job.name}, which cannot be checked: {error}"
            continue
        if is_open:
            yield (
                f"needs the backfill {job.name}, which is not done. Deploy release "
                f"{contract.released}, run `manage.py backfill {job.name}`, then deploy this one."
            )
    try:
        is_violated = contract.check and _selects_rows(contract.check, executor.connection)
    except DatabaseError as error:
        yield f"has a check that fails: {error}"
    else:
        if is_violated:
            # No value of a row: this line is kept in logs.
            yield f"would lose data: its check selects rows ({contract.check})"


def _selects_rows(sql: str, connection: Any) -> bool:
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(
            f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '{CHECK_TIMEOUT}'"
        )
        cursor.execute(f"SELECT EXISTS ({sql.rstrip().rstrip(';')}\n)")
        return cursor.fetchone() == (True,)
