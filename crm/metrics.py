"""The subject of an event, and the way from a link into Telegram (metrics.md)."""

from __future__ import annotations

from ebalance.metrics import Metric

from .cta import followed_by_cta

# Tables of a WITH RECURSIVE. ``identifiers`` has the subject of each identifier that is known at a
# lead, and of each merged lead. An identifier that several leads have means the lead with the
# oldest identity.
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
        SELECT 'lead:' || lead_id, 'lead:' || current_id FROM current_leads
        UNION ALL
        SELECT i.key, 'lead:' || coalesce(c.current_id, i.lead_id)
        FROM identities i LEFT JOIN current_leads c USING (lead_id)
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
# same subject.
TELEGRAM = Metric(
    "telegram",
    """
WITH RECURSIVE {subjects},
events AS MATERIALIZED (
    SELECT e.id, e.event_name, e.occurred_at, e.link, coalesce(i.subject, e.key) AS subject
    FROM (SELECT e.id, e.event_name, e.occurred_at, e.properties->>'deep_link_id' AS link,
                 {event_key} AS key
          FROM public.analytics_events e
          WHERE e.event_name IN ('cta_tg_click', 'tg_subscribe_confirmed',
                                 'tg_onboarding_completed', 'tg_series_stopped')
            AND e.environment = {environment}
            AND e.occurred_at >= {begins} AND e.occurred_at < {ends} + interval '720 hours'
          OFFSET 0) e
    LEFT JOIN identifiers i USING (key)
),
clicks AS MATERIALIZED (
    SELECT DISTINCT ON (link) link, occurred_at, subject FROM events
    WHERE event_name = 'cta_tg_click' AND occurred_at < {ends} AND link IS NOT NULL
    ORDER BY link, occurred_at, id
),
subscribed AS MATERIALIZED (
    SELECT DISTINCT ON (e.link) e.link, e.occurred_at,
           c.occurred_at + interval '720 hours' AS until,
           (e.occurred_at AT TIME ZONE {zone})::date AS day,
           c.subject AS click_subject, e.subject AS subject
    FROM clicks c JOIN events e USING (link)
    WHERE e.event_name = 'tg_subscribe_confirmed'
      AND e.occurred_at BETWEEN c.occurred_at AND c.occurred_at + interval '720 hours'
    ORDER BY e.link, e.occurred_at, e.id
),
members AS MATERIALIZED (
    SELECT link, occurred_at, until, day, subject FROM subscribed
    UNION SELECT link, occurred_at, until, day, click_subject FROM subscribed
),
following (link, event_name) AS (
    SELECT e.link, e.event_name FROM subscribed s JOIN events e USING (link)
    WHERE e.occurred_at BETWEEN s.occurred_at AND s.until
    UNION
    SELECT m.link, e.event_name FROM members m JOIN events e USING (subject)
    WHERE e.link IS NULL AND e.occurred_at BETWEEN m.occurred_at AND m.until
),
targets AS MATERIALIZED (
    SELECT m.link, m.day + n.later AS day, n.later, m.key
    FROM (SELECT link, day, 'link:' || link AS key FROM subscribed
          UNION SELECT link, day, subject FROM members
          UNION SELECT m.link, m.day, i.key FROM members m JOIN identifiers i USING (subject)) m
    CROSS JOIN (VALUES (1), (7), (30)) AS n (later)
),
visits AS MATERIALIZED (
    SELECT (e.occurred_at AT TIME ZONE {zone})::date AS day,
           'link:' || (e.properties->>'deep_link_id') AS link_key, {event_key} AS key
    FROM public.analytics_events e
    WHERE e.environment = {environment}
      AND e.occurred_at >= {begins} AND e.occurred_at < {ends} + interval '1464 hours'
),
returned AS (
    SELECT t.link, t.later FROM visits v JOIN targets t ON t.day = v.day AND t.key = v.key
    UNION
    SELECT t.link, t.later FROM visits v JOIN targets t ON t.day = v.day AND t.key = v.link_key
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
