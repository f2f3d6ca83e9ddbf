"""Compares the rotation of keys with a plain UPDATE of the same rows.

    .venv/bin/python benchmarks/rotation.py

A temporary database has 200,000 diary entries. Rounds alternate. The plain UPDATE writes given
values by the same kind of statement, in batches of the same size, each in a transaction. The
rotation selects and locks the rows, opens and seals them, and stores its progress. The result is
the median of the rounds. The bound is 0.5.
"""

from __future__ import annotations

import statistics
import sys
import time

from common import empty_database, migrate
from django.conf import settings
from django.db import connection, transaction

from ebalance.db.encryption import envelope
from ebalance.db.encryption.keys import Key, Keyring
from ebalance.db.encryption.rotation import Rotation
from ebalance.db.ids import uuid7
from ugc.models import DiaryEntry

ROWS = 200_000
PAYLOAD = b'"' + b"a" * 498 + b'"'  # bytes of JSON
BATCH = 500
ROUNDS = 3
BOUND = 0.5
TOKEN = DiaryEntry._meta.get_field("payload_encrypted").token
KEYS = [Key(f"k{n}", bytes(range(n, n + 32))) for n in range(1, ROUNDS + 2)]
UPDATE = """
UPDATE diary_entries AS t SET payload_encrypted = v.new
FROM unnest(%s::uuid[], %b::text[]) AS v (id, new) WHERE t.id = v.id
"""


def fill() -> None:
    with transaction.atomic(), connection.cursor() as db:
        db.execute("INSERT INTO users (email) VALUES ('a@example.com') RETURNING id")
        (user,) = db.fetchone()
        columns = "id, user_id, diary_type, entry_date, payload_encrypted"
        with db.copy(f"COPY diary_entries ({columns}) FROM STDIN") as copy:
            for _ in range(ROWS):
                row = uuid7()
                sealed = envelope.seal(PAYLOAD, TOKEN, row, Keyring(KEYS[:1]))
                copy.write_row([row, user, "emotions", "2026-01-07", sealed])


def plain() -> float:
    with connection.cursor() as db:
        db.execute("SELECT id, payload_encrypted FROM diary_entries ORDER BY id")
        rows = db.fetchall()
        start = time.perf_counter()
        for n in range(0, ROWS, BATCH):
            ids, values = map(list, zip(*rows[n : n + BATCH], strict=True))
            with transaction.atomic():
                db.execute(UPDATE, [ids, values])
        return time.perf_counter() - start


def rotation(old: Key, new: Key) -> float:
    settings.ENCRYPTION_KEYS = Keyring([new, old])
    start = time.perf_counter()
    moved = Rotation(DiaryEntry, batch=BATCH)
    moved.begin()
    moved.run()
    seconds = time.perf_counter() - start
    if moved.done != ROWS or moved.remaining():
        sys.exit(f"only {moved.done} rows were moved")
    return seconds


def vacuum() -> None:
    with connection.cursor() as db:
        db.execute("VACUUM ANALYZE diary_entries")
        db.execute("CHECKPOINT")


def main() -> None:
    times: dict[str, list[float]] = {"plain": [], "rotation": []}
    with empty_database("rotation") as params:
        print("migrating and filling a database …", file=sys.stderr)
        migrate(params)
        connection.close()
        connection.settings_dict["NAME"] = params["dbname"]
        fill()
        for n in range(ROUNDS):
            print(f"round {n + 1} of {ROUNDS} …", file=sys.stderr)
            vacuum()
            times["plain"].append(plain())
            vacuum()
            times["rotation"].append(rotation(KEYS[n], KEYS[n + 1]))
        connection.close()
    rates = {name: ROWS / statistics.median(measured) for name, measured in times.items()}
    print(f"plain batched UPDATE   {rates['plain']:10,.0f} rows/s")
    print(f"rotation               {rates['rotation']:10,.0f} rows/s")
    ratio = rates["rotation"] / rates["plain"]
    print(f"ratio                  {ratio:10.2f}   (bound {BOUND}, higher is better)")


if __name__ == "__main__":
    main()
