"""Measures how fast the audit log is verified, and the cost of writing it.

    .venv/bin/python benchmarks/audit.py [--entries 1000000] [--seconds 5]

**Verifying.** The entries are written by the trigger, in a separate database, all with actor,
values, address and agent. The verification of `verify_audit_log`, without parallel workers of the
server, is compared with a scan that reads all hashes and checks nothing. The result is the median
of the rounds. "per core" divides by the processor time of server and client. "fastest tenth" is the
90th percentile of the batches. Both are meaningful on a busy machine too. The bound is 100,000 per
second.

**Writing.** pgbench, with 1 and with 16 clients, each with rows of its own. It compares an UPDATE
of a lead's status with and without the audit trigger, and the INSERT of an entry with an INSERT
into a plain copy of the table (its indexes, no rule, no chain). The chain has one lock, which a
writer holds until its commit is on the disk. So the rates are measured with `synchronous_commit`
on, as in production, and off, as on the bundled server.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from common import empty_database, libpq_environment, migrate, program
from django.db import connection

from audit.services.chain import Verification

ROUNDS = 3
BOUND = 100_000  # entries per second
PEOPLE = 100
CLIENTS = (1, 16)
LEADS = 50  # of each client
FILL = """
INSERT INTO audit_log_entries (actor_user_id, actor_role, action, entity_type, entity_id,
                               old_value, new_value, ip_address, user_agent)
SELECT u.id, 'assistant', 'lead_status_changed', 'leads', gen_random_uuid(),
       '{"status": "new"}', '{"status": "engaged"}', '192.0.2.10',
       'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
FROM generate_series(1, %s) n
JOIN (SELECT id, row_number() OVER () AS n FROM users) u ON u.n = n.n %% %s + 1
"""
SCAN = "SELECT count(*), sum(length(prev_hash) + length(row_hash)) FROM audit_log_entries"

PREPARE = """
CREATE TABLE bench_leads AS
    SELECT row_number() OVER () AS n, id FROM leads;
CREATE UNIQUE INDEX ON bench_leads (n);
CREATE SEQUENCE bench_seq;
CREATE TABLE bench_entries
    (LIKE audit_log_entries INCLUDING DEFAULTS INCLUDING INDEXES);
ALTER TABLE bench_entries ALTER seq SET DEFAULT nextval('bench_seq'),
    ALTER prev_hash SET DEFAULT sha256(''), ALTER row_hash SET DEFAULT sha256('');
"""
UPDATE = f"""
\\set n :client_id * {LEADS} + random(1, {LEADS})
UPDATE leads SET status = CASE status WHEN 'new' THEN 'engaged' ELSE 'new' END
WHERE id = (SELECT id FROM bench_leads WHERE n = :n);
"""
INSERT = """
INSERT INTO {table} (actor_role, action, entity_type, entity_id, new_value)
VALUES ('system', 'lead_status_changed', 'leads', gen_random_uuid(), '{{"status": "new"}}');
"""
TRIGGER = "ALTER TABLE leads {} TRIGGER leads_update_audited"
# label: statements before, script
VARIANTS = {
    "UPDATE, not audited": (TRIGGER.format("DISABLE"), UPDATE),
    "UPDATE, audited": (TRIGGER.format("ENABLE"), UPDATE),
    "INSERT into a plain copy": ("SELECT 1", INSERT.format(table="bench_entries")),
    "INSERT of an entry": ("SELECT 1", INSERT.format(table="audit_log_entries")),
}


def execute(statement: str, params: list | None = None) -> list:
    with connection.cursor() as db:
        db.execute(statement, params)
        return db.fetchall() if db.description else []


def fill(entries: int) -> None:
    execute(
        "INSERT INTO users (email) SELECT n || '@example.com' FROM generate_series(1, %s) n",
        [PEOPLE],
    )
    step = 20_000
    for done in range(0, entries, step):
        execute(FILL, [min(step, entries - done), PEOPLE])
        print(f"\r{done + step:,} entries …", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    execute("VACUUM ANALYZE audit_log_entries")


def timed(work) -> tuple[float, float]:
    """Wall time, and processor time of the server's process and of this one, in seconds."""
    ((pid,),) = execute("SELECT pg_backend_pid()")
    try:
        server = psutil.Process(pid)
        server.cpu_times()
    except psutil.Error:  # the server is on another machine
        server = None

    def on_processor() -> float:
        return time.process_time() + (sum(server.cpu_times()[:2]) if server else 0)

    before, start = on_processor(), time.perf_counter()
    work()
    return time.perf_counter() - start, on_processor() - before if server else float("nan")


