"""`manage.py relay_outbox`: runs, stops on a signal, reports its lag."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection

from audit.models import OutboxEvent
from tests.databases import Database, Databases
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, manage

from .outbox import advance_time, outbox_database, state, write_events

SENDERS = "tests.audit.senders"


@pytest.fixture(scope="module")
def database(databases: Databases, django_db_blocker: Any) -> Iterator[Database]:
    with outbox_database(databases, django_db_blocker) as made:
        yield made


@pytest.fixture(autouse=True)
def outbox(database: Database, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        connection.cursor().execute("TRUNCATE outbox_events")
        yield


def command(*arguments: str) -> str:
    output = io.StringIO()
    call_command("relay_outbox", *arguments, stdout=output)
    return output.getvalue()


def process(database: Database, folder: Path, *arguments: str, **changes: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "relay_outbox", *arguments],
        cwd=ROOT,
        env=environment(DATABASE_URL=database.url, RECORD_DIR=str(folder), **changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def recorded(folder: Path) -> list[str]:
    """Ids of the events sent by all processes."""
    return [line.split()[2] for file in folder.iterdir() for line in file.read_text().splitlines()]


# -- the status -----------------------------------------------------------------------------------


def test_status_is_printed_as_text_and_json(settings: Any) -> None:
    settings.OUTBOX_MAX_ATTEMPTS = 3
    write_events(2, wait=100)
    write_events(attempts=3)
    text = command("--status")
    assert [line.split()[:2] for line in text.splitlines()] == [
        ["waiting", "2"],
        ["retrying", "0"],
        ["dead", "1"],
        ["oldest", "seconds"],
        ["published", "last"],
    ]
    status = json.loads(command("--status", "--json"))
    assert status.pop("oldest_seconds") >= 0
    assert status == {"waiting": 2, "retrying": 0, "dead": 1, "published_last_minute": 0}
    assert not OutboxEvent.objects.published().exists()


def test_json_option_requires_status() -> None:
    with pytest.raises(CommandError, match="--json needs --status"):
        command("--json")


# -- wrong arguments and settings -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "part"),
    [
        ("nothing", "is no sender"),
        ("nowhere.Sender", "is no sender"),
        ("audit.services.senders.Missing", "is no sender"),
        ("audit.services.senders.SECRET", "is no sender"),
        ("audit.services.senders.SHORTEST_SECRET", "is no sender"),
        (f"{SENDERS}.WithoutClose", "needs send, close and timeout"),
        (f"{SENDERS}.NeedsMore", "is no sender"),
        ("builtins.object", "needs send, close and timeout"),
    ],
)
def test_wrong_sender_is_refused_in_one_sentence(sender: str, part: str) -> None:
    (event,) = write_events()
    with pytest.raises(CommandError, match=part) as caught:
        command("--once", "--sender", sender)
    assert "\n" not in str(caught.value)
    assert state(event) == (0, None, False)


@pytest.mark.parametrize("batch", ["0", "-1", "1001", "many", "1.5", ""])
def test_wrong_batch_is_refused(batch: str) -> None:
    with pytest.raises(CommandError, match="is no batch"):
        command("--once", f"--batch={batch}")


@pytest.mark.parametrize("lease", ["0", "-1", "3601", "long", "nan", "inf", ""])
def test_wrong_lease_is_refused(lease: str) -> None:
    with pytest.raises(CommandError, match="is no lease"):
        command("--once", f"--lease={lease}")


def test_lease_shorter_than_a_send_is_refused() -> None:
    with pytest.raises(CommandError, match="too short"):
        command("--once", "--lease", "1")


def test_webhook_requires_its_settings() -> None:
    with pytest.raises(ImproperlyConfigured, match="OUTBOX_WEBHOOK_URL"):
        command("--once", "--sender", "audit.services.senders.WebhookSender")


@pytest.mark.slow
def test_missing_secret_of_the_webhook_is_one_line(database: Database) -> None:
    result = manage(
        "relay_outbox",
        "--once",
        DATABASE_URL=database.url,
        OUTBOX_SENDER="audit.services.senders.WebhookSender",
        OUTBOX_WEBHOOK_URL="https://example.com/?token=t0ken",
    )
    assert result.returncode == 1
    assert result.stderr == (
        "Wrong settings: OUTBOX_WEBHOOK_SECRET must be set for WebhookSender.\n"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"OUTBOX_MAX_ATTEMPTS": "0"},
        {"OUTBOX_LEASE_SECONDS": "10"},
        {"OUTBOX_LEASE_SECONDS": "3601"},
        {"OUTBOX_SEND_TIMEOUT_SECONDS": "0"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_invalid_settings_are_refused(changes: dict[str, str], database: Database) -> None:
    result = manage("relay_outbox", "--status", DATABASE_URL=database.url, **changes)
    assert result.returncode == 1
    assert "Wrong settings: OUTBOX_MAX_ATTEMPTS is 1 or more" in result.stderr
    assert "Traceback" not in result.stderr


# -- processes ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_once_option_sends_due_events_and_ends(database: Database) -> None:
    events = [*write_events(3), *write_events()]
    write_events(wait=100)
    result = manage("relay_outbox", "--once", DATABASE_URL=database.url)
    assert result.returncode == 0, result.stderr
    assert [event for event in events if str(event) in result.stderr] == events
    assert OutboxEvent.objects.published().count() == 4


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_relay_runs_until_a_signal_stops_it(
    number: signal.Signals, database: Database, tmp_path: Path
) -> None:
    """The relay finishes its current event and releases the others."""
    events = write_events(200)
    folder, gate = tmp_path / "sent", tmp_path / "gate"
    folder.mkdir()
    halt = {"RECORD_HALT": "3", "RECORD_GATE": str(gate)}
    relay = process(database, folder, "--sender", f"{SENDERS}.Recorder", "--lease", "3600", **halt)
    assert eventually(lambda: len(recorded(folder)) == 3)
    relay.send_signal(number)
    gate.touch()
    _output, errors = relay.communicate(timeout=HANG_TIMEOUT)
    assert relay.returncode == 0, errors
    assert recorded(folder) == [str(event) for event in events[:3]]
    assert OutboxEvent.objects.published().count() == 3
    # As before the claim.
    assert OutboxEvent.objects.waiting().filter(attempts=0).count() == len(events) - 3


@pytest.mark.slow
def test_idle_relay_takes_new_events_and_stops(database: Database, tmp_path: Path) -> None:
    relay = process(database, tmp_path, "--sender", f"{SENDERS}.Recorder")
    assert eventually(lambda: [*tmp_path.iterdir()])
    (event,) = write_events()
    assert eventually(lambda: recorded(tmp_path) == [str(event)])
    relay.terminate()
    _output, errors = relay.communicate(timeout=HANG_TIMEOUT)
    assert relay.returncode == 0, errors


@pytest.mark.slow
def test_a_send_that_outlasts_its_lease_ends_the_process(
    database: Database, tmp_path: Path
) -> None:
    """A late send is impossible: by then another relay may own the event."""
    events = write_events(3)
    relay = process(database, tmp_path, "--sender", f"{SENDERS}.Hanging", "--lease", "1.5")
    _output, errors = relay.communicate(timeout=HANG_TIMEOUT)
    assert relay.returncode == 1
    assert "Timeout" in errors
    assert recorded(tmp_path) == []
    advance_time(2)
    result = manage(
        "relay_outbox",
        "--once",
        DATABASE_URL=database.url,
        RECORD_DIR=str(tmp_path),
        OUTBOX_SENDER=f"{SENDERS}.Recorder",
    )
    assert result.returncode == 0, result.stderr
    assert recorded(tmp_path) == [str(event) for event in events]
    assert state(events[0]) == (2, "lease_expired", True)


@pytest.mark.slow
def test_exiting_sender_ends_the_process_and_releases_other_events(
    database: Database, tmp_path: Path
) -> None:
    first, second = write_events(2)
    relay = process(database, tmp_path, "--once", "--sender", f"{SENDERS}.Leaving")
    relay.communicate(timeout=HANG_TIMEOUT)
    assert relay.returncode == 3
    assert state(first) == (1, "internal", False)
    assert state(second) == (0, None, False)


@pytest.mark.slow
def test_failures_do_not_end_the_process(database: Database, tmp_path: Path) -> None:
    events = [write_events()[0] for _ in range(3)]
    relay = process(database, tmp_path, "--once", "--sender", f"{SENDERS}.Refusing")
    _output, errors = relay.communicate(timeout=HANG_TIMEOUT)
    assert relay.returncode == 0, errors
    assert [state(event) for event in events] == [(1, "http_500", False)] * 3
    assert errors.count("was not delivered (http_500, attempt 1)") == 3


@pytest.mark.slow
def test_missing_database_is_reported_in_one_line(tmp_path: Path) -> None:
    result = manage("relay_outbox", DATABASE_URL=f"postgresql://u@/none?host={tmp_path}")
    assert result.returncode == 1
    assert result.stderr.startswith("Cannot use the database none")
    assert len(result.stderr.splitlines()) == 1
