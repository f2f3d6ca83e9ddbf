"""Concurrent grants and withdrawals of consents, each on a separate connection."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from audit.models import OutboxEvent
from crm.models import Lead, LeadIdentity
from crm.services import merge_leads
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.ids import uuid7
from ebalance.privacy.consents import (
    consent_history,
    grant_consent,
    withdraw_consent,
    withdraw_this_consent,
)
from ebalance.privacy.mailing import PURPOSES, can_contact, leads_to_contact, users_to_contact
from ebalance.services import IdempotencyConflict, Refused
from identity.errors import PersonUnavailable, VersionOutdated
from identity.models import Consent, User
from tests.databases import Database, default_connection_on
from tests.factories import ConsentFactory, LeadFactory, LeadIdentityFactory, UserFactory
from tests.privacy.consent_oracle import Oracle
from tests.processes import HANG_TIMEOUT, eventually
from tests.services import committing, events, run_concurrently
from tests.support import execute, update_sql

TEXT = {"consent_type": "communications", "version": "2026-01-07", "source": "web"}
NEWER = {**TEXT, "version": "2026-01-07.2"}
CALLERS = 10


@pytest.fixture(scope="module")
def database(module_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """All tests commit to one database. Each uses its own people."""
    with committing(module_database, django_db_blocker):
        yield module_database


@pytest.fixture(autouse=True)
def committed(database: Database) -> Database:
    return database


def lead_of(*users: User) -> Lead:
    lead = LeadFactory()
    LeadIdentityFactory(lead=lead)
    for user in users:
        LeadIdentityFactory(registered=True, user=user, lead=lead)
    return lead


def grant(**values: Any) -> Consent:
    return grant_consent(**{**TEXT, **values})


def active(**subject: Any) -> list[Consent]:
    return [*Consent.objects.filter(**subject).active().order_by("pk")]


SUBJECTS: dict[str, Callable[[], dict[str, Any]]] = {
    "user": lambda: {"user": UserFactory()},
    "lead": lambda: {"lead": lead_of()},
    "both": lambda: {"user": UserFactory(), "lead": lead_of()},
}
each_subject = pytest.mark.parametrize("make_subject", SUBJECTS.values(), ids=SUBJECTS)


# -- concurrent calls -----------------------------------------------------------------------------


@each_subject
def test_concurrent_grants_store_one_consent(
    make_subject: Callable[[], dict[str, Any]],
) -> None:
    subject = make_subject()
    answers = run_concurrently(*[lambda: grant(**subject)] * CALLERS)
    assert {answer.pk for answer in answers} == {row.pk for row in active(**subject)}
    assert Consent.objects.filter(**subject).count() == 1
    assert events(answers[0]) == ["consent_granted"]


@each_subject
def test_newest_of_concurrent_versions_is_active(
    make_subject: Callable[[], dict[str, Any]],
) -> None:
    subject = make_subject()
    versions = [f"2026-01-07.{n}" for n in range(CALLERS)]
    random.shuffle(versions)
    answers = run_concurrently(*[lambda v=v: grant(version=v, **subject) for v in versions])
    assert {type(answer) for answer in answers} <= {Consent, VersionOutdated}
    rows = Consent.objects.filter(**subject)
    assert [row.version for row in active(**subject)] == [f"2026-01-07.{CALLERS - 1}"]
    assert rows.count() == sum(isinstance(answer, Consent) for answer in answers)
    times = sorted(rows.values_list("granted_at", flat=True))
    assert times == sorted(set(times))


@each_subject
def test_concurrent_refusals_store_one_refusal(
    make_subject: Callable[[], dict[str, Any]],
) -> None:
    subject = make_subject()
    row = grant(**subject)
    answers = run_concurrently(*[lambda: grant(granted=False, **subject)] * CALLERS)
    assert len({answer.pk for answer in answers}) == 1
    assert active(**subject) == []
    assert Consent.objects.filter(**subject).count() == 2
    assert events(row) == ["consent_granted", "consent_withdrawn"]


def test_concurrent_withdrawals_end_each_consent_once() -> None:
    user = UserFactory()
    lead = lead_of(user)
    rows = [grant(user=user), grant(lead=lead)]
    calls: list[Callable[[], Any]] = [
        lambda: withdraw_consent(user=user),
        lambda: withdraw_consent(lead=lead),
        lambda: withdraw_this_consent(rows[0].pk),
        lambda: withdraw_this_consent(rows[1].pk),
    ]
    answers = run_concurrently(*calls * 3)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    ended = [row for answer in answers if answer for row in answer]
    assert len(ended) in (0, 2)  # the rows do not show which call ended them
    assert active(user=user) == active(lead=lead) == []
    assert [events(row) for row in rows] == [["consent_granted", "consent_withdrawn"]] * 2


def test_concurrent_requests_with_one_key_store_one_row() -> None:
    key, users = uuid7(), UserFactory.create_batch(CALLERS)
    answers = run_concurrently(*[lambda u=u: grant(id=key, user=u) for u in users])
    assert Counter(type(answer) for answer in answers) == {
        Consent: 1,
        IdempotencyConflict: CALLERS - 1,
    }
    assert Consent.objects.get(pk=key).user in users


@pytest.mark.slow
def test_concurrent_calls_of_an_account_and_its_leads_do_not_deadlock() -> None:
    user = UserFactory()
    leads = [lead_of(user) for _ in range(3)]
    calls: list[Callable[[], Any]] = [lambda: grant(user=user)]
    calls += [lambda one=one: grant(lead=one) for one in leads]
    calls += [lambda one=one: grant(user=user, lead=one, granted=False) for one in leads]
    calls += [lambda: withdraw_consent(user=user), lambda: grant(user=user, **NEWER)]
    calls += [lambda: withdraw_consent(lead=leads[2])]
    for _ in range(5):
        answers = run_concurrently(*calls)
        unexpected = [
            answer
            for answer in answers
            if isinstance(answer, Exception) and not isinstance(answer, VersionOutdated)
        ]
        assert unexpected == []
        for row in active(user=user):
            withdraw_this_consent(row)


# -- step by step ---------------------------------------------------------------------------------


class Step(threading.Thread):
    """A call on a separate connection, whose transaction stays open until ``finish()``."""

    def __init__(self, work: Callable[[], Any], *, halt: bool = False) -> None:
        super().__init__(daemon=True)
        self.work, self.halt = work, halt
        self.done, self.is_released = threading.Event(), threading.Event()
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        try:
            if self.halt:
                with transaction.atomic():
                    self.answer = self.work()
                    self.done.set()
                    self.is_released.wait(HANG_TIMEOUT)
            else:
                self.answer = self.work()
        except Exception as error:
            self.answer = error
        finally:
            self.done.set()
            connection.close()

    def finish(self) -> Any:
        self.is_released.set()
        self.join(HANG_TIMEOUT)
        assert not self.is_alive()
        return self.answer


def is_any_session_blocked() -> bool:
    (row,) = execute(
        "SELECT count(*) AS n FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return row["n"] > 0


def race(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
    """Start ``second`` while the transaction of ``first`` is open; ``second`` must wait."""
    one = Step(first, halt=True)
    assert one.done.wait(HANG_TIMEOUT)
    other = Step(second)
    assert eventually(lambda: is_any_session_blocked() or other.done.is_set())
    assert not other.done.is_set(), other.answer
    return one.finish(), other.finish()


def insert_directly(user: User, version: str = TEXT["version"]) -> Callable[[], Any]:
    """An INSERT past the services, which takes no locks."""
    return lambda: execute(
        "INSERT INTO consents (user_id, consent_type, version, source) "
        "VALUES (%s, 'communications', %s, 'admin')",
        [user.pk, version],
    )


def test_consent_written_concurrently_is_returned() -> None:
    user = UserFactory()
    _, row = race(insert_directly(user), lambda: grant(user=user))
    assert active(user=user) == [row]
    assert row.source == "admin"


def test_older_consent_written_concurrently_is_replaced() -> None:
    user = UserFactory()
    _, row = race(
        insert_directly(user), lambda: grant(user=user, **{**NEWER, "version": "2026-03-01"})
    )
    assert active(user=user) == [row]
    assert Consent.objects.filter(user=user).count() == 2


def test_consent_revoked_concurrently_is_not_returned() -> None:
    user = UserFactory()
    row = grant(user=user)

    def revoke() -> None:
        update_sql(row, revoked_at=datetime.now(UTC))

    _, again = race(revoke, lambda: grant(user=user))
    assert again != row
    assert active(user=user) == [again]
    row.refresh_from_db()
    assert again.granted_at > row.revoked_at
    _, ended = race(
        lambda: update_sql(again, revoked_at=datetime.now(UTC)),
        lambda: withdraw_consent(user=user),
    )
    assert ended == []


def test_person_blocked_concurrently_does_not_grant() -> None:
    user = UserFactory()
    lead = lead_of(user)
    for subject in ({"user": user}, {"lead": lead}):
        _, answer = race(lambda: update_sql(user, status="blocked"), lambda w=subject: grant(**w))
        assert isinstance(answer, PersonUnavailable)
        update_sql(user, status="active")
    assert not consent_history(user=user).exists()


def test_person_blocked_afterwards_has_granted() -> None:
    user = UserFactory()
    row, _ = race(lambda: grant(user=user), lambda: update_sql(user, status="blocked"))
    assert active(user=user) == [row]
    assert not can_contact("email", user=user)


@pytest.mark.parametrize("has_consent", [False, True], ids=["deleted", "left"])
def test_grant_of_a_lead_merged_concurrently_is_of_the_other(has_consent: bool) -> None:
    lead, into = lead_of(), lead_of()
    if has_consent:
        ConsentFactory(user=None, lead=lead, consent_type="telegram")
    _, row = race(lambda: merge_leads(lead, into=into), lambda: grant(lead=lead))
    assert row.lead_id == into.pk
    assert can_contact("email", lead=lead)


def test_lead_merged_afterwards_keeps_its_consent() -> None:
    lead, into = lead_of(), lead_of()
    row, _ = race(lambda: grant(lead=lead), lambda: merge_leads(lead, into=into))
    assert active(lead=lead) == [row]
    assert [*consent_history(lead=into)] == [row]


def test_concurrent_merge_hides_no_consent_from_a_withdrawal() -> None:
    lead, into = lead_of(), lead_of()
    row = grant(lead=lead)
    _, ended = race(lambda: merge_leads(lead, into=into), lambda: withdraw_consent(lead=into))
    assert ended == [row]


def test_withdrawal_by_address_locks_the_lead_before_its_consents(
    committed: Database,
) -> None:
    """A call as the lead uses the same order; another order would allow a deadlock."""
    user = UserFactory()
    lead = LeadFactory()
    LeadIdentity.objects.create(lead=lead, email_encrypted=Plaintext(user.email))
    row = ConsentFactory(user=None, lead=lead, **TEXT)

    def withdraw() -> None:
        withdraw_consent(user=user, source="web")
        connection.close()

    thread = threading.Thread(target=withdraw)
    with psycopg.connect(committed.conninfo) as other:
        other.execute("SELECT FROM leads WHERE id = %s FOR UPDATE", [lead.pk])
        thread.start()
        waits = "SELECT FROM pg_locks WHERE NOT granted AND pg_blocking_pids(pid) @> ARRAY[%s::int]"
        assert eventually(lambda: execute(waits, [other.info.backend_pid]))
        taken = "SELECT id FROM consents WHERE lead_id = %s FOR UPDATE NOWAIT"
        assert other.execute(taken, [lead.pk]).fetchall() == [(row.pk,)]
    thread.join(HANG_TIMEOUT)
    assert active(lead=lead) == []


# -- random calls ---------------------------------------------------------------------------------


class Worker(threading.Thread):
    """Makes random calls as random people, and keeps every error that is no Refused."""

    def __init__(self, seed: int, people: list[dict[str, Any]], gate: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.dice, self.people, self.gate = random.Random(seed), people, gate
        self.seen: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self.start()

    def run(self) -> None:
        self.gate.wait()
        try:
            for _ in range(40):
                try:
                    self.seen[self._call_service()] += 1
                except Refused as refusal:
                    self.seen[refusal.code] += 1
        except BaseException as error:
            self.errors.append(error)
        finally:
            connection.close()

    def _call_service(self) -> str:
        subject = self.dice.choice(self.people)
        purpose = self.dice.choice(["communications", "telegram"])
        what = self.dice.choice(["grant", "grant", "refuse", "withdraw", "row"])
        values = {
            "consent_type": purpose,
            "source": self.dice.choice(["web", "telegram"]),
            "version": f"2026-01-0{self.dice.randint(1, 9)}",
        }
        if what == "withdraw":
            withdraw_consent(consent_type=purpose, source="web", **subject)
        elif what == "row":
            row = consent_history(**subject).order_by("?").first()
            if row is not None:
                withdraw_this_consent(row)
        else:
            grant_consent(granted=what == "grant", **values, **subject)
        return what


def write_directly(database: Database, stop: threading.Event, seen: Counter[str]) -> None:
    """Inserts and revokes consents past the services, without locks."""
    dice = random.Random(7)
    with database.connect(autocommit=True) as session:
        while not stop.is_set() or not seen["done"]:
            statement = dice.choice(
                [
                    "UPDATE consents SET revoked_at = greatest(now(), granted_at) WHERE id = ("
                    "SELECT id FROM consents WHERE granted AND revoked_at IS NULL "
                    "ORDER BY random() LIMIT 1)",
                    "INSERT INTO consents (user_id, consent_type, version, source) "
                    "SELECT id, 'communications', '2026-01-05', 'admin' FROM users "
                    "ORDER BY random() LIMIT 1",
                ]
            )
            try:
                session.execute(statement)
                seen["done"] += 1
            except psycopg.Error as error:
                seen[error.sqlstate or "lost"] += 1


@pytest.mark.slow
def test_last_decision_wins_after_random_concurrent_calls(
    fresh_database: Database, django_db_blocker: Any
) -> None:
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        users = UserFactory.create_batch(3)
        leads = [lead_of(users[0]), lead_of(users[0]), lead_of(users[1], users[2]), lead_of()]
        people = [
            *({"user": user} for user in users),
            *({"lead": lead} for lead in leads),
            {"user": users[0], "lead": leads[1]},
        ]
        gate, stop, written_directly = threading.Barrier(CALLERS), threading.Event(), Counter[str]()
        writer = threading.Thread(
            target=write_directly, args=(fresh_database, stop, written_directly)
        )
        writer.start()
        workers = [Worker(seed, people, gate) for seed in range(CALLERS)]
        for worker in workers:
            worker.join(HANG_TIMEOUT)
        stop.set()
        writer.join(HANG_TIMEOUT)
        assert not any(worker.is_alive() for worker in [*workers, writer])
        assert [error for worker in workers for error in worker.errors] == []
        seen = sum((worker.seen for worker in workers), Counter[str]())
        assert {*seen} <= {"grant", "refuse", "withdraw", "row", "version_outdated"}
        assert seen["grant"] > CALLERS
        assert written_directly["done"]
        assert {*written_directly} <= {"done", "23505", "23514", "40P01"}

        for subject in ("user", "lead"):
            given = Counter(
                (getattr(row, f"{subject}_id"), row.consent_type)
                for row in active()
                if getattr(row, f"{subject}_id")
            )
            assert {*given.values()} <= {1}
        by_services = {*Consent.objects.exclude(source="admin").values_list("pk", "granted")}
        published = OutboxEvent.objects.filter(aggregate_type="consents")
        for event, granted in (("consent_granted", True), ("consent_refused", False)):
            rows = [*published.filter(event_type=event).values_list("aggregate_id", flat=True)]
            assert sorted(rows) == sorted(pk for pk, was in by_services if was is granted)
        ends = published.filter(event_type__in=["consent_withdrawn", "consent_replaced"])
        ended = [*ends.values_list("aggregate_id", flat=True)]
        assert len(ended) == len({*ended})
        assert Consent.objects.filter(pk__in=ended, revoked_at=None).count() == 0
        for channel, purpose in PURPOSES.items():
            oracle = Oracle(purpose)
            assert {u.pk for u in users_to_contact(channel)} == {
                user.pk for user in users if oracle.may_user(user.pk)
            }
            assert {one.pk for one in leads_to_contact(channel)} == {
                lead.pk for lead in leads if oracle.may_lead(lead.pk)
            }
