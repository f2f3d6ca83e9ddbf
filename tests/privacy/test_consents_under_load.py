"""Consents given and withdrawn at once, each on a connection of its own."""

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
    """One for all races, which commit: each looks at people of its own."""
    with committing(module_database, django_db_blocker):
        yield module_database


@pytest.fixture(autouse=True)
def committed(database: Database) -> Database:
    return database


def known_as(*users: User) -> Lead:
    lead = LeadFactory()
    LeadIdentityFactory(lead=lead)
    for user in users:
        LeadIdentityFactory(registered=True, user=user, lead=lead)
    return lead


def grant(**values: Any) -> Consent:
    return grant_consent(**{**TEXT, **values})


def active(**whose: Any) -> list[Consent]:
    return [*Consent.objects.filter(**whose).active().order_by("pk")]


SUBJECTS: dict[str, Callable[[], dict[str, Any]]] = {
    "user": lambda: {"user": UserFactory()},
    "lead": lambda: {"lead": known_as()},
    "both": lambda: {"user": UserFactory(), "lead": known_as()},
}
each_subject = pytest.mark.parametrize("whose", SUBJECTS.values(), ids=SUBJECTS)


# -- all at one moment ----------------------------------------------------------------------------


@each_subject
def test_of_many_that_agree_at_once_there_is_one_consent(
    whose: Callable[[], dict[str, Any]],
) -> None:
    subject = whose()
    answers = run_concurrently(*[lambda: grant(**subject)] * CALLERS)
    assert {answer.pk for answer in answers} == {row.pk for row in active(**subject)}
    assert Consent.objects.filter(**subject).count() == 1
    assert events(answers[0]) == ["consent_granted"]


@each_subject
def test_of_many_versions_at_once_the_newest_is_in_force(
    whose: Callable[[], dict[str, Any]],
) -> None:
    subject = whose()
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
def test_of_many_that_refuse_at_once_there_is_one_refusal(
    whose: Callable[[], dict[str, Any]],
) -> None:
    subject = whose()
    row = grant(**subject)
    answers = run_concurrently(*[lambda: grant(granted=False, **subject)] * CALLERS)
    assert len({answer.pk for answer in answers}) == 1
    assert active(**subject) == []
    assert Consent.objects.filter(**subject).count() == 2
    assert events(row) == ["consent_granted", "consent_withdrawn"]


def test_many_withdraw_at_once() -> None:
    user = UserFactory()
    lead = known_as(user)
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
    assert len(ended) in (0, 2)  # by which call, the rows say not
    assert active(user=user) == active(lead=lead) == []
    assert [events(row) for row in rows] == [["consent_granted", "consent_withdrawn"]] * 2


def test_one_key_at_once_is_one_request() -> None:
    key, users = uuid7(), UserFactory.create_batch(CALLERS)
    answers = run_concurrently(*[lambda u=u: grant(id=key, user=u) for u in users])
    assert Counter(type(answer) for answer in answers) == {
        Consent: 1,
        IdempotencyConflict: CALLERS - 1,
    }
    assert Consent.objects.get(pk=key).user in users


@pytest.mark.slow
def test_an_account_and_its_lead_at_once_do_not_wait_for_each_other_for_ever() -> None:
    user = UserFactory()
    leads = [known_as(user) for _ in range(3)]
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
    """A call on a connection of its own, whose transaction stays open until ``go()``."""

    def __init__(self, work: Callable[[], Any], *, halt: bool = False) -> None:
        super().__init__(daemon=True)
        self.work, self.halt = work, halt
        self.done, self.going = threading.Event(), threading.Event()
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        try:
            if self.halt:
                with transaction.atomic():
                    self.answer = self.work()
                    self.done.set()
                    self.going.wait(HANG_TIMEOUT)
            else:
                self.answer = self.work()
        except Exception as error:
            self.answer = error
        finally:
            self.done.set()
            connection.close()

    def go(self) -> Any:
        self.going.set()
        self.join(HANG_TIMEOUT)
        assert not self.is_alive()
        return self.answer


