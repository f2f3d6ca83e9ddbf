"""A stored zone that the server does not know stops nothing (data-model.md §0)."""

from __future__ import annotations

import subprocess
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from audit.models import OutboxEvent
from audit.services.claims import Outcome, claim_events, report_outcomes
from booking.errors import RuleZoneUnknown, ZoneUnknown
from booking.models import Appointment, AvailabilitySlot
from booking.services import (
    book_appointment,
    cancel_appointment,
    expire_holds,
    generate_slots,
    record_outcome,
)
from crm.models import AnalyticsEvent
from crm.services import record_event
from ebalance.dev.bundled import bundled_bin_dir
from ebalance.dev.demo import load_demo
from ebalance.privacy.erasure import erase_user
from tests.booking.outbox_assertions import TEN_YEARS_ON, at, book, confirmed, paid, reschedule
from tests.databases import Database, Databases
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    OutboxEventFactory,
    ScheduleRuleFactory,
    ServiceFactory,
    UserFactory,
)
from tests.lost_zones import LOST, RENAMED, plant_zone
from tests.processes import HANG_TIMEOUT
from tests.services import committing

late = pytest.mark.usefixtures("late_clock")
each_name = pytest.mark.parametrize(
    ("stored", "current"), [(RENAMED, "America/Los_Angeles"), (LOST, LOST)]
)


def published_zones() -> set[str]:
    """The zones of outbox and tracked events that name one."""
    values_of_events = [*OutboxEvent.objects.values_list("payload", flat=True)]
    values_of_events += AnalyticsEvent.objects.values_list("properties", flat=True)
    return {values["timezone"] for values in values_of_events if "timezone" in values}


def forget_events() -> None:
    OutboxEvent.objects.update(payload={})


@late
@pytest.mark.django_db
@each_name
def test_payment_and_move_keep_the_person_of_a_lost_zone(stored: str, current: str) -> None:
    row = book()
    plant_zone(row, stored)
    forget_events()
    paid(row)
    assert row.status == "confirmed"
    moved = reschedule(row, start=row.start_at_utc + timedelta(days=2))
    assert moved.timezone == current
    names = {e.payload["timezone"] for e in OutboxEvent.objects.all() if "timezone" in e.payload}
    assert names == {current}
    again = reschedule(moved, start=moved.start_at_utc + timedelta(days=2), timezone="Europe/Kiev")
    assert again.timezone == "Europe/Kyiv"
    with pytest.raises(ZoneUnknown):
        reschedule(again, start=again.start_at_utc + timedelta(days=2), timezone=LOST)


@late
@pytest.mark.django_db
@each_name
def test_cancellation_outcome_and_sweep_do_not_ask_the_zone(stored: str, current: str) -> None:
    canceled, attended, hold = confirmed(), confirmed(), book()
    for row in (canceled, attended, hold):
        plant_zone(row, stored)
    cancel_appointment(canceled, by="provider")
    record_outcome(attended, outcome="attended", clock=at(attended.start_at_utc, hours=2))
    assert expire_holds(clock=at(hold.hold_expires_at, minutes=1)) == 1
    statuses = [Appointment.objects.get(pk=row.pk).status for row in (canceled, attended, hold)]
    assert statuses == ["canceled", "completed", "canceled"]


@pytest.mark.django_db
@each_name
def test_erasure_does_not_ask_the_zone(stored: str, current: str) -> None:
    person = UserFactory(timezone="Europe/Moscow")
    row = AppointmentFactory(client=person)
    plant_zone(person, stored)
    plant_zone(row, stored)
    erase_user(person, method="admin", force=True)
    person.refresh_from_db()
    assert (person.status, person.timezone) == ("deleted", None)


@pytest.mark.django_db
def test_relay_and_purge_take_events_with_a_lost_zone() -> None:
    row = OutboxEventFactory(payload={"timezone": LOST})
    claimed = [claim for run in claim_events(batch=10, lease=60) for claim in run]
    report_outcomes([Outcome(claim, "sent") for claim in claimed])
    row.refresh_from_db()
    assert row.published_at is not None


