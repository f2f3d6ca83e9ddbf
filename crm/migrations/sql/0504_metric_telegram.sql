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
        SELECT 'lead:' || lead_id, 'lead:' || current_id FROM current_leads
        UNION ALL
        SELECT i.key, 'lead:' || coalesce(c.current_id, i.lead_id)
        FROM identities i LEFT JOIN current_leads c USING (lead_id)
    )
,
events AS MATERIALIZED (
    SELECT e.id, e.event_name, e.occurred_at, e.link, coalesce(i.subject, e.key) AS subject
    FROM (SELECT e.id, e.event_name, e.occurred_at, e.properties->>'deep_link_id' AS link,
                 coalesce(
        'lead:' || e.lead_id, 'user:' || e.user_id, 'browser:' || e.anonymous_id) AS key
          FROM public.analytics_events e
          WHERE e.event_name IN ('cta_tg_click', 'tg_subscribe_confirmed',
                                 'tg_onboarding_completed', 'tg_series_stopped')
            AND e.environment = chosen.environment
            AND e.occurred_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AND e.occurred_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone) + interval '720 hours'
          OFFSET 0) e
    LEFT JOIN identifiers i USING (key)
),
clicks AS MATERIALIZED (
    SELECT DISTINCT ON (link) link, occurred_at, subject FROM events
    WHERE event_name = 'cta_tg_click' AND occurred_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone) AND link IS NOT NULL
    ORDER BY link, occurred_at, id
),
subscribed AS MATERIALIZED (
    SELECT DISTINCT ON (e.link) e.link, e.occurred_at,
           c.occurred_at + interval '720 hours' AS until,
           (e.occurred_at AT TIME ZONE chosen.zone)::date AS day,
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
    SELECT (e.occurred_at AT TIME ZONE chosen.zone)::date AS day,
           'link:' || (e.properties->>'deep_link_id') AS link_key, coalesce(
        'lead:' || e.lead_id, 'user:' || e.user_id, 'browser:' || e.anonymous_id) AS key
    FROM public.analytics_events e
    WHERE e.environment = chosen.environment
      AND e.occurred_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AND e.occurred_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone) + interval '1464 hours'
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
) figures
