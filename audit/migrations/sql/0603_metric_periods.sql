WITH practice AS (
    SELECT coalesce((SELECT value #>> '{}' FROM public.system_settings
                     WHERE key = 'practice_timezone'), 'Europe/Moscow') AS zone,
           coalesce((SELECT value #>> '{}' FROM public.system_settings
                     WHERE key = 'environment'), 'dev') AS environment
),
days AS (
    SELECT zone, environment, (now() AT TIME ZONE zone)::date AS today FROM practice
)
SELECT p.period, p.first_day, p.last_day, d.zone, d.environment
FROM days d
CROSS JOIN LATERAL (
    VALUES ('today', today, today), ('7d', today - 6, today), ('30d', today - 29, today)
    UNION ALL
    SELECT to_char(m.first_day, 'YYYY-MM'), m.first_day::date,
           (m.first_day + interval '1 month' - interval '1 day')::date
    FROM generate_series(date_trunc('month', today::timestamp) - interval '12 months',
                         date_trunc('month', today::timestamp), '1 month') AS m (first_day)
) AS p (period, first_day, last_day)
