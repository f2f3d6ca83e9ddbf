"""No kind of the plan admits personal data or free text, from any writer (privacy.md §3)."""

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

# For each kind, valid values up to its limits, and invalid values just beyond them.
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
        [UUID, "abcd1234", "A" * 64, "a1234567", "-_abcd-_", "12345678901x"],
        ["abc1234", "a" * 65, "12345678", "79991234567", "abcd.123", "abcdefgh\n", "________"],
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
    # White space, also invisible
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


def event_of_kind(kind: str) -> tuple[str, str]:
    """Create an event with one parameter of the kind; return their names."""
    allowed = ENUM if kind.startswith("enum") else None
    row = TrackingEventParamFactory(kind=kind, allowed=allowed, is_required=True)
    return row.event_id, row.name


def check_refused(table: str, event: str, name: str, values: list[Any]) -> None:
    """Check that the guard refuses each value of the parameter."""
    writer = Writer(table)

    def check(value: Any) -> None:
        with refuses(GUARD[table]["p0_only"], table):
            writer.write(event, "web", {name: value})

    check_each([(f"{value!r}"[:80], value) for value in values], check, undo=False)
    assert writer.count() == 0


# The guard is one function, so each kind is tested on one table, and one list on the other;
# test_events_follow_the_plan.py has a sample of every rule for both.


@pytest.mark.parametrize("kind", KINDS)
def test_kind_accepts_its_values_up_to_their_limits(kind: str) -> None:
    event, name = event_of_kind(kind)
    writer = Writer(ANALYTICS)
    good, bad = KINDS[kind]
    nested = [{"a": good[0]}, {}, [{"a": good[0]}], [[good[0]]], {name: good[0]}, None, [None]]
    check_refused(ANALYTICS, event, name, [*bad, *nested])

    def check(value: Any) -> None:
        assert writer.write(event, "web", {name: value}).pk

    check_each([(f"{value!r}"[:80], value) for value in good], check, undo=False)
    assert writer.count() == len(good)


@pytest.mark.parametrize("kind", TEXTS)
def test_kind_refuses_personal_texts(kind: str) -> None:
    event, name = event_of_kind(kind)
    # The id of a deep link may contain a run of digits if it contains a letter too.
    texts = [text for text in PERSONAL if (kind, text) != ("deep_link", "tel79991234567")]
    check_refused(ANALYTICS, event, name, texts)


@pytest.mark.parametrize(
    ("kind", "table"), [("code_list", ANALYTICS), ("enum_list", ANALYTICS), ("code_list", TIMELINE)]
)
def test_list_refuses_personal_texts(kind: str, table: str) -> None:
    event, name = event_of_kind(kind)
    check_refused(table, event, name, [["low", text] for text in PERSONAL])
    text = PERSONAL[0]
    check_refused(table, event, name, [[text], [text, "low"], [[text]]])


@each_table
def test_personal_text_is_refused_as_a_key(table: str) -> None:
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
    """The message repeats neither a value nor a key, because logs contain it."""
    writer = Writer(table)
    marked = f"{text} Marker"

    def check(event: tuple[str, str, dict[str, Any]]) -> None:
        refusal = diagnosis(partial(writer.write, *event))
        assert "Marker" not in f"{refusal.message_primary} {refusal.message_detail}"
        if event[:2] == ("page_view", "web"):
            assert refusal.constraint_name == GUARD[table]["p0_only"]
            assert (refusal.table_name, refusal.column_name) == (table, "properties")

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


def test_refusal_repeats_no_personal_text() -> None:
    writer = Writer(ANALYTICS)

    def check(text: str) -> None:
        marked = f"{text} Marker"
        for properties in ({"page_path": marked}, {"page_path": "/", marked: "a"}):
            refusal = diagnosis(partial(writer.write, "page_view", "web", properties))
            assert "Marker" not in f"{refusal.message_primary} {refusal.message_detail}"

    check_each([(repr(text), text) for text in PERSONAL if text.strip()], check, undo=False)


# -- Write paths ----------------------------------------------------------------------------------

WORDS = {"page_path": "/", "utm_source": "Мне очень плохо"}


def event_columns(table: str) -> dict[str, Any]:
    row = Writer(table).build("page_view", "web", WORDS)
    return columns_of(row)


def with_copy(table: str) -> None:
    row = event_columns(table)
    copy_rows(table, list(row), [list(row.values())])


