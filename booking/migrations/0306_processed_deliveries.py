"""An index for retention: deliveries that were processed long ago.

Rollback note: `migrate booking 0305` drops what it made; nothing is lost, but purge_expired then reads the whole table. After an
interrupted build drop the invalid index by its name, then migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

import ebalance.db.rules


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("booking", "0305_audit_capture"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="paymentwebhookevent",
            index=ebalance.db.rules.Index(
                condition=models.Q(("processed_at__isnull", False)),
                fields=["processed_at"],
                name="payment_webhook_events_processed",
                serves="purge_expired, 90 days",
            ),
        ),
        # An index that is built concurrently gets no comment of its own.
        migrations.RunSQL(
            [
                "COMMENT ON INDEX payment_webhook_events_processed IS 'purge_expired, 90 days'",
            ],
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
