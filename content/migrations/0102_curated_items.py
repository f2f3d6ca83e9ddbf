"""Entries of curated collections, which name interactives too.

Rollback note: unapplying drops the entries of the curated collections.
"""

import django.db.models.constraints
import django.db.models.deletion
import pgtrigger.compiler
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
        ("interactive", "0201_interactive"),
    ]

    operations = [
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="CuratedItem",
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
                            "collection",
                            models.ForeignKey(
                                db_comment="P0 · collection",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="items",
                                to="content.curatedcollection",
                            ),
                        ),
                        ("item_type", models.TextField(db_comment="P0 · which target is set")),
                        (
                            "content_item",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · content",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="curated_items",
                                to="content.contentitem",
                            ),
                        ),
                        (
                            "interactive_definition",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · interactive",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="curated_items",
                                to="interactive.interactivedefinition",
                            ),
                        ),
                        ("position", models.IntegerField(db_comment="P0 · order, from 0")),
                        (
                            "note",
                            models.TextField(
                                blank=True, db_comment="P0 · why it is here", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "place in a collection",
                        "verbose_name_plural": "places in a collection",
                        "db_table": "curated_items",
                        "db_table_comment": "Places in collections",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["content_item"],
                                name="curated_items_by_content",
                                serves="the delete check",
                            ),
                            ebalance.db.rules.Index(
                                fields=["interactive_definition"],
                                name="curated_items_by_interactive",
                                serves="the delete check",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("position__gte", 0)),
                                name="curated_items_position_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("content_item__isnull", False),
                                        ("interactive_definition__isnull", True),
                                        ("item_type", "content"),
                                    ),
                                    models.Q(
                                        ("content_item__isnull", True),
                                        ("interactive_definition__isnull", False),
                                        ("item_type", "interactive"),
                                    ),
                                    _connector="OR",
                                ),
                                name="curated_items_exactly_one_target",
                            ),
                            models.UniqueConstraint(
                                deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                                fields=("collection", "position"),
                                name="curated_items_position_unique",
                            ),
                            models.UniqueConstraint(
                                fields=("collection", "content_item"),
                                name="curated_items_content_once",
                            ),
                            models.UniqueConstraint(
                                fields=("collection", "interactive_definition"),
                                name="curated_items_interactive_once",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("item_type__in", ["content", "interactive"])),
                                name="curated_items_item_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("note__length__lte", 2000)),
                                name="curated_items_note_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="curated_items_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('curated_items_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="77901756c4296716b159e1db71763d11aa83b364",
                                    operation='UPDATE OF "id"',
                                    pgid="curated_items_id_stays",
                                    table="curated_items",
                                    when="BEFORE",
                                ),
                            )
                        ],
                    },
                )
            ],
        ),
    ]
