"""The actor on connections that outlive a request: it never leaks into another request.

The tests commit: autocommit, transactions, pools, poolers, threads, coroutines and programs without
Django.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import psycopg
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.functional import SimpleLazyObject
from psycopg import sql

from audit.models import SystemSetting
from audit.services import record_entry
from booking.models import Service
from crm.models import Lead
from ebalance import actor as actor_module
from ebalance.actor import acting_as, current_actor
from ebalance.db.backend.session import SessionActor
from ebalance.dev.bundled import bundled_bin_dir
from ebalance.services import transactional
from identity.models import User
from tests.audit.audit_cases import entries_since, last_seq
from tests.databases import Database
from tests.factories import LeadFactory, ServiceFactory, UserFactory
from tests.processes import HANG_TIMEOUT, environment
from tests.rule_cases import copy_rows
from tests.services import committing, run_concurrently
from tests.support import execute


@pytest.fixture(scope="module")
def database(module_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    with committing(module_database, django_db_blocker):
        ServiceFactory()
        yield module_database


@pytest.fixture(autouse=True)
def usable(database: Database, django_db_blocker: Any) -> Iterator[None]:
    """Restore the connection after each test."""
    with django_db_blocker.unblock():
        yield
        assert current_actor() is None
        assert connection.get_autocommit()
        assert not connection.in_atomic_block


def recorded_actors(write: Callable[[], Any]) -> list[tuple[Any, ...]]:
    """The actors of the entries that ``write`` causes: key, role, address."""
    before = last_seq()
    write()
    return [
        (entry["actor_user_id"], entry["actor_role"], entry["ip_address"])
        for entry in entries_since(before)
    ]


SYSTEM = (None, "system", None)


def pid() -> int:
    (row,) = execute("SELECT pg_backend_pid() AS pid")
    return row["pid"]


def price(amount: int | None = None) -> None:
    """Set a new price each time, so that there is an entry."""
    Service.objects.update(price_amount=amount or next(PRICES))


PRICES = iter(range(10_000, 1_000_000))


def add_settings(*keys: str) -> None:
    SystemSetting.objects.bulk_create([SystemSetting(key=key, value=1) for key in keys])


# -- outside of transactions --------------------------------------------------------------------


def many_prices() -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE services SET price_amount = %s", [(next(PRICES),), (next(PRICES),)]
        )


def save() -> None:
    row = Service.objects.get()
    row.price_amount = next(PRICES)
    row.save()


def raise_by_function() -> None:
    execute("SELECT public.record_audit_entry('tried', 'test', NULL, NULL, NULL, NULL)")


RAISE = "UPDATE services SET price_amount = price_amount + 1"
AUTOCOMMITTED: dict[str, Callable[[], Any]] = {
    "update()": price,
    "save()": save,
    "executemany": many_prices,
    "comment": lambda: execute(f"/* nightly */ {RAISE}"),
    "cte": lambda: execute(f"WITH a AS ({RAISE} RETURNING 1) SELECT count(*) FROM a"),
    "block": lambda: execute(f"DO $$ BEGIN {RAISE}; END $$"),
    "second statement": lambda: execute(f"SELECT 1; {RAISE}"),
    "composed": lambda: execute(sql.SQL(RAISE)),
    "function": raise_by_function,
    "record": lambda: record_entry("tried", Service.objects.get()),
    "copy": lambda: copy_rows("system_settings", ["key", "value"], [[f"k{next(PRICES)}", "1"]]),
    "bulk_create": lambda: add_settings(f"k{next(PRICES)}"),
    "delete()": lambda: SystemSetting.objects.filter(key__startswith="k").delete(),
}


@pytest.mark.parametrize("write", AUTOCOMMITTED.values(), ids=AUTOCOMMITTED)
def test_autocommitted_write_is_attributed_to_the_actor(write: Callable[[], Any]) -> None:
    add_settings(f"k{next(PRICES)}")
    person = UserFactory(role="owner")

    def acted() -> None:
        with acting_as(person, ip_address="203.0.113.7"):
            write()

    entries = recorded_actors(acted)
    assert entries
    assert set(entries) == {(person.pk, "owner", "203.0.113.7")}
    assert set(recorded_actors(write)) <= {SYSTEM}


def test_read_outside_of_a_transaction_opens_none() -> None:
    with acting_as(UserFactory()):
        Service.objects.count()
        assert connection.connection.info.transaction_status.name == "IDLE"
        assert execute("SELECT 1 FROM services") == [{"?column?": 1}]
        assert connection.connection.info.transaction_status.name == "IDLE"


def test_refused_autocommitted_write_leaves_a_usable_connection() -> None:
    person = UserFactory()

    def write() -> None:
        with acting_as(person):
            with pytest.raises(IntegrityError):
                price(-1)
            with pytest.raises(IntegrityError), acting_as(User()):
                price()
            price()

    assert [key for key, *_ in recorded_actors(write)] == [person.pk]


def test_each_manual_transaction_sets_the_actor() -> None:
    person = UserFactory()

    def write() -> None:
        transaction.set_autocommit(False)
        try:
            with acting_as(person):
                price()
                transaction.commit()
                price()
                transaction.rollback()
                price()
                transaction.commit()
                price()
            price()
            transaction.commit()
            price()
            transaction.commit()
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)

    assert [key for key, *_ in recorded_actors(write)] == [person.pk] * 3 + [None] * 2


# -- one connection, one request after another ----------------------------------------------------


def change(request: HttpRequest) -> HttpResponse:
    price()
    with transaction.atomic():
        price()
    return HttpResponse(str(pid()))


async def change_later(request: HttpRequest) -> HttpResponse:
    for _ in range(3):
        await sync_to_async(price)()
        await asyncio.sleep(0)
    await Service.objects.aupdate(price_amount=next(PRICES))
    await sync_to_async(change_beside, thread_sensitive=False)()
    return HttpResponse("")


def change_beside() -> None:
    """In its own thread and connection."""
    try:
        price()
    finally:
        connection.close()


def fail(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        price()
        raise ZeroDivisionError


urlpatterns = [path("change", change), path("later", change_later), path("fail", fail)]


@pytest.fixture
def addresses(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.ALLOWED_HOSTS = ["testserver"]


def signed_in() -> tuple[Client, User]:
    client, person = Client(raise_request_exception=False), UserFactory(role="editor")
    client.force_login(person)
    return client, person


def request_in_turn() -> set[int]:
    """Send requests of two people and anonymous ones, check their actors, return the backends."""
    (first, anna), (second, boris), anonymous = signed_in(), signed_in(), Client()
    pids: set[int] = set()

    def ask(client: Client, address: str) -> None:
        response = client.get(address, REMOTE_ADDR="203.0.113.7")
        if response.status_code == 200:
            pids.add(int(response.content))

    def write() -> None:
        ask(first, "/change")
        ask(anonymous, "/change")
        ask(second, "/change")
        ask(first, "/fail")
        ask(anonymous, "/change")
        price()

    address = "203.0.113.7"
    assert recorded_actors(write) == [
        *[(anna.pk, "editor", address)] * 2,
        *[(None, "system", address)] * 2,
        *[(boris.pk, "editor", address)] * 2,
        *[(None, "system", address)] * 2,
        SYSTEM,
    ]
    return pids


def test_persistent_connection_keeps_no_actor(addresses: None) -> None:
    assert len(request_in_turn()) == 1


@contextmanager
def pooled() -> Iterator[None]:
    """Use a connection pool of size one."""
    options = connection.settings_dict["OPTIONS"]
    connection.close()
    options["pool"] = {"min_size": 1, "max_size": 1, "timeout": HANG_TIMEOUT}
    try:
        yield
    finally:
        connection.close()
        connection.close_pool()
        del options["pool"]


def test_pool_keeps_no_actor(addresses: None) -> None:
    with pooled():
        assert connection.pool is not None
        assert len(request_in_turn()) == 1


def test_connection_returns_to_the_pool_without_an_actor() -> None:
    person = UserFactory()
    with pooled():
        with acting_as(person), suppress(ZeroDivisionError), transaction.atomic():
            price()
            first = pid()
            raise ZeroDivisionError
        with acting_as(person):
            transaction.set_autocommit(False)
            price()
            connection.close()  # in the middle of a transaction
        assert recorded_actors(price) == [SYSTEM]
        assert pid() == first


def test_pooled_transactions_on_one_session_have_separate_actors(database: Database) -> None:
    """As in a pooler's transaction mode: the clients' transactions share one session."""
    anna, boris = UserFactory(role="client"), UserFactory(role="assistant")
    set_actor = "SELECT set_config('ebalance.actor_user_id', %s::text, true)"
    raised = "UPDATE services SET price_amount = price_amount + 1"

    def write() -> None:
        with database.connect() as session:
            turns = [(anna, True), (None, True), (boris, True), (anna, False), (None, True)]
            for person, is_kept in turns:
                if person:
                    session.execute(set_actor, [person.pk])
                session.execute(raised)
                if is_kept:
                    session.commit()
                else:
                    session.rollback()

    assert recorded_actors(write) == [
        (anna.pk, "client", None),
        SYSTEM,
        (boris.pk, "assistant", None),
        SYSTEM,
    ]


# -- threads and coroutines -----------------------------------------------------------------------


def test_each_thread_has_its_own_actor() -> None:
    people = [UserFactory() for _ in range(8)]

    def work(person: User) -> None:
        with acting_as(person):
            for _ in range(5):
                record_entry("tried", person)

    before = last_seq()
    assert (
        run_concurrently(*(lambda person=person: work(person) for person in people)) == [None] * 8
    )
    entries = entries_since(before)
    assert len(entries) == 40
    assert all(entry["actor_user_id"] == entry["entity_id"] for entry in entries)


def test_new_thread_has_no_actor() -> None:
    def work() -> None:
        try:
            price()
        finally:
            connection.close()

    def write() -> None:
        with acting_as(UserFactory()):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

    assert recorded_actors(write) == [SYSTEM]


def test_concurrent_requests_in_one_event_loop_have_separate_actors(addresses: None) -> None:
    # Read again, as a login does: the database writes session_stamp.
    people = [User.objects.get(pk=UserFactory().pk) for _ in range(4)]

    async def ask(person: User | None) -> None:
        client = AsyncClient()
        if person:
            await client.aforce_login(person)
        response = await client.get("/later")
        assert response.status_code == 200

    async def all_of_them() -> None:
        await asyncio.gather(*(ask(person) for person in [*people, None]))

    before = last_seq()
    async_to_sync(all_of_them)()
    keys = [
        entry["actor_user_id"]
        for entry in entries_since(before)
        if entry["action"] == "service_changed"
    ]
    assert Counter(keys) == dict.fromkeys([*(person.pk for person in people), None], 5)


# -- failures to set the actor --------------------------------------------------------------------


def kill_backend(database: Database) -> None:
    """Terminate the backend of Django's connection, like an administrator or a crash."""
    with database.connect(autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid()])


