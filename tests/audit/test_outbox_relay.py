"""A relay delivers each event at least once, those of a row in order, and never sends late."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from audit.models import OutboxEvent
from audit.querysets import Lag
from audit.services import claims, publish_event, relay, requeue_event
from audit.services.claims import Claim, Outcome, back_off, claim_events, report_outcomes
from audit.services.relay import Relay
from ebalance.db.ids import uuid7
from ebalance.db.schema import grants, roles
from ebalance.services import NotFound, TransitionRefused
from tests.databases import Database, Databases
from tests.factories import UserFactory
from tests.processes import HANG_TIMEOUT, eventually

from .outbox import Memory, drain, later, most, outbox_database, refuse, state, write

__all__ = ["most"]


@pytest.fixture(scope="module")
def database(databases: Databases, django_db_blocker: Any) -> Iterator[Database]:
    with outbox_database(databases, django_db_blocker) as made:
        yield made


@pytest.fixture(autouse=True)
def outbox(database: Database, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        connection.cursor().execute("TRUNCATE outbox_events")
        yield


@pytest.fixture(autouse=True)
def long_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed event is due again only after ``later()``, however slowly a test runs."""
    monkeypatch.setattr(claims, "back_off", lambda _attempts: 1800.0)


# -- what is sent ---------------------------------------------------------------------------------


def test_an_empty_outbox_sends_nothing() -> None:
    assert drain().events == []
    assert OutboxEvent.objects.lag() == Lag(0, 0, 0, 0.0, 0)


def test_an_event_is_sent_once_as_it_was_written() -> None:
    row = OutboxEvent(pk=uuid7())  # any row will do
    with transaction.atomic():
        publish_event("thing_done", row, status="paid", amount=5000)
    sender = drain()
    (event,) = sender.events
    assert (event.event_type, event.aggregate_type) == ("thing_done", "outbox_events")
    assert (event.aggregate_id, event.attempts) == (row.pk, 1)
    assert event.payload == {"status": "paid", "amount": 5000}
    assert state(event.pk) == (1, None, True)
    assert drain().events == []


def test_what_is_rolled_back_is_never_sent() -> None:
    with suppress(RuntimeError), transaction.atomic():
        publish_event("thing_done", OutboxEvent(pk=uuid7()))
        raise RuntimeError
    assert drain().events == []


def test_events_of_a_row_are_sent_in_the_order_of_writing() -> None:
    row, other = uuid7(), uuid7()
    events = [*write(3, row=row), *write(2, row=other), *write(4, row=row)]
    sent = drain(batch=3).ids
    assert sorted(sent) == sorted(events)
    for which in (row, other):
        numbers = [e.pk for e in OutboxEvent.objects.filter(aggregate_id=which).order_by("pk")]
        assert [e for e in sent if e in numbers] == numbers


def test_the_oldest_rows_come_first() -> None:
    late, early = write(wait=-10), write(wait=-20)
    assert drain().ids == [*early, *late]


def test_one_row_with_many_events_does_not_take_a_claim_for_each() -> None:
    write(1_000)
    assert [len(run) for run in claim_events(batch=100, lease=30)] == [100]
    assert claim_events(batch=10, lease=30) == []  # the rest is held back by those
    OutboxEvent.objects.filter(attempts=1).update(published_at=timezone.now())
    assert [len(run) for run in claim_events(batch=100, lease=30)] == [100]


def test_a_batch_is_shared_by_the_rows_in_it() -> None:
    for _ in range(3):
        write(5)
    assert [len(run) for run in claim_events(batch=10, lease=30)] == [3, 3, 3]


def test_what_was_published_by_hand_is_not_sent() -> None:
    row = uuid7()
    write(2, row=row, sent=True)
    (event,) = write(row=row)
    assert drain().ids == [event]


def test_what_is_due_later_is_sent_later_and_so_are_those_behind_it() -> None:
    row = uuid7()
    events = [*write(row=row, wait=100), *write(2, row=row)]
    others = write(2)
    assert drain().ids == others
    later(101)
    assert drain().ids == events


def test_an_event_in_the_middle_that_is_due_later_holds_back_those_behind_it_only() -> None:
    row = uuid7()
    first, second, third = (write(row=row, wait=wait)[0] for wait in (0, 100, 0))
    assert drain().ids == [first]
    later(101)
    assert drain().ids == [second, third]


