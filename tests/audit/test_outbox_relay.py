"""A relay delivers each event at least once, in order per row, and never after its lease."""

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
from ebalance.failures import Skipped
from ebalance.services import NotFound, TransitionRefused
from tests.databases import Database, Databases
from tests.factories import UserFactory
from tests.processes import HANG_TIMEOUT, eventually

from .outbox import (
    Memory,
    advance_time,
    drain,
    max_attempts,
    outbox_database,
    refuse,
    state,
    write_events,
)

__all__ = ["max_attempts"]


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
    """A failed event is due again only after ``advance_time()``, even in a slow test run."""
    monkeypatch.setattr(claims, "back_off", lambda _attempts: 1800.0)


# -- delivery -------------------------------------------------------------------------------------


def test_an_empty_outbox_sends_nothing() -> None:
    assert drain().events == []
    assert OutboxEvent.objects.lag() == Lag(0, 0, 0, 0.0, 0)


def test_event_is_sent_once_unchanged() -> None:
    row = OutboxEvent(pk=uuid7())  # any row
    with transaction.atomic():
        publish_event("thing_done", row, status="paid", amount=5000)
    sender = drain()
    (event,) = sender.events
    assert (event.event_type, event.aggregate_type) == ("thing_done", "outbox_events")
    assert (event.aggregate_id, event.attempts) == (row.pk, 1)
    assert event.payload == {"status": "paid", "amount": 5000}
    assert state(event.pk) == (1, None, True)
    assert drain().events == []


def test_rolled_back_event_is_never_sent() -> None:
    with suppress(RuntimeError), transaction.atomic():
        publish_event("thing_done", OutboxEvent(pk=uuid7()))
        raise RuntimeError
    assert drain().events == []


def test_events_of_a_row_are_sent_in_the_order_of_writing() -> None:
    row, other = uuid7(), uuid7()
    events = [*write_events(3, row=row), *write_events(2, row=other), *write_events(4, row=row)]
    sent = drain(batch=3).ids
    assert sorted(sent) == sorted(events)
    for which in (row, other):
        numbers = [e.pk for e in OutboxEvent.objects.filter(aggregate_id=which).order_by("pk")]
        assert [e for e in sent if e in numbers] == numbers


def test_oldest_rows_are_sent_first() -> None:
    late, early = write_events(wait=-10), write_events(wait=-20)
    assert drain().ids == [*early, *late]


def test_events_of_one_row_are_claimed_together() -> None:
    write_events(1_000)
    assert [len(run) for run in claim_events(batch=100, lease=30)] == [100]
    assert claim_events(batch=10, lease=30) == []  # the claimed events block the rest
    OutboxEvent.objects.filter(attempts=1).update(published_at=timezone.now())
    assert [len(run) for run in claim_events(batch=100, lease=30)] == [100]


def test_rows_share_a_batch_evenly() -> None:
    for _ in range(3):
        write_events(5)
    assert [len(run) for run in claim_events(batch=10, lease=30)] == [3, 3, 3]


def test_event_published_by_hand_is_not_sent() -> None:
    row = uuid7()
    write_events(2, row=row, sent=True)
    (event,) = write_events(row=row)
    assert drain().ids == [event]


def test_event_due_later_delays_the_events_behind_it() -> None:
    row = uuid7()
    events = [*write_events(row=row, wait=100), *write_events(2, row=row)]
    others = write_events(2)
    assert drain().ids == others
    advance_time(101)
    assert drain().ids == events


def test_event_due_later_does_not_delay_the_events_before_it() -> None:
    row = uuid7()
    first, second, third = (write_events(row=row, wait=wait)[0] for wait in (0, 100, 0))
    assert drain().ids == [first]
    advance_time(101)
    assert drain().ids == [second, third]


# -- failures -------------------------------------------------------------------------------------


def test_failed_event_delays_the_events_behind_it() -> None:
    failing, behind = write_events(2)
    others = write_events(2)
    sender = drain(Memory(refuse(failing)))
    assert sorted(sender.ids) == sorted([failing, *others])
    assert state(failing) == (1, "http_500", False)
    assert state(behind) == (0, None, False)
    assert drain().events == []
    advance_time(1801)
    assert drain().ids == [failing, behind]
    assert state(failing) == (2, "http_500", True)


def test_only_the_first_event_of_a_row_is_retried() -> None:
    first, *_behind = write_events(5)
    sender = Memory(refuse())
    for _ in range(4):
        drain(sender)
        advance_time(3600)
    assert sender.ids == [first] * 4
    assert [event.attempts for event in sender.events] == [1, 2, 3, 4]


@pytest.mark.parametrize("attempts", [1, 2, 3, 8, 20, 1000])
def test_back_off_grows_to_an_hour_and_varies(attempts: int) -> None:
    longest = min(3600, 2**attempts)
    waits = [back_off(attempts) for _ in range(50)]
    assert all(longest / 2 <= wait <= longest for wait in waits)
    assert len(set(waits)) > 1


