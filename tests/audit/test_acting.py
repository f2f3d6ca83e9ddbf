"""Who acts, told to the database within a transaction: requests, blocks, verbs, other programs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils.functional import SimpleLazyObject
from psycopg import sql

from audit.services import record_entry
from booking.models import Service
from content.services import publish
from crm.models import Lead
from ebalance.actor import ActorMiddleware, acting_as, client_address, current_actor, user_agent
from ebalance.db.backend.session import may_write
from ebalance.services import transactional
from identity.models import User
from tests.admin.support import form_data, page
from tests.audit.audit_cases import last_seq, told, write_entries
from tests.case_loops import check_each
from tests.factories import LeadFactory, ServiceFactory, SystemSettingFactory, UserFactory
from tests.rule_cases import copy_rows
from tests.support import execute, refuses, rolled_back, update_sql

pytestmark = pytest.mark.django_db

WHO = ("actor_user_id", "actor_role", "ip_address", "user_agent")
SYSTEM = (None, "system", None, None)


def who(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry[name] for name in WHO)


def actors(write: Callable[[], Any]) -> list[Any]:
    """The keys of those who wrote, an entry each."""
    return [entry["actor_user_id"] for entry in told(write)]


@pytest.fixture
def service() -> Service:
    made = ServiceFactory()
    write_entries()
    return made


def price(service: Service, amount: int) -> None:
    Service.objects.filter(pk=service.pk).update(price_amount=amount)


# -- requests ---------------------------------------------------------------------------------


def post_price(client: Client, service: Service, amount: int, **headers: str) -> HttpResponse:
    address = page(Service, "change", service.pk)
    data = form_data(client.get(address, headers=headers)) | {"price_amount": amount}
    return client.post(address, data, headers=headers, REMOTE_ADDR="203.0.113.7")


def signed_in(role: str) -> tuple[Client, User]:
    client, person = Client(), UserFactory(role=role)
    client.force_login(person)
    return client, person


def test_a_price_that_an_owner_changes_in_admin_is_the_owners(service: Service) -> None:
    client, owner = signed_in("owner")
    (entry,) = told(lambda: post_price(client, service, 6000, user_agent="Mozilla/5.0 (X11)"))
    assert (entry["action"], entry["entity_id"]) == ("service_changed", service.pk)
    assert (entry["old_value"], entry["new_value"]) == (
        {"price_amount": 5000},
        {"price_amount": 6000},
    )
    assert who(entry) == (owner.pk, "owner", "203.0.113.7", "Mozilla/5.0 (X11)")


def test_a_lead_that_an_assistant_moves_in_admin_is_the_assistants() -> None:
    client, assistant = signed_in("assistant")
    lead = LeadFactory()
    address = page(Lead, "change", lead.pk)
    data = form_data(client.get(address)) | {"status": "engaged"}
    (entry,) = told(lambda: client.post(address, data))
    assert who(entry)[:2] == (assistant.pk, "assistant")


def test_after_a_request_nobody_acts(service: Service) -> None:
    client, _owner = signed_in("owner")
    post_price(client, service, 6000)
    assert current_actor() is None
    (entry,) = told(lambda: price(service, 7000))
    assert who(entry) == SYSTEM


def test_a_request_of_somebody_else_is_not_the_ones_before(service: Service) -> None:
    found = []
    for amount in (6000, 7000):
        client, owner = signed_in("owner")
        (entry,) = told(lambda amount=amount, client=client: post_price(client, service, amount))
        assert who(entry)[0] == owner.pk
        found.append(owner.pk)
    assert len(set(found)) == 2


def through_the_middleware(
    user: Any, view: Callable[[HttpRequest], HttpResponse], **meta: str
) -> HttpResponse:
    request = RequestFactory().get("/", **meta)
    request.user = user
    return ActorMiddleware(view)(request)


def test_nobody_who_is_logged_in_is_told_by_address_alone(service: Service) -> None:
    (entry,) = told(
        lambda: through_the_middleware(
            AnonymousUser(), lambda request: price(service, 6000), REMOTE_ADDR="203.0.113.7"
        )
    )
    assert who(entry) == (None, "system", "203.0.113.7", None)


def test_a_view_that_fails_leaves_nobody_acting() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        through_the_middleware(UserFactory(), view)
    assert current_actor() is None


FORWARDED = [
    (False, "198.51.100.9", "203.0.113.7"),
    (True, None, "203.0.113.7"),
    (True, "198.51.100.9", "198.51.100.9"),
    (True, "6.6.6.6, 198.51.100.9", "198.51.100.9"),
    (True, "6.6.6.6,7.7.7.7 ,  2001:db8::1 ", "2001:db8::1"),
    (True, "198.51.100.9, ", "203.0.113.7"),
    (True, "198.51.100.9, unknown", None),
    (True, "198.51.100.9:4711", None),
    (True, "1.2.3.4' OR true --", None),
]


def test_only_our_proxy_names_the_address_of_a_request(settings: Any) -> None:
    def check(case: tuple[bool, str | None, str | None]) -> None:
        settings.BEHIND_PROXY, header, address = case
        meta = {} if header is None else {"HTTP_X_FORWARDED_FOR": header}
        assert (
            client_address(RequestFactory().get("/", REMOTE_ADDR="203.0.113.7", **meta)) == address
        )

    check_each([(str(case), case) for case in FORWARDED], check)


ADDRESSES = {
    "": None,
    "unix:": None,
    "256.1.1.1": None,
    "::1": "::1",
    "2001:DB8:0::1": "2001:db8::1",
    "::ffff:203.0.113.7": "::ffff:203.0.113.7",
    "fe80::1%eth0": "fe80::1",
    "fe80::1%\x00": "fe80::1",
    "1" * 10_000: None,
}


def test_address_is_valid_or_none(service: Service) -> None:
    def check(case: tuple[str, str | None]) -> None:
        given, address = case
        found = client_address(RequestFactory().get("/", REMOTE_ADDR=given))
        if address and address.startswith("::ffff:"):
            assert found in {address, "::ffff:cb00:7107"}  # as Python's version writes it
        else:
            assert found == address
        with acting_as(None, ip_address=found):
            (entry,) = told(lambda: price(service, 6000))
        assert (entry["ip_address"] is None) == (address is None)

    check_each([(ascii(case[0])[:80], case) for case in ADDRESSES.items()], check)


AGENTS = {
    "": None,
    "  ": None,
    "curl/8.5": "curl/8.5",
    "a\r\nb\tc\x00d\x1b[31m": "abcd[31m",
    "\ud800x\u202ey": "xy",
    "я" * 1000: "я" * 400,
}


def test_user_agent_is_a_line_of_text(service: Service) -> None:
    def check(case: tuple[str, str | None]) -> None:
        given, agent = case
        found = user_agent(RequestFactory().get("/", HTTP_USER_AGENT=given))
        assert found == agent
        with acting_as(None, user_agent=found):
            (entry,) = told(lambda: price(service, 6000))
        assert entry["user_agent"] == agent

    check_each([(ascii(case[0])[:80], case) for case in AGENTS.items()], check)


# -- blocks -----------------------------------------------------------------------------------


def test_what_is_written_in_a_block_is_the_ones_who_acts(service: Service) -> None:
    person = UserFactory(role="owner")

    def write() -> None:
        price(service, 6000)
        with acting_as(person, ip_address="203.0.113.7", user_agent="bot/1"):
            price(service, 7000)
        price(service, 8000)

    before, inside, after = told(write)
    assert who(before) == who(after) == SYSTEM
    assert who(inside) == (person.pk, "owner", "203.0.113.7", "bot/1")


def test_each_of_two_in_one_transaction_has_their_own_entries(service: Service) -> None:
    first, second = UserFactory(), UserFactory()

    def write() -> None:
        with acting_as(first):
            price(service, 6000)
            with acting_as(second):
                price(service, 7000)
            price(service, 8000)
            with acting_as(None):
                price(service, 9000)
        price(service, 5000)

    assert actors(write) == [first.pk, second.pk, first.pk, None, None]


def test_what_was_written_before_stays_the_ones_who_wrote_it(service: Service) -> None:
    """The entries of a block wait for the end of the transaction; its actor does not change."""
    first, second = UserFactory(), UserFactory()

    def write() -> None:
        with acting_as(first):
            price(service, 6000)
        with acting_as(second):
            UserFactory()  # nothing that is audited

    assert actors(write) == [first.pk]


def test_a_transaction_in_a_block_and_a_block_in_a_transaction(service: Service) -> None:
    person = UserFactory()

    def write() -> None:
        with acting_as(person), transaction.atomic():
            price(service, 6000)
        with transaction.atomic(), acting_as(person):
            price(service, 7000)

    assert actors(write) == [person.pk, person.pk]


def test_a_savepoint_that_is_taken_back_takes_back_who_was_told(service: Service) -> None:
    first, second = UserFactory(), UserFactory()

    def write() -> None:
        with acting_as(first):
            price(service, 6000)
            with rolled_back(), acting_as(second):
                price(service, 7000)
            price(service, 8000)
            with rolled_back():
                price(service, 1000)
                with acting_as(second):
                    price(service, 2000)
            with acting_as(second), rolled_back():
                price(service, 3000)
        price(service, 9000)

    assert actors(write) == [first.pk, first.pk, None]


def test_a_block_left_by_an_error_leaves_nobody_behind(service: Service) -> None:
    first, second = UserFactory(), UserFactory()

    def write() -> None:
        with acting_as(first):
            with suppress(DatabaseError), transaction.atomic(), acting_as(second):
                execute("SELECT 1/0")
            price(service, 6000)
        with suppress(DatabaseError), transaction.atomic(), acting_as(second):
            execute("UPDATE services SET price_amount = -1")
        price(service, 7000)
        with suppress(ZeroDivisionError), acting_as(second):
            raise ZeroDivisionError
        price(service, 8000)

    assert actors(write) == [first.pk, None, None]
    assert current_actor() is None


def test_a_savepoint_made_by_hand_brings_nobody_back(service: Service) -> None:
    """Told before the savepoint, left after it, and told again by taking it back."""
    person = UserFactory()

    def write() -> None:
        with acting_as(person):
            price(service, 6000)
            savepoint = transaction.savepoint_create()
        price(service, 7000)  # the system is told
        transaction.savepoint_rollback(savepoint)  # now the person would be again
        price(service, 8000)

    assert actors(write) == [person.pk, None]


def test_an_error_between_savepoints_made_by_hand_brings_nobody_back(service: Service) -> None:
    person = UserFactory()

    def write() -> None:
        with suppress(DatabaseError), acting_as(person):
            price(service, 6000)
            execute("SAVEPOINT here")
            execute("SELECT 1/0")
        execute("ROLLBACK TO SAVEPOINT here")
        price(service, 7000)

    assert actors(write) == [person.pk, None]


def test_who_acts_is_a_person_and_no_key(service: Service) -> None:
    """A key would be taken for nobody, and the entry for the system's."""
    with pytest.raises(AttributeError), acting_as(UserFactory().pk):
        price(service, 6000)


