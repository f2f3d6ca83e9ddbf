"""Four relays, two of them killed: nothing is lost, and the order of each row is kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from audit.models import OutboxEvent
from tests.databases import Database, Databases
from tests.processes import ROOT, environment, eventually

from .outbox import kill_at_work, outbox_database

ROWS, EVENTS = 200, 10_000
BATCH = 50
LEASE = "3"  # seconds; a killed relay's events are free again soon
FILL = """
INSERT INTO outbox_events (event_type, aggregate_type, aggregate_id, payload)
SELECT 'thing_done', 'things', md5((n %% %s)::text)::uuid, jsonb_build_object('n', n / %s)
FROM generate_series(0, %s - 1) AS n
"""


@pytest.fixture
def database(databases: Databases, django_db_blocker: Any) -> Iterator[Database]:
    with outbox_database(databases, django_db_blocker) as made:
        yield made


def start_relay(database: Database, folder: Path) -> subprocess.Popen:
    arguments = ["--sender", "tests.audit.senders.Recorder", "--lease", LEASE]
    arguments += ["--batch", str(BATCH)]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "relay_outbox", *arguments],
        cwd=ROOT,
        # So slow that a batch is under way when a relay is killed.
        env=environment(DATABASE_URL=database.url, RECORD_DIR=str(folder), RECORD_PAUSE="0.0005"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def deliveries(folder: Path) -> list[tuple[int, str, str, int]]:
    """(nanoseconds, row, event, number within the row) of each delivery, in the order of time."""
    lines = [line for file in folder.iterdir() for line in file.read_text().splitlines()]
    told = [line.split() for line in lines]
    return sorted((int(when), row, event, int(number)) for when, row, event, number in told)


def test_each_event_is_delivered_and_the_order_of_each_row_is_kept(
    database: Database, tmp_path: Path
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL, [ROWS, ROWS, EVENTS])
    relays = [start_relay(database, tmp_path) for _ in range(4)]
    try:
        assert eventually(lambda: len([*tmp_path.iterdir()]) == 4, 60)
        for share, relay in ((0.2, relays[0]), (0.5, relays[1])):
            assert eventually(lambda s=share: len(deliveries(tmp_path)) > s * EVENTS, 60)
            kill_at_work(relay, tmp_path)
        left = OutboxEvent.objects.filter(published_at=None)
        assert eventually(lambda: not left.exists(), 120)
        for relay in relays[2:]:
            relay.terminate()
            assert relay.wait(20) == 0
    finally:
        for relay in relays:
            relay.kill()
            relay.wait()

    told = deliveries(tmp_path)
    sent = {event for _when, _row, event, _number in told}
    assert sent == {str(pk) for pk in OutboxEvent.objects.values_list("pk", flat=True)}
    assert len(sent) == EVENTS
    assert len({file for file in tmp_path.iterdir() if file.read_text()}) == 4

    # By whichever relay: never an event before one that was written earlier was delivered.
    delivered_up_to = dict.fromkeys({row for _when, row, _event, _number in told}, -1)
    assert len(delivered_up_to) == ROWS
    for _when, row, _event, number in told:
        assert number <= delivered_up_to[row] + 1
        delivered_up_to[row] = max(delivered_up_to[row], number)

    # Both were killed with claims in hand, and what they had sent of them was sent again.
    assert OutboxEvent.objects.filter(last_error="lease_expired").exists()
    assert 2 <= len(told) - EVENTS <= 2 * BATCH