def test_retry_time_is_taken_from_the_database_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "back_off", lambda _attempts: 2.0)

    def clock() -> datetime:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            return cursor.fetchone()[0]

    (event,) = write_events()
    before = clock()
    drain(Memory(refuse()))
    due = OutboxEvent.objects.get(pk=event).available_at
    assert before + timedelta(seconds=2) <= due <= clock() + timedelta(seconds=2)


def test_event_is_a_dead_letter_after_its_last_attempt(max_attempts: int, caplog: Any) -> None:
    dead, behind = write_events(2)
    (other,) = write_events()
    sender = Memory(refuse(dead, code="timeout"))
    for _ in range(max_attempts + 2):
        drain(sender)
        advance_time(3600)
    assert sender.ids.count(dead) == max_attempts
    assert other in sender.ids
    assert behind not in sender.ids
    assert state(dead) == (max_attempts, "timeout", False)
    assert [event.pk for event in OutboxEvent.objects.dead()] == [dead]
    assert "dead letter" in caplog.text


def test_new_event_behind_a_dead_letter_waits(max_attempts: int) -> None:
    row = uuid7()
    write_events(row=row, attempts=max_attempts)
    write_events(row=row)
    assert drain().events == []


@pytest.mark.parametrize("error", [RuntimeError("тревога"), ValueError(), OperationalError("x")])
def test_unexpected_error_is_a_failure_and_the_relay_continues(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    (bad,), (good,) = write_events(), write_events()

    def answer(event: OutboxEvent) -> None:
        if event.pk == bad:
            raise error

    assert drain(Memory(answer)).ids == [bad, good]
    assert (state(bad), state(good)) == ((1, "internal", False), (1, None, True))
    assert "the sender failed" in caplog.text
    assert "тревога" not in caplog.text


@pytest.mark.parametrize("code", ["Not A Code", "", "тревога", "a" * 61, "a\n"])
def test_failure_with_an_invalid_code_is_recorded(code: str) -> None:
    (bad,), (good,) = write_events(), write_events()
    drain(Memory(refuse(bad, code=code)))
    assert (state(bad), state(good)) == ((1, "internal", False), (1, None, True))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BaseException()])
def test_exiting_sender_releases_the_claimed_events(error: BaseException) -> None:
    (sent,), (bad, behind), (other,) = write_events(), write_events(2), write_events()

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


def test_claim_is_exclusive_until_its_lease_ends() -> None:
    events = write_events(3)
    lost = claim_events(batch=10, lease=3600)  # and never reported
    assert [claim.event.pk for claim in lost[0]] == events
    advance_time(1800)
    assert drain().events == []
    advance_time(1801)
    assert drain().ids == events
    assert state(events[0]) == (2, "lease_expired", True)


def test_event_of_a_relay_that_keeps_dying_becomes_a_dead_letter(max_attempts: int) -> None:
    (event,) = write_events()
    for _ in range(max_attempts):
        assert claim_events(batch=10, lease=30)
        assert not OutboxEvent.objects.dead()  # the last attempt may still be running
        advance_time(31)
    assert drain().events == []
    assert [row.pk for row in OutboxEvent.objects.dead()] == [event]


def claimed() -> list[Claim]:
    (run,) = claim_events(batch=10, lease=30)
    return run


@pytest.mark.parametrize("kind", ["sent", "failed", "released"])
def test_report_about_a_lost_claim_changes_nothing(kind: Any) -> None:
    write_events()
    (late,) = claimed()
    advance_time(31)
    (current,) = claimed()
    before = OutboxEvent.objects.values().get()
    assert report_outcomes([Outcome(late, kind, "timeout")]) == 0
    assert OutboxEvent.objects.values().get() == before
    assert report_outcomes([Outcome(current, "sent")]) == 1


def test_repeated_release_does_not_release_the_next_claim() -> None:
    """The first report may have been committed although its answer was lost."""
    write_events()
    (first,) = claimed()
    assert report_outcomes([Outcome(first, "released")]) == 1
    (second,) = claimed()
    assert second.event.attempts == first.event.attempts
    assert report_outcomes([Outcome(first, "released")]) == 0
    assert claim_events(batch=10, lease=30) == []


def test_late_report_of_an_unclaimed_event_counts() -> None:
    (event,) = write_events()
    (late,) = claimed()
    with connection.cursor() as cursor:  # time passes without a change of the row
        cursor.execute("SELECT pg_sleep(0.01)")
    assert report_outcomes([Outcome(late, "sent")]) == 1
    assert state(event) == (1, None, True)


