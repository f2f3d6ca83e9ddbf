"""One row that cannot be written never stops the others: skipped, reported by id, tried again.

A trigger refuses the row with an error of its own, as an unforeseen rule or damaged data would.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, InterfaceError, OperationalError, models
from django.utils.timezone import now

from audit.models import OutboxEvent
from booking.models import AvailabilitySlot, ScheduleRule
from booking.services import holds
from ebalance.failures import is_outside, reason_of
from ebalance.privacy import retention
from identity.errors import AccountErased
from tests.factories import (
    AppointmentFactory,
    DataExportRequestFactory,
    LeadNoteFactory,
    OutboxEventFactory,
    PaymentFactory,
    PaymentWebhookEventFactory,
    ScheduleRuleFactory,
    ServiceFactory,
    UserFactory,
)
from tests.factories.base import ago
from tests.support import execute
from tests.test_rotation import NEW_RINGS, ring

STATES = {"P0001": "a rule in PL/pgSQL", "22008": "a wrong date", "XX000": "an internal error"}


@pytest.fixture(autouse=True)
def prepared(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EXPORTS_DIR = tmp_path / "exports"
    monkeypatch.setattr(retention, "PATIENCE", 0.0)


@contextmanager
def refusing(row: models.Model, *, state: str, table: str = "", on: str = "id") -> Iterator[None]:
    """The database refuses to write this row, or the rows of ``table`` whose ``on`` names it."""
    table = table or row._meta.db_table
    execute(
        "CREATE OR REPLACE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'anna@example.com' USING ERRCODE = '{state}'; END $$"
    )
    for event, version in [("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")]:
        execute(
            f"CREATE TRIGGER aaa_refuse_{event} BEFORE {event} ON {table} FOR EACH ROW "
            f"WHEN ({version}.{on} = '{row.pk}') EXECUTE FUNCTION refuse_row()"
        )
    yield
    for event in ("INSERT", "UPDATE", "DELETE"):
        execute(f"DROP TRIGGER aaa_refuse_{event} ON {table}")


@dataclass(frozen=True)
class Sweep:
    """A command over the rows that ``make`` returns. ``is_done`` asks for the effect on a row."""

    command: str
    make: Callable[[], list[models.Model]]
    is_done: Callable[[models.Model], bool]
    arguments: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)  # other rows that refuse, see refusing()

    def __str__(self) -> str:
        return self.command

    def run(self) -> str:
        output = io.StringIO()
        call_command(self.command, *self.arguments, stdout=output, stderr=output)
        return output.getvalue()

    def run_failing(self) -> str:
        output = io.StringIO()
        with pytest.raises(CommandError) as caught:
            call_command(self.command, *self.arguments, stdout=output, stderr=output)
        assert caught.value.returncode == 1
        return output.getvalue() + str(caught.value)


def expired_holds() -> list[models.Model]:
    service, client = ServiceFactory(published=True), UserFactory()
    old = now() - timedelta(hours=1)
    return [
        AppointmentFactory(
            service=service, client=client, in_slot=True, hold_expires_at=old + timedelta(seconds=n)
        )
        for n in range(3)
    ]


def schedule_rules() -> list[models.Model]:
    return [
        ScheduleRuleFactory(
            service=ServiceFactory(published=True),
            weekday=n + 1,
            start_local=time(10),
            end_local=time(14),
            valid_from=ago(days=30).date(),
        )
        for n in range(3)
    ]


def waiting_events() -> list[models.Model]:
    payments = [PaymentFactory(appointment=row, answered=True) for row in expired_holds()]
    return [
        PaymentWebhookEventFactory(
            provider_payment_id=payment.provider_payment_id, amount=payment.amount, currency="RUB"
        )
        for payment in payments
    ]


def many(factory: Any, **values: Any) -> Callable[[], list[models.Model]]:
    return lambda: factory.create_batch(3, **values)


def is_set(name: str) -> Callable[[models.Model], bool]:
    def ask(row: models.Model) -> bool:
        return type(row)._base_manager.filter(pk=row.pk).exclude(**{name: None}).exists()

    return ask


def has_status(status: str) -> Callable[[models.Model], bool]:
    return lambda row: type(row)._base_manager.filter(pk=row.pk, status=status).exists()


def is_sealed_anew(row: models.Model) -> bool:
    stored = execute("SELECT note_encrypted AS value FROM lead_notes WHERE id = %s", [row.pk])
    return stored[0]["value"].startswith("v1.k2.")


SWEEPS = [
    Sweep("expire_holds", expired_holds, has_status("canceled")),
    Sweep(
        "generate_slots",
        schedule_rules,
        lambda row: AvailabilitySlot.objects.filter(service=row.service_id).exists(),
        refused={"table": "availability_slots", "on": "service_id"},
    ),
    Sweep("process_webhooks", waiting_events, is_set("processed_at")),
    Sweep("relay_outbox", many(OutboxEventFactory), is_set("published_at"), ("--once",)),
    Sweep("process_exports", many(DataExportRequestFactory), has_status("ready")),
    Sweep(
        "purge_expired",
        many(OutboxEventFactory, sent=True, published_at=ago(days=91)),
        lambda row: not OutboxEvent.objects.filter(pk=row.pk).exists(),
    ),
    Sweep("rotate_keys", many(LeadNoteFactory), is_sealed_anew),
]


@pytest.mark.django_db
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("sweep", SWEEPS, ids=str)
def test_refused_row_is_skipped_reported_and_tried_again(
    sweep: Sweep, state: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rows = sweep.make()
    if sweep.command == "rotate_keys":
        settings.ENCRYPTION_KEYS = ring(NEW_RINGS["ENCRYPTION"])
    bad = rows[1]
    row = bad.service if isinstance(bad, ScheduleRule) else bad
    with refusing(row, state=state, **sweep.refused):
        for _ in range(2):  # the second run finds the bad row alone
            report = sweep.run_failing()
            assert [sweep.is_done(each) for each in rows] == [True, False, True]
            assert str(bad.pk) in report, report
            assert f"refused by {state}" in report + caplog.text, report
        assert "anna@example.com" not in report + caplog.text
    sweep.run()
    assert all(map(sweep.is_done, rows))


@pytest.mark.django_db
def test_every_row_may_be_refused() -> None:
    rows = expired_holds()
    execute("ALTER TABLE appointments ADD CONSTRAINT no_more CHECK (status = 'pending_payment')")
    skipped: dict[Any, str] = {}
    assert holds.expire_holds(skipped=skipped) == 0
    assert skipped == {row.pk: "refused by no_more" for row in rows}


@pytest.mark.django_db
def test_refused_rows_of_a_whole_batch_do_not_hide_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest holds fill a batch, and all of them are refused."""
    monkeypatch.setattr(holds, "BATCH_SIZE", 2)
    rows = expired_holds()
    oldest = [row.pk for row in rows[:2]]
    execute(
        "ALTER TABLE appointments ADD CONSTRAINT no_more CHECK "
        f"(status = 'pending_payment' OR id NOT IN ('{oldest[0]}', '{oldest[1]}'))"
    )
    skipped: dict[Any, str] = {}
    assert holds.expire_holds(skipped=skipped) == 1
    assert [*skipped] == oldest
    assert has_status("canceled")(rows[2])


