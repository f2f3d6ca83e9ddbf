"""Daily totals of runs, which outlive them; publications are written into the audit log.

Rollback note: `migrate interactive 0201` drops the totals: the numbers of runs older than 90 days
are lost unless they were copied before.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.on_delete
import ebalance.db.rules
import ebalance.db.triggers


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0003_audit_capture"),
        ("interactive", "0201_interactive"),
    ]

    operations = [
        migrations.CreateModel(
            name="InteractiveRunTotal",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_comment="P0 · UUIDv7, sortable by time",
                        db_default=models.Func(function="uuid7", output_field=models.UUIDField()),
                        default=ebalance.db.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("day", models.DateField(db_comment="P0 · day of the start, Europe/Moscow")),
                (
                    "interactive_definition",
                    models.ForeignKey(
                        db_comment="P0 · interactive",
                        db_index=False,
                        on_delete=ebalance.db.on_delete.DB_RESTRICT,
                        related_name="run_totals",
                        to="interactive.interactivedefinition",
                    ),
                ),
                ("status", models.TextField(db_comment="P0 · life cycle of the runs")),
                (
                    "result_level",
                    models.TextField(blank=True, db_comment="P0 · level reached", null=True),
                ),
                (
                    "result_profile",
                    models.TextField(
                        blank=True, db_comment="P0 · profile a navigator arrived at", null=True
                    ),
                ),
                (
                    "entry_point",
                    models.TextField(blank=True, db_comment="P0 · where from", null=True),
                ),
                (
                    "crisis_triggered",
                    models.BooleanField(db_comment="P0 · whether the crisis block was shown"),
                ),
                ("runs", models.BigIntegerField(db_comment="P0 · number of runs")),
                (
                    "timed_runs",
                    models.BigIntegerField(
                        db_comment="P0 · number of runs whose duration is known"
                    ),
                ),
                (
                    "duration_ms",
                    models.BigIntegerField(db_comment="P0 · their durations added up, ms"),
                ),
            ],
            options={
                "verbose_name": "total of runs",
                "verbose_name_plural": "totals of runs",
                "db_table": "interactive_run_totals",
                "db_table_comment": "Daily totals of runs that are gone",
                "indexes": [
                    ebalance.db.rules.Index(
                        fields=["interactive_definition", "day"],
                        name="interactive_run_totals_by_definition",
                        serves="metrics: an interactive's runs of a period; the delete check",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=(
                            "day",
                            "interactive_definition",
                            "status",
                            "result_level",
                            "result_profile",
                            "entry_point",
                            "crisis_triggered",
                        ),
                        name="interactive_run_totals_once",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("runs__gte", 1)),
                        name="interactive_run_totals_runs_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("timed_runs__gte", 0)),
                        name="interactive_run_totals_timed_runs_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("duration_ms__gte", 0)),
                        name="interactive_run_totals_duration_ms_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Func(
                                models.F("day"),
                                function="is_finite",
                                output_field=models.BooleanField(),
                            )
                        ),
                        name="interactive_run_totals_times_finite",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("status__in", ["in_progress", "completed", "abandoned"])
                        ),
                        name="interactive_run_totals_status_in_set",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("result_level__in", ["low", "moderate", "high"])),
                        name="interactive_run_totals_result_level_in_set",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "result_profile__in",
                                [
                                    "stabilize_now",
                                    "restore_energy",
                                    "boundaries",
                                    "clarify",
                                    "support_contact",
                                    "other",
                                ],
                            )
                        ),
                        name="interactive_run_totals_result_profile_in_set",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "entry_point__in",
                                ["seo", "telegram", "direct", "referral", "ads", "internal"],
                            )
                        ),
                        name="interactive_run_totals_entry_point_in_set",
                    ),
                ],
                "triggers": [
                    pgtrigger.compiler.Trigger(
                        name="interactive_run_totals_id_stays",
                        sql=ebalance.db.triggers.RuleTriggerSql(
                            condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                            execute="public.refuse('interactive_run_totals_id_stays', 'id', 'The key of a record never changes')",
                            func="",
                            hash="0a32a6d34b341e28597c32a11981c81249ae2b38",
                            operation='UPDATE OF "id"',
                            pgid="interactive_run_totals_id_stays",
                            table="interactive_run_totals",
                            when="BEFORE",
                        ),
                    )
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="interactivedefinition",
            trigger=pgtrigger.compiler.Trigger(
                name="interactive_definitions_insert_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.status = 'published')",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('interactive_published', 'id', 'status', 'published_version', 'slug')",
                    func="",
                    hash="6f07ed1a1038bca6e0957798f4213952e77a0a8a",
                    operation="INSERT",
                    pgid="interactive_definitions_insert_audited",
                    table="interactive_definitions",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="interactivedefinition",
            trigger=pgtrigger.compiler.Trigger(
                name="interactive_definitions_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status OR OLD.published_version IS DISTINCT FROM NEW.published_version))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('interactive_status_changed', 'id', 'status', 'published_version')",
                    func="",
                    hash="ffb459391c113c876d6431fe154d348b0292e15b",
                    operation="UPDATE",
                    pgid="interactive_definitions_update_audited",
                    table="interactive_definitions",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="interactiverun",
            trigger=pgtrigger.compiler.Trigger(
                name="interactive_runs_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('interactive_runs_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="d4b68db18458537ccb03d227ec793ee50da99c4b",
                    operation='INSERT OR UPDATE OF "user_id"',
                    pgid="interactive_runs_user_id_not_erased",
                    table="interactive_runs",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="interactivedefinition",
            trigger=pgtrigger.compiler.Trigger(
                name="interactive_definitions_delete_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (OLD.status = 'published')",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('interactive_deleted', 'id', 'interactive_type', 'slug', 'title', 'topic_code', 'status', 'published_at', 'published_version', 'created_at', 'updated_at')",
                    func="",
                    hash="9337232c48f3749b28d4a958786a5224eebae8aa",
                    operation="DELETE",
                    pgid="interactive_definitions_delete_audited",
                    table="interactive_definitions",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="interactivedefinition",
            trigger=pgtrigger.compiler.Trigger(
                name="interactive_definitions_no_truncate",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    execute="public.refuse('interactive_definitions_no_truncate', 'id', 'This table cannot be emptied')",
                    func="",
                    hash="f4ade9e57fa7bd5dc5c06bb2b12f1568c046c37d",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="interactive_definitions_no_truncate",
                    table="interactive_definitions",
                    when="BEFORE",
                ),
            ),
        ),
    ]
