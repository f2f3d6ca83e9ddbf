SELECT chosen.period, chosen.first_day, chosen.last_day, figures.*
FROM public.metric_periods chosen CROSS JOIN LATERAL (
SELECT count(*) FILTER (WHERE event_name = 'booking_start') AS starts,
       count(*) FILTER (WHERE event_name = 'show_no_slots') AS no_slots,
       count(*) FILTER (WHERE event_name = 'waitlist_submitted') AS waitlist
FROM public.analytics_events
WHERE event_name IN ('booking_start', 'show_no_slots', 'waitlist_submitted')
  AND environment = chosen.environment AND occurred_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AND occurred_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone)
) figures
