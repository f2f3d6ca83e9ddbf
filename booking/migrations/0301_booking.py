"""Services, schedule, appointments, payments, waitlist, intake forms."""

import datetime

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
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
        ("crm", "0501_crm"),
        ("identity", "0001_identity"),
    ]

    operations = [
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="Service",
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
                            "description_markdown",
                            models.TextField(db_comment="P0 · description, Markdown"),
                        ),
                        ("format", models.TextField(db_comment="P0 · online, offline or either")),
                        (
                            "offline_address",
                            models.TextField(
                                blank=True, db_comment="P0 · address of the practice", null=True
                            ),
                        ),
                        (
                            "duration_minutes",
                            models.IntegerField(db_comment="P0 · length of a session, minutes"),
                        ),
                        (
                            "price_amount",
                            models.IntegerField(db_comment="P0 · price, whole roubles"),
                        ),
                        (
                            "deposit_amount",
                            models.IntegerField(
                                blank=True, db_comment="P0 · deposit, whole roubles", null=True
                            ),
                        ),
                        (
                            "cancel_free_hours",
                            models.IntegerField(
                                blank=True,
                                db_comment="P0 · hours before the start: full refund",
                                null=True,
                            ),
                        ),
                        (
                            "cancel_partial_hours",
                            models.IntegerField(
                                blank=True,
                                db_comment="P0 · hours before the start: half refund",
                                null=True,
                            ),
                        ),
                        (
                            "reschedule_min_hours",
                            models.IntegerField(
                                blank=True,
                                db_comment="P0 · hours before the start: moving allowed",
                                null=True,
                            ),
                        ),
                        (
                            "reschedule_max_count",
                            models.IntegerField(
                                blank=True,
                                db_comment="P0 · how many times an appointment may move",
                                null=True,
                            ),
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
                                related_name="services",
                                to="content.topic",
                            ),
                        ),
                        (
                            "position",
                            models.IntegerField(
                                db_comment="P0 · order in lists", db_default=0, default=0
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
                        "verbose_name": "service",
                        "verbose_name_plural": "services",
                        "db_table": "services",
                        "db_table_comment": "Consultations on offer",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["topic"],
                                name="services_by_topic",
                                serves="services of a topic",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status", "published")),
                                fields=["position"],
                                name="services_on_offer",
                                serves="site: services on offer, in order",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(fields=("slug",), name="services_slug_unique"),
                            models.CheckConstraint(
                                condition=models.Q(("slug__regex", "^[a-z0-9]+(-[a-z0-9]+)*$")),
                                name="services_slug_is_slug",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("title"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="services_title_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("duration_minutes__gte", 10), ("duration_minutes__lte", 480)
                                ),
                                name="services_duration_minutes_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("price_amount__gte", 0)),
                                name="services_price_amount_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("deposit_amount__isnull", True),
                                    models.Q(
                                        ("deposit_amount__gte", 1),
                                        ("deposit_amount__lte", models.F("price_amount")),
                                    ),
                                    _connector="OR",
                                ),
                                name="services_deposit_within_price",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("cancel_free_hours__gte", 0)),
                                name="services_cancel_free_hours_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("cancel_partial_hours__gte", 0)),
                                name="services_cancel_partial_hours_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("cancel_partial_hours__isnull", True),
                                    models.Q(
                                        ("cancel_free_hours__isnull", False),
                                        (
                                            "cancel_partial_hours__lte",
                                            models.F("cancel_free_hours"),
                                        ),
                                    ),
                                    _connector="OR",
                                ),
                                name="services_partial_refund_within_free",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "published"), _negated=True),
                                    ("price_amount", 0),
                                    ("cancel_free_hours__isnull", False),
                                    _connector="OR",
                                ),
                                name="services_published_with_refund_policy",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("reschedule_min_hours__gte", 0)),
                                name="services_reschedule_min_hours_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("reschedule_max_count__gte", 0)),
                                name="services_reschedule_max_count_in_range",
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
                                name="services_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("slug__length__lte", 120)),
                                name="services_slug_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("title__length__lte", 200)),
                                name="services_title_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("description_markdown__length__lte", 200000)),
                                name="services_description_markdown_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("format__in", ["online", "offline", "hybrid"])),
                                name="services_format_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("offline_address__length__lte", 2000)),
                                name="services_offline_address_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["draft", "published", "archived"])
                                ),
                                name="services_status_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="services_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('draft', 'published'), ('published', 'archived'), ('published', 'draft'), ('archived', 'draft'))))",
                                    execute="public.refuse_transition('services_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="39c2831d084f3e2fba795ca5f902fa37f6127da7",
                                    operation='UPDATE OF "status"',
                                    pgid="services_status_transition",
                                    table="services",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="services_touch_updated_at",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="c176949efb73227cb51a395986ea8d94c2df2865",
                                    operation="UPDATE",
                                    pgid="services_touch_updated_at",
                                    table="services",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="services_insert_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('service_created', 'id', 'price_amount', 'deposit_amount', 'cancel_free_hours', 'cancel_partial_hours', 'reschedule_min_hours', 'reschedule_max_count', 'status')",
                                    func="",
                                    hash="9de2b3eea80df0d6dba35b0b834fd7e0dcc6c165",
                                    operation="INSERT",
                                    pgid="services_insert_audited",
                                    table="services",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="services_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.price_amount IS DISTINCT FROM NEW.price_amount OR OLD.deposit_amount IS DISTINCT FROM NEW.deposit_amount OR OLD.cancel_free_hours IS DISTINCT FROM NEW.cancel_free_hours OR OLD.cancel_partial_hours IS DISTINCT FROM NEW.cancel_partial_hours OR OLD.reschedule_min_hours IS DISTINCT FROM NEW.reschedule_min_hours OR OLD.reschedule_max_count IS DISTINCT FROM NEW.reschedule_max_count OR OLD.status IS DISTINCT FROM NEW.status))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('service_changed', 'id', 'price_amount', 'deposit_amount', 'cancel_free_hours', 'cancel_partial_hours', 'reschedule_min_hours', 'reschedule_max_count', 'status')",
                                    func="",
                                    hash="a554e7df23cb89bb39fe9309585d54eaa4c7d6c8",
                                    operation="UPDATE",
                                    pgid="services_update_audited",
                                    table="services",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="services_delete_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('service_deleted', 'id', 'slug', 'title', 'description_markdown', 'format', 'offline_address', 'duration_minutes', 'price_amount', 'deposit_amount', 'cancel_free_hours', 'cancel_partial_hours', 'reschedule_min_hours', 'reschedule_max_count', 'status', 'topic_code', 'position', 'created_at', 'updated_at')",
                                    func="",
                                    hash="cf9f3f0123e206a5770bc12dea8d0b0ef8b6d54c",
                                    operation="DELETE",
                                    pgid="services_delete_audited",
                                    table="services",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="services_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('services_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="c31c707b9a6e196b6cafedbd669793a5cb6a009f",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="services_no_truncate",
                                    table="services",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="services_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('services_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="8ff4120e3afc38c2aac3d5406dc064b5a8e11a5b",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="services_created_at_not_ahead",
                                    table="services",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="services_updated_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('services_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="4835fce62f4ae092e85fdaa7b052575de385b345",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="services_updated_at_not_ahead",
                                    table="services",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="services_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('services_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="9be9676284dea2ec0ef717a2eb7afc314876c6ab",
                                    operation='UPDATE OF "id"',
                                    pgid="services_id_stays",
                                    table="services",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ScheduleRule",
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
                            "service",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · only for this service; empty: any",
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="schedule_rules",
                                to="booking.service",
                            ),
                        ),
                        (
                            "weekday",
                            models.SmallIntegerField(
                                db_comment="P0 · ISO weekday, 1 Monday to 7 Sunday"
                            ),
                        ),
                        (
                            "start_local",
                            models.TimeField(db_comment="P0 · start, wall time in timezone"),
                        ),
                        (
                            "end_local",
                            models.TimeField(db_comment="P0 · end, wall time, later the same day"),
                        ),
                        (
                            "timezone",
                            models.TextField(db_comment="P0 · IANA zone of the wall times"),
                        ),
                        (
                            "recurrence",
                            models.TextField(db_comment="P0 · every week or every second"),
                        ),
                        ("valid_from", models.DateField(db_comment="P0 · first day")),
                        (
                            "valid_until",
                            models.DateField(
                                blank=True, db_comment="P0 · last day; empty: open", null=True
                            ),
                        ),
                        (
                            "buffer_minutes",
                            models.SmallIntegerField(
                                db_comment="P0 · break after a session, minutes",
                                db_default=0,
                                default=0,
                            ),
                        ),
                        (
                            "is_active",
                            models.BooleanField(
                                db_comment="P0 · in force", db_default=True, default=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "schedule rule",
                        "verbose_name_plural": "schedule rules",
                        "db_table": "schedule_rules",
                        "db_table_comment": "Recurring working hours",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["service", "weekday"],
                                name="schedule_rules_by_service",
                                serves="generate_slots; delete",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("weekday__gte", 1), ("weekday__lte", 7)),
                                name="schedule_rules_weekday_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("end_local__gt", models.F("start_local"))),
                                name="schedule_rules_ends_after_start",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("end_local__lte", datetime.time(23, 59, 59, 999999))
                                ),
                                name="schedule_rules_ends_before_midnight",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("valid_until__isnull", True),
                                    ("valid_until__gte", models.F("valid_from")),
                                    _connector="OR",
                                ),
                                name="schedule_rules_valid_until_after_from",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("buffer_minutes__gte", 0), ("buffer_minutes__lte", 120)
                                ),
                                name="schedule_rules_buffer_minutes_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("valid_from"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("valid_until"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="schedule_rules_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("timezone__length__lte", 60)),
                                name="schedule_rules_timezone_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("timezone"),
                                        function="is_zone_form",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="schedule_rules_timezone_is_iana_zone",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("recurrence__in", ["weekly", "biweekly"])),
                                name="schedule_rules_recurrence_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="schedule_rules_timezone_is_known",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NOT public.is_time_zone(NEW.timezone))",
                                    execute="public.schedule_rules_timezone_is_known()",
                                    func="CREATE OR REPLACE FUNCTION public.schedule_rules_timezone_is_known() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF TG_OP = 'UPDATE' AND NEW.timezone = OLD.timezone THEN\n        RETURN NULL;\n    END IF;\n    PERFORM public.raise_refusal('schedule_rules_timezone_is_known', TG_TABLE_NAME, 'timezone', 'The server does not know this time zone');\n    RETURN NULL;\nEND $rule$; ",
                                    hash="e5d2eec1fb79706c56363e8ba4ff6e6a39a3e2d0",
                                    operation='INSERT OR UPDATE OF "timezone"',
                                    pgid="schedule_rules_timezone_is_known",
                                    table="schedule_rules",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="schedule_rules_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('schedule_rules_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="5c18530fe8cec1eec0b543577773d7382ff1e6f2",
                                    operation='UPDATE OF "id"',
                                    pgid="schedule_rules_id_stays",
                                    table="schedule_rules",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="AvailabilitySlot",
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
                            "service",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · only for this service; empty: any",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="slots",
                                to="booking.service",
                            ),
                        ),
                        (
                            "schedule_rule",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · rule that made it; empty: staff or the outside calendar",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="slots",
                                to="booking.schedulerule",
                            ),
                        ),
                        ("start_at_utc", models.DateTimeField(db_comment="P0 · start, UTC")),
                        (
                            "end_at_utc",
                            models.DateTimeField(db_comment="P0 · end, UTC, at most 12 h later"),
                        ),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle",
                                db_default="available",
                                default="available",
                            ),
                        ),
                        (
                            "source",
                            models.TextField(
                                db_comment="P0 · who made it",
                                db_default="product",
                                default="product",
                            ),
                        ),
                        (
                            "external_event_id",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · event in the outside calendar",
                                null=True,
                            ),
                        ),
                        (
                            "block_type",
                            models.TextField(
                                blank=True, db_comment="P0 · why it is blocked", null=True
                            ),
                        ),
                        (
                            "buffer_minutes",
                            models.SmallIntegerField(
                                db_comment="P0 · break kept after a session here, minutes",
                                db_default=0,
                                default=0,
                            ),
                        ),
                        (
                            "note",
                            models.TextField(
                                blank=True, db_comment="P1 · internal note", null=True
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
                        "verbose_name": "slot",
                        "verbose_name_plural": "slots",
                        "db_table": "availability_slots",
                        "db_table_comment": "Times that can be booked or are blocked",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["start_at_utc", "status"],
                                name="availability_slots_free",
                                serves="site: free slots of a period",
                            ),
                            ebalance.db.rules.Index(
                                fields=["source", "start_at_utc"],
                                name="availability_slots_by_source",
                                serves="calendar sync: slots of a source",
                            ),
                            ebalance.db.rules.Index(
                                fields=["service"],
                                name="availability_slots_by_service",
                                serves="the delete check",
                            ),
                            ebalance.db.rules.Index(
                                fields=["schedule_rule", "start_at_utc"],
                                name="availability_slots_by_rule",
                                serves="generate_slots: slots to withdraw; delete",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("start_at_utc"),
                                        models.F("end_at_utc"),
                                        function="is_session_length",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="availability_slots_ends_after_start",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("buffer_minutes__gte", 0), ("buffer_minutes__lte", 120)
                                ),
                                name="availability_slots_buffer_minutes_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("source", "google_calendar"),
                                        ("external_event_id__isnull", False),
                                    ),
                                    models.Q(
                                        models.Q(("source", "google_calendar"), _negated=True),
                                        ("external_event_id__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="availability_slots_external_id_with_source",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "blocked"), ("block_type__isnull", False)),
                                    models.Q(
                                        models.Q(("status", "blocked"), _negated=True),
                                        ("block_type__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="availability_slots_block_type_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "withdrawn"), _negated=True),
                                    ("schedule_rule__isnull", False),
                                    _connector="OR",
                                ),
                                name="availability_slots_withdrawn_has_rule",
                            ),
                            models.UniqueConstraint(
                                fields=("start_at_utc", "end_at_utc", "source", "service"),
                                name="availability_slots_once",
                                nulls_distinct=False,
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("start_at_utc"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("end_at_utc"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="availability_slots_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "status__in",
                                        ["available", "reserved", "blocked", "withdrawn"],
                                    )
                                ),
                                name="availability_slots_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("source__in", ["product", "google_calendar"])),
                                name="availability_slots_source_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("external_event_id__length__lte", 200)),
                                name="availability_slots_external_event_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "external_event_id__regex",
                                        "^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$",
                                    )
                                ),
                                name="availability_slots_external_event_id_is_external_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("block_type__in", ["exception", "buffer"])),
                                name="availability_slots_block_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("note__length__lte", 2000)),
                                name="availability_slots_note_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="availability_slots_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('available', 'reserved'), ('available', 'blocked'), ('available', 'withdrawn'), ('reserved', 'available'), ('blocked', 'available'), ('withdrawn', 'available'))))",
                                    execute="public.refuse_transition('availability_slots_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="37d326875d57ca266cba02299d6a5404a16958a4",
                                    operation='UPDATE OF "status"',
                                    pgid="availability_slots_status_transition",
                                    table="availability_slots",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="availability_slots_reserved_stays_put",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.start_at_utc IS DISTINCT FROM NEW.start_at_utc OR OLD.end_at_utc IS DISTINCT FROM NEW.end_at_utc OR OLD.service_id IS DISTINCT FROM NEW.service_id OR OLD.buffer_minutes IS DISTINCT FROM NEW.buffer_minutes OR OLD.source IS DISTINCT FROM NEW.source) AND OLD.status = 'reserved')",
                                    execute="public.refuse('availability_slots_reserved_stays_put', 'start_at_utc', 'A reserved slot is not moved')",
                                    func="",
                                    hash="14a015ac4605dd03c6f66af46930313bf74786a8",
                                    operation="UPDATE",
                                    pgid="availability_slots_reserved_stays_put",
                                    table="availability_slots",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="availability_slots_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status = 'reserved')",
                                    execute="public.refuse('availability_slots_no_delete', 'id', 'A reserved slot is not deleted')",
                                    func="",
                                    hash="b4bb897a3376941467889b1aff82994b61d142d6",
                                    operation="DELETE",
                                    pgid="availability_slots_no_delete",
                                    table="availability_slots",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="availability_slots_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('availability_slots_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="3316ceedb831589789884b396972f64c3557ffb1",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="availability_slots_no_truncate",
                                    table="availability_slots",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="availability_slots_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('availability_slots_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="9748574275b3afff5d2a85fda91044b883574775",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="availability_slots_created_at_not_ahead",
                                    table="availability_slots",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="availability_slots_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('availability_slots_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="fb4c9cd54b7581b457397115566bc524d567c587",
                                    operation='UPDATE OF "id"',
                                    pgid="availability_slots_id_stays",
                                    table="availability_slots",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Appointment",
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
                            "service",
                            models.ForeignKey(
                                db_comment="P0 · service",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="appointments",
                                to="booking.service",
                            ),
                        ),
                        (
                            "client",
                            models.ForeignKey(
                                blank=True,
                                db_column="client_user_id",
                                db_comment="P0 · client, if registered",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="appointments",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "lead",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · lead, if not registered",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="appointments",
                                to="crm.lead",
                            ),
                        ),
                        (
                            "client_request_id",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · idempotency key of the caller",
                                null=True,
                            ),
                        ),
                        ("start_at_utc", models.DateTimeField(db_comment="P0 · start, UTC")),
                        (
                            "end_at_utc",
                            models.DateTimeField(db_comment="P0 · end, UTC, at most 12 h later"),
                        ),
                        (
                            "buffer_minutes",
                            models.SmallIntegerField(
                                db_comment="P0 · break kept after it, minutes",
                                db_default=0,
                                default=0,
                            ),
                        ),
                        ("timezone", models.TextField(db_comment="P0 · the client's IANA zone")),
                        ("format", models.TextField(db_comment="P0 · online or offline")),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle",
                                db_default="pending_payment",
                                default="pending_payment",
                            ),
                        ),
                        (
                            "hold_expires_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · until when the time is held unpaid, UTC",
                                null=True,
                            ),
                        ),
                        (
                            "price_amount",
                            models.IntegerField(
                                db_comment="P0 · price agreed, whole roubles; never changes"
                            ),
                        ),
                        (
                            "deposit_amount",
                            models.IntegerField(
                                blank=True,
                                db_comment="P0 · deposit agreed, whole roubles; never changes",
                                null=True,
                            ),
                        ),
                        (
                            "meeting_url",
                            models.TextField(
                                blank=True, db_comment="P1 · address of the video call", null=True
                            ),
                        ),
                        (
                            "location_text",
                            models.TextField(
                                blank=True, db_comment="P1 · where an offline session is", null=True
                            ),
                        ),
                        (
                            "slot",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · slot it takes",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="appointments",
                                to="booking.availabilityslot",
                            ),
                        ),
                        (
                            "external_calendar_event_id",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · event in the outside calendar",
                                null=True,
                            ),
                        ),
                        (
                            "rescheduled_from",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · the appointment this one replaces",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="rescheduled_to",
                                to="booking.appointment",
                            ),
                        ),
                        (
                            "outcome",
                            models.TextField(
                                blank=True, db_comment="P0 · what became of it", null=True
                            ),
                        ),
                        (
                            "outcome_reason_category",
                            models.TextField(
                                blank=True, db_comment="P0 · category of the reason", null=True
                            ),
                        ),
                        (
                            "outcome_recorded_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when the outcome was recorded, UTC",
                                null=True,
                            ),
                        ),
                        (
                            "outcome_recorded_by_role",
                            models.TextField(
                                blank=True, db_comment="P0 · who recorded the outcome", null=True
                            ),
                        ),
                        (
                            "confirmed_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when confirmed, UTC", null=True
                            ),
                        ),
                        (
                            "canceled_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when canceled, UTC", null=True
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
                                related_name="appointments",
                                to="content.topic",
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
                            "entry_point",
                            models.TextField(blank=True, db_comment="P0 · where from", null=True),
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
                        "verbose_name": "appointment",
                        "verbose_name_plural": "appointments",
                        "db_table": "appointments",
                        "db_table_comment": "Sessions agreed with clients",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["start_at_utc", "status"],
                                name="appointments_by_time",
                                serves="admin: the calendar; conflicts",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status", "pending_payment")),
                                fields=["hold_expires_at"],
                                name="appointments_stale_holds",
                                serves="expire_holds",
                            ),
                            ebalance.db.rules.Index(
                                fields=["client", "-start_at_utc"],
                                name="appointments_by_client",
                                serves="a client's",
                            ),
                            ebalance.db.rules.Index(
                                fields=["lead", "-start_at_utc"],
                                name="appointments_by_lead",
                                serves="a lead's",
                            ),
                            ebalance.db.rules.Index(
                                fields=["service"],
                                name="appointments_by_service",
                                serves="the delete check",
                            ),
                            ebalance.db.rules.Index(
                                fields=["slot"],
                                name="appointments_by_slot",
                                serves="appointments of a slot; delete",
                            ),
                            ebalance.db.rules.Index(
                                fields=["topic"],
                                name="appointments_by_topic",
                                serves="metrics by topic; delete",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("start_at_utc"),
                                        models.F("end_at_utc"),
                                        function="is_session_length",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="appointments_ends_after_start",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("buffer_minutes__gte", 0), ("buffer_minutes__lte", 120)
                                ),
                                name="appointments_buffer_minutes_in_range",
                            ),
                            django.contrib.postgres.constraints.ExclusionConstraint(
                                condition=models.Q(
                                    ("status__in", ["pending_payment", "paid", "confirmed"])
                                ),
                                expressions=[
                                    (
                                        models.Func(
                                            models.F("start_at_utc"),
                                            models.F("end_at_utc"),
                                            models.F("buffer_minutes"),
                                            function="busy_range",
                                            output_field=django.contrib.postgres.fields.ranges.DateTimeRangeField(),
                                        ),
                                        "&&",
                                    )
                                ],
                                name="appointments_no_overlap",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(
                                    ("slot__isnull", False),
                                    ("status__in", ["pending_payment", "paid", "confirmed"]),
                                ),
                                fields=("slot",),
                                name="appointments_one_blocking_per_slot",
                            ),
                            models.UniqueConstraint(
                                fields=("client_request_id",),
                                name="appointments_client_request_unique",
                            ),
                            models.UniqueConstraint(
                                fields=("rescheduled_from",), name="appointments_rescheduled_once"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("client__isnull", False),
                                    ("lead__isnull", False),
                                    _connector="OR",
                                ),
                                name="appointments_client_or_lead_present",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("rescheduled_from__isnull", True),
                                    models.Q(("rescheduled_from", models.F("id")), _negated=True),
                                    _connector="OR",
                                ),
                                name="appointments_not_rescheduled_from_itself",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("deep_link_id__regex", "^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$")
                                ),
                                name="appointments_deep_link_id_is_opaque",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "pending_payment"), _negated=True),
                                    ("hold_expires_at__isnull", False),
                                    _connector="OR",
                                ),
                                name="appointments_hold_has_expiry",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("price_amount__gte", 0)),
                                name="appointments_price_amount_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("deposit_amount__isnull", True),
                                    models.Q(
                                        ("deposit_amount__gte", 1),
                                        ("deposit_amount__lte", models.F("price_amount")),
                                    ),
                                    _connector="OR",
                                ),
                                name="appointments_deposit_within_price",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("confirmed_at__isnull", False),
                                        ("status__in", ["confirmed", "rescheduled", "completed"]),
                                    ),
                                    models.Q(
                                        ("confirmed_at__isnull", True),
                                        ("status__in", ["pending_payment", "paid"]),
                                    ),
                                    ("status", "canceled"),
                                    _connector="OR",
                                ),
                                name="appointments_confirmed_at_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status", "canceled"), ("canceled_at__isnull", False)
                                    ),
                                    models.Q(
                                        models.Q(("status", "canceled"), _negated=True),
                                        ("canceled_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="appointments_canceled_at_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("outcome__isnull", False),
                                        ("outcome_recorded_at__isnull", False),
                                        ("outcome_recorded_by_role__isnull", False),
                                    ),
                                    models.Q(
                                        ("outcome__isnull", True),
                                        ("outcome_recorded_at__isnull", True),
                                        ("outcome_recorded_by_role__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="appointments_outcome_all_or_none",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("outcome_reason_category__isnull", True),
                                    ("outcome__isnull", False),
                                    _connector="OR",
                                ),
                                name="appointments_reason_with_outcome",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("outcome__in", ["attended", "no_show"]),
                                        ("outcome__isnull", False),
                                        ("status", "completed"),
                                    ),
                                    models.Q(("outcome__isnull", True), ("status", "canceled")),
                                    models.Q(
                                        (
                                            "outcome__in",
                                            ["canceled_by_client", "canceled_by_provider"],
                                        ),
                                        ("outcome__isnull", False),
                                        ("status", "canceled"),
                                    ),
                                    models.Q(("outcome__isnull", True), ("status", "rescheduled")),
                                    models.Q(
                                        ("outcome", "rescheduled"),
                                        ("outcome__isnull", False),
                                        ("status", "rescheduled"),
                                    ),
                                    models.Q(
                                        ("outcome__isnull", True),
                                        ("status__in", ["pending_payment", "paid", "confirmed"]),
                                    ),
                                    _connector="OR",
                                ),
                                name="appointments_outcome_agrees_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("outcome__isnull", True),
                                    models.Q(
                                        ("outcome__in", ["attended", "no_show"]), _negated=True
                                    ),
                                    ("outcome_recorded_at__gte", models.F("start_at_utc")),
                                    _connector="OR",
                                ),
                                name="appointments_outcome_not_before_start",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("start_at_utc"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("end_at_utc"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("hold_expires_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("outcome_recorded_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("confirmed_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("canceled_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
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
                                name="appointments_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("client_request_id__length__lte", 200)),
                                name="appointments_client_request_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "client_request_id__regex",
                                        "^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$",
                                    )
                                ),
                                name="appointments_client_request_id_is_external_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("timezone__length__lte", 60)),
                                name="appointments_timezone_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("timezone"),
                                        function="is_zone_form",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="appointments_timezone_is_iana_zone",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("format__in", ["online", "offline"])),
                                name="appointments_format_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "status__in",
                                        [
                                            "pending_payment",
                                            "paid",
                                            "confirmed",
                                            "canceled",
                                            "rescheduled",
                                            "completed",
                                        ],
                                    )
                                ),
                                name="appointments_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("meeting_url__length__lte", 2000)),
                                name="appointments_meeting_url_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "meeting_url__regex",
                                        '^https://[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451]([A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451-]*[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451])?(\\.[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451]([A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451-]*[A-Za-z0-9\\u0401\\u0410-\\u044F\\u0451])?)*(:[0-9]{1,5})?([/?#][^\\x01-\\x20\\x7F-\\xA0\\xAD\\u034F\\u061C\\u115F\\u1160\\u1680\\u17B4\\u17B5\\u180B-\\u180F\\u2000-\\u200F\\u2028-\\u202F\\u205F-\\u206F\\u2800\\u3000\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\U0001BCA0-\\U0001BCA3\\U0001D173-\\U0001D17A\\U000E0000-\\U000E0FFF\\\\\\"<>^`{|}]*)?$',
                                    )
                                ),
                                name="appointments_meeting_url_is_https",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("location_text__length__lte", 2000)),
                                name="appointments_location_text_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("external_calendar_event_id__length__lte", 200)
                                ),
                                name="appointments_external_calendar_event_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "external_calendar_event_id__regex",
                                        "^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$",
                                    )
                                ),
                                name="appointments_external_calendar_event_id_is_external_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "outcome__in",
                                        [
                                            "attended",
                                            "no_show",
                                            "canceled_by_client",
                                            "canceled_by_provider",
                                            "rescheduled",
                                        ],
                                    )
                                ),
                                name="appointments_outcome_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "outcome_reason_category__in",
                                        [
                                            "late_cancel",
                                            "tech_issue",
                                            "illness",
                                            "other",
                                            "unknown",
                                        ],
                                    )
                                ),
                                name="appointments_outcome_reason_category_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "outcome_recorded_by_role__in",
                                        ["owner", "assistant", "system"],
                                    )
                                ),
                                name="appointments_outcome_recorded_by_role_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("deep_link_id__length__lte", 64)),
                                name="appointments_deep_link_id_has_length",
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
                                name="appointments_entry_point_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="appointments_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('pending_payment', 'paid'), ('pending_payment', 'canceled'), ('paid', 'confirmed'), ('paid', 'canceled'), ('confirmed', 'canceled'), ('confirmed', 'rescheduled'), ('confirmed', 'completed'))))",
                                    execute="public.refuse_transition('appointments_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="963d811194e07a39aab7950b8c265944c15e359a",
                                    operation='UPDATE OF "status"',
                                    pgid="appointments_status_transition",
                                    table="appointments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_status_initial",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NOT (NEW.status = 'pending_payment' OR (NEW.status = 'confirmed' AND (NEW.rescheduled_from_id IS NOT NULL OR NEW.price_amount = 0))))",
                                    execute="public.refuse('appointments_status_initial', 'status', 'An appointment starts as a hold; confirmed only when free of charge or in place of a rescheduled one')",
                                    func="",
                                    hash="bad68e4a675c40114d371d5cea87260cdb18c5bd",
                                    operation="INSERT",
                                    pgid="appointments_status_initial",
                                    table="appointments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_replaces_rescheduled",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status = 'confirmed' AND NEW.price_amount <> 0)",
                                    constraint="CONSTRAINT",
                                    execute="public.appointments_replaces_rescheduled()",
                                    func="CREATE OR REPLACE FUNCTION public.appointments_replaces_rescheduled() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF NOT EXISTS (SELECT FROM public.appointments\n                   WHERE id = NEW.rescheduled_from_id AND status = 'rescheduled')\n       -- Rows of one transaction could otherwise vouch for each other in a circle.\n       OR EXISTS (\n           WITH RECURSIVE chain AS (\n               SELECT id, rescheduled_from_id FROM public.appointments\n               WHERE id = NEW.rescheduled_from_id\n               UNION\n               SELECT a.id, a.rescheduled_from_id\n               FROM public.appointments a JOIN chain ON a.id = chain.rescheduled_from_id)\n           SELECT FROM chain WHERE id = NEW.id) THEN\n        PERFORM public.raise_refusal('appointments_replaces_rescheduled', TG_TABLE_NAME, 'rescheduled_from_id', 'A paid session starts confirmed only in place of a rescheduled one');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="de356a0c33b93f98e7fbf806329ed5505df304ab",
                                    operation="INSERT",
                                    pgid="appointments_replaces_rescheduled",
                                    table="appointments",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_paid_has_money",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status <> NEW.status AND NEW.status IN ('paid', 'confirmed') AND NEW.price_amount <> 0)",
                                    constraint="CONSTRAINT",
                                    execute="public.appointments_paid_has_money()",
                                    func="CREATE OR REPLACE FUNCTION public.appointments_paid_has_money() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ DECLARE\n    chain uuid[];\n    balance bigint;\nBEGIN\n    IF EXISTS (SELECT FROM public.appointments a\n               WHERE a.id = NEW.rescheduled_from_id AND a.status = 'rescheduled') THEN\n        RETURN NULL;\n    END IF;\n    WITH RECURSIVE earlier AS (\n        SELECT a.id, a.rescheduled_from_id FROM public.appointments a WHERE a.id = NEW.id\n        UNION\n        SELECT a.id, a.rescheduled_from_id\n        FROM public.appointments a JOIN earlier ON a.id = earlier.rescheduled_from_id),\n    whole AS (\n        SELECT earlier.id FROM earlier\n        UNION\n        SELECT a.id FROM public.appointments a JOIN whole ON a.rescheduled_from_id = whole.id)\n    SELECT array_agg(whole.id) INTO chain FROM whole;\n    -- Canceled in the same transaction: money may have been given back, and no session is left.\n    IF EXISTS (SELECT FROM public.appointments a\n               WHERE a.id = ANY (chain) AND a.status = 'canceled' AND NOT EXISTS (\n                   SELECT FROM public.appointments b WHERE b.rescheduled_from_id = a.id)) THEN\n        RETURN NULL;\n    END IF;\n    PERFORM FROM public.payments p WHERE p.appointment_id = ANY (chain) AND p.status = 'succeeded'\n    ORDER BY p.id FOR NO KEY UPDATE;\n    SELECT coalesce(sum(p.amount), 0) - coalesce(sum(\n        (SELECT sum(r.amount) FROM public.refunds r\n         WHERE r.payment_id = p.id AND r.status <> 'failed')), 0)\n    INTO balance\n    FROM public.payments p WHERE p.appointment_id = ANY (chain) AND p.status = 'succeeded';\n    IF balance < coalesce(NEW.deposit_amount, NEW.price_amount) THEN\n        PERFORM public.raise_refusal('appointments_paid_has_money', TG_TABLE_NAME, 'status', 'A session is paid or confirmed once its deposit, or its price, has arrived');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="34bd30c6021213cb1aa163e7e886ddfa4960c875",
                                    operation='UPDATE OF "status"',
                                    pgid="appointments_paid_has_money",
                                    table="appointments",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_paid_session_stays_put",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.service_id IS DISTINCT FROM NEW.service_id OR OLD.start_at_utc IS DISTINCT FROM NEW.start_at_utc OR OLD.end_at_utc IS DISTINCT FROM NEW.end_at_utc OR OLD.buffer_minutes IS DISTINCT FROM NEW.buffer_minutes) AND OLD.status <> 'pending_payment')",
                                    execute="public.refuse('appointments_paid_session_stays_put', 'service_id', 'Service and time of a paid session do not change; moving makes a new record')",
                                    func="",
                                    hash="c56dc24bcf4e0d840fcf6709c16ad4affeb28fbc",
                                    operation="UPDATE",
                                    pgid="appointments_paid_session_stays_put",
                                    table="appointments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_person_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status <> 'pending_payment' AND (OLD.client_user_id <> NEW.client_user_id OR OLD.lead_id <> NEW.lead_id OR (OLD.client_user_id IS NOT NULL AND NEW.client_user_id IS NULL) OR (OLD.lead_id IS NOT NULL AND NEW.lead_id IS NULL)))",
                                    execute="public.appointments_person_stays()",
                                    func="CREATE OR REPLACE FUNCTION public.appointments_person_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF OLD.client_user_id <> NEW.client_user_id\n       -- Erasure empties it.\n       OR (NEW.client_user_id IS NULL AND EXISTS (\n           SELECT FROM public.users u WHERE u.id = OLD.client_user_id AND u.status <> 'deleted'))\n       OR (OLD.lead_id IS NOT NULL AND NEW.lead_id IS NULL) THEN\n        PERFORM public.raise_refusal('appointments_person_stays', TG_TABLE_NAME, 'client_user_id', 'A paid session stays with its person');\n    END IF;\n    IF OLD.lead_id <> NEW.lead_id AND NOT EXISTS (\n        WITH RECURSIVE merged AS (\n            SELECT l.merged_into_id FROM public.leads l WHERE l.id = OLD.lead_id\n            UNION\n            SELECT l.merged_into_id FROM public.leads l JOIN merged ON l.id = merged.merged_into_id)\n        SELECT FROM merged WHERE merged.merged_into_id = NEW.lead_id) THEN\n        PERFORM public.raise_refusal('appointments_person_stays', TG_TABLE_NAME, 'client_user_id', 'A paid session stays with its person');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="bd88174731afc819a2fc3340b68667842dadb615",
                                    operation='UPDATE OF "client_user_id", "lead_id"',
                                    pgid="appointments_person_stays",
                                    table="appointments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_agreed_price_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.price_amount IS DISTINCT FROM NEW.price_amount OR OLD.deposit_amount IS DISTINCT FROM NEW.deposit_amount))",
                                    execute="public.refuse('appointments_agreed_price_stays', 'price_amount', 'The price agreed at booking does not change')",
                                    func="",
                                    hash="c82a8ed57410085ba3110e6c46fbd1b04f1b0f8c",
                                    operation="UPDATE",
                                    pgid="appointments_agreed_price_stays",
                                    table="appointments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_origin_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.rescheduled_from_id IS DISTINCT FROM NEW.rescheduled_from_id OR (OLD.client_request_id IS DISTINCT FROM NEW.client_request_id AND (NEW.client_request_id IS NOT NULL OR NEW.client_user_id IS NOT NULL))))",
                                    execute="public.refuse('appointments_origin_stays', 'rescheduled_from_id', 'What an appointment replaces, and the request it came by, do not change')",
                                    func="",
                                    hash="59b1e6036572a82f7c096a71287d6c2f5e5f8ca2",
                                    operation="UPDATE",
                                    pgid="appointments_origin_stays",
                                    table="appointments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_touch_updated_at",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="34ab4b21abc5a67cc53ca56ac3baee9b23edea93",
                                    operation="UPDATE",
                                    pgid="appointments_touch_updated_at",
                                    table="appointments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.outcome IS DISTINCT FROM NEW.outcome OR OLD.outcome_reason_category IS DISTINCT FROM NEW.outcome_reason_category OR OLD.outcome_recorded_at IS DISTINCT FROM NEW.outcome_recorded_at OR OLD.outcome_recorded_by_role IS DISTINCT FROM NEW.outcome_recorded_by_role))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('outcome_recorded', 'id', 'outcome', 'outcome_reason_category', 'outcome_recorded_at', 'outcome_recorded_by_role')",
                                    func="",
                                    hash="5cb56611d39373663f2cff0afaa2de8c636cf717",
                                    operation="UPDATE",
                                    pgid="appointments_update_audited",
                                    table="appointments",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_delete_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('appointment_deleted', 'id', 'service_id', 'lead_id', 'start_at_utc', 'end_at_utc', 'buffer_minutes', 'timezone', 'format', 'status', 'hold_expires_at', 'price_amount', 'deposit_amount', 'slot_id', 'rescheduled_from_id', 'outcome', 'outcome_reason_category', 'outcome_recorded_at', 'outcome_recorded_by_role', 'confirmed_at', 'canceled_at', 'topic_code', 'entry_point', 'created_at', 'updated_at')",
                                    func="",
                                    hash="815d7ea1542dbdc132a88dff63e3ce72f20d6379",
                                    operation="DELETE",
                                    pgid="appointments_delete_audited",
                                    table="appointments",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('appointments_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="f31fda5ccf77717a9e8dcb4bc3195a53f18e9661",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="appointments_no_truncate",
                                    table="appointments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_client_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.client_user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('appointments_client_user_id_not_erased', 'client_user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="5a03d485d384d2d8672f0c8aca32f6e341a9114c",
                                    operation='INSERT OR UPDATE OF "client_user_id"',
                                    pgid="appointments_client_user_id_not_erased",
                                    table="appointments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_timezone_is_known",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NOT public.is_time_zone(NEW.timezone))",
                                    execute="public.appointments_timezone_is_known()",
                                    func="CREATE OR REPLACE FUNCTION public.appointments_timezone_is_known() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF TG_OP = 'UPDATE' AND NEW.timezone = OLD.timezone OR EXISTS (SELECT FROM public.appointments f WHERE f.id = NEW.rescheduled_from_id AND f.timezone = NEW.timezone) THEN\n        RETURN NULL;\n    END IF;\n    PERFORM public.raise_refusal('appointments_timezone_is_known', TG_TABLE_NAME, 'timezone', 'The server does not know this time zone');\n    RETURN NULL;\nEND $rule$; ",
                                    hash="30f55d2c80b98a5ae26a8eba3150539e236412bd",
                                    operation='INSERT OR UPDATE OF "timezone"',
                                    pgid="appointments_timezone_is_known",
                                    table="appointments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_outcome_recorded_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.outcome_recorded_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('appointments_outcome_recorded_at_not_ahead', 'outcome_recorded_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="ea2d9d1f12dd54861c7d96aa59d744292586d880",
                                    operation='INSERT OR UPDATE OF "outcome_recorded_at"',
                                    pgid="appointments_outcome_recorded_at_not_ahead",
                                    table="appointments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_confirmed_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.confirmed_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('appointments_confirmed_at_not_ahead', 'confirmed_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="e4e3ab7b710e93071a5f9483279827f05bf12823",
                                    operation='INSERT OR UPDATE OF "confirmed_at"',
                                    pgid="appointments_confirmed_at_not_ahead",
                                    table="appointments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_canceled_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.canceled_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('appointments_canceled_at_not_ahead', 'canceled_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="f9192ce0835b2eda3a83beef66a93c07809fd2cd",
                                    operation='INSERT OR UPDATE OF "canceled_at"',
                                    pgid="appointments_canceled_at_not_ahead",
                                    table="appointments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('appointments_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="7663944ed5f173a6314c5ac2486fd6d4559acd81",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="appointments_created_at_not_ahead",
                                    table="appointments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_updated_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('appointments_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="423fc7022e3100899fba1c70cf3aaf59b9344244",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="appointments_updated_at_not_ahead",
                                    table="appointments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="appointments_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('appointments_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="de8e0fb673f08b1d43a7e3170dd01d5f03a6dc6b",
                                    operation='UPDATE OF "id"',
                                    pgid="appointments_id_stays",
                                    table="appointments",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Payment",
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
                            "appointment",
                            models.ForeignKey(
                                db_comment="P0 · what is paid for",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="payments",
                                to="booking.appointment",
                            ),
                        ),
                        (
                            "provider",
                            models.TextField(
                                db_comment="P0 · payment provider",
                                db_default="yookassa",
                                default="yookassa",
                            ),
                        ),
                        (
                            "provider_payment_id",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · the provider's id; empty until it has answered",
                                null=True,
                            ),
                        ),
                        (
                            "idempotency_key",
                            models.TextField(
                                db_comment="P0 · key under which the provider was asked"
                            ),
                        ),
                        ("purpose", models.TextField(db_comment="P0 · deposit or full price")),
                        (
                            "amount",
                            models.IntegerField(
                                db_comment="P0 · amount, whole roubles; never changes"
                            ),
                        ),
                        (
                            "currency",
                            models.TextField(
                                db_comment="P0 · currency", db_default="RUB", default="RUB"
                            ),
                        ),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle",
                                db_default="pending",
                                default="pending",
                            ),
                        ),
                        (
                            "failure_category",
                            models.TextField(
                                blank=True, db_comment="P0 · why it failed", null=True
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
                            "confirmed_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when it succeeded, UTC", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "payment",
                        "verbose_name_plural": "payments",
                        "db_table": "payments",
                        "db_table_comment": "Payments with the provider",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["appointment"],
                                name="payments_by_appointment",
                                serves="what was paid for it",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status", "succeeded")),
                                fields=["confirmed_at"],
                                name="payments_by_success",
                                serves="metrics: GMV and AOV of a period",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("amount__gte", 1)),
                                name="payments_amount_in_range",
                            ),
                            models.UniqueConstraint(
                                fields=("idempotency_key",), name="payments_idempotency_key_unique"
                            ),
                            models.UniqueConstraint(
                                fields=("provider", "provider_payment_id"),
                                name="payments_provider_payment_unique",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status", "succeeded"), ("confirmed_at__isnull", False)
                                    ),
                                    models.Q(
                                        models.Q(("status", "succeeded"), _negated=True),
                                        ("confirmed_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="payments_confirmed_at_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "succeeded"), _negated=True),
                                    ("provider_payment_id__isnull", False),
                                    _connector="OR",
                                ),
                                name="payments_succeeded_has_provider_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("failure_category__isnull", True),
                                    ("status__in", ["failed", "canceled"]),
                                    _connector="OR",
                                ),
                                name="payments_failure_category_when_over",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("status", "succeeded")),
                                fields=("appointment", "purpose"),
                                name="payments_one_success_per_purpose",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("confirmed_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="payments_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("provider__in", ["yookassa"])),
                                name="payments_provider_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("provider_payment_id__length__lte", 64)),
                                name="payments_provider_payment_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "provider_payment_id__regex",
                                        "^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$",
                                    )
                                ),
                                name="payments_provider_payment_id_is_external_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("idempotency_key__length__lte", 64)),
                                name="payments_idempotency_key_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "idempotency_key__regex",
                                        "^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$",
                                    )
                                ),
                                name="payments_idempotency_key_is_external_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("purpose__in", ["deposit", "full"])),
                                name="payments_purpose_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("currency__in", ["RUB"])),
                                name="payments_currency_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["pending", "succeeded", "canceled", "failed"])
                                ),
                                name="payments_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "failure_category__in",
                                        [
                                            "canceled",
                                            "timeout",
                                            "provider_error",
                                            "insufficient_funds",
                                            "unknown",
                                        ],
                                    )
                                ),
                                name="payments_failure_category_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="payments_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('pending', 'succeeded'), ('pending', 'canceled'), ('pending', 'failed'))))",
                                    execute="public.refuse_transition('payments_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="9ae7bbead43b541de74c1c04179ae09ce8afae87",
                                    operation='UPDATE OF "status"',
                                    pgid="payments_status_transition",
                                    table="payments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payments_status_initial",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status NOT IN ('pending'))",
                                    execute="public.refuse('payments_status_initial', 'status', 'A new record cannot start in this status')",
                                    func="",
                                    hash="ff8559c8a9a13e72206a53508fabaf7d4d581d01",
                                    operation="INSERT",
                                    pgid="payments_status_initial",
                                    table="payments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payments_terms_stay",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.amount IS DISTINCT FROM NEW.amount OR OLD.currency IS DISTINCT FROM NEW.currency OR OLD.purpose IS DISTINCT FROM NEW.purpose OR OLD.appointment_id IS DISTINCT FROM NEW.appointment_id))",
                                    execute="public.refuse('payments_terms_stay', 'amount', 'Amount, currency, purpose and appointment of a payment never change')",
                                    func="",
                                    hash="edc83dd7185237660a190877dc631cbfafe0ea79",
                                    operation="UPDATE",
                                    pgid="payments_terms_stay",
                                    table="payments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payments_request_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.idempotency_key IS DISTINCT FROM NEW.idempotency_key))",
                                    execute="public.refuse('payments_request_stays', 'idempotency_key', 'The key under which the provider was asked does not change')",
                                    func="",
                                    hash="5ec03d27899cd05227d6137a3a919064dfe2b5a7",
                                    operation="UPDATE",
                                    pgid="payments_request_stays",
                                    table="payments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payments_time_of_success_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.confirmed_at IS DISTINCT FROM NEW.confirmed_at) AND OLD.confirmed_at IS NOT NULL)",
                                    execute="public.refuse('payments_time_of_success_stays', 'confirmed_at', 'A payment that succeeded keeps its time')",
                                    func="",
                                    hash="0b6d234b3c8da0b6392de5bdec8f3806bcf494b2",
                                    operation="UPDATE",
                                    pgid="payments_time_of_success_stays",
                                    table="payments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payments_provider_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.provider IS DISTINCT FROM NEW.provider OR OLD.provider_payment_id IS DISTINCT FROM NEW.provider_payment_id) AND OLD.provider_payment_id IS NOT NULL)",
                                    execute="public.refuse('payments_provider_id_stays', 'provider', 'The provider''s id, once known, does not change')",
                                    func="",
                                    hash="18621818c83c9ca5a9629d012c3dfc1bba05762b",
                                    operation="UPDATE",
                                    pgid="payments_provider_id_stays",
                                    table="payments",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payments_fit_price",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.payments_fit_price()",
                                    func="CREATE OR REPLACE FUNCTION public.payments_fit_price() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF EXISTS (SELECT FROM public.appointments a WHERE a.id = NEW.appointment_id\n               AND CASE NEW.purpose\n                   WHEN 'deposit' THEN NEW.amount IS DISTINCT FROM a.deposit_amount\n                   ELSE NEW.amount > a.price_amount END) THEN\n        PERFORM public.raise_refusal('payments_fit_price', TG_TABLE_NAME, 'amount', 'A deposit is the deposit agreed, a full payment at most the price');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="0b6e452fb88690768a318f20b261888ec7b8ce6e",
                                    operation="INSERT",
                                    pgid="payments_fit_price",
                                    table="payments",
                                    timing="DEFERRABLE INITIALLY IMMEDIATE",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payments_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('payments_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="5adf5ed52be0b4b2546ef65e4969130f971f68ea",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="payments_created_at_not_ahead",
                                    table="payments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payments_confirmed_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.confirmed_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('payments_confirmed_at_not_ahead', 'confirmed_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="0127c493b84f530b90f33afe0d237f9c083a8976",
                                    operation='INSERT OR UPDATE OF "confirmed_at"',
                                    pgid="payments_confirmed_at_not_ahead",
                                    table="payments",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payments_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('payments_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="98202c0e0b6b3ade8d1860ee112bd660812a8494",
                                    operation='UPDATE OF "id"',
                                    pgid="payments_id_stays",
                                    table="payments",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="PaymentWebhookEvent",
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
                        ("provider", models.TextField(db_comment="P0 · payment provider")),
                        (
                            "provider_event_id",
                            models.TextField(
                                db_comment="P0 · what makes a repeated delivery the same"
                            ),
                        ),
                        (
                            "event_type",
                            models.TextField(db_comment="P0 · the provider's name of the event"),
                        ),
                        (
                            "provider_payment_id",
                            models.TextField(db_comment="P0 · the provider's id of the payment"),
                        ),
                        (
                            "amount",
                            models.DecimalField(
                                blank=True,
                                db_comment="P0 · amount in the notification, roubles",
                                decimal_places=2,
                                max_digits=12,
                                null=True,
                            ),
                        ),
                        (
                            "currency",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · currency in the notification, ISO 4217",
                                null=True,
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
                        (
                            "processed_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when it took effect, or ended without one, UTC",
                                null=True,
                            ),
                        ),
                        (
                            "attempts",
                            models.IntegerField(
                                db_comment="P0 · tries so far", db_default=0, default=0
                            ),
                        ),
                        (
                            "next_attempt_at",
                            models.DateTimeField(
                                db_comment="P0 · not to be tried again before, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                            ),
                        ),
                        (
                            "last_error",
                            models.TextField(blank=True, db_comment="P0 · last failure", null=True),
                        ),
                    ],
                    options={
                        "verbose_name": "payment notification",
                        "verbose_name_plural": "payment notifications",
                        "db_table": "payment_webhook_events",
                        "db_table_comment": "Deliveries of the payment provider",
                        "indexes": [
                            ebalance.db.rules.Index(
                                condition=models.Q(("processed_at__isnull", False)),
                                fields=["processed_at"],
                                name="payment_webhook_events_processed",
                                serves="purge_expired, 90 days",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("processed_at__isnull", True)),
                                fields=["received_at"],
                                name="payment_webhook_events_unprocessed",
                                serves="process_webhooks: what is to be done, oldest first",
                            ),
                            ebalance.db.rules.Index(
                                fields=["provider_payment_id"],
                                name="payment_webhook_events_by_payment",
                                serves="deliveries about a payment",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("event_type__regex", "^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)*$")
                                ),
                                name="payment_webhook_events_event_type_is_dotted_code",
                            ),
                            models.UniqueConstraint(
                                fields=("provider", "provider_event_id"),
                                name="payment_webhook_events_once",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("amount__isnull", True),
                                    models.Q(("amount__gte", 0), ("amount__lt", 10000000000)),
                                    _connector="OR",
                                ),
                                name="payment_webhook_events_amount_not_negative",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("currency__regex", "^[A-Z]{3}$")),
                                name="payment_webhook_events_currency_is_iso",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("attempts__gte", 0)),
                                name="payment_webhook_events_attempts_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("received_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("processed_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("next_attempt_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="payment_webhook_events_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("provider__in", ["yookassa"])),
                                name="payment_webhook_events_provider_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("provider_event_id__length__lte", 200)),
                                name="payment_webhook_events_provider_event_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "provider_event_id__regex",
                                        "^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$",
                                    )
                                ),
                                name="payment_webhook_events_provider_event_id_is_external_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("event_type__length__lte", 60)),
                                name="payment_webhook_events_event_type_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("provider_payment_id__length__lte", 64)),
                                name="payment_webhook_events_provider_payment_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "provider_payment_id__regex",
                                        "^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$",
                                    )
                                ),
                                name="payment_webhook_events_provider_payment_id_is_external_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("currency__length__lte", 60)),
                                name="payment_webhook_events_currency_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "last_error__in",
                                        [
                                            "unknown_payment",
                                            "amount_mismatch",
                                            "out_of_order",
                                            "internal",
                                        ],
                                    )
                                ),
                                name="payment_webhook_events_last_error_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="payment_webhook_events_received_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.received_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('payment_webhook_events_received_at_not_ahead', 'received_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="03f5954f5ae1bb85ad253d04057e5bbd4f72eca2",
                                    operation='INSERT OR UPDATE OF "received_at"',
                                    pgid="payment_webhook_events_received_at_not_ahead",
                                    table="payment_webhook_events",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payment_webhook_events_processed_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.processed_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('payment_webhook_events_processed_at_not_ahead', 'processed_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="e0929e590dffc7a23dc76ac27d1d67605600395b",
                                    operation='INSERT OR UPDATE OF "processed_at"',
                                    pgid="payment_webhook_events_processed_at_not_ahead",
                                    table="payment_webhook_events",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="payment_webhook_events_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('payment_webhook_events_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="e28aec0d42230681010970bc17c653e1413e92c6",
                                    operation='UPDATE OF "id"',
                                    pgid="payment_webhook_events_id_stays",
                                    table="payment_webhook_events",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Refund",
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
                            "payment",
                            models.ForeignKey(
                                db_comment="P0 · payment it is part of",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="refunds",
                                to="booking.payment",
                            ),
                        ),
                        (
                            "amount",
                            models.IntegerField(
                                db_comment="P0 · amount, whole roubles; never changes"
                            ),
                        ),
                        ("reason", models.TextField(db_comment="P0 · why it is due")),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle", db_default="due", default="due"
                            ),
                        ),
                        (
                            "provider_refund_id",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · the provider's id; empty until it is known",
                                null=True,
                            ),
                        ),
                        (
                            "requested_at",
                            models.DateTimeField(
                                db_comment="P0 · since when it is due, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                            ),
                        ),
                        (
                            "sent_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when the provider was asked, UTC",
                                null=True,
                            ),
                        ),
                        (
                            "succeeded_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when it succeeded, UTC", null=True
                            ),
                        ),
                        (
                            "recorded_by",
                            models.ForeignKey(
                                blank=True,
                                db_column="recorded_by_user_id",
                                db_comment="P0 · colleague who recorded it",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "refund",
                        "verbose_name_plural": "refunds",
                        "db_table": "refunds",
                        "db_table_comment": "Money that is owed or was given back",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["payment"],
                                name="refunds_by_payment",
                                serves="what was given back of a payment",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status", "due")),
                                fields=["requested_at"],
                                name="refunds_due",
                                serves="admin: what is due, oldest first",
                            ),
                            ebalance.db.rules.Index(
                                fields=["recorded_by"],
                                name="refunds_by_recorder",
                                serves="the delete check",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("amount__gte", 1)),
                                name="refunds_amount_in_range",
                            ),
                            models.UniqueConstraint(
                                fields=("provider_refund_id",),
                                name="refunds_provider_refund_unique",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status", "succeeded"), ("succeeded_at__isnull", False)
                                    ),
                                    models.Q(
                                        models.Q(("status", "succeeded"), _negated=True),
                                        ("succeeded_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="refunds_succeeded_at_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "sent"), _negated=True),
                                    ("sent_at__isnull", False),
                                    _connector="OR",
                                ),
                                name="refunds_sent_has_time",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("requested_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("sent_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("succeeded_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="refunds_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "reason__in",
                                        [
                                            "canceled",
                                            "time_gone",
                                            "overpaid",
                                            "duplicate",
                                            "already_over",
                                            "by_hand",
                                        ],
                                    )
                                ),
                                name="refunds_reason_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["due", "sent", "succeeded", "failed"])
                                ),
                                name="refunds_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("provider_refund_id__length__lte", 64)),
                                name="refunds_provider_refund_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "provider_refund_id__regex",
                                        "^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$",
                                    )
                                ),
                                name="refunds_provider_refund_id_is_external_id",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="refunds_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('due', 'sent'), ('due', 'succeeded'), ('due', 'failed'), ('sent', 'succeeded'), ('sent', 'failed'), ('failed', 'sent'), ('failed', 'succeeded'))))",
                                    execute="public.refuse_transition('refunds_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="36195a4e3d25a675c30a22cdab8bfc15b80c8b8a",
                                    operation='UPDATE OF "status"',
                                    pgid="refunds_status_transition",
                                    table="refunds",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_status_initial",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status NOT IN ('due', 'succeeded'))",
                                    execute="public.refuse('refunds_status_initial', 'status', 'A new record cannot start in this status')",
                                    func="",
                                    hash="22c41b0d70a1c4f1fb1ace4972a3b4e9d994556e",
                                    operation="INSERT",
                                    pgid="refunds_status_initial",
                                    table="refunds",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_terms_stay",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.payment_id IS DISTINCT FROM NEW.payment_id OR OLD.amount IS DISTINCT FROM NEW.amount OR OLD.reason IS DISTINCT FROM NEW.reason OR OLD.requested_at IS DISTINCT FROM NEW.requested_at))",
                                    execute="public.refuse('refunds_terms_stay', 'payment_id', 'Payment, amount, reason and time of request of a refund never change')",
                                    func="",
                                    hash="0beb61684a593f86a7063e768af89d2f7daa3e84",
                                    operation="UPDATE",
                                    pgid="refunds_terms_stay",
                                    table="refunds",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_provider_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.provider_refund_id IS DISTINCT FROM NEW.provider_refund_id) AND OLD.provider_refund_id IS NOT NULL)",
                                    execute="public.refuse('refunds_provider_id_stays', 'provider_refund_id', 'The provider''s id of a refund, once known, does not change')",
                                    func="",
                                    hash="c852f2a882e9d672ddb3dbe73ca6b0684ac1d2cf",
                                    operation="UPDATE",
                                    pgid="refunds_provider_id_stays",
                                    table="refunds",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_time_of_success_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.succeeded_at IS DISTINCT FROM NEW.succeeded_at) AND OLD.succeeded_at IS NOT NULL)",
                                    execute="public.refuse('refunds_time_of_success_stays', 'succeeded_at', 'A refund that succeeded keeps its time')",
                                    func="",
                                    hash="9d3d7785e1ee3ab31bd0b845c2cb6bd371a3ea7d",
                                    operation="UPDATE",
                                    pgid="refunds_time_of_success_stays",
                                    table="refunds",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_recorder_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.recorded_by_user_id IS DISTINCT FROM NEW.recorded_by_user_id) AND OLD.recorded_by_user_id IS NOT NULL)",
                                    execute="public.refuse('refunds_recorder_stays', 'recorded_by_user_id', 'Who recorded a refund does not change')",
                                    func="",
                                    hash="91622222cc7f466224d5e0f1f52e543c958508ca",
                                    operation="UPDATE",
                                    pgid="refunds_recorder_stays",
                                    table="refunds",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_within_payment",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status <> 'failed')",
                                    constraint="CONSTRAINT",
                                    execute="public.refunds_within_payment()",
                                    func="CREATE OR REPLACE FUNCTION public.refunds_within_payment() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ DECLARE\n    paid bigint;\nBEGIN\n    IF TG_OP = 'UPDATE' AND OLD.status <> 'failed' THEN\n        RETURN NULL;\n    END IF;\n    UPDATE public.payments SET status = status WHERE id = NEW.payment_id\n    RETURNING amount INTO paid;\n    IF paid < (SELECT sum(r.amount) FROM public.refunds r\n               WHERE r.payment_id = NEW.payment_id AND r.status <> 'failed') THEN\n        PERFORM public.raise_refusal('refunds_within_payment', TG_TABLE_NAME, 'amount', 'The refunds of a payment are together at most its amount');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="f0c3eb82e2addb2e8d5d88e9ef6888a1ab13a0fd",
                                    operation='INSERT OR UPDATE OF "status"',
                                    pgid="refunds_within_payment",
                                    table="refunds",
                                    timing="DEFERRABLE INITIALLY IMMEDIATE",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_insert_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('refund_created', 'id', 'payment_id', 'amount', 'reason', 'status')",
                                    func="",
                                    hash="9b4acff5ea9119ce5876ad32a5ac1aa505c71f03",
                                    operation="INSERT",
                                    pgid="refunds_insert_audited",
                                    table="refunds",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status OR OLD.recorded_by_user_id IS DISTINCT FROM NEW.recorded_by_user_id))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('refund_changed', 'id', 'status', 'recorded_by_user_id')",
                                    func="",
                                    hash="76ae0e454c8b46c9a03208630e4dbed482962c34",
                                    operation="UPDATE",
                                    pgid="refunds_update_audited",
                                    table="refunds",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_delete_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('refund_deleted', 'id', 'payment_id', 'amount', 'reason', 'status', 'provider_refund_id', 'requested_at', 'sent_at', 'succeeded_at', 'recorded_by_user_id')",
                                    func="",
                                    hash="7a73c84e4c8fc44ccd46ac26fc538609cd109474",
                                    operation="DELETE",
                                    pgid="refunds_delete_audited",
                                    table="refunds",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('refunds_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="0ea8a09b5ca6d08df8c6d7fc7fbc9ccbe48b974b",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="refunds_no_truncate",
                                    table="refunds",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_requested_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.requested_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('refunds_requested_at_not_ahead', 'requested_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="f9aac678b1514ec46d1e3820d5c5b2636d7965e5",
                                    operation='INSERT OR UPDATE OF "requested_at"',
                                    pgid="refunds_requested_at_not_ahead",
                                    table="refunds",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_sent_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.sent_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('refunds_sent_at_not_ahead', 'sent_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="56f835b69ac353ce4f9c30ca7c297dc68d138025",
                                    operation='INSERT OR UPDATE OF "sent_at"',
                                    pgid="refunds_sent_at_not_ahead",
                                    table="refunds",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_succeeded_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.succeeded_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('refunds_succeeded_at_not_ahead', 'succeeded_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="bdc784d373874fba2d1f15673d8b526470deb739",
                                    operation='INSERT OR UPDATE OF "succeeded_at"',
                                    pgid="refunds_succeeded_at_not_ahead",
                                    table="refunds",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="refunds_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('refunds_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="77d4dfff49785ddaf05bd43f007da102a7b3761b",
                                    operation='UPDATE OF "id"',
                                    pgid="refunds_id_stays",
                                    table="refunds",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="IntakeForm",
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
                            "appointment",
                            models.ForeignKey(
                                db_comment="P0 · for which session",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="intake_forms",
                                to="booking.appointment",
                            ),
                        ),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle", db_default="draft", default="draft"
                            ),
                        ),
                        (
                            "payload_encrypted",
                            models.TextField(
                                db_comment="P2 · answers, sealed JSON", editable=False
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
                            "submitted_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when submitted, UTC", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "intake form",
                        "verbose_name_plural": "intake forms",
                        "db_table": "intake_forms",
                        "db_table_comment": "Intake forms, sealed",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["created_at"],
                                name="intake_forms_by_creation",
                                serves="purge_expired",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("appointment",), name="intake_forms_one_per_appointment"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("payload_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="intake_forms_payload_encrypted_is_sealed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status", "submitted"), ("submitted_at__isnull", False)
                                    ),
                                    models.Q(
                                        models.Q(("status", "submitted"), _negated=True),
                                        ("submitted_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="intake_forms_submitted_at_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("submitted_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="intake_forms_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("status__in", ["draft", "submitted"])),
                                name="intake_forms_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("payload_encrypted__length__lte", 400000)),
                                name="intake_forms_payload_encrypted_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="intake_forms_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('draft', 'submitted'))))",
                                    execute="public.refuse_transition('intake_forms_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="400b186b4cb093a6f852b62ff57b5bcb264047c2",
                                    operation='UPDATE OF "status"',
                                    pgid="intake_forms_status_transition",
                                    table="intake_forms",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="intake_forms_submitted_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.appointment_id IS DISTINCT FROM NEW.appointment_id OR (OLD.payload_encrypted IS DISTINCT FROM NEW.payload_encrypted AND public.is_resealing('intake_forms', OLD.payload_encrypted, NEW.payload_encrypted) IS NOT TRUE) OR OLD.submitted_at IS DISTINCT FROM NEW.submitted_at OR OLD.created_at IS DISTINCT FROM NEW.created_at) AND OLD.status = 'submitted')",
                                    execute="public.refuse('intake_forms_submitted_stays', 'appointment_id', 'A submitted form is not changed')",
                                    func="",
                                    hash="b0181ff0b1873ab682b0db6343cde03085e25ef1",
                                    operation="UPDATE",
                                    pgid="intake_forms_submitted_stays",
                                    table="intake_forms",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="intake_forms_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('intake_forms_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="9085d0a43a32838c633dbc4d3b0be3aee317142d",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="intake_forms_created_at_not_ahead",
                                    table="intake_forms",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="intake_forms_submitted_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.submitted_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('intake_forms_submitted_at_not_ahead', 'submitted_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="ac678f95218cae2febbb5542ccd5c3cd35c30d15",
                                    operation='INSERT OR UPDATE OF "submitted_at"',
                                    pgid="intake_forms_submitted_at_not_ahead",
                                    table="intake_forms",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="intake_forms_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('intake_forms_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="33b038b1e9ef27d07400a4b9bd2609af0f2c24bd",
                                    operation='UPDATE OF "id"',
                                    pgid="intake_forms_id_stays",
                                    table="intake_forms",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="WaitlistRequest",
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
                                db_comment="P0 · who waits, if registered",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="waitlist_requests",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "lead",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · lead who waits",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="waitlist_requests",
                                to="crm.lead",
                            ),
                        ),
                        (
                            "service",
                            models.ForeignKey(
                                db_comment="P0 · for which service",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="waitlist_requests",
                                to="booking.service",
                            ),
                        ),
                        ("preferred_contact", models.TextField(db_comment="P0 · how to answer")),
                        (
                            "contact_value_encrypted",
                            models.TextField(db_comment="P1 · contact, sealed", editable=False),
                        ),
                        (
                            "contact_value_bidx",
                            models.TextField(
                                db_comment="P1 · blind index of the contact", editable=False
                            ),
                        ),
                        (
                            "preferred_time_window",
                            models.TextField(
                                blank=True, db_comment="P0 · when it would suit", null=True
                            ),
                        ),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle", db_default="new", default="new"
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
                            "closed_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when closed, UTC", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "waitlist request",
                        "verbose_name_plural": "waitlist requests",
                        "db_table": "waitlist_requests",
                        "db_table_comment": "People waiting for a free time",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["user"],
                                name="waitlist_requests_by_user",
                                serves="a person's requests; export",
                            ),
                            ebalance.db.rules.Index(
                                fields=["lead"],
                                name="waitlist_requests_by_lead",
                                serves="a lead's requests",
                            ),
                            ebalance.db.rules.Index(
                                fields=["service"],
                                name="waitlist_requests_by_service",
                                serves="who waits for it",
                            ),
                            ebalance.db.rules.Index(
                                fields=["contact_value_bidx"],
                                name="waitlist_requests_by_contact",
                                serves="find_by_contact",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status__in", ["new", "contacted"])),
                                fields=["created_at"],
                                name="waitlist_requests_open",
                                serves="admin: who still waits, oldest first",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("closed_at__isnull", False)),
                                fields=["closed_at"],
                                name="waitlist_requests_closed",
                                serves="purge_expired",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("contact_value_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="waitlist_requests_contact_value_encrypted_is_sealed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "contact_value_bidx__regex",
                                        "^v1\\.[a-z0-9]{1,16}\\.[A-Za-z0-9_-]{43}$",
                                    )
                                ),
                                name="waitlist_requests_contact_value_bidx_is_blind_index",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "closed"), ("closed_at__isnull", False)),
                                    models.Q(
                                        models.Q(("status", "closed"), _negated=True),
                                        ("closed_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="waitlist_requests_closed_at_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("closed_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="waitlist_requests_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("preferred_contact__in", ["email", "phone", "telegram"])
                                ),
                                name="waitlist_requests_preferred_contact_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("contact_value_encrypted__length__lte", 400000)
                                ),
                                name="waitlist_requests_contact_value_encrypted_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("contact_value_bidx__length__lte", 64)),
                                name="waitlist_requests_contact_value_bidx_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "preferred_time_window__in",
                                        ["weekday_morning", "weekday_evening", "weekend", "any"],
                                    )
                                ),
                                name="waitlist_requests_preferred_time_window_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("status__in", ["new", "contacted", "closed"])),
                                name="waitlist_requests_status_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="waitlist_requests_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('new', 'contacted'), ('new', 'closed'), ('contacted', 'closed'))))",
                                    execute="public.refuse_transition('waitlist_requests_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="074bd32341c61466cd5212046144e880dfdcb311",
                                    operation='UPDATE OF "status"',
                                    pgid="waitlist_requests_status_transition",
                                    table="waitlist_requests",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="waitlist_requests_status_initial",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status NOT IN ('new'))",
                                    execute="public.refuse('waitlist_requests_status_initial', 'status', 'A new record cannot start in this status')",
                                    func="",
                                    hash="0802d73b2f02982a10da3dc675186b231247ba11",
                                    operation="INSERT",
                                    pgid="waitlist_requests_status_initial",
                                    table="waitlist_requests",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="waitlist_requests_closing_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.closed_at IS DISTINCT FROM NEW.closed_at) AND OLD.closed_at IS NOT NULL)",
                                    execute="public.refuse('waitlist_requests_closing_stays', 'closed_at', 'The closing time of a request is not changed')",
                                    func="",
                                    hash="0aace651234b837c9faaf0f6b32be58b5e35daf7",
                                    operation="UPDATE",
                                    pgid="waitlist_requests_closing_stays",
                                    table="waitlist_requests",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="waitlist_requests_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('waitlist_requests_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="4e1df59ab3f1d270bc2f33f5db39bb2b660d7549",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="waitlist_requests_user_id_not_erased",
                                    table="waitlist_requests",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="waitlist_requests_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('waitlist_requests_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="86c44f50e7c02767701e9243c7574c080e05c806",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="waitlist_requests_created_at_not_ahead",
                                    table="waitlist_requests",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="waitlist_requests_closed_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.closed_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('waitlist_requests_closed_at_not_ahead', 'closed_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="49d20233052dc751f4acaa1a23641ef082264da6",
                                    operation='INSERT OR UPDATE OF "closed_at"',
                                    pgid="waitlist_requests_closed_at_not_ahead",
                                    table="waitlist_requests",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="waitlist_requests_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('waitlist_requests_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="7bdb78c5ee25f2fc0f9674d1e98bcb5f51f901d9",
                                    operation='UPDATE OF "id"',
                                    pgid="waitlist_requests_id_stays",
                                    table="waitlist_requests",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
            ],
        ),
    ]
