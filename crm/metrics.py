"""The subject of an event, and the way from a link into Telegram (metrics.md)."""

from __future__ import annotations

from ebalance.metrics import Metric

from .cta import followed_by_cta

# Tables of a WITH RECURSIVE. ``identifiers`` has the subject of each identifier that is known at a
# lead, and of each merged lead. An identifier that several leads have means the lead with the
# oldest identity. Each key has one row. GROUP BY shows this to the planner, which would expect
# millions of rows otherwise, and sort all events for a merge join.
SUBJECTS = """
    merged (lead_id, into_id) AS (
        SELECT id, merged_into_id FROM public.leads WHERE merged_into_id IS NOT NULL
        UNION
        SELECT m.lead_id, l.merged_into_id FROM merged m JOIN public.leads l ON l.id = m.into_id
        WHERE l.merged_into_id IS NOT NULL
    ),
    current_leads (lead_id, current_id) AS MATERIALIZED (
        SELECT m.lead_id, m.into_id FROM merged m JOIN public.leads l ON l.id = m.into_id
        WHERE l.merged_into_id IS NULL
    ),
    identities (key, lead_id) AS (
        (SELECT DISTINCT ON (user_id) 'user:' || user_id, lead_id FROM public.lead_identities
         WHERE user_id IS NOT NULL ORDER BY user_id, created_at, id)
        UNION ALL
        (SELECT DISTINCT ON (anonymous_id COLLATE "C") 'browser:' || anonymous_id, lead_id
         FROM public.lead_identities WHERE anonymous_id IS NOT NULL
         ORDER BY anonymous_id COLLATE "C", created_at, id)
    ),
    identifiers (key, subject) AS MATERIALIZED (
        SELECT key, min(subject) FROM (
            SELECT 'lead:' || lead_id AS key, 'lead:' || current_id AS subject FROM current_leads
            UNION ALL
            SELECT i.key, 'lead:' || coalesce(c.current_id, i.lead_id)
            FROM identities i LEFT JOIN current_leads c USING (lead_id)
        ) known GROUP BY key
    )
"""

# For definitions over ``analytics_events e``. The key of an event is the first that it has: lead,
# user, browser. Its subject is coalesce(identifiers.subject, key).
EVENT_PARTS = {
    "subjects": SUBJECTS,
    "event_key": """coalesce(
        'lead:' || e.lead_id, 'user:' || e.user_id, 'browser:' || e.anonymous_id)""",
}

INTERACTIVES = Metric(
    "interactives",
    """
WITH runs AS (
    SELECT r.interactive_definition_id, r.status, r.result_level, 1 AS runs,
           {followed_by_cta}::int AS cta_runs
    FROM public.interactive_runs r
    WHERE r.started_at >= {begins} AND r.started_at < {ends}
    UNION ALL
    SELECT interactive_definition_id, status, result_level, runs, cta_runs
    FROM public.interactive_run_totals WHERE day BETWEEN {first} AND {last}
)
SELECT d.interactive_type AS type, d.slug, d.topic_code AS topic, sum(runs)::bigint AS started,
       coalesce(sum(runs) FILTER (WHERE r.status = 'completed'), 0)::bigint AS completed,
       coalesce(sum(runs) FILTER (WHERE result_level = 'low'), 0)::bigint AS low,
       coalesce(sum(runs) FILTER (WHERE result_level = 'moderate'), 0)::bigint AS moderate,
       coalesce(sum(runs) FILTER (WHERE result_level = 'high'), 0)::bigint AS high,
       coalesce(sum(cta_runs), 0)::bigint AS cta
FROM runs r JOIN public.interactive_definitions d ON d.id = r.interactive_definition_id
GROUP BY d.interactive_type, d.slug, d.topic_code ORDER BY d.interactive_type, d.slug
""",
    {"followed_by_cta": followed_by_cta("r", "{environment}")},
)

