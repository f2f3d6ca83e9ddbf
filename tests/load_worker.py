"""The work of a process of tests/test_under_load.py: many small transactions on one connection.

New processes import this module, so it does without Django.
"""

from __future__ import annotations

import random
from collections import Counter

import psycopg

BOOK = """
INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, buffer_minutes,
                          timezone, format, price_amount, hold_expires_at)
SELECT %(service)s, %(client)s, start, start + %(minutes)s * interval '1 minute', %(buffer)s,
       'Europe/Moscow', 'online', 0, start
FROM (SELECT timestamptz '2030-01-07 09:00Z' + %(offset)s * interval '5 minutes' AS start) AS s
"""
CANCEL = """
UPDATE appointments SET status = 'canceled', canceled_at = now()
WHERE id = (SELECT id FROM appointments WHERE status = 'pending_payment'
            ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)
"""
ENTRY = """
INSERT INTO audit_log_entries (actor_role, action, entity_type, new_value)
VALUES ('system', 'tried', 'test', jsonb_build_object('n', %s::int))
"""


def _outcome(connection: psycopg.Connection, statement: str, params: object) -> str:
    """Return "done", "nothing", or the SQLSTATE of the refusal."""
    try:
        return "done" if connection.execute(statement, params).rowcount else "nothing"
    except psycopg.Error as error:
        return error.sqlstate or "lost"


def book(conninfo: str, seed: int, rounds: int, service: str, client: str, suffix: str) -> Counter:
    """Book and cancel at random within one morning; count the outcomes."""
    dice, seen = random.Random(seed), Counter()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for _ in range(rounds):
            row = {
                "service": service,
                "client": client,
                "offset": dice.randrange(36),
                "minutes": dice.choice([10, 25, 50]),
                "buffer": dice.choice([0, 10]),
            }
            seen[_outcome(connection, BOOK + suffix, row)] += 1
            if dice.random() < 0.5:
                _outcome(connection, CANCEL, None)
    return seen


def log(conninfo: str, seed: int, rounds: int) -> int:
    """Write audit entries and roll back a third of them; return the number that remain."""
    dice, kept = random.Random(seed), 0
    with psycopg.connect(conninfo) as connection:
        for n in range(rounds):
            connection.execute(ENTRY, [n])
            if dice.random() < 0.33:
                connection.rollback()
            else:
                connection.commit()
                kept += 1
    return kept