@pytest.mark.django_db
def test_event_behind_a_refused_one_of_its_row_waits() -> None:
    """The order of a row's events is kept, and other rows do not wait."""
    first = OutboxEventFactory()
    second = OutboxEventFactory(aggregate_id=first.aggregate_id)
    other = OutboxEventFactory()
    sweep = next(sweep for sweep in SWEEPS if sweep.command == "relay_outbox")
    with refusing(first, state="P0001"):
        sweep.run_failing()
        assert [sweep.is_done(row) for row in (first, second, other)] == [False, False, True]
    sweep.run()
    assert [sweep.is_done(row) for row in (first, second)] == [True, True]


@pytest.mark.django_db
def test_event_with_a_refused_outcome_is_reported_and_sent_again() -> None:
    """The claim is stored, and the outcome is not: the event is due again after its lease."""
    rows = OutboxEventFactory.create_batch(3)
    execute(
        "ALTER TABLE outbox_events ADD CONSTRAINT not_sent "
        f"CHECK (published_at IS NULL OR id <> '{rows[1].pk}')"
    )
    sweep = next(sweep for sweep in SWEEPS if sweep.command == "relay_outbox")
    report = sweep.run_failing()
    assert f"outbox_events {rows[1].pk}: refused by not_sent" in report
    assert [sweep.is_done(row) for row in rows] == [True, False, True]
    execute("ALTER TABLE outbox_events DROP CONSTRAINT not_sent")
    execute("UPDATE outbox_events SET available_at = now() WHERE published_at IS NULL")
    sweep.run()
    assert sweep.is_done(rows[1])


# -- errors that concern no row -------------------------------------------------------------------


def django_error(cause: psycopg.Error, kind: type[DatabaseError] = DatabaseError) -> DatabaseError:
    error = kind("anna@example.com")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("closed"),
        InterfaceError("closed"),
        MemoryError(),
        django_error(psycopg.OperationalError("server closed the connection")),
        django_error(psycopg.errors.DiskFull()),
        django_error(psycopg.errors.AdminShutdown()),
        django_error(psycopg.errors.InsufficientPrivilege()),
        django_error(psycopg.errors.ReadOnlySqlTransaction()),
    ],
    ids=lambda error: type(error.__cause__ or error).__name__,
)
def test_error_of_the_server_stops_a_sweep(error: Exception) -> None:
    assert is_outside(error)
    with pytest.raises(type(error)) as caught:
        reason_of(error)
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (django_error(psycopg.errors.CheckViolation()), "refused by 23514"),
        (django_error(psycopg.errors.DeadlockDetected(), OperationalError), "refused by 40P01"),
        (AccountErased(), "refused: account_erased"),
        (ValueError("anna@example.com"), "ValueError"),
        (RecursionError("anna@example.com"), "RecursionError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_error_of_a_row_has_a_reason_without_content(error: Exception, reason: str) -> None:
    assert not is_outside(error)
    assert reason_of(error) == reason


@pytest.mark.django_db
def test_lost_connection_ends_a_sweep_without_skipping_rows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)

    def lost(*args: Any, **options: Any) -> int:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(holds, "_expire_batch", lost)
    skipped: dict[Any, str] = {}
    with pytest.raises(OperationalError):
        holds.expire_holds(skipped=skipped)
    assert (skipped, caplog.text) == ({}, "")
