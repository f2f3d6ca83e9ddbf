"""The database writes the status of questions and reviews into the audit log itself; consents to
publish a review may go three years after they ended.

Rollback note: `migrate ugc 0401`; nothing is lost, changes are no longer recorded.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

import ebalance.db.triggers


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0003_audit_capture"),
        ("ugc", "0401_ugc"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="reviewpublicationconsent",
            name="review_publication_consents_no_delete",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="anonymousquestion",
            trigger=pgtrigger.compiler.Trigger(
                name="anonymous_questions_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('question_status_changed', 'id', 'status')",
                    func="",
                    hash="e2ece0b8dd06ba77b532d8e4eef5cf4c78d64e0f",
                    operation="UPDATE",
                    pgid="anonymous_questions_update_audited",
                    table="anonymous_questions",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="anonymousquestion",
            trigger=pgtrigger.compiler.Trigger(
                name="anonymous_questions_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('anonymous_questions_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="7de400734ccd79d274483ab2717f57e1ae1fd753",
                    operation='INSERT OR UPDATE OF "user_id"',
                    pgid="anonymous_questions_user_id_not_erased",
                    table="anonymous_questions",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="diaryentry",
            trigger=pgtrigger.compiler.Trigger(
                name="diary_entries_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('diary_entries_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="c6ffeba64ac3aca26e85c967d7343a475ef50398",
                    operation='INSERT OR UPDATE OF "user_id"',
                    pgid="diary_entries_user_id_not_erased",
                    table="diary_entries",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="review",
            trigger=pgtrigger.compiler.Trigger(
                name="reviews_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('review_status_changed', 'id', 'status')",
                    func="",
                    hash="27b8e7e4fcbb7a8cdafa90eb6173baa6f055e554",
                    operation="UPDATE",
                    pgid="reviews_update_audited",
                    table="reviews",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="review",
            trigger=pgtrigger.compiler.Trigger(
                name="reviews_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('reviews_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="5d4ad5e4bc3dab204aeeae8b34d00082284e1735",
                    operation='INSERT OR UPDATE OF "user_id"',
                    pgid="reviews_user_id_not_erased",
                    table="reviews",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="reviewpublicationconsent",
            trigger=pgtrigger.compiler.Trigger(
                name="review_publication_consents_no_delete",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((CASE WHEN OLD.granted THEN OLD.revoked_at ELSE OLD.granted_at END < pg_catalog.now() - interval '3 years') IS NOT TRUE)",
                    execute="public.refuse('review_publication_consents_no_delete', 'id', 'These records are kept as evidence and are not deleted')",
                    func="",
                    hash="7e5fe0ca485efb1bd6f3d090b265c33ad93f3218",
                    operation="DELETE",
                    pgid="review_publication_consents_no_delete",
                    table="review_publication_consents",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="reviewpublicationconsent",
            trigger=pgtrigger.compiler.Trigger(
                name="review_publication_consents_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('review_publication_consents_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="8cac9bc526017955d20387649ee5d1ea0997db04",
                    operation='INSERT OR UPDATE OF "user_id"',
                    pgid="review_publication_consents_user_id_not_erased",
                    table="review_publication_consents",
                    when="BEFORE",
                ),
            ),
        ),
    ]