def test_connection_lost_while_the_actor_is_set_is_replaced(database: Database) -> None:
    person = UserFactory()

    def write() -> None:
        with acting_as(person):
            kill_backend(database)
            with pytest.raises(OperationalError), transaction.atomic():
                price()
            assert connection.connection is None
            with transaction.atomic():
                price()
            kill_backend(database)
            with pytest.raises(OperationalError):
                price()
            price()
        kill_backend(database)
        with pytest.raises(OperationalError):
            price()
        connection.close()
        price()

    assert [key for key, *_ in recorded_actors(write)] == [person.pk, person.pk, None]


def test_a_lost_connection_of_a_pool_is_replaced(database: Database) -> None:
    person = UserFactory()

    def write() -> None:
        with acting_as(person):
            price()
            kill_backend(database)
            with pytest.raises(OperationalError), transaction.atomic():
                price()
            price()

    with pooled():
        assert [key for key, *_ in recorded_actors(write)] == [person.pk] * 2


def test_connection_lost_in_a_block_leaves_no_actor_behind(database: Database) -> None:
    person = UserFactory()

    def lose() -> None:
        with transaction.atomic():
            price()
            with acting_as(person):
                price()
                kill_backend(database)
                price()

    def write() -> None:
        with pytest.raises(OperationalError):
            lose()
        price()

    assert recorded_actors(write) == [SYSTEM]


