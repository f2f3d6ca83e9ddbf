"""Bookings, payments and sessions in numbers (metrics.md)."""

from __future__ import annotations

from crm.metrics import EVENT_PARTS
from ebalance.metrics import Metric

# For definitions over ``appointments a``. Its subject is coalesce(identifiers.subject, key).
APPOINTMENT_PARTS = {
    **EVENT_PARTS,
    "appointment_key": "coalesce('lead:' || a.lead_id, 'user:' || a.client_user_id)",
}

# Each step is the first of its name not before the previous step, within 7 days of the start. They
# are written in hours: a day of an interval is as long as that of the session's time zone.
# Columns "is_…" serve the planner as in crm/metrics.py.
# "free" are confirmations that pass the step "paid" too: of a free session, or of one with a
# payment recorded by staff. The event does not name its appointment. Time and service identify it,
# and among several of them the appointment of the same subject is chosen.
BOOKING_FUNNEL = Metric(
    "booking_funnel",
    """
WITH RECURSIVE {subjects},
events AS MATERIALIZED (
    SELECT e.id, e.event_name = 'booking_start' AS is_start,
           e.event_name = 'booking_slot_selected' AS is_slot,
           e.event_name = 'booking_paid' AS is_payment,
           e.event_name = 'booking_confirmed' AS is_confirmation,
           e.occurred_at, e.entry_point, e.topic, e.format, e.start_at,
           coalesce(e.service_slug, s.slug) AS service, coalesce(i.subject, e.key) AS subject
    FROM (SELECT e.id, e.event_name, e.occurred_at,
                 coalesce(e.properties->>'entry_point', e.acquisition->>'entry_point')
                     AS entry_point,
                 e.properties->>'topic' AS topic, e.properties->>'format' AS format,
                 e.properties->>'service_slug' AS service_slug,
                 lower(e.properties->>'service_id') AS service_id,
                 e.properties->>'appointment_start_at' AS start_at, {event_key} AS key
          FROM public.analytics_events e
          WHERE e.event_name IN ('booking_start', 'booking_slot_selected', 'booking_paid',
                                 'booking_confirmed')
            AND e.environment = {environment}
            AND e.occurred_at >= {begins} AND e.occurred_at < {ends} + interval '168 hours'
          OFFSET 0) e
    LEFT JOIN public.services s ON s.id::text = e.service_id LEFT JOIN identifiers i USING (key)
),
started AS MATERIALIZED (
    SELECT DISTINCT ON (subject) *, occurred_at + interval '168 hours' AS until FROM events
    WHERE is_start AND occurred_at < {ends} AND subject IS NOT NULL
    ORDER BY subject, occurred_at, id
),
selected AS MATERIALIZED (
    SELECT DISTINCT ON (e.subject) e.*, s.until FROM started s JOIN events e USING (subject)
    WHERE e.is_slot AND e.occurred_at BETWEEN s.occurred_at AND s.until
    ORDER BY e.subject, e.occurred_at, e.id
),
confirmations AS MATERIALIZED (
    SELECT e.* FROM selected s JOIN events e USING (subject)
    WHERE e.is_confirmation AND e.occurred_at BETWEEN s.occurred_at AND s.until
),
agreed AS MATERIALIZED (
    SELECT DISTINCT ON (e.id) e.id AS event_id, a.id, a.price_amount
    FROM confirmations e
    JOIN public.appointments a ON a.start_at_utc = e.start_at::timestamptz
    JOIN public.services s ON s.id = a.service_id AND s.slug = e.service
    LEFT JOIN identifiers i ON i.key = {appointment_key}
    WHERE a.confirmed_at IS NOT NULL
    ORDER BY e.id, coalesce(i.subject, {appointment_key}) = e.subject DESC NULLS LAST, a.id
),
chains (event_id, id) AS (
    SELECT event_id, id FROM agreed WHERE price_amount > 0
    UNION
    SELECT c.event_id, a.rescheduled_from_id FROM chains c JOIN public.appointments a USING (id)
    WHERE a.rescheduled_from_id IS NOT NULL
),
free (event_id) AS (
    SELECT event_id FROM agreed WHERE price_amount = 0
    UNION
    SELECT c.event_id FROM chains c JOIN public.payments p ON p.appointment_id = c.id
    WHERE p.provider = 'manual' AND p.status = 'succeeded'
),
paid AS MATERIALIZED (
    SELECT DISTINCT ON (e.subject) e.*, s.until FROM selected s JOIN events e USING (subject)
    WHERE (e.is_payment OR e.is_confirmation AND e.id IN (SELECT event_id FROM free))
      AND e.occurred_at BETWEEN s.occurred_at AND s.until
    ORDER BY e.subject, e.occurred_at, e.id
),
confirmed AS MATERIALIZED (
    SELECT DISTINCT ON (e.subject) e.* FROM paid p JOIN events e USING (subject)
    WHERE e.is_confirmation AND e.occurred_at BETWEEN p.occurred_at AND p.until
    ORDER BY e.subject, e.occurred_at, e.id
)
SELECT dimension, value, count(*) AS started, count(s.id) AS slot_selected, count(p.id) AS paid,
       count(c.id) AS confirmed
FROM started b LEFT JOIN selected s USING (subject) LEFT JOIN paid p USING (subject)
LEFT JOIN confirmed c USING (subject)
CROSS JOIN LATERAL (VALUES
    ('all', NULL),
    ('entry_point', coalesce(b.entry_point, s.entry_point, p.entry_point, c.entry_point, 'none')),
    ('topic', coalesce(b.topic, s.topic, p.topic, c.topic, 'none')),
    ('service', coalesce(b.service, s.service, p.service, c.service, 'none')),
    ('format', coalesce(b.format, s.format, p.format, c.format, 'none'))
) AS v (dimension, value)
GROUP BY dimension, value
""",
    APPOINTMENT_PARTS,
)

