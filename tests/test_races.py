"""Rules about two rows hold under concurrent writes, at every isolation level."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.databases import Database
from tests.factories import sealed
from tests.sessions import LEVELS, race

pytestmark = pytest.mark.parametrize("level", LEVELS)


@pytest.fixture
def connection(module_database: Database) -> Iterator[psycopg.Connection]:
    with module_database.connect(autocommit=True) as made:
        yield made


def one(connection: psycopg.Connection, statement: str, *params: object) -> Any:
    return connection.execute(statement, params).fetchone()[0]


DAYS = count()


def person(connection: psycopg.Connection, role: str | None = None) -> UUID:
    key = one(
        connection,
        "INSERT INTO users (email) VALUES (%s) RETURNING id",
        f"{uuid4()}@example.com",
    )
    if role:
        connection.execute(
            "INSERT INTO user_roles (user_id, role_code) VALUES (%s, %s)", [key, role]
        )
    return key


BLOCK = "UPDATE users SET status = 'blocked' WHERE id = %s"
DELETE = "DELETE FROM users WHERE id = %s"
TAKE = "DELETE FROM user_roles WHERE user_id = %s AND role_code = 'owner'"


@pytest.mark.parametrize(
    ("first", "second"),
    [(BLOCK, BLOCK), (TAKE, TAKE), (BLOCK, TAKE), (TAKE, DELETE)],
    ids=["both blocked", "both lose the role", "blocked and role", "role and deleted"],
)
def test_concurrent_removals_leave_one_owner(
    module_database: Database, connection: psycopg.Connection, level: str, first: str, second: str
) -> None:
    owners = [person(connection, "owner") for _ in range(2)]
    connection.execute(
        "UPDATE users SET status = 'blocked' WHERE status = 'active' AND id <> ALL (%s)", [owners]
    )
    errors = race(module_database, level, (first, owners[0]), (second, owners[1]))
    assert len(errors) == 1
    left = one(
        connection,
        "SELECT count(*) FROM user_roles r JOIN users u ON u.id = r.user_id "
        "WHERE r.role_code = 'owner' AND u.status = 'active'",
    )
    assert left == 1


def review(connection: psycopg.Connection) -> UUID:
    key = one(
        connection,
        "INSERT INTO reviews (status, review_text_encrypted) VALUES ('pending', %s) RETURNING id",
        sealed(),
    )
    connection.execute(
        "INSERT INTO review_publication_consents (review_id, granted, version) "
        "VALUES (%s, true, '2026-01-07')",
        [key],
    )
    return key


PUBLISH = "UPDATE reviews SET status = 'published' WHERE id = %s"
WITHDRAW = "UPDATE review_publication_consents SET revoked_at = now() WHERE review_id = %s"


@pytest.mark.parametrize("order", [(PUBLISH, WITHDRAW), (WITHDRAW, PUBLISH)], ids=["p w", "w p"])
def test_no_review_stays_published_without_consent(
    module_database: Database, connection: psycopg.Connection, level: str, order: tuple[str, str]
) -> None:
    key = review(connection)
    race(module_database, level, (order[0], key), (order[1], key))
    published, consented = connection.execute(
        "SELECT r.status = 'published', EXISTS (SELECT FROM review_publication_consents c "
        "WHERE c.review_id = r.id AND granted AND revoked_at IS NULL) FROM reviews r "
        "WHERE id = %s",
        [key],
    ).fetchone()
    assert not published or consented


ANSWERED = "UPDATE anonymous_questions SET status = 'answered', answered_at = now() WHERE id = %s"
UNANSWER = "DELETE FROM question_answers WHERE question_id = %s"


@pytest.mark.parametrize("order", [(ANSWERED, UNANSWER), (UNANSWER, ANSWERED)], ids=["a u", "u a"])
def test_no_question_is_answered_without_its_answer(
    module_database: Database, connection: psycopg.Connection, level: str, order: tuple[str, str]
) -> None:
    key = one(
        connection,
        "INSERT INTO anonymous_questions (question_text_encrypted) VALUES (%s) RETURNING id",
        sealed(),
    )
    connection.execute(
        "UPDATE anonymous_questions SET status = 'approved', moderated_at = now() WHERE id = %s",
        [key],
    )
    connection.execute(
        "INSERT INTO question_answers (question_id, answered_by_user_id, answer_text_encrypted) "
        "VALUES (%s, %s, %s)",
        [key, person(connection), sealed()],
    )
    race(module_database, level, (order[0], key), (order[1], key))
    answered, answers = connection.execute(
        "SELECT status = 'answered', "
        "(SELECT count(*) FROM question_answers WHERE question_id = q.id) "
        "FROM anonymous_questions q WHERE id = %s",
        [key],
    ).fetchone()
    assert not answered or answers == 1


def paid_hold(connection: psycopg.Connection) -> tuple[UUID, UUID]:
    """A hold with a deposit of 1000 that has arrived. Returns the keys of both rows."""
    offered = one(
        connection,
        "INSERT INTO services (slug, title, description_markdown, format, duration_minutes, "
        "price_amount) VALUES (%s, 'Встреча', '', 'online', 50, 3000) RETURNING id",
        str(uuid4()),
    )
    hold = one(
        connection,
        "INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, timezone, "
        "format, price_amount, deposit_amount, hold_expires_at) "
        "SELECT %s, %s, start, start + interval '50 minutes', 'Europe/Moscow', 'online', 3000, "
        "1000, start FROM (SELECT CAST(%s AS timestamptz) AS start) AS session RETURNING id",
        offered,
        person(connection),
        datetime(2031, 1, 7, tzinfo=UTC) + timedelta(next(DAYS)),
    )
    payment = one(
        connection,
        "INSERT INTO payments (appointment_id, idempotency_key, provider_payment_id, purpose, "
        "amount) VALUES (%s, %s, %s, 'deposit', 1000) RETURNING id",
        hold,
        f"pay-{uuid4()}",
        f"provider-{uuid4()}",
    )
    connection.execute(
        "UPDATE payments SET status = 'succeeded', confirmed_at = now() WHERE id = %s", [payment]
    )
    return hold, payment


REFUND = "INSERT INTO refunds (payment_id, amount, reason) VALUES (%s, 600, 'by_hand')"
MARK_PAID = "UPDATE appointments SET status = 'paid' WHERE id = %s"


def test_concurrent_refunds_are_at_most_the_payment(
    module_database: Database, connection: psycopg.Connection, level: str
) -> None:
    _, payment = paid_hold(connection)
    errors = race(module_database, level, (REFUND, payment), (REFUND, payment))
    assert len(errors) == 1
    assert one(connection, "SELECT sum(amount) FROM refunds WHERE payment_id = %s", payment) == 600


def test_session_is_not_paid_with_money_that_is_being_refunded(
    module_database: Database, connection: psycopg.Connection, level: str
) -> None:
    hold, payment = paid_hold(connection)
    assert len(race(module_database, level, (REFUND, payment), (MARK_PAID, hold))) == 1
    assert one(connection, "SELECT status FROM appointments WHERE id = %s", hold) == (
        "pending_payment"
    )


MANUAL = (
    "INSERT INTO payments (appointment_id, provider, method, recorded_by_user_id, "
    "idempotency_key, purpose, amount, status, confirmed_at) "
    "SELECT a.id, 'manual', 'cash', a.client_user_id, 'manual-' || gen_random_uuid(), 'full', "
    "2000, 'succeeded', now() FROM appointments a WHERE a.id = %s"
)
SUCCEED = "UPDATE payments SET status = 'succeeded', confirmed_at = now() WHERE id = %s"
SUM = "SELECT sum(amount) FROM payments WHERE appointment_id = %s AND status = 'succeeded'"


def pending_rest(connection: psycopg.Connection, hold: UUID) -> UUID:
    return one(
        connection,
        "INSERT INTO payments (appointment_id, idempotency_key, provider_payment_id, purpose, "
        "amount) VALUES (%s, %s, %s, 'full', 2000) RETURNING id",
        hold,
        f"pay-{uuid4()}",
        f"provider-{uuid4()}",
    )


def test_concurrent_manual_payments_are_at_most_the_price(
    module_database: Database, connection: psycopg.Connection, level: str
) -> None:
    hold, _ = paid_hold(connection)
    errors = race(module_database, level, (MANUAL, hold), (MANUAL, hold))
    assert len(errors) == 1
    assert one(connection, SUM, hold) == 3000


def test_manual_payment_beside_a_success_is_at_most_the_price(
    module_database: Database, connection: psycopg.Connection, level: str
) -> None:
    hold, _ = paid_hold(connection)
    payment = pending_rest(connection, hold)
    errors = race(module_database, level, (SUCCEED, payment), (MANUAL, hold))
    assert len(errors) == 1
    assert one(connection, SUM, hold) == 3000


def test_success_after_a_manual_payment_is_a_fact(
    module_database: Database, connection: psycopg.Connection, level: str
) -> None:
    hold, _ = paid_hold(connection)
    payment = pending_rest(connection, hold)
    assert race(module_database, level, (MANUAL, hold), (SUCCEED, payment)) == []
    assert one(connection, SUM, hold) == 5000


BOOK = """
INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, timezone, format,
                          price_amount, hold_expires_at)
