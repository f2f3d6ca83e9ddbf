"""Measures how a purge of a million rows delays writers, and compares it with one big DELETE.

    .venv/bin/python benchmarks/purge.py [--runs 1000000] [--writers 3]

A temporary database has expired runs of interactives, and half as many events of the outbox. During
the purge, writers start runs, publish events, complete live runs, and complete expired runs close
to the current batch, so that both conflict. The purge is `manage.py purge_expired`, killed
(SIGKILL) after a third and after two thirds, and restarted. At the end every run must exist or be
counted in a total, exactly once and in its last state, and every live event must exist.

- lock waits of the writers: pg_locks.waitstart, read every few milliseconds. The writers have a
  lock_timeout of 200 ms, and its failures are counted. Bound: none.
- statements of the writers: wall time, which includes waits for a processor core.
- memory: resident bytes of the last process after its first batch, and its maximum afterwards.
- the DELETE is one statement over the same rows with the same writers; it computes no totals.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import Any

import psutil
import psycopg
from common import ROOT, empty_database, migrate, url

LOCK_TIMEOUT = 200  # milliseconds
GROWTH_BOUND = 16  # MiB
NEAR = 3000  # the writers choose one of so many oldest runs
EXPIRED = "started_at < now() - interval '90 days'"

QUIZZES = """
INSERT INTO interactive_definitions (interactive_type, slug, title)
SELECT 'quiz', 'quiz-' || n, 'Quiz' FROM generate_series(1, 10) AS n
"""
RUNS = """
INSERT INTO interactive_runs (interactive_definition_id, anonymous_id, status, started_at,
                              completed_at, result_level, duration_ms, entry_point)
SELECT quizzes.ids[1 + n %% 10], 'visitor-' || n, CASE WHEN done THEN 'completed'
       ELSE 'in_progress' END, at, CASE WHEN done THEN at END,
       CASE WHEN done THEN (ARRAY['low', 'moderate', 'high'])[1 + n %% 3] END,
       CASE WHEN done THEN n %% 1000 END, (ARRAY['seo', 'ads', NULL])[1 + n %% 3]
FROM (SELECT n, n %% 2 = 0 AS done, now() - interval '91 days' - n * interval '7.7 seconds' AS at
      FROM generate_series(%s, 1, -1) AS n) AS old,
     (SELECT array_agg(id ORDER BY slug) AS ids FROM interactive_definitions) AS quizzes
"""
EVENTS = """
INSERT INTO outbox_events (event_type, aggregate_type, aggregate_id, payload, created_at,
                           published_at)
SELECT 'thing_done', 'things', gen_random_uuid(), jsonb_build_object('n', n),
       now() - interval '91 days' - n * interval '8 seconds',
       now() - interval '91 days' - n * interval '8 seconds'
FROM generate_series(%s, 1, -1) AS n
"""
START = """
INSERT INTO interactive_runs (interactive_definition_id, anonymous_id)
VALUES ((SELECT id FROM interactive_definitions OFFSET %s LIMIT 1), 'visitor-live')
"""
PUBLISH = """
INSERT INTO outbox_events (event_type, aggregate_type, aggregate_id)
VALUES ('thing_done', 'things', gen_random_uuid())
"""
COMPLETE = """
UPDATE interactive_runs SET status = 'completed', completed_at = greatest(now(), started_at)
WHERE id = (SELECT id FROM interactive_runs WHERE status = 'in_progress' AND started_at >= %s
            ORDER BY started_at OFFSET %s LIMIT 1)
  AND status = 'in_progress'
