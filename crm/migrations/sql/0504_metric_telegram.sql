SELECT chosen.period, chosen.first_day, chosen.last_day, figures.*
FROM public.metric_periods chosen CROSS JOIN LATERAL (
WITH RECURSIVE 
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
,
events AS MATERIALIZED (
    SELECT e.id, e.event_name, e.event_name = 'cta_tg_click' AS is_click,
           e.event_name = 'tg_subscribe_confirmed' AS is_subscription, e.occurred_at,
           e.properties->>'deep_link_id' AS link, coalesce(
        'lead:' || e.lead_id, 'user:' || e.user_id, 'browser:' || e.anonymous_id) AS key
    FROM public.analytics_events e
    WHERE e.event_name IN ('cta_tg_click', 'tg_subscribe_confirmed',
                           'tg_onboarding_completed', 'tg_series_stopped')
      AND e.environment = chosen.environment
      AND e.occurred_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AND e.occurred_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone) + interval '720 hours'
),
clicks AS MATERIALIZED (
    SELECT DISTINCT ON (link) link, occurred_at, key FROM events
    WHERE is_click AND occurred_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone) AND link IS NOT NULL
    ORDER BY link, occurred_at, id
),
subscribed AS MATERIALIZED (
    SELECT DISTINCT ON (e.link) e.link, e.occurred_at,
           c.occurred_at + interval '720 hours' AS until,
           (e.occurred_at AT TIME ZONE chosen.zone)::date AS day, ARRAY[c.key, e.key] AS keys
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
    SELECT (e.occurred_at AT TIME ZONE chosen.zone)::date AS day,
           k.links || s.link AS links, k.days || s.day AS days
    FROM public.analytics_events e LEFT JOIN keys k ON k.key = coalesce(
        'lead:' || e.lead_id, 'user:' || e.user_id, 'browser:' || e.anonymous_id)
    LEFT JOIN subscribed s ON s.link = e.properties->>'deep_link_id'
    WHERE e.environment = chosen.environment AND (k.key IS NOT NULL OR s.link IS NOT NULL)
      AND e.occurred_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AND e.occurred_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone) + interval '1464 hours'
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
) figures