def test_a_lazy_user_who_is_read_in_transactions_is_read_once(service: Service) -> None:
    person = UserFactory()
    reads = []

    def read() -> User:
        reads.append(1)
        with transaction.atomic():
            User.objects.select_for_update().get(pk=person.pk)
            Lead.objects.update(status="new")
        return person

    def write() -> None:
        with acting_as(SimpleLazyObject(read)):
            Service.objects.count()
            assert reads == []
            price(service, 6000)
            price(service, 7000)

    assert actors(write) == [person.pk, person.pk]
    assert reads == [1]


def test_a_user_whose_reading_fails_fails_the_write(service: Service) -> None:
    def read() -> User:
        raise ZeroDivisionError

    with acting_as(SimpleLazyObject(read)):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            price(service, 6000)
        assert current_actor() is not None
    service.refresh_from_db()
    assert service.price_amount == 5000


WAYS: dict[str, Callable[[], Any]] = {
    "comment": lambda: execute("/* price */ -- of all\n UPDATE services SET price_amount = 6000"),
    "lower case": lambda: execute("update services set price_amount = 6000"),
    "cte": lambda: execute(
        "WITH a AS (UPDATE services SET price_amount = 6000 RETURNING 1) SELECT * FROM a"
    ),
    "block": lambda: execute("DO $$ BEGIN UPDATE services SET price_amount = 6000; END $$"),
    "second statement": lambda: execute("SELECT 1; UPDATE services SET price_amount = 6000"),
    "after a setting": lambda: execute(
        "SET LOCAL lock_timeout = '1s'; UPDATE services SET price_amount = 6000"
    ),
    "composed": lambda: execute(sql.SQL("UPDATE services SET price_amount = 6000")),
    "explained": lambda: execute("EXPLAIN ANALYZE UPDATE services SET price_amount = 6000"),
    "merge": lambda: execute(
        "MERGE INTO services USING (SELECT 1) one ON true "
        "WHEN MATCHED THEN UPDATE SET price_amount = 6000"
    ),
}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_whatever_the_statement_looks_like_it_is_the_ones_who_acts(
    write: Callable[[], Any], service: Service
) -> None:
    person = UserFactory()

    def acted() -> None:
        with acting_as(person):
            write()

    assert actors(acted) == [person.pk]


