"""Rows for the hot tables: those that programs write all the time, by docs/write-paths.md.

CHECK, UNIQUE and EXCLUDE constraints are on. Triggers and foreign keys are off, because 200,000
rows would take an hour; the statements below keep the references right themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg

# The key of row n of a table. Its columns are named by the table's statement.
KEY = "md5('{}' || n)::uuid"
PAGE = '{"page_path": "/articles"}'
SERVICES = """
    INSERT INTO services (slug, title, description_markdown, format, duration_minutes,
                          price_amount, cancel_free_hours, status)
    SELECT 'rehearsal-' || n, 'Session ' || n, 'Text', 'online', 50, 4500, 24, 'published'
    FROM generate_series(1, 20) n
"""
# A tenth of the slots lies ahead; the services book those. Appointments lie behind.
TABLES = {
    "users": (
        "id, email",
        f"{KEY.format('user')}, 'person-' || n || '@example.com'",
    ),
    "leads": (
        "id, source, status, created_at",
        f"{KEY.format('lead')}, 'quiz', 'engaged', now() - n * interval '1 minute'",
    ),
    "lead_identities": (
        "lead_id, user_id, is_primary",
        f"{KEY.format('lead')}, {KEY.format('user')}, true",
    ),
    "lead_timeline_events": (
        "lead_id, event_id, event_name, source, occurred_at, properties",
        f"{KEY.format('lead')}, {KEY.format('timeline')}, 'page_view', 'web', "
        f"now() - n * interval '1 minute', '{PAGE}'",
    ),
    "analytics_events": (
        "schema_version, event_name, event_version, event_id, occurred_at, source, environment, "
        "anonymous_id, lead_id, properties",
        f"'1.0', 'page_view', 1, {KEY.format('event')}, now() - n * interval '1 minute', 'web', "
        f"'prod', 'browser-' || n, {KEY.format('lead')}, '{PAGE}'",
    ),
    "availability_slots": (
        "start_at_utc, end_at_utc, buffer_minutes",
        "hour, hour + interval '50 minutes', 10",
    ),
    "appointments": (
        "id, service_id, client_user_id, lead_id, start_at_utc, end_at_utc, timezone, format, "
        "status, price_amount, confirmed_at, outcome, outcome_recorded_at, "
        "outcome_recorded_by_role, created_at",
        f"{KEY.format('appointment')}, (SELECT min(id::text)::uuid FROM services), "
        f"{KEY.format('user')}, {KEY.format('lead')}, past, past + interval '50 minutes', "
        "'Europe/Moscow', 'online', 'completed', 4500, past - interval '1 day', 'attended', "
        "past + interval '1 hour', 'owner', past - interval '2 days'",
    ),
    "payments": (
        "appointment_id, provider_payment_id, idempotency_key, purpose, amount, status, "
        "confirmed_at, created_at",
        f"{KEY.format('appointment')}, 'provider-' || n, 'key-' || n, 'full', 4500, 'succeeded', "
        "past - interval '1 day', past - interval '2 days'",
    ),
    "outbox_events": (
        "event_type, aggregate_type, aggregate_id, payload, attempts, published_at, created_at",
        f"'appointment_confirmed', 'appointment', {KEY.format('appointment')}, "
        f"jsonb_build_object('appointment_id', {KEY.format('appointment')}), 1, "
        "past - interval '1 day', past - interval '1 day'",
    ),
    "audit_log_entries": (
        "seq, actor_role, action, entity_type, entity_id, new_value, prev_hash, row_hash, "
        "created_at",
        "n, 'system', 'outcome_recorded', 'appointments', "
        f"""{KEY.format("appointment")}, '{{"outcome": "attended"}}', """
        "sha256((n - 1)::text::bytea), sha256(n::text::bytea), growing",
    ),
    "diary_entries": (
        "user_id, diary_type, entry_date, payload_encrypted",
        f"{KEY.format('user')}, 'emotions', date '2020-01-01' + (n % 2000)::int, "
        "'v1.k1.' || repeat('A', 200)",
    ),
}
INSERT = """
    INSERT INTO {table} ({columns})
    SELECT {values}
    FROM generate_series(1, {rows}) n,
         LATERAL (SELECT date_trunc('hour', now()) AS this_hour) t,
         LATERAL (SELECT this_hour + (n - {rows} * 9 / 10) * interval '1 hour' AS hour,
                         this_hour - (n + 48) * interval '1 hour' AS past,
                         this_hour - ({rows} - n) * interval '1 minute' AS growing) times
"""


def fill(connection: psycopg.Connection, rows: int, report: Callable[[str], object]) -> None:
    """Insert ``rows`` rows into each table of TABLES. The connection is a superuser's."""
    connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    connection.execute(SERVICES)
    for number, (table, (columns, values)) in enumerate(TABLES.items(), 1):
        report(f"  {number}/{len(TABLES)} {table}")
        connection.execute(INSERT.format(table=table, columns=columns, values=values, rows=rows))
    connection.execute("RESET session_replication_role; RESET synchronous_commit")
    # Otherwise autovacuum begins during the rehearsal, and competes for locks and the disk.
    report("  statistics")
    for table in TABLES:
        connection.execute(f"VACUUM (ANALYZE) {table}")
