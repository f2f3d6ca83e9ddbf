"""Progress of rotate_keys, and the question by which triggers know what it does.

Rollback note: first `migrate booking 0301` and `migrate crm 0502`, whose triggers ask is_resealing(); then `migrate audit 0602` drops it and the table. Lost is how far a rotation has come: rotate_keys begins it anew.
"""

import pgtrigger.compiler
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.triggers

# Only who may write key_rotations can move a value: the row names the transaction at work.
IS_RESEALING = """
CREATE FUNCTION public.is_resealing(rotated text, before text, after text) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN split_part(before, '.', 2) <> split_part(after, '.', 2) AND EXISTS (
        SELECT FROM public.key_rotations r
        WHERE r.table_name = rotated AND r.to_key = split_part(after, '.', 2)
          AND r.finished_at IS NULL
          AND r.batch_transaction = pg_current_xact_id_if_assigned()::text::bigint);
COMMENT ON FUNCTION public.is_resealing(text, text, text) IS
    'Whether rotate_keys moves this value of the table to another key, in this transaction'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0602_comments_of_django"),
    ]

    operations = [
        migrations.CreateModel(
            name="KeyRotation",
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
                ("table_name", models.TextField(db_comment="P0 · table")),
                (
                    "to_key",
                    models.TextField(db_comment="P0 · id of the key that values are sealed with"),
                ),
                (
                    "to_index_key",
                    models.TextField(
                        db_comment="P0 · id of the key that blind indexes are made with"
                    ),
                ),
                (
                    "cursor",
                    models.UUIDField(
                        blank=True,
                        db_comment="P0 · row up to which this pass has come, if one is going",
                        null=True,
                    ),
                ),
                (
                    "rows_done",
                    models.BigIntegerField(
                        db_comment="P0 · rows moved so far", db_default=0, default=0
                    ),
                ),
                (
                    "batch_transaction",
                    models.BigIntegerField(
                        blank=True,
                        db_comment="P0 · transaction (xid8) of the batch at work",
                        null=True,
                    ),
                ),
                (
                    "started_at",
                    models.DateTimeField(
                        db_comment="P0 · when it began, UTC",
                        db_default=models.Func(function="now", output_field=models.DateTimeField()),
                        editable=False,
                    ),
                ),
                (
                    "updated_at",
                    models.DateTimeField(
                        db_comment="P0 · when the row was last written, UTC; kept by the database",
                        db_default=models.Func(function="now", output_field=models.DateTimeField()),
                        editable=False,
                        verbose_name="updated at",
                    ),
                ),
                (
                    "finished_at",
                    models.DateTimeField(
                        blank=True,
                        db_comment="P0 · when all rows had moved or another took over, UTC",
                        null=True,
                    ),
                ),
            ],
            options={
                "verbose_name": "rotation of keys",
                "verbose_name_plural": "rotations of keys",
                "db_table": "key_rotations",
                "db_table_comment": "Moves of tables to new keys",
                "triggers": [
                    pgtrigger.compiler.Trigger(
                        name="key_rotations_touch_updated_at",
                        sql=ebalance.db.triggers.RuleTriggerSql(
                            execute="public.touch_updated_at()",
                            func="",
                            hash="3604349ae076b45e76a46ff05cef7c7acb7bfae2",
                            operation="UPDATE",
                            pgid="key_rotations_touch_updated_at",
                            table="key_rotations",
                            when="BEFORE",
                        ),
                    ),
                    pgtrigger.compiler.Trigger(
                        name="key_rotations_id_stays",
                        sql=ebalance.db.triggers.RuleTriggerSql(
                            condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                            execute="public.refuse('key_rotations_id_stays', 'id', 'The key of a record never changes')",
                            func="",
                            hash="1c16dd5762f295a90aef68511ceef225bf811f3b",
                            operation='UPDATE OF "id"',
                            pgid="key_rotations_id_stays",
                            table="key_rotations",
                            when="BEFORE",
                        ),
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Func(
                                models.F("table_name"),
                                function="is_code",
                                output_field=models.BooleanField(),
                            )
                        ),
                        name="key_rotations_table_name_is_code",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("to_key__regex", "^[a-z0-9]{1,16}$")),
                        name="key_rotations_to_key_is_key_id",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("to_index_key__regex", "^[a-z0-9]{1,16}$")),
                        name="key_rotations_to_index_key_is_key_id",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rows_done__gte", 0)),
                        name="key_rotations_rows_done_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Func(
                                models.F("started_at"),
                                function="is_finite",
                                output_field=models.BooleanField(),
                            ),
                            models.Func(
                                models.F("updated_at"),
                                function="is_finite",
                                output_field=models.BooleanField(),
                            ),
                            models.Func(
                                models.F("finished_at"),
                                function="is_finite",
                                output_field=models.BooleanField(),
                            ),
                        ),
                        name="key_rotations_times_finite",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("finished_at__isnull", True)),
                        fields=("table_name",),
                        name="key_rotations_one_open_per_table",
                    ),
                ],
            },
        ),
        migrations.RunSQL(
            [(IS_RESEALING, None)], "DROP FUNCTION public.is_resealing(text, text, text)"
        ),
    ]