def test_a_function_that_writes_does_so_for_the_one_who_acts(service: Service) -> None:
    execute(
        "CREATE FUNCTION pg_temp.raise_prices() RETURNS void LANGUAGE sql AS "
        "'UPDATE services SET price_amount = 6000'"
    )
    person = UserFactory()

    def acted() -> None:
        with acting_as(person):
            execute("SELECT pg_temp.raise_prices()")

    assert actors(acted) == [person.pk]


def test_copied_and_repeated_rows_are_the_ones_who_acts() -> None:
    person = UserFactory()

    def acted() -> None:
        with acting_as(person):
            copy_rows("system_settings", ["key", "value"], [["one", "1"], ["two", "2"]])
        with acting_as(person), connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO system_settings (key, value) VALUES (%s, '3')", [["three"], ["four"]]
            )

    assert actors(acted) == [person.pk] * 4


WRITES = [
    "UPDATE\tservices SET price_amount = 1",
    "UPDATE/**/services SET price_amount = 1",
    "WITH\ta AS (UPDATE services SET price_amount = 1 RETURNING 1) SELECT * FROM a",
    "/* why */ -- how\n delete from services",
    "SELECT\n note()",
    "SELECT\tnote()",
    "SELECT * FROM note()",
    "SELECT COUNT(note())",
    "SELECT (note())",
    'SELECT "note"()',
    "SELECT DISTINCT note()",
    "VALUES (note())",
    "TRUNCATE services",
    "SELECT 1; SELECT 2",
]
READS = [
    'SELECT "users"."id" FROM "users"',
    'SELECT COUNT(*) AS "__count" FROM "users"',
    "SELECT DISTINCT topic_code FROM leads",
    "(SELECT 1) UNION (SELECT 2)",
    "SAVEPOINT a",
    "RELEASE SAVEPOINT a",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "SHOW timezone",
    "VACUUM users",
    "-- nightly\nVACUUM users",
    "CREATE INDEX CONCURRENTLY one ON users (email)",
    "COMMENT ON TABLE users IS 'update of …'",
]