@pytest.mark.django_db
def test_working_hours_of_a_renamed_zone_offer_slots() -> None:
    day = timezone.localdate() + timedelta(days=7)
    rule = ScheduleRuleFactory(
        service=ServiceFactory(published=True),
        weekday=day.isoweekday(),
        valid_from=day,
        start_local=time(9),
        end_local=time(12),
    )
    plant_zone(rule, RENAMED)
    assert generate_slots(day, day).created > 0
    assert {slot.start_at_utc.hour for slot in AvailabilitySlot.objects.all()} & {16, 17}
    plant_zone(rule, LOST)
    with pytest.raises(RuleZoneUnknown):
        generate_slots(day, day)


@pytest.mark.django_db
def test_old_names_are_booked_and_tracked_under_the_current_one() -> None:
    row = book(timezone="asia/calcutta")
    assert row.timezone == "Asia/Kolkata"
    assert published_zones() == {"Asia/Kolkata"}
    record_event(
        "booking_slot_selected",
        properties={
            "slot_start_at": row.start_at_utc,
            "timezone": "US/Pacific",
            "service_id": row.service_id,
        },
    )
    assert published_zones() == {"Asia/Kolkata", "America/Los_Angeles"}


# -- dump and restore -----------------------------------------------------------------------------


def programs(database: Database) -> Path:
    """The folder of the programs of this server's version."""
    with database.connect() as session:
        major = session.info.server_version // 10000
    own = Path(f"/usr/lib/postgresql/{major}/bin")
    return own if (own / "pg_restore").exists() else bundled_bin_dir()


def run(folder: Path, program: str, *arguments: str) -> None:
    result = subprocess.run(
        [str(folder / program), *arguments], capture_output=True, text=True, timeout=HANG_TIMEOUT
    )
    assert (result.returncode, result.stderr) == (0, "")


def count_rows(database: Database) -> dict[str, int]:
    with database.connect() as session:
        tables = session.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' "
            "AND relnamespace = 'public'::regnamespace ORDER BY relname"
        ).fetchall()
        return {
            table: session.execute(f'SELECT count(*) FROM public."{table}"').fetchone()[0]
            for (table,) in tables
        }


@pytest.mark.slow
def test_dump_with_a_lost_zone_is_restored_whole(
    fresh_database: Database,
    databases: Databases,
    django_db_blocker: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "ERASURE_LEDGER_FILE", tmp_path / "erasures.jsonl")
    with committing(fresh_database, django_db_blocker):
        UserFactory(role="owner")
        load_demo()
        rows = [UserFactory(timezone="Europe/Moscow"), ScheduleRuleFactory()]
        rows += [book_far(), AppointmentFactory(confirmed=True)]
        for n, row in enumerate(rows):
            plant_zone(row, [RENAMED, LOST][n % 2])
        OutboxEventFactory(payload={"timezone": LOST})
        before = count_rows(fresh_database)
    folder, file = programs(fresh_database), str(tmp_path / "dump")
    run(folder, "pg_dump", "-Fc", "--file", file, "--dbname", fresh_database.conninfo)
    restored = databases.empty()
    try:
        run(folder, "pg_restore", "--exit-on-error", "--dbname", restored.conninfo, file)
        assert count_rows(restored) == before
        assert before["appointments"] > 3
        with committing(restored, django_db_blocker):
            row = Appointment.objects.get(pk=rows[2].pk)
            assert row.timezone == RENAMED
            cancel_appointment(row, by="provider")
            erase_user(rows[0].pk, method="admin", force=True)
    finally:
        databases.drop(restored.name)


def book_far() -> Appointment:
    return book_appointment(
        ServiceFactory(published=True),
        client=UserFactory(),
        slot=AvailabilitySlotFactory(
            start_at_utc=TEN_YEARS_ON, end_at_utc=TEN_YEARS_ON + timedelta(hours=1)
        ),
        timezone="Europe/Moscow",
        format="online",
        client_request_id="lost-zone",
    )