def test_a_release_leaves_no_trace() -> None:
    events = write_events(2, wait=-50)
    before = list(OutboxEvent.objects.order_by("pk").values())
    run = claimed()
    assert report_outcomes([Outcome(claim, "released") for claim in run]) == 2
    assert list(OutboxEvent.objects.order_by("pk").values()) == before
    assert [row["id"] for row in before] == events


def test_send_that_might_outlast_the_lease_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    events = write_events(5)
    passed = [0.0]  # seconds of the relay's clock, which only sends advance

    def send(event: OutboxEvent) -> None:
        passed[0] += 29.1

    monkeypatch.setattr(relay.time, "monotonic", lambda: passed[0])
    sender = Memory(send)
    one = Relay(sender, lease=59.0)  # leaves less than a second after the second event
    assert one.step() == 5
    monkeypatch.undo()
    assert sender.ids == events[:2]
    assert [state(event)[0] for event in events] == [1, 1, 0, 0, 0]
    assert drain().ids == events[2:]


def test_a_lease_must_be_longer_than_a_delivery() -> None:
    with pytest.raises(ValueError, match="too short"):
        Relay(Memory(), lease=1.0)


def test_jumping_host_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    events = write_events(3)
    jumps = iter(range(10**6, -(10**6), -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)))
    monkeypatch.setattr(timezone, "now", lambda: timezone.datetime.min)
    assert drain().ids == events


def test_database_clock_set_back_loses_no_event() -> None:
    """An event written before the step is due a little later and is still first in its row."""
    row = uuid7()
    (before,) = write_events(row=row, wait=1000)
    (after,) = write_events(row=row)
    assert drain().events == []
    advance_time(1001)
    assert drain().ids == [before, after]


# -- several relays -------------------------------------------------------------------------------


def test_two_relays_never_claim_the_same_event(database: Database) -> None:
    """The claimant keeps sending until the other relay has ended without a claim."""
    (event,) = write_events()
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


def test_locked_row_is_skipped(database: Database) -> None:
    (locked,), (free,) = write_events(), write_events()
    with database.connect() as other:
        other.execute("SELECT 1 FROM outbox_events WHERE id = %s FOR UPDATE", [locked])
        assert drain().ids == [free]
        other.rollback()
    assert drain().ids == [locked]


def test_uncommitted_event_is_not_sent(database: Database) -> None:
    with database.connect() as writer:
        writer.execute(
            "INSERT INTO outbox_events (event_type, aggregate_type, aggregate_id) "
            "VALUES ('thing_done', 'things', uuid7())"
        )
        assert drain().events == []
        writer.commit()
    assert len(drain().events) == 1


def test_thousands_of_events_behind_a_dead_letter_block_no_others(max_attempts: int) -> None:
    row = uuid7()
    write_events(row=row, attempts=max_attempts, wait=-100)
    write_events(2_000, row=row, wait=-99)
    rest = [write_events()[0] for _ in range(30)]
    assert sorted(drain(batch=10).ids) == sorted(rest)


def test_rows_behind_blocked_rows_are_claimed(max_attempts: int) -> None:
    for _ in range(60):
        row = uuid7()
        write_events(row=row, attempts=max_attempts, wait=-100)
        write_events(2, row=row, wait=-99)
    for _ in range(4):
        (event,) = write_events()
        ((claim,),) = claim_events(batch=10, lease=30)
        assert claim.event.pk == event
        assert claim_events(batch=10, lease=30) == []


def test_heads_are_read_by_index_with_outdated_statistics() -> None:
    """Right after a burst, the statistics still count almost no unpublished event."""
    write_events(10, sent=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE outbox_events")
        write_events(3_000)
        with transaction.atomic():
            cursor.execute(claims.BY_INDEX)
            cursor.execute(
                "EXPLAIN (COSTS OFF) " + claims.HEADS, {"batch": 100, "most": 20, "leave": []}
            )
            plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "outbox_events_heads" in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
    assert "outbox_events_next" in plan


# -- lost databases -------------------------------------------------------------------------------


def end_connections(database: Database) -> None:
    with database.connect(dbname="postgres", autocommit=True) as keeper:
        keeper.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [database.name],
        )


def test_outcomes_survive_a_restarted_database(database: Database) -> None:
    events = write_events(3)

    def answer(event: OutboxEvent) -> None:
        if event.pk == events[1]:
            end_connections(database)

    assert drain(Memory(answer)).ids == events
    assert all(state(event) == (1, None, True) for event in events)


@pytest.mark.slow
def test_running_relay_waits_for_its_database(database: Database, caplog: Any) -> None:
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
        (first,) = write_events()
        assert eventually(lambda: sender.ids == [first])
        connection.close()
        end_connections(database)
        (second,) = write_events()
        assert eventually(lambda: sender.ids == [first, second])
    finally:
        stopping.set()
        thread.join(HANG_TIMEOUT)
    assert not thread.is_alive()
    assert "outbox: " in caplog.text


