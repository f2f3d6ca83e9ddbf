"""Settings hold no secret; the outbox holds a flat object of safe values."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg.types.json import Jsonb

from audit.models import OutboxEvent
from tests.adversarial_sql import refuses_by_any_rule, shadow_equality_operator
from tests.case_loops import (
    breaks_rules_of,
    check_changes,
    check_each,
    check_inserts,
    first_cases_of_each_rule,
)
from tests.databases import Databases
from tests.factories import OutboxEventFactory, SystemSettingFactory
from tests.rule_cases import ALL_WRITE_PATHS, Change, change_params, check_change, range_cases
from tests.support import Case, execute, refuses, update_sql

pytestmark = pytest.mark.django_db

SECRET, SAFE = "system_settings_key_names_no_secret", "outbox_events_payload_is_p0"
STAYS = "system_settings_key_stays"


def keys(rule: str | None, *names: str) -> list[Case]:
    return [Case(name, SystemSettingFactory, {"key": name}, rule) for name in names]


WORDS = ["secret", "token", "password", "key"]


KEYS = [
    *[
        case
        for word in WORDS
        for case in keys(
            SECRET, word, f"{word}s", f"a_{word}", f"{word}_a", f"a_{word}_a", f"a_{word}s_1"
        )
    ],
    # Not as separate words.
    *keys(None, "hold_minutes", "keyboard", "monkey", "secretary_name", "tokenizer", "a_keyed_b"),
    *keys(None, "passwordless", "turkey_zone", "keynote_title"),
]


ZONE = "system_settings_practice_timezone_is_known"
ZONES = [
    Case(str(value), SystemSettingFactory, {"key": key, "value": value}, rule)
    for key, value, rule in [
        *[("practice_timezone", value, ZONE) for value in ("MSK+3", "Europe/Nowhere", "", 3)],
        *[("practice_timezone", value, ZONE) for value in ([], ["UTC"], {})],
        *[("practice_timezone", value, None) for value in ("Asia/Vladivostok", "UTC")],
        ("another_setting", 3, None),
    ]
]


@breaks_rules_of(*ZONES)
def test_zone_of_the_practice_is_a_zone() -> None:
    check_inserts(ZONES, ["sql"])
    check_inserts(first_cases_of_each_rule(ZONES), ["orm"])


@breaks_rules_of(*KEYS)
def test_setting_is_no_secret() -> None:
    check_inserts(KEYS, ["sql"])
    check_inserts(first_cases_of_each_rule(KEYS), ["orm"])


@change_params(
    Change("a secret", SystemSettingFactory, {"key": "gateway"}, {"key": "gateway_token"}, STAYS),
    Change("harmless", SystemSettingFactory, {"key": "gateway"}, {"key": "gateways"}, STAYS),
    write_paths=["sql", "merge", "queryset"],
)
def test_a_setting_keeps_its_key(change: Change, write_path: str) -> None:
    """The audit log identifies a setting by its key."""
    check_change(change, write_path)


def test_a_setting_keeps_its_key_in_an_upsert() -> None:
    SystemSettingFactory(key="gateway")
    with refuses(STAYS, "system_settings"):
        execute(
            "INSERT INTO system_settings (key, value) VALUES ('gateway', '1') "
            "ON CONFLICT (key) DO UPDATE SET key = 'gateway_password'"
        )


def test_secret_key_is_refused_even_without_the_key_trigger() -> None:
    setting = SystemSettingFactory(key="gateway")
    connection.check_constraints()
    execute("ALTER TABLE system_settings DISABLE TRIGGER system_settings_key_stays")
    with refuses(SECRET, "system_settings"):
        update_sql(setting, key="gateway_token")


# -- outbox ---------------------------------------------------------------------------------------

ID = "01a20bc7-6d8c-77e8-8453-d0651617556e"


def values(rule: str | None, *given: Any) -> list[Case]:
    return [Case(repr(v)[:60], OutboxEventFactory, {"payload": {"a": v}}, rule) for v in given]


def payloads(rule: str | None, *given: Any) -> list[Case]:
    return [Case(repr(v)[:60], OutboxEventFactory, {"payload": v}, rule) for v in given]


PAYLOADS = [
    *values(None, ID, ID.upper(), "paid", "Europe/Moscow", "UTC", "test-na-vygoranie", "a" * 120),
    *values(None, True, False, 0, 1, 10**9, "2026-01-07T12:00:00Z", "2026-01-07T12:00:00.5+00:00"),
    *values(SAFE, 10**9 + 1, 79991234567, -1, 1.5, None, [], ["paid"], {}, {"a": 1}),
    *values(SAFE, "", " ", "мне плохо", "I feel bad", "anna@example.com", "+79991234567"),
    *values(SAFE, "1234567", "call-9991234567", "a" * 121, "paid\n", " paid", "/path/to", "a?b"),
    *values(SAFE, "2026-01-07T12:00:00+03:00", "2026-02-30T12:00:00Z", "infinity now", "тревога"),
    *payloads(None, {}, {"appointment_id": ID, "status": "paid", "amount": 5000, "is_late": False}),
    *payloads(SAFE, ["paid"], "paid", 7, True),
    *payloads(SAFE, {"A": 1}, {"Имя": 1}, {"": 1}, {"a b": 1}, {"a-b": 1}, {"1a": 1}, {"a\n": 1}),
    *payloads(SAFE, {"a@b.ru": 1}, {"a" * 61: 1}, {"status": "paid", "note": "мне плохо"}),
    *payloads(None, {"a" * 60: 1}),
]


@breaks_rules_of(*PAYLOADS)
def test_outbox_event_is_a_flat_object_of_safe_values() -> None:
    check_inserts(PAYLOADS, ["sql"])
    check_inserts(first_cases_of_each_rule(PAYLOADS), ["orm"])


INSERT = (
    "INSERT INTO public.outbox_events (event_type, aggregate_type, aggregate_id, payload) "
    "VALUES ('a', 'b', public.uuid7(), %s)"
)


def test_json_that_python_does_not_write_is_refused() -> None:
    def check(payload: str) -> None:
        with refuses(SAFE, "outbox_events"):
            execute(INSERT, [payload])

    payloads = ["null", "[]", '""', '{"a": null}', '{"a": {}}', '{"a": 1e30}']
    check_each([(payload, payload) for payload in payloads], check)


def test_numbers_of_json_are_read_as_numbers() -> None:
    """jsonb keeps 1e3 as 1000; a later key replaces an earlier one."""
    execute(INSERT, ['{"a": 1e3, "b": "мне плохо", "b": 1}'])
    assert OutboxEvent.objects.get().payload == {"a": 1000, "b": 1}


def test_phone_number_in_a_key_is_refused() -> None:
    with refuses_by_any_rule():
        execute(INSERT, [Jsonb({"phone_79991234567": True})])


def test_shadowing_operator_does_not_admit_text() -> None:
    shadow_equality_operator("text", answer=True)
    with refuses(SAFE, "outbox_events"):
        execute(INSERT, [Jsonb({"a": "мне плохо"})])


def test_temporary_type_does_not_admit_text(databases: Databases) -> None:
    """Type names resolve to the session's temporary schema first."""
    name = connection.settings_dict["NAME"]
    with psycopg.connect(**{**databases.params, "dbname": name}) as session:
        session.execute('CREATE DOMAIN pg_temp.text AS "char"')
        with pytest.raises(psycopg.errors.CheckViolation, match=SAFE):
            session.execute(INSERT, [Jsonb({"a": "I feel bad, call +79991234567"})])
        session.rollback()


