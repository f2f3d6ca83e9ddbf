"""Topics, media, articles and pages, curated collections, the glossary."""

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
        ("identity", "0001_identity"),
    ]

    operations = [
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="Topic",
                    fields=[
                        (
                            "code",
                            models.TextField(
                                db_comment="P0 · code of the topic",
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("title", models.TextField(db_comment="P0 · title shown to people")),
                        (
                            "is_active",
                            models.BooleanField(
                                db_comment="P0 · whether the topic is offered",
                                db_default=True,
                                default=True,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "topic",
                        "verbose_name_plural": "topics",
                        "db_table": "topics",
                        "db_table_comment": "Themes of the platform",
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("code"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="topics_code_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("title"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="topics_title_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("code__length__lte", 60)),
                                name="topics_code_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("title__length__lte", 200)),
                                name="topics_title_has_length",
                            ),
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="Tag",
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
                        ("slug", models.TextField(db_comment="P0 · slug in addresses")),
                        ("title", models.TextField(db_comment="P0 · title shown to people")),
                    ],
                    options={
                        "verbose_name": "tag",
                        "verbose_name_plural": "tags",
                        "db_table": "tags",
                        "db_table_comment": "Labels on content",
                        "constraints": [
                            models.UniqueConstraint(fields=("slug",), name="tags_slug_unique"),
                            models.CheckConstraint(
                                condition=models.Q(("slug__regex", "^[a-z0-9]+(-[a-z0-9]+)*$")),
                                name="tags_slug_is_slug",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("title"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="tags_title_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("slug__length__lte", 120)),
                                name="tags_slug_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("title__length__lte", 200)),
                                name="tags_title_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="tags_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('tags_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="96e9e4efbad16310a2784ff55364566a8904c403",
                                    operation='UPDATE OF "id"',
                                    pgid="tags_id_stays",
                                    table="tags",
                                    when="BEFORE",
                                ),
                            )
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="MediaAsset",
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
                            "storage_provider",
                            models.TextField(
                                db_comment="P0 · where the bytes lie",
                                db_default="local_fs",
                                default="local_fs",
                            ),
                        ),
                        (
                            "object_key",
                            models.TextField(db_comment="P0 · relative path in the storage"),
                        ),
                        (
                            "public_url",
                            models.TextField(db_comment="P0 · address under which it is served"),
                        ),
                        ("media_type", models.TextField(db_comment="P0 · kind of file")),
                        (
                            "mime_type",
                            models.TextField(db_comment="P0 · MIME type, agrees with media_type"),
                        ),
                        ("size_bytes", models.BigIntegerField(db_comment="P0 · size, bytes")),
                        (
                            "title",
                            models.TextField(
                                blank=True, db_comment="P0 · title for editors", null=True
                            ),
                        ),
                        (
                            "alt_text",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · text for those who do not see it",
                                null=True,
                            ),
                        ),
                        (
                            "is_decorative",
                            models.BooleanField(
                                db_comment="P0 · an image that needs no alt text",
                                db_default=False,
                                default=False,
                            ),
                        ),
                        (
                            "uploaded_by",
                            models.ForeignKey(
                                db_column="uploaded_by_user_id",
                                db_comment="P0 · who uploaded it",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="media_assets",
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
                        "verbose_name": "media file",
                        "verbose_name_plural": "media files",
                        "db_table": "media_assets",
                        "db_table_comment": "Uploaded files",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["uploaded_by"],
                                name="media_assets_by_uploader",
                                serves="the delete check",
                            ),
                            ebalance.db.rules.Index(
                                fields=["-created_at"],
                                name="media_assets_newest",
                                serves="admin: newest files first",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("object_key",), name="media_assets_object_key_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("object_key__regex", "^[a-z0-9]+([/_.-][a-z0-9]+)*$")
                                ),
                                name="media_assets_object_key_is_object_key",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "mime_type__regex",
                                        "^(image/jpeg|image/png|image/webp|image/avif|image/gif|audio/mpeg|audio/mp4|audio/ogg|application/pdf)$",
                                    )
                                ),
                                name="media_assets_mime_type_is_known",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("mime_type", "image/jpeg"),
                                        ("object_key__endswith", ".jpg"),
                                    ),
                                    models.Q(
                                        ("mime_type", "image/png"), ("object_key__endswith", ".png")
                                    ),
                                    models.Q(
                                        ("mime_type", "image/webp"),
                                        ("object_key__endswith", ".webp"),
                                    ),
                                    models.Q(
                                        ("mime_type", "image/avif"),
                                        ("object_key__endswith", ".avif"),
                                    ),
                                    models.Q(
                                        ("mime_type", "image/gif"), ("object_key__endswith", ".gif")
                                    ),
                                    models.Q(
                                        ("mime_type", "audio/mpeg"),
                                        ("object_key__endswith", ".mp3"),
                                    ),
                                    models.Q(
                                        ("mime_type", "audio/mp4"), ("object_key__endswith", ".m4a")
                                    ),
                                    models.Q(
                                        ("mime_type", "audio/ogg"), ("object_key__endswith", ".ogg")
                                    ),
                                    models.Q(
                                        ("mime_type", "application/pdf"),
                                        ("object_key__endswith", ".pdf"),
                                    ),
                                    _connector="OR",
                                ),
                                name="media_assets_object_key_agrees",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("title"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="media_assets_title_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("media_type", "image"), ("mime_type__startswith", "image/")
                                    ),
                                    models.Q(
                                        ("media_type", "audio"), ("mime_type__startswith", "audio/")
                                    ),
                                    models.Q(
                                        ("media_type", "pdf"), ("mime_type", "application/pdf")
                                    ),
                                    _connector="OR",
                                ),
                                name="media_assets_mime_agrees",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("size_bytes__gt", 0),
                                    models.Q(
                                        models.Q(
                                            ("media_type", "image"), ("size_bytes__lte", 10485760)
                                        ),
                                        models.Q(
                                            ("media_type", "audio"), ("size_bytes__lte", 52428800)
                                        ),
                                        models.Q(
                                            ("media_type", "pdf"), ("size_bytes__lte", 20971520)
                                        ),
                                        _connector="OR",
                                    ),
                                ),
                                name="media_assets_size_within_limit",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("media_type", "image"), _negated=True),
                                    ("is_decorative", True),
                                    models.Q(
                                        models.Func(
                                            models.F("alt_text"),
                                            function="is_visible",
                                            output_field=models.BooleanField(),
                                        ),
                                        ("alt_text__isnull", False),
                                    ),
                                    _connector="OR",
                                ),
                                name="media_assets_image_is_described",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="media_assets_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("storage_provider__in", ["local_fs"])),
                                name="media_assets_storage_provider_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("object_key__length__lte", 500)),
                                name="media_assets_object_key_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("public_url__length__lte", 2000)),
                                name="media_assets_public_url_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "public_url__regex",
                                        '(^https://[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451]([A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451-]*[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451])?(\\.[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451]([A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451-]*[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451])?)*(:[0-9]{1,5})?([/?#][^\\x01-\\x20\\x7F-\\xA0\\xAD\\u034F\\u061C\\u115F\\u1160\\u1680\\u17B4\\u17B5\\u180B-\\u180F\\u2000-\\u200F\\u2028-\\u202F\\u205F-\\u206F\\u2800\\u3000\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\U0001BCA0-\\U0001BCA3\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF\\\\\\"<>^`{|}]*)?$|^/((?!/)[^\\x01-\\x20\\x7F-\\xA0\\xAD\\u034F\\u061C\\u115F\\u1160\\u1680\\u17B4\\u17B5\\u180B-\\u180F\\u2000-\\u200F\\u2028-\\u202F\\u205F-\\u206F\\u2800\\u3000\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\U0001BCA0-\\U0001BCA3\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF\\\\\\"<>^`{|}]+)?$)',
                                    )
                                ),
                                name="media_assets_public_url_is_address",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("media_type__in", ["image", "audio", "pdf"])),
                                name="media_assets_media_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("mime_type__length__lte", 60)),
                                name="media_assets_mime_type_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("title__length__lte", 200)),
                                name="media_assets_title_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("alt_text__length__lte", 2000)),
                                name="media_assets_alt_text_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
                                name="media_assets_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('media_assets_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="9d0dbfcb04029945865042b7c2d9d4694b2b809f",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="media_assets_created_at_not_ahead",
                                    table="media_assets",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="media_assets_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('media_assets_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="cfe66d2fb604aacd8398ac51891266e290e0045d",
                                    operation='UPDATE OF "id"',
                                    pgid="media_assets_id_stays",
                                    table="media_assets",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ContentItem",
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
                        ("content_type", models.TextField(db_comment="P0 · kind of content")),
                        (
                            "slug",
                            models.TextField(db_comment="P0 · slug in addresses, unique per kind"),
                        ),
                        ("title", models.TextField(db_comment="P0 · title")),
                        (
                            "excerpt",
                            models.TextField(
                                blank=True, db_comment="P0 · short summary", null=True
                            ),
                        ),
                        ("body_markdown", models.TextField(db_comment="P0 · text, Markdown")),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · editorial state",
                                db_default="draft",
                                default="draft",
                            ),
                        ),
                        (
                            "published_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when published, UTC", null=True
                            ),
                        ),
                        (
                            "author",
                            models.ForeignKey(
                                db_column="author_user_id",
                                db_comment="P0 · who wrote it",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="content_items",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "time_to_benefit",
                            models.TextField(
                                blank=True, db_comment="P0 · time until it helps", null=True
                            ),
                        ),
                        (
                            "format",
                            models.TextField(
                                blank=True, db_comment="P0 · form of the material", null=True
                            ),
                        ),
                        (
                            "support_level",
                            models.TextField(
                                blank=True, db_comment="P0 · how much support it offers", null=True
                            ),
                        ),
                        (
                            "seo_title",
                            models.TextField(
                                blank=True, db_comment="P0 · title for search engines", null=True
                            ),
                        ),
                        (
                            "seo_description",
                            models.TextField(
                                blank=True, db_comment="P0 · text for search engines", null=True
                            ),
                        ),
                        (
                            "seo_keywords",
                            models.TextField(
                                blank=True, db_comment="P0 · keywords for search engines", null=True
                            ),
                        ),
                        (
                            "canonical_url",
                            models.TextField(
                                blank=True, db_comment="P0 · canonical address", null=True
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
                        (
                            "topics",
                            models.ManyToManyField(
                                related_name="content_items",
                                through="content.ContentItemTopic",
                                to="content.topic",
                            ),
                        ),
                        (
                            "tags",
                            models.ManyToManyField(
                                related_name="content_items",
                                through="content.ContentItemTag",
                                to="content.tag",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "content item",
                        "verbose_name_plural": "content items",
                        "db_table": "content_items",
                        "db_table_comment": "Articles, notes, resources, landings, pages",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["content_type", "slug", "status"],
                                name="content_items_by_address",
                                serves="site: one item by kind, slug and status",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status", "published")),
                                fields=["content_type", "-published_at"],
                                name="content_items_newest_published",
                                serves="site: newest published of a kind",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status", "published")),
                                fields=["-published_at", "-id"],
                                name="content_items_newest",
                                serves="site: published items of a topic, newest first",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status", "review")),
                                fields=["updated_at"],
                                name="content_items_review_queue",
                                serves="admin: the editor's review queue, longest waiting first",
                            ),
                            ebalance.db.rules.Index(
                                fields=["author"],
                                name="content_items_by_author",
                                serves="the delete check",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("content_type", "slug"),
                                name="content_items_slug_unique_per_type",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("slug__regex", "^[a-z0-9]+(-[a-z0-9]+)*$")),
                                name="content_items_slug_is_slug",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("title"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="content_items_title_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("seo_title"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="content_items_seo_title_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "published"), _negated=True),
                                    ("published_at__isnull", False),
                                    _connector="OR",
                                ),
                                name="content_items_published_has_date",
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
                                name="content_items_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "content_type__in",
                                        ["article", "note", "resource", "landing", "page"],
                                    )
                                ),
                                name="content_items_content_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("slug__length__lte", 120)),
                                name="content_items_slug_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("title__length__lte", 200)),
                                name="content_items_title_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("excerpt__length__lte", 2000)),
                                name="content_items_excerpt_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("body_markdown__length__lte", 200000)),
                                name="content_items_body_markdown_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["draft", "review", "published", "archived"])
                                ),
                                name="content_items_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "time_to_benefit__in",
                                        ["1_3_min", "7_10_min", "20_30_min", "series"],
                                    )
                                ),
                                name="content_items_time_to_benefit_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "format__in",
                                        ["article", "note", "resource", "audio", "checklist"],
                                    )
                                ),
                                name="content_items_format_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "support_level__in",
                                        ["self_help", "micro_support", "consultation"],
                                    )
                                ),
                                name="content_items_support_level_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("seo_title__length__lte", 200)),
                                name="content_items_seo_title_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("seo_description__length__lte", 2000)),
                                name="content_items_seo_description_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("seo_keywords__length__lte", 2000)),
                                name="content_items_seo_keywords_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("canonical_url__length__lte", 2000)),
                                name="content_items_canonical_url_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "canonical_url__regex",
                                        '(^https://[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451]([A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451-]*[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451])?(\\.[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451]([A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451-]*[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451])?)*(:[0-9]{1,5})?([/?#][^\\x01-\\x20\\x7F-\\xA0\\xAD\\u034F\\u061C\\u115F\\u1160\\u1680\\u17B4\\u17B5\\u180B-\\u180F\\u2000-\\u200F\\u2028-\\u202F\\u205F-\\u206F\\u2800\\u3000\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\U0001BCA0-\\U0001BCA3\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF\\\\\\"<>^`{|}]*)?$|^/((?!/)[^\\x01-\\x20\\x7F-\\xA0\\xAD\\u034F\\u061C\\u115F\\u1160\\u1680\\u17B4\\u17B5\\u180B-\\u180F\\u2000-\\u200F\\u2028-\\u202F\\u205F-\\u206F\\u2800\\u3000\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\U0001BCA0-\\U0001BCA3\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF\\\\\\"<>^`{|}]+)?$)',
                                    )
                                ),
                                name="content_items_canonical_url_is_address",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="content_items_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('draft', 'review'), ('draft', 'published'), ('review', 'draft'), ('review', 'published'), ('published', 'archived'), ('published', 'draft'), ('archived', 'draft'))))",
                                    execute="public.refuse_transition('content_items_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="cee34e542df747edfdc20c7df9db3c2d1cbefc4b",
                                    operation='UPDATE OF "status"',
                                    pgid="content_items_status_transition",
                                    table="content_items",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="content_items_touch_updated_at",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="2ed53dd70e0abd4fd22e810ddc9f19c88826eddf",
                                    operation="UPDATE",
                                    pgid="content_items_touch_updated_at",
                                    table="content_items",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
                                name="content_items_published_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.published_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('content_items_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="a52de4058fbf4e2e43141f3b2cad883de01f5019",
                                    operation='INSERT OR UPDATE OF "published_at"',
                                    pgid="content_items_published_at_not_ahead",
                                    table="content_items",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="content_items_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('content_items_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="be5bef3fd009db36dcd01634497ed6f4564bfa2c",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="content_items_created_at_not_ahead",
                                    table="content_items",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="content_items_updated_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('content_items_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="2371cfdb438d679176094681974cf6a7c9476963",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="content_items_updated_at_not_ahead",
                                    table="content_items",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="content_items_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('content_items_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="6eb6cdc93c67149b6e2f56f7560f0b93ba4e874d",
                                    operation='UPDATE OF "id"',
                                    pgid="content_items_id_stays",
                                    table="content_items",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ContentRevision",
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
                            "content_item",
                            models.ForeignKey(
                                db_comment="P0 · item it belongs to",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="revisions",
                                to="content.contentitem",
                            ),
                        ),
                        (
                            "revision",
                            models.IntegerField(db_comment="P0 · number, from 1, per item"),
                        ),
                        ("title", models.TextField(db_comment="P0 · title then")),
                        (
                            "excerpt",
                            models.TextField(blank=True, db_comment="P0 · summary then", null=True),
                        ),
                        ("body_markdown", models.TextField(db_comment="P0 · text then, Markdown")),
                        (
                            "meta",
                            models.JSONField(
                                blank=True,
                                db_comment="P0 · other fields then, an object",
                                null=True,
                            ),
                        ),
                        (
                            "changed_by",
                            models.ForeignKey(
                                db_column="changed_by_user_id",
                                db_comment="P0 · who saved it",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="content_revisions",
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
                        "verbose_name": "revision",
                        "verbose_name_plural": "revisions",
                        "db_table": "content_revisions",
                        "db_table_comment": "Earlier texts of content; immutable",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["changed_by"],
                                name="content_revisions_by_editor",
                                serves="the delete check",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("content_item", "revision"),
                                name="content_revisions_once_per_item",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("revision__gte", 1)),
                                name="content_revisions_revision_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("title"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="content_revisions_title_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("meta"),
                                        function="is_json_object",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="content_revisions_meta_is_object",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="content_revisions_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("title__length__lte", 200)),
                                name="content_revisions_title_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("excerpt__length__lte", 2000)),
                                name="content_revisions_excerpt_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("body_markdown__length__lte", 200000)),
                                name="content_revisions_body_markdown_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("meta"),
                                        models.Value(20000),
                                        function="json_has_length",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="content_revisions_meta_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="content_revisions_immutable",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('content_revisions_immutable', 'id', 'This record cannot be changed any more')",
                                    func="",
                                    hash="fc2a4ebc660de5795d69dc2aa45f8fa45f86f121",
                                    operation="UPDATE",
                                    pgid="content_revisions_immutable",
                                    table="content_revisions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="content_revisions_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.content_revisions_no_delete()",
                                    func="CREATE OR REPLACE FUNCTION public.content_revisions_no_delete() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF EXISTS (SELECT FROM public.content_items WHERE id = OLD.content_item_id) THEN\n        PERFORM public.raise_refusal('content_revisions_no_delete', TG_TABLE_NAME, 'content_item_id', 'A version is deleted only together with what it belongs to');\n    END IF;\n    RETURN OLD;\nEND $rule$; ",
                                    hash="fb4c2899b518e6f6254dbe6ecf622ea4c20b95aa",
                                    operation="DELETE",
                                    pgid="content_revisions_no_delete",
                                    table="content_revisions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="content_revisions_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('content_revisions_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="0136729c4667417d130f72cf8b60bce400272c47",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="content_revisions_no_truncate",
                                    table="content_revisions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="content_revisions_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('content_revisions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="45ffe6c7ed568038c77c7dcf256a7ac6aeee2e21",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="content_revisions_created_at_not_ahead",
                                    table="content_revisions",
                                    when="AFTER",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ContentItemTopic",
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
                            "content_item",
                            models.ForeignKey(
                                db_comment="P0 · item",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                to="content.contentitem",
                            ),
                        ),
                        (
                            "topic",
                            models.ForeignKey(
                                db_column="topic_code",
                                db_comment="P0 · topic",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                to="content.topic",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "topic of an item",
                        "verbose_name_plural": "topics of an item",
                        "db_table": "content_item_topics",
                        "db_table_comment": "Topics of content",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["topic", "content_item"],
                                name="content_item_topics_by_topic",
                                serves="items of a topic with few items; the delete check",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("content_item", "topic"), name="content_item_topics_once"
                            )
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="content_item_topics_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('content_item_topics_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="f858d65cd593d1c182c811d4564481fc696cd23c",
                                    operation='UPDATE OF "id"',
                                    pgid="content_item_topics_id_stays",
                                    table="content_item_topics",
                                    when="BEFORE",
                                ),
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ContentItemTag",
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
                            "content_item",
                            models.ForeignKey(
                                db_comment="P0 · item",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                to="content.contentitem",
                            ),
                        ),
                        (
                            "tag",
                            models.ForeignKey(
                                db_comment="P0 · tag",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                to="content.tag",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "tag of an item",
                        "verbose_name_plural": "tags of an item",
                        "db_table": "content_item_tags",
                        "db_table_comment": "Tags of content",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["tag", "content_item"],
                                name="content_item_tags_by_tag",
                                serves="items of a tag",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("content_item", "tag"), name="content_item_tags_once"
                            )
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="content_item_tags_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('content_item_tags_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="d03f71d9b872d501374b24a038214bb86348a334",
                                    operation='UPDATE OF "id"',
                                    pgid="content_item_tags_id_stays",
                                    table="content_item_tags",
                                    when="BEFORE",
                                ),
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ContentMedia",
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
                            "content_item",
                            models.ForeignKey(
                                db_comment="P0 · item",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="media",
                                to="content.contentitem",
                            ),
                        ),
                        (
                            "media_asset",
                            models.ForeignKey(
                                db_comment="P0 · file",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="usages",
                                to="content.mediaasset",
                            ),
                        ),
                        ("usage", models.TextField(db_comment="P0 · how it is used")),
                    ],
                    options={
                        "verbose_name": "file of an item",
                        "verbose_name_plural": "files of an item",
                        "db_table": "content_media",
                        "db_table_comment": "Files used in content",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["media_asset"],
                                name="content_media_by_asset",
                                serves="where a file is used",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("content_item", "media_asset", "usage"),
                                name="content_media_once",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("usage", "cover")),
                                fields=("content_item",),
                                name="content_media_one_cover",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("usage__in", ["cover", "inline", "attachment", "audio"])
                                ),
                                name="content_media_usage_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="content_media_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('content_media_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="3e29e6bdebbd4d3f4e8136252296bb5c3999b217",
                                    operation='UPDATE OF "id"',
                                    pgid="content_media_id_stays",
                                    table="content_media",
                                    when="BEFORE",
                                ),
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="CuratedCollection",
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
                        ("slug", models.TextField(db_comment="P0 · slug in addresses")),
                        ("title", models.TextField(db_comment="P0 · title")),
                        (
                            "collection_type",
                            models.TextField(db_comment="P0 · what the list is picked by"),
                        ),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle", db_default="draft", default="draft"
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
                                related_name="curated_collections",
                                to="content.topic",
                            ),
                        ),
                        (
                            "published_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when published, UTC", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "collection",
                        "verbose_name_plural": "collections",
                        "db_table": "curated_collections",
                        "db_table_comment": "Hand-picked lists",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["topic"],
                                name="curated_collections_by_topic",
                                serves="collections of a topic",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("slug",), name="curated_collections_slug_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("slug__regex", "^[a-z0-9]+(-[a-z0-9]+)*$")),
                                name="curated_collections_slug_is_slug",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("title"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="curated_collections_title_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "published"), _negated=True),
                                    ("published_at__isnull", False),
                                    _connector="OR",
                                ),
                                name="curated_collections_published_has_date",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("published_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="curated_collections_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("slug__length__lte", 120)),
                                name="curated_collections_slug_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("title__length__lte", 200)),
                                name="curated_collections_title_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "collection_type__in",
                                        ["problem", "format", "goal", "context"],
                                    )
                                ),
                                name="curated_collections_collection_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["draft", "published", "archived"])
                                ),
                                name="curated_collections_status_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="curated_collections_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('draft', 'published'), ('published', 'archived'), ('published', 'draft'), ('archived', 'draft'))))",
                                    execute="public.refuse_transition('curated_collections_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="a27fe9da594aaad7b81c24349bab6dea81379342",
                                    operation='UPDATE OF "status"',
                                    pgid="curated_collections_status_transition",
                                    table="curated_collections",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
                                name="curated_collections_published_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.published_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('curated_collections_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="13e1cecf0087c9db1554e91855bc878031908420",
                                    operation='INSERT OR UPDATE OF "published_at"',
                                    pgid="curated_collections_published_at_not_ahead",
                                    table="curated_collections",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="curated_collections_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('curated_collections_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="18a25b9e0ebb968fec9a4dffff4516cf6ed6fa4d",
                                    operation='UPDATE OF "id"',
                                    pgid="curated_collections_id_stays",
                                    table="curated_collections",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="GlossaryTerm",
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
                        ("slug", models.TextField(db_comment="P0 · slug in addresses")),
                        ("title", models.TextField(db_comment="P0 · the term")),
                        ("category", models.TextField(db_comment="P0 · kind of term")),
                        (
                            "short_definition",
                            models.TextField(db_comment="P0 · definition in a sentence"),
                        ),
                        ("body_markdown", models.TextField(db_comment="P0 · text, Markdown")),
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
                            "meta_description",
                            models.TextField(
                                blank=True, db_comment="P0 · text for search engines", null=True
                            ),
                        ),
                        (
                            "keywords",
                            models.TextField(
                                blank=True, db_comment="P0 · keywords for search engines", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "glossary term",
                        "verbose_name_plural": "glossary terms",
                        "db_table": "glossary_terms",
                        "db_table_comment": "The glossary",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("slug",), name="glossary_terms_slug_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("slug__regex", "^[a-z0-9]+(-[a-z0-9]+)*$")),
                                name="glossary_terms_slug_is_slug",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("title"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="glossary_terms_title_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "published"), _negated=True),
                                    ("published_at__isnull", False),
                                    _connector="OR",
                                ),
                                name="glossary_terms_published_has_date",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("published_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="glossary_terms_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("slug__length__lte", 120)),
                                name="glossary_terms_slug_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("title__length__lte", 200)),
                                name="glossary_terms_title_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("category__in", ["approach", "state", "concept"])
                                ),
                                name="glossary_terms_category_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("short_definition__length__lte", 2000)),
                                name="glossary_terms_short_definition_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("body_markdown__length__lte", 200000)),
                                name="glossary_terms_body_markdown_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["draft", "published", "archived"])
                                ),
                                name="glossary_terms_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("meta_description__length__lte", 2000)),
                                name="glossary_terms_meta_description_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("keywords__length__lte", 2000)),
                                name="glossary_terms_keywords_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="glossary_terms_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('draft', 'published'), ('published', 'archived'), ('published', 'draft'), ('archived', 'draft'))))",
                                    execute="public.refuse_transition('glossary_terms_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="67fa6d2582ffb421072b2a2eaf0a4d29c630a2fa",
                                    operation='UPDATE OF "status"',
                                    pgid="glossary_terms_status_transition",
                                    table="glossary_terms",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
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
                            pgtrigger.compiler.Trigger(
                                name="glossary_terms_published_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.published_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('glossary_terms_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="a02d34bebc20073d4392612a02700496198d7a31",
                                    operation='INSERT OR UPDATE OF "published_at"',
                                    pgid="glossary_terms_published_at_not_ahead",
                                    table="glossary_terms",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="glossary_terms_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('glossary_terms_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="e4da74152216c14aa2237754b2ca3548c48f9a55",
                                    operation='UPDATE OF "id"',
                                    pgid="glossary_terms_id_stays",
                                    table="glossary_terms",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="GlossaryTermSynonym",
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
                            "term",
                            models.ForeignKey(
                                db_comment="P0 · term",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="synonyms",
                                to="content.glossaryterm",
                            ),
                        ),
                        ("synonym", models.TextField(db_comment="P0 · the other word")),
                    ],
                    options={
                        "verbose_name": "synonym",
                        "verbose_name_plural": "synonyms",
                        "db_table": "glossary_term_synonyms",
                        "db_table_comment": "Synonyms of glossary terms",
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("synonym"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="glossary_term_synonyms_synonym_not_blank",
                            ),
                            models.UniqueConstraint(
                                models.F("term"),
                                models.Func(models.F("synonym"), function="lower"),
                                name="glossary_term_synonyms_once_per_term",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("synonym__length__lte", 200)),
                                name="glossary_term_synonyms_synonym_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="glossary_term_synonyms_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('glossary_term_synonyms_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="3b5298b8aea6aef686d6a93c7ca32e517a636aaf",
                                    operation='UPDATE OF "id"',
                                    pgid="glossary_term_synonyms_id_stays",
                                    table="glossary_term_synonyms",
                                    when="BEFORE",
                                ),
                            )
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="GlossaryTermLink",
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
                            "term",
                            models.ForeignKey(
                                db_comment="P0 · term",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="links",
                                to="content.glossaryterm",
                            ),
                        ),
                        (
                            "content_item",
                            models.ForeignKey(
                                db_comment="P0 · item",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="glossary_links",
                                to="content.contentitem",
                            ),
                        ),
                        ("link_type", models.TextField(db_comment="P0 · how they belong together")),
                    ],
                    options={
                        "verbose_name": "glossary link",
                        "verbose_name_plural": "glossary links",
                        "db_table": "glossary_term_links",
                        "db_table_comment": "Links between glossary and content",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["content_item"],
                                name="glossary_term_links_by_item",
                                serves="terms of an item",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("term", "content_item", "link_type"),
                                name="glossary_term_links_once",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("link_type__in", ["mentioned_in", "recommended"])
                                ),
                                name="glossary_term_links_link_type_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="glossary_term_links_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('glossary_term_links_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="36c6a3049cfd72e8146fd2c1e9098741cd87036e",
                                    operation='UPDATE OF "id"',
                                    pgid="glossary_term_links_id_stays",
                                    table="glossary_term_links",
                                    when="BEFORE",
                                ),
                            )
                        ],
                    },
                ),
            ],
        ),
    ]
