"""Indexes for the relay of the outbox: each row's first unpublished event, and what was sent when.

Rollback note: `migrate audit 0603` drops both; nothing is lost, but relay_outbox and its metrics read far more. After an interrupted build drop the invalid index by its name, then migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

import ebalance.db.rules


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("audit", "0603_key_rotations"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="outboxevent",
            index=ebalance.db.rules.Index(
                condition=models.Q(("published_at__isnull", True)),
                fields=["aggregate_type", "aggregate_id", "id"],
                name="outbox_events_heads",
                serves="relay_outbox: the first unpublished event of a row, and those behind it",
            ),
        ),
        AddIndexConcurrently(
            model_name="outboxevent",
            index=ebalance.db.rules.Index(
                condition=models.Q(("published_at__isnull", False)),
                fields=["published_at"],
                name="outbox_events_published",
                serves="relay_outbox --status: sent in the last minute; retention",
            ),
        ),
        # An index that is built concurrently gets no comment of its own.
        migrations.RunSQL(
            [
                "COMMENT ON INDEX outbox_events_heads IS 'relay_outbox: the first unpublished event of a row, and those behind it'",
                "COMMENT ON INDEX outbox_events_published IS 'relay_outbox --status: sent in the last minute; retention'",
            ],
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