ATTEMPTS = [
    *range_cases(OutboxEventFactory, "attempts", 0),
    Case("sent", OutboxEventFactory, {"sent": True}),
    Case("no failure", OutboxEventFactory, {"last_error": None}),
    Case("a failure", OutboxEventFactory, {"last_error": "timeout", "attempts": 3}),
]
CHANGES = [
    Change(
        "fewer tries than none",
        OutboxEventFactory,
        {},
        {"attempts": -1},
        "outbox_events_attempts_in_range",
    ),
    Change("one more try", OutboxEventFactory, {}, {"attempts": 1, "last_error": "timeout"}),
    Change("nested", OutboxEventFactory, {}, {"payload": {"a": {"b": 1}}}, SAFE),
]


@breaks_rules_of(*ATTEMPTS)
def test_attempts_are_counted() -> None:
    check_inserts(ATTEMPTS)


@change_params(
    Change("free text", OutboxEventFactory, {}, {"payload": {"a": "мне плохо"}}, SAFE),
    write_paths=ALL_WRITE_PATHS,
)
def test_no_write_path_puts_free_text_into_a_payload(change: Change, write_path: str) -> None:
    check_change(change, write_path)


@breaks_rules_of(*CHANGES)
def test_outbox_event_changes_within_its_rules() -> None:
    check_changes(CHANGES)


def test_defaults_are_an_empty_payload_due_at_once() -> None:
    execute(
        "INSERT INTO outbox_events (event_type, aggregate_type, aggregate_id) "
        "VALUES ('a', 'b', uuid7())"
    )
    (row,) = execute(
        "SELECT payload, attempts, published_at, available_at = now() AS is_due FROM outbox_events"
    )
    assert row == {"payload": "{}", "attempts": 0, "published_at": None, "is_due": True}
