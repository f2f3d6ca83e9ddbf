"""Slots from working hours, compared with an oracle that reads a clock minute by minute."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.models import OutboxEvent
from booking.errors import PeriodInvalid, RuleZoneUnknown
from booking.models import AvailabilitySlot, ScheduleRule
from booking.services import GeneratedSlots, generate_slots
from booking.services import offers as offers_module
from booking.services.offers import BusyTimes, Intervals, Offer, choose_offers, list_offers
from crm.models import AnalyticsEvent, LeadTimelineEvent
from ebalance.db import zones
from ebalance.db.ids import uuid7
from ebalance.services import InvalidInput, Refused
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    ScheduleRuleFactory,
    ServiceFactory,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MONDAY = date(2027, 3, 1)
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)

# Zones, each with the day of a clock change or with a day without one.
CHANGES = [
    pytest.param("Europe/Berlin", date(2027, 3, 28), id="Berlin: an hour is skipped"),
    pytest.param("Europe/Berlin", date(2027, 10, 31), id="Berlin: an hour is repeated"),
    pytest.param("America/Sao_Paulo", date(2027, 3, 28), id="Sao Paulo: no change"),
    pytest.param("Asia/Dubai", date(2027, 10, 31), id="Dubai: no change"),
    pytest.param("Australia/Lord_Howe", date(2027, 4, 4), id="Lord Howe: half an hour twice"),
    pytest.param("Australia/Lord_Howe", date(2027, 10, 3), id="Lord Howe: half an hour skipped"),
    pytest.param("America/Santiago", date(2027, 4, 4), id="Santiago: the last hour twice"),
    pytest.param("America/Santiago", date(2027, 9, 5), id="Santiago: no midnight"),
    pytest.param("Antarctica/Troll", date(2027, 3, 28), id="Troll: two hours skipped"),
    pytest.param("Antarctica/Troll", date(2027, 10, 31), id="Troll: two hours twice"),
    pytest.param("Pacific/Apia", date(2011, 12, 30), id="Apia: a day is skipped"),
]
BEFORE, AFTER = 9 * DAY, 9 * DAY  # the days around the change that the oracle reads


# -- the oracle ---------------------------------------------------------------------------------


@cache
def first_shown(zone: str, change: date) -> dict[datetime, datetime]:
    """Map each local minute around the change to its first instant."""
    zone_info = zoneinfo.ZoneInfo(zone)
    at = datetime.combine(change - BEFORE - 2 * DAY, time(), UTC)
    end = datetime.combine(change + AFTER + 3 * DAY, time(), UTC)
    shown: dict[datetime, datetime] = {}
    while at < end:
        shown.setdefault(at.astimezone(zone_info).replace(tzinfo=None), at)
        at += MINUTE
    return shown


def days_of(rule: ScheduleRule, first: date, last: date) -> Iterator[date]:
    """Yield the days of a rule, by counting every day since it began."""
    days = (rule.valid_from + n * DAY for n in range((last - rule.valid_from).days + 1))
    working = [day for day in days if day.isoweekday() == rule.weekday]
    for day in working[::2] if rule.recurrence == "biweekly" else working:
        if first <= day and (rule.valid_until is None or day <= rule.valid_until):
            yield day


def closing_time(shown: dict[datetime, datetime], wall: datetime) -> datetime:
    """Return the first instant of ``wall``.

    If clocks skip ``wall``, count back from the next existing minute by the missing minutes.
    """
    later = wall
    while later not in shown:
        later += MINUTE
    return shown[later] - (later - wall)


def expected(
    rule: ScheduleRule, change: date, first: date, last: date, minutes: int
) -> list[datetime]:
    shown, starts = first_shown(rule.timezone, change), []
    length, step = minutes * MINUTE, (minutes + rule.buffer_minutes) * MINUTE
    for day in days_of(rule, first, last):
        opening = datetime.combine(day, rule.start_local)
        closing = datetime.combine(day, rule.end_local)
        for n in range(24 * 60):
            wall = datetime.combine(day, time()) + n * MINUTE
            on_grid = wall >= opening and (wall - opening) % step == timedelta()
            if not on_grid or wall + length > closing or wall not in shown:
                continue
            start = shown[wall]
            if start + length > closing_time(shown, closing):
                continue
            if starts and start < starts[-1] + step:
                continue
            starts.append(start)
    return starts


@st.composite
def rules_around(draw: st.DrawFn, zone: str, change: date) -> ScheduleRule:
    start, end = sorted(draw(st.lists(st.integers(0, 1439), min_size=2, max_size=2, unique=True)))
    valid_from = change + draw(st.integers(-40, 8)) * DAY
    valid_until = draw(st.none() | st.integers(0, 50).map(lambda n: valid_from + n * DAY))
    return ScheduleRule(
        weekday=draw(st.just(change.isoweekday()) | st.integers(1, 7)),
        start_local=time(*divmod(start, 60)),
        end_local=time(*divmod(end, 60)),
        timezone=zone,
        recurrence=draw(st.sampled_from(["weekly", "biweekly"])),
        valid_from=valid_from,
        valid_until=valid_until,
        buffer_minutes=draw(st.sampled_from([0, 5, 10, 120]) | st.integers(0, 120)),
    )


@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_rule_offers_the_same_starts_as_the_oracle(zone: str, change: date) -> None:
    @settings(max_examples=100, deadline=None)
    @given(
        rules_around(zone, change),
        st.integers(-9, 9),
        st.integers(-9, 9),
        st.sampled_from([50, 60, 90]) | st.integers(10, 480),
    )
    def check(rule: ScheduleRule, one: int, other: int, minutes: int) -> None:
        first, last = change + min(one, other) * DAY, change + max(one, other) * DAY
        offers = [*list_offers(rule, first, last, minutes)]
        assert [offer.start for offer in offers] == expected(rule, change, first, last, minutes)
        assert all(offer.end - offer.start == minutes * MINUTE for offer in offers)
        assert all(before.busy_until <= after.start for before, after in pairwise(offers))

    check()


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("minutes", [25, 50, 120])
def test_whole_days_offer_the_same_starts_as_the_oracle(
    zone: str, change: date, minutes: int
) -> None:
    for weekday in range(1, 8):
        rule = ScheduleRule(
            weekday=weekday,
            start_local=time(0),
            end_local=time(23, 59),
            timezone=zone,
            recurrence="weekly",
            valid_from=change - BEFORE,
            buffer_minutes=10,
        )
        offers = list_offers(rule, change - BEFORE, change + AFTER, minutes)
        wanted = expected(rule, change, change - BEFORE, change + AFTER, minutes)
        assert wanted
        assert [offer.start for offer in offers] == wanted


# -- clock changes, chosen examples -------------------------------------------------------------


def starts_in_berlin(day: date, start: time, end: time, minutes: int, buffer: int) -> list[str]:
    """Return the starts, in UTC, of a rule for Sundays in Berlin on one day."""
    rule = ScheduleRule(
        weekday=7,
        start_local=start,
        end_local=end,
        timezone="Europe/Berlin",
        recurrence="weekly",
        valid_from=date(2027, 1, 1),
        buffer_minutes=buffer,
    )
    return [f"{offer.start:%H:%M}" for offer in list_offers(rule, day, day, minutes)]


SPRING, AUTUMN = date(2027, 3, 28), date(2027, 10, 31)


@pytest.mark.parametrize(
    ("day", "utc"),
    [
        (SPRING - 7 * DAY, ["09:00", "10:00"]),
        (SPRING, ["08:00", "09:00"]),
        (SPRING + 7 * DAY, ["08:00", "09:00"]),
        (AUTUMN - 7 * DAY, ["08:00", "09:00"]),
        (AUTUMN, ["09:00", "10:00"]),
        (AUTUMN + 7 * DAY, ["09:00", "10:00"]),
    ],
)
def test_local_hours_stay_the_same_across_clock_changes(day: date, utc: list[str]) -> None:
    assert starts_in_berlin(day, time(10), time(12), 50, 10) == utc


def test_skipped_start_makes_no_slot() -> None:
    assert starts_in_berlin(SPRING, time(0), time(5), 50, 10) == [
        "23:00",
        "00:00",
        "01:00",
        "02:00",
    ]


def test_repeated_hour_is_offered_the_first_time_only() -> None:
    assert starts_in_berlin(AUTUMN, time(0), time(5), 50, 10) == [
        "22:00",
        "23:00",
        "00:00",
        "02:00",
        "03:00",
    ]


def test_session_over_the_skipped_hour_keeps_its_duration() -> None:
    """From 01:30 to 03:30 local time is one hour, so the session ends at 04:30."""
    assert starts_in_berlin(SPRING, time(1, 30), time(8), 120, 0) == ["00:30", "03:30"]


def test_break_over_the_skipped_hour_keeps_its_duration() -> None:
    assert starts_in_berlin(SPRING, time(0, 50), time(6), 60, 60) == ["23:50", "02:50"]


def test_session_ends_in_elapsed_time_within_the_working_hours() -> None:
    assert starts_in_berlin(SPRING - 7 * DAY, time(1, 30), time(3, 30), 120, 0) == ["00:30"]
    assert starts_in_berlin(SPRING, time(1, 30), time(3, 30), 120, 0) == []
    assert starts_in_berlin(SPRING, time(1, 30), time(4, 30), 120, 0) == ["00:30"]


def test_repeated_closing_time_is_the_first() -> None:
    assert starts_in_berlin(AUTUMN, time(1, 30), time(2, 30), 60, 0) == ["23:30"]
    assert starts_in_berlin(AUTUMN, time(1, 30), time(3, 0), 60, 0) == ["23:30"]


# -- days ---------------------------------------------------------------------------------------


def offered_days(first: date, last: date, **values: Any) -> list[date]:
    rule = ScheduleRule(
        **{
            "weekday": 1,
            "start_local": time(10),
            "end_local": time(11),
            "timezone": "Europe/Moscow",
            "recurrence": "weekly",
            "valid_from": MONDAY,
            **values,
        }
    )
    return [offer.start.date() for offer in list_offers(rule, first, last, 60)]


def test_weekly_rule_includes_both_ends_of_the_period() -> None:
    mondays = [MONDAY + n * 7 * DAY for n in range(4)]
    assert offered_days(MONDAY, mondays[3]) == mondays
    assert offered_days(MONDAY + DAY, mondays[3] - DAY) == mondays[1:3]


def test_rule_includes_its_first_and_last_valid_day() -> None:
    limits = {"valid_from": MONDAY + 7 * DAY, "valid_until": MONDAY + 14 * DAY}
    assert offered_days(MONDAY, MONDAY + 60 * DAY, **limits) == [
        MONDAY + 7 * DAY,
        MONDAY + 14 * DAY,
    ]


def test_rule_outside_the_period_offers_nothing() -> None:
    assert offered_days(MONDAY, MONDAY + 6 * DAY, valid_from=MONDAY + 7 * DAY) == []
    assert offered_days(MONDAY + 7 * DAY, MONDAY + 60 * DAY, valid_until=MONDAY + 6 * DAY) == []


def test_biweekly_rule_continues_over_the_end_of_the_year() -> None:
    """2026 has 53 ISO weeks, so the parity of the week number would be wrong."""
    values = {"recurrence": "biweekly", "valid_from": date(2026, 12, 7)}
    wanted = [date(2026, 12, 7), date(2026, 12, 21), date(2027, 1, 4), date(2027, 1, 18)]
    assert offered_days(date(2026, 12, 1), date(2027, 1, 31), **values) == wanted
    one_by_one = (date(2026, 12, 1) + n * DAY for n in range(62))
    assert [day for one in one_by_one for day in offered_days(one, one, **values)] == wanted


@pytest.mark.parametrize("later", range(7))
def test_biweekly_rule_begins_on_its_first_weekday_after_valid_from(later: int) -> None:
    """valid_from moves from Tuesday to Monday; the first Monday on or after it is the same."""
    values = {"recurrence": "biweekly", "valid_from": MONDAY + DAY + later * DAY}
    wanted = [MONDAY + 7 * DAY, MONDAY + 21 * DAY]
    assert offered_days(MONDAY, MONDAY + 30 * DAY, **values) == wanted


# -- busy times, compared with a check of all pairs -----------------------------------------------

MIDNIGHT = datetime(2027, 3, 1, tzinfo=UTC)
SCOPES = [None, uuid7(), uuid7()]
TIMES = st.integers(0, 600).map(lambda n: MIDNIGHT + n * MINUTE)
SESSIONS = st.tuples(TIMES, st.integers(10, 90), st.integers(0, 30))


def offer_of(session: tuple[datetime, int, int], scope: UUID | None) -> Offer:
    start, minutes, buffer = session
    rule = ScheduleRule(id=uuid7(), service_id=scope, buffer_minutes=buffer)
    return Offer(start, start + minutes * MINUTE, rule)


def overlap(one: Offer, other: Offer) -> bool:
    """Return whether two offers overlap, breaks included."""
    return one.start < other.busy_until and other.start < one.busy_until


@settings(max_examples=75, deadline=None)
@given(
    wanted=st.lists(st.tuples(SESSIONS, st.sampled_from(SCOPES)), max_size=15),
    blocked=st.lists(SESSIONS, max_size=4),
    booked=st.lists(SESSIONS, max_size=4),
    existing=st.lists(st.tuples(SESSIONS, st.sampled_from(SCOPES)), max_size=6),
    now=TIMES,
)
def test_offers_do_not_overlap_busy_times(wanted, blocked, booked, existing, now) -> None:
    offers = [offer_of(*each) for each in wanted]
    existing_slots = [offer_of(*each) for each in existing]
    blocks = [offer_of(each, None) for each in blocked]
    appointments = [offer_of(each, None) for each in booked]
    taken = BusyTimes(
        blocked=Intervals((block.start, block.end) for block in blocks),
        booked=Intervals((each.start, each.busy_until) for each in appointments),
        offered={
            scope: Intervals(
                (s.start, s.busy_until) for s in existing_slots if s.service_id == scope
            )
            for scope in SCOPES
        },
    )
    correct: list[Offer] = []
    for offer in sorted(offers, key=lambda each: (each.start, each.rule.pk)):
        if (
            offer.start > now
            and not any(offer.start < b.end and b.start < offer.end for b in blocks)
            and not any(overlap(offer, each) for each in appointments)
            and not any(
                overlap(offer, each)
                for each in existing_slots + correct
                if each.service_id == offer.service_id
            )
        ):
            correct.append(offer)
    chosen, left_out = choose_offers(offers, taken, now=now)
    assert chosen == correct
    assert left_out.total() == len(offers) - len(chosen)


def test_interval_within_a_longer_one_does_not_shorten_it() -> None:
    busy = Intervals([(MIDNIGHT, MIDNIGHT + 3 * HOUR), (MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR)])
    assert busy.overlap(MIDNIGHT + 2 * HOUR, MIDNIGHT + 4 * HOUR)
    assert not busy.overlap(MIDNIGHT + 3 * HOUR, MIDNIGHT + 4 * HOUR)
    assert not busy.overlap(MIDNIGHT - HOUR, MIDNIGHT)


# -- in the database ----------------------------------------------------------------------------


@pytest.fixture
def hours(db: None) -> Callable[..., ScheduleRule]:
    """Mondays 10:00 to 14:00 in Berlin: sessions of 50 minutes, breaks of 10, four slots."""

    def make(**values: Any) -> ScheduleRule:
        return ScheduleRuleFactory(
            **{
                "service": ServiceFactory(published=True) if "service" not in values else None,
                "timezone": "Europe/Berlin",
                "valid_from": date(2027, 1, 1),
                **values,
            }
        )

    return make


def generate(
    first: date = MONDAY, last: date | None = None, now: datetime = NEW_YEAR
) -> GeneratedSlots:
    return generate_slots(first, last or first, clock=lambda: now)


def local_hours(**filters: Any) -> list[str]:
    """Return the starts of the available slots, in Berlin time."""
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    available = AvailabilitySlot.objects.filter(status="available", **filters)
    starts = available.order_by("start_at_utc").values_list("start_at_utc", flat=True)
    return [f"{start.astimezone(berlin):%H:%M}" for start in starts]


def at(hour: int, minute: int = 0) -> datetime:
    """Return a time of that Monday, given in Berlin time."""
    return datetime(2027, 3, 1, hour - 1, minute, tzinfo=UTC)


def events() -> list[tuple[UUID, dict[str, Any]]]:
    generated = OutboxEvent.objects.filter(event_type="slots_generated")
    assert {*generated.values_list("aggregate_type", flat=True)} <= {"schedule_rules"}
    return [*generated.order_by("aggregate_id").values_list("aggregate_id", "payload")]


def row_counts() -> list[int]:
    tables = [AvailabilitySlot, OutboxEvent, AnalyticsEvent, LeadTimelineEvent]
    return [table.objects.count() for table in tables]


ALL_FOUR = ["10:00", "11:00", "12:00", "13:00"]


def test_generated_slot_follows_its_rule(hours: Callable) -> None:
    rule = hours()
    assert generate() == GeneratedSlots(created=4)
    assert local_hours() == ALL_FOUR
    slot = AvailabilitySlot.objects.earliest("start_at_utc")
    assert (slot.start_at_utc, slot.end_at_utc) == (at(10), at(10, 50))
    assert (slot.service, slot.buffer_minutes) == (rule.service, 10)
    assert (slot.status, slot.source, slot.block_type) == ("available", "product", None)
    assert slot.id.version == 7
    assert slot.created_at


def test_event_contains_the_number_of_new_slots(hours: Callable) -> None:
    one, other, idle = hours(), hours(weekday=2, end_local=time(11)), hours(weekday=3)
    generate(MONDAY, MONDAY + DAY)
    assert events() == sorted([(one.pk, {"created": 4}), (other.pk, {"created": 1})])
    assert idle.pk not in dict(events())


def test_second_run_makes_no_slots(hours: Callable) -> None:
    hours(), hours(service=None)
    first = generate(MONDAY, MONDAY + 100 * DAY)
    assert first.created == 15 * 4 * 2
    before, slots = row_counts(), {*AvailabilitySlot.objects.values_list()}
    assert generate(MONDAY, MONDAY + 100 * DAY) == GeneratedSlots(offered=first.created)
    assert row_counts() == before
    assert {*AvailabilitySlot.objects.values_list()} == slots


def test_longer_period_adds_the_missing_slots(hours: Callable) -> None:
    hours()
    generate(MONDAY + 7 * DAY)
    assert generate(MONDAY, MONDAY + 14 * DAY) == GeneratedSlots(created=8, offered=4)


def test_slots_have_breaks_between_them(hours: Callable) -> None:
    hours(buffer_minutes=30)
    generate()
    assert local_hours() == ["10:00", "11:20", "12:40"]


@pytest.mark.parametrize(
    "values",
    [
        {"is_active": False},
        {"valid_from": MONDAY + DAY},
        {"valid_until": MONDAY - DAY},
        {"weekday": 2},
    ],
    ids=str,
)
def test_rule_that_is_not_in_force_makes_no_slots(hours: Callable, values: dict) -> None:
    hours(**values)
    assert generate() == GeneratedSlots()
    assert row_counts() == [0, 0, 0, 0]


def test_rule_of_one_day_makes_slots_on_that_day(hours: Callable) -> None:
    hours(valid_from=MONDAY, valid_until=MONDAY)
    assert generate(MONDAY, MONDAY) == GeneratedSlots(created=4)


@pytest.mark.parametrize("state", ["draft", "published", "archived"])
def test_only_a_published_service_has_slots(hours: Callable, state: str) -> None:
    hours(service=ServiceFactory(**({} if state == "draft" else {state: True})))
    assert generate().created == (4 if state == "published" else 0)


def test_slots_for_any_service_fit_the_longest_service(hours: Callable) -> None:
    ServiceFactory(published=True, duration_minutes=30)
    ServiceFactory(published=True, duration_minutes=90)
    ServiceFactory(duration_minutes=240)  # a draft
    hours(service=None, buffer_minutes=0)
    generate()
    assert local_hours() == ["10:00", "11:30"]
    lengths = {slot.end_at_utc - slot.start_at_utc for slot in AvailabilitySlot.objects.all()}
    assert lengths == {90 * MINUTE}


def test_rule_for_any_service_needs_a_published_service(hours: Callable) -> None:
    ServiceFactory()
    hours(service=None)
    assert generate() == GeneratedSlots()


def test_only_the_chosen_rules_make_slots(hours: Callable) -> None:
    chosen = hours()
    hours()
    rules = ScheduleRule.objects.filter(pk=chosen.pk)
    generate_slots(MONDAY, MONDAY, rules=rules, clock=lambda: NEW_YEAR)
    assert {*AvailabilitySlot.objects.values_list("service_id", flat=True)} == {chosen.service_id}


def test_past_starts_are_left_out(hours: Callable) -> None:
    hours()
    assert generate(now=at(11)) == GeneratedSlots(created=2, past=2)
    assert local_hours() == ["12:00", "13:00"]


def block(start: datetime, end: datetime, **values: Any) -> AvailabilitySlot:
    return AvailabilitySlotFactory(blocked=True, start_at_utc=start, end_at_utc=end, **values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"block_type": "buffer"},
        {"from_calendar": True},
        {"buffer_minutes": 120},
        {"service": None},
    ],
    ids=str,
)
def test_blocked_time_in_the_middle_is_left_out(hours: Callable, values: dict) -> None:
    """The reason and the source of the block do not matter, nor does its own break."""
    hours()
    block(at(11, 30), at(13), **values)
    assert generate() == GeneratedSlots(created=2, blocked=2)
    assert local_hours() == ["10:00", "13:00"]


def test_time_blocked_for_one_service_is_blocked_for_all(hours: Callable) -> None:
    hours(), hours(service=None)
    block(at(10), at(14), service=ServiceFactory(published=True))
    assert generate() == GeneratedSlots(blocked=8)


@pytest.mark.parametrize(
    ("start", "end", "blocked"),
    [
        pytest.param(at(10, 50), at(11), 0, id="the break alone"),
        pytest.param(at(10, 49), at(11), 1, id="a minute of a session"),
        pytest.param(at(10, 50), at(11, 1), 1, id="a minute of the next"),
        pytest.param(at(9), at(10), 0, id="until the start"),
        pytest.param(at(9), at(10, 1), 1, id="over the start"),
        pytest.param(at(13, 50), at(15), 0, id="from the end on"),
        pytest.param(at(10) - 2 * HOUR, at(10) + 10 * HOUR, 4, id="twelve hours"),
    ],
)
def test_blocked_time_is_half_open(
    hours: Callable, start: datetime, end: datetime, blocked: int
) -> None:
    hours()
    block(start, end)
    assert generate() == GeneratedSlots(created=4 - blocked, blocked=blocked)


def test_unblocked_time_is_offered_again(hours: Callable) -> None:
    hours()
    away = block(at(11), at(12))
    generate()
    away.status, away.block_type = "available", None
    away.save()
    away.delete()
    assert generate() == GeneratedSlots(created=1, offered=3)
    assert local_hours() == ALL_FOUR


@pytest.mark.parametrize("status", ["held", "paid", "confirmed"])
@pytest.mark.parametrize(
    ("start", "buffer", "left"),
    [
        pytest.param(at(10, 50), 0, ["12:00", "13:00"], id="in the break before"),
        pytest.param(at(11), 0, ["10:00", "12:00", "13:00"], id="one slot"),
        pytest.param(at(11), 11, ["10:00", "13:00"], id="its break into the next"),
        pytest.param(at(11), 10, ["10:00", "12:00", "13:00"], id="its break until the next"),
    ],
)
def test_appointment_blocks_its_time_and_both_breaks(
    hours: Callable, status: str, start: datetime, buffer: int, left: list[str]
) -> None:
    hours()
    AppointmentFactory(
        **{status: True},
        start_at_utc=start,
        end_at_utc=start + 50 * MINUTE,
        buffer_minutes=buffer,
    )
    assert generate() == GeneratedSlots(created=len(left), booked=4 - len(left))
    assert local_hours() == left


def test_canceled_appointment_blocks_no_time(hours: Callable) -> None:
    hours()
    AppointmentFactory(canceled=True, start_at_utc=at(11), end_at_utc=at(12))
    assert generate() == GeneratedSlots(created=4)


def test_reserved_slot_is_not_offered_twice(hours: Callable) -> None:
    rule = hours()
    generate()
    AvailabilitySlot.objects.filter(start_at_utc=at(11)).update(status="reserved")
    assert generate() == GeneratedSlots(offered=4)
    assert AvailabilitySlot.objects.filter(service=rule.service).count() == 4


def test_slots_of_different_services_may_overlap(hours: Callable) -> None:
    hours(), hours(), hours(service=None)
    assert generate() == GeneratedSlots(created=12)


def test_two_rules_for_one_service_do_not_overlap(hours: Callable) -> None:
    service = ServiceFactory(published=True)
    hours(service=service), hours(service=service, start_local=time(10, 30), end_local=time(16))
    assert generate() == GeneratedSlots(created=5, offered=4)
    assert local_hours() == [*ALL_FOUR, "14:30"]


CHANGED = [
    {"buffer_minutes": 0},
    {"buffer_minutes": 25},
    {"start_local": time(10, 30)},
    {"end_local": time(18)},
    {"timezone": "Europe/London"},
    {"timezone": "Asia/Kathmandu"},
    {"start_local": time(8), "buffer_minutes": 15},
]


@pytest.mark.parametrize("changed", CHANGED, ids=str)
@pytest.mark.parametrize("scope", ["one", "any"])
def test_changed_rule_makes_no_overlapping_slots(
    hours: Callable, changed: dict, scope: str
) -> None:
    ServiceFactory(published=True)
    rule = hours(**({"service": None} if scope == "any" else {}))
    generate(MONDAY, MONDAY + 7 * DAY)
    keys = {*AvailabilitySlot.objects.values_list("pk", flat=True)}
    for name, value in changed.items():
        setattr(rule, name, value)
    rule.save()
    generate(MONDAY, MONDAY + 14 * DAY)
    assert keys <= {*AvailabilitySlot.objects.values_list("pk", flat=True)}  # none is deleted
    available = AvailabilitySlot.objects.filter(status="available")
    assert {*available.values_list("buffer_minutes", flat=True)} == {rule.buffer_minutes}
    times = available.order_by("start_at_utc").values_list(
        "start_at_utc", "end_at_utc", "buffer_minutes"
    )
    assert all(
        end + buffer * MINUTE <= next_start
        for (_, end, buffer), (next_start, _, _) in pairwise(times)
    )
    assert times.filter(start_at_utc__gt=at(10) + 13 * DAY).exists()


def test_changed_duration_of_the_service_replaces_free_slots(hours: Callable) -> None:
    rule = hours()
    generate()
    rule.service.duration_minutes = 80
    rule.service.save()
    AvailabilitySlot.objects.filter(start_at_utc=at(13)).update(status="reserved")
    made = generate(MONDAY, MONDAY + 7 * DAY)
    assert made == GeneratedSlots(created=4, withdrawn=3)
    used = AvailabilitySlot.objects.exclude(status="withdrawn").order_by("start_at_utc")
    lengths = [(slot.end_at_utc - slot.start_at_utc) // MINUTE for slot in used]
    assert lengths == [80, 80, 50, 80, 80]


def test_slot_inserted_concurrently_is_no_error(
    hours: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session writes the same slot after the generation has read the busy times."""
    rule = hours()

    def insert_and_choose(offers: list[Offer], taken: BusyTimes, *, now: datetime) -> Any:
        AvailabilitySlotFactory(service=rule.service, start_at_utc=at(11), end_at_utc=at(11, 50))
        return choose_offers(offers, taken, now=now)

    monkeypatch.setattr("booking.services.schedule.choose_offers", insert_and_choose)
    assert generate() == GeneratedSlots(created=3, offered=1)
    assert local_hours() == ALL_FOUR
    assert events() == [(rule.pk, {"created": 3})]


