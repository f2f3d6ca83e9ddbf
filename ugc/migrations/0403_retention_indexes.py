"""Indexes for retention: decided questions, consents that ended.

Rollback note: `migrate ugc 0402` drops what it made; nothing is lost, but purge_expired then reads the whole table. After an
interrupted build drop the invalid index by its name, then migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

import ebalance.db.rules


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("ugc", "0402_audit_capture"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="anonymousquestion",
            index=ebalance.db.rules.Index(
                condition=models.Q(("answered_at__isnull", False)),
                fields=["answered_at"],
                name="anonymous_questions_answered",
                serves="purge_expired, 90 days after the answer",
            ),
        ),
        AddIndexConcurrently(
            model_name="anonymousquestion",
            index=ebalance.db.rules.Index(
                condition=models.Q(("status", "rejected")),
                fields=["moderated_at"],
                name="anonymous_questions_rejected",
                serves="purge_expired, 90 days after the rejection",
            ),
        ),
        AddIndexConcurrently(
            model_name="reviewpublicationconsent",
            index=ebalance.db.rules.Index(
                condition=models.Q(("revoked_at__isnull", False)),
                fields=["revoked_at"],
                name="review_publication_consents_withdrawn",
                serves="purge_expired, 3 years after the withdrawal",
            ),
        ),
        AddIndexConcurrently(
            model_name="reviewpublicationconsent",
            index=ebalance.db.rules.Index(
                condition=models.Q(("granted", False)),
                fields=["granted_at"],
                name="review_publication_consents_refused",
                serves="purge_expired, 3 years after the refusal",
            ),
        ),
        # An index that is built concurrently gets no comment of its own.
        migrations.RunSQL(
            [
                "COMMENT ON INDEX anonymous_questions_answered IS 'purge_expired, 90 days after the answer'",
                "COMMENT ON INDEX anonymous_questions_rejected IS 'purge_expired, 90 days after the rejection'",
                "COMMENT ON INDEX review_publication_consents_withdrawn IS 'purge_expired, 3 years after the withdrawal'",
                "COMMENT ON INDEX review_publication_consents_refused IS 'purge_expired, 3 years after the refusal'",
            ],
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
