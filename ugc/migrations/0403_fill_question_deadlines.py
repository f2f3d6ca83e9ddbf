"""Fill the deadlines of stored questions.

Until now due_at kept the deadline of the first decision. From now on it follows the flags, so the
trigger also sets it again for questions that were escalated.

Rollback note: run `UPDATE anonymous_questions SET moderated_due_at = NULL, answer_due_at = NULL`
after the trigger of the previous release; both deadlines are lost. The new due times of escalated
questions stay.
"""

from django.db import migrations

from ebalance.db.operations import Backfill


class Migration(migrations.Migration):
    dependencies = [("ugc", "0402_question_deadlines")]

    operations = [
        Backfill(
            "anonymous_questions",
            # The trigger sets both, whatever this assigns.
            set="moderated_due_at = due_at",
            where="(moderated_at IS NOT NULL AND moderated_due_at IS NULL) "
            "OR (status IN ('approved', 'answered') AND answer_due_at IS NULL)",
        )
    ]