def verify(entries: int) -> list[float]:
    """The rate of each batch."""
    rates, last = [], time.perf_counter()

    def tick(done: int) -> None:
        nonlocal last
        now = time.perf_counter()
        rates.append(done / (now - last))
        last = now

    verified = Verification(tick=tick).run()
    if verified.entries != entries:
        sys.exit(f"{verified.entries} of {entries} entries were verified")
    return rates


def verifying(entries: int) -> None:
    execute("SET max_parallel_workers_per_gather = 0")
    scans, runs, batches = [], [], []
    for n in range(ROUNDS):
        print(f"verifying, round {n + 1} of {ROUNDS} …", file=sys.stderr)
        scans.append(timed(lambda: execute(SCAN)))
        runs.append(timed(lambda: batches.extend(verify(entries))))
    scan, run, core = (
        entries / statistics.median(seconds)
        for seconds in ([s for s, _ in scans], [s for s, _ in runs], [c for _, c in runs])
    )
    print(f"{entries:,} entries, verified whole")
    print(f"bare scan                {scan:12,.0f} entries/s")
    print(f"verify_audit_log         {run:12,.0f} entries/s   (bound {BOUND:,})")
    print(f"  per core               {core:12,.0f} entries/s")
    print(f"  fastest tenth          {statistics.quantiles(batches, n=10)[-1]:12,.0f} entries/s")
    print(f"ratio                    {run / scan:12.3f}")


def writing(params: dict[str, str], seconds: int) -> None:
    execute(
        "INSERT INTO leads (source) SELECT 'quiz' FROM generate_series(1, %s)",
        [LEADS * max(CLIENTS)],
    )
    execute(PREPARE)
    for flush in ("on", "off"):
        print(f"\ntransactions/s, synchronous_commit = {flush}")
        print(" " * 26 + "".join(f"{n:>4} client{'s' * (n > 1)}".rjust(14) for n in CLIENTS))
        rates = {
            label: [rate(params, before, script, n, seconds, flush) for n in CLIENTS]
            for label, (before, script) in VARIANTS.items()
        }
        for label, measured in rates.items():
            print(f"{label:<26}" + "".join(f"{tps:14,.0f}" for tps in measured))
        for what in ("UPDATE", "INSERT"):
            plain, audited = (
                measured for label, measured in rates.items() if label.startswith(what)
            )
            ratios = (b / a for a, b in zip(plain, audited, strict=True))
            print(f"ratio of {what:<17}" + "".join(f"{ratio:14.2f}" for ratio in ratios))


def rate(
    params: dict[str, str], before: str, script: str, clients: int, seconds: int, flush: str
) -> float:
    execute(before)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "script.sql")
        file.write_text(script)
        options = {
            "-f": file,
            "-c": clients,
            "-j": min(clients, os.cpu_count() or 1),
            "-T": seconds,
        }
        done = subprocess.run(
            [program("pgbench"), "-n", "-M", "prepared", *map(str, sum(options.items(), ()))],
            env={
                **libpq_environment(params),
                "PGOPTIONS": f"-c synchronous_commit={flush}",
            },
            capture_output=True,
            text=True,
        )
    tps = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
    if done.returncode or not tps or (failed and failed[1] != "0"):
        sys.exit(done.stdout + done.stderr)
    return float(tps[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=5, help="of each run of pgbench")
    options = parser.parse_args()
    with empty_database("audit") as params:
        print("migrating a database …", file=sys.stderr)
        migrate(params)
        connection.close()
        connection.settings_dict["NAME"] = params["dbname"]
        fill(options.entries)
        verifying(options.entries)
        writing(params, options.seconds)
        verified = Verification().run()  # the concurrent clients have not broken the chain
        print(f"\n{verified.entries:,} entries in the end, verified whole")
        connection.close()


if __name__ == "__main__":
    main()
