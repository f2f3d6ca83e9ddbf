"""Columns of one kind refuse the same things wherever they stand: slugs, codes, zones, seals …

The columns come from the catalog, so that a new one is tried by itself.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from django.db import IntegrityError, models, transaction

from ebalance.db.sealed import UnsealedValue
from tests.db import catalog
from tests.factories import FACTORIES
from tests.support import (
    check_full_clean,
    columns_of,
    execute,
    insert_row,
    insert_sql,
    refuses,
    save_related,
)

pytestmark = pytest.mark.django_db


def seal(key: str = "k1", size: int = 29) -> str:
    return f"v1.{key}.{base64.urlsafe_b64encode(bytes(size)).decode().rstrip('=')}"


# Suffix of the rule: what is accepted, what is refused.
KINDS: dict[str, tuple[list[str], list[str]]] = {
    "is_slug": (
        ["a", "7", "trevoga", "kak-spat-7-nochej", "a" * 120],
        ["", "-a", "a-", "a--b", "A", "тревога", "a_b", "a b", "a\n", "a" * 121],
    ),
    "is_code": (
        ["a", "panic", "a_1", "a" * 60],
        ["", "_a", "1a", "A", "a-b", "a b", "код", "a\n", "a" * 61],
    ),
    "not_blank": (
        ["Тревога", " x ", "0"],
        ["", " ", "\t\n", "\u00a0", "\u200b\ufeff", "\u2003\u3000", "\u2800"],
    ),
    "is_iana_zone": (
        [
            "UTC",
            "Europe/Moscow",
            "America/Argentina/Buenos_Aires",
            "America/Port-au-Prince",
            "Etc/GMT+12",
            "EST5EDT",
        ],
        [
            "",
            "MSK",
            "Moscow",
            "europe/moscow",
            "Europe/Moscow ",
            "Europe/Atlantis",
            "UTC+3",
            "GMT+3",
            "Foo3",
            "+03",
            "posix/Europe/Moscow",
            "Etc/GMT+13",
            "localtime",
        ],
    ),
    "is_opaque": (
        ["abcdEF12", "a-b_c-d_", "0" * 8, "x" * 64],
        ["", "short77", "x" * 65, "with space", "кириллица", "a.b.c.d.e", "abcdefgh\n"],
    ),
    "is_sealed": (
        [seal(), seal("a1b2c3d4e5f6g7h8"), seal(size=30), seal(size=100_000)],
        [
            "",
            "Мне очень тревожно",
            '{"mood": 3}',
            seal(size=28),
            seal().replace("v1", "v2"),
            seal("K1"),
            seal("a" * 17),
            seal(""),
            seal() + "=",
            seal() + "\n",
            f" {seal()}",
            seal().replace("A", "/", 1),
            seal(size=30)[:-1] + "AA",  # 4n+1 characters: no base64 has them
            seal() + " мне плохо",
        ],
    ),
    "is_blind_index": (
        [seal(size=32), seal("k2", 32)],
        ["", "a@example.com", "+79991234567", seal(size=31), seal(size=33), seal(size=32) + "\n"],
    ),
}


def targets(suffix: str) -> list[str]:
    """``table.column`` of every column with a rule of this kind, from the models."""
    found = []
    for model in catalog.project_models():
        names = {constraint.name for constraint in model._meta.constraints}
        found += [
            f"{model._meta.db_table}.{f.column}"
            for f in model._meta.concrete_fields
            if f"{model._meta.db_table}_{f.column}_{suffix}" in names
        ]
    return found


TARGETS = [(suffix, target) for suffix in KINDS for target in targets(suffix)]


# Rows in which the column stands alone or with its partner.
TRAITS = {
    "lead_identities.phone_encrypted": {"by_phone": True},
    "lead_identities.phone_bidx": {"by_phone": True},
}


def good_row(target: str) -> models.Model:
    instance = FACTORIES[catalog.model_of(target.split(".")[0])].build(**TRAITS.get(target, {}))
    save_related(instance)
    return instance


def row_with(target: str, value: Any) -> models.Model:
    instance, column = good_row(target), target.split(".")[1]
    field = next(f for f in instance._meta.concrete_fields if f.column == column)
    setattr(instance, field.attname, value)
    return instance


each_column = pytest.mark.parametrize(
    ("suffix", "target"), TARGETS, ids=[f"{target} {suffix}" for suffix, target in TARGETS]
)


@each_column
def test_a_column_takes_what_is_of_its_kind_and_nothing_else(suffix: str, target: str) -> None:
    """By the CHECK alone, so that other rules of the row stay out."""
    table, column = target.split(".")
    (check,) = execute(
        "SELECT pg_get_expr(conbin, conrelid) AS sql FROM pg_constraint WHERE conname = %s",
        [f"{table}_{column}_{suffix}"],
    )
    holds = re.sub(rf"\b{column}\b", "value", check["sql"])
    good, bad = KINDS[suffix]
    rows = execute(
        f"SELECT value, {holds} AS holds FROM unnest(%s::text[]) AS value", [[*good, *bad]]
    )
    assert {row["value"] for row in rows if row["holds"]} == set(good)
    assert {row["value"] for row in rows if not row["holds"]} == set(bad)


@each_column
def test_a_row_with_something_else_is_refused(suffix: str, target: str) -> None:
    table, column = target.split(".")
    rule = f"{table}_{column}_{suffix}"
    value = KINDS[suffix][1][1]
    if suffix in {"is_sealed", "is_blind_index"}:
        with pytest.raises(UnsealedValue) as caught:
            row_with(target, value)
        assert value not in str(caught.value)
        with refuses(rule, table):
            insert_row(table, columns_of(good_row(target)) | {column: value})
        return
    with refuses(rule, table):
        insert_sql(row_with(target, value))
    check_full_clean(row_with(target, value), rule)
    with refuses(rule, table):
        row_with(target, value).save()


def test_the_zones_are_those_the_server_knows() -> None:
    odd = execute(
        """
        SELECT name FROM pg_timezone_names
        WHERE name !~ '^(posix|right)/' AND name NOT IN ('localtime', 'posixrules')
          AND NOT is_time_zone(name)
        """
    )
    assert odd == []


def moments() -> list[str]:
    return [
        f"{model._meta.db_table}.{f.column}"
        for model in catalog.project_models()
        for f in model._meta.concrete_fields
        if f.get_internal_type() in {"DateTimeField", "DateField"}
        and f.name != "due_at"  # the database overwrites whatever it is given
    ]


@pytest.mark.parametrize("target", moments())
@pytest.mark.parametrize("value", ["infinity", "-infinity"])
def test_no_moment_is_infinite(target: str, value: str) -> None:
    """Whichever CHECK is asked first: it would slip through a comparison."""
    instance = row_with(target, value)
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        insert_sql(instance)
    assert caught.value.__cause__.diag.sqlstate == "23514"
