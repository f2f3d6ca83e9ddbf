"""An index of the calls to action of a visit.

Rollback note: run `DROP INDEX CONCURRENTLY analytics_events_cta_by_session`; nothing is lost.
"""

from django.db import migrations, models

import ebalance.db.operations
import ebalance.db.rules


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0502_manual_payments"),
    ]

    operations = [
        ebalance.db.operations.AddIndexConcurrently(
            model_name="analyticsevent",
            index=ebalance.db.rules.Index(
                condition=models.Q(("session_id__isnull", False), ("tracking_event", "cta_click")),
                fields=["session_id", "occurred_at"],
                name="analytics_events_cta_by_session",
                serves="metrics, purge_expired: calls to action of a visit",
            ),
        ),
    ]
