SELECT chosen.period, chosen.first_day, chosen.last_day, figures.*
FROM public.metric_periods chosen CROSS JOIN LATERAL (
SELECT CASE WHEN p.status IN ('failed', 'canceled') THEN coalesce(p.failure_category, 'unknown')
            WHEN p.status = 'pending' AND a.hold_expires_at < now() - interval '24 hours'
            THEN 'timeout' END AS category,
       count(*) AS payments
FROM public.payments p JOIN public.appointments a ON a.id = p.appointment_id
WHERE p.provider = 'yookassa' AND p.created_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AND p.created_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone)
GROUP BY category
) figures
