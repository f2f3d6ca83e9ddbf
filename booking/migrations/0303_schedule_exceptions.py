"""Holidays and extra hours, and the view of the times that can be booked.

Rollback note: run `DROP VIEW bookable_slots; DROP FUNCTION is_in_hours;
DROP TABLE schedule_exceptions; DROP FUNCTION schedule_exceptions_timezone_is_known`. All holidays and
extra hours are lost. Release 1.0 ignores the new column, and offers the slots of extra hours until
`UPDATE availability_slots SET status = 'blocked', block_type = 'exception' WHERE status = 'available'
AND schedule_exception_id IS NOT NULL` blocks them. Its command `generate_slots` offers closed days
again.
"""

import datetime
from pathlib import Path

import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
from django.conf import settings
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.on_delete
import ebalance.db.operations
import ebalance.db.rules
import ebalance.db.triggers

SQL = Path(__file__).parent / "sql"
IS_IN_HOURS = (SQL / "0303_is_in_hours.sql").read_text(encoding="utf-8")
BOOKABLE_SLOTS = (SQL / "0303_bookable_slots.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [
        ("booking", "0302_manual_payments"),
        ("identity", "0001_identity"),
    ]

    operations = [
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="ScheduleException",
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
                                db_comment="P0 · only for this service; empty: all",
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="schedule_exceptions",
                                to="booking.service",
                            ),
                        ),
                        ("starts_on", models.DateField(db_comment="P0 · first day")),
                        (
                            "ends_on",
                            models.DateField(db_comment="P0 · last day, at most the 366th"),
                        ),
                        (
                            "timezone",
                            models.TextField(db_comment="P0 · IANA zone of days and wall times"),
                        ),
                        (
                            "kind",
                            models.TextField(db_comment="P0 · closed, or open for extra hours"),
                        ),
                        (
                            "start_local",
                            models.TimeField(
                                blank=True,
                                db_comment="P0 · start on each day, wall time in timezone; empty: closed all day",
                                null=True,
                            ),
                        ),
                        (
                            "end_local",
                            models.TimeField(
                                blank=True,
                                db_comment="P0 · end on each day, wall time, later the same day",
                                null=True,
                            ),
                        ),
                        (
                            "note",
                            models.TextField(
                                blank=True, db_comment="P1 · internal note", null=True
                            ),
                        ),
                        (
                            "created_by",
                            models.ForeignKey(
                                blank=True,
                                db_column="created_by_user_id",
                                db_comment="P0 · colleague who made it",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="+",
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
                        "verbose_name": "schedule exception",
                        "verbose_name_plural": "schedule exceptions",
                        "db_table": "schedule_exceptions",
                        "db_table_comment": "Holidays and extra hours",
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="schedule_exceptions_insert_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('schedule_exception_created', 'id', 'service_id', 'starts_on', 'ends_on', 'timezone', 'kind', 'start_local', 'end_local')",
                                    func="",
                                    hash="a51493e6541337c9179e01653542b7c76c8393ac",
                                    operation="INSERT",
                                    pgid="schedule_exceptions_insert_audited",
                                    table="schedule_exceptions",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="schedule_exceptions_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.service_id IS DISTINCT FROM NEW.service_id OR OLD.starts_on IS DISTINCT FROM NEW.starts_on OR OLD.ends_on IS DISTINCT FROM NEW.ends_on OR OLD.timezone IS DISTINCT FROM NEW.timezone OR OLD.kind IS DISTINCT FROM NEW.kind OR OLD.start_local IS DISTINCT FROM NEW.start_local OR OLD.end_local IS DISTINCT FROM NEW.end_local))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('schedule_exception_changed', 'id', 'service_id', 'starts_on', 'ends_on', 'timezone', 'kind', 'start_local', 'end_local')",
                                    func="",
                                    hash="1ed2725017e6dcf8784199179ad7f1f77ff3499e",
                                    operation="UPDATE",
                                    pgid="schedule_exceptions_update_audited",
                                    table="schedule_exceptions",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="schedule_exceptions_delete_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('schedule_exception_deleted', 'id', 'service_id', 'starts_on', 'ends_on', 'timezone', 'kind', 'start_local', 'end_local', 'created_at')",
                                    func="",
                                    hash="9bad6ea054d2a8b1e6b877d459d386afde1c5cc7",
                                    operation="DELETE",
                                    pgid="schedule_exceptions_delete_audited",
                                    table="schedule_exceptions",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="schedule_exceptions_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('schedule_exceptions_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="00250db9c16a57e9254ff4bd66f8a6a2569b9108",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="schedule_exceptions_no_truncate",
                                    table="schedule_exceptions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="schedule_exceptions_timezone_is_known",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NOT public.is_time_zone(NEW.timezone))",
                                    execute="public.schedule_exceptions_timezone_is_known()",
                                    func="CREATE OR REPLACE FUNCTION public.schedule_exceptions_timezone_is_known() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF TG_OP = 'UPDATE' AND NEW.timezone = OLD.timezone THEN\n        RETURN NULL;\n    END IF;\n    PERFORM public.raise_refusal('schedule_exceptions_timezone_is_known', TG_TABLE_NAME, 'timezone', 'The server does not know this time zone');\n    RETURN NULL;\nEND $rule$; ",
                                    hash="6c0bead97d9e2380eb2ba103593ff85526667ee5",
                                    operation='INSERT OR UPDATE OF "timezone"',
                                    pgid="schedule_exceptions_timezone_is_known",
                                    table="schedule_exceptions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="schedule_exceptions_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('schedule_exceptions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="3bd2fdbf72328773c11a33498511edf40aee8eb9",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="schedule_exceptions_created_at_not_ahead",
                                    table="schedule_exceptions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="schedule_exceptions_created_by_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_by_user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('schedule_exceptions_created_by_user_id_not_erased', 'created_by_user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="54bd1ef1a39eb2cab58cb4719d9aa2686737dd4a",
                                    operation='INSERT OR UPDATE OF "created_by_user_id"',
                                    pgid="schedule_exceptions_created_by_user_id_not_erased",
                                    table="schedule_exceptions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="schedule_exceptions_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('schedule_exceptions_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="02583196e022b04f9850ca21f555927c32a226bd",
                                    operation='UPDATE OF "id"',
                                    pgid="schedule_exceptions_id_stays",
                                    table="schedule_exceptions",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["ends_on"],
                                name="schedule_exceptions_by_end",
                                serves="bookable_slots: closed periods that are not over",
                            ),
                            ebalance.db.rules.Index(
                                fields=["service"],
                                name="schedule_exceptions_by_service",
                                serves="delete of a service",
                            ),
                            ebalance.db.rules.Index(
                                fields=["created_by"],
                                name="schedule_exceptions_by_author",
                                serves="the delete check",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("ends_on__gte", models.F("starts_on"))),
                                name="schedule_exceptions_ends_on_after_start",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "ends_on__lt",
                                        models.ExpressionWrapper(
                                            django.db.models.expressions.CombinedExpression(
                                                models.F("starts_on"), "+", models.Value(366)
                                            ),
                                            models.DateField(),
                                        ),
                                    )
                                ),
                                name="schedule_exceptions_at_most_366_days",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("end_local__isnull", False), ("start_local__isnull", False)
                                    ),
                                    models.Q(
                                        ("end_local__isnull", True), ("start_local__isnull", True)
                                    ),
                                    _connector="OR",
                                ),
                                name="schedule_exceptions_hours_all_or_none",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("kind", "open"), _negated=True),
                                    ("start_local__isnull", False),
                                    _connector="OR",
                                ),
                                name="schedule_exceptions_open_has_hours",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("end_local__isnull", True),
                                    ("end_local__gt", models.F("start_local")),
                                    _connector="OR",
                                ),
                                name="schedule_exceptions_ends_after_start",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("end_local__isnull", True),
                                    ("end_local__lte", datetime.time(23, 59, 59, 999999)),
                                    _connector="OR",
                                ),
                                name="schedule_exceptions_ends_before_midnight",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("starts_on"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("ends_on"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="schedule_exceptions_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("timezone__length__lte", 60)),
                                name="schedule_exceptions_timezone_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("timezone"),
                                        function="is_zone_form",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="schedule_exceptions_timezone_is_iana_zone",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("kind__in", ["closed", "open"])),
                                name="schedule_exceptions_kind_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("note__length__lte", 2000)),
                                name="schedule_exceptions_note_has_length",
                            ),
                        ],
                    },
                )
            ],
        ),
        migrations.AddField(
            model_name="availabilityslot",
            name="schedule_exception_id",
            field=models.UUIDField(
                blank=True,
                db_comment="P0 · exception whose extra hours made it, which may be deleted since",
                editable=False,
                null=True,
            ),
        ),
        ebalance.db.operations.ReplaceCheck(
            model_name="availabilityslot",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "withdrawn"), _negated=True),
                    ("schedule_rule__isnull", False),
                    ("schedule_exception_id__isnull", False),
                    _connector="OR",
                ),
                name="availability_slots_withdrawn_has_rule",
            ),
        ),
        # Sent as it is: sqlparse would split it at every semicolon.
        migrations.RunSQL(
            [(IS_IN_HOURS, None)],
            "DROP FUNCTION public.is_in_hours(date, date, text, time, time, timestamptz, timestamptz)",
        ),
        migrations.CreateModel(
            name="BookableSlot",
            fields=[
                (
                    "slot_id",
                    models.UUIDField(db_comment="P0 · slot", primary_key=True, serialize=False),
                ),
                (
                    "service_id",
                    models.UUIDField(
                        db_comment="P0 · only for this service; empty: any", null=True
                    ),
                ),
                ("start_at_utc", models.DateTimeField(db_comment="P0 · start, UTC")),
                ("end_at_utc", models.DateTimeField(db_comment="P0 · end, UTC")),
                (
                    "buffer_minutes",
                    models.SmallIntegerField(
                        db_comment="P0 · break kept after a session here, minutes"
                    ),
                ),
            ],
            options={
                "verbose_name": "bookable slot",
                "verbose_name_plural": "bookable slots",
                "db_table": "bookable_slots",
                "db_table_comment": "Times that can be booked now",
                "managed": False,
                "default_permissions": (),
            },
        ),
        ebalance.db.operations.CreateView("BookableSlot", BOOKABLE_SLOTS),
    ]
