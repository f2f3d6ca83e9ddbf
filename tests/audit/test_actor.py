"""The actor of a transaction: set by requests, blocks, services and other programs."""

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
from tests.audit.audit_cases import capture_entries, last_seq, write_entries
from tests.case_loops import check_each
from tests.factories import LeadFactory, ServiceFactory, SystemSettingFactory, UserFactory
from tests.rule_cases import copy_rows
from tests.support import execute, refuses, rolled_back, update_sql

pytestmark = pytest.mark.django_db

WHO = ("actor_user_id", "actor_role", "ip_address", "user_agent")
SYSTEM = (None, "system", None, None)


def actor_of(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry[name] for name in WHO)


def keys_of_actors(write: Callable[[], Any]) -> list[Any]:
    """The key of the actor of each entry."""
    return [entry["actor_user_id"] for entry in capture_entries(write)]


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


def test_admin_price_change_is_attributed_to_the_owner(service: Service) -> None:
    client, owner = signed_in("owner")
    (entry,) = capture_entries(
        lambda: post_price(client, service, 6000, user_agent="Mozilla/5.0 (X11)")
    )
    assert (entry["action"], entry["entity_id"]) == ("service_changed", service.pk)
    assert (entry["old_value"], entry["new_value"]) == (
        {"price_amount": 5000},
        {"price_amount": 6000},
    )
    assert actor_of(entry) == (owner.pk, "owner", "203.0.113.7", "Mozilla/5.0 (X11)")


def test_admin_lead_change_is_attributed_to_the_assistant() -> None:
    client, assistant = signed_in("assistant")
    lead = LeadFactory()
    address = page(Lead, "change", lead.pk)
    data = form_data(client.get(address)) | {"status": "engaged"}
    (entry,) = capture_entries(lambda: client.post(address, data))
    assert actor_of(entry)[:2] == (assistant.pk, "assistant")


def test_request_leaves_no_actor_behind(service: Service) -> None:
    client, _owner = signed_in("owner")
    post_price(client, service, 6000)
    assert current_actor() is None
    (entry,) = capture_entries(lambda: price(service, 7000))
    assert actor_of(entry) == SYSTEM


def test_each_request_has_its_own_actor(service: Service) -> None:
    owners = []
    for amount in (6000, 7000):
        client, owner = signed_in("owner")
        (entry,) = capture_entries(
            lambda amount=amount, client=client: post_price(client, service, amount)
        )
        assert actor_of(entry)[0] == owner.pk
        owners.append(owner.pk)
    assert len(set(owners)) == 2


def through_the_middleware(
    user: Any, view: Callable[[HttpRequest], HttpResponse], **meta: str
) -> HttpResponse:
    request = RequestFactory().get("/", **meta)
    request.user = user
    return ActorMiddleware(view)(request)


def test_anonymous_request_is_recorded_with_its_address(service: Service) -> None:
    (entry,) = capture_entries(
        lambda: through_the_middleware(
            AnonymousUser(), lambda request: price(service, 6000), REMOTE_ADDR="203.0.113.7"
        )
    )
    assert actor_of(entry) == (None, "system", "203.0.113.7", None)


def test_failing_view_leaves_no_actor_behind() -> None:
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


def test_only_our_proxy_may_set_the_client_address(settings: Any) -> None:
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
        parsed = client_address(RequestFactory().get("/", REMOTE_ADDR=given))
        if address and address.startswith("::ffff:"):
            assert parsed in {address, "::ffff:cb00:7107"}  # as Python's version writes it
        else:
            assert parsed == address
        with acting_as(None, ip_address=parsed):
            (entry,) = capture_entries(lambda: price(service, 6000))
        assert (entry["ip_address"] is None) == (address is None)

    check_each([(ascii(case[0])[:80], case) for case in ADDRESSES.items()], check)


AGENTS = {
    "": None,
    "  ": None,
    "curl/8.5": "curl/8.5",
    "a\r\nb\tc\x00d\x1b[31m": "abcd[31m",
    "\ud800x\u202ey": "xy",
    "я" * 1000: "я" * 300,
}


