"""An index for retention: exports that are over.

Rollback note: `migrate identity 0003` drops what it made; nothing is lost, but purge_expired then reads the whole table. After an
interrupted build drop the invalid index by its name, then migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

import ebalance.db.rules


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("identity", "0003_audit_capture"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="dataexportrequest",
            index=ebalance.db.rules.Index(
                condition=models.Q(("status__in", ["ready", "failed"])),
                fields=["created_at"],
                name="data_export_requests_over",
                serves="purge_expired, 90 days",
            ),
        ),
        # An index that is built concurrently gets no comment of its own.
        migrations.RunSQL(
            [
                "COMMENT ON INDEX data_export_requests_over IS 'purge_expired, 90 days'",
            ],
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
