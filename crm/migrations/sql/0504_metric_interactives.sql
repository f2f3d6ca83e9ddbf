SELECT chosen.period, chosen.first_day, chosen.last_day, figures.*
FROM public.metric_periods chosen CROSS JOIN LATERAL (
WITH runs AS (
    SELECT r.interactive_definition_id, r.status, r.result_level, 1 AS runs,
           EXISTS (SELECT FROM analytics_events AS event WHERE event.event_name = 'cta_click' AND event.session_id = r.session_id AND event.occurred_at >= r.completed_at AND event.environment = chosen.environment)::int AS cta_runs
    FROM public.interactive_runs r
    WHERE r.started_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AND r.started_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone)
    UNION ALL
    SELECT interactive_definition_id, status, result_level, runs, cta_runs
    FROM public.interactive_run_totals WHERE day BETWEEN chosen.first_day AND chosen.last_day
)
SELECT d.interactive_type AS type, d.slug, d.topic_code AS topic, sum(runs)::bigint AS started,
       coalesce(sum(runs) FILTER (WHERE r.status = 'completed'), 0)::bigint AS completed,
       coalesce(sum(runs) FILTER (WHERE result_level = 'low'), 0)::bigint AS low,
       coalesce(sum(runs) FILTER (WHERE result_level = 'moderate'), 0)::bigint AS moderate,
       coalesce(sum(runs) FILTER (WHERE result_level = 'high'), 0)::bigint AS high,
       coalesce(sum(cta_runs), 0)::bigint AS cta
FROM runs r JOIN public.interactive_definitions d ON d.id = r.interactive_definition_id
GROUP BY d.interactive_type, d.slug, d.topic_code ORDER BY d.interactive_type, d.slug
) figures
