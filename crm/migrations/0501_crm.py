"""Leads, the tracking plan and its events, deep links."""

from pathlib import Path

import django.contrib.postgres.fields
import django.db.models.deletion
import pgtrigger.compiler
from django.conf import settings
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.on_delete
import ebalance.db.operations
import ebalance.db.rules
import ebalance.db.triggers

PLAN = Path(__file__).parent / "data" / "tracking_plan_0501.json"

LOAD_EVENTS = """
INSERT INTO public.tracking_events (event_name, sources)
SELECT event.key, ARRAY(SELECT jsonb_array_elements_text(event.value -> 'sources'))
FROM jsonb_each(%(plan)s::jsonb -> 'events') event
"""
LOAD_PARAMS = """
WITH param AS (
    SELECT event.key AS event_name, param.key AS name, param.value AS spec
    FROM jsonb_each(%(plan)s::jsonb -> 'events') event,
         jsonb_each(event.value -> 'params') param
)
INSERT INTO public.tracking_event_params (event_name, name, kind, allowed, is_required)
SELECT event_name, name, spec ->> 'kind',
       CASE WHEN spec ? 'allowed' THEN ARRAY(SELECT jsonb_array_elements_text(spec -> 'allowed')) END,
       coalesce((spec ->> 'required')::boolean, false)
FROM param
UNION ALL
SELECT DISTINCT event_name, spec ->> 'one_of', 'one_of', NULL::text[], true
FROM param WHERE spec ? 'one_of'
"""


def load(apps, schema_editor):
    plan = {"plan": PLAN.read_text(encoding="utf-8")}
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(LOAD_EVENTS, plan)
        cursor.execute(LOAD_PARAMS, plan)


