"""The periods that views of metrics show."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ebalance.db.metric_views import MetricView
from ebalance.db.schema.classification import p0


class MetricPeriod(MetricView):
    """Today, the last 7 and 30 days, this month and the twelve before it (metrics.md)."""

    zone = models.TextField(db_comment=p0("zone of the practice's days"))
    environment = models.TextField(db_comment=p0("environment whose events count"))

    class Meta(MetricView.Meta):
        db_table = "metric_periods"
        db_table_comment = "Periods that the views of metrics show"
        verbose_name = _("period of the metrics")
        verbose_name_plural = _("periods of the metrics")