def test_statement_that_may_write_gets_a_transaction() -> None:
    assert [statement for statement in WRITES if not may_write(statement)] == []


def test_statement_that_cannot_write_opens_no_transaction() -> None:
    """It may be one that no transaction allows."""
    assert [statement for statement in READS if may_write(statement)] == []


# -- what it costs ----------------------------------------------------------------------------


def test_nothing_is_said_for_a_request_that_only_reads(
    service: Service, django_assert_num_queries: Any
) -> None:
    with acting_as(UserFactory()), django_assert_num_queries(2):
        Service.objects.count()
        list(Service.objects.all())


def test_who_acts_is_said_once(service: Service, django_assert_num_queries: Any) -> None:
    person = UserFactory()
    with django_assert_num_queries(2 + 3), acting_as(person):
        price(service, 6000)  # what the system wrote before is written into the log first
        price(service, 7000)
        with acting_as(person):
            price(service, 8000)


# -- roles ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        ([], "client"),
        (["client"], "client"),
        (["client", "editor"], "editor"),
        (["editor", "assistant", "client"], "assistant"),
        (["assistant", "owner", "editor", "client"], "owner"),
    ],
)
def test_somebody_acts_in_the_highest_role_they_have(
    roles: list[str], role: str, service: Service
) -> None:
    person = UserFactory()
    for code in roles:
        person.user_roles.create(role_id=code)
    with acting_as(person):
        (entry,) = told(lambda: price(service, 6000))
    assert who(entry)[:2] == (person.pk, role)