# -- failures -------------------------------------------------------------------------------------


def test_a_failed_event_waits_and_those_behind_it_wait_with_it() -> None:
    failing, behind = write(2)
    others = write(2)
    sender = drain(Memory(refuse(failing)))
    assert sorted(sender.ids) == sorted([failing, *others])
    assert state(failing) == (1, "http_500", False)
    assert state(behind) == (0, None, False)
    assert drain().events == []
    later(1801)
    assert drain().ids == [failing, behind]
    assert state(failing) == (2, "http_500", True)


def test_only_the_first_event_of_a_row_is_tried_again() -> None:
    first, *_behind = write(5)
    sender = Memory(refuse())
    for _ in range(4):
        drain(sender)
        later(3600)
    assert sender.ids == [first] * 4
    assert [event.attempts for event in sender.events] == [1, 2, 3, 4]


@pytest.mark.parametrize("attempts", [1, 2, 3, 8, 20, 1000])
def test_waits_grow_up_to_an_hour_and_differ(attempts: int) -> None:
    longest = min(3600, 2**attempts)
    waits = [back_off(attempts) for _ in range(50)]
    assert all(longest / 2 <= wait <= longest for wait in waits)
    assert len(set(waits)) > 1


def test_after_a_failure_the_database_s_clock_says_when_it_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "back_off", lambda _attempts: 2.0)

    def clock() -> datetime:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            return cursor.fetchone()[0]

    (event,) = write()
    before = clock()
    drain(Memory(refuse()))
    due = OutboxEvent.objects.get(pk=event).available_at
    assert before + timedelta(seconds=2) <= due <= clock() + timedelta(seconds=2)


def test_after_the_last_attempt_an_event_is_a_dead_letter(most: int, caplog: Any) -> None:
    dead, behind = write(2)
    (other,) = write()
    sender = Memory(refuse(dead, code="timeout"))
    for _ in range(most + 2):
        drain(sender)
        later(3600)
    assert sender.ids.count(dead) == most
    assert other in sender.ids
    assert behind not in sender.ids
    assert state(dead) == (most, "timeout", False)
    assert [event.pk for event in OutboxEvent.objects.dead()] == [dead]
    assert "dead letter" in caplog.text


def test_a_new_event_of_a_row_with_a_dead_letter_waits_too(most: int) -> None:
    row = uuid7()
    write(row=row, attempts=most)
    write(row=row)
    assert drain().events == []


@pytest.mark.parametrize("error", [RuntimeError("тревога"), ValueError(), OperationalError("x")])
def test_an_unexpected_error_is_a_failure_and_the_relay_goes_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    (bad,), (good,) = write(), write()

    def answer(event: OutboxEvent) -> None:
        if event.pk == bad:
            raise error

    assert drain(Memory(answer)).ids == [bad, good]
    assert (state(bad), state(good)) == ((1, "internal", False), (1, None, True))
    assert "the sender failed" in caplog.text
    assert "тревога" not in caplog.text


@pytest.mark.parametrize("code", ["Not A Code", "", "тревога", "a" * 61, "a\n"])
def test_a_failure_without_a_proper_code_is_kept_all_the_same(code: str) -> None:
    (bad,), (good,) = write(), write()
    drain(Memory(refuse(bad, code=code)))
    assert (state(bad), state(good)) == ((1, "internal", False), (1, None, True))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BaseException()])
def test_a_sender_that_ends_the_process_gives_back_what_was_claimed(error: BaseException) -> None:
    (sent,), (bad, behind), (other,) = write(), write(2), write()

    def answer(event: OutboxEvent) -> None:
        if event.pk == bad:
            raise error

    with pytest.raises(type(error)):
        drain(Memory(answer))
    assert state(sent) == (1, None, True)
    assert state(bad) == (1, "internal", False)
    assert state(behind) == state(other) == (0, None, False)
    assert drain().ids == [other]


# -- leases ---------------------------------------------------------------------------------------


def test_a_claim_is_nobody_else_s_until_its_lease_ends() -> None:
    events = write(3)
    lost = claim_events(batch=10, lease=3600)  # and never heard of again
    assert [claim.event.pk for claim in lost[0]] == events
    later(1800)
    assert drain().events == []
    later(1801)
    assert drain().ids == events
    assert state(events[0]) == (2, "lease_expired", True)