NO_SLOTS = Metric(
    "no_slots",
    """
SELECT count(*) FILTER (WHERE event_name = 'booking_start') AS starts,
       count(*) FILTER (WHERE event_name = 'show_no_slots') AS no_slots,
       count(*) FILTER (WHERE event_name = 'waitlist_submitted') AS waitlist
FROM public.analytics_events
WHERE event_name IN ('booking_start', 'show_no_slots', 'waitlist_submitted')
  AND environment = {environment} AND occurred_at >= {begins} AND occurred_at < {ends}
""",
)

# A pending payment whose hold expired over a day ago counts as failed. Its row stays pending,
# because the money may still arrive.
PAYMENTS = Metric(
    "payments",
    """
SELECT CASE WHEN p.status IN ('failed', 'canceled') THEN coalesce(p.failure_category, 'unknown')
            WHEN p.status = 'pending' AND a.hold_expires_at < {now} - interval '24 hours'
            THEN 'timeout' END AS category,
       count(*) AS payments
FROM public.payments p JOIN public.appointments a ON a.id = p.appointment_id
WHERE p.provider = 'yookassa' AND p.created_at >= {begins} AND p.created_at < {ends}
GROUP BY category
""",
)

NO_SHOW = Metric(
    "no_show",
    """
SELECT count(*) FILTER (WHERE outcome = 'attended') AS attended,
       count(*) FILTER (WHERE outcome = 'no_show') AS no_show,
       count(*) FILTER (WHERE status = 'confirmed' AND outcome IS NULL
                        AND end_at_utc <= {now}) AS unrecorded
FROM public.appointments WHERE start_at_utc >= {begins} AND start_at_utc < {ends}
""",
)

REVENUE = Metric(
    "revenue",
    """
WITH paid AS (
    SELECT confirmed_at >= {begins} AS is_now, amount FROM public.payments
    WHERE status = 'succeeded' AND confirmed_at >= {previous} AND confirmed_at < {ends}
),
refunded AS (
    SELECT succeeded_at >= {begins} AS is_now, amount FROM public.refunds
    WHERE status = 'succeeded' AND succeeded_at >= {previous} AND succeeded_at < {ends}
),
sums AS (
    SELECT coalesce(sum(amount) FILTER (WHERE is_now), 0) AS gross,
           coalesce(sum(amount) FILTER (WHERE NOT is_now), 0) AS previous_gross,
           count(*) FILTER (WHERE is_now) AS payments
    FROM paid
),
refund_sums AS (
    SELECT coalesce(sum(amount) FILTER (WHERE is_now), 0) AS refunded,
           coalesce(sum(amount) FILTER (WHERE NOT is_now), 0) AS previous_refunded
    FROM refunded
)
SELECT gross, refunded, gross - refunded AS net, payments,
       round(gross::numeric / nullif(payments, 0))::bigint AS average,
       previous_gross - previous_refunded AS previous_net
FROM sums, refund_sums
""",
)

RETENTION = Metric(
    "retention",
    """
WITH RECURSIVE {subjects},
sessions AS MATERIALIZED (
    SELECT coalesce(i.subject, {appointment_key}) AS subject, a.confirmed_at, a.outcome,
           date_trunc('month', a.start_at_utc AT TIME ZONE {zone})::date AS month
    FROM public.appointments a LEFT JOIN identifiers i ON i.key = {appointment_key}
    WHERE a.confirmed_at IS NOT NULL
),
people AS MATERIALIZED (
    SELECT subject, date_trunc('month', min(confirmed_at) AT TIME ZONE {zone})::date AS cohort
    FROM sessions GROUP BY subject
),
cohorts AS MATERIALIZED (
    SELECT cohort, count(*) AS size FROM people
    WHERE cohort BETWEEN {first} AND {last}
      AND cohort < date_trunc('month', {now} AT TIME ZONE {zone})
    GROUP BY cohort
),
activity AS MATERIALIZED (
    SELECT subject, month FROM sessions WHERE outcome = 'attended'
    UNION
    SELECT coalesce(i.subject, {event_key}),
           date_trunc('month', e.occurred_at AT TIME ZONE {zone})::date
    FROM public.analytics_events e LEFT JOIN identifiers i ON i.key = {event_key}
    WHERE e.event_name = 'lk_opened' AND e.environment = {environment}
),
active AS MATERIALIZED (
    SELECT cohort, month, count(*) AS people FROM people JOIN activity USING (subject)
    GROUP BY cohort, month
)
SELECT to_char(c.cohort, 'YYYY-MM') AS month, c.size,
       ARRAY(SELECT coalesce(a.people, 0)
             FROM generate_series(c.cohort + interval '1 month',
                                  date_trunc('month', {now} AT TIME ZONE {zone})
                                      - interval '1 month', '1 month') AS later (month)
             LEFT JOIN active a ON a.cohort = c.cohort AND a.month = later.month::date
             ORDER BY later.month) AS active
FROM cohorts c ORDER BY c.cohort
""",
    APPOINTMENT_PARTS,
)
