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
sessions AS MATERIALIZED (
    SELECT coalesce(i.subject, coalesce('lead:' || a.lead_id, 'user:' || a.client_user_id)) AS subject, a.confirmed_at, a.outcome,
           date_trunc('month', a.start_at_utc AT TIME ZONE chosen.zone)::date AS month
    FROM public.appointments a LEFT JOIN identifiers i ON i.key = coalesce('lead:' || a.lead_id, 'user:' || a.client_user_id)
    WHERE a.confirmed_at IS NOT NULL
),
people AS MATERIALIZED (
    SELECT subject, date_trunc('month', min(confirmed_at) AT TIME ZONE chosen.zone)::date AS cohort
    FROM sessions GROUP BY subject
),
cohorts AS MATERIALIZED (
    SELECT cohort, count(*) AS size FROM people
    WHERE cohort BETWEEN chosen.first_day AND chosen.last_day
      AND cohort < date_trunc('month', now() AT TIME ZONE chosen.zone)
    GROUP BY cohort
),
activity AS MATERIALIZED (
    SELECT subject, month FROM sessions WHERE outcome = 'attended'
    UNION
    SELECT coalesce(i.subject, coalesce(
        'lead:' || e.lead_id, 'user:' || e.user_id, 'browser:' || e.anonymous_id)),
           date_trunc('month', e.occurred_at AT TIME ZONE chosen.zone)::date
    FROM public.analytics_events e LEFT JOIN identifiers i ON i.key = coalesce(
        'lead:' || e.lead_id, 'user:' || e.user_id, 'browser:' || e.anonymous_id)
    WHERE e.event_name = 'lk_opened' AND e.environment = chosen.environment
),
active AS MATERIALIZED (
    SELECT cohort, month, count(*) AS people FROM people JOIN activity USING (subject)
    GROUP BY cohort, month
)
SELECT to_char(c.cohort, 'YYYY-MM') AS month, c.size,
       ARRAY(SELECT coalesce(a.people, 0)
             FROM generate_series(c.cohort + interval '1 month',
                                  date_trunc('month', now() AT TIME ZONE chosen.zone)
                                      - interval '1 month', '1 month') AS later (month)
             LEFT JOIN active a ON a.cohort = c.cohort AND a.month = later.month::date
             ORDER BY later.month) AS active
FROM cohorts c ORDER BY c.cohort
) figures