# Counts links. An event without a link counts for the links whose click or subscription has the
# same subject. Events are read up to 61 days after the period: 30 days to subscribe and 30 to
# return. ``keys`` has the subscriptions of each key, so that "visits" reads each event once.
# OFFSET 0 computes the day of an event once. Columns "is_…" replace conditions on
# the name: the planner expects half of the rows for a boolean, and very few for a name. With few it
# compares each row with each event.
TELEGRAM = Metric(
    "telegram",
    """
WITH RECURSIVE {subjects},
events AS MATERIALIZED (
    SELECT e.id, e.event_name, e.event_name = 'cta_tg_click' AS is_click,
           e.event_name = 'tg_subscribe_confirmed' AS is_subscription, e.occurred_at,
           e.properties->>'deep_link_id' AS link, {event_key} AS key
    FROM public.analytics_events e
    WHERE e.event_name IN ('cta_tg_click', 'tg_subscribe_confirmed',
                           'tg_onboarding_completed', 'tg_series_stopped')
      AND e.environment = {environment}
      AND e.occurred_at >= {begins} AND e.occurred_at < {ends} + interval '720 hours'
),
clicks AS MATERIALIZED (
    SELECT DISTINCT ON (link) link, occurred_at, key FROM events
    WHERE is_click AND occurred_at < {ends} AND link IS NOT NULL
    ORDER BY link, occurred_at, id
),
subscribed AS MATERIALIZED (
    SELECT DISTINCT ON (e.link) e.link, e.occurred_at,
           c.occurred_at + interval '720 hours' AS until,
           (e.occurred_at AT TIME ZONE {zone})::date AS day, ARRAY[c.key, e.key] AS keys
    FROM clicks c JOIN events e USING (link)
    WHERE e.is_subscription
      AND e.occurred_at BETWEEN c.occurred_at AND c.occurred_at + interval '720 hours'
    ORDER BY e.link, e.occurred_at, e.id
),
members AS MATERIALIZED (
    SELECT DISTINCT s.link, s.occurred_at, s.until, s.day, coalesce(i.subject, s.key) AS subject
    FROM (SELECT link, occurred_at, until, day, unnest(keys) AS key FROM subscribed) s
    LEFT JOIN identifiers i USING (key)
),
without_link AS (
    SELECT e.event_name, e.occurred_at, coalesce(i.subject, e.key) AS subject
    FROM events e LEFT JOIN identifiers i USING (key) WHERE e.link IS NULL
),
following (link, event_name) AS (
    SELECT e.link, e.event_name FROM subscribed s JOIN events e USING (link)
    WHERE e.occurred_at BETWEEN s.occurred_at AND s.until
    UNION
    SELECT m.link, e.event_name FROM members m JOIN without_link e USING (subject)
    WHERE e.occurred_at BETWEEN m.occurred_at AND m.until
),
keys AS MATERIALIZED (
    SELECT key, array_agg(link) AS links, array_agg(day) AS days
    FROM (SELECT subject AS key, link, day FROM members
          UNION ALL
          SELECT i.key, m.link, m.day FROM members m JOIN identifiers i USING (subject)) known
    GROUP BY key
),
visits AS (
    SELECT (e.occurred_at AT TIME ZONE {zone})::date AS day,
           k.links || s.link AS links, k.days || s.day AS days
    FROM public.analytics_events e LEFT JOIN keys k ON k.key = {event_key}
    LEFT JOIN subscribed s ON s.link = e.properties->>'deep_link_id'
    WHERE e.environment = {environment} AND (k.key IS NOT NULL OR s.link IS NOT NULL)
      AND e.occurred_at >= {begins} AND e.occurred_at < {ends} + interval '1464 hours'
    OFFSET 0
),
returned AS (
    SELECT DISTINCT s.link, v.day - s.day AS later
    FROM visits v CROSS JOIN LATERAL unnest(v.links, v.days) AS s (link, day)
    WHERE v.days && ARRAY[v.day - 1, v.day - 7, v.day - 30] AND v.day - s.day IN (1, 7, 30)
)
SELECT (SELECT count(*) FROM clicks) AS clicks,
       (SELECT count(*) FROM subscribed) AS subscribed,
       (SELECT count(*) FROM following WHERE event_name = 'tg_onboarding_completed') AS onboarded,
       (SELECT count(*) FROM following WHERE event_name = 'tg_series_stopped') AS stopped,
       (SELECT count(*) FROM returned WHERE later = 1) AS returned_1,
       (SELECT count(*) FROM returned WHERE later = 7) AS returned_7,
       (SELECT count(*) FROM returned WHERE later = 30) AS returned_30
""",
    EVENT_PARTS,
)
