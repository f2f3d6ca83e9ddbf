"""Measures each metric over a million events, and shows its plan.

    .venv/bin/python benchmarks/metrics.py [--plans]

The events are of 13 months and of 100,000 people. Two periods are read: the last 30 days and the
last 365. The analyst's views are read for 30 days. The result is the median of three reads. The
bound is one second. The baseline is a count of the events of the same period in the same run.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import psycopg
from common import empty_database, migrate
from django.db import connection

from ebalance.metrics import Metric, Period
from ebalance.reports.figures import METRICS

EVENTS, PEOPLE, SESSIONS = 1_000_000, 100_000, 60_000
RUNS, QUESTIONS = 200_000, 20_000
READS, BOUND = 3, 1.0  # seconds
KEY = "md5('{}' || {})::uuid"
LEAD, USER = KEY.format("lead", "{0}"), KEY.format("user", "{0}")
SERVICE = KEY.format("service", "{0} % 5")
# Shares of the events, in percent.
SHARES = {
    "page_view": 50,
    "booking_start": 8,
    "booking_slot_selected": 6,
    "booking_paid": 4,
    "booking_confirmed": 4,
    "show_no_slots": 2,
    "waitlist_submitted": 2,
    "cta_click": 6,
    "cta_tg_click": 5,
    "tg_subscribe_confirmed": 3,
    "tg_onboarding_completed": 2,
    "tg_series_stopped": 1,
    "tg_interaction": 3,
    "lk_opened": 4,
}
NAMES = ",".join(name for name, share in SHARES.items() for _ in range(share))
FILL = [
    f"""INSERT INTO services (id, slug, title, description_markdown, format, duration_minutes,
            price_amount, cancel_free_hours, status)
        SELECT {SERVICE.format("n")}, 'service-' || n, 'Session', 'Text', 'online', 50,
               4500 * (n % 5)::int::bool::int, 24, 'published' FROM generate_series(0, 4) n""",
    f"""INSERT INTO users (id, email)
        SELECT {USER.format("n")}, 'person-' || n || '@example.com'
        FROM generate_series(1, {PEOPLE} / 3) n""",
    f"""INSERT INTO leads (id, source, status, merged_into_id)
        SELECT {LEAD.format("n")}, 'quiz', CASE WHEN n % 50 = 0 THEN 'inactive' ELSE 'engaged' END,
               CASE WHEN n % 50 = 0 THEN {LEAD.format("(n - 1)")} END
        FROM generate_series(1, {PEOPLE} * 6 / 10) n""",
    f"""INSERT INTO lead_identities (lead_id, user_id, anonymous_id)
        SELECT {LEAD.format("n")}, CASE WHEN n <= {PEOPLE} / 3 THEN {USER.format("n")} END,
               'browser-' || n
        FROM generate_series(1, {PEOPLE} * 6 / 10) n WHERE n % 50 <> 0""",
    # Every 20 minutes one event of each person in turn, in three kinds of knowledge about them.
    # Events have a link if the tracking plan gives them one.
    f"""INSERT INTO analytics_events (schema_version, event_name, event_version, event_id,
            occurred_at, source, environment, session_id, anonymous_id, user_id, lead_id,
            acquisition, properties)
        SELECT '1.0', s.name, 1, gen_random_uuid(),
               now() - interval '395 days' * (n::float / {EVENTS}), 'backend', 'dev',
               {KEY.format("visit", "(n / 4)")},
               CASE WHEN p % 3 <> 0 THEN 'browser-' || p END,
               CASE WHEN p % 3 = 1 AND p <= {PEOPLE} / 3 THEN {USER.format("p")} END,
               CASE WHEN p % 3 = 0 THEN {LEAD.format("p")} END,
               '{{"entry_point": "seo"}}',
               jsonb_strip_nulls(jsonb_build_object('topic', 'anxiety',
                   'service_id', {SERVICE.format("n")}, 'format', 'online',
                   'deep_link_id',
                       CASE WHEN linked.event_name IS NOT NULL THEN 'link-' || n / 30 END,
                   'appointment_start_at', to_char(date_trunc('hour', now())
                       - interval '1 hour' * (n % 9000), 'YYYY-MM-DD"T"HH24:MI:SS"Z"')))
        FROM (SELECT n, 1 + (n::bigint * 7919 / 13) % {PEOPLE} AS p,
                     (string_to_array('{NAMES}', ','))[1 + (n * 37 + n / 100) % 100] AS name
              FROM generate_series(0, {EVENTS} - 1) n) s
        LEFT JOIN tracking_event_params linked
            ON linked.event_name = s.name AND linked.name = 'deep_link_id'""",
    f"""INSERT INTO appointments (id, service_id, client_user_id, lead_id, start_at_utc, end_at_utc,
            timezone, format, status, price_amount, confirmed_at, outcome, outcome_recorded_at,
            outcome_recorded_by_role, created_at)
        SELECT {KEY.format("appointment", "n")}, {SERVICE.format("n")},
               CASE WHEN n % 2 = 0 THEN {USER.format("1 + n % (" + str(PEOPLE) + " / 3)")} END,
               {LEAD.format(f"1 + n % ({PEOPLE} / 2)")}, start, start + interval '50 minutes',
               'Europe/Moscow', 'online', 'completed', 4500 * (n % 5)::int::bool::int,
               start - interval '1 day',
               CASE WHEN n % 10 = 0 THEN 'no_show' ELSE 'attended' END, start + interval '1 hour',
               'owner', start - interval '2 days'
        FROM (SELECT n, date_trunc('hour', now()) - interval '1 hour' * n AS start
              FROM generate_series(1, {SESSIONS}) n) s""",
    f"""INSERT INTO payments (id, appointment_id, provider_payment_id, idempotency_key, purpose,
            amount, status, failure_category, confirmed_at, created_at)
        SELECT {KEY.format("payment", "n")}, {KEY.format("appointment", "n")}, 'provider-' || n,
               'key-' || n, 'full', 4500, CASE WHEN n % 7 = 0 THEN 'failed' ELSE 'succeeded' END,
               CASE WHEN n % 7 = 0 THEN 'timeout' END,
               CASE WHEN n % 7 <> 0 THEN now() - interval '1 hour' * n END,
               now() - interval '1 hour' * n - interval '1 day'
        FROM generate_series(1, {SESSIONS}) n""",
    f"""INSERT INTO refunds (payment_id, amount, reason, status, succeeded_at)
        SELECT {KEY.format("payment", "n")}, 4500, 'canceled', 'succeeded',
               now() - interval '1 hour' * n
        FROM generate_series(1, {SESSIONS}, 10) n WHERE n % 7 <> 0""",
    f"""INSERT INTO interactive_definitions (id, interactive_type, slug, title)
        SELECT {KEY.format("definition", "n")}, 'quiz', 'quiz-' || n, 'Quiz'
        FROM generate_series(0, 9) n""",
    # The visits are those of the events. Most of these rows would be totals after 90 days.
    f"""INSERT INTO interactive_runs (interactive_definition_id, session_id, anonymous_id, status,
            started_at, completed_at, result_level)
        SELECT {KEY.format("definition", "(n % 10)")}, {KEY.format("visit", "n")}, 'browser-' || n,
               CASE WHEN n % 3 = 0 THEN 'in_progress' ELSE 'completed' END, start,
               CASE WHEN n % 3 <> 0 THEN start END, CASE WHEN n % 3 <> 0 THEN 'low' END
        FROM (SELECT n, now() - interval '395 days' * (n * 4.0 / {EVENTS}) - interval '1 hour'
              AS start FROM generate_series(1, {RUNS}) n) s""",
    f"""INSERT INTO anonymous_questions (id, question_text_encrypted, status, submitted_at, due_at,
            moderated_at, moderated_due_at, answered_at)
        SELECT {KEY.format("question", "n")}, 'v1.k1.' || repeat('A', 64),
               CASE WHEN n % 4 = 0 THEN 'rejected' ELSE 'answered' END, start,
               start + interval '1 day', start + interval '1 hour' * (n % 30),
               start + interval '1 day',
               CASE WHEN n % 4 <> 0 THEN start + interval '2 days' END
        FROM (SELECT n, now() - interval '395 days' * (n::float / {QUESTIONS}) - interval '3 days'
              AS start FROM generate_series(1, {QUESTIONS}) n) s""",
    f"""INSERT INTO ugc_moderation_actions (ugc_type, ugc_id, moderator_user_id, action,
            reason_category, created_at)
        SELECT 'anonymous_question', {KEY.format("question", "n")}, {USER.format("1")},
               CASE WHEN n % 4 = 0 THEN 'reject' ELSE 'approve' END,
               CASE WHEN n % 4 = 0 THEN 'spam' END, now()
        FROM generate_series(1, {QUESTIONS}) n""",
]


def fill(db: psycopg.Connection) -> None:
    """Triggers are off, because a million guarded rows would take minutes. CHECKs are on."""
    db.execute("SET session_replication_role = replica")
    for statement in FILL:
        db.execute(statement)
    db.execute("VACUUM ANALYZE")


def measure(read: Callable[[], object]) -> float:
    """Seconds, the median of READS."""
    durations = []
    for _ in range(READS):
        start = time.perf_counter()
        read()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def count_events(period: Period) -> list[dict[str, int]]:
    return Metric(
        "baseline",
        "SELECT count(*) FROM public.analytics_events "
        "WHERE occurred_at >= {begins} AND occurred_at < {ends}",
    ).read(period)


def read_view(view: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {view} WHERE period = '30d'")
        cursor.fetchall()


def main() -> None:
    with empty_database("metrics") as params:
        print("migrating, filling …", file=sys.stderr)
        migrate(params)
        with psycopg.connect(**params, autocommit=True) as db:
            fill(db)
        connection.settings_dict["NAME"] = params["dbname"]
        try:
            longest = report()
        finally:
            connection.close()
    sys.exit(longest > BOUND)


def report() -> float:
    """Print the durations, and the plans if asked for. Returns the longest duration in seconds."""
    periods = [Period.choose()]
    periods.append(Period.choose(periods[0].last - timedelta(days=364)))
    longest = 0.0
    for period in periods:
        baseline = measure(lambda period=period: count_events(period))
        print(f"{period.first} to {period.last}: count of its events {baseline:.3f} s")
        for metric in METRICS:
            took = measure(lambda metric=metric, period=period: metric.read(period))
            longest = max(longest, took)
            print(f"  {metric.name:<24}{took:>7.3f} s{took / baseline:>8.2f} times the count")
            if "--plans" in sys.argv:
                explain = f"EXPLAIN (ANALYZE, COSTS OFF) {metric.sql}"
                plan = Metric("plan", explain, metric.parts)
                for row in plan.read(period):
                    print(f"      {row['QUERY PLAN']}")
    print("views, period 30d")
    for metric in METRICS:
        took = measure(lambda metric=metric: read_view(f"metric_{metric.name}"))
        longest = max(longest, took)
        print(f"  {metric.name:<24}{took:>7.3f} s")
    print(f"longest {longest:.3f} s, bound {BOUND:.0f} s")
    return longest


if __name__ == "__main__":
    main()
