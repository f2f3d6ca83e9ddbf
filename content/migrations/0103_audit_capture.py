"""The database writes publications, media and deletions into the audit log itself.

Rollback note: `migrate content 0102`; nothing is lost, changes are no longer recorded.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

import ebalance.db.triggers


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0003_audit_capture"),
        ("content", "0102_curated_items"),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name="contentitem",
            trigger=pgtrigger.compiler.Trigger(
                name="content_items_insert_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.status = 'published')",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('content_published', 'id', 'content_type', 'slug', 'status')",
                    func="",
                    hash="2458ecd3f2a6d3e61833ab73e98fee574be9bb14",
                    operation="INSERT",
                    pgid="content_items_insert_audited",
                    table="content_items",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contentitem",
            trigger=pgtrigger.compiler.Trigger(
                name="content_items_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('content_status_changed', 'id', 'status')",
                    func="",
                    hash="b976542261dc45cf66c7df7300b7c42c9fa61b93",
                    operation="UPDATE",
                    pgid="content_items_update_audited",
                    table="content_items",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contentitem",
            trigger=pgtrigger.compiler.Trigger(
                name="content_items_delete_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    constraint="CONSTRAINT",
                    execute="public.audit_change('content_item_deleted', 'id', 'content_type', 'slug', 'title', 'excerpt', 'body_markdown', 'status', 'published_at', 'author_user_id', 'time_to_benefit', 'format', 'support_level', 'seo_title', 'seo_description', 'seo_keywords', 'canonical_url', 'created_at', 'updated_at')",
                    func="",
                    hash="766701ff334088afdf265eed9eeffacca22ec2eb",
                    operation="DELETE",
                    pgid="content_items_delete_audited",
                    table="content_items",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contentitem",
            trigger=pgtrigger.compiler.Trigger(
                name="content_items_no_truncate",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    execute="public.refuse('content_items_no_truncate', 'id', 'This table cannot be emptied')",
                    func="",
                    hash="7602aeb3a89c5e01e5513b94f57f4175914a6852",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="content_items_no_truncate",
                    table="content_items",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="curatedcollection",
            trigger=pgtrigger.compiler.Trigger(
                name="curated_collections_insert_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.status = 'published')",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('collection_published', 'id', 'slug', 'status')",
                    func="",
                    hash="275b8bd9cc468e9e47cdd66abd666ef202b65541",
                    operation="INSERT",
                    pgid="curated_collections_insert_audited",
                    table="curated_collections",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="curatedcollection",
            trigger=pgtrigger.compiler.Trigger(
                name="curated_collections_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('collection_status_changed', 'id', 'status')",
                    func="",
                    hash="0782bd97415963c227b3699dfd2a7f98f070bd6c",
                    operation="UPDATE",
                    pgid="curated_collections_update_audited",
                    table="curated_collections",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="glossaryterm",
            trigger=pgtrigger.compiler.Trigger(
                name="glossary_terms_insert_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.status = 'published')",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('term_published', 'id', 'slug', 'status')",
                    func="",
                    hash="5c92569dc0e7934e51b840d6897149d4649c53ad",
                    operation="INSERT",
                    pgid="glossary_terms_insert_audited",
                    table="glossary_terms",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="glossaryterm",
            trigger=pgtrigger.compiler.Trigger(
                name="glossary_terms_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('term_status_changed', 'id', 'status')",
                    func="",
                    hash="6627b3f4832f1a0d75e6047fccd4e9b7c3717a01",
                    operation="UPDATE",
                    pgid="glossary_terms_update_audited",
                    table="glossary_terms",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="mediaasset",
            trigger=pgtrigger.compiler.Trigger(
                name="media_assets_insert_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    constraint="CONSTRAINT",
                    execute="public.audit_change('media_created', 'id', 'media_type', 'mime_type', 'object_key', 'public_url', 'size_bytes')",
                    func="",
                    hash="e54f77bd592decbf992fdf92793a4bbf3191bc18",
                    operation="INSERT",
                    pgid="media_assets_insert_audited",
                    table="media_assets",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="mediaasset",
            trigger=pgtrigger.compiler.Trigger(
                name="media_assets_delete_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    constraint="CONSTRAINT",
                    execute="public.audit_change('media_deleted', 'id', 'storage_provider', 'object_key', 'public_url', 'media_type', 'mime_type', 'size_bytes', 'title', 'alt_text', 'is_decorative', 'uploaded_by_user_id', 'created_at')",
                    func="",
                    hash="0cdbc6d03ed2d4a4e0913bb7d4055744d22c80a5",
                    operation="DELETE",
                    pgid="media_assets_delete_audited",
                    table="media_assets",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="mediaasset",
            trigger=pgtrigger.compiler.Trigger(
                name="media_assets_no_truncate",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    execute="public.refuse('media_assets_no_truncate', 'id', 'This table cannot be emptied')",
                    func="",
                    hash="d3372f9f3a9d9555bb305e54aa87070e4ff04eda",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="media_assets_no_truncate",
                    table="media_assets",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="curatedcollection",
            trigger=pgtrigger.compiler.Trigger(
                name="curated_collections_delete_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (OLD.status = 'published')",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('collection_deleted', 'id', 'slug', 'title', 'collection_type', 'status', 'topic_code', 'published_at')",
                    func="",
                    hash="cc7b5c101a78adacf9a9fcd350a385fa9dc09b6f",
                    operation="DELETE",
                    pgid="curated_collections_delete_audited",
                    table="curated_collections",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="curatedcollection",
            trigger=pgtrigger.compiler.Trigger(
                name="curated_collections_no_truncate",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    execute="public.refuse('curated_collections_no_truncate', 'id', 'This table cannot be emptied')",
                    func="",
                    hash="7bc968d6722d4d73f9c0a4b216f7b601a9030ac0",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="curated_collections_no_truncate",
                    table="curated_collections",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="glossaryterm",
            trigger=pgtrigger.compiler.Trigger(
                name="glossary_terms_delete_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (OLD.status = 'published')",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('term_deleted', 'id', 'slug', 'title', 'category', 'short_definition', 'body_markdown', 'status', 'published_at', 'meta_description', 'keywords')",
                    func="",
                    hash="d8979494cc90248a43dfc16cc1a3c32b778018f4",
                    operation="DELETE",
                    pgid="glossary_terms_delete_audited",
                    table="glossary_terms",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="glossaryterm",
            trigger=pgtrigger.compiler.Trigger(
                name="glossary_terms_no_truncate",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    execute="public.refuse('glossary_terms_no_truncate', 'id', 'This table cannot be emptied')",
                    func="",
                    hash="6b77f61c8b928c07dcc2584f6c2eb92944e5214e",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="glossary_terms_no_truncate",
                    table="glossary_terms",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="mediaasset",
            trigger=pgtrigger.compiler.Trigger(
                name="media_assets_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.media_type IS DISTINCT FROM NEW.media_type OR OLD.mime_type IS DISTINCT FROM NEW.mime_type OR OLD.object_key IS DISTINCT FROM NEW.object_key OR OLD.public_url IS DISTINCT FROM NEW.public_url OR OLD.size_bytes IS DISTINCT FROM NEW.size_bytes))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('media_replaced', 'id', 'media_type', 'mime_type', 'object_key', 'public_url', 'size_bytes')",
                    func="",
                    hash="2ee24629595883a5dbce32a1cd48b7c69d04b602",
                    operation="UPDATE",
                    pgid="media_assets_update_audited",
                    table="media_assets",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
    ]