def test_a_relay_that_keeps_dying_makes_a_dead_letter(most: int) -> None:
    (event,) = write()
    for _ in range(most):
        assert claim_events(batch=10, lease=30)
        assert not OutboxEvent.objects.dead()  # the last attempt may still be under way
        later(31)
    assert drain().events == []
    assert [row.pk for row in OutboxEvent.objects.dead()] == [event]


def claimed() -> list[Claim]:
    (run,) = claim_events(batch=10, lease=30)
    return run


@pytest.mark.parametrize("kind", ["sent", "failed", "released"])
def test_a_report_about_a_claim_that_was_taken_over_changes_nothing(kind: Any) -> None:
    write()
    (late,) = claimed()
    later(31)
    (current,) = claimed()
    before = OutboxEvent.objects.values().get()
    assert report_outcomes([Outcome(late, kind, "timeout")]) == 0
    assert OutboxEvent.objects.values().get() == before
    assert report_outcomes([Outcome(current, "sent")]) == 1


def test_a_release_that_is_reported_twice_does_not_release_the_next_claim() -> None:
    """The first report may have been committed, and the answer lost."""
    write()
    (first,) = claimed()
    assert report_outcomes([Outcome(first, "released")]) == 1
    (second,) = claimed()
    assert second.event.attempts == first.event.attempts
    assert report_outcomes([Outcome(first, "released")]) == 0
    assert claim_events(batch=10, lease=30) == []


def test_a_late_report_of_a_claim_that_nobody_took_over_counts() -> None:
    (event,) = write()
    (late,) = claimed()
    with connection.cursor() as cursor:  # time passes without a change of the row
        cursor.execute("SELECT pg_sleep(0.01)")
    assert report_outcomes([Outcome(late, "sent")]) == 1
    assert state(event) == (1, None, True)


def test_a_release_leaves_no_trace() -> None:
    events = write(2, wait=-50)
    before = list(OutboxEvent.objects.order_by("pk").values())
    run = claimed()
    assert report_outcomes([Outcome(claim, "released") for claim in run]) == 2
    assert list(OutboxEvent.objects.order_by("pk").values()) == before
    assert [row["id"] for row in before] == events


def test_no_send_is_begun_that_might_outlast_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    events = write(5)
    passed = [0.0]  # seconds of the relay's clock, which stands still but for the sends

    def send(event: OutboxEvent) -> None:
        passed[0] += 29.1

    monkeypatch.setattr(relay.time, "monotonic", lambda: passed[0])
    sender = Memory(send)
    one = Relay(sender, lease=59.0)  # less than a second is left after the second event
    assert one.step() == 5
    monkeypatch.undo()
    assert sender.ids == events[:2]
    assert [state(event)[0] for event in events] == [1, 1, 0, 0, 0]
    assert drain().ids == events[2:]


def test_a_lease_must_be_longer_than_a_delivery() -> None:
    with pytest.raises(ValueError, match="too short"):
        Relay(Memory(), lease=1.0)


def test_a_clock_of_the_host_that_jumps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    events = write(3)
    jumps = iter(range(10**6, -(10**6), -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)))
    monkeypatch.setattr(timezone, "now", lambda: timezone.datetime.min)
    assert drain().ids == events


def test_a_clock_of_the_database_that_goes_back_delays_and_loses_nothing() -> None:
    """What was written before the step back is due a little later, and first in its row."""
    row = uuid7()
    (before,) = write(row=row, wait=1000)
    (after,) = write(row=row)
    assert drain().events == []
    later(1001)
    assert drain().ids == [before, after]


# -- several relays -------------------------------------------------------------------------------


def test_two_relays_never_have_one_event_at_once(database: Database) -> None:
    """The one that has it sends until the other has looked and ended."""
    (event,) = write()
    one_ended = threading.Event()
    senders = [Memory(lambda _event: one_ended.wait(HANG_TIMEOUT)) for _ in range(2)]
    barrier = threading.Barrier(2)

    def run(sender: Memory) -> None:
        barrier.wait()
        try:
            drain(sender, lease=3600)
        finally:
            one_ended.set()
            connection.close()

    threads = [threading.Thread(target=run, args=[sender]) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sent for sender in senders for sent in sender.ids] == [event]
    assert state(event) == (1, None, True)


