"""No kind of the plan admits personal data or free text (privacy.md §3), whoever writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg.types.json import Jsonb

from tests.case_loops import check_each
from tests.crm.writing import ANALYTICS, GUARD, TIMELINE, Writer, each_table
from tests.databases import Databases
from tests.factories import LeadFactory, LeadIdentityFactory, TrackingEventParamFactory
from tests.rule_cases import copy_rows, diagnosis
from tests.support import columns_of, execute, refuses

pytestmark = pytest.mark.django_db

UUID = "0199f0a0-0000-7000-8000-00000000000a"
ENUM = ["low", "high"]

# Kind: what it takes and, at the ends of it, what it does not.
KINDS: dict[str, tuple[list[Any], list[Any]]] = {
    "code": (
        ["a", "A", "0", "a" * 60, "a.b-c_D", "123456", "1-2345678"[:8], "a--b"],
        ["a" * 61, "_a", "-a", ".a", "a/b", "a|b", "a:b", "1234567", "a1234567b", "a\n", "а"],
    ),
    "code_list": (
        [["a"], ["a", "B-2"], ["a"] * 50, ["a" * 60]],
        [["a", "_a"], ["a", ""], ["a", None], ["a", ["b"]], ["a" * 61], ["1234567"], {"a": "b"}],
    ),
    "slug": (
        ["a", "0", "a-b", "a_b-c", "a" * 120, "123456"],
        ["a" * 121, "A", "-a", "a-", "_a", "a_", "a--b", "a-_b", "a.b", "1234567", "a\n", "а"],
    ),
    "ref": (
        [UUID, UUID.upper(), "a", "a" * 60, "card.2"],
        ["a" * 61, f"{UUID}\n", f" {UUID}", f"{UUID}/", "_a", "1234567", "a b"],
    ),
    "deep_link": (
        [UUID, "abcd1234", "A" * 12, "12345a78"],
        ["abc1234", "a" * 13, "12345678", "123456789012", "a1234567", "abcd-123", "abcd_123"],
    ),
    "uuid": (
        [UUID, UUID.upper(), "00000000-0000-0000-0000-000000000000"],
        [
            UUID[:-1],
            f"{UUID}0",
            UUID.replace("-", ""),
            f"{{{UUID}}}",
            f"urn:uuid:{UUID}",
            UUID.replace("a", "g"),
            f"{UUID}\n",
            UUID.replace("0", "٠"),
        ],
    ),
    "int": ([0, 1, 10**9], [-1, 10**9 + 1, 10**30, 0.5, "0", "", [0]]),
    "bool": ([True, False], [0, 1, "true", "false", "t", [True]]),
    "timestamp": (
        [
            "2027-03-01T09:30Z",
            "2027-03-01T09:30:00Z",
            "2027-03-01T09:30:00+00:00",
            "2028-02-29T23:59:59.999999Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ],
        [
            "2027-02-29T00:00:00Z",
            "2027-04-31T00:00:00Z",
            "2027-00-01T00:00:00Z",
            "2027-13-01T00:00:00Z",
            "2027-01-00T00:00:00Z",
            "2027-01-01T24:00:00Z",
            "2027-01-01T00:60:00Z",
            "2027-01-01T00:00:60Z",
            "2027-01-01T00:00:00",
            "2027-01-01T00:00:00+03:00",
            "2027-01-01",
            "0000-01-01T00:00:00Z",
            "infinity",
            "-infinity",
            "now",
            "epoch",
            "tomorrow",
            "1772357400",
            "2027-01-01T00:00:00Z\n",
        ],
    ),
    "path": (
        ["/", "//", "/a/b_c-d.html", "/" + "a" * 119, "/123456"],
        [
            "/" + "a" * 120,
            "a",
            "",
            "/A",
            "/a?b=c",
            "/a#b",
            "/a&b",
            "/%d1%8f",
            "/1234567",
            "/я",
            "https://ya.ru/",
            "/a\n",
        ],
    ),
    "host": (
        [
            "ya.ru",
            "t.me",
            "localhost",
            "WWW.Example.COM",
            "xn--80ak6aa92e.com",
            "a" * 60 + "." + "b" * 59,
        ],
        [
            "a" * 60 + "." + "b" * 60,
            "",
            "ya.ru.",
            ".ru",
            "a..ru",
            "-a.ru",
            "a-.ru",
            "ya.ru/",
            "ya.ru:443",
            "http://ya.ru",
            "192.168.0.1",
            "8-999-123-45-67",
            "a_b.ru",
            "я.рф",
            "a@b.ru",
        ],
    ),
    "zone": (
        ["UTC", "Europe/Moscow", "America/Argentina/Buenos_Aires"],
        ["MSK", "europe/moscow", "Europe/Moscow ", "UTC+3", "Foo+3", "Мск", ""],
    ),
    "topic": (["anxiety", "panic", "values"], ["Anxiety", "anxiety ", "fear", "Тревога", "%", ""]),
    "utm": (
        ["a", ".", "-", "_", "a" * 80, "Spring_2027.v1-b", "123456"],
        ["a" * 81, "", "a b", "a+b", "a/b", "a%20b", "a|b", "a:b", "1234567", "a\n", "весна"],
    ),
    "enum": (ENUM, ["Low", "low ", " low", "lowhigh", "low,high", "lоw", "", ["low"]]),
    "enum_list": (
        [["low"], ["low", "high"]],
        ["low", "{low}", ["low", "other"], ["low", None], ["low", ["high"]], ["lоw"], {"low": 1}],
    ),
}
TEXTS = [
    "code",
    "slug",
    "ref",
    "deep_link",
    "uuid",
    "timestamp",
    "path",
    "host",
    "zone",
    "topic",
    "utm",
    "enum",
]
PERSONAL = [
    # E-mail
    "maria@example.com",
    "maria.ivanova+1@mail.ru",
    "мария@почта.рф",
    "mailto:maria@example.com",
    "/maria@example.com",
    # Phone
    "+79991234567",
    "89991234567",
    "79991234567",
    "9991234567",
    "1234567",
    "+7 999 123-45-67",
    "8 (999) 123-45-67",
    "8(999)1234567",
    "tel:+79991234567",
    "/79991234567",
    "tel79991234567",
    "+7٩٩٩١٢٣٤٥٦٧",
    # Telegram
    "@maria_ivanova",
    "https://t.me/maria",
    # Words
    "Мне очень тревожно и я не сплю",
    "Мария",
    "я",
    "I cannot sleep",
    "Maria Ivanova",
    "what?",
    "мне плохо",
    "а" * 40,
    "anxiеty",
    # White space, also the invisible
    " ",
    "\t",
    "a\u00a0b",
    "a\u200bb",
    "low\n",
    "anxiety\r\n",
    # Markup and structure
    "<b>low</b>",
    '{"a": "b"}',
    "a;b",
    "a,b",
    "a'b",
    "x" * 121,
]


def kind_of_its_own(kind: str) -> tuple[str, str]:
    """An event with one parameter of the kind: their names."""
    allowed = ENUM if kind.startswith("enum") else None
    row = TrackingEventParamFactory(kind=kind, allowed=allowed, is_required=True)
    return row.event_id, row.name


def check_refused(table: str, event: str, name: str, values: list[Any]) -> None:
    """No value of the parameter is accepted."""
    writer = Writer(table)

    def check(value: Any) -> None:
        with refuses(GUARD[table]["p0_only"], table):
            writer.write(event, "web", {name: value})

    check_each([(f"{value!r}"[:80], value) for value in values], check, undo=False)
    assert writer.count() == 0


# The guard is one function, so each kind is tried on one table. A list stands for the other table:
# test_events_follow_the_plan.py has a sample of every rule there.


@pytest.mark.parametrize("kind", KINDS)
def test_kind_takes_its_values_up_to_their_ends(kind: str) -> None:
    event, name = kind_of_its_own(kind)
    writer = Writer(ANALYTICS)
    good, bad = KINDS[kind]
    nested = [{"a": good[0]}, {}, [{"a": good[0]}], [[good[0]]], {name: good[0]}, None, [None]]
    check_refused(ANALYTICS, event, name, [*bad, *nested])

    def check(value: Any) -> None:
        assert writer.write(event, "web", {name: value}).pk

    check_each([(f"{value!r}"[:80], value) for value in good], check, undo=False)
    assert writer.count() == len(good)


@pytest.mark.parametrize("kind", TEXTS)
def test_kind_refuses_the_text_of_a_person(kind: str) -> None:
    event, name = kind_of_its_own(kind)
    check_refused(ANALYTICS, event, name, PERSONAL)


@pytest.mark.parametrize(
    ("kind", "table"), [("code_list", ANALYTICS), ("enum_list", ANALYTICS), ("code_list", TIMELINE)]
)
def test_list_refuses_the_text_of_a_person(kind: str, table: str) -> None:
    event, name = kind_of_its_own(kind)
    check_refused(table, event, name, [["low", text] for text in PERSONAL])
    text = PERSONAL[0]
    check_refused(table, event, name, [[text], [text, "low"], [[text]]])


@each_table
def test_key_is_no_text_of_a_person(table: str) -> None:
    writer = Writer(table)

    def check(text: str) -> None:
        with refuses(GUARD[table]["p0_only"], table):
            writer.write("page_view", "web", {"page_path": "/", text: "a"})

    check_each([(repr(text), text) for text in PERSONAL], check, undo=False)


@pytest.mark.parametrize(
    "text", ["maria@example.com", "+79991234567", "я", "\u0430" * 40, "<b>low</b>"]
)
@each_table
def test_refusal_repeats_nothing_of_the_event(table: str, text: str) -> None:
    """Neither a value nor a key: the message goes into logs."""
    writer = Writer(table)
    marked = f"{text} Marker"

    def check(event: tuple[str, str, dict[str, Any]]) -> None:
        found = diagnosis(partial(writer.write, *event))
        assert "Marker" not in f"{found.message_primary} {found.message_detail}"
        if event[:2] == ("page_view", "web"):
            assert found.constraint_name == GUARD[table]["p0_only"]
            assert (found.table_name, found.column_name) == (table, "properties")

    events: list[tuple[str, str, dict[str, Any]]] = [
        ("page_view", "web", {"page_path": marked}),
        ("page_view", "web", {"page_path": "/", "text": marked}),
        ("page_view", "web", {"page_path": "/", marked: "a"}),
        ("page_view", "web", {"page_path": "/", "utm_source": [marked]}),
        ("page_view", "web", {"page_path": "/", "content_slug": {"a": marked}}),
        (marked, "web", {"page_path": "/"}),
        ("page_view", marked, {"page_path": "/"}),
    ]
    check_each([(str(event), event) for event in events], check, undo=False)


def test_refusal_repeats_no_text_of_a_person() -> None:
    writer = Writer(ANALYTICS)

    def check(text: str) -> None:
        marked = f"{text} Marker"
        for properties in ({"page_path": marked}, {"page_path": "/", marked: "a"}):
            found = diagnosis(partial(writer.write, "page_view", "web", properties))
            assert "Marker" not in f"{found.message_primary} {found.message_detail}"

    check_each([(repr(text), text) for text in PERSONAL if text.strip()], check, undo=False)


# -- What a stranger tries ------------------------------------------------------------------------

WORDS = {"page_path": "/", "utm_source": "Мне очень плохо"}


def event_columns(table: str) -> dict[str, Any]:
    row = Writer(table).build("page_view", "web", WORDS)
    return columns_of(row)


def with_copy(table: str) -> None:
    row = event_columns(table)
    copy_rows(table, list(row), [list(row.values())])


def with_two_rows(table: str) -> None:
    """One event is good; the other is not, and takes it along."""
    row = event_columns(table)
    good = {**row, "id": UUID, "event_id": UUID, "properties": Jsonb({"page_path": "/"})}
    marks = ", ".join(["%s"] * len(row))
    execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks}), ({marks})",
        [*good.values(), *row.values()],
    )


def with_a_view(table: str) -> None:
    execute(f"CREATE TEMPORARY VIEW mine AS SELECT * FROM public.{table}")
    row = event_columns(table)
    execute(
        f"INSERT INTO mine ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})",
        list(row.values()),
    )


def with_merge(table: str) -> None:
    row = event_columns(table)
    execute(
        f"MERGE INTO {table} kept USING (SELECT 1) AS one ON false WHEN NOT MATCHED THEN "
        f"INSERT ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})",
        list(row.values()),
    )


def with_a_conflict(table: str) -> None:
    """The proposed row is good, what the conflict makes of it is not."""
    kept = Writer(table).write("page_view", "web", {"page_path": "/"})
    row = {**columns_of(kept), "id": UUID}
    execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))}) "
        "ON CONFLICT (event_id) DO UPDATE SET properties = %s",
        [*row.values(), Jsonb(WORDS)],
    )


def with_everything_put_off(table: str) -> None:
    execute("SET CONSTRAINTS ALL DEFERRED")
    with_a_view(table)


def with_a_plan_of_ones_own(table: str) -> None:
    for name in ("tracking_events", "tracking_event_params"):
        execute(f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM public.{name}")
    execute(
        "UPDATE pg_temp.tracking_event_params SET kind = 'enum', allowed = %s", [[*WORDS.values()]]
    )
    execute("SET LOCAL search_path = pg_temp, public")
    with_merge(table)


def with_an_empty_path(table: str) -> None:
    row = event_columns(table)
    execute("SET LOCAL search_path = ''")
    execute(
        f"INSERT INTO public.{table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})",
        list(row.values()),
    )


@pytest.mark.parametrize(
    ("attempt", "table"),
    [
        *(
            pytest.param(attempt, ANALYTICS, id=f"{attempt.__name__}-{ANALYTICS}")
            for attempt in (
                with_copy,
                with_two_rows,
                with_a_view,
                with_merge,
                with_everything_put_off,
                with_a_plan_of_ones_own,
                with_an_empty_path,
            )
        ),
        pytest.param(with_copy, TIMELINE, id=f"with_copy-{TIMELINE}"),
    ],
)
def test_no_write_path_goes_around_the_guard(attempt: Callable[[str], None], table: str) -> None:
    with refuses(GUARD[table]["p0_only"], table):
        attempt(table)
    assert execute(f"SELECT count(*) AS n FROM public.{table}") == [{"n": 0}]


def test_an_upsert_of_a_timeline_event_is_asked_again() -> None:
    with refuses(GUARD[TIMELINE]["p0_only"], TIMELINE):
        with_a_conflict(TIMELINE)


@each_table
def test_a_good_event_is_written_with_an_empty_search_path(table: str) -> None:
    row = {**event_columns(table), "properties": Jsonb({"page_path": "/", "utm_source": "mail"})}
    execute("SET LOCAL search_path = ''")
    execute(
        f"INSERT INTO public.{table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})",
        list(row.values()),
    )
    assert execute(f"SELECT count(*) AS n FROM public.{table}") == [{"n": 1}]


@pytest.mark.parametrize(
    "to",
    [
        {"properties": Jsonb({"page_path": "/", "text": "a"})},
        {"properties": Jsonb({})},
        {"source": "backend"},
        {"event_name": "nothing_known"},
        {"event_name": "booking_paid"},
    ],
    ids=["unknown key", "nothing left", "another source", "unknown event", "another event"],
)
def test_a_written_timeline_event_is_not_made_worse(to: dict[str, Any]) -> None:
    row = Writer(TIMELINE).write("page_view", "web", {"page_path": "/"})
    LeadIdentityFactory(lead=row.lead)
    name, value = next(iter(to.items()))
    found = diagnosis(
        lambda: execute(f"UPDATE {TIMELINE} SET {name} = %s WHERE id = %s", [value, row.pk])
    )
    assert found.constraint_name in GUARD[TIMELINE].values()


def test_of_a_lead_that_nobody_is_known_by_any_more_the_event_is_emptied() -> None:
    row = Writer(TIMELINE).write("page_view", "web", {"page_path": "/"})
    execute(f"UPDATE {TIMELINE} SET properties = '{{}}' WHERE id = %s", [row.pk])
    row.refresh_from_db()
    assert row.properties == {}


def test_events_of_a_retired_kind_still_move_with_their_lead() -> None:
    """Leads are merged long after an event of theirs went out of use (states.md, "CRM")."""
    row = Writer(TIMELINE).write("page_view", "web", {"page_path": "/"})
    execute("UPDATE tracking_events SET is_active = false")
    into = LeadFactory()
    execute(f"UPDATE {TIMELINE} SET lead_id = %s", [into.pk])
    row.refresh_from_db()
    assert row.lead_id == into.pk


# -- Names of one's own: types, functions and operators that stand in for the server's -------------


@contextmanager
def session_of_a_stranger(databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    """A new session that commits nothing, in which no function has run yet."""
    name = connection.settings_dict["NAME"]
    with psycopg.connect(**{**databases.params, "dbname": name}) as session:
        yield session
        session.rollback()


def insert_event(session: psycopg.Connection[Any], properties: dict[str, Any]) -> None:
    session.execute(
        "INSERT INTO public.analytics_events (schema_version, event_name, event_version, event_id, "
        "occurred_at, source, environment, properties) VALUES ('1.0', 'page_view', 1, "
        "gen_random_uuid(), now(), 'web', 'dev', %s)",
        [Jsonb({"page_path": "/", **properties})],
    )


LONG = "a" * 63 + " Мария, +7 999 123-45-67"


def refuses_it(session: psycopg.Connection[Any], properties: dict[str, Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert_event(session, properties)
    assert caught.value.diag.constraint_name == GUARD[ANALYTICS]["p0_only"]


def run_once(session: psycopg.Connection[Any]) -> None:
    """A function keeps the types of its variables as it found them when it first ran."""
    session.execute(
        "SELECT public.event_offence('page_view', 'web', %(p)s, '{}', '{}'), "
        "public.is_p0_envelope('any', %(p)s), public.is_p0_value('utm', NULL, '\"a\"'), "
        "public.is_utm('{}')",
        {"p": Jsonb({"page_path": "/", "utm_source": "a"})},
    )


OPERATOR = """
    CREATE SCHEMA strange;
    CREATE FUNCTION strange.never(jsonb, jsonb) RETURNS boolean LANGUAGE sql RETURN false;
    CREATE OPERATOR strange.<> (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = strange.never);
    SET search_path = strange, pg_catalog, public
"""


@pytest.mark.parametrize("is_prepared", [False, True], ids=["at once", "after a first run"])
@pytest.mark.parametrize(
    ("names", "properties"),
    [
        # Anybody may make a temporary type; name ends after 63 bytes, "char" after the first.
        ("CREATE DOMAIN pg_temp.text AS pg_catalog.name", {"utm_source": LONG}),
        ('CREATE DOMAIN pg_temp.text AS pg_catalog."char"', {"utm_source": LONG}),
        (OPERATOR, {"text": "мне плохо"}),
    ],
    ids=["name", "char", "operator"],
)
def test_names_of_ones_own_decide_nothing(
    databases: Databases, names: str, properties: dict[str, Any], is_prepared: bool
) -> None:
    with session_of_a_stranger(databases) as session:
        session.execute(names)
        if is_prepared:
            run_once(session)
        refuses_it(session, properties)