def test_year_of_ten_rules_takes_few_queries(
    hours: Callable, django_assert_max_num_queries: Callable
) -> None:
    for weekday in range(1, 6):
        hours(weekday=weekday, start_local=time(9), end_local=time(20))
        hours(weekday=weekday, service=None, recurrence="biweekly")
    with django_assert_max_num_queries(30):
        created = generate(date(2027, 1, 1), date(2027, 12, 31)).created
    assert created == AvailabilitySlot.objects.count() > 3000
    assert len(events()) == 10
    with django_assert_max_num_queries(10):
        assert generate(date(2027, 1, 1), date(2027, 12, 31)).created == 0


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        pytest.param(MONDAY, MONDAY - DAY, "last", id="backwards"),
        pytest.param(MONDAY, MONDAY + 366 * DAY, "last", id="367 days"),
        pytest.param(NEW_YEAR, MONDAY, "first", id="a time first"),
        pytest.param(MONDAY, at(10), "last", id="a time last"),
        pytest.param("2027-03-01", MONDAY, "first", id="text"),
        pytest.param(MONDAY, None, "last", id="nothing"),
        pytest.param(date.min, date.min, "first", id="the first year"),
        pytest.param(date.max, date.max, "first", id="the last year"),
        pytest.param(date(9998, 12, 31), date.max, "last", id="into the last year"),
    ],
)
def test_invalid_period_is_refused(hours: Callable, first: Any, last: Any, field: str) -> None:
    hours()
    before = row_counts()
    with pytest.raises(PeriodInvalid) as caught:
        generate_slots(first, last)
    assert isinstance(caught.value, InvalidInput)
    assert caught.value.code == "invalid_period"
    assert caught.value.details["field"] == field
    assert caught.value.sentence
    assert row_counts() == before