def test_a_row_that_somebody_has_locked_is_passed_over(database: Database) -> None:
    (held,), (free,) = write(), write()
    with database.connect() as stranger:
        stranger.execute("SELECT 1 FROM outbox_events WHERE id = %s FOR UPDATE", [held])
        assert drain().ids == [free]
        stranger.rollback()
    assert drain().ids == [held]


def test_an_event_that_is_not_committed_yet_is_not_seen(database: Database) -> None:
    with database.connect() as writer:
        writer.execute(
            "INSERT INTO outbox_events (event_type, aggregate_type, aggregate_id) "
            "VALUES ('thing_done', 'things', uuid7())"
        )
        assert drain().events == []
        writer.commit()
    assert len(drain().events) == 1


def test_thousands_of_events_behind_a_dead_letter_do_not_stand_in_the_way(most: int) -> None:
    row = uuid7()
    write(row=row, attempts=most, wait=-100)
    write(2_000, row=row, wait=-99)
    rest = [write()[0] for _ in range(30)]
    assert sorted(drain(batch=10).ids) == sorted(rest)


def test_rows_behind_those_that_are_held_back_all_have_their_turn(most: int) -> None:
    for _ in range(60):
        row = uuid7()
        write(row=row, attempts=most, wait=-100)
        write(2, row=row, wait=-99)
    for _ in range(4):
        (event,) = write()
        ((claim,),) = claim_events(batch=10, lease=30)
        assert claim.event.pk == event
        assert claim_events(batch=10, lease=30) == []


def test_heads_are_found_by_index_before_the_planner_knows_of_them() -> None:
    """Right after a burst the statistics still say that nearly nothing is unpublished."""
    write(10, sent=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE outbox_events")
        write(3_000)
        with transaction.atomic():
            cursor.execute(claims.BY_INDEX)
            cursor.execute("EXPLAIN (COSTS OFF) " + claims.HEADS, {"batch": 100, "most": 20})
            plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "outbox_events_heads" in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
    assert "outbox_events_next" in plan


# -- the database goes away -----------------------------------------------------------------------


def end_connections(database: Database) -> None:
    with database.connect(dbname="postgres", autocommit=True) as keeper:
        keeper.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [database.name],
        )


def test_outcomes_survive_a_restarted_database(database: Database) -> None:
    events = write(3)

    def answer(event: OutboxEvent) -> None:
        if event.pk == events[1]:
            end_connections(database)

    assert drain(Memory(answer)).ids == events
    assert all(state(event) == (1, None, True) for event in events)


@pytest.mark.slow
def test_a_relay_at_work_waits_for_its_database(database: Database, caplog: Any) -> None:
    stopping = threading.Event()
    sender = Memory()

    def run() -> None:
        try:
            Relay(sender, lease=30, stop=stopping.is_set).run()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        (first,) = write()
        assert eventually(lambda: sender.ids == [first])
        connection.close()
        end_connections(database)
        (second,) = write()
        assert eventually(lambda: sender.ids == [first, second])
    finally:
        stopping.set()
        thread.join(HANG_TIMEOUT)
    assert not thread.is_alive()
    assert "outbox: " in caplog.text


