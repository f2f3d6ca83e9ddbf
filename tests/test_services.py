"""``ebalance.services``: one transaction, typed refusals, retries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, OperationalError, connection, models, transaction
from django.utils import timezone as clock

from audit.models import OutboxEvent
from booking.models import Appointment
from booking.services import book_appointment, bookings
from content.models import Topic
from crm.models import Lead
from ebalance.services import (
    MAX_ATTEMPTS,
    InvalidInput,
    NotFound,
    RuleBroken,
    get_or_refuse,
    lock_or_refuse,
    lock_rows,
    pk_of,
    to_utc,
    transactional,
)
from tests.databases import Databases
from tests.factories import (
    AvailabilitySlotFactory,
    LeadFactory,
    ServiceFactory,
    TopicFactory,
    UserFactory,
)
from tests.services import committing, run_concurrently
from tests.support import case_loop

TRANSIENT = ["40001", "40P01"]
FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)  # noqa: DTZ001


@pytest.fixture(scope="module")
def shared(databases: Databases, django_db_blocker: Any) -> Iterator[None]:
    """A database in which the tests of this module commit."""
    with django_db_blocker.unblock():
        made = databases.clone()
    with committing(made, django_db_blocker):
        yield
    databases.drop(made.name)


def fail_with(sqlstate: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION SQLSTATE '{sqlstate}'; END $$")


class Flaky:
    """A service that writes a lead and fails the first ``times`` calls."""

    def __init__(self, times: int, sqlstate: str = "40P01") -> None:
        self.times, self.sqlstate = times, sqlstate
        self.tries: list[UUID] = []

    @transactional
    def run(self) -> Lead:
        lead = LeadFactory()
        self.tries.append(lead.pk)
        if len(self.tries) <= self.times:
            fail_with(self.sqlstate)
        return lead

    @property
    def written(self) -> int:
        return Lead.objects.filter(pk__in=self.tries).count()


# -- Retries --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sqlstate", TRANSIENT)
def test_transient_failure_is_retried(shared: None, sqlstate: str) -> None:
    flaky = Flaky(MAX_ATTEMPTS - 1, sqlstate)
    assert flaky.run().pk == flaky.tries[-1]
    assert (len(flaky.tries), flaky.written) == (MAX_ATTEMPTS, 1)


def test_retries_are_limited(shared: None) -> None:
    flaky = Flaky(MAX_ATTEMPTS)
    with pytest.raises(OperationalError):
        flaky.run()
    assert (len(flaky.tries), flaky.written) == (MAX_ATTEMPTS, 0)


@pytest.mark.parametrize("sqlstate", ["55P03", "57014", "53300"])
def test_other_failure_is_raised_at_once(shared: None, sqlstate: str) -> None:
    flaky = Flaky(1, sqlstate)
    with pytest.raises(OperationalError):
        flaky.run()
    assert (len(flaky.tries), flaky.written) == (1, 0)


@pytest.mark.parametrize("durable", [False, True])
def test_service_in_an_outer_transaction_is_not_retried(shared: None, durable: bool) -> None:
    flaky = Flaky(1)
    with pytest.raises(OperationalError), transaction.atomic(durable=durable):
        flaky.run()
    assert (len(flaky.tries), flaky.written) == (1, 0)


def test_service_without_autocommit_is_not_retried(shared: None) -> None:
    """A retry would miss the rolled-back writes of the caller."""
    flaky = Flaky(1)
    transaction.set_autocommit(False)
    try:
        with pytest.raises(OperationalError):
            flaky.run()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert (len(flaky.tries), flaky.written) == (1, 0)


def test_nested_service_is_retried_with_the_outer_one(shared: None) -> None:
    inner = Flaky(2)
    outer: list[UUID] = []

    @transactional
    def both() -> None:
        outer.append(LeadFactory().pk)
        inner.run()

    both()
    assert (len(outer), len(inner.tries)) == (3, 3)
    assert Lead.objects.filter(pk__in=outer).count() == inner.written == 1


def test_both_services_of_a_deadlock_succeed(shared: None) -> None:
    leads = [LeadFactory(), LeadFactory()]
    met = threading.Barrier(2)
    attempts: list[str] = []

    def lock(name: str, first: Lead, second: Lead) -> Callable[[], None]:
        @transactional
        def one_after_the_other() -> None:
            attempts.append(name)
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '50ms'")
            lock_or_refuse(Lead.objects.all(), first)
            if attempts.count(name) == 1:
                met.wait(30)
            lock_or_refuse(Lead.objects.all(), second)

        return one_after_the_other

    run_concurrently(lock("one", *leads), lock("other", *leads[::-1]))
    assert len(attempts) == 3


def test_concurrent_change_in_repeatable_read_is_retried(shared: None) -> None:
    lead = LeadFactory(status="new")
    seen: list[str] = []

    @transactional
    def read_then_lock() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        seen.append(Lead.objects.get(pk=lead.pk).status)
        if len(seen) == 1:
            run_concurrently(lambda: Lead.objects.filter(pk=lead.pk).update(status="paid"))
        seen.append(lock_or_refuse(Lead.objects.all(), lead).status)

    read_then_lock()
    assert seen == ["new", "paid", "paid"]


def test_retried_booking_is_made_once(shared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is built before the transaction, so the retry meets a used instance."""
    publish, attempts = bookings.publish_appointment_event, []

    def broken_off_once(*args: Any, **payload: Any) -> None:
        publish(*args, **payload)
        attempts.append(args)
        if len(attempts) == 1:
            fail_with("40P01")

    monkeypatch.setattr(bookings, "publish_appointment_event", broken_off_once)
    service = ServiceFactory(status="published")
    row = book_appointment(
        service=service,
        client=UserFactory(),
        slot=AvailabilitySlotFactory(),
        client_request_id="one",
        timezone="Europe/Moscow",
        format="online" if service.format == "hybrid" else service.format,
    )
    row.refresh_from_db()
    assert len(attempts) == 2
    assert [event.event_type for event in OutboxEvent.objects.filter(aggregate_id=row.pk)] == [
        "appointment_booked"
    ]
    assert Appointment.objects.filter(client_request_id="one").count() == 1
    assert row.hold_expires_at > clock.now()


