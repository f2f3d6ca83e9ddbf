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
                 e.properties->>'appointment_start_at' AS start_at, coalesce(
        'lead:' || e.lead_id, 'user:' || e.user_id, 'browser:' || e.anonymous_id) AS key
          FROM public.analytics_events e
          WHERE e.event_name IN ('booking_start', 'booking_slot_selected', 'booking_paid',
                                 'booking_confirmed')
            AND e.environment = chosen.environment
            AND e.occurred_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AND e.occurred_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone) + interval '168 hours'
          OFFSET 0) e
    LEFT JOIN public.services s ON s.id::text = e.service_id LEFT JOIN identifiers i USING (key)
),
started AS MATERIALIZED (
    SELECT DISTINCT ON (subject) *, occurred_at + interval '168 hours' AS until FROM events
    WHERE is_start AND occurred_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone) AND subject IS NOT NULL
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
    LEFT JOIN identifiers i ON i.key = coalesce('lead:' || a.lead_id, 'user:' || a.client_user_id)
    WHERE a.confirmed_at IS NOT NULL
    ORDER BY e.id, coalesce(i.subject, coalesce('lead:' || a.lead_id, 'user:' || a.client_user_id)) = e.subject DESC NULLS LAST, a.id
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
) figures