def test_interrupted_setting_of_the_actor_leaves_no_transaction_open(monkeypatch: Any) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    person = UserFactory()
    with monkeypatch.context() as patched:
        patched.setattr(SessionActor, "_set", stop)
        with acting_as(person), pytest.raises(KeyboardInterrupt), transaction.atomic():
            price()
    assert connection.connection is None
    assert recorded_actors(price) == [SYSTEM]


def test_unreadable_user_begins_no_transaction() -> None:
    def read() -> User:
        execute("SELECT 1/0")
        raise AssertionError("unreachable")

    with acting_as(SimpleLazyObject(read)), pytest.raises(DatabaseError), transaction.atomic():
        price()
    assert connection.connection.info.transaction_status.name == "IDLE"
    assert recorded_actors(price) == [SYSTEM]


def test_load_of_the_user_writes_without_an_actor() -> None:
    """Reading an expired session deletes it."""
    person, reads = UserFactory(), []

    def read() -> User:
        reads.append(1)
        with transaction.atomic():
            price()
        return person

    def write() -> None:
        with acting_as(SimpleLazyObject(read)):
            with transaction.atomic():
                price()
            price()

    assert [key for key, *_ in recorded_actors(write)] == [None, person.pk, person.pk]
    assert reads == [1]


# -- refused transactions -------------------------------------------------------------------------


