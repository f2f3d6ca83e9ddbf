"""How fast four relays empty the outbox while two of them are killed, beside a loop without claims.

    .venv/bin/python benchmarks/outbox.py

100,000 events of 2,000 rows in a database of its own. The sender appends a line to a file, so what
is measured is the outbox. The relays are `manage.py relay_outbox`, started before the events are
there; one is killed after a quarter of them, another after half, and their leases (3 s) have to
end before their events go on. Then every event must have been delivered, each row's in the order
of writing, and none be left.

The loop is one process that reads the next hundred unpublished events, sends them, and marks them,
by plain statements: no claim, no lease, no second process, so nothing that dies is taken over and
two of them would send everything twice. It runs before and after; the mean counts. The ratio says
what the guarantees cost and four processes win: above 1, the relays are faster.
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
KILLED_AT = (0.25, 0.5)  # share of the events that are delivered
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
    """Events per second of four relays of which two are killed, and how many were sent again."""
    with connection.cursor() as db:
        db.execute("TRUNCATE outbox_events")
    with relays(folder, address) as started:
        time.sleep(2)  # all of them look into an empty outbox
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
    """About how many events are in the files: of one length, but for their numbers."""
    return sum(file.stat().st_size for file in folder.iterdir()) // 92


def check(folder: Path) -> int:
    """Every event was delivered, none before one of its row that was written earlier; how many
    were delivered again.
    """
    told = [line.split() for file in folder.iterdir() for line in file.read_text().splitlines()]
    up_to: dict[str, int] = {}
    for _when, row, _event, number in sorted(told, key=lambda parts: int(parts[0])):
        if int(number) > up_to.get(row, -1) + 1:
            sys.exit(f"an event of row {row} came too early")
        up_to[row] = max(up_to.get(row, -1), int(number))
    delivered = len({event for _when, _row, event, _number in told})
    if delivered != EVENTS or left():
        sys.exit(f"{delivered} of {EVENTS} events were delivered, {left()} are left")
    return len(told) - EVENTS


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
