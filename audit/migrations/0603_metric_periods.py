"""Periods of the views of metrics, and a rule for the zone of the practice.

Rollback note: run `DROP VIEW metric_periods; ALTER TABLE system_settings DROP CONSTRAINT
system_settings_practice_timezone_is_iana_zone`; nothing is lost.
"""

from pathlib import Path

from django.conf import settings
from django.db import migrations, models

import ebalance.db.operations

SQL = Path(__file__).parent / "sql"
METRIC_PERIODS = (SQL / "0603_metric_periods.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0602_days_in_the_log"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="MetricPeriod",
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
                ("zone", models.TextField(db_comment="P0 · zone of the practice's days")),
                ("environment", models.TextField(db_comment="P0 · environment whose events count")),
            ],
            options={
                "verbose_name": "period of the metrics",
                "verbose_name_plural": "periods of the metrics",
                "db_table": "metric_periods",
                "db_table_comment": "Periods that the views of metrics show",
                "managed": False,
                "default_permissions": (),
            },
        ),
        ebalance.db.operations.CreateView("MetricPeriod", METRIC_PERIODS, security_invoker=False),
        ebalance.db.operations.AddCheck(
            model_name="systemsetting",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("key", "practice_timezone"), _negated=True),
                    models.Func(
                        models.Func(
                            models.F("value"),
                            output_field=models.TextField(),
                            template="coalesce(%(expressions)s #>> '{}', '')",
                        ),
                        function="is_zone_form",
                        output_field=models.BooleanField(),
                    ),
                    _connector="OR",
                ),
                name="system_settings_practice_timezone_is_iana_zone",
            ),
        ),
    ]