def test_a_database_that_is_not_there_from_the_beginning_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(**_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(relay, "claim_events", away)
    with pytest.raises(OperationalError):
        Relay(Memory(), lease=30).run()


def test_told_to_stop_while_the_database_is_away_a_relay_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(3)
    told: list[bool] = []

    def away(outcomes: list[Outcome]) -> int:
        raise OperationalError

    sender = Memory(lambda event: told.append(True))
    monkeypatch.setattr(relay, "report_outcomes", away)
    Relay(sender, lease=30, stop=lambda: bool(told)).step()
    assert len(sender.events) == 1
    assert "3 outcomes were not reported" in caplog.text


def test_told_to_stop_a_relay_finishes_the_event_at_work_and_gives_back_the_others() -> None:
    events = write(3)
    told: list[bool] = []
    sender = Memory(lambda event: told.append(True))
    relay_ = Relay(sender, lease=30, stop=lambda: bool(told))
    relay_.run()
    assert sender.ids == events[:1]
    assert state(events[0]) == (1, None, True)
    assert state(events[1]) == state(events[2]) == (0, None, False)
    assert drain().ids == events[1:]


def test_what_was_sent_is_reported_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a relay that dies repeats a second's worth, not a batch."""
    events = write(3)
    monkeypatch.setattr(relay, "REPORT_EVERY", 0.0)
    published: list[int] = []
    sender = Memory(lambda event: published.append(OutboxEvent.objects.published().count()))
    drain(sender)
    assert sender.ids == events
    assert published == [0, 1, 2]


def test_a_relay_says_how_far_behind_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audit.services.relay")
    write(wait=100)
    looks = iter([False, True])
    Relay(Memory(), lease=30, stop=lambda: next(looks, True)).run()
    assert re.search(r"outbox: 1 waiting, 0 retrying, 0 dead, oldest \d+\.", caplog.text)


# -- lag ------------------------------------------------------------------------------------------


def test_lag_counts_each_event_once(most: int) -> None:
    write(2)
    write(wait=100)
    write(sent=True)
    write(attempts=most)
    (failing,) = write()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox_events SET created_at = now() - interval '90 minutes', attempts = 1, "
            "last_error = 'timeout' WHERE id = %s",
            [failing],
        )
        cursor.execute(
            "INSERT INTO outbox_events (event_type, aggregate_type, aggregate_id, published_at) "
            "VALUES ('a', 'b', uuid7(), now() - interval '61 seconds')"
        )
    lag = OutboxEvent.objects.lag()
    assert (lag.waiting, lag.retrying, lag.dead, lag.published_last_minute) == (3, 1, 1, 1)
    assert 90 * 60 <= lag.oldest_seconds < 2 * 90 * 60
    sets = [getattr(OutboxEvent.objects, name)() for name in ("waiting", "retrying", "dead")]
    assert [rows.count() for rows in sets] == [3, 1, 1]
    assert OutboxEvent.objects.published().count() == 2


def test_dead_letters_are_not_what_the_relay_is_behind_with(most: int) -> None:
    write(attempts=most)
    assert OutboxEvent.objects.lag() == Lag(0, 0, 1, 0.0, 0)


# -- requeue --------------------------------------------------------------------------------------


def test_a_dead_letter_is_sent_again_and_those_behind_it(most: int) -> None:
    row = uuid7()
    (dead,), behind = write(row=row, attempts=most), write(2, row=row)
    event = OutboxEvent.objects.get(pk=dead)
    requeue_event(event, actor=UserFactory(role="owner"))
    assert (event.attempts, event.last_error) == (0, None)
    requeue_event(event)  # a second time changes nothing
    assert state(dead) == (0, None, False)
    assert drain().ids == [dead, *behind]


def test_an_event_that_is_in_the_queue_stays_as_it_is(most: int) -> None:
    write()
    write(wait=100, attempts=1)
    write(wait=100, attempts=most)  # its last attempt is under way
    before = list(OutboxEvent.objects.order_by("pk").values())
    for event in OutboxEvent.objects.all():
        requeue_event(event)
    assert list(OutboxEvent.objects.order_by("pk").values()) == before


def test_a_delivered_event_is_not_sent_again(most: int) -> None:
    write(sent=True, attempts=most)
    event = OutboxEvent.objects.get()
    before = OutboxEvent.objects.values().get()
    with pytest.raises(TransitionRefused) as refusal:
        requeue_event(event)
    assert refusal.value.details["status"] == "published"
    assert OutboxEvent.objects.values().get() == before


def test_what_is_delivered_meanwhile_is_not_sent_again(most: int) -> None:
    """The row in hand says dead; the row in the table decides."""
    write(attempts=most)
    stale = OutboxEvent.objects.get()
    OutboxEvent.objects.update(published_at=timezone.now())
    with pytest.raises(TransitionRefused):
        requeue_event(stale)


def test_an_event_that_is_gone_is_not_found(most: int) -> None:
    write(attempts=most)
    event = OutboxEvent.objects.get()
    OutboxEvent.objects.all().delete()
    with pytest.raises(NotFound):
        requeue_event(event)


# -- rights ---------------------------------------------------------------------------------------


def test_the_application_s_role_may_relay() -> None:
    roles.set_up()
    events = write(2)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {grants.APP}")
        try:
            assert drain().ids == events
            assert OutboxEvent.objects.lag().published_last_minute == 2
        finally:
            cursor.execute("RESET ROLE")
