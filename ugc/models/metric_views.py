"""The view of moderation in numbers; ugc/metrics.py has the definition."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ebalance.db.metric_views import MetricView, count
from ebalance.db.schema.classification import p0


def hours(meaning: str) -> models.DecimalField:
    return models.DecimalField(null=True, db_comment=p0(f"{meaning}, hours"))


class ModerationMetric(MetricView):
    """The queue of now, and the questions first decided in the period."""

    queue = count("questions that wait now")
    overdue = count("of them overdue")
    oldest_hours = hours("age of the oldest")
    decided = count("questions first decided in the period")
    mean_hours = hours("mean until the first decision")
    p90_hours = hours("90th percentile until the first decision")
    within_due = count("decided in time")
    rejected = count("first decision: rejected")
    crisis = count("with the flag crisis")
    answer_mean_hours = hours("mean until the answer")

    class Meta(MetricView.Meta):
        db_table = "metric_moderation"
        db_table_comment = "Metric: moderation of questions"
        verbose_name = verbose_name_plural = _("metric: moderation")
