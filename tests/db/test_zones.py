"""A zone has its form by CHECK; the server knows a new one, and old names become current."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ebalance.db import zones
from ebalance.db.fields import TimeZoneField
from tests.advice import advises, of_column
from tests.db import catalog
from tests.db.test_patterns import good_row
from tests.factories import AppointmentFactory, OutboxEventFactory, UserFactory
from tests.lost_zones import LOST, RENAMED, plant_zone
from tests.support import (
    breaks,
    columns_of,
    execute,
    insert_row,
    refuses,
    save_related,
)

pytestmark = pytest.mark.django_db

ZONES = [
    (model._meta.db_table, field.column)
    for model in catalog.project_models()
    for field in model._meta.concrete_fields
    if isinstance(field, TimeZoneField)
]
each_zone = pytest.mark.parametrize(("table", "column"), ZONES)


@advises
def test_every_zone_has_its_check_and_its_trigger():  # type: ignore[no-untyped-def]
    triggers = {(t["table"], t["name"]) for t in catalog.triggers()}
    for column in catalog.columns():
        where = (column["table"], column["name"])
        if column["name"].endswith("timezone") and (
            where not in ZONES or (where[0], f"{where[0]}_{where[1]}_is_known") not in triggers
        ):
            yield of_column(*where)("make a TimeZoneField of")


@each_zone
@breaks(*(f"{table}_{column}_is_known" for table, column in ZONES))
def test_new_zone_is_known_to_the_server(table: str, column: str) -> None:
    row = columns_of(good_row(f"{table}.{column}"))
    rule = f"{table}_{column}_is_known"
    with refuses(rule, table):
        insert_row(table, row | {column: LOST})
    insert_row(table, row | {column: "Asia/Omsk"})
    with refuses(rule, table):
        execute(f'UPDATE "{table}" SET "{column}" = %s WHERE id = %s', [LOST, row["id"]])
    execute(f'UPDATE "{table}" SET "{column}" = %s WHERE id = %s', ["Asia/Tomsk", row["id"]])


@each_zone
def test_full_clean_refuses_an_unknown_zone(table: str, column: str) -> None:
    row: Any = good_row(f"{table}.{column}")
    row.timezone = LOST
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    assert caught.value.error_dict[column][0].code == f"{table}_{column}_is_known"


@each_zone
def test_stored_unknown_zone_stops_no_change_of_its_row(table: str, column: str) -> None:
    row: Any = good_row(f"{table}.{column}")
    row.save()
    plant_zone(row, LOST, column)
    assert getattr(row, column) == LOST
    execute(f'UPDATE "{table}" SET "{column}" = "{column}" WHERE id = %s', [row.pk])
    row.save()  # all columns
    row.full_clean()


def test_replacing_row_keeps_the_unknown_zone_of_the_earlier_one() -> None:
    row = AppointmentFactory(rescheduled=True)
    plant_zone(row, LOST)
    copy = AppointmentFactory.build(rescheduled_from=row, timezone=LOST)
    save_related(copy)
    other = columns_of(AppointmentFactory.build(timezone=LOST, service=row.service))
    copy.save()
    with refuses("appointments_timezone_is_known", "appointments"):
        insert_row("appointments", other | {"client_user_id": row.client_id})


def test_outbox_takes_the_zone_of_a_row_by_its_form() -> None:
    OutboxEventFactory(payload={"timezone": LOST})
    OutboxEventFactory(payload={"timezone": "America/Argentina/Buenos_Aires"})
    with refuses("outbox_events_payload_is_p0", "outbox_events"):
        OutboxEventFactory(payload={"timezone": "Anna/Ivanova"})


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Europe/Kiev", "Europe/Kyiv"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("US/Pacific", "America/Los_Angeles"),
        ("US/Pacific-New", "America/Los_Angeles"),
        ("America/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("Pacific/Truk", "Pacific/Chuuk"),
        ("Iceland", "Atlantic/Reykjavik"),
        ("Europe/Oslo", "Europe/Oslo"),  # a link, but the current name of a place
        ("UTC", "UTC"),
        ("europe/moscow", "Europe/Moscow"),
        ("ASIA/CALCUTTA", "Asia/Kolkata"),
        ("Etc/GMT+12", "Etc/GMT+12"),
        ("Europe/Atlantis", None),
        ("MSK", None),
        ("GMT+3", None),
        ("", None),
        ("Europe/Moscow\0", None),
        (7, None),
    ],
)
def test_zone_is_stored_under_its_current_name(given: object, stored: str | None) -> None:
    assert zones.find_zone(given) == stored


def test_name_that_the_server_knows_replaces_one_that_it_lacks() -> None:
    """A server with zone files from before 2022 has Europe/Kiev only."""
    execute(
        "ALTER FUNCTION public.find_time_zone(text[]) RENAME TO find_all_time_zones; "
        "CREATE FUNCTION public.find_time_zone(names text[]) RETURNS text LANGUAGE sql STABLE "
        "RETURN public.find_all_time_zones(array_remove(names, 'Europe/Kyiv'))"
    )
    assert zones.find_zone("Europe/Kyiv") == "Europe/Kiev"
    assert zones.find_zone("Europe/Kiev") == "Europe/Kiev"


def test_old_names_lead_to_names_that_are_current() -> None:
    renamed = zones.list_renamed()
    assert len(renamed) > 130
    assert renamed["Asia/Katmandu"] == "Asia/Kathmandu"
    assert not renamed.keys() & set(renamed.values())
    unknown = [name for name in renamed.values() if zones.find_zone(name) != name]
    assert unknown == []
    formed = execute(
        "SELECT name FROM unnest(%s::text[]) name WHERE NOT public.is_zone_form(name)",
        [[*renamed, *renamed.values()]],
    )
    assert formed == []


def test_server_is_asked_about_old_names_only() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert zones.renew_name("Europe/Moscow") == "Europe/Moscow"
        assert zones.renew_name(LOST) == LOST
    assert len(queries) == 0
    assert zones.renew_name(RENAMED) == "America/Los_Angeles"


def test_python_finds_the_rules_of_an_old_name() -> None:
    assert zones.get_zone_info(RENAMED).key == "America/Los_Angeles"
    with pytest.raises(KeyError):
        zones.get_zone_info(LOST)


def test_form_stores_the_current_name() -> None:
    person = UserFactory.build(timezone="asia/calcutta")
    person.full_clean()
    assert person.timezone == "Asia/Kolkata"
