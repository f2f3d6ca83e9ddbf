SELECT chosen.period, chosen.first_day, chosen.last_day, figures.*
FROM public.metric_periods chosen CROSS JOIN LATERAL (
SELECT count(*) FILTER (WHERE outcome = 'attended') AS attended,
       count(*) FILTER (WHERE outcome = 'no_show') AS no_show,
       count(*) FILTER (WHERE status = 'confirmed' AND outcome IS NULL
                        AND end_at_utc <= now()) AS unrecorded
FROM public.appointments WHERE start_at_utc >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AND start_at_utc < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone)
) figures
