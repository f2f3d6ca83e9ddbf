"""Views of metrics, which the analyst reads.

Rollback note: run `DROP VIEW metric_moderation`; nothing is lost.
"""

from pathlib import Path

from django.db import migrations, models

from ebalance.db.operations import CreateView

SQL = Path(__file__).parent / "sql"


def _view(model: str, metric: str) -> CreateView:
    """The view reads with the privileges of its owner; it has aggregates only."""
    query = (SQL / f"0404_metric_{metric}.sql").read_text(encoding="utf-8")
    return CreateView(model, query, security_invoker=False)


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0603_metric_periods"),
        ("ugc", "0403_fill_question_deadlines"),
    ]

    operations = [
        migrations.CreateModel(
            name="ModerationMetric",
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
                ("queue", models.BigIntegerField(db_comment="P0 · questions that wait now")),
                ("overdue", models.BigIntegerField(db_comment="P0 · of them overdue")),
                (
                    "oldest_hours",
                    models.DecimalField(db_comment="P0 · age of the oldest, hours", null=True),
                ),
                (
                    "decided",
                    models.BigIntegerField(db_comment="P0 · questions first decided in the period"),
                ),
                (
                    "mean_hours",
                    models.DecimalField(
                        db_comment="P0 · mean until the first decision, hours", null=True
                    ),
                ),
                (
                    "p90_hours",
                    models.DecimalField(
                        db_comment="P0 · 90th percentile until the first decision, hours", null=True
                    ),
                ),
                ("within_due", models.BigIntegerField(db_comment="P0 · decided in time")),
                ("rejected", models.BigIntegerField(db_comment="P0 · first decision: rejected")),
                ("crisis", models.BigIntegerField(db_comment="P0 · with the flag crisis")),
                (
                    "answer_mean_hours",
                    models.DecimalField(db_comment="P0 · mean until the answer, hours", null=True),
                ),
            ],
            options={
                "verbose_name": "metric: moderation",
                "verbose_name_plural": "metric: moderation",
                "db_table": "metric_moderation",
                "db_table_comment": "Metric: moderation of questions",
                "managed": False,
                "default_permissions": (),
            },
        ),
        _view("ModerationMetric", "moderation"),
    ]
