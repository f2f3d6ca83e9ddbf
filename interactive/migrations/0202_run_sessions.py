"""The visit of a run, and the number of runs that a call to action follows.

Rollback note: run `ALTER TABLE interactive_runs DROP COLUMN session_id` and
`ALTER TABLE interactive_run_totals DROP COLUMN cta_runs`; both are lost.
"""

from django.conf import settings
from django.db import migrations, models

import ebalance.db.operations
import ebalance.db.rules


class Migration(migrations.Migration):
    dependencies = [
        ("interactive", "0201_interactive"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="interactiverun",
            name="session_id",
            field=models.UUIDField(
                blank=True, db_comment="P0 · visit, as in analytics_events", null=True
            ),
        ),
        migrations.AddField(
            model_name="interactiveruntotal",
            name="cta_runs",
            field=models.BigIntegerField(
                db_comment="P0 · number of completed runs that a cta_click of their visit follows",
                db_default=0,
                default=0,
            ),
        ),
        ebalance.db.operations.AddIndexConcurrently(
            model_name="interactiverun",
            index=ebalance.db.rules.Index(
                condition=models.Q(("session_id__isnull", False)),
                fields=["session_id"],
                name="interactive_runs_by_session",
                serves="erasure: runs of the visits that it unlinks",
            ),
        ),
        ebalance.db.operations.AddCheck(
            model_name="interactiveruntotal",
            constraint=models.CheckConstraint(
                condition=models.Q(("cta_runs__gte", 0), ("cta_runs__lte", models.F("runs"))),
                name="interactive_run_totals_cta_runs_within_runs",
            ),
        ),
    ]