def test_service_with_an_unknown_actor_fails_after_its_work() -> None:
    @transactional
    def raise_price(*, actor: User) -> None:
        price()

    before = last_seq(), Service.objects.get().price_amount
    with pytest.raises(Exception, match="audit_log_entries_actor_user_id_fk") as caught:
        raise_price(actor=User())
    assert caught.type.__name__ == "RuleBroken"
    assert (last_seq(), Service.objects.get().price_amount) == before


# -- programs without Django ----------------------------------------------------------------------

PROGRAM = """
import json, sys
import psycopg

conninfo, statements = json.loads(sys.stdin.read())
with psycopg.connect(conninfo, autocommit=True) as connection:
    for statement in statements:
        connection.execute(statement)
"""


def program(database: Database, *statements: str) -> None:
    """Run the statements one by one in a process with psycopg."""
    subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([database.conninfo, statements]),
        text=True,
        check=True,
        timeout=HANG_TIMEOUT,
    )


def psql(database: Database, *statements: str, typed: str | None = None) -> None:
    command = [str(bundled_bin_dir() / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"]
    for statement in statements:
        command += ["-c", statement]
    subprocess.run(
        [*command, "-d", database.conninfo],
        input=typed,
        stdout=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=HANG_TIMEOUT,
        env=environment(),
    )


def documented_statements(person: User, address: str) -> list[str]:
    """The statements that the module documents for programs without Django."""
    indented = [
        line for line in (actor_module.__doc__ or "").splitlines() if line.startswith("    ")
    ]
    text = " ".join(line.strip() for line in indented).replace("…", str(person.pk), 1)
    return [part for part in text.replace("…", address, 1).split("; ") if part]


@pytest.mark.slow
def test_documented_statements_set_the_actor(database: Database) -> None:
    person = UserFactory(role="assistant")
    statements = [*documented_statements(person, "203.0.113.7"), RAISE, "COMMIT", RAISE]
    assert len(statements) == 5
    them = (person.pk, "assistant", "203.0.113.7")
    assert recorded_actors(lambda: program(database, *statements)) == [them, SYSTEM]
    one = "; ".join([*documented_statements(person, "203.0.113.7"), RAISE, "COMMIT"])
    assert recorded_actors(lambda: psql(database, one, RAISE)) == [them, SYSTEM]


@pytest.mark.slow
def test_writes_of_psql_are_recorded(database: Database) -> None:
    lead = LeadFactory()

    def write() -> None:
        psql(database, f"UPDATE leads SET status = 'engaged' WHERE id = '{lead.pk}'")
        psql(database, "\\copy system_settings (key, value) FROM STDIN", typed="typed\t1\n\\.\n")
        psql(database, "DELETE FROM system_settings WHERE key = 'typed'")

    before = last_seq()
    write()
    entries = entries_since(before)
    assert [(entry["action"], entry["entity_key"]) for entry in entries] == [
        ("lead_status_changed", None),
        ("setting_added", "typed"),
        ("setting_removed", "typed"),
    ]
    assert entries[0]["entity_id"] == lead.pk


def test_rolled_back_transaction_of_a_program_is_not_recorded(database: Database) -> None:
    assert recorded_actors(lambda: program(database, "BEGIN", RAISE, "ROLLBACK")) == []


@pytest.mark.slow
def test_session_level_actor_lasts_until_the_session_ends(database: Database) -> None:
    """A program must not SET without LOCAL; if it does, only its own session is affected."""
    person = UserFactory()
    statement = f"SET ebalance.actor_user_id = '{person.pk}'"
    assert [
        key for key, *_ in recorded_actors(lambda: program(database, statement, RAISE, RAISE))
    ] == ([person.pk] * 2)
    assert recorded_actors(lambda: program(database, RAISE)) == [SYSTEM]


# -- the lock of the chain ------------------------------------------------------------------------

IS_FREE = """
SELECT count(*) = 1
FROM (SELECT FROM locks WHERE kind = 'audit_chain' FOR UPDATE SKIP LOCKED) unlocked
"""


def test_chain_is_locked_only_at_the_end_of_a_transaction(database: Database) -> None:
    """A slow transaction blocks others by its rows, not by the log."""
    person = UserFactory()
    with database.connect(autocommit=True) as other:
        other.execute("SELECT take_lock('audit_chain')")  # the first use adds the row
        with acting_as(person), transaction.atomic():
            price()
            with acting_as(person):
                price()
            assert other.execute(IS_FREE).fetchone() == (True,)
        assert other.execute(IS_FREE).fetchone() == (True,)


def test_sixteen_writers_do_not_deadlock() -> None:
    """Each writes its own rows, in either order, and one row that all of them share."""
    shared = ServiceFactory()
    people = [UserFactory() for _ in range(16)]
    rows = [(LeadFactory(), ServiceFactory()) for _ in people]
    rounds = 6

    def work(number: int) -> None:
        lead, service = rows[number]
        for turn in range(rounds):
            status = "inactive" if turn % 2 else "engaged"
            writes = [
                lambda status=status: Lead.objects.filter(pk=lead.pk).update(status=status),
                lambda: Service.objects.filter(pk=service.pk).update(price_amount=next(PRICES)),
            ]
            with acting_as(people[number]), transaction.atomic():
                for write in writes if number % 2 else reversed(writes):
                    write()
                Service.objects.filter(pk=shared.pk).update(price_amount=F("price_amount") + 1)

    before = last_seq()
    assert run_concurrently(*(partial(work, number) for number in range(16))) == [None] * 16
    entries = entries_since(before)
    assert len(entries) == 16 * rounds * 3 == last_seq() - before
    assert Counter(e["actor_user_id"] for e in entries) == {p.pk: rounds * 3 for p in people}
    prices = [e["new_value"]["price_amount"] for e in entries if e["entity_id"] == shared.pk]
    assert prices == [*range(prices[0], prices[0] + 16 * rounds)]


def test_psycopg_error_names_the_rule(database: Database) -> None:
    with database.connect() as session:
        session.execute("SELECT set_config('ebalance.actor_user_id', 'anna', true)")
        session.execute(RAISE)
        with pytest.raises(psycopg.errors.ForeignKeyViolation) as caught:
            session.commit()
    assert caught.value.diag.constraint_name == "audit_log_entries_actor_user_id_fk"
    assert "anna" not in str(caught.value)