def test_period_may_have_366_days(hours: Callable) -> None:
    hours(valid_from=MONDAY + 365 * DAY, weekday=(MONDAY + 365 * DAY).isoweekday())
    assert generate(MONDAY, MONDAY + 365 * DAY).created == 4


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("day", [date(2, 1, 1), date(9998, 12, 31)])
def test_slots_are_made_at_both_ends_of_the_calendar(hours: Callable, zone: str, day: date) -> None:
    hours(
        timezone=zone,
        weekday=day.isoweekday(),
        valid_from=date(2, 1, 1),
        start_local=time(0),
        end_local=time(23, 59),
    )
    made = generate(day, day, now=datetime(1, 1, 1, tzinfo=UTC))
    assert made == GeneratedSlots(created=24)


def test_rule_with_a_zone_that_python_does_not_know_is_skipped(
    hours: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = hours()
    lost = hours(timezone="Asia/Kathmandu")

    def find_zone(name: str) -> zoneinfo.ZoneInfo:
        if name in {"Asia/Kathmandu", "Asia/Katmandu"}:
            raise zoneinfo.ZoneInfoNotFoundError(name)
        return zoneinfo.ZoneInfo(name)

    monkeypatch.setattr(zones, "ZoneInfo", find_zone)
    made = generate()
    assert (made.created, made.skipped) == (4, {lost.pk: "refused: unknown_zone"})
    assert events() == [(good.pk, {"created": 4})]
    AvailabilitySlot.objects.all().delete()
    good.delete()
    before = row_counts()
    with pytest.raises(RuleZoneUnknown) as caught:
        generate()
    assert isinstance(caught.value, Refused)
    assert caught.value.details == {"rule": lost.pk, "zone": "Asia/Kathmandu"}
    assert "Asia/Kathmandu" in caught.value.sentence
    assert row_counts() == before


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../etc", "Europe", "Europe/Nowhere", "A\0"])
def test_invalid_zone_name_is_refused(name: str) -> None:
    """The database refuses these names; an unsaved rule must not raise another error."""
    with pytest.raises(RuleZoneUnknown):
        offers_module.get_zone(ScheduleRule(timezone=name))


@pytest.mark.django_db
def test_python_knows_every_zone_that_the_server_accepts() -> None:
    """The package tzdata has the zones if the system has none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_timezone_names WHERE is_time_zone(name)")
        names = [name for (name,) in cursor.fetchall()]
    assert len(names) > 400
    zoneinfo.reset_tzpath(to=[])
    try:
        for name in names:
            zoneinfo.ZoneInfo.no_cache(name)
    finally:
        zoneinfo.reset_tzpath()


# -- the command --------------------------------------------------------------------------------


def test_command_prints_the_numbers_of_slots(
    hours: Callable, capsys: pytest.CaptureFixture
) -> None:
    hours(weekday=1, valid_from=date(2099, 1, 1))
    block(datetime(2099, 1, 5, 9, tzinfo=UTC), datetime(2099, 1, 5, 10, tzinfo=UTC))
    call_command("generate_slots", "--from", "2099-01-01", "--days", "12")
    assert capsys.readouterr().out == (
        "2099-01-01 to 2099-01-12: 7 slots made, 0 offered again, 0 withdrawn; "
        "left out: 0 past, 1 blocked, 0 booked, 0 there already.\n"
    )
    assert AvailabilitySlot.objects.filter(status="available").count() == 7


def test_command_generates_sixty_days_by_default(hours: Callable) -> None:
    today = timezone.now().date()
    for weekday in range(1, 8):
        hours(
            weekday=weekday,
            timezone="UTC",
            start_local=time(0),
            end_local=time(23, 59),
            valid_from=today,
        )
    call_command("generate_slots", verbosity=0)
    starts = AvailabilitySlot.objects.order_by("start_at_utc").values_list(
        "start_at_utc", flat=True
    )
    assert timezone.now() - MINUTE < starts.first() < timezone.now() + 2 * HOUR
    assert today + 58 * DAY <= starts.last().date() <= today + 59 * DAY


@pytest.mark.parametrize(
    "arguments",
    [
        ["--from", "yesterday"],
        ["--from", "2027-02-30"],
        ["--from", "0001-01-01"],
        ["--from", "9999-01-01"],
        ["--days", "0"],
        ["--days", "-1"],
        ["--days", "367"],
        ["--days", "many"],
        ["--days", "9" * 5000],
    ],
    ids=lambda each: " ".join(each)[:30],
)
def test_command_refuses_bad_input_in_one_line(hours: Callable, arguments: list[str]) -> None:
    hours()
    before = row_counts()
    with pytest.raises(CommandError) as caught:
        call_command("generate_slots", arguments[0] + "=" + arguments[1])
    assert len(str(caught.value).splitlines()) == 1
    assert row_counts() == before