SELECT %s, %s, start, start + interval '50 minutes', 'Europe/Moscow', 'online', 0, start
FROM (SELECT CAST(%s AS timestamptz) + %s * interval '1 minute' AS start) AS session
"""


@pytest.mark.parametrize(("minutes", "booked"), [(0, 1), (49, 1), (50, 2)])
def test_hour_is_booked_once_and_the_next_hour_is_free(
    module_database: Database, connection: psycopg.Connection, level: str, minutes: int, booked: int
) -> None:
    offered = one(
        connection,
        "INSERT INTO services (slug, title, description_markdown, format, duration_minutes, "
        "price_amount) VALUES (%s, 'Встреча', '', 'online', 50, 0) RETURNING id",
        str(uuid4()),
    )
    row = (
        BOOK,
        offered,
        person(connection),
        datetime(2030, 1, 7, tzinfo=UTC) + timedelta(next(DAYS)),
    )
    errors = race(module_database, level, (*row, 0), (*row, minutes))
    assert len(errors) == 2 - booked
    kept = one(connection, "SELECT count(*) FROM appointments WHERE service_id = %s", offered)
    assert kept == booked


def test_audit_chain_does_not_fork(
    module_database: Database, connection: psycopg.Connection, level: str
) -> None:
    entry = (
        "INSERT INTO audit_log_entries (actor_role, action, entity_type) "
        "VALUES ('system', 'tried', 'test')"
    )
    race(module_database, level, (entry,), (entry,))
    connection.execute(entry)
    rows = connection.execute(
        "SELECT seq, prev_hash, row_hash FROM audit_log_entries ORDER BY seq"
    ).fetchall()
    assert [seq for seq, _, _ in rows] == [*range(1, len(rows) + 1)]
    assert [prev for _, prev, _ in rows] == [b"", *(row for _, _, row in rows[:-1])]
