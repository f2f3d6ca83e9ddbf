"""The work of a process of tests/audit/test_chain.py: many small transactions on one connection.

New processes import this module, so it does without Django.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import count
from pathlib import Path

import psycopg

DIRECT = """
INSERT INTO audit_log_entries (actor_role, action, entity_type, ip_address)
VALUES ('system', 'tried', 'test', '192.0.2.1')
"""
RECORDED = "SELECT record_audit_entry('tried', 'test', NULL, 'a', NULL, '{\"n\": 1}')"
# The trigger writes the entry at the end of the transaction.
CAPTURED = "UPDATE services SET price_amount = price_amount + 1 WHERE id = %s"
LEVELS = {
    "read committed": psycopg.IsolationLevel.READ_COMMITTED,
    "repeatable read": psycopg.IsolationLevel.REPEATABLE_READ,
    "serializable": psycopg.IsolationLevel.SERIALIZABLE,
}


def mix(
    conninfo: str,
    seed: int,
    rounds: int,
    services: list[str],
    level: str,
    until: str | None = None,
) -> Counter:
    """Write entries by every statement, one to three in a transaction; roll back a third of them.

    Runs for ``rounds`` transactions, and then until the file ``until`` exists, if one is given.
    Counts committed entries as "kept", and refused transactions by their SQLSTATE.
    """
    dice, seen = random.Random(seed), Counter()
    with psycopg.connect(conninfo) as connection:
        connection.isolation_level = LEVELS[level]
        for n in count():
            if n >= rounds and (until is None or Path(until).exists()):
                break
            entries = dice.choice([1, 1, 2, 3])
            try:
                for _ in range(entries):
                    statement = dice.choice([DIRECT, RECORDED, RECORDED, CAPTURED])
                    # Each writer has its own service, so that only the log is contended.
                    connection.execute(
                        statement, [services[seed]] if statement == CAPTURED else None
                    )
                if dice.random() < 0.33:
                    connection.rollback()
                    continue
                connection.commit()
                seen["kept"] += entries
            except psycopg.Error as error:
                connection.rollback()
                seen[error.sqlstate or "lost"] += 1
    return seen


def write_for_ever(conninfo: str, lines: int) -> None:
    """Write transactions of three entries until killed; the first ``lines`` each print a line."""
    with psycopg.connect(conninfo) as connection:
        for n in count():
            for _ in range(3):
                connection.execute(RECORDED)
            connection.commit()
            if n < lines:
                print("committed", flush=True)
