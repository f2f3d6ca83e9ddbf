"""Moderation of questions in numbers (metrics.md)."""

from __future__ import annotations

from ebalance.metrics import Metric

from .models.totals import (
    answer_hours,
    decision_hours,
    has_crisis_flag,
    is_rejected_first,
    is_within_due,
)

# Hours have 15 places, so a mean is rounded to twelve places first: 0.35 is 0.4. Twelve places show
# a microsecond of one question among 500.
# The queue is that of now. The other figures are of the questions first decided in the period, with
# those that purge_expired and erase_user deleted.
MODERATION = Metric(
    "moderation",
    """
WITH questions AS MATERIALIZED (
    SELECT {decision_hours} AS hours, {answer_hours} AS answer_hours,
           {is_within_due} AS is_within_due, {is_rejected_first} AS is_rejected,
           {has_crisis_flag} AS is_crisis
    FROM public.anonymous_questions q
    WHERE q.moderated_at >= {begins} AND q.moderated_at < {ends}
),
totals AS (SELECT * FROM public.moderation_totals WHERE day BETWEEN {first} AND {last}),
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
    SELECT count(*) AS queue, count(*) FILTER (WHERE due_at < {now}) AS overdue,
           round(extract(epoch FROM {now} - min(submitted_at)) / 3600, 1) AS oldest_hours
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
""",
    {
        "decision_hours": decision_hours("q"),
        "answer_hours": answer_hours("q"),
        "is_within_due": is_within_due("q"),
        "is_rejected_first": is_rejected_first("q"),
        "has_crisis_flag": has_crisis_flag("q"),
    },
)
