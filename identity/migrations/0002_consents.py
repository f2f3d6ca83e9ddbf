"""Consents, which name leads.

Rollback note: unapplying drops the consents, which are evidence: export them before.
"""

import pgtrigger.compiler
from django.conf import settings
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.on_delete
import ebalance.db.operations
import ebalance.db.rules
import ebalance.db.triggers


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("crm", "0501_crm"),
        ("identity", "0001_identity"),
    ]

    operations = [
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="Consent",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                db_comment="P0 · UUIDv7, sortable by time",
                                db_default=models.Func(
                                    function="uuid7", output_field=models.UUIDField()
                                ),
                                default=ebalance.db.ids.uuid7,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · who agreed, if known",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="consents",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "lead",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · lead who agreed",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="consents",
                                to="crm.lead",
                            ),
                        ),
                        ("consent_type", models.TextField(db_comment="P0 · purpose agreed to")),
                        (
                            "granted",
                            models.BooleanField(
                                db_comment="P0 · true: agreed; false: refused",
                                db_default=True,
                                default=True,
                            ),
                        ),
                        (
                            "version",
                            models.TextField(
                                db_comment="P0 · version of the text, YYYY-MM-DD or YYYY-MM-DD.n"
                            ),
                        ),
                        ("source", models.TextField(db_comment="P0 · where it was given")),
                        (
                            "granted_at",
                            models.DateTimeField(
                                db_comment="P0 · when given, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                            ),
                        ),
                        (
                            "revoked_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when withdrawn, UTC; set once",
                                null=True,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "consent",
                        "verbose_name_plural": "consents",
                        "db_table": "consents",
                        "db_table_comment": "Evidence of consents; only revoked_at changes, once",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["user", "granted_at"],
                                name="consents_by_user",
                                serves="history of a person",
                            ),
                            ebalance.db.rules.Index(
                                fields=["lead", "granted_at"],
                                name="consents_by_lead",
                                serves="history of a lead",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("version__regex", "^[0-9]{4}-[0-9]{2}-[0-9]{2}(\\.[0-9]+)?$")
                                ),
                                name="consents_version_is_dated",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("revoked_at__isnull", True),
                                    ("revoked_at__gte", models.F("granted_at")),
                                    _connector="OR",
                                ),
                                name="consents_revoked_after_granted",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("granted", True), ("revoked_at__isnull", True), _connector="OR"
                                ),
                                name="consents_refusal_is_not_revoked",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("granted_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("revoked_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="consents_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("user__isnull", False),
                                    ("lead__isnull", False),
                                    _connector="OR",
                                ),
                                name="consents_subject_present",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(
                                    ("granted", True),
                                    ("revoked_at__isnull", True),
                                    ("user__isnull", False),
                                ),
                                fields=("user", "consent_type"),
                                name="consents_one_active_per_user",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(
                                    ("granted", True),
                                    ("lead__isnull", False),
                                    ("revoked_at__isnull", True),
                                ),
                                fields=("lead", "consent_type"),
                                name="consents_one_active_per_lead",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "consent_type__in",
                                        [
                                            "personal_data",
                                            "communications",
                                            "telegram",
                                            "review_publication",
                                        ],
                                    )
                                ),
                                name="consents_consent_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("version__length__lte", 60)),
                                name="consents_version_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("source__in", ["web", "telegram", "admin"])),
                                name="consents_source_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="consents_are_evidence",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.lead_id IS DISTINCT FROM NEW.lead_id OR OLD.consent_type IS DISTINCT FROM NEW.consent_type OR OLD.granted IS DISTINCT FROM NEW.granted OR OLD.version IS DISTINCT FROM NEW.version OR OLD.source IS DISTINCT FROM NEW.source OR OLD.granted_at IS DISTINCT FROM NEW.granted_at))",
                                    execute="public.refuse('consents_are_evidence', 'user_id', 'A consent is evidence: only its withdrawal can be recorded')",
                                    func="",
                                    hash="815bb26d9991235c5a46c68d53bae03e231dd887",
                                    operation="UPDATE",
                                    pgid="consents_are_evidence",
                                    table="consents",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="consents_revoked_once",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.revoked_at IS DISTINCT FROM NEW.revoked_at) AND OLD.revoked_at IS NOT NULL)",
                                    execute="public.refuse('consents_revoked_once', 'revoked_at', 'A consent is withdrawn once')",
                                    func="",
                                    hash="4453f58f3614e15f3f058e18a0664e5c55c4fb64",
                                    operation="UPDATE",
                                    pgid="consents_revoked_once",
                                    table="consents",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="consents_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('consents_no_delete', 'id', 'These records are kept as evidence and are not deleted')",
                                    func="",
                                    hash="cc59f2387b43fcab0be33236a2269e990644cf30",
                                    operation="DELETE",
                                    pgid="consents_no_delete",
                                    table="consents",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="consents_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('consents_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="a4ea30b66bc814782a1ddca66d69beb3020abf4e",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="consents_no_truncate",
                                    table="consents",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="consents_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('consents_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="f1bf826d844792c36de9cbc0cc4124226b7621fd",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="consents_user_id_not_erased",
                                    table="consents",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="consents_granted_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.granted_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('consents_granted_at_not_ahead', 'granted_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="6e998f131de9287d707a2bdfcec592b824c97769",
                                    operation='INSERT OR UPDATE OF "granted_at"',
                                    pgid="consents_granted_at_not_ahead",
                                    table="consents",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="consents_revoked_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.revoked_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('consents_revoked_at_not_ahead', 'revoked_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="7b460bf31de672e2fbfd6f927b534e11760c36db",
                                    operation='INSERT OR UPDATE OF "revoked_at"',
                                    pgid="consents_revoked_at_not_ahead",
                                    table="consents",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="consents_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('consents_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="0c5b014e0947425c614a3ffaa46f8072a0791ec2",
                                    operation='UPDATE OF "id"',
                                    pgid="consents_id_stays",
                                    table="consents",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                )
            ],
        ),
    ]
