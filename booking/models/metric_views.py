"""Views of bookings and money in numbers; booking/metrics.py has the definitions."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from ebalance.db.metric_views import MetricView, code, count
from ebalance.db.schema.classification import p0


class BookingFunnelMetric(MetricView):
    """People at each step of a booking that they began in the period."""

    dimension = code("all, entry_point, topic, service or format")
    value = models.TextField(null=True, db_comment=p0("value in that dimension; empty: all"))
    started = count("people who began")
    slot_selected = count("of them chose a time")
    paid = count("of them paid, or pass without payment")
    confirmed = count("of them have a confirmed session")

    class Meta(MetricView.Meta):
        db_table = "metric_booking_funnel"
        db_table_comment = "Metric: booking funnel"
        verbose_name = verbose_name_plural = _("metric: booking funnel")


class NoSlotsMetric(MetricView):
    """Bookings that met no free time."""

    starts = count("bookings begun")
    no_slots = count("times that no free time was shown")
    waitlist = count("requests for the waitlist")

    class Meta(MetricView.Meta):
        db_table = "metric_no_slots"
        db_table_comment = "Metric: no free times"
        verbose_name = verbose_name_plural = _("metric: no free times")


class PaymentsMetric(MetricView):
    """Payments created in the period, by the category of their failure."""

    category = models.TextField(null=True, db_comment=p0("category of failure; empty: none"))
    payments = count("payments")

    class Meta(MetricView.Meta):
        db_table = "metric_payments"
        db_table_comment = "Metric: failed payments"
        verbose_name = verbose_name_plural = _("metric: failed payments")


class NoShowMetric(MetricView):
    """Outcomes of the sessions that start in the period."""

    attended = count("sessions attended")
    no_show = count("sessions missed")
    unrecorded = count("sessions over without an outcome")

    class Meta(MetricView.Meta):
        db_table = "metric_no_show"
        db_table_comment = "Metric: missed sessions"
        verbose_name = verbose_name_plural = _("metric: missed sessions")


class RevenueMetric(MetricView):
    """Money received and returned in the period."""

    gross = count("received, roubles")
    refunded = count("returned, roubles")
    net = count("received less returned, roubles")
    payments = count("payments received")
    average = models.BigIntegerField(null=True, db_comment=p0("mean payment, roubles"))
    previous_net = count("net of the period of equal length before, roubles")

    class Meta(MetricView.Meta):
        db_table = "metric_revenue"
        db_table_comment = "Metric: revenue"
        verbose_name = verbose_name_plural = _("metric: revenue")


class RetentionMetric(MetricView):
    """People by the month of their first confirmed session."""

    month = code("month of the first confirmed session, YYYY-MM")
    size = count("people")
    active = ArrayField(
        models.BigIntegerField(), db_comment=p0("of them active in each later month")
    )

    class Meta(MetricView.Meta):
        db_table = "metric_retention"
        db_table_comment = "Metric: retention"
        verbose_name = verbose_name_plural = _("metric: retention")