def waits() -> bool:
    (row,) = execute(
        "SELECT count(*) AS n FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return row["n"] > 0


def race(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
    """``first`` has done its work and not committed when ``second`` comes, and waits for it."""
    one = Step(first, halt=True)
    assert one.done.wait(HANG_TIMEOUT)
    other = Step(second)
    assert eventually(lambda: waits() or other.done.is_set())
    assert not other.done.is_set(), other.answer
    return one.go(), other.go()


def by_hand(user: User, version: str = TEXT["version"]) -> Callable[[], Any]:
    """Somebody who locks nobody."""
    return lambda: execute(
        "INSERT INTO consents (user_id, consent_type, version, source) "
        "VALUES (%s, 'communications', %s, 'admin')",
        [user.pk, version],
    )


def test_a_consent_that_somebody_else_wrote_meanwhile_is_the_same() -> None:
    user = UserFactory()
    _, row = race(by_hand(user), lambda: grant(user=user))
    assert active(user=user) == [row]
    assert row.source == "admin"


def test_an_older_one_that_somebody_else_wrote_meanwhile_is_replaced() -> None:
    user = UserFactory()
    _, row = race(by_hand(user), lambda: grant(user=user, **{**NEWER, "version": "2026-03-01"}))
    assert active(user=user) == [row]
    assert Consent.objects.filter(user=user).count() == 2


def test_a_consent_that_somebody_revokes_by_hand_meanwhile_is_no_more() -> None:
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


def test_whoever_is_blocked_meanwhile_does_not_agree() -> None:
    user = UserFactory()
    lead = known_as(user)
    for whose in ({"user": user}, {"lead": lead}):
        _, answer = race(lambda: update_sql(user, status="blocked"), lambda w=whose: grant(**w))
        assert isinstance(answer, PersonUnavailable)
        update_sql(user, status="active")
    assert not consent_history(user=user).exists()


def test_whoever_is_blocked_afterwards_has_agreed() -> None:
    user = UserFactory()
    row, _ = race(lambda: grant(user=user), lambda: update_sql(user, status="blocked"))
    assert active(user=user) == [row]
    assert not can_contact("email", user=user)


@pytest.mark.parametrize("has_consent", [False, True], ids=["deleted", "left"])
def test_a_lead_that_is_merged_meanwhile_agrees_as_the_other(has_consent: bool) -> None:
    lead, into = known_as(), known_as()
    if has_consent:
        ConsentFactory(user=None, lead=lead, consent_type="telegram")
    _, row = race(lambda: merge_leads(lead, into=into), lambda: grant(lead=lead))
    assert row.lead_id == into.pk
    assert can_contact("email", lead=lead)


def test_a_lead_that_is_merged_afterwards_keeps_its_consent() -> None:
    lead, into = known_as(), known_as()
    row, _ = race(lambda: grant(lead=lead), lambda: merge_leads(lead, into=into))
    assert active(lead=lead) == [row]
    assert [*consent_history(lead=into)] == [row]


def test_a_merge_meanwhile_hides_nothing_from_a_withdrawal() -> None:
    lead, into = known_as(), known_as()
    row = grant(lead=lead)
    _, ended = race(lambda: merge_leads(lead, into=into), lambda: withdraw_consent(lead=into))
    assert ended == [row]


def test_who_says_no_by_the_address_takes_the_lead_before_what_it_agreed_to(
    committed: Database,
) -> None:
    """As whoever speaks as the lead does: the other way round the two would wait in a circle."""
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


# -- anybody, anything ----------------------------------------------------------------------------


class Worker(threading.Thread):
    """Says one thing after the other, as people at random; keeps what is no Refused."""

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
                    self.seen[self._say()] += 1
                except Refused as refusal:
                    self.seen[refusal.code] += 1
        except BaseException as error:
            self.errors.append(error)
        finally:
            connection.close()

    def _say(self) -> str:
        whose = self.dice.choice(self.people)
        purpose = self.dice.choice(["communications", "telegram"])
        what = self.dice.choice(["grant", "grant", "refuse", "withdraw", "row"])
        values = {
            "consent_type": purpose,
            "source": self.dice.choice(["web", "telegram"]),
            "version": f"2026-01-0{self.dice.randint(1, 9)}",
        }
        if what == "withdraw":
            withdraw_consent(consent_type=purpose, source="web", **whose)
        elif what == "row":
            row = consent_history(**whose).order_by("?").first()
            if row is not None:
                withdraw_this_consent(row)
        else:
            grant_consent(granted=what == "grant", **values, **whose)
        return what


def stranger(database: Database, stop: threading.Event, seen: Counter[str]) -> None:
    """Agrees and revokes by hand, and locks nobody."""
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
def test_whatever_is_said_at_once_the_last_word_is_kept(
    fresh_database: Database, django_db_blocker: Any
) -> None:
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        users = UserFactory.create_batch(3)
        leads = [known_as(users[0]), known_as(users[0]), known_as(users[1], users[2]), known_as()]
        people = [
            *({"user": user} for user in users),
            *({"lead": lead} for lead in leads),
            {"user": users[0], "lead": leads[1]},
        ]
        gate, stop, by_hands = threading.Barrier(CALLERS), threading.Event(), Counter[str]()
        meddler = threading.Thread(target=stranger, args=(fresh_database, stop, by_hands))
        meddler.start()
        workers = [Worker(seed, people, gate) for seed in range(CALLERS)]
        for worker in workers:
            worker.join(HANG_TIMEOUT)
        stop.set()
        meddler.join(HANG_TIMEOUT)
        assert not any(worker.is_alive() for worker in [*workers, meddler])
        assert [error for worker in workers for error in worker.errors] == []
        seen = sum((worker.seen for worker in workers), Counter[str]())
        assert {*seen} <= {"grant", "refuse", "withdraw", "row", "version_outdated"}
        assert seen["grant"] > CALLERS
        assert by_hands["done"]
        assert {*by_hands} <= {"done", "23505", "23514", "40P01"}

        for subject in ("user", "lead"):
            given = Counter(
                (getattr(row, f"{subject}_id"), row.consent_type)
                for row in active()
                if getattr(row, f"{subject}_id")
            )
            assert {*given.values()} <= {1}
        by_verbs = {*Consent.objects.exclude(source="admin").values_list("pk", "granted")}
        told = OutboxEvent.objects.filter(aggregate_type="consents")
        for event, granted in (("consent_granted", True), ("consent_refused", False)):
            rows = [*told.filter(event_type=event).values_list("aggregate_id", flat=True)]
            assert sorted(rows) == sorted(pk for pk, was in by_verbs if was is granted)
        ends = told.filter(event_type__in=["consent_withdrawn", "consent_replaced"])
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
