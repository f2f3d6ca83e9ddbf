"""Views of interactives and Telegram in numbers; crm/metrics.py has the definitions."""

from django.utils.translation import gettext_lazy as _

from ebalance.db.metric_views import MetricView, code, count


class InteractivesMetric(MetricView):
    """Runs of each interactive that were started in the period."""

    type = code("kind of the interactive")
    slug = code("address of the interactive")
    topic = code("topic of the interactive")
    started = count("runs started")
    completed = count("of them completed")
    low = count("of them with the result low")
    moderate = count("of them with the result moderate")
    high = count("of them with the result high")
    cta = count("completed runs followed by a call to action in the same visit")

    class Meta(MetricView.Meta):
        db_table = "metric_interactives"
        db_table_comment = "Metric: interactives"
        verbose_name = verbose_name_plural = _("metric: interactives")


class TelegramMetric(MetricView):
    """The way from a click on a link into Telegram."""

    clicks = count("links clicked")
    subscribed = count("of them with a subscription within 30 days")
    onboarded = count("of them with a finished onboarding")
    stopped = count("of them with a stopped series")
    returned_1 = count("of them active again 1 day later")
    returned_7 = count("of them active again 7 days later")
    returned_30 = count("of them active again 30 days later")

    class Meta(MetricView.Meta):
        db_table = "metric_telegram"
        db_table_comment = "Metric: Telegram"
        verbose_name = verbose_name_plural = _("metric: Telegram")
