"""Periods of the views of metrics, and a rule for the zone of the practice.

Rollback note: run `DROP VIEW metric_periods; DROP TRIGGER system_settings_practice_timezone_is_known ON
system_settings`; nothing is lost.
"""

from pathlib import Path

import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import ebalance.db.operations
import ebalance.db.triggers.rule

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
        pgtrigger.migrations.AddTrigger(
            model_name="systemsetting",
            trigger=pgtrigger.compiler.Trigger(
                name="system_settings_practice_timezone_is_known",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    condition="WHEN (NEW.key = 'practice_timezone' AND NOT public.is_time_zone(coalesce(NEW.value #>> '{}', '')))",
                    execute="public.refuse('system_settings_practice_timezone_is_known', 'value', 'The server does not know this time zone')",
                    func="",
                    hash="6c02b2d4fc6c51e979c83a055b89c998135643e3",
                    operation='INSERT OR UPDATE OF "value"',
                    pgid="system_settings_practice_timezone_is_known",
                    table="system_settings",
                    when="AFTER",
                ),
            ),
        ),
    ]
