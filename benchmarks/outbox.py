"""Compares four relays, of which two are killed, with a loop that delivers without claims.

    .venv/bin/python benchmarks/outbox.py

A temporary database has 100,000 events of 2,000 rows. The sender appends a line to a file, so that
the benchmark measures the outbox. The relays are `manage.py relay_outbox`, started before the
events are written. One is killed after a quarter of the events, another after half, and their
leases (3 s) must end before other relays deliver their events. At the end all events must have been
delivered, those of a row in the order of writing.

The loop is one process that reads the next hundred unpublished events, sends them, and marks them
by plain statements. It has no claims and no leases: nothing continues the work of a killed loop,
and two loops would send every event twice. It runs before and after the relays; the result is the
mean. The ratio combines the cost of the guarantees and the gain of four processes: above 1, the
relays are faster.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from common import ROOT, empty_database, migrate, url
from django.db import connection, transaction

from audit.models import OutboxEvent
from tests.audit.outbox import kill_at_work
from tests.audit.senders import Recorder

EVENTS, ROWS = 100_000, 2_000
RELAYS = 4
BATCH = 100
LEASE = 3  # seconds
KILLED_AT = (0.25, 0.5)  # shares of delivered events
FILL = """
INSERT INTO outbox_events (event_type, aggregate_type, aggregate_id, payload)
SELECT 'thing_done', 'things', md5((n %% %s)::text)::uuid, jsonb_build_object('n', n / %s)
FROM generate_series(0, %s - 1) AS n
"""
NEXT = "SELECT * FROM outbox_events WHERE published_at IS NULL ORDER BY id LIMIT %s"
MARK = "UPDATE outbox_events SET published_at = now(), attempts = 1 WHERE id = ANY (%s::uuid[])"


def fill() -> None:
    with connection.cursor() as db:
        db.execute("TRUNCATE outbox_events")
        with transaction.atomic():
            db.execute(FILL, [ROWS, ROWS, EVENTS])


def left() -> int:
    return OutboxEvent.objects.filter(published_at=None).count()


def loop(folder: Path) -> float:
    """Events per second of one process without claims."""
    fill()
    os.environ["RECORD_DIR"] = str(folder)
    sender = Recorder()
    start = time.perf_counter()
    while events := list(OutboxEvent.objects.raw(NEXT, [BATCH])):
        for event in events:
            sender.send(event)
        with connection.cursor() as db:
            db.execute(MARK, [[event.pk for event in events]])
    seconds = time.perf_counter() - start
    sender.close()
    check(folder)
    return EVENTS / seconds


@contextmanager
def relays(folder: Path, address: str):
    command = [sys.executable, str(ROOT / "manage.py"), "relay_outbox", "--lease", str(LEASE)]
    command += ["--batch", str(BATCH), "--sender", "tests.audit.senders.Recorder"]
    environment = {**os.environ, "DATABASE_URL": address, "RECORD_DIR": str(folder)}
    started = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        for _ in range(RELAYS)
    ]
    try:
        while len([*folder.iterdir()]) < RELAYS:
            time.sleep(0.05)
        yield started
    finally:
        for relay in started:
            relay.kill()
            relay.wait()


def relayed(folder: Path, address: str) -> tuple[float, int]:
    """Events per second of four relays, of which two are killed, and the number of repetitions."""
    with connection.cursor() as db:
        db.execute("TRUNCATE outbox_events")
    with relays(folder, address) as started:
        time.sleep(2)  # all of them poll the empty outbox
        fill()
        start = time.perf_counter()
        for share, relay in zip(KILLED_AT, started, strict=False):
            while lines(folder) < share * EVENTS:
                time.sleep(0.02)
            kill_at_work(relay, folder)
        while left():
            time.sleep(0.05)
        seconds = time.perf_counter() - start
    return EVENTS / seconds, check(folder)


def lines(folder: Path) -> int:
    """The approximate number of events in the files, whose lines have almost the same length."""
    return sum(file.stat().st_size for file in folder.iterdir()) // 92


def check(folder: Path) -> int:
    """Check that all events were delivered, those of a row in order of writing.

    Returns the number of repeated deliveries.
    """
    deliveries = [
        line.split() for file in folder.iterdir() for line in file.read_text().splitlines()
    ]
    up_to: dict[str, int] = {}
    for _when, row, _event, number in sorted(deliveries, key=lambda parts: int(parts[0])):
        if int(number) > up_to.get(row, -1) + 1:
            sys.exit(f"an event of row {row} was delivered too early")
        up_to[row] = max(up_to.get(row, -1), int(number))
    delivered = len({event for _when, _row, event, _number in deliveries})
    if delivered != EVENTS or left():
        sys.exit(f"{delivered} of {EVENTS} events were delivered, {left()} are left")
    return len(deliveries) - EVENTS


def main() -> None:
    with empty_database("outbox") as params, tempfile.TemporaryDirectory() as scratch:
        print("migrating a database …", file=sys.stderr)
        migrate(params)
        connection.close()
        connection.settings_dict["NAME"] = params["dbname"]
        folders = [Path(scratch, name) for name in ("before", "relays", "after")]
        for folder in folders:
            folder.mkdir()
        print("one process, without claims …", file=sys.stderr)
        loops = [loop(folders[0])]
        print("four relays, two of them killed …", file=sys.stderr)
        rate, repeated = relayed(folders[1], url(params))
        print("one process, without claims …", file=sys.stderr)
        loops.append(loop(folders[2]))
        connection.close()
    plain = statistics.mean(loops)
    print(f"{EVENTS:,} events of {ROWS:,} rows: all delivered, in order, none left")
    print(f"delivered again after kills   {repeated:10,}")
    print(f"one process without claims    {plain:10,.0f} events/s")
    print(f"four relays, two killed       {rate:10,.0f} events/s")
    print(f"ratio                         {rate / plain:10.2f}")


if __name__ == "__main__":
    main()