def test_a_role_that_is_said_is_taken(service: Service) -> None:
    with acting_as(UserFactory(role="owner"), role="editor"):
        (entry,) = told(lambda: price(service, 6000))
    assert entry["actor_role"] == "editor"


def test_who_takes_a_role_for_themselves_does_it_in_the_one_they_had(service: Service) -> None:
    person = UserFactory(role="editor")

    def take() -> None:
        with acting_as(person):
            price(service, 6000)
            person.user_roles.create(role_id="owner")
            price(service, 7000)

    assert [entry["actor_role"] for entry in told(take)] == ["editor"] * 3


def test_who_gives_up_a_role_does_it_in_that_one(service: Service) -> None:
    UserFactory(role="owner")
    person = UserFactory(role="owner")

    def give_up() -> None:
        with acting_as(person):
            price(service, 6000)
            person.user_roles.filter(role_id="owner").update(role_id="editor")
            person.user_roles.all().delete()

    assert [(e["action"], e["actor_role"]) for e in told(give_up)] == [
        ("service_changed", "owner"),
        ("role_changed", "owner"),
        ("role_taken", "owner"),
    ]


def test_what_is_remembered_of_one_is_not_of_another(service: Service) -> None:
    owner, editor = UserFactory(role="owner"), UserFactory(role="editor")

    def write() -> None:
        with acting_as(owner):
            UserFactory().user_roles.create(role_id="client")
        with acting_as(editor):
            price(service, 6000)
        with acting_as(owner), rolled_back():
            owner.user_roles.create(role_id="client")
        with acting_as(owner):
            price(service, 7000)

    assert [entry["actor_role"] for entry in told(write)] == ["owner", "editor", "owner"]


# -- rubbish ----------------------------------------------------------------------------------

UNKNOWN = "0199f0a0-0000-4000-8000-000000000007"
NO_PERSON, NO_ROLE = "audit_log_entries_actor_user_id_fk", "audit_log_entries_actor_role_in_set"


def test_a_person_who_does_not_exist_is_refused_by_name(service: Service) -> None:
    before = last_seq()
    with refuses(NO_PERSON, "audit_log_entries"), acting_as(User()):
        price(service, 6000)
    service.refresh_from_db()
    assert (service.price_amount, last_seq()) == (5000, before)


@pytest.mark.parametrize("text", ["anna", "1", "' OR true", UNKNOWN[:-1], f" {UNKNOWN}"])
def test_what_is_no_key_of_a_person_is_refused_by_name(text: str, service: Service) -> None:
    before = last_seq()
    with refuses(NO_PERSON, "audit_log_entries"):
        execute("SELECT set_config('ebalance.actor_user_id', %s, true)", [text])
        execute("UPDATE services SET price_amount = 6000")
    service.refresh_from_db()
    assert (service.price_amount, last_seq()) == (5000, before)


@pytest.mark.parametrize("role", ["admin", "OWNER", "owner ", "superuser"])
def test_a_role_that_is_none_is_refused_by_name(role: str, service: Service) -> None:
    before = last_seq()
    with refuses(NO_ROLE, "audit_log_entries"), acting_as(UserFactory(), role=role):
        price(service, 6000)
    service.refresh_from_db()
    assert (service.price_amount, last_seq()) == (5000, before)