# -- Refusals -------------------------------------------------------------------------------------


@transactional
def writes_and_refuses(error: BaseException) -> None:
    LeadFactory()
    raise error


@pytest.mark.parametrize("error", [NotFound(what="lead"), ValueError("a bug")], ids=repr)
@pytest.mark.django_db
def test_refused_service_writes_nothing_and_its_caller_continues(error: Exception) -> None:
    with transaction.atomic():
        kept = LeadFactory()
        with pytest.raises(type(error)):
            writes_and_refuses(error)
        assert [*Lead.objects.all()] == [kept]
        other = LeadFactory()
    assert {*Lead.objects.all()} == {kept, other}


@transactional
def makes_topic(code: str) -> None:
    Topic.objects.bulk_create([Topic(code=code, title="Сон")])


@transactional
def makes_topic_within(code: str) -> None:
    makes_topic(code)


@pytest.mark.django_db
@pytest.mark.parametrize("make", [makes_topic, makes_topic_within])
def test_refusal_of_the_database_names_its_rule(make: Callable[[str], None]) -> None:
    earlier = TopicFactory()
    with pytest.raises(RuleBroken) as refused:
        make(earlier.code)
    assert refused.value.details == {"rule": "topics_pkey"}
    assert isinstance(refused.value.__cause__, IntegrityError)
    assert refused.value.sentence
    assert earlier.code not in str(refused.value)
    assert Topic.objects.filter(pk=earlier.pk).exists()  # the connection can be used


@pytest.mark.django_db
@pytest.mark.parametrize("make", [makes_topic, makes_topic_within])
def test_value_that_no_column_accepts_is_invalid_input(make: Callable[[str], None]) -> None:
    with pytest.raises(InvalidInput):
        make("a\0b")
    assert Topic.objects.exists()


