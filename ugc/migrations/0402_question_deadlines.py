"""Deadlines of the answer and of the first decision, and daily totals of deleted questions.

0403 fills the deadlines of stored rows.

Rollback note: run `DROP TABLE moderation_totals` and
`ALTER TABLE anonymous_questions DROP COLUMN answer_due_at, DROP COLUMN moderated_due_at` after the
trigger `anonymous_questions_set_due_at` of the previous release; the deadlines, and the numbers of
questions that were deleted since, are lost. Due times of escalated questions stay as they are.
"""

import django.contrib.postgres.fields
import django.db.models.lookups
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.operations
import ebalance.db.rules
import ebalance.db.triggers.rule


class Migration(migrations.Migration):
    dependencies = [
        ("ugc", "0401_ugc"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ModerationTotal",
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
                (
                    "day",
                    models.DateField(db_comment="P0 · day of the first decision, Europe/Moscow"),
                ),
                ("decided", models.BigIntegerField(db_comment="P0 · number of questions")),
                (
                    "rejected",
                    models.BigIntegerField(
                        db_comment="P0 · of these: rejected by the first decision"
                    ),
                ),
                (
                    "crisis",
                    models.BigIntegerField(
                        db_comment="P0 · of these: with a crisis flag at the end"
                    ),
                ),
                (
                    "within_due",
                    models.BigIntegerField(
                        db_comment="P0 · of these: first decided by the deadline of that time"
                    ),
                ),
                (
                    "hours",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.DecimalField(),
                        blank=True,
                        db_comment="P0 · hours from submission to the first decision, in no order",
                        default=list,
                    ),
                ),
                ("answered", models.BigIntegerField(db_comment="P0 · of these: answered")),
                (
                    "answer_hours",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.DecimalField(),
                        blank=True,
                        db_comment="P0 · hours from submission to the answer, in no order",
                        default=list,
                    ),
                ),
            ],
            options={
                "verbose_name": "total of moderation",
                "verbose_name_plural": "totals of moderation",
                "db_table": "moderation_totals",
                "db_table_comment": "Daily totals of deleted questions",
                "constraints": [
                    models.UniqueConstraint(fields=("day",), name="moderation_totals_one_per_day"),
                    models.CheckConstraint(
                        condition=models.Q(("decided__gte", 1)),
                        name="moderation_totals_decided_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("rejected__gte", 0), ("rejected__lte", models.F("decided"))
                        ),
                        name="moderation_totals_rejected_within_decided",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("crisis__gte", 0), ("crisis__lte", models.F("decided"))
                        ),
                        name="moderation_totals_crisis_within_decided",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("within_due__gte", 0), ("within_due__lte", models.F("decided"))
                        ),
                        name="moderation_totals_within_due_within_decided",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("answered__gte", 0), ("answered__lte", models.F("decided"))
                        ),
                        name="moderation_totals_answered_within_decided",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("hours__len", models.F("decided")),
                            django.db.models.lookups.IsNull(
                                models.Func("hours", None, function="array_position"), True
                            ),
                        ),
                        name="moderation_totals_hours_of_each",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("answer_hours__len", models.F("answered")),
                            django.db.models.lookups.IsNull(
                                models.Func("answer_hours", None, function="array_position"), True
                            ),
                        ),
                        name="moderation_totals_answer_hours_of_each",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Func(
                                models.F("day"),
                                function="is_finite",
                                output_field=models.BooleanField(),
                            )
                        ),
                        name="moderation_totals_times_finite",
                    ),
                ],
                "triggers": [
                    pgtrigger.compiler.Trigger(
                        name="moderation_totals_id_stays",
                        sql=ebalance.db.triggers.rule.RuleTriggerSql(
                            condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                            execute="public.refuse('moderation_totals_id_stays', 'id', 'The key of a record never changes')",
                            func="",
                            hash="c1746787996c1998b0b02612249aa3aea87db29c",
                            operation='UPDATE OF "id"',
                            pgid="moderation_totals_id_stays",
                            table="moderation_totals",
                            when="BEFORE",
                        ),
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="anonymousquestion",
            name="answer_due_at",
            field=models.DateTimeField(
                blank=True,
                db_comment="P0 · answer by, UTC; set by the database: 72 h after the approval; an escalation empties it",
                editable=False,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="anonymousquestion",
            name="moderated_due_at",
            field=models.DateTimeField(
                blank=True,
                db_comment="P0 · due_at at the first decision, UTC; set by the database",
                editable=False,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="anonymousquestion",
            name="due_at",
            field=models.DateTimeField(
                blank=True,
                db_comment="P0 · decide by, UTC; set by the database: 4 h with a crisis flag, else 24 h",
                editable=False,
            ),
        ),
        ebalance.db.operations.AddIndexConcurrently(
            model_name="anonymousquestion",
            index=ebalance.db.rules.Index(
                condition=models.Q(("status", "approved")),
                fields=["answer_due_at"],
                name="anonymous_questions_answer_due",
                serves="admin: the psychologist's queue, oldest due first",
            ),
        ),
        ebalance.db.operations.ReplaceCheck(
            model_name="anonymousquestion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Func(
                        models.F("submitted_at"),
                        function="is_finite",
                        output_field=models.BooleanField(),
                    ),
                    models.Func(
                        models.F("due_at"), function="is_finite", output_field=models.BooleanField()
                    ),
                    models.Func(
                        models.F("moderated_at"),
                        function="is_finite",
                        output_field=models.BooleanField(),
                    ),
                    models.Func(
                        models.F("moderated_due_at"),
                        function="is_finite",
                        output_field=models.BooleanField(),
                    ),
                    models.Func(
                        models.F("answer_due_at"),
                        function="is_finite",
                        output_field=models.BooleanField(),
                    ),
                    models.Func(
                        models.F("answered_at"),
                        function="is_finite",
                        output_field=models.BooleanField(),
                    ),
                ),
                name="anonymous_questions_times_finite",
            ),
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="anonymousquestion",
            name="anonymous_questions_set_due_at",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="anonymousquestion",
            trigger=pgtrigger.compiler.Trigger(
                name="anonymous_questions_set_due_at",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    execute="public.anonymous_questions_set_due_at()",
                    func="CREATE OR REPLACE FUNCTION public.anonymous_questions_set_due_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    NEW.due_at := NEW.submitted_at\n        + CASE WHEN 'crisis' = ANY (NEW.trigger_flags) THEN interval '4 hours'\n               ELSE interval '24 hours' END;\n    IF NEW.moderated_at IS NULL THEN\n        NEW.moderated_due_at := NULL;\n    ELSIF OLD.moderated_at IS NULL THEN\n        NEW.moderated_due_at := NEW.due_at;\n    ELSE\n        -- Release 1.0 kept the deadline of the first decision in due_at.\n        NEW.moderated_due_at := coalesce(OLD.moderated_due_at, OLD.due_at);\n    END IF;\n    IF NEW.status NOT IN ('approved', 'answered') THEN\n        NEW.answer_due_at := NULL;\n    ELSIF OLD.status IN ('approved', 'answered') THEN\n        NEW.answer_due_at := coalesce(\n            OLD.answer_due_at,\n            (SELECT max(created_at) FROM public.ugc_moderation_actions\n             WHERE ugc_type = 'anonymous_question' AND ugc_id = NEW.id AND action = 'approve')\n                + interval '72 hours',\n            NEW.moderated_at + interval '72 hours');\n    ELSIF OLD.moderated_at IS NULL THEN\n        NEW.answer_due_at := NEW.moderated_at + interval '72 hours';\n    ELSE\n        -- moderated_at is the first decision: an approval after an escalation is dated here.\n        NEW.answer_due_at := public.fact_clock() + interval '72 hours';\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                    hash="04bc8ab06294aa583c6f2e8ee0297d808f2ad03a",
                    operation="INSERT OR UPDATE",
                    pgid="anonymous_questions_set_due_at",
                    table="anonymous_questions",
                    when="BEFORE",
                ),
            ),
        ),
    ]
