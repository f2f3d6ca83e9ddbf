"""process_webhooks and expire_holds: run by cron, beside live traffic, killed and repeated."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from booking.models import Appointment, Payment, PaymentWebhookEvent
from booking.services import settlement
from ebalance import commands
from tests.booking.outbox_assertions import (
    book,
    deliver,
    event_types,
    known_payment,
    writes_nothing,
)
from tests.databases import Database, default_connection_on
from tests.factories import (
    AppointmentFactory,
    PaymentFactory,
    PaymentWebhookEventFactory,
    ServiceFactory,
    UserFactory,
)
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, manage

TICK = timedelta(microseconds=1)


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A separate database in which the test commits."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


def run_command(name: str, *arguments: str) -> str:
    output = io.StringIO()
    call_command(name, *arguments, stdout=output, stderr=output)
    return output.getvalue()


def run_failing_command(name: str, *arguments: str) -> tuple[str, str]:
    """Return the output and the error of a command that fails."""
    output = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(name, *arguments, stdout=output, stderr=output)
    return output.getvalue(), str(caught.value)


def start_process(database: Database, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=environment(DATABASE_URL=database.url),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def wait_for_process(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, errors = process.communicate(timeout=HANG_TIMEOUT)
    assert "Traceback" not in errors, errors
    return process.returncode, output


@contextmanager
def locked(database: Database, table: str, key: Any) -> Iterator[Any]:
    """Lock the row from another session; yield a function that checks for a waiting session."""
    with database.connect() as other, database.connect(autocommit=True) as watcher:
        other.execute(f'SELECT FROM "{table}" WHERE id = %s FOR UPDATE', [key])

        def is_waiting() -> bool:
            row = watcher.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone()
            return row != (0,)

        yield is_waiting
        other.rollback()


@contextmanager
def paused_at(database: Database, appointment: Appointment) -> Iterator[Any]:
    """Make the UPDATE of this appointment wait; yield a function that checks for the wait.

    Deliveries skip locked rows, so the wait is in a trigger of the test.
    """
    with database.connect() as other, database.connect(autocommit=True) as watcher:
        other.execute("SELECT pg_advisory_xact_lock(7)")
        watcher.execute(
            "CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END$$"
        )
        watcher.execute(
            "CREATE TRIGGER a_wait_for_test BEFORE UPDATE ON appointments FOR EACH ROW "
            f"WHEN (NEW.id = '{appointment.pk}') EXECUTE FUNCTION wait_for_test()"
        )

        def is_waiting() -> bool:
            row = watcher.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event = 'advisory'"
            ).fetchone()
            return row != (0,)

        try:
            yield is_waiting
        finally:
            other.rollback()
            watcher.execute("DROP FUNCTION wait_for_test() CASCADE")


# -- process_webhooks -----------------------------------------------------------------------------


def waiting_success() -> tuple[Appointment, Payment, PaymentWebhookEvent]:
    """Create a payment whose success is received but not processed."""
    row = AppointmentFactory(service=SHARED["service"], client=SHARED["client"])
    payment = PaymentFactory(appointment=row, answered=True)
    event = PaymentWebhookEventFactory(
        provider_payment_id=payment.provider_payment_id, amount=payment.amount, currency="RUB"
    )
    return row, payment, event


def make_due() -> None:
    """End the back-off of the events that were tried."""
    PaymentWebhookEvent.objects.filter(processed_at=None).update(next_attempt_at=now())


SHARED: dict[str, Any] = {}


def waiting_successes(number: int) -> list[tuple[Appointment, Payment, PaymentWebhookEvent]]:
    SHARED.update(service=ServiceFactory(published=True), client=UserFactory())
    return [waiting_success() for _ in range(number)]


def assert_all_took_effect_once(number: int) -> None:
    assert PaymentWebhookEvent.objects.filter(processed_at=None).count() == 0
    assert Payment.objects.filter(status="succeeded").count() == number
    assert Appointment.objects.filter(status="confirmed").count() == number
    kinds = event_types()
    for kind in ("payment_succeeded", "appointment_paid", "appointment_confirmed"):
        assert kinds.count(kind) == number, kind


@pytest.mark.django_db
def test_waiting_webhooks_are_processed_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting_successes(3)
    deliver("provider-unknown")
    wrong = known_payment(book())
    deliver(wrong, amount="1.00")
    odd = PaymentFactory(canceled=True)
    PaymentWebhookEventFactory(
        provider_payment_id=odd.provider_payment_id, amount=odd.amount, currency="RUB"
    )
    make_due()  # both were tried at their receipt
    assert run_command("process_webhooks").splitlines() == [
        "       4 took effect",
        "       1 wait for a payment that is unknown so far",
        "       1 have an unexpected amount",
    ]
    assert PaymentWebhookEvent.objects.filter(processed_at=None).count() == 2
    assert PaymentWebhookEvent.objects.get(last_error="out_of_order").processed_at is not None
    assert Appointment.objects.filter(status="confirmed").count() == 3
    before = event_types()
    with writes_nothing():
        assert run_command("process_webhooks") == "       0 took effect\n"
    make_due()
    assert run_command("process_webhooks").splitlines()[0] == "       0 took effect"
    assert event_types() == before


@pytest.mark.django_db
def test_command_without_waiting_webhooks_prints_zero() -> None:
    with writes_nothing():
        assert run_command("process_webhooks") == "       0 took effect\n"


@pytest.mark.django_db
def test_oldest_webhooks_are_processed_first_up_to_the_limit() -> None:
    made = waiting_successes(3)
    for number, (_row, _payment, event) in enumerate(reversed(made)):
        PaymentWebhookEvent.objects.filter(pk=event.pk).update(
            received_at=now() - timedelta(hours=3 - number)
        )
    assert run_command("process_webhooks", "--limit", "2") == "       2 took effect\n"
    done = PaymentWebhookEvent.objects.exclude(processed_at=None)
    assert {event.pk for event in done} == {event.pk for _row, _payment, event in made[1:]}
    assert run_command("process_webhooks", "--limit", "9999999999") == "       1 took effect\n"


@pytest.mark.django_db
def test_failing_webhook_stops_no_other_and_fails_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = waiting_successes(3)
    confirm = settlement.confirm_locked_appointment

    def broken(row: Appointment, *args: Any, **values: Any) -> None:
        if row.pk == made[1][0].pk:
            raise RuntimeError("anna@example.com")
        confirm(row, *args, **values)

    monkeypatch.setattr(settlement, "confirm_locked_appointment", broken)
    output, error = run_failing_command("process_webhooks")
    assert error == "1 could not be handled and will be retried."
    assert f"{made[1][2].pk}: could not be handled" in output
    assert "       2 took effect" in output
    assert "anna" not in output
    monkeypatch.undo()
    make_due()
    assert run_command("process_webhooks") == "       1 took effect\n"
    assert_all_took_effect_once(3)


@pytest.mark.django_db
@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5", ""])
def test_bad_limit_is_refused_in_one_line(limit: str) -> None:
    output, error = run_failing_command("process_webhooks", f"--limit={limit}")
    assert output == ""
    assert error == f"{limit!r} is no limit: a number of notifications, 1 or more."


@pytest.mark.django_db
def test_progress_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "LINE_EVERY", 0.0)
    waiting_successes(2)
    run_command("process_webhooks")
    assert capsys.readouterr().err.splitlines() == [
        "payment_webhook_events: 1 of 2 rows",
        "payment_webhook_events: 2 of 2 rows",
    ]


@pytest.mark.slow
def test_killed_command_leaves_whole_webhooks(committed: Database) -> None:
    made = waiting_successes(8)
    with paused_at(committed, made[4][0]) as is_waiting:
        process = start_process(committed, "process_webhooks")
        assert eventually(is_waiting)
        process.kill()
        process.communicate(timeout=HANG_TIMEOUT)
    assert PaymentWebhookEvent.objects.filter(processed_at=None, attempts=0).count() == 4
    assert Payment.objects.filter(status="succeeded").count() == 4
    assert Appointment.objects.filter(status="confirmed").count() == 4
    assert event_types().count("payment_succeeded") == 4
    again = manage("process_webhooks", DATABASE_URL=committed.url)
    assert (again.returncode, again.stdout) == (0, "       4 took effect\n"), again.stderr
    assert_all_took_effect_once(8)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_command_after_the_current_webhook(
    committed: Database, number: signal.Signals
) -> None:
    made = waiting_successes(5)
    with paused_at(committed, made[2][0]) as is_waiting:
        process = start_process(committed, "process_webhooks")
        assert eventually(is_waiting)
        process.send_signal(number)
    code, output = wait_for_process(process)
    assert (code, output) == (
        0,
        "Stopped; run the same command again to continue.\n       3 took effect\n",
    )
    assert manage("process_webhooks", DATABASE_URL=committed.url).returncode == 0
    assert_all_took_effect_once(5)


@pytest.mark.slow
def test_two_commands_process_each_webhook_once(committed: Database) -> None:
    waiting_successes(30)
    answers = [
        wait_for_process(run)
        for run in [start_process(committed, "process_webhooks") for _ in range(2)]
    ]
    assert [code for code, _output in answers] == [0, 0]
    effects = [int(re.search(r"(\d+) took effect", output)[1]) for _code, output in answers]
    assert sum(effects) == 30
    assert_all_took_effect_once(30)


@pytest.mark.slow
def test_command_skips_a_webhook_that_a_delivery_has_locked(committed: Database) -> None:
    """The command does not wait for live traffic."""
    made = waiting_successes(3)
    with committed.connect() as delivery:
        delivery.execute(
            "SELECT FROM appointments WHERE id = %s FOR NO KEY UPDATE", [made[1][1].appointment_id]
        )
        run = manage("process_webhooks", DATABASE_URL=committed.url)
    assert run.stdout == "       2 took effect\n       1 locked by another transaction\n"
    assert run.returncode == 0
    assert list(PaymentWebhookEvent.objects.waiting()) == [made[1][2].pk]


# -- expire_holds ---------------------------------------------------------------------------------


def stale_holds(number: int) -> list[Appointment]:
    """Create expired holds, in the order of their expiry."""
    service, client = ServiceFactory(published=True), UserFactory()
    return [
        AppointmentFactory(
            service=service,
            client=client,
            in_slot=True,
            hold_expires_at=now() - timedelta(hours=1) + n * timedelta(seconds=1),
        )
        for n in range(number)
    ]


def assert_all_expired_once(number: int) -> None:
    rows = Appointment.objects.select_related("slot")
    assert [(row.status, row.slot.status) for row in rows] == [("canceled", "available")] * number
    assert event_types() == ["hold_expired"] * number


@pytest.mark.django_db
def test_command_prints_the_number_of_expired_holds() -> None:
    stale_holds(2)
    AppointmentFactory(held=True)
    assert run_command("expire_holds") == "2 holds expired.\n"
    with writes_nothing():
        assert run_command("expire_holds") == "0 holds expired.\n"
    AppointmentFactory(held=True, hold_expires_at=now() - TICK)
    assert run_command("expire_holds") == "1 hold expired.\n"


@pytest.mark.slow
def test_killed_sweep_leaves_whole_transactions(committed: Database) -> None:
    rows = stale_holds(105)
    with locked(committed, "availability_slots", rows[102].slot_id) as is_waiting:
        process = start_process(committed, "expire_holds")
        assert eventually(is_waiting)
        process.kill()
        process.communicate(timeout=HANG_TIMEOUT)
    assert Appointment.objects.filter(status="canceled").count() == 100
    assert event_types() == ["hold_expired"] * 100
    again = manage("expire_holds", DATABASE_URL=committed.url)
    assert (again.returncode, again.stdout) == (0, "5 holds expired.\n"), again.stderr
    assert_all_expired_once(105)


@pytest.mark.slow
def test_two_sweeps_expire_each_hold_once(committed: Database) -> None:
    stale_holds(105)
    answers = [
        wait_for_process(run)
        for run in [start_process(committed, "expire_holds") for _ in range(2)]
    ]
    assert [code for code, _output in answers] == [0, 0]
    assert sum(int(re.match(r"\d+", output)[0]) for _code, output in answers) == 105
    assert_all_expired_once(105)


@pytest.mark.slow
def test_sweep_skips_a_hold_that_a_payment_has_locked(committed: Database) -> None:
    rows = stale_holds(3)
    with locked(committed, "appointments", rows[1].pk):
        run = manage("expire_holds", DATABASE_URL=committed.url)
    assert run.stdout == "2 holds expired.\n"
    rows[1].refresh_from_db()
    assert rows[1].status == "pending_payment"