def test_refusal_at_commit_names_its_rule(shared: None) -> None:
    """Constraints may be deferred to the end of the transaction."""

    @transactional
    def without_a_person() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMPORARY TABLE late (id int CONSTRAINT late_once UNIQUE "
                "DEFERRABLE INITIALLY DEFERRED); INSERT INTO late VALUES (1), (1)"
            )

    with pytest.raises(RuleBroken) as refused:
        without_a_person()
    assert refused.value.details == {"rule": "late_once"}


# -- Rows and keys --------------------------------------------------------------------------------

INVALID_KEYS = {
    "empty": "",
    "a NUL": "\0",
    "a NUL in a text": "a\0b",
    "half a surrogate": "\udc00",
    "a million letters": "x" * 1_000_000,
    "infinity as a text": "infinity",
    "an integer": 5,
    "a negative integer": -1,
    "an integer of 41 digits": 10**40,
    "a float": 1.5,
    "nan": float("nan"),
    "infinity": float("inf"),
    "an empty list": [],
    "a list": [1],
    "a mapping": {"a": 1},
    "an empty tuple": (),
    "None": None,
    "bytes": b"x",
    "an object": object(),
    "an unknown UUID": UUID("0190a000-0000-7000-8000-000000000001"),
    "a moment": LAST,
}


@pytest.mark.django_db
@pytest.mark.parametrize("find", [get_or_refuse, lock_or_refuse])
@pytest.mark.parametrize("model", [Lead, Topic])
def test_invalid_key_matches_no_row(model: type[models.Model], find: Callable) -> None:
    LeadFactory()
    with case_loop() as case:
        for name, key in INVALID_KEYS.items():
            with case(name):
                with pytest.raises(NotFound) as refused:
                    find(model._default_manager.all(), key)
                assert refused.value.details == {"what": model._meta.model_name}
                assert Topic.objects.exists()  # the connection can be used


@pytest.mark.django_db
@pytest.mark.parametrize("find", [get_or_refuse, lock_or_refuse])
def test_row_is_looked_up_by_instance_and_any_spelling_of_its_key(find: Callable) -> None:
    lead = LeadFactory()
    for given in [lead, lead.pk, str(lead.pk), lead.pk.hex, str(lead.pk).upper()]:
        assert find(Lead.objects.all(), given) == lead
    with pytest.raises(NotFound):
        find(Lead.objects.exclude(pk=lead.pk), lead)


@pytest.mark.django_db
def test_rows_are_locked_in_the_order_of_their_keys() -> None:
    leads = [LeadFactory() for _ in range(3)]
    rows = lock_rows(Lead.objects.order_by("-created_at"))
    assert rows == sorted(leads, key=lambda lead: lead.pk)


def test_pk_of_returns_the_key_of_a_row_or_the_given_key() -> None:
    lead = Lead()
    assert pk_of(lead) == lead.pk
    assert pk_of(Topic(code="sleep")) == "sleep"
    assert pk_of(None) is None
    assert pk_of("sleep") == "sleep"


INVALID_TIMESTAMPS = {
    "None": None,
    "integer": 5,
    "text": "2027-01-01T00:00:00Z",
    "infinity": "infinity",
    "day": date.max,
    "last without zone": LAST,
    "first without zone": FIRST,
    "first at +14": FIRST.replace(tzinfo=timezone(timedelta(hours=14))),
    "last at -12": LAST.replace(tzinfo=timezone(-timedelta(hours=12))),
    "last in New York": LAST.replace(tzinfo=ZoneInfo("America/New_York")),
    "first in Tokyo": FIRST.replace(tzinfo=ZoneInfo("Asia/Tokyo")),
}


@pytest.mark.parametrize("value", INVALID_TIMESTAMPS.values(), ids=INVALID_TIMESTAMPS)
def test_invalid_timestamp_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        to_utc(value, "start")
    assert refused.value.details == {"field": "start"}


def test_timestamp_is_converted_to_utc() -> None:
    given = datetime(2027, 3, 1, 12, tzinfo=ZoneInfo("Europe/Moscow"))
    converted = to_utc(given, "start")
    assert converted == given
    assert (converted.hour, converted.tzinfo) == (9, UTC)
    for edge in [FIRST, LAST]:
        assert to_utc(edge.replace(tzinfo=UTC), "start") == edge.replace(tzinfo=UTC)