def test_user_agent_is_a_line_of_text(service: Service) -> None:
    def check(case: tuple[str, str | None]) -> None:
        given, agent = case
        parsed = user_agent(RequestFactory().get("/", HTTP_USER_AGENT=given))
        assert parsed == agent
        with acting_as(None, user_agent=parsed):
            (entry,) = capture_entries(lambda: price(service, 6000))
        assert entry["user_agent"] == agent

    check_each([(ascii(case[0])[:80], case) for case in AGENTS.items()], check)


# -- blocks -----------------------------------------------------------------------------------


def test_write_in_a_block_is_attributed_to_its_actor(service: Service) -> None:
    person = UserFactory(role="owner")

    def write() -> None:
        price(service, 6000)
        with acting_as(person, ip_address="203.0.113.7", user_agent="bot/1"):
            price(service, 7000)
        price(service, 8000)

    before, inside, after = capture_entries(write)
    assert actor_of(before) == actor_of(after) == SYSTEM
    assert actor_of(inside) == (person.pk, "owner", "203.0.113.7", "bot/1")


def test_two_actors_in_one_transaction_have_separate_entries(service: Service) -> None:
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

    assert keys_of_actors(write) == [first.pk, second.pk, first.pk, None, None]


def test_earlier_write_keeps_its_actor(service: Service) -> None:
    """Entries are written at the end of the transaction, with the actor of their block."""
    first, second = UserFactory(), UserFactory()

    def write() -> None:
        with acting_as(first):
            price(service, 6000)
        with acting_as(second):
            UserFactory()  # nothing that is audited

    assert keys_of_actors(write) == [first.pk]


def test_blocks_and_transactions_nest_in_either_order(service: Service) -> None:
    person = UserFactory()

    def write() -> None:
        with acting_as(person), transaction.atomic():
            price(service, 6000)
        with transaction.atomic(), acting_as(person):
            price(service, 7000)

    assert keys_of_actors(write) == [person.pk, person.pk]


def test_savepoint_rollback_restores_the_actor(service: Service) -> None:
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

    assert keys_of_actors(write) == [first.pk, first.pk, None]


def test_block_left_by_an_error_leaves_no_actor_behind(service: Service) -> None:
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

    assert keys_of_actors(write) == [first.pk, None, None]
    assert current_actor() is None


def test_manual_savepoint_rollback_restores_no_actor(service: Service) -> None:
    """The rollback would restore a setting that the block has already left."""
    person = UserFactory()

    def write() -> None:
        with acting_as(person):
            price(service, 6000)
            savepoint = transaction.savepoint_create()
        price(service, 7000)  # sets the system
        transaction.savepoint_rollback(savepoint)  # would restore the person
        price(service, 8000)

    assert keys_of_actors(write) == [person.pk, None]


def test_error_after_a_manual_savepoint_restores_no_actor(service: Service) -> None:
    person = UserFactory()

    def write() -> None:
        with suppress(DatabaseError), acting_as(person):
            price(service, 6000)
            execute("SAVEPOINT here")
            execute("SELECT 1/0")
        execute("ROLLBACK TO SAVEPOINT here")
        price(service, 7000)

    assert keys_of_actors(write) == [person.pk, None]


def test_actor_must_be_a_user_object(service: Service) -> None:
    """A key would be taken for an anonymous actor, and its entry attributed to the system."""
    with pytest.raises(AttributeError), acting_as(UserFactory().pk):
        price(service, 6000)


def test_lazy_user_is_loaded_once(service: Service) -> None:
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

    assert keys_of_actors(write) == [person.pk, person.pk]
    assert reads == [1]


def test_failing_load_of_the_user_fails_the_write(service: Service) -> None:
    def read() -> User:
        raise ZeroDivisionError

    with acting_as(SimpleLazyObject(read)):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            price(service, 6000)
        assert current_actor() is not None
    service.refresh_from_db()
    assert service.price_amount == 5000


