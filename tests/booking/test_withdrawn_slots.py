"""Generation withdraws free slots that no rule offers any more, and offers them again."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfoNotFoundError

import pytest
from django.db import IntegrityError, transaction

from audit.models import OutboxEvent
from booking.errors import TimeNotOffered
from booking.models import AvailabilitySlot, ScheduleRule
from booking.services import GeneratedSlots, book_appointment, generate_slots
from booking.services import schedule as schedule_module
from ebalance.db import zones
from tests.booking.outbox_assertions import book, refused, request
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    ScheduleRuleFactory,
    ServiceFactory,
)
from tests.services import execute, nothing_written

pytestmark = pytest.mark.django_db

MONDAY = date(2099, 1, 5)
NEW_YEAR = datetime(2099, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def make_rule(**values: Any) -> ScheduleRule:
    """Mondays 10:00 to 14:00 UTC: four sessions of 50 minutes with breaks of 10."""
    if "service" not in values:
        values["service"] = ServiceFactory(published=True)
    return ScheduleRuleFactory(**{"timezone": "UTC", "valid_from": date(2027, 1, 1)} | values)


def generate(first: date = MONDAY, last: date | None = None, **values: Any) -> GeneratedSlots:
    return generate_slots(first, last or first, **{"clock": lambda: NEW_YEAR} | values)


def change(row: Any, **values: Any) -> None:
    type(row).objects.filter(pk=row.pk).update(**values)


def hours(status: str) -> list[int]:
    slots = AvailabilitySlot.objects.filter(status=status).order_by("start_at_utc")
    return [slot.start_at_utc.hour for slot in slots]


def slot_at(hour: int) -> AvailabilitySlot:
    return AvailabilitySlot.objects.get(start_at_utc=datetime(2099, 1, 5, hour, tzinfo=UTC))


def events(event_type: str) -> list[tuple[UUID, dict[str, Any]]]:
    rows = OutboxEvent.objects.filter(event_type=event_type)
    return [*rows.order_by("aggregate_id").values_list("aggregate_id", "payload")]


# -- what is withdrawn ----------------------------------------------------------------------------


def test_slot_names_the_rule_that_made_it() -> None:
    rule = make_rule()
    generate()
    assert {*AvailabilitySlot.objects.values_list("schedule_rule", flat=True)} == {rule.pk}


@pytest.mark.parametrize(
    "values",
    [
        {"is_active": False},
        {"valid_until": MONDAY - DAY},
        {"valid_from": MONDAY + DAY},
        {"weekday": 2},
    ],
    ids=str,
)
def test_rule_that_is_no_longer_in_force_loses_its_free_slots(values: dict[str, Any]) -> None:
    rule = make_rule()
    generate()
    change(rule, **values)
    assert generate() == GeneratedSlots(withdrawn=4)
    assert hours("withdrawn") == [10, 11, 12, 13]
    assert events("slots_withdrawn") == [(rule.pk, {"withdrawn": 4})]
    with nothing_written():
        assert generate() == GeneratedSlots()


def test_archived_service_loses_its_free_slots() -> None:
    rule = make_rule()
    generate()
    change(rule.service, status="archived")
    assert generate() == GeneratedSlots(withdrawn=4)


def test_shorter_hours_withdraw_the_slots_outside_them() -> None:
    rule = make_rule()
    generate()
    change(rule, end_local=time(12))
    assert generate() == GeneratedSlots(withdrawn=2, offered=2)
    assert (hours("available"), hours("withdrawn")) == ([10, 11], [12, 13])


def test_slot_with_another_break_is_offered_with_the_new_one() -> None:
    rule = make_rule(end_local=time(11))
    generate()
    change(rule, buffer_minutes=5)
    assert generate() == GeneratedSlots(withdrawn=1, restored=1)
    assert slot_at(10).buffer_minutes == 5


def test_withdrawn_slot_is_offered_again_with_its_rule() -> None:
    rule = make_rule()
    generate()
    keys = {*AvailabilitySlot.objects.values_list("pk", flat=True)}
    change(rule, is_active=False)
    generate()
    change(rule, is_active=True)
    assert generate() == GeneratedSlots(restored=4)
    assert {*AvailabilitySlot.objects.values_list("pk", flat=True)} == keys
    assert events("slots_generated") == [(rule.pk, {"created": 4})] * 2
    with nothing_written():
        assert generate() == GeneratedSlots(offered=4)


def test_withdrawn_slot_belongs_to_the_rule_that_offers_it_again() -> None:
    rule = make_rule()
    generate()
    change(rule, is_active=False)
    generate()
    other = make_rule(service=rule.service)
    assert generate() == GeneratedSlots(restored=4)
    assert {*AvailabilitySlot.objects.values_list("schedule_rule", flat=True)} == {other.pk}


def test_withdrawn_slot_does_not_offer_its_time_again_while_it_is_blocked() -> None:
    rule = make_rule()
    generate()
    change(rule, is_active=False)
    generate()
    change(rule, is_active=True)
    at_ten = slot_at(10)
    AvailabilitySlotFactory(
        blocked=True, start_at_utc=at_ten.start_at_utc, end_at_utc=at_ten.end_at_utc
    )
    assert generate() == GeneratedSlots(restored=3, blocked=1)
    at_ten.refresh_from_db()
    assert at_ten.status == "withdrawn"


# -- what stays -----------------------------------------------------------------------------------


def test_only_free_future_slots_of_the_period_are_withdrawn() -> None:
    rule = make_rule()
    generate(MONDAY, MONDAY + 7 * DAY)
    change(slot_at(11), status="reserved")
    change(slot_at(12), status="blocked", block_type="exception")
    AppointmentFactory(  # keeps a slot that is available
        confirmed=True,
        slot=slot_at(13),
        start_at_utc=slot_at(13).start_at_utc,
        end_at_utc=slot_at(13).end_at_utc,
    )
    by_staff = AvailabilitySlotFactory(start_at_utc=datetime(2099, 1, 5, 18, tzinfo=UTC))
    change(rule, is_active=False)
    past = datetime(2099, 1, 5, 10, tzinfo=UTC)
    assert generate(clock=lambda: past) == GeneratedSlots()
    assert generate() == GeneratedSlots(withdrawn=1)
    assert slot_at(10).status == "withdrawn"
    by_staff.refresh_from_db()
    assert by_staff.status == "available"
    assert AvailabilitySlot.objects.filter(start_at_utc__date=MONDAY + 7 * DAY).count() == 4
    assert len(hours("withdrawn")) == 1


def test_slot_that_another_rule_offers_stays() -> None:
    rule = make_rule()
    generate()
    make_rule(service=rule.service, end_local=time(12))
    change(rule, is_active=False)
    assert generate() == GeneratedSlots(withdrawn=2, offered=2)
    assert hours("available") == [10, 11]


def test_slot_that_a_rule_of_another_zone_offers_stays() -> None:
    """The session is on Monday in UTC, and on Tuesday in Kiritimati."""
    rule = make_rule(start_local=time(20), end_local=time(21))
    generate()
    make_rule(
        service=rule.service,
        timezone="Pacific/Kiritimati",
        weekday=2,
        start_local=time(10),
        end_local=time(11),
    )
    change(rule, is_active=False)
    assert generate() == GeneratedSlots()
    assert hours("available") == [20]


def test_chosen_rules_withdraw_their_own_slots_only() -> None:
    one, other = make_rule(), make_rule()
    generate()
    change(one, is_active=False)
    change(other, is_active=False)
    chosen = ScheduleRule.objects.filter(pk=one.pk)
    assert generate(rules=chosen) == GeneratedSlots(withdrawn=4)
    withdrawn = AvailabilitySlot.objects.filter(status="withdrawn")
    assert {*withdrawn.values_list("schedule_rule", flat=True)} == {one.pk}


def test_slot_booked_during_the_generation_stays_booked(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = make_rule()
    generate()
    change(rule, is_active=False)
    withdraw = schedule_module.withdraw_slots

    def book_and_withdraw(keys: Any) -> Any:
        change(slot_at(10), status="reserved")
        return withdraw(keys)

    monkeypatch.setattr(schedule_module, "withdraw_slots", book_and_withdraw)
    assert generate() == GeneratedSlots(withdrawn=3)
    assert slot_at(10).status == "reserved"


# -- rows that cannot be written ----------------------------------------------------------------


def test_rule_of_an_unknown_zone_keeps_its_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    off, lost = (
        make_rule(),
        make_rule(timezone="Asia/Kathmandu", start_local=time(20, 45), end_local=time(21, 45)),
    )
    generate()
    change(off, is_active=False)
    get_zone_info = zones.ZoneInfo

    def find_zone(name: str) -> Any:
        if name in {"Asia/Kathmandu", "Asia/Katmandu"}:
            raise ZoneInfoNotFoundError(name)
        return get_zone_info(name)

    monkeypatch.setattr(zones, "ZoneInfo", find_zone)
    assert generate() == GeneratedSlots(withdrawn=4, skipped={lost.pk: "refused: unknown_zone"})
    assert len(hours("available")) == 1


def test_slot_that_cannot_be_withdrawn_stops_no_other_rule() -> None:
    bad, good = make_rule(start_local=time(16), end_local=time(17)), make_rule()
    generate()
    change(bad, is_active=False)
    change(good, end_local=time(12))
    execute(
        f"ALTER TABLE availability_slots ADD CONSTRAINT no_rest "
        f"CHECK (status <> 'withdrawn' OR schedule_rule_id <> '{bad.pk}')"
    )
    made = generate()
    assert (made.withdrawn, made.offered) == (2, 2)
    assert made.skipped == {bad.pk: "refused by no_rest"}
    assert hours("available") == [10, 11, 16]


# -- booking ------------------------------------------------------------------------------------


def test_withdrawn_slot_is_not_booked() -> None:
    slot = AvailabilitySlotFactory(withdrawn=True)
    values = request(slot=slot)
    with refused(TimeNotOffered, start=slot.start_at_utc):
        book_appointment(**values)
    values |= {"slot": None, "start": slot.start_at_utc}
    with refused(TimeNotOffered, start=slot.start_at_utc):
        book_appointment(**values)
    staff_booking = book(start=slot.start_at_utc)
    assert staff_booking.slot_id is None


def test_rule_with_slots_is_not_deleted() -> None:
    rule = AvailabilitySlotFactory(from_rule=True).schedule_rule
    for delete in (
        rule.delete,
        lambda: execute("DELETE FROM schedule_rules WHERE id = %s", [rule.pk]),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            delete()
    ScheduleRuleFactory().delete()