def test_missing_database_at_the_start_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(**_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(relay, "claim_events", away)
    with pytest.raises(OperationalError):
        Relay(Memory(), lease=30).run()


def test_stopped_relay_does_not_wait_for_the_database(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_events(3)
    stops: list[bool] = []

    def away(outcomes: list[Outcome], skipped: Skipped) -> int:
        raise OperationalError

    sender = Memory(lambda event: stops.append(True))
    monkeypatch.setattr(relay, "report_outcomes", away)
    Relay(sender, lease=30, stop=lambda: bool(stops)).step()
    assert len(sender.events) == 1
    assert "3 outcomes were not reported" in caplog.text


def test_stopped_relay_finishes_its_event_and_releases_the_others() -> None:
    events = write_events(3)
    stops: list[bool] = []
    sender = Memory(lambda event: stops.append(True))
    relay_ = Relay(sender, lease=30, stop=lambda: bool(stops))
    relay_.run()
    assert sender.ids == events[:1]
    assert state(events[0]) == (1, None, True)
    assert state(events[1]) == state(events[2]) == (0, None, False)
    assert drain().ids == events[1:]


def test_outcomes_are_reported_during_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that dies therefore repeats the sends of a second, not of a batch."""
    events = write_events(3)
    monkeypatch.setattr(relay, "REPORT_EVERY", 0.0)
    published: list[int] = []
    sender = Memory(lambda event: published.append(OutboxEvent.objects.published().count()))
    drain(sender)
    assert sender.ids == events
    assert published == [0, 1, 2]


def test_relay_logs_its_lag(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audit.services.relay")
    write_events(wait=100)
    looks = iter([False, True])
    Relay(Memory(), lease=30, stop=lambda: next(looks, True)).run()
    assert re.search(r"outbox: 1 waiting, 0 retrying, 0 dead, oldest \d+\.", caplog.text)


# -- lag ------------------------------------------------------------------------------------------


def test_lag_counts_each_event_once(max_attempts: int) -> None:
    write_events(2)
    write_events(wait=100)
    write_events(sent=True)
    write_events(attempts=max_attempts)
    (failing,) = write_events()
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


def test_lag_does_not_include_dead_letters(max_attempts: int) -> None:
    write_events(attempts=max_attempts)
    assert OutboxEvent.objects.lag() == Lag(0, 0, 1, 0.0, 0)


# -- requeue --------------------------------------------------------------------------------------


def test_requeued_dead_letter_and_events_behind_it_are_sent(max_attempts: int) -> None:
    row = uuid7()
    (dead,), behind = write_events(row=row, attempts=max_attempts), write_events(2, row=row)
    event = OutboxEvent.objects.get(pk=dead)
    requeue_event(event, actor=UserFactory(role="owner"))
    assert (event.attempts, event.last_error) == (0, None)
    requeue_event(event)  # a second time changes nothing
    assert state(dead) == (0, None, False)
    assert drain().ids == [dead, *behind]


def test_requeue_leaves_a_queued_event_unchanged(max_attempts: int) -> None:
    write_events()
    write_events(wait=100, attempts=1)
    write_events(wait=100, attempts=max_attempts)  # its last attempt is running
    before = list(OutboxEvent.objects.order_by("pk").values())
    for event in OutboxEvent.objects.all():
        requeue_event(event)
    assert list(OutboxEvent.objects.order_by("pk").values()) == before


def test_delivered_event_is_not_requeued(max_attempts: int) -> None:
    write_events(sent=True, attempts=max_attempts)
    event = OutboxEvent.objects.get()
    before = OutboxEvent.objects.values().get()
    with pytest.raises(TransitionRefused) as refusal:
        requeue_event(event)
    assert refusal.value.details["status"] == "published"
    assert OutboxEvent.objects.values().get() == before


def test_concurrently_delivered_event_is_not_requeued(max_attempts: int) -> None:
    """The stale row is dead; the row in the table decides."""
    write_events(attempts=max_attempts)
    stale = OutboxEvent.objects.get()
    OutboxEvent.objects.update(published_at=timezone.now())
    with pytest.raises(TransitionRefused):
        requeue_event(stale)


def test_deleted_event_cannot_be_requeued(max_attempts: int) -> None:
    write_events(attempts=max_attempts)
    event = OutboxEvent.objects.get()
    OutboxEvent.objects.all().delete()
    with pytest.raises(NotFound):
        requeue_event(event)


# -- rights ---------------------------------------------------------------------------------------


def test_application_role_may_relay() -> None:
    roles.set_up()
    events = write_events(2)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {grants.APP}")
        try:
            assert drain().ids == events
            assert OutboxEvent.objects.lag().published_last_minute == 2
        finally:
            cursor.execute("RESET ROLE")
