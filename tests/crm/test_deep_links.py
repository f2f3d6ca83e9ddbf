"""Deep links into Telegram: valid for at most 30 days, with codes and slugs only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest

from crm.models import DeepLink
from tests.case_loops import breaks_rules_of, check_changes, check_inserts, first_cases_of_each_rule
from tests.factories import DeepLinkFactory
from tests.rule_cases import ALL_WRITE_PATHS, Change, change_params, check_change, stored
from tests.support import Case, delete_sql, execute

pytestmark = pytest.mark.django_db

LIFE = "deep_links_expire_within_30_days"
# A clock change in Europe is within the 30 days.
CREATED = datetime(2026, 3, 20, 12, tzinfo=UTC)
MICRO, MONTH = timedelta(microseconds=1), timedelta(days=30)


def link(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, DeepLinkFactory, values, rule)


def valid(name: str, rule: str | None, lasts: timedelta) -> Case:
    return link(name, rule, created_at=CREATED, expires_at=CREATED + lasts)


CODES_AND_SLUGS = ["a", "plan_7d", "trevozhnyj-vecher", "2027-spring", "a" * 120, "123456"]
NEITHER = [
    "A",
    "a b",
    "/articles",
    "a/b",
    "a.b",
    "-a",
    "a-",
    "_a",
    "тревога",
    "a@b.ru",
    "a\n",
    "79991234567",
    "call-79991234567",
]


LINKS = [
    valid("for a microsecond", None, MICRO),
    valid("for a day", None, timedelta(days=1)),
    valid("for 30 days", None, MONTH),
    valid("for longer", LIFE, MONTH + MICRO),
    valid("for a year", LIFE, timedelta(days=365)),
    valid("for no time", LIFE, timedelta()),
    valid("expired before it was made", LIFE, -MICRO),
    link("for as long as the database says", created_at=CREATED),
    link("without a person", anonymous_id=None, topic_id=None, source_page=None),
    link("of a lead", of_lead=True),
]
# Any code is allowed, a slug or not: data-model.md §0 lets a code end with an underscore.
NAMES = {
    field: [
        *(link(f"{field} {value!r}"[:60], **{field: value}) for value in [*CODES_AND_SLUGS, None]),
        *(link(f"{field} {value!r}"[:60], **{field: value}) for value in ["step_", "a__b"]),
        *(
            link(f"{field} {value!r}"[:60], f"deep_links_{field}_is_code_or_slug", **{field: value})
            for value in NEITHER
        ),
    ]
    for field in ["entity_ref", "source_page"]
}


@breaks_rules_of(*LINKS)
def test_link_is_short_lived() -> None:
    check_inserts(LINKS)


@pytest.mark.parametrize("field", NAMES)
@breaks_rules_of(*chain(*NAMES.values()))
def test_link_contains_codes_and_slugs_only(field: str) -> None:
    check_inserts(NAMES[field], ["sql"])
    check_inserts(first_cases_of_each_rule(NAMES[field]), ["orm"])


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("given", ["", ", expires_at"], ids=["left out", "null"])
def test_default_expiry_is_30_days(zone: str, given: str) -> None:
    """Each day has 24 hours, even if the zone of the session changes its clocks."""
    execute(f"SET LOCAL TIME ZONE '{zone}'")
    execute(
        f"INSERT INTO deep_links (deep_link_id, flow, created_at{given}) "
        f"VALUES ('plan-00001', 'plan_7d', %s{', NULL' if given else ''})",
        [CREATED],
    )
    (row,) = execute("SELECT expires_at - created_at = '720:00:00' AS is_month FROM deep_links")
    assert row["is_month"]


def test_orm_leaves_the_expiry_to_the_database() -> None:
    row = DeepLinkFactory(created_at=CREATED)
    values = stored(row)
    assert values["expires_at"] == CREATED + MONTH
    assert (values["tg_target"], values["lead_id"]) == ("bot", None)
    row.refresh_from_db()
    assert row.expires_at == CREATED + MONTH


GIVEN = {"created_at": CREATED, "expires_at": CREATED + timedelta(days=1)}


CHANGES = [
    Change("to the limit", DeepLinkFactory, GIVEN, {"expires_at": CREATED + MONTH}),
    Change("until it was made", DeepLinkFactory, GIVEN, {"expires_at": CREATED}, LIFE),
    Change("made earlier", DeepLinkFactory, GIVEN, {"created_at": CREATED - MONTH}, LIFE),
]


@change_params(
    Change("beyond it", DeepLinkFactory, GIVEN, {"expires_at": CREATED + MONTH + MICRO}, LIFE),
    write_paths=ALL_WRITE_PATHS,
)
def test_no_write_path_prolongs_a_link_beyond_30_days(change: Change, write_path: str) -> None:
    check_change(change, write_path)


@breaks_rules_of(*CHANGES)
def test_link_changes_within_30_days() -> None:
    check_changes(CHANGES)


def test_link_is_deleted_with_its_lead() -> None:
    row = DeepLinkFactory(of_lead=True)
    delete_sql(row.lead)
    assert not DeepLink.objects.exists()
