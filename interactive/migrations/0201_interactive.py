"""Interactives, their versions, runs and daily totals."""

import django.db.models.deletion
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
        ("audit", "0601_audit"),
        ("content", "0101_content"),
        ("identity", "0001_identity"),
    ]

    operations = [
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="InteractiveDefinition",
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
                            "interactive_type",
                            models.TextField(db_comment="P0 · kind of interactive"),
                        ),
                        (
                            "slug",
                            models.TextField(db_comment="P0 · slug in addresses, unique per kind"),
                        ),
                        ("title", models.TextField(db_comment="P0 · title")),
                        (
                            "topic",
                            models.ForeignKey(
                                blank=True,
                                db_column="topic_code",
                                db_comment="P0 · topic, if one",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="interactive_definitions",
                                to="content.topic",
                            ),
                        ),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle", db_default="draft", default="draft"
                            ),
                        ),
                        (
                            "published_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when published, UTC", null=True
                            ),
                        ),
                        (
                            "published_version",
                            models.IntegerField(
                                blank=True, db_comment="P0 · version that people see", null=True
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_comment="P0 · when the row was written, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                                verbose_name="created at",
                            ),
                        ),
                        (
                            "updated_at",
                            models.DateTimeField(
                                db_comment="P0 · when the row was last written, UTC; kept by the database",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                                verbose_name="updated at",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "interactive",
                        "verbose_name_plural": "interactives",
                        "db_table": "interactive_definitions",
                        "db_table_comment": "Interactives",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["topic"],
                                name="interactive_definitions_by_topic",
                                serves="those of a topic",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("interactive_type", "slug"),
                                name="interactive_definitions_slug_unique_per_type",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("slug__regex", "^[a-z0-9]+(-[a-z0-9]+)*$")),
                                name="interactive_definitions_slug_is_slug",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("title"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="interactive_definitions_title_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "published"), _negated=True),
                                    models.Q(
                                        ("published_at__isnull", False),
                                        ("published_version__isnull", False),
                                    ),
                                    _connector="OR",
                                ),
                                name="interactive_definitions_published_is_complete",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("updated_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("published_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="interactive_definitions_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "interactive_type__in",
                                        [
                                            "quiz",
                                            "navigator",
                                            "thermometer",
                                            "boundaries",
                                            "prep",
                                            "ritual",
                                        ],
                                    )
                                ),
                                name="interactive_definitions_interactive_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("slug__length__lte", 120)),
                                name="interactive_definitions_slug_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("title__length__lte", 200)),
                                name="interactive_definitions_title_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["draft", "published", "archived"])
                                ),
                                name="interactive_definitions_status_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="interactive_definitions_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('draft', 'published'), ('published', 'archived'), ('published', 'draft'), ('archived', 'draft'))))",
                                    execute="public.refuse_transition('interactive_definitions_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="e9dec15ddacd8ff3d74330a2366dee6cac3990f3",
                                    operation='UPDATE OF "status"',
                                    pgid="interactive_definitions_status_transition",
                                    table="interactive_definitions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_definitions_published_version_exists",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.published_version IS NOT NULL)",
                                    constraint="CONSTRAINT",
                                    execute="public.interactive_definitions_published_version_exists()",
                                    func="CREATE OR REPLACE FUNCTION public.interactive_definitions_published_version_exists() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF EXISTS (SELECT FROM public.interactive_definitions WHERE id = NEW.id AND published_version = NEW.published_version)\n       AND NOT EXISTS (SELECT FROM public.interactive_versions\n                       WHERE interactive_definition_id = NEW.id AND version = NEW.published_version) THEN\n        PERFORM public.raise_refusal('interactive_definitions_published_version_exists', TG_TABLE_NAME, 'published_version', 'There is no such version; it must exist before it is used');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="33f334fc2fdd520990b95367ab3d4964530770ab",
                                    operation='INSERT OR UPDATE OF "published_version"',
                                    pgid="interactive_definitions_published_version_exists",
                                    table="interactive_definitions",
                                    timing="DEFERRABLE INITIALLY IMMEDIATE",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_definitions_touch_updated_at",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="30f3be70dad6da5e9080434f4aab547a085aab07",
                                    operation="UPDATE",
                                    pgid="interactive_definitions_touch_updated_at",
                                    table="interactive_definitions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
                                name="interactive_definitions_published_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.published_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('interactive_definitions_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="b6716011ec7c193b9769cc422bc7a22ed15bbb58",
                                    operation='INSERT OR UPDATE OF "published_at"',
                                    pgid="interactive_definitions_published_at_not_ahead",
                                    table="interactive_definitions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_definitions_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('interactive_definitions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="f376b1936847523159a76b7aa3fd5947cbad6cfd",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="interactive_definitions_created_at_not_ahead",
                                    table="interactive_definitions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_definitions_updated_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('interactive_definitions_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="d75ce24f63f2180b72dcc5e592858b0141b61f9e",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="interactive_definitions_updated_at_not_ahead",
                                    table="interactive_definitions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_definitions_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('interactive_definitions_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="0469ab2315440851c5ec36ee87c44e8e4f9f78d4",
                                    operation='UPDATE OF "id"',
                                    pgid="interactive_definitions_id_stays",
                                    table="interactive_definitions",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="InteractiveVersion",
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
                            "interactive_definition",
                            models.ForeignKey(
                                db_comment="P0 · interactive",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="versions",
                                to="interactive.interactivedefinition",
                            ),
                        ),
                        (
                            "version",
                            models.IntegerField(db_comment="P0 · number, from 1, per interactive"),
                        ),
                        (
                            "config",
                            models.JSONField(
                                blank=True,
                                db_comment="P0 · questions, steps, thresholds; a JSON object",
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                blank=True,
                                db_column="created_by_user_id",
                                db_comment="P0 · who made it",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="interactive_versions",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_comment="P0 · when the row was written, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                                verbose_name="created at",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "version of an interactive",
                        "verbose_name_plural": "versions of an interactive",
                        "db_table": "interactive_versions",
                        "db_table_comment": "Configurations of interactives; immutable",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["created_by"],
                                name="interactive_versions_by_author",
                                serves="the delete check",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("interactive_definition", "version"),
                                name="interactive_versions_once_per_definition",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("version__gte", 1)),
                                name="interactive_versions_version_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("config"),
                                        function="is_json_object",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="interactive_versions_config_is_object",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="interactive_versions_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("config"),
                                        models.Value(200000),
                                        function="json_has_length",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="interactive_versions_config_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="interactive_versions_immutable",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('interactive_versions_immutable', 'id', 'This record cannot be changed any more')",
                                    func="",
                                    hash="8273710deeb97ede08bba4e8f2e6c73fe14e672c",
                                    operation="UPDATE",
                                    pgid="interactive_versions_immutable",
                                    table="interactive_versions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_versions_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.interactive_versions_no_delete()",
                                    func="CREATE OR REPLACE FUNCTION public.interactive_versions_no_delete() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF EXISTS (SELECT FROM public.interactive_definitions WHERE id = OLD.interactive_definition_id) THEN\n        PERFORM public.raise_refusal('interactive_versions_no_delete', TG_TABLE_NAME, 'interactive_definition_id', 'A version is deleted only together with what it belongs to');\n    END IF;\n    RETURN OLD;\nEND $rule$; ",
                                    hash="6d090784c87c89e7d45cecd86eae4a573c289a3b",
                                    operation="DELETE",
                                    pgid="interactive_versions_no_delete",
                                    table="interactive_versions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_versions_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('interactive_versions_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="39ab866eff64c91e40d0316f8d3ea0a00eeb4f6f",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="interactive_versions_no_truncate",
                                    table="interactive_versions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_versions_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('interactive_versions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="7d81d799a0fb843f224cc70a04ec9f630ca75744",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="interactive_versions_created_at_not_ahead",
                                    table="interactive_versions",
                                    when="AFTER",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="InteractiveRun",
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
                            "interactive_definition",
                            models.ForeignKey(
                                db_comment="P0 · interactive",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="runs",
                                to="interactive.interactivedefinition",
                            ),
                        ),
                        (
                            "definition_version",
                            models.IntegerField(
                                blank=True, db_comment="P0 · version that was shown", null=True
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P1 · who ran it, if logged in",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="interactive_runs",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "anonymous_id",
                            models.TextField(
                                blank=True, db_comment="P0 · browser or bot identifier", null=True
                            ),
                        ),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle",
                                db_default="in_progress",
                                default="in_progress",
                            ),
                        ),
                        (
                            "started_at",
                            models.DateTimeField(
                                db_comment="P0 · start, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                            ),
                        ),
                        (
                            "completed_at",
                            models.DateTimeField(blank=True, db_comment="P0 · end, UTC", null=True),
                        ),
                        (
                            "result_level",
                            models.TextField(
                                blank=True, db_comment="P0 · level reached", null=True
                            ),
                        ),
                        (
                            "result_profile",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · profile a navigator arrived at",
                                null=True,
                            ),
                        ),
                        (
                            "duration_ms",
                            models.IntegerField(
                                blank=True, db_comment="P0 · duration, ms", null=True
                            ),
                        ),
                        (
                            "deep_link_id",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · deep link that led here; no key, links expire first",
                                null=True,
                            ),
                        ),
                        (
                            "crisis_triggered",
                            models.BooleanField(
                                db_comment="P0 · whether the crisis block was shown",
                                db_default=False,
                                default=False,
                            ),
                        ),
                        (
                            "crisis_trigger_type",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · category of the trigger, no details",
                                null=True,
                            ),
                        ),
                        (
                            "entry_point",
                            models.TextField(blank=True, db_comment="P0 · where from", null=True),
                        ),
                    ],
                    options={
                        "verbose_name": "run",
                        "verbose_name_plural": "runs",
                        "db_table": "interactive_runs",
                        "db_table_comment": "Runs of interactives: aggregates only",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["interactive_definition", "started_at"],
                                name="interactive_runs_by_definition",
                                serves="metrics: starts, completions and levels of an interactive",
                            ),
                            ebalance.db.rules.Index(
                                fields=["user"],
                                name="interactive_runs_by_user",
                                serves="a person's runs; export",
                            ),
                            ebalance.db.rules.Index(
                                fields=["started_at"],
                                name="interactive_runs_by_start",
                                serves="purge_expired, 90 days",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("anonymous_id__regex", "^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$")
                                ),
                                name="interactive_runs_anonymous_id_is_opaque",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("deep_link_id__regex", "^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$")
                                ),
                                name="interactive_runs_deep_link_id_is_opaque",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("user__isnull", False),
                                    ("anonymous_id__isnull", False),
                                    _connector="OR",
                                ),
                                name="interactive_runs_subject_present",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("definition_version__gte", 1)),
                                name="interactive_runs_definition_version_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("duration_ms__gte", 0), ("duration_ms__lte", 86400000)
                                ),
                                name="interactive_runs_duration_ms_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status", "completed"), ("completed_at__isnull", False)
                                    ),
                                    models.Q(
                                        models.Q(("status", "completed"), _negated=True),
                                        ("completed_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="interactive_runs_completed_at_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("completed_at__isnull", True),
                                    ("completed_at__gte", models.F("started_at")),
                                    _connector="OR",
                                ),
                                name="interactive_runs_completed_after_start",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status", "completed"),
                                    models.Q(
                                        ("result_level__isnull", True),
                                        ("result_profile__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="interactive_runs_result_when_completed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("crisis_triggered", True),
                                        ("crisis_trigger_type__isnull", False),
                                    ),
                                    models.Q(
                                        models.Q(("crisis_triggered", True), _negated=True),
                                        ("crisis_trigger_type__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="interactive_runs_trigger_type_with_flag",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("started_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("completed_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="interactive_runs_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("anonymous_id__length__lte", 64)),
                                name="interactive_runs_anonymous_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["in_progress", "completed", "abandoned"])
                                ),
                                name="interactive_runs_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("result_level__in", ["low", "moderate", "high"])
                                ),
                                name="interactive_runs_result_level_in_set",
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
                                name="interactive_runs_result_profile_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("deep_link_id__length__lte", 64)),
                                name="interactive_runs_deep_link_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "crisis_trigger_type__in",
                                        [
                                            "self_harm",
                                            "suicidal_ideation",
                                            "violence",
                                            "minor_risk",
                                            "panic_like",
                                        ],
                                    )
                                ),
                                name="interactive_runs_crisis_trigger_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "entry_point__in",
                                        [
                                            "seo",
                                            "telegram",
                                            "direct",
                                            "referral",
                                            "ads",
                                            "internal",
                                        ],
                                    )
                                ),
                                name="interactive_runs_entry_point_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="interactive_runs_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('in_progress', 'completed'), ('in_progress', 'abandoned'))))",
                                    execute="public.refuse_transition('interactive_runs_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="6ded6f7d434f5a201a6ae3fd42c4c601377e4dc6",
                                    operation='UPDATE OF "status"',
                                    pgid="interactive_runs_status_transition",
                                    table="interactive_runs",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_runs_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('interactive_runs_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="ffc1f3fbdf7717f7b2d720715d9333448e3851c9",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="interactive_runs_user_id_not_erased",
                                    table="interactive_runs",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_runs_started_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.started_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('interactive_runs_started_at_not_ahead', 'started_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="61ac0f4cb9c77445253bb9407c508a21572082e7",
                                    operation='INSERT OR UPDATE OF "started_at"',
                                    pgid="interactive_runs_started_at_not_ahead",
                                    table="interactive_runs",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_runs_completed_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.completed_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('interactive_runs_completed_at_not_ahead', 'completed_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="e3bbd41cc98694eb3c55d20d7d5db8d291661c87",
                                    operation='INSERT OR UPDATE OF "completed_at"',
                                    pgid="interactive_runs_completed_at_not_ahead",
                                    table="interactive_runs",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="interactive_runs_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('interactive_runs_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="04aae91a09f9af753945e3d81996956aed4739d4",
                                    operation='UPDATE OF "id"',
                                    pgid="interactive_runs_id_stays",
                                    table="interactive_runs",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="InteractiveRunTotal",
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
                            "day",
                            models.DateField(db_comment="P0 · day of the start, Europe/Moscow"),
                        ),
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
                            models.TextField(
                                blank=True, db_comment="P0 · level reached", null=True
                            ),
                        ),
                        (
                            "result_profile",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · profile a navigator arrived at",
                                null=True,
                            ),
                        ),
                        (
                            "entry_point",
                            models.TextField(blank=True, db_comment="P0 · where from", null=True),
                        ),
                        (
                            "crisis_triggered",
                            models.BooleanField(
                                db_comment="P0 · whether the crisis block was shown"
                            ),
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
                        "db_table_comment": "Daily totals of deleted runs",
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
                                condition=models.Q(
                                    ("result_level__in", ["low", "moderate", "high"])
                                ),
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
                                        [
                                            "seo",
                                            "telegram",
                                            "direct",
                                            "referral",
                                            "ads",
                                            "internal",
                                        ],
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
            ],
        ),
    ]