RETURNING started_at
"""
FRONT = "SELECT coalesce(min(started_at), now()) FROM interactive_runs"
WAITS = """
SELECT l.pid, (extract(epoch FROM clock_timestamp() - l.waitstart) * 1000)::float
FROM pg_locks l WHERE l.pid = ANY (%s) AND NOT l.granted AND l.waitstart IS NOT NULL
"""


def write(conninfo: str, seed: int, stop: Any, reports: Any) -> None:
    """Write until ``stop`` is set; reports the server's process id, then the results."""
    dice, done, slowest = random.Random(seed), Counter(), 0.0
    with psycopg.connect(conninfo, autocommit=True) as connection:
        reports.put(connection.info.backend_pid)
        connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT}")
        front, checked_at = None, 0.0
        while not stop.is_set():
            if time.monotonic() - checked_at > 0.2:
                (front,) = connection.execute(FRONT).fetchone()
                checked_at = time.monotonic()
            what, statement, params = dice.choice(
                [
                    ("started", START, [dice.randrange(10)]),
                    ("published", PUBLISH, []),
                    ("completed", COMPLETE, ["2000-01-01", 0]),
                    ("completed", COMPLETE, [front, dice.randrange(NEAR)]),
                ]
            )
            if statement is COMPLETE and params[0] != front:  # a live one
                params = [connection.execute("SELECT now() - interval '1 day'").fetchone()[0], 0]
            begun = time.monotonic()
            try:
                done[what] += connection.execute(statement, params).rowcount
            except psycopg.errors.LockNotAvailable:
                done["timeouts"] += 1
            slowest = max(slowest, time.monotonic() - begun)
            done["statements"] += 1
            time.sleep(dice.random() * 0.004)  # between two requests
    reports.put((done, slowest))


