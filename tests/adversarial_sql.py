"""SQL that an attacker with a connection may send beside plain statements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, connection, models, transaction

from tests.support import execute


@contextmanager
def refuses_by_any_rule() -> Iterator[None]:
    """Like ``refuses()``, but accept any rule."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():  # noqa: PT012
        yield
        connection.check_constraints()
    assert caught.value.__cause__.diag.sqlstate.startswith("23")


def rename_key(row: models.Model) -> None:
    """Change the row's key, with the check of its references deferred to the end."""
    execute("SET CONSTRAINTS ALL DEFERRED")
    execute(f'UPDATE "{row._meta.db_table}" SET id = public.uuid7() WHERE id = %s', [row.pk])


def shadow_equality_operator(of_type: str, *, answer: bool) -> None:
    """Put an operator ``=`` that always returns ``answer`` before the server's own."""
    execute(
        f"""
        CREATE SCHEMA strange;
        CREATE FUNCTION strange.same({of_type}, {of_type}) RETURNS boolean
            LANGUAGE sql RETURN {answer};
        CREATE OPERATOR strange.=
            (LEFTARG = {of_type}, RIGHTARG = {of_type}, FUNCTION = strange.same);
        SET LOCAL search_path = strange, pg_catalog, public
        """
    )


def update_through_a_view(row: models.Model, column: str, value: object) -> None:
    table = row._meta.db_table
    execute(f'CREATE TEMPORARY VIEW "same" AS SELECT * FROM "{table}"')
    execute(f'UPDATE "same" SET "{column}" = %s', [value])


def delete_in_a_cte(row: models.Model) -> None:
    table, key = row._meta.db_table, row._meta.pk.column
    execute(
        f'WITH gone AS (DELETE FROM "{table}" WHERE "{key}" = %s RETURNING 1) '
        "SELECT count(*) FROM gone",
        [row.pk],
    )


def delete_by_merge(row: models.Model) -> None:
    table, key = row._meta.db_table, row._meta.pk.column
    execute(
        f'MERGE INTO "{table}" kept USING (SELECT 1) AS source ON kept."{key}" = %s '
        "WHEN MATCHED THEN DELETE",
        [row.pk],
    )


each_stealthy_delete = pytest.mark.parametrize("delete", [delete_in_a_cte, delete_by_merge])