STATEMENTS: dict[str, Callable[[], Any]] = {
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


@pytest.mark.parametrize("write", STATEMENTS.values(), ids=STATEMENTS)
def test_every_kind_of_statement_is_attributed_to_the_actor(
    write: Callable[[], Any], service: Service
) -> None:
    person = UserFactory()

    def acted() -> None:
        with acting_as(person):
            write()

    assert keys_of_actors(acted) == [person.pk]


def test_write_by_a_function_is_attributed_to_the_actor(service: Service) -> None:
    execute(
        "CREATE FUNCTION pg_temp.raise_prices() RETURNS void LANGUAGE sql AS "
        "'UPDATE services SET price_amount = 6000'"
    )
    person = UserFactory()

    def acted() -> None:
        with acting_as(person):
            execute("SELECT pg_temp.raise_prices()")

    assert keys_of_actors(acted) == [person.pk]


def test_copied_and_repeated_rows_are_attributed_to_the_actor() -> None:
    person = UserFactory()

    def acted() -> None:
        with acting_as(person):
            copy_rows("system_settings", ["key", "value"], [["one", "1"], ["two", "2"]])
        with acting_as(person), connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO system_settings (key, value) VALUES (%s, '3')", [["three"], ["four"]]
            )

    assert keys_of_actors(acted) == [person.pk] * 4


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
    """Some statements are not allowed in a transaction."""
    assert [statement for statement in READS if may_write(statement)] == []


# -- cost -------------------------------------------------------------------------------------


def test_reading_request_sets_no_actor(service: Service, django_assert_num_queries: Any) -> None:
    with acting_as(UserFactory()), django_assert_num_queries(2):
        Service.objects.count()
        list(Service.objects.all())


def test_actor_is_set_once(service: Service, django_assert_num_queries: Any) -> None:
    person = UserFactory()
    with django_assert_num_queries(2 + 3), acting_as(person):
        price(service, 6000)  # first writes the pending entries of the system
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
def test_actor_has_their_highest_role(roles: list[str], role: str, service: Service) -> None:
    person = UserFactory()
    for code in roles:
        person.user_roles.create(role_id=code)
    with acting_as(person):
        (entry,) = capture_entries(lambda: price(service, 6000))
    assert actor_of(entry)[:2] == (person.pk, role)


def test_explicit_role_is_used(service: Service) -> None:
    with acting_as(UserFactory(role="owner"), role="editor"):
        (entry,) = capture_entries(lambda: price(service, 6000))
    assert entry["actor_role"] == "editor"


def test_self_granted_role_is_recorded_under_the_old_role(service: Service) -> None:
    person = UserFactory(role="editor")

    def take() -> None:
        with acting_as(person):
            price(service, 6000)
            person.user_roles.create(role_id="owner")
            price(service, 7000)

    assert [entry["actor_role"] for entry in capture_entries(take)] == ["editor"] * 3


def test_given_up_role_is_recorded_under_that_role(service: Service) -> None:
    UserFactory(role="owner")
    person = UserFactory(role="owner")

    def give_up() -> None:
        with acting_as(person):
            price(service, 6000)
            person.user_roles.filter(role_id="owner").update(role_id="editor")
            person.user_roles.all().delete()

    assert [(e["action"], e["actor_role"]) for e in capture_entries(give_up)] == [
        ("service_changed", "owner"),
        ("role_changed", "owner"),
        ("role_taken", "owner"),
    ]


def test_cached_role_belongs_to_one_actor(service: Service) -> None:
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

    assert [entry["actor_role"] for entry in capture_entries(write)] == ["owner", "editor", "owner"]


# -- invalid values ---------------------------------------------------------------------------

UNKNOWN = "0199f0a0-0000-4000-8000-000000000007"
NO_PERSON, NO_ROLE = "audit_log_entries_actor_user_id_fk", "audit_log_entries_actor_role_in_set"


def test_unknown_person_is_refused_by_name(service: Service) -> None:
    before = last_seq()
    with refuses(NO_PERSON, "audit_log_entries"), acting_as(User()):
        price(service, 6000)
    service.refresh_from_db()
    assert (service.price_amount, last_seq()) == (5000, before)


@pytest.mark.parametrize("text", ["anna", "1", "' OR true", UNKNOWN[:-1], f" {UNKNOWN}"])
def test_invalid_person_key_is_refused_by_name(text: str, service: Service) -> None:
    before = last_seq()
    with refuses(NO_PERSON, "audit_log_entries"):
        execute("SELECT set_config('ebalance.actor_user_id', %s, true)", [text])
        execute("UPDATE services SET price_amount = 6000")
    service.refresh_from_db()
    assert (service.price_amount, last_seq()) == (5000, before)


