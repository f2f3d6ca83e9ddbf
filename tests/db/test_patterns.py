"""All columns of one kind refuse the same values: slugs, codes, zones, seals …

The columns are read from the models, so that a new one is tested automatically.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from django.db import models

from ebalance.db.apps import PROJECT_APPS
from ebalance.db.encryption.fields import UnsealedValue
from ebalance.db.times import TimeFromDatabase
from tests.db import catalog
from tests.factories import FACTORIES
from tests.rule_cases import diagnosis
from tests.support import (
    case_loop,
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


URLS = [
    "https://example.com/",
    "https://sub.example.com:8443/a/b.webp?c=d&e=%20#f",
    "https://пример.рф/статья",
    "https://xn--e1afmkfd.xn--p1ai",
    "https://example.com/@name",
    "https://example.com?a=b",
]
NO_URLS = [
    "http://example.com",
    "HTTPS://example.com",
    "javascript:alert(1)",
    "data:text/html,x",
    "//example.com",
    "https:example.com",
    "https:///example.com",
    "https://",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://good.ru\\@evil.ru/",
    "https://good.ru\uff20evil.ru/",
    "https://a..ru",
    "https://-a.ru",
    "https://a.ru:port",
    "https://exa mple.com",
    "https://example.com/a b",
    "https://example.com/\u00a0",
    "https://example.com/\u200b",
    "https://example.com/\u202egpj.exe",
    "https://example.com/\u2028",
    "https://example.com/\u2066a",
    "https://example.com/\ufeff",
    "https://example.com/\x85",
    "https://example.com/\U000e0041",
    "https://example.com/\x07",
    "https://example.com/\n",
    "https://example.com/<b>",
    " https://example.com",
]
# Suffix of the rule: what is accepted, what is refused.
KINDS: dict[str, tuple[list[str], list[str]]] = {
    "is_slug": (
        ["a", "7", "trevoga", "kak-spat-7-nochej", "a" * 120],
        ["", "-a", "a-", "a--b", "A", "тревога", "a_b", "a b", "a\n"],
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
            "Anna/Ivanova",
            "Ivanova",
            "GMT+",
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
        ["abcdEF12", "a-b_c-d_", "0000000x", "-_-_-_-x", "x" * 64],
        [
            "",
            "short77",
            "79991234567",
            "-" * 8,
            "with space",
            "кириллица",
            "a.b.c.d.e",
            "abcdefgh\n",
        ],
    ),
    "is_external_id": (
        ["a", "7a", "payment.succeeded:2d9f-0~1", "2d9f0c11-000f-5000-8000-1b68e7b15f3f"],
        ["", "79991234567", "+7999a", "Иван Петров", "ivan@example.com", "a b", "-a", "a/b", "a\n"],
    ),
    "is_https": (
        ["https://a.ru", *URLS],
        ["", "/a", *NO_URLS],
    ),
    "is_address": (
        ["/", "/media/a.webp", "/a?b=c#d", "/статья", *URLS],
        ["", "media/a", "//evil.ru", "///evil.ru", "/\\evil.ru", "/a//b\u200b", *NO_URLS],
    ),
    "is_object_key": (
        ["a", "exports/a-b.zip", "2026/01/a.webp", "a/b/c/d.mp3"],
        [
            "",
            "../a.webp",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b.webp",
            "a..b",
            "..%2fa.webp",
            "a%2fb",
            r"a\b",
            ".htaccess",
            "a/.b",
            "A.webp",
            "а.webp",
            "a b",
            "a\n",
        ],
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
    columns = []
    for model in catalog.project_models():
        names = {constraint.name for constraint in model._meta.constraints}
        columns += [
            f"{model._meta.db_table}.{f.column}"
            for f in model._meta.concrete_fields
            if f"{model._meta.db_table}_{f.column}_{suffix}" in names
        ]
    return columns


# Traits of rows in which the column is set alone or with its partner.
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


each_kind = pytest.mark.parametrize("suffix", KINDS)


@each_kind
def test_checks_accept_their_kind_and_nothing_else(suffix: str) -> None:
    """Evaluates the CHECK alone, without other rules of the row."""
    good, bad = KINDS[suffix]
    with case_loop() as case:
        for target in targets(suffix):
            with case(target):
                table, column = target.split(".")
                (check,) = execute(
                    "SELECT pg_get_expr(conbin, conrelid) AS sql FROM pg_constraint "
                    "WHERE conname = %s",
                    [f"{table}_{column}_{suffix}"],
                )
                holds = re.sub(rf"\b{column}\b", "value", check["sql"])
                rows = execute(
                    f"SELECT value, {holds} AS holds FROM unnest(%s::text[]) AS value",
                    [[*good, *bad]],
                )
                assert {row["value"] for row in rows if row["holds"]} == set(good)
                assert {row["value"] for row in rows if not row["holds"]} == set(bad)


def app_of(target: str) -> str:
    return catalog.model_of(target.split(".")[0])._meta.app_label


@pytest.mark.parametrize(
    ("suffix", "app"),
    sorted({(suffix, app_of(target)) for suffix in KINDS for target in targets(suffix)}),
)
def test_values_of_another_kind_are_refused(suffix: str, app: str) -> None:
    """Raw SQL and full_clean() refuse them; for sealed columns also the attribute."""
    value = KINDS[suffix][1][1]
    with case_loop() as case:
        for target in targets(suffix):
            if app_of(target) != app:
                continue
            table, column = target.split(".")
            rule = f"{table}_{column}_{suffix}"
            with case(target):
                if suffix in {"is_sealed", "is_blind_index"}:
                    check_unsealed_value_is_refused(target, value, rule)
                    continue
                row = row_with(target, value)
                with refuses(rule, table):
                    insert_sql(row)
                check_full_clean(row, rule)
                with refuses(rule, table):
                    row.save()


def check_unsealed_value_is_refused(target: str, value: str, rule: str) -> None:
    table, column = target.split(".")
    row = good_row(target)
    field = next(f for f in row._meta.concrete_fields if f.column == column)
    before = columns_of(row)
    with pytest.raises(UnsealedValue) as caught:
        setattr(row, field.attname, value)
    assert value not in str(caught.value)
    with refuses(rule, table):
        insert_row(table, before | {column: value})


def test_every_time_zone_of_the_server_is_accepted() -> None:
    odd = execute(
        """
        SELECT name FROM pg_timezone_names
        WHERE name !~ '^(posix|right)/' AND name NOT IN ('localtime', 'posixrules')
          AND NOT is_time_zone(name)
        """
    )
    assert odd == []


def times() -> dict[str, list[str]]:
    """``table.column`` of every timestamp and date, by app."""
    return {
        label: [
            f"{model._meta.db_table}.{f.column}"
            for model in catalog.project_models()
            for f in model._meta.concrete_fields
            if model._meta.app_label == label
            and f.get_internal_type() in {"DateTimeField", "DateField"}
            # The database overwrites any value of these.
            and type(f) is not TimeFromDatabase
        ]
        for label in PROJECT_APPS
    }


@pytest.mark.parametrize("app", times())
def test_infinite_times_are_refused(app: str) -> None:
    """By some CHECK, because an infinite value would pass a comparison."""
    with case_loop() as case:
        for target in times()[app]:
            with case(target):
                row = good_row(target)
                table, column = target.split(".")
                for value in ("infinity", "-infinity"):
                    refusal = diagnosis(
                        lambda: insert_row(table, columns_of(row) | {column: value})  # noqa: B023
                    )
                    assert refusal.sqlstate == "23514"