def test_what_is_not_audited_asks_nobody_who_acts() -> None:
    with acting_as(User(), role="nobody"):
        assert told(lambda: UserFactory()) == []


@pytest.mark.parametrize("address", ["rubbish", "1.2.3", "1.2.3.4/99", "::1%eth0", "x" * 10_000])
def test_an_address_that_is_none_is_not_written_and_stops_nobody(
    address: str, service: Service
) -> None:
    execute("SELECT set_config('ebalance.ip_address', %s, true)", [address])
    (entry,) = told(lambda: price(service, 6000))
    assert entry["ip_address"] is None


def test_a_user_agent_is_cut(service: Service) -> None:
    execute("SELECT set_config('ebalance.user_agent', %s, true)", ["я" * 10_000])
    (entry,) = told(lambda: price(service, 6000))
    assert entry["user_agent"] == "я" * 400


def test_a_key_in_capitals_is_the_persons(service: Service) -> None:
    person = UserFactory(role="editor")
    execute("SELECT set_config('ebalance.actor_user_id', %s, true)", [str(person.pk).upper()])

    def write() -> None:
        person.user_roles.create(role_id="owner")
        price(service, 6000)

    found = told(write)
    assert [who(entry)[:2] for entry in found] == [(person.pk, "editor")] * 2


# -- verbs ------------------------------------------------------------------------------------


@transactional
def raise_price(service: Service, *, actor: User | None = None) -> None:
    price(service, 6000)


def test_what_a_verb_writes_is_its_actors(service: Service) -> None:
    person = UserFactory(role="owner")
    (entry,) = told(lambda: raise_price(service, actor=person))
    assert who(entry) == (person.pk, "owner", None, None)
    assert current_actor() is None


def test_a_verb_without_an_actor_is_the_systems(service: Service) -> None:
    (entry,) = told(lambda: raise_price(service))
    assert who(entry) == SYSTEM


def test_in_a_request_a_verb_is_the_ones_who_is_logged_in(service: Service) -> None:
    owner, other = UserFactory(role="owner"), UserFactory()

    def write() -> None:
        with acting_as(owner, ip_address="203.0.113.7"):
            raise_price(service, actor=other)

    (entry,) = told(write)
    assert who(entry) == (owner.pk, "owner", "203.0.113.7", None)


def test_in_a_request_of_nobody_a_verb_is_its_actors(service: Service) -> None:
    """A bot whose request names a person who has not logged in here."""
    person = UserFactory()
    (entry,) = told(
        lambda: through_the_middleware(
            AnonymousUser(),
            lambda request: raise_price(service, actor=person),
            REMOTE_ADDR="203.0.113.7",
            HTTP_USER_AGENT="bot/1",
        )
    )
    assert who(entry) == (person.pk, "client", "203.0.113.7", "bot/1")


def test_a_verb_of_the_domain_names_its_actor() -> None:
    owner = UserFactory(role="owner")
    service = ServiceFactory()
    (entry,) = told(lambda: publish(service, actor=owner))
    assert (entry["action"], who(entry)[:2]) == ("service_changed", (owner.pk, "owner"))


# -- what the application records -------------------------------------------------------------


def test_an_entry_of_the_application_is_the_ones_who_acts() -> None:
    person = UserFactory(role="assistant")

    def write() -> None:
        with acting_as(person, ip_address="203.0.113.7"):
            record_entry("looked", person)

    (entry,) = told(write)
    assert who(entry) == (person.pk, "assistant", "203.0.113.7", None)


def test_others_than_people_may_be_asked_for_a_key() -> None:
    """What stands for a person in a request: whatever has a key."""
    person = UserFactory()
    setting = SystemSettingFactory()
    with acting_as(SimpleNamespace(pk=person.pk)):
        (entry,) = told(lambda: update_sql(setting, value=3))
    assert entry["actor_user_id"] == person.pk