@pytest.mark.parametrize("role", ["admin", "OWNER", "owner ", "superuser"])
def test_unknown_role_is_refused_by_name(role: str, service: Service) -> None:
    before = last_seq()
    with refuses(NO_ROLE, "audit_log_entries"), acting_as(UserFactory(), role=role):
        price(service, 6000)
    service.refresh_from_db()
    assert (service.price_amount, last_seq()) == (5000, before)


def test_unaudited_write_does_not_check_the_actor() -> None:
    with acting_as(User(), role="nobody"):
        assert capture_entries(lambda: UserFactory()) == []


@pytest.mark.parametrize("address", ["rubbish", "1.2.3", "1.2.3.4/99", "::1%eth0", "x" * 10_000])
def test_invalid_address_is_dropped_without_an_error(address: str, service: Service) -> None:
    execute("SELECT set_config('ebalance.ip_address', %s, true)", [address])
    (entry,) = capture_entries(lambda: price(service, 6000))
    assert entry["ip_address"] is None


def test_long_user_agent_is_cut(service: Service) -> None:
    execute("SELECT set_config('ebalance.user_agent', %s, true)", ["я" * 10_000])
    (entry,) = capture_entries(lambda: price(service, 6000))
    assert entry["user_agent"] == "я" * 300


def test_uppercase_key_identifies_the_person(service: Service) -> None:
    person = UserFactory(role="editor")
    execute("SELECT set_config('ebalance.actor_user_id', %s, true)", [str(person.pk).upper()])

    def write() -> None:
        person.user_roles.create(role_id="owner")
        price(service, 6000)

    entries = capture_entries(write)
    assert [actor_of(entry)[:2] for entry in entries] == [(person.pk, "editor")] * 2


# -- services ---------------------------------------------------------------------------------


@transactional
def raise_price(service: Service, *, actor: User | None = None) -> None:
    price(service, 6000)


def test_write_of_a_service_is_attributed_to_its_actor(service: Service) -> None:
    person = UserFactory(role="owner")
    (entry,) = capture_entries(lambda: raise_price(service, actor=person))
    assert actor_of(entry) == (person.pk, "owner", None, None)
    assert current_actor() is None


def test_service_without_an_actor_acts_as_the_system(service: Service) -> None:
    (entry,) = capture_entries(lambda: raise_price(service))
    assert actor_of(entry) == SYSTEM


def test_service_in_a_request_acts_as_the_logged_in_user(service: Service) -> None:
    owner, other = UserFactory(role="owner"), UserFactory()

    def write() -> None:
        with acting_as(owner, ip_address="203.0.113.7"):
            raise_price(service, actor=other)

    (entry,) = capture_entries(write)
    assert actor_of(entry) == (owner.pk, "owner", "203.0.113.7", None)


def test_service_in_an_anonymous_request_acts_as_its_actor(service: Service) -> None:
    """A bot's request names a person who has not logged in."""
    person = UserFactory()
    (entry,) = capture_entries(
        lambda: through_the_middleware(
            AnonymousUser(),
            lambda request: raise_price(service, actor=person),
            REMOTE_ADDR="203.0.113.7",
            HTTP_USER_AGENT="bot/1",
        )
    )
    assert actor_of(entry) == (person.pk, "client", "203.0.113.7", "bot/1")


def test_domain_service_records_its_actor() -> None:
    owner = UserFactory(role="owner")
    service = ServiceFactory()
    (entry,) = capture_entries(lambda: publish(service, actor=owner))
    assert (entry["action"], actor_of(entry)[:2]) == ("service_changed", (owner.pk, "owner"))


# -- entries of the application ---------------------------------------------------------------


def test_application_entry_is_attributed_to_the_actor() -> None:
    person = UserFactory(role="assistant")

    def write() -> None:
        with acting_as(person, ip_address="203.0.113.7"):
            record_entry("looked", person)

    (entry,) = capture_entries(write)
    assert actor_of(entry) == (person.pk, "assistant", "203.0.113.7", None)


def test_any_object_with_a_key_may_act() -> None:
    """A request may carry any object with a key in place of a user."""
    person = UserFactory()
    setting = SystemSettingFactory()
    with acting_as(SimpleNamespace(pk=person.pk)):
        (entry,) = capture_entries(lambda: update_sql(setting, value=3))
    assert entry["actor_user_id"] == person.pk