def unload(apps, schema_editor):
    schema_editor.execute("DELETE FROM public.tracking_events")


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
                    name="Lead",
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
                            "status",
                            models.TextField(
                                db_comment="P0 · stage in work with the lead",
                                db_default="new",
                                default="new",
                            ),
                        ),
                        ("source", models.TextField(db_comment="P0 · first contact")),
                        (
                            "topic",
                            models.ForeignKey(
                                blank=True,
                                db_column="topic_code",
                                db_comment="P0 · topic, if one",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="leads",
                                to="content.topic",
                            ),
                        ),
                        (
                            "utm",
                            models.JSONField(
                                blank=True, db_comment="P0 · utm_* of the first visit", null=True
                            ),
                        ),
                        (
                            "merged_into",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · the lead that this one was merged into",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="merged_leads",
                                to="crm.lead",
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
                        "verbose_name": "lead",
                        "verbose_name_plural": "leads",
                        "db_table": "leads",
                        "db_table_comment": "People who showed interest",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["status", "-created_at"],
                                name="leads_by_status",
                                serves="admin: the funnel",
                            ),
                            ebalance.db.rules.Index(
                                fields=["-created_at"],
                                name="leads_newest",
                                serves="admin: newest leads first",
                            ),
                            ebalance.db.rules.Index(
                                fields=["topic"],
                                name="leads_by_topic",
                                serves="leads of a topic; delete",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("merged_into__isnull", False)),
                                fields=["merged_into"],
                                name="leads_merged_into_lead",
                                serves="DataSubject: the leads that were merged into one",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("utm"),
                                        function="is_utm",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="leads_utm_is_p0",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("merged_into__isnull", True),
                                    ("status", "inactive"),
                                    _connector="OR",
                                ),
                                name="leads_merged_is_inactive",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("merged_into", models.F("id")), _negated=True),
                                name="leads_merged_not_into_itself",
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
                                ),
                                name="leads_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "status__in",
                                        [
                                            "new",
                                            "engaged",
                                            "booking_started",
                                            "booked_confirmed",
                                            "paid",
                                            "completed_session",
                                            "follow_up_needed",
                                            "inactive",
                                        ],
                                    )
                                ),
                                name="leads_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "source__in",
                                        ["quiz", "telegram", "waitlist", "question", "booking"],
                                    )
                                ),
                                name="leads_source_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="leads_touch_updated_at",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="7d4373908a65b0d926f8bb95149fa2d3f5fc3b98",
                                    operation="UPDATE",
                                    pgid="leads_touch_updated_at",
                                    table="leads",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="leads_merged_once",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.merged_into_id IS DISTINCT FROM NEW.merged_into_id) AND OLD.merged_into_id IS NOT NULL)",
                                    execute="public.refuse('leads_merged_once', 'merged_into_id', 'A merged lead stays merged into the same lead')",
                                    func="",
                                    hash="cedac0944776ef7e4a4cef3a97f526ab82c6d03d",
                                    operation="UPDATE",
                                    pgid="leads_merged_once",
                                    table="leads",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="leads_merged_has_no_identity",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.merged_into_id IS NOT NULL AND OLD.merged_into_id IS NULL)",
                                    execute="public.leads_merged_has_no_identity()",
                                    func="CREATE OR REPLACE FUNCTION public.leads_merged_has_no_identity() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    PERFORM FROM public.leads l WHERE l.id = NEW.id FOR UPDATE;\n    IF EXISTS (SELECT FROM public.lead_identities i WHERE i.lead_id = NEW.id) THEN\n        PERFORM public.raise_refusal('leads_merged_has_no_identity', TG_TABLE_NAME, 'merged_into_id', 'A merged lead has no contacts of its own');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="e186c264d04afa515b853ad90d6cdf1b72899954",
                                    operation='UPDATE OF "merged_into_id"',
                                    pgid="leads_merged_has_no_identity",
                                    table="leads",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="leads_merged_in_no_circle",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.merged_into_id IS NOT NULL AND OLD.merged_into_id IS NULL)",
                                    execute="public.leads_merged_in_no_circle()",
                                    func="CREATE OR REPLACE FUNCTION public.leads_merged_in_no_circle() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ DECLARE\n    target uuid := NEW.merged_into_id;\nBEGIN\n    PERFORM FROM public.leads l WHERE l.id = NEW.id FOR UPDATE;\n    WHILE target IS NOT NULL LOOP\n        IF target = NEW.id THEN\n            PERFORM public.raise_refusal('leads_merged_in_no_circle', TG_TABLE_NAME, 'merged_into_id', 'A lead cannot be merged in a circle');\n        END IF;\n        SELECT l.merged_into_id INTO target FROM public.leads l WHERE l.id = target\n        FOR KEY SHARE;\n    END LOOP;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="e9dd27aa0125c93fd7cec606aca8c496353d831e",
                                    operation='UPDATE OF "merged_into_id"',
                                    pgid="leads_merged_in_no_circle",
                                    table="leads",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="leads_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('lead_status_changed', 'id', 'status')",
                                    func="",
                                    hash="f31d778b744d421f3d645679bd735d198ee84c6d",
                                    operation="UPDATE",
                                    pgid="leads_update_audited",
                                    table="leads",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="leads_delete_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('lead_deleted', 'id', 'status', 'source', 'topic_code', 'merged_into_id', 'created_at', 'updated_at')",
                                    func="",
                                    hash="03f706494c80a562eed7f8a4c7c8cb9abdf23502",
                                    operation="DELETE",
                                    pgid="leads_delete_audited",
                                    table="leads",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="leads_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('leads_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="13b33eb21731f1f01278f0c9951be79ee4109381",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="leads_no_truncate",
                                    table="leads",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="leads_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('leads_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="801e997fa72ad634f426b0f11d2af0ad826bce18",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="leads_created_at_not_ahead",
                                    table="leads",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="leads_updated_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('leads_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="66d2fddc9796ba46aa9dae8a5982a194a3f34eb2",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="leads_updated_at_not_ahead",
                                    table="leads",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="leads_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('leads_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="4a59ff3ba44686afdb8eb824919bfcb5592e09b1",
                                    operation='UPDATE OF "id"',
                                    pgid="leads_id_stays",
                                    table="leads",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="DeepLink",
                    fields=[
                        (
                            "deep_link_id",
                            models.TextField(
                                db_comment="P0 · identifier in the link",
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("flow", models.TextField(db_comment="P0 · what the bot is to do")),
                        (
                            "tg_target",
                            models.TextField(
                                db_comment="P0 · bot or channel", db_default="bot", default="bot"
                            ),
                        ),
                        (
                            "topic",
                            models.ForeignKey(
                                blank=True,
                                db_column="topic_code",
                                db_comment="P0 · topic, if one",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="deep_links",
                                to="content.topic",
                            ),
                        ),
                        (
                            "entity_ref",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · what it is about: code or slug",
                                null=True,
                            ),
                        ),
                        (
                            "source_page",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · page that showed the link: code or slug",
                                null=True,
                            ),
                        ),
                        (
                            "anonymous_id",
                            models.TextField(
                                blank=True, db_comment="P0 · browser identifier", null=True
                            ),
                        ),
                        (
                            "lead",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · lead, if known",
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="deep_links",
                                to="crm.lead",
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
                            "expires_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · end of validity, UTC; at most 30 days after created_at",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "deep link",
                        "verbose_name_plural": "deep links",
                        "db_table": "deep_links",
                        "db_table_comment": "Links into Telegram",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["expires_at"],
                                name="deep_links_by_expiry",
                                serves="purge_expired",
                            ),
                            ebalance.db.rules.Index(
                                fields=["lead"],
                                name="deep_links_by_lead",
                                serves="links of a lead; erasure",
                            ),
                            ebalance.db.rules.Index(
                                fields=["topic"],
                                name="deep_links_by_topic",
                                serves="the delete check",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("deep_link_id__regex", "^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$")
                                ),
                                name="deep_links_deep_link_id_is_opaque",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "entity_ref__regex",
                                        "^(?!.*[0-9]{7})([a-z0-9]+([_-][a-z0-9]+)*|[a-z][a-z0-9_]*)$",
                                    )
                                ),
                                name="deep_links_entity_ref_is_code_or_slug",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "source_page__regex",
                                        "^(?!.*[0-9]{7})([a-z0-9]+([_-][a-z0-9]+)*|[a-z][a-z0-9_]*)$",
                                    )
                                ),
                                name="deep_links_source_page_is_code_or_slug",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("anonymous_id__regex", "^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$")
                                ),
                                name="deep_links_anonymous_id_is_opaque",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        models.F("expires_at"),
                                        function="is_link_lifetime",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="deep_links_expire_within_30_days",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("expires_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="deep_links_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("deep_link_id__length__lte", 64)),
                                name="deep_links_deep_link_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "flow__in",
                                        [
                                            "plan_7d",
                                            "save_resource",
                                            "challenge_7d",
                                            "concierge",
                                            "question",
                                            "prep",
                                            "ritual",
                                            "boundaries",
                                            "favorites",
                                        ],
                                    )
                                ),
                                name="deep_links_flow_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("tg_target__in", ["bot", "channel"])),
                                name="deep_links_tg_target_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("entity_ref__length__lte", 120)),
                                name="deep_links_entity_ref_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("source_page__length__lte", 120)),
                                name="deep_links_source_page_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("anonymous_id__length__lte", 64)),
                                name="deep_links_anonymous_id_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="deep_links_set_expiry",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.expires_at IS NULL)",
                                    execute="public.deep_links_set_expiry()",
                                    func="CREATE OR REPLACE FUNCTION public.deep_links_set_expiry() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    NEW.expires_at := NEW.created_at + interval '720 hours';\n    RETURN NEW;\nEND $rule$; ",
                                    hash="c36d89fb85384580bef6bb120e78a2d0521dfa6a",
                                    operation="INSERT",
                                    pgid="deep_links_set_expiry",
                                    table="deep_links",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="deep_links_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('deep_links_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="7affe86d1fedc81aaf267736f1f30f4516dfa3db",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="deep_links_created_at_not_ahead",
                                    table="deep_links",
                                    when="AFTER",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="LeadIdentity",
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
                            "lead",
                            models.ForeignKey(
                                db_comment="P0 · lead",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="identities",
                                to="crm.lead",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · registered person",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="lead_identities",
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
                            "email_encrypted",
                            models.TextField(
                                blank=True,
                                db_comment="P1 · e-mail, sealed",
                                editable=False,
                                null=True,
                            ),
                        ),
                        (
                            "email_bidx",
                            models.TextField(
                                blank=True,
                                db_comment="P1 · blind index of the e-mail",
                                editable=False,
                                null=True,
                            ),
                        ),
                        (
                            "phone_encrypted",
                            models.TextField(
                                blank=True,
                                db_comment="P1 · phone, sealed",
                                editable=False,
                                null=True,
                            ),
                        ),
                        (
                            "phone_bidx",
                            models.TextField(
                                blank=True,
                                db_comment="P1 · blind index of the phone",
                                editable=False,
                                null=True,
                            ),
                        ),
                        (
                            "telegram_user_id",
                            models.TextField(
                                blank=True, db_comment="P1 · Telegram id, digits", null=True
                            ),
                        ),
                        (
                            "is_primary",
                            models.BooleanField(
                                db_comment="P0 · the one to use; one per lead",
                                db_default=False,
                                default=False,
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
                        "verbose_name": "contact of a lead",
                        "verbose_name_plural": "contacts of a lead",
                        "db_table": "lead_identities",
                        "db_table_comment": "How leads are recognised; contacts sealed",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["user"],
                                name="lead_identities_by_user",
                                serves="leads of a person; erasure",
                            ),
                            ebalance.db.rules.Index(
                                fields=["created_at"],
                                name="lead_identities_by_creation",
                                serves="purge_expired",
                            ),
                            ebalance.db.rules.Index(
                                fields=["email_bidx"],
                                name="lead_identities_by_email",
                                serves="find_by_contact",
                            ),
                            ebalance.db.rules.Index(
                                fields=["phone_bidx"],
                                name="lead_identities_by_phone",
                                serves="find_by_contact",
                            ),
                            ebalance.db.rules.Index(
                                fields=["telegram_user_id"],
                                name="lead_identities_by_telegram",
                                serves="find_by_contact",
                            ),
                            ebalance.db.rules.Index(
                                fields=["anonymous_id"],
                                name="lead_identities_by_anonymous_id",
                                serves="record_event: whose lead",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("anonymous_id__regex", "^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$")
                                ),
                                name="lead_identities_anonymous_id_is_opaque",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("email_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="lead_identities_email_encrypted_is_sealed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "email_bidx__regex",
                                        "^v1\\.[a-z0-9]{1,16}\\.[A-Za-z0-9_-]{43}$",
                                    )
                                ),
                                name="lead_identities_email_bidx_is_blind_index",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("phone_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="lead_identities_phone_encrypted_is_sealed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "phone_bidx__regex",
                                        "^v1\\.[a-z0-9]{1,16}\\.[A-Za-z0-9_-]{43}$",
                                    )
                                ),
                                name="lead_identities_phone_bidx_is_blind_index",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("telegram_user_id__regex", "^[0-9]+$")),
                                name="lead_identities_telegram_user_id_is_digits",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("user__isnull", False),
                                    ("anonymous_id__isnull", False),
                                    ("email_encrypted__isnull", False),
                                    ("phone_encrypted__isnull", False),
                                    ("telegram_user_id__isnull", False),
                                    _connector="OR",
                                ),
                                name="lead_identities_identifier_present",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("email_bidx__isnull", False),
                                        ("email_encrypted__isnull", False),
                                    ),
                                    models.Q(
                                        ("email_bidx__isnull", True),
                                        ("email_encrypted__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="lead_identities_email_with_index",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("phone_bidx__isnull", False),
                                        ("phone_encrypted__isnull", False),
                                    ),
                                    models.Q(
                                        ("phone_bidx__isnull", True),
                                        ("phone_encrypted__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="lead_identities_phone_with_index",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("is_primary", True)),
                                fields=("lead",),
                                name="lead_identities_one_primary",
                            ),
                            models.UniqueConstraint(
                                fields=("lead", "user"), name="lead_identities_user_once_per_lead"
                            ),
                            models.UniqueConstraint(
                                fields=("lead", "anonymous_id"),
                                name="lead_identities_anonymous_id_once_per_lead",
                            ),
                            models.UniqueConstraint(
                                fields=("lead", "email_bidx"),
                                name="lead_identities_email_bidx_once_per_lead",
                            ),
                            models.UniqueConstraint(
                                fields=("lead", "phone_bidx"),
                                name="lead_identities_phone_bidx_once_per_lead",
                            ),
                            models.UniqueConstraint(
                                fields=("lead", "telegram_user_id"),
                                name="lead_identities_telegram_user_id_once_per_lead",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="lead_identities_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("anonymous_id__length__lte", 64)),
                                name="lead_identities_anonymous_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("email_encrypted__length__lte", 400000)),
                                name="lead_identities_email_encrypted_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("email_bidx__length__lte", 64)),
                                name="lead_identities_email_bidx_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("phone_encrypted__length__lte", 400000)),
                                name="lead_identities_phone_encrypted_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("phone_bidx__length__lte", 64)),
                                name="lead_identities_phone_bidx_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("telegram_user_id__length__lte", 20)),
                                name="lead_identities_telegram_user_id_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="lead_identities_not_of_merged_lead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.lead_identities_not_of_merged_lead()",
                                    func="CREATE OR REPLACE FUNCTION public.lead_identities_not_of_merged_lead() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ DECLARE\n    target uuid;\nBEGIN\n    SELECT l.merged_into_id INTO target FROM public.leads l WHERE l.id = NEW.lead_id\n    FOR KEY SHARE;\n    IF target IS NOT NULL THEN\n        PERFORM public.raise_refusal('lead_identities_not_of_merged_lead', TG_TABLE_NAME, 'lead_id', 'This lead was merged into another: add the contact there');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="f596c50c60e8e0a614c798729ce396aabf55d36d",
                                    operation='INSERT OR UPDATE OF "lead_id"',
                                    pgid="lead_identities_not_of_merged_lead",
                                    table="lead_identities",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="lead_identities_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('lead_identities_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="942bc1f4bf64813686ac253f68e0794d374b9b9a",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="lead_identities_user_id_not_erased",
                                    table="lead_identities",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="lead_identities_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('lead_identities_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="7a5bf418e6b0f7035b9d6ef940978a0dce3ebda7",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="lead_identities_created_at_not_ahead",
                                    table="lead_identities",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="lead_identities_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('lead_identities_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="3960db72cd5a63b501d5e4957e7a457f194e683d",
                                    operation='UPDATE OF "id"',
                                    pgid="lead_identities_id_stays",
                                    table="lead_identities",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="LeadNote",
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
                            "lead",
                            models.ForeignKey(
                                db_comment="P0 · lead",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="notes",
                                to="crm.lead",
                            ),
                        ),
                        (
                            "author",
                            models.ForeignKey(
                                db_column="author_user_id",
                                db_comment="P0 · who wrote it",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="lead_notes",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "note_encrypted",
                            models.TextField(db_comment="P2 · note, sealed", editable=False),
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
                        "verbose_name": "note about a lead",
                        "verbose_name_plural": "notes about a lead",
                        "db_table": "lead_notes",
                        "db_table_comment": "Internal notes about leads, sealed",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["lead", "-created_at"],
                                name="lead_notes_of_lead",
                                serves="a lead's notes",
                            ),
                            ebalance.db.rules.Index(
                                fields=["author"],
                                name="lead_notes_by_author",
                                serves="the delete check",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("note_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="lead_notes_note_encrypted_is_sealed",
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
                                ),
                                name="lead_notes_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("note_encrypted__length__lte", 400000)),
                                name="lead_notes_note_encrypted_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="lead_notes_touch_updated_at",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (public.is_resealing('lead_notes', OLD.note_encrypted, NEW.note_encrypted) IS NOT TRUE)",
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="50c9570100085158a1eba846369ec56ffdf0677b",
                                    operation="UPDATE",
                                    pgid="lead_notes_touch_updated_at",
                                    table="lead_notes",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="lead_notes_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('lead_notes_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="c22924b804fdcbac6588cbb8efd092727c478d86",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="lead_notes_created_at_not_ahead",
                                    table="lead_notes",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="lead_notes_updated_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('lead_notes_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="d3229738b0b02e380e53cc34507645062459682d",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="lead_notes_updated_at_not_ahead",
                                    table="lead_notes",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="lead_notes_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('lead_notes_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="6bace7ff1802f50b13838603a75de6a39acc9de6",
                                    operation='UPDATE OF "id"',
                                    pgid="lead_notes_id_stays",
                                    table="lead_notes",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="TrackingEvent",
                    fields=[
                        (
                            "event_name",
                            models.TextField(
                                db_comment="P0 · name in the tracking plan",
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "sources",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.TextField(),
                                db_comment="P0 · which services may send it",
                            ),
                        ),
                        (
                            "is_active",
                            models.BooleanField(
                                db_comment="P0 · accepted now", db_default=True, default=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "tracked event",
                        "verbose_name_plural": "tracked events",
                        "db_table": "tracking_events",
                        "db_table_comment": "The tracking plan: events",
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("event_name"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="tracking_events_event_name_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "sources__contained_by",
                                        ["web", "backend", "telegram", "admin"],
                                    ),
                                    ("sources__len__gte", 1),
                                    models.Func(
                                        models.F("sources"),
                                        function="has_no_duplicates",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="tracking_events_sources_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("event_name__length__lte", 60)),
                                name="tracking_events_event_name_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("sources"),
                                        models.Value(100),
                                        models.Value(60),
                                        function="has_lengths",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="tracking_events_sources_has_length",
                            ),
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="TrackingEventParam",
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
                            "event",
                            models.ForeignKey(
                                db_column="event_name",
                                db_comment="P0 · event",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="params",
                                to="crm.trackingevent",
                            ),
                        ),
                        (
                            "name",
                            models.TextField(db_comment="P0 · key; a|b: one of these is required"),
                        ),
                        ("kind", models.TextField(db_comment="P0 · kind of value")),
                        (
                            "allowed",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.TextField(),
                                blank=True,
                                db_comment="P0 · values of an enum or enum_list",
                                null=True,
                            ),
                        ),
                        ("is_required", models.BooleanField(db_comment="P0 · must be present")),
                    ],
                    options={
                        "verbose_name": "parameter of an event",
                        "verbose_name_plural": "parameters of an event",
                        "db_table": "tracking_event_params",
                        "db_table_comment": "The tracking plan: parameters",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("event", "name"), name="tracking_event_params_once"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "name__regex",
                                        "^[a-z][a-z0-9_]{0,59}(\\|[a-z][a-z0-9_]{0,59})*$",
                                    )
                                ),
                                name="tracking_event_params_name_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("is_required", True),
                                        ("kind", "one_of"),
                                        ("name__contains", "|"),
                                    ),
                                    models.Q(
                                        models.Q(("kind", "one_of"), _negated=True),
                                        models.Q(("name__contains", "|"), _negated=True),
                                    ),
                                    _connector="OR",
                                ),
                                name="tracking_event_params_one_of_is_required",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("allowed"),
                                        function="are_p0_codes",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="tracking_event_params_allowed_are_codes",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("kind__in", ["enum", "enum_list"]),
                                        ("allowed__isnull", False),
                                    ),
                                    models.Q(
                                        models.Q(
                                            ("kind__in", ["enum", "enum_list"]), _negated=True
                                        ),
                                        ("allowed__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="tracking_event_params_allowed_with_enum",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("name__length__lte", 200)),
                                name="tracking_event_params_name_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "kind__in",
                                        [
                                            "enum",
                                            "enum_list",
                                            "code",
                                            "code_list",
                                            "slug",
                                            "ref",
                                            "deep_link",
                                            "uuid",
                                            "int",
                                            "bool",
                                            "timestamp",
                                            "path",
                                            "host",
                                            "zone",
                                            "topic",
                                            "utm",
                                            "one_of",
                                        ],
                                    )
                                ),
                                name="tracking_event_params_kind_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("allowed"),
                                        models.Value(100),
                                        models.Value(60),
                                        function="has_lengths",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="tracking_event_params_allowed_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="tracking_event_params_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('tracking_event_params_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="27aaa868cb2519ee3d8ce2b01d7c4a4010dd1578",
                                    operation='UPDATE OF "id"',
                                    pgid="tracking_event_params_id_stays",
                                    table="tracking_event_params",
                                    when="BEFORE",
                                ),
                            )
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="LeadTimelineEvent",
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
                            "lead",
                            models.ForeignKey(
                                db_comment="P0 · lead",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="timeline",
                                to="crm.lead",
                            ),
                        ),
                        (
                            "event_id",
                            models.UUIDField(
                                db_comment="P0 · id given by the sender; makes a repeat the same"
                            ),
                        ),
                        (
                            "tracking_event",
                            models.ForeignKey(
                                db_column="event_name",
                                db_comment="P0 · event of the tracking plan",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="timeline_events",
                                to="crm.trackingevent",
                            ),
                        ),
                        ("source", models.TextField(db_comment="P0 · who sent it")),
                        (
                            "occurred_at",
                            models.DateTimeField(
                                db_comment="P0 · when, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                            ),
                        ),
                        (
                            "deep_link_id",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · deep link; no key, links expire first",
                                null=True,
                            ),
                        ),
                        (
                            "properties",
                            models.JSONField(
                                blank=True,
                                db_comment="P0 · parameters of the tracking plan",
                                db_default=models.Value({}, output_field=models.JSONField()),
                                default=dict,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "timeline event",
                        "verbose_name_plural": "timeline events",
                        "db_table": "lead_timeline_events",
                        "db_table_comment": "Events of leads; P0 only",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["lead", "-occurred_at"],
                                name="lead_timeline_events_of_lead",
                                serves="a lead's timeline, newest first",
                            ),
                            ebalance.db.rules.Index(
                                fields=["tracking_event"],
                                name="lead_timeline_events_by_event",
                                serves="the delete check",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("event_id",), name="lead_timeline_events_event_id_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("deep_link_id__regex", "^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$")
                                ),
                                name="lead_timeline_events_deep_link_id_is_opaque",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("occurred_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="lead_timeline_events_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("source__in", ["web", "backend", "telegram", "admin"])
                                ),
                                name="lead_timeline_events_source_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("deep_link_id__length__lte", 64)),
                                name="lead_timeline_events_deep_link_id_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="lead_timeline_events_p0_only",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.guard_p0_event('_p0_only', 'The tracking plan does not allow this property or its value', '_required_present', 'A property that the tracking plan requires is missing', '_event_in_plan', 'The tracking plan has no such active event', '_source_in_plan', 'This event does not come from this source')",
                                    func="",
                                    hash="c11431f4f28313403d8c0d4e2150db0f819fe25c",
                                    operation="INSERT OR UPDATE",
                                    pgid="lead_timeline_events_p0_only",
                                    table="lead_timeline_events",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="lead_timeline_events_occurred_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.occurred_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('lead_timeline_events_occurred_at_not_ahead', 'occurred_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="e8d222c902a2f9e237ad389f70376fdde273280a",
                                    operation='INSERT OR UPDATE OF "occurred_at"',
                                    pgid="lead_timeline_events_occurred_at_not_ahead",
                                    table="lead_timeline_events",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="lead_timeline_events_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('lead_timeline_events_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="86059b88227cb44155036e049d586c63b60e29b2",
                                    operation='UPDATE OF "id"',
                                    pgid="lead_timeline_events_id_stays",
                                    table="lead_timeline_events",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="AnalyticsEvent",
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
                            "schema_version",
                            models.TextField(db_comment="P0 · version of the event envelope"),
                        ),
                        (
                            "tracking_event",
                            models.ForeignKey(
                                db_column="event_name",
                                db_comment="P0 · event of the tracking plan",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="analytics_events",
                                to="crm.trackingevent",
                            ),
                        ),
                        (
                            "event_version",
                            models.IntegerField(db_comment="P0 · version of the event, from 1"),
                        ),
                        (
                            "event_id",
                            models.UUIDField(
                                db_comment="P0 · id given by the sender; makes a repeat the same"
                            ),
                        ),
                        ("occurred_at", models.DateTimeField(db_comment="P0 · when, UTC")),
                        ("source", models.TextField(db_comment="P0 · who sent it")),
                        ("environment", models.TextField(db_comment="P0 · where it happened")),
                        (
                            "session_id",
                            models.UUIDField(blank=True, db_comment="P0 · visit", null=True),
                        ),
                        (
                            "anonymous_id",
                            models.TextField(
                                blank=True, db_comment="P0 · browser or bot identifier", null=True
                            ),
                        ),
                        (
                            "user_id",
                            models.UUIDField(
                                blank=True, db_comment="P0 · person; no key", null=True
                            ),
                        ),
                        (
                            "lead_id",
                            models.UUIDField(blank=True, db_comment="P0 · lead; no key", null=True),
                        ),
                        (
                            "page",
                            models.JSONField(
                                blank=True,
                                db_comment="P0 · path and referrer host",
                                db_default=models.Value({}, output_field=models.JSONField()),
                                default=dict,
                            ),
                        ),
                        (
                            "acquisition",
                            models.JSONField(
                                blank=True,
                                db_comment="P0 · entry point and utm",
                                db_default=models.Value({}, output_field=models.JSONField()),
                                default=dict,
                            ),
                        ),
                        (
                            "properties",
                            models.JSONField(
                                blank=True,
                                db_comment="P0 · parameters of the tracking plan",
                                db_default=models.Value({}, output_field=models.JSONField()),
                                default=dict,
                            ),
                        ),
                        (
                            "received_at",
                            models.DateTimeField(
                                db_comment="P0 · receipt, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "analytics event",
                        "verbose_name_plural": "analytics events",
                        "db_table": "analytics_events",
                        "db_table_comment": "Product events; P0 only, append-only",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["tracking_event", "occurred_at"],
                                name="analytics_events_by_event",
                                serves="metrics: funnels of a period",
                            ),
                            ebalance.db.rules.Index(
                                fields=["received_at"],
                                name="analytics_events_by_receipt",
                                serves="purge_expired",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("event_id",), name="analytics_events_event_id_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("schema_version__regex", "^[0-9]{1,4}(\\.[0-9]{1,4}){0,2}$")
                                ),
                                name="analytics_events_schema_version_is_version",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("event_version__gte", 1)),
                                name="analytics_events_event_version_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("anonymous_id__regex", "^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$")
                                ),
                                name="analytics_events_anonymous_id_is_opaque",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("occurred_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("received_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="analytics_events_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("schema_version__length__lte", 60)),
                                name="analytics_events_schema_version_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("source__in", ["web", "backend", "telegram", "admin"])
                                ),
                                name="analytics_events_source_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("environment__in", ["prod", "stage", "dev"])),
                                name="analytics_events_environment_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("anonymous_id__length__lte", 64)),
                                name="analytics_events_anonymous_id_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="analytics_events_append_only",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((to_jsonb(OLD) - '{user_id,lead_id,anonymous_id,session_id,page,acquisition,properties}'::text[]) IS DISTINCT FROM (to_jsonb(NEW) - '{user_id,lead_id,anonymous_id,session_id,page,acquisition,properties}'::text[])\n    OR to_jsonb(OLD) = to_jsonb(NEW)\n    OR (NEW.user_id IS DISTINCT FROM OLD.user_id AND NEW.user_id IS NOT NULL) OR (NEW.lead_id IS DISTINCT FROM OLD.lead_id AND NEW.lead_id IS NOT NULL) OR (NEW.anonymous_id IS DISTINCT FROM OLD.anonymous_id AND NEW.anonymous_id IS NOT NULL) OR (NEW.session_id IS DISTINCT FROM OLD.session_id AND NEW.session_id IS NOT NULL) OR (NEW.page IS DISTINCT FROM OLD.page AND (NEW.page <> '{}' OR num_nonnulls(NEW.user_id, NEW.lead_id, NEW.anonymous_id, NEW.session_id) > 0)) OR (NEW.acquisition IS DISTINCT FROM OLD.acquisition AND (NEW.acquisition <> '{}' OR num_nonnulls(NEW.user_id, NEW.lead_id, NEW.anonymous_id, NEW.session_id) > 0)) OR (NEW.properties IS DISTINCT FROM OLD.properties AND (NEW.properties <> '{}' OR num_nonnulls(NEW.user_id, NEW.lead_id, NEW.anonymous_id, NEW.session_id) > 0)))",
                                    execute="public.refuse('analytics_events_append_only', 'id', 'These records are only added, never changed or deleted')",
                                    func="",
                                    hash="10dd85489007d2d6f99315705f84d2ad8354c7db",
                                    operation="UPDATE",
                                    pgid="analytics_events_append_only",
                                    table="analytics_events",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="analytics_events_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.received_at > public.fact_clock() - interval '13 months')",
                                    execute="public.refuse('analytics_events_no_delete', 'id', 'Events are kept for 13 months')",
                                    func="",
                                    hash="905a583025b5361e36ba59858651d13ce20d1927",
                                    operation="DELETE",
                                    pgid="analytics_events_no_delete",
                                    table="analytics_events",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="analytics_events_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('analytics_events_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="4284f8eef279d62c265faee8cfbdbe32ff8c8bda",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="analytics_events_no_truncate",
                                    table="analytics_events",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="analytics_events_p0_only",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.guard_p0_event('_p0_only', 'The tracking plan does not allow this property or its value', '_required_present', 'A property that the tracking plan requires is missing', '_event_in_plan', 'The tracking plan has no such active event', '_source_in_plan', 'This event does not come from this source')",
                                    func="",
                                    hash="72a3f4797d8750c7092f7d3b19c31ba3e1770ac6",
                                    operation="INSERT",
                                    pgid="analytics_events_p0_only",
                                    table="analytics_events",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="analytics_events_occurred_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.occurred_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('analytics_events_occurred_at_not_ahead', 'occurred_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="fd41168b6beed50d7e704fb51a89ff69f501bbe0",
                                    operation='INSERT OR UPDATE OF "occurred_at"',
                                    pgid="analytics_events_occurred_at_not_ahead",
                                    table="analytics_events",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="analytics_events_received_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.received_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('analytics_events_received_at_not_ahead', 'received_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="536df7cd9be4086c11f6eb4dbda48d0a8a539dd2",
                                    operation='INSERT OR UPDATE OF "received_at"',
                                    pgid="analytics_events_received_at_not_ahead",
                                    table="analytics_events",
                                    when="AFTER",
                                ),
                            ),
                        ],
                    },
                ),
            ],
        ),
        migrations.RunPython(load, unload),
    ]