def with_two_rows(table: str) -> None:
    """Insert a valid and an invalid event in one statement."""
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
    """Insert a valid row whose ON CONFLICT clause makes it invalid."""
    kept = Writer(table).write("page_view", "web", {"page_path": "/"})
    row = {**columns_of(kept), "id": UUID}
    execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))}) "
        "ON CONFLICT (event_id) DO UPDATE SET properties = %s",
        [*row.values(), Jsonb(WORDS)],
    )


def with_deferred_constraints(table: str) -> None:
    execute("SET CONSTRAINTS ALL DEFERRED")
    with_a_view(table)


def with_a_temporary_plan(table: str) -> None:
    for name in ("tracking_events", "tracking_event_params"):
        execute(f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM public.{name}")
    execute(
        "UPDATE pg_temp.tracking_event_params SET kind = 'enum', allowed = %s", [[*WORDS.values()]]
    )
    execute("SET LOCAL search_path = pg_temp, public")
    with_merge(table)


def with_an_empty_search_path(table: str) -> None:
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
                with_deferred_constraints,
                with_a_temporary_plan,
                with_an_empty_search_path,
            )
        ),
        pytest.param(with_copy, TIMELINE, id=f"with_copy-{TIMELINE}"),
    ],
)
def test_no_write_path_bypasses_the_guard(attempt: Callable[[str], None], table: str) -> None:
    with refuses(GUARD[table]["p0_only"], table):
        attempt(table)
    assert execute(f"SELECT count(*) AS n FROM public.{table}") == [{"n": 0}]


def test_upsert_of_a_timeline_event_is_checked() -> None:
    with refuses(GUARD[TIMELINE]["p0_only"], TIMELINE):
        with_a_conflict(TIMELINE)


@each_table
def test_valid_event_is_stored_with_an_empty_search_path(table: str) -> None:
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
def test_update_of_a_timeline_event_is_checked(to: dict[str, Any]) -> None:
    row = Writer(TIMELINE).write("page_view", "web", {"page_path": "/"})
    LeadIdentityFactory(lead=row.lead)
    name, value = next(iter(to.items()))
    refusal = diagnosis(
        lambda: execute(f"UPDATE {TIMELINE} SET {name} = %s WHERE id = %s", [value, row.pk])
    )
    assert refusal.constraint_name in GUARD[TIMELINE].values()


def test_event_of_a_lead_without_identities_may_be_emptied() -> None:
    row = Writer(TIMELINE).write("page_view", "web", {"page_path": "/"})
    execute(f"UPDATE {TIMELINE} SET properties = '{{}}' WHERE id = %s", [row.pk])
    row.refresh_from_db()
    assert row.properties == {}


def test_retired_event_moves_with_its_lead() -> None:
    """Leads may be merged after one of their events was retired (states.md, "CRM")."""
    row = Writer(TIMELINE).write("page_view", "web", {"page_path": "/"})
    execute("UPDATE tracking_events SET is_active = false")
    into = LeadFactory()
    execute(f"UPDATE {TIMELINE} SET lead_id = %s", [into.pk])
    row.refresh_from_db()
    assert row.lead_id == into.pk


# -- Types, functions and operators that shadow those of the server -------------------------------


@contextmanager
def new_session(databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    """Open a session in which no function has run yet, and roll it back."""
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


def check_session_refuses(session: psycopg.Connection[Any], properties: dict[str, Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert_event(session, properties)
    assert caught.value.diag.constraint_name == GUARD[ANALYTICS]["p0_only"]


def run_guard_once(session: psycopg.Connection[Any]) -> None:
    """Run the guard once: a function keeps the types of its variables from its first run."""
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
        # Every role may create temporary types; name keeps 63 bytes, "char" keeps one.
        ("CREATE DOMAIN pg_temp.text AS pg_catalog.name", {"utm_source": LONG}),
        ('CREATE DOMAIN pg_temp.text AS pg_catalog."char"', {"utm_source": LONG}),
        (OPERATOR, {"text": "мне плохо"}),
    ],
    ids=["name", "char", "operator"],
)
def test_shadowing_names_do_not_change_the_guard(
    databases: Databases, names: str, properties: dict[str, Any], is_prepared: bool
) -> None:
    with new_session(databases) as session:
        session.execute(names)
        if is_prepared:
            run_guard_once(session)
        check_session_refuses(session, properties)
