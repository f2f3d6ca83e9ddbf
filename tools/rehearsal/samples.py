"""Sample migrations: one for each safe operation, on hot tables.

They are rehearsed while the tree has no unreleased migration, so that the runner itself is
rehearsed before each deploy. The second phase runs after ``manage.py backfill``.
"""

from __future__ import annotations

from pathlib import Path

FILE = '''"""A sample of tools/rehearse.py. Rollback note: run `dropdb`; nothing is lost."""

from django.db import migrations, models

from ebalance.db import rules
from ebalance.db.operations import *


class Migration(migrations.Migration):
    dependencies = [({app!r}, {last!r}), ("identity", "0001_identity")]
    operations = [
{operations}
    ]
'''
OF_FIRST_RELEASE = 'Contract(expand="{}", released="1.0.0"),'
TRIGGER = """
    migrations.RunSQL("CREATE TRIGGER {table}_sample BEFORE UPDATE ON public.{table} "
                      "FOR EACH ROW EXECUTE FUNCTION public.sample_trigger()", ""),
"""
PHASES: tuple[dict[tuple[str, str], str], ...] = (
    {
        ("crm", "9001_nullable_column"): """
    migrations.AddField("lead", "sample", models.TextField(null=True)),""",
        ("booking", "9001_column_with_default"): """
    migrations.AddField("appointment", "sample", models.BooleanField(db_default=False)),""",
        ("booking", "9002_column_to_fill"): """
    migrations.AddField("payment", "sample", models.TextField(null=True)),
    migrations.AlterField("payment", "sample", models.TextField(null=True, db_default="new")),""",
        ("booking", "9003_backfill"): """
    Backfill("payments", set="sample = 'old'", where="sample IS NULL"),""",
        ("crm", "9002_check"): """
    AddCheck("lead", models.CheckConstraint(
        condition=models.Q(created_at__isnull=False), name="leads_sample")),""",
        ("crm", "9003_replaced_check"): """
    ReplaceCheck("lead", models.CheckConstraint(
        condition=models.Q(status__isnull=False), name="leads_status_in_set")),""",
        ("crm", "9004_index"): """
    AddIndexConcurrently("leadtimelineevent", rules.Index(
        "lead_timeline_events_sample", "source", "occurred_at", serves="a sample")),""",
        ("audit", "9001_unique"): """
    AddUnique("outboxevent", models.UniqueConstraint(
        fields=["id", "event_type"], name="outbox_events_sample")),""",
        ("booking", "9004_foreign_key"): """
    AddForeignKey("availabilityslot", "sample", models.ForeignKey(
        "identity.User", null=True, on_delete=models.RESTRICT, related_name="+")),""",
        ("identity", "9001_function_of_checks"): """
    ReplaceFunction("is_code", "CREATE OR REPLACE FUNCTION public.is_code(value text) "
        "RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN value ~ '^[a-z]'"),""",
        ("crm", "9005_triggers_on_two_tables"): """
    migrations.RunSQL("CREATE FUNCTION public.sample_trigger() RETURNS trigger LANGUAGE plpgsql "
                      "AS $$ BEGIN RETURN NEW; END $$", ""),"""
        + TRIGGER.format(table="leads")
        + TRIGGER.format(table="lead_timeline_events"),
        ("ugc", "9001_table"): """
    migrations.CreateModel("Sample", fields=[
        ("id", models.BigAutoField(primary_key=True)),
        ("user", models.ForeignKey("identity.User", on_delete=models.RESTRICT,
                                   related_name="+")),
    ], options={"db_table": "samples"}),""",
        ("crm", "9006_contract_of_an_index"): OF_FIRST_RELEASE.format("crm.0501_crm")
        + 'RemoveIndexConcurrently("analyticsevent", "analytics_events_by_receipt"),',
    },
    {
        ("booking", "9005_contract_of_a_rule"): OF_FIRST_RELEASE.format("booking.0301_booking")
        + 'migrations.RemoveConstraint("appointment", "appointments_reason_with_outcome"),',
        ("booking", "9006_not_null"): """
    SetNotNull("payment", "sample", models.TextField(db_default="new")),""",
        ("booking", "9007_contract_of_a_column"): """
    Contract(expand="booking.9001", released="1.1.0"),
    migrations.RemoveField("appointment", "sample"),""",
    },
)


def write(root: Path, phase: dict[tuple[str, str], str]) -> None:
    """Write the migrations of a phase behind those of each app in ``root``."""
    for (app, name), operations in phase.items():
        last = max(path.stem for path in (root / app).glob("[0-9]*.py"))
        (root / app / f"{name}.py").write_text(
            FILE.format(app=app, last=last, operations=operations), encoding="utf-8"
        )