class Waits(threading.Thread):
    """Samples which writers wait for a lock, and for how long."""

    def __init__(self, conninfo: str, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self.conninfo, self.pids = conninfo, pids
        self.ended = threading.Event()
        self.longest, self.seen, self.samples = 0.0, 0, 0

    def run(self) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            while not self.ended.wait(0.003):
                rows = connection.execute(WAITS, [self.pids]).fetchall()
                self.longest = max([self.longest, *(wait for _pid, wait in rows)])
                self.seen += len(rows)
                self.samples += 1


class Writers:
    """Writers that run during a block, and their results."""

    def __init__(self, conninfo: str, number: int) -> None:
        self.conninfo, self.number = conninfo, number
        self.done: Counter[str] = Counter()
        self.slowest = 0.0

    def __enter__(self) -> Writers:
        spawn = multiprocessing.get_context("spawn")
        self.stop, reports = spawn.Event(), spawn.Queue()
        self.reports = reports
        self.processes = [
            spawn.Process(target=write, args=(self.conninfo, seed, self.stop, reports))
            for seed in range(self.number)
        ]
        for process in self.processes:
            process.start()
        self.waits = Waits(self.conninfo, [reports.get() for _ in self.processes])
        self.waits.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for _process in self.processes:
            done, slowest = self.reports.get()
            self.done += done
            self.slowest = max(self.slowest, slowest)
        for process in self.processes:
            process.join()
        self.waits.ended.set()
        self.waits.join()

    def report(self, title: str) -> None:
        print(f"\n{title}: {self.done['statements']:,} statements of {self.number} writers")
        print(
            f"  longest wait for a lock     {self.waits.longest:10,.0f} ms   "
            f"(seen {self.waits.seen:,} times in {self.waits.samples:,} samples)"
        )
        print(f"  gave up after {LOCK_TIMEOUT} ms        {self.done['timeouts']:10,}")
        print(f"  longest statement           {self.slowest * 1000:10,.0f} ms")


def fill(db: psycopg.Connection[Any], runs: int) -> None:
    db.execute("TRUNCATE interactive_runs, interactive_run_totals, outbox_events")
    db.execute(RUNS, [runs])
    db.execute(EVENTS, [runs // 2])
    db.execute("VACUUM ANALYZE interactive_runs, outbox_events")
    db.execute("CHECKPOINT")


def one(db: psycopg.Connection[Any], query: str) -> Any:
    row = db.execute(query).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


@contextmanager
def purge(params: dict[str, str]):
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "purge_expired"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url(params)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def purged(db: psycopg.Connection[Any], params: dict[str, str], runs: int) -> dict[str, Any]:
    """Purge all rows, with two kills; returns the seconds of work and the memory samples."""
    gone = "SELECT coalesce(sum(runs), 0)::bigint FROM interactive_run_totals"
    seconds, memory = 0.0, []
    for until in (runs // 3, 2 * runs // 3, None):
        before = one(db, gone)
        with purge(params) as process:
            while one(db, gone) == before:
                time.sleep(0.002)
            begun = time.monotonic()
            watched = psutil.Process(process.pid)
            if until is not None:
                while one(db, gone) < until:
                    time.sleep(0.005)
                process.send_signal(signal.SIGKILL)
            else:
                while process.poll() is None:
                    try:
                        memory.append(watched.memory_info().rss)
                    except psutil.Error:
                        break
                    time.sleep(0.05)
                memory = [rss for rss in memory if rss]
                if process.wait() not in (0, 1):
                    sys.exit(process.stderr.read())
            seconds += time.monotonic() - begun
    return {"seconds": seconds, "memory": memory}


def check(db: psycopg.Connection[Any], runs: int, done: Counter[str]) -> None:
    """Check that each run and each event is counted once."""
    counts = "{0}::bigint, ({0} FILTER (WHERE status = 'completed'))::bigint"
    live = one(db, f"SELECT {counts.format('count(*)')} FROM interactive_runs")
    gone = one(db, f"SELECT {counts.format('sum(runs)')} FROM interactive_run_totals")
    actual = [a + b for a, b in zip(live, gone, strict=True)]
    expected = [runs + done["started"], runs // 2 + done["completed"]]
    if actual != expected:
        sys.exit(f"runs and completed runs: {actual}, not {expected}")
    if expired := one(db, f"SELECT count(*) FROM interactive_runs WHERE {EXPIRED}"):
        sys.exit(f"{expired} expired runs are left")
    if (events := one(db, "SELECT count(*) FROM outbox_events")) != done["published"]:
        sys.exit(f"{events} events, not {done['published']}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--writers", type=int, default=3)
    chosen = parser.parse_args()
    runs, rows = chosen.runs, chosen.runs + chosen.runs // 2
    with empty_database("purge") as params:
        print("migrating and filling a database …", file=sys.stderr)
        migrate(params)
        conninfo = psycopg.conninfo.make_conninfo("", **params)
        with psycopg.connect(conninfo, autocommit=True) as db:
            db.execute(QUIZZES)
            fill(db, runs)
            print("one big DELETE of each table …", file=sys.stderr)
            with Writers(conninfo, chosen.writers) as beside_delete:
                begun = time.monotonic()
                db.execute(f"DELETE FROM interactive_runs WHERE {EXPIRED}")
                db.execute(
                    "DELETE FROM outbox_events WHERE published_at < now() - interval '90 days'"
                )
                plain = time.monotonic() - begun
            fill(db, runs)
            print("purge_expired, killed twice …", file=sys.stderr)
            with Writers(conninfo, chosen.writers) as beside_purge:
                result = purged(db, params, runs)
            # The next run purges the rows that a writer locked at the end.
            with purge(params) as last:
                if last.wait():
                    sys.exit(last.stderr.read())
            check(db, runs, beside_purge.done)
    memory = [rss / 2**20 for rss in result["memory"]]
    print(f"{runs:,} runs and {runs // 2:,} events expired; killed twice; every one counted once")
    beside_purge.report("beside purge_expired")
    beside_delete.report("beside one big DELETE")
    print(f"\npurge_expired                 {rows / result['seconds']:10,.0f} rows/s")
    print(f"one big DELETE                {rows / plain:10,.0f} rows/s")
    print(f"ratio                         {plain / result['seconds']:10.2f}")
    print(
        f"memory at its beginning       {memory[0]:10,.1f} MiB, highest {max(memory):,.1f} MiB   "
        f"(bound: {GROWTH_BOUND} MiB more)"
    )
    if beside_purge.done["timeouts"] or beside_purge.waits.longest > LOCK_TIMEOUT:
        sys.exit("A writer waited too long for a lock.")
    if max(memory) - memory[0] > GROWTH_BOUND:
        sys.exit("The memory of the purge grew.")


if __name__ == "__main__":
    main()
