"""Views of metrics, which the analyst reads.

Rollback note: run `DROP VIEW metric_booking_funnel, metric_no_slots, metric_payments, metric_no_show,
metric_revenue, metric_retention`; nothing is lost.
"""

from pathlib import Path

import django.contrib.postgres.fields
from django.db import migrations, models

from ebalance.db.operations import CreateView

SQL = Path(__file__).parent / "sql"


def _view(model: str, metric: str) -> CreateView:
    """The view reads with the privileges of its owner; it has aggregates only."""
    query = (SQL / f"0305_metric_{metric}.sql").read_text(encoding="utf-8")
    return CreateView(model, query, security_invoker=False)


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0504_metric_views"),
        ("booking", "0304_messages_and_notes"),
    ]

    operations = [
        migrations.CreateModel(
            name="BookingFunnelMetric",
            fields=[
                (
                    "period",
                    models.TextField(
                        db_comment="P0 · today, 7d, 30d, or month YYYY-MM",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("first_day", models.DateField(db_comment="P0 · first day of the period")),
                ("last_day", models.DateField(db_comment="P0 · last day of the period")),
                (
                    "dimension",
                    models.TextField(db_comment="P0 · all, entry_point, topic, service or format"),
                ),
                (
                    "value",
                    models.TextField(
                        db_comment="P0 · value in that dimension; empty: all", null=True
                    ),
                ),
                ("started", models.BigIntegerField(db_comment="P0 · people who began")),
                ("slot_selected", models.BigIntegerField(db_comment="P0 · of them chose a time")),
                (
                    "paid",
                    models.BigIntegerField(db_comment="P0 · of them paid, or pass without payment"),
                ),
                (
                    "confirmed",
                    models.BigIntegerField(db_comment="P0 · of them have a confirmed session"),
                ),
            ],
            options={
                "verbose_name": "metric: booking funnel",
                "verbose_name_plural": "metric: booking funnel",
                "db_table": "metric_booking_funnel",
                "db_table_comment": "Metric: booking funnel",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="NoShowMetric",
            fields=[
                (
                    "period",
                    models.TextField(
                        db_comment="P0 · today, 7d, 30d, or month YYYY-MM",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("first_day", models.DateField(db_comment="P0 · first day of the period")),
                ("last_day", models.DateField(db_comment="P0 · last day of the period")),
                ("attended", models.BigIntegerField(db_comment="P0 · sessions attended")),
                ("no_show", models.BigIntegerField(db_comment="P0 · sessions missed")),
                (
                    "unrecorded",
                    models.BigIntegerField(db_comment="P0 · sessions over without an outcome"),
                ),
            ],
            options={
                "verbose_name": "metric: missed sessions",
                "verbose_name_plural": "metric: missed sessions",
                "db_table": "metric_no_show",
                "db_table_comment": "Metric: missed sessions",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="NoSlotsMetric",
            fields=[
                (
                    "period",
                    models.TextField(
                        db_comment="P0 · today, 7d, 30d, or month YYYY-MM",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("first_day", models.DateField(db_comment="P0 · first day of the period")),
                ("last_day", models.DateField(db_comment="P0 · last day of the period")),
                ("starts", models.BigIntegerField(db_comment="P0 · bookings begun")),
                (
                    "no_slots",
                    models.BigIntegerField(db_comment="P0 · times that no free time was shown"),
                ),
                ("waitlist", models.BigIntegerField(db_comment="P0 · requests for the waitlist")),
            ],
            options={
                "verbose_name": "metric: no free times",
                "verbose_name_plural": "metric: no free times",
                "db_table": "metric_no_slots",
                "db_table_comment": "Metric: no free times",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="PaymentsMetric",
            fields=[
                (
                    "period",
                    models.TextField(
                        db_comment="P0 · today, 7d, 30d, or month YYYY-MM",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("first_day", models.DateField(db_comment="P0 · first day of the period")),
                ("last_day", models.DateField(db_comment="P0 · last day of the period")),
                (
                    "category",
                    models.TextField(db_comment="P0 · category of failure; empty: none", null=True),
                ),
                ("payments", models.BigIntegerField(db_comment="P0 · payments")),
            ],
            options={
                "verbose_name": "metric: failed payments",
                "verbose_name_plural": "metric: failed payments",
                "db_table": "metric_payments",
                "db_table_comment": "Metric: failed payments",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="RetentionMetric",
            fields=[
                (
                    "period",
                    models.TextField(
                        db_comment="P0 · today, 7d, 30d, or month YYYY-MM",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("first_day", models.DateField(db_comment="P0 · first day of the period")),
                ("last_day", models.DateField(db_comment="P0 · last day of the period")),
                (
                    "month",
                    models.TextField(
                        db_comment="P0 · month of the first confirmed session, YYYY-MM"
                    ),
                ),
                ("size", models.BigIntegerField(db_comment="P0 · people")),
                (
                    "active",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        db_comment="P0 · of them active in each later month",
                    ),
                ),
            ],
            options={
                "verbose_name": "metric: retention",
                "verbose_name_plural": "metric: retention",
                "db_table": "metric_retention",
                "db_table_comment": "Metric: retention",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="RevenueMetric",
            fields=[
                (
                    "period",
                    models.TextField(
                        db_comment="P0 · today, 7d, 30d, or month YYYY-MM",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("first_day", models.DateField(db_comment="P0 · first day of the period")),
                ("last_day", models.DateField(db_comment="P0 · last day of the period")),
                ("gross", models.BigIntegerField(db_comment="P0 · received, roubles")),
                ("refunded", models.BigIntegerField(db_comment="P0 · returned, roubles")),
                ("net", models.BigIntegerField(db_comment="P0 · received less returned, roubles")),
                ("payments", models.BigIntegerField(db_comment="P0 · payments received")),
                (
                    "average",
                    models.BigIntegerField(db_comment="P0 · mean payment, roubles", null=True),
                ),
                (
                    "previous_net",
                    models.BigIntegerField(
                        db_comment="P0 · net of the period of equal length before, roubles"
                    ),
                ),
            ],
            options={
                "verbose_name": "metric: revenue",
                "verbose_name_plural": "metric: revenue",
                "db_table": "metric_revenue",
                "db_table_comment": "Metric: revenue",
                "managed": False,
                "default_permissions": (),
            },
        ),
        _view("BookingFunnelMetric", "booking_funnel"),
        _view("NoSlotsMetric", "no_slots"),
        _view("PaymentsMetric", "payments"),
        _view("NoShowMetric", "no_show"),
        _view("RevenueMetric", "revenue"),
        _view("RetentionMetric", "retention"),
    ]
