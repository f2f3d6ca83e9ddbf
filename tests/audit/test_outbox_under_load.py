"""Four relays, two of them killed: no event is lost, and the order of each row is kept.

Two relays halt in the middle of a batch and are killed there. Their leases, which are longer than
any run, are ended by hand. The other two relays leave them enough events.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from audit.models import OutboxEvent
from tests.databases import Database, Databases
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually
from tests.scale import scaled

from .outbox import end_lease, outbox_database

ROWS, EVENTS = 200, scaled(4_000)
BATCH = 50
HALTS = (BATCH // 2, 3 * BATCH // 2)  # events that a relay has sent before it is killed
SHARE = EVENTS // 8  # events that each other relay sends before both are killed
FILL = """
INSERT INTO outbox_events (event_type, aggregate_type, aggregate_id, payload)
SELECT 'thing_done', 'things', md5((n %% %s)::text)::uuid, jsonb_build_object('n', n / %s)
FROM generate_series(0, %s - 1) AS n
"""


@pytest.fixture
def database(databases: Databases, django_db_blocker: Any) -> Iterator[Database]:
    with outbox_database(databases, django_db_blocker) as made:
        yield made


def start_relay(database: Database, folder: Path, **halt: str) -> subprocess.Popen:
    arguments = ["--sender", "tests.audit.senders.Recorder", "--lease", "3600"]
    arguments += ["--batch", str(BATCH)]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "relay_outbox", *arguments],
        cwd=ROOT,
        env=environment(DATABASE_URL=database.url, RECORD_DIR=str(folder), **halt),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def deliveries(folder: Path) -> list[tuple[int, str, str, int]]:
    """(nanoseconds, row, event, number within the row) of each delivery, in order of time."""
    lines = [line for file in folder.iterdir() for line in file.read_text().splitlines()]
    fields = [line.split() for line in lines]
    return sorted((int(when), row, event, int(number)) for when, row, event, number in fields)


@pytest.mark.slow
def test_each_event_is_delivered_in_the_order_of_its_row(
    database: Database, tmp_path: Path
) -> None:
    folder, gate = tmp_path / "sent", tmp_path / "gate"
    folder.mkdir()
    relays = [
        start_relay(database, folder, RECORD_HALT=str(number), RECORD_GATE=str(gate))
        for number in (*HALTS, SHARE, SHARE)
    ]
    try:
        assert eventually(lambda: len([*folder.iterdir()]) == len(relays))
        with connection.cursor() as cursor:
            cursor.execute(FILL, [ROWS, ROWS, EVENTS])
        for relay, number in zip(relays, HALTS, strict=False):
            file = folder / str(relay.pid)
            assert eventually(lambda f=file, n=number: len(f.read_text().splitlines()) == n)
            relay.kill()
            relay.wait(HANG_TIMEOUT)
            end_lease(UUID(file.read_text().split()[-2]))
        gate.touch()
        left = OutboxEvent.objects.filter(published_at=None)
        assert eventually(lambda: not left.exists())
        for relay in relays[2:]:
            relay.terminate()
            assert relay.wait(HANG_TIMEOUT) == 0
    finally:
        for relay in relays:
            relay.kill()
            relay.wait()

    delivered = deliveries(folder)
    sent = {event for _when, _row, event, _number in delivered}
    assert sent == {str(pk) for pk in OutboxEvent.objects.values_list("pk", flat=True)}
    assert len(sent) == EVENTS
    assert len({file for file in folder.iterdir() if file.read_text()}) == 4

    # No relay delivers an event before the earlier events of its row.
    delivered_up_to = dict.fromkeys({row for _when, row, _event, _number in delivered}, -1)
    assert len(delivered_up_to) == ROWS
    for _when, row, _event, number in delivered:
        assert number <= delivered_up_to[row] + 1
        delivered_up_to[row] = max(delivered_up_to[row], number)

    # Both were killed with open claims, and the events that they had sent were sent again.
    assert OutboxEvent.objects.filter(last_error="lease_expired").exists()
    assert 2 <= len(delivered) - EVENTS <= 2 * BATCH
