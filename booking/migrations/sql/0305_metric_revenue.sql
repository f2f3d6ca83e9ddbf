SELECT chosen.period, chosen.first_day, chosen.last_day, figures.*
FROM public.metric_periods chosen CROSS JOIN LATERAL (
WITH paid AS (
    SELECT confirmed_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AS is_now, amount FROM public.payments
    WHERE status = 'succeeded' AND confirmed_at >= ((chosen.first_day - (chosen.last_day - chosen.first_day + 1))::timestamp AT TIME ZONE chosen.zone) AND confirmed_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone)
),
refunded AS (
    SELECT succeeded_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AS is_now, amount FROM public.refunds
    WHERE status = 'succeeded' AND succeeded_at >= ((chosen.first_day - (chosen.last_day - chosen.first_day + 1))::timestamp AT TIME ZONE chosen.zone) AND succeeded_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone)
),
sums AS (
    SELECT coalesce(sum(amount) FILTER (WHERE is_now), 0) AS gross,
           coalesce(sum(amount) FILTER (WHERE NOT is_now), 0) AS previous_gross,
           count(*) FILTER (WHERE is_now) AS payments
    FROM paid
),
refund_sums AS (
    SELECT coalesce(sum(amount) FILTER (WHERE is_now), 0) AS refunded,
           coalesce(sum(amount) FILTER (WHERE NOT is_now), 0) AS previous_refunded
    FROM refunded
)
SELECT gross, refunded, gross - refunded AS net, payments,
       round(gross::numeric / nullif(payments, 0))::bigint AS average,
       previous_gross - previous_refunded AS previous_net
FROM sums, refund_sums
) figures
