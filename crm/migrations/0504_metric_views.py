"""Views of metrics, which the analyst reads.

Rollback note: run `DROP VIEW metric_interactives, metric_telegram`; nothing is lost.
"""

from pathlib import Path

from django.db import migrations, models

from ebalance.db.operations import CreateView

SQL = Path(__file__).parent / "sql"


def _view(model: str, metric: str) -> CreateView:
    """The view reads with the privileges of its owner; it has aggregates only."""
    query = (SQL / f"0504_metric_{metric}.sql").read_text(encoding="utf-8")
    return CreateView(model, query, security_invoker=False)


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0603_metric_periods"),
        ("interactive", "0202_run_sessions"),
        ("crm", "0503_cta_by_session"),
    ]

    operations = [
        migrations.CreateModel(
            name="InteractivesMetric",
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
                ("type", models.TextField(db_comment="P0 · kind of the interactive")),
                ("slug", models.TextField(db_comment="P0 · address of the interactive")),
                ("topic", models.TextField(db_comment="P0 · topic of the interactive")),
                ("started", models.BigIntegerField(db_comment="P0 · runs started")),
                ("completed", models.BigIntegerField(db_comment="P0 · of them completed")),
                ("low", models.BigIntegerField(db_comment="P0 · of them with the result low")),
                (
                    "moderate",
                    models.BigIntegerField(db_comment="P0 · of them with the result moderate"),
                ),
                ("high", models.BigIntegerField(db_comment="P0 · of them with the result high")),
                (
                    "cta",
                    models.BigIntegerField(
                        db_comment="P0 · completed runs followed by a call to action in the same visit"
                    ),
                ),
            ],
            options={
                "verbose_name": "metric: interactives",
                "verbose_name_plural": "metric: interactives",
                "db_table": "metric_interactives",
                "db_table_comment": "Metric: interactives",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="TelegramMetric",
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
                ("clicks", models.BigIntegerField(db_comment="P0 · links clicked")),
                (
                    "subscribed",
                    models.BigIntegerField(
                        db_comment="P0 · of them with a subscription within 30 days"
                    ),
                ),
                (
                    "onboarded",
                    models.BigIntegerField(db_comment="P0 · of them with a finished onboarding"),
                ),
                (
                    "stopped",
                    models.BigIntegerField(db_comment="P0 · of them with a stopped series"),
                ),
                (
                    "returned_1",
                    models.BigIntegerField(db_comment="P0 · of them active again 1 day later"),
                ),
                (
                    "returned_7",
                    models.BigIntegerField(db_comment="P0 · of them active again 7 days later"),
                ),
                (
                    "returned_30",
                    models.BigIntegerField(db_comment="P0 · of them active again 30 days later"),
                ),
            ],
            options={
                "verbose_name": "metric: Telegram",
                "verbose_name_plural": "metric: Telegram",
                "db_table": "metric_telegram",
                "db_table_comment": "Metric: Telegram",
                "managed": False,
                "default_permissions": (),
            },
        ),
        _view("InteractivesMetric", "interactives"),
        _view("TelegramMetric", "telegram"),
    ]
