SELECT chosen.period, chosen.first_day, chosen.last_day, figures.*
FROM public.metric_periods chosen CROSS JOIN LATERAL (
WITH questions AS MATERIALIZED (
    SELECT round(extract(epoch FROM q.moderated_at - q.submitted_at) / 3600, 15) AS hours, round(extract(epoch FROM q.answered_at - q.submitted_at) / 3600, 15) AS answer_hours,
           q.moderated_at <= coalesce(q.moderated_due_at, q.due_at) AS is_within_due, coalesce((SELECT action = 'reject' FROM ugc_moderation_actions WHERE ugc_type = 'anonymous_question' AND ugc_id = q.id AND action IN ('approve', 'reject') ORDER BY created_at, id LIMIT 1), q.status = 'rejected') AS is_rejected,
           'crisis' = ANY (q.trigger_flags) AS is_crisis
    FROM public.anonymous_questions q
    WHERE q.moderated_at >= (chosen.first_day::timestamp AT TIME ZONE chosen.zone) AND q.moderated_at < ((chosen.last_day + 1)::timestamp AT TIME ZONE chosen.zone)
),
totals AS (SELECT * FROM public.moderation_totals WHERE day BETWEEN chosen.first_day AND chosen.last_day),
decided AS (
    SELECT count(*) AS decided, count(*) FILTER (WHERE is_within_due) AS within_due,
           count(*) FILTER (WHERE is_rejected) AS rejected,
           count(*) FILTER (WHERE is_crisis) AS crisis
    FROM questions
    UNION ALL
    SELECT decided, within_due, rejected, crisis FROM totals
),
decisions (hours) AS (
    SELECT hours FROM questions UNION ALL SELECT unnest(hours) FROM totals
),
answers (hours) AS (
    SELECT answer_hours FROM questions WHERE answer_hours IS NOT NULL
    UNION ALL SELECT unnest(answer_hours) FROM totals
),
queue AS (
    SELECT count(*) AS queue, count(*) FILTER (WHERE due_at < now()) AS overdue,
           round(extract(epoch FROM now() - min(submitted_at)) / 3600, 1) AS oldest_hours
    FROM public.anonymous_questions WHERE status IN ('pending', 'flagged')
)
SELECT queue, overdue, oldest_hours, sum(decided)::bigint AS decided,
       (SELECT round(round(avg(hours), 12), 1) FROM decisions) AS mean_hours,
       (SELECT round(round(percentile_cont(0.9) WITHIN GROUP (ORDER BY hours)::numeric, 12), 1)
        FROM decisions) AS p90_hours,
       sum(within_due)::bigint AS within_due, sum(rejected)::bigint AS rejected,
       sum(crisis)::bigint AS crisis,
       (SELECT round(round(avg(hours), 12), 1) FROM answers) AS answer_mean_hours
FROM queue CROSS JOIN decided GROUP BY queue, overdue, oldest_hours
) figures
