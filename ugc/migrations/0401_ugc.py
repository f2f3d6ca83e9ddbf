"""Questions, reviews, diaries, moderation."""

import datetime

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
                    name="DiaryEntry",
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
                                db_comment="P1 · whose diary",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="diary_entries",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        ("diary_type", models.TextField(db_comment="P1 · kind of diary")),
                        ("entry_date", models.DateField(db_comment="P1 · day it is about")),
                        (
                            "payload_encrypted",
                            models.TextField(
                                blank=True,
                                db_comment="P2 · entry, sealed JSON; empty exactly when deleted",
                                editable=False,
                                null=True,
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
                            "deleted_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when deleted, UTC", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "diary entry",
                        "verbose_name_plural": "diary entries",
                        "db_table": "diary_entries",
                        "db_table_comment": "Diaries of clients, sealed",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["user", "-entry_date"],
                                name="diary_entries_of_user",
                                serves="the author's diary; export",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("deleted_at__isnull", False)),
                                fields=["deleted_at"],
                                name="diary_entries_deleted",
                                serves="purge_expired, 30 days",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("payload_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="diary_entries_payload_encrypted_is_sealed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("deleted_at__isnull", True),
                                        ("payload_encrypted__isnull", False),
                                    ),
                                    models.Q(
                                        ("deleted_at__isnull", False),
                                        ("payload_encrypted__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="diary_entries_deleted_means_gone",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("entry_date"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("deleted_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="diary_entries_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "diary_type__in",
                                        ["emotions", "abc", "sleep_energy", "gratitude"],
                                    )
                                ),
                                name="diary_entries_diary_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("entry_date__gte", datetime.date(2000, 1, 1))),
                                name="diary_entries_entry_date_since_2000",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("payload_encrypted__length__lte", 400000)),
                                name="diary_entries_payload_encrypted_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="diary_entries_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('diary_entries_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="7b75585f23b90e7f79372e25b554f0d26f83803b",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="diary_entries_user_id_not_erased",
                                    table="diary_entries",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="diary_entries_entry_date_within_a_year",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.entry_date > ((public.fact_clock() AT TIME ZONE 'UTC') + interval '1 year')::date)",
                                    execute="public.refuse_new_value('diary_entries_entry_date_within_a_year', 'entry_date', 'This day lies more than a year ahead')",
                                    func="",
                                    hash="6cc7ded86d2dbd489ad4692a3ee4636561590979",
                                    operation='INSERT OR UPDATE OF "entry_date"',
                                    pgid="diary_entries_entry_date_within_a_year",
                                    table="diary_entries",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="diary_entries_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('diary_entries_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="e62cc4b2ede442ecdb43a794d9328c7062928948",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="diary_entries_created_at_not_ahead",
                                    table="diary_entries",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="diary_entries_deleted_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.deleted_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('diary_entries_deleted_at_not_ahead', 'deleted_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="293e680d7984463f35aa5f7a3d323248ad662a69",
                                    operation='INSERT OR UPDATE OF "deleted_at"',
                                    pgid="diary_entries_deleted_at_not_ahead",
                                    table="diary_entries",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="diary_entries_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('diary_entries_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="e195aa7b99261b46926ce684feb4cf4b3fa1cf56",
                                    operation='UPDATE OF "id"',
                                    pgid="diary_entries_id_stays",
                                    table="diary_entries",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="AnonymousQuestion",
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
                                db_comment="P0 · who asked, if logged in",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="anonymous_questions",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "channel",
                            models.TextField(
                                db_comment="P0 · where it was asked",
                                db_default="web",
                                default="web",
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
                            "trigger_flags",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.TextField(),
                                blank=True,
                                db_comment="P0 · what the filter saw: crisis, pii, medical, spam; no details",
                                db_default=models.Value(
                                    [],
                                    output_field=django.contrib.postgres.fields.ArrayField(
                                        base_field=models.TextField()
                                    ),
                                ),
                                default=list,
                            ),
                        ),
                        (
                            "question_text_encrypted",
                            models.TextField(
                                db_comment="P2 · the question, sealed", editable=False
                            ),
                        ),
                        (
                            "contact_value_encrypted",
                            models.TextField(
                                blank=True,
                                db_comment="P1 · contact for the answer, sealed",
                                editable=False,
                                null=True,
                            ),
                        ),
                        (
                            "publish_allowed",
                            models.BooleanField(
                                db_comment="P0 · may be published with the answer",
                                db_default=False,
                                default=False,
                            ),
                        ),
                        (
                            "safety_confirmed",
                            models.BooleanField(
                                db_comment="P0 · the asker confirmed being safe",
                                db_default=False,
                                default=False,
                            ),
                        ),
                        (
                            "submitted_at",
                            models.DateTimeField(
                                db_comment="P0 · when asked, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                            ),
                        ),
                        (
                            "due_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · decide by, UTC; set by the database: 4 h with a crisis flag, else 24 h; the first decision ends it",
                                editable=False,
                            ),
                        ),
                        (
                            "moderated_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when first decided, UTC; an escalation keeps it",
                                null=True,
                            ),
                        ),
                        (
                            "answered_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when answered, UTC", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "question",
                        "verbose_name_plural": "questions",
                        "db_table": "anonymous_questions",
                        "db_table_comment": "Questions asked without a name, sealed",
                        "indexes": [
                            ebalance.db.rules.Index(
                                condition=models.Q(("status__in", ["pending", "flagged"])),
                                fields=["status", "submitted_at"],
                                name="anonymous_questions_moderation_queue",
                                serves="admin: the moderation queue",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status__in", ["pending", "flagged"])),
                                fields=["due_at"],
                                name="anonymous_questions_due",
                                serves="admin: the moderation queue, oldest due first",
                            ),
                            ebalance.db.rules.Index(
                                fields=["user"],
                                name="anonymous_questions_by_user",
                                serves="a person's; export",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("answered_at__isnull", False)),
                                fields=["answered_at"],
                                name="anonymous_questions_answered",
                                serves="purge_expired, 90 days after the answer",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status__in", ["approved", "rejected"])),
                                fields=["moderated_at"],
                                name="anonymous_questions_decided",
                                serves="purge_expired: rejected questions, approved ones without an answer",
                            ),
                            ebalance.db.rules.Index(
                                fields=["submitted_at"],
                                name="anonymous_questions_by_submission",
                                serves="metrics: moderation times of a period; purge_expired",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "trigger_flags__contained_by",
                                        ["crisis", "pii", "medical", "spam"],
                                    ),
                                    models.Func(
                                        models.F("trigger_flags"),
                                        function="has_no_duplicates",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="anonymous_questions_trigger_flags_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("question_text_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="anonymous_questions_question_text_encrypted_is_sealed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("contact_value_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="anonymous_questions_contact_value_encrypted_is_sealed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status", "answered"), ("answered_at__isnull", False)
                                    ),
                                    models.Q(
                                        models.Q(("status", "answered"), _negated=True),
                                        ("answered_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="anonymous_questions_answered_at_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status__in", ["approved", "answered", "rejected"]),
                                        _negated=True,
                                    ),
                                    ("moderated_at__isnull", False),
                                    _connector="OR",
                                ),
                                name="anonymous_questions_decided_has_time",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("submitted_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("due_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("moderated_at"),
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
                            models.CheckConstraint(
                                condition=models.Q(("channel__in", ["web", "telegram"])),
                                name="anonymous_questions_channel_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "status__in",
                                        ["pending", "flagged", "approved", "answered", "rejected"],
                                    )
                                ),
                                name="anonymous_questions_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("trigger_flags"),
                                        models.Value(100),
                                        models.Value(60),
                                        function="has_lengths",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="anonymous_questions_trigger_flags_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("question_text_encrypted__length__lte", 400000)
                                ),
                                name="anonymous_questions_question_text_encrypted_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("contact_value_encrypted__length__lte", 400000)
                                ),
                                name="anonymous_questions_contact_value_encrypted_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('pending', 'flagged'), ('pending', 'approved'), ('pending', 'rejected'), ('flagged', 'approved'), ('flagged', 'rejected'), ('approved', 'flagged'), ('approved', 'answered'))))",
                                    execute="public.refuse_transition('anonymous_questions_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="d0bc4241871a1dfe98cfe31f43c2b4a29f6ec848",
                                    operation='UPDATE OF "status"',
                                    pgid="anonymous_questions_status_transition",
                                    table="anonymous_questions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_status_initial",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status NOT IN ('pending', 'flagged'))",
                                    execute="public.refuse('anonymous_questions_status_initial', 'status', 'A new record cannot start in this status')",
                                    func="",
                                    hash="c89df5f0f599dfaf64a712a2c72743c7fed917a4",
                                    operation="INSERT",
                                    pgid="anonymous_questions_status_initial",
                                    table="anonymous_questions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_set_due_at",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.anonymous_questions_set_due_at()",
                                    func="CREATE OR REPLACE FUNCTION public.anonymous_questions_set_due_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    -- The deadline that the first decision met, or missed, stays.\n    IF TG_OP = 'UPDATE' AND OLD.moderated_at IS NOT NULL THEN\n        NEW.due_at := OLD.due_at;\n    ELSE\n        NEW.due_at := NEW.submitted_at\n            + CASE WHEN 'crisis' = ANY (NEW.trigger_flags) THEN interval '4 hours'\n                   ELSE interval '24 hours' END;\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="1624fd1b4711222a90f68dc3c6afe17c1a8c40c9",
                                    operation="INSERT OR UPDATE",
                                    pgid="anonymous_questions_set_due_at",
                                    table="anonymous_questions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_first_decision_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.moderated_at IS DISTINCT FROM NEW.moderated_at OR OLD.submitted_at IS DISTINCT FROM NEW.submitted_at) AND OLD.moderated_at IS NOT NULL)",
                                    execute="public.refuse('anonymous_questions_first_decision_stays', 'moderated_at', 'The time of the first decision is not changed')",
                                    func="",
                                    hash="8b30a30e711b1a39c7d2f05350aba0394c6ac5c8",
                                    operation="UPDATE",
                                    pgid="anonymous_questions_first_decision_stays",
                                    table="anonymous_questions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_undecided_has_no_time",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.anonymous_questions_undecided_has_no_time()",
                                    func="CREATE OR REPLACE FUNCTION public.anonymous_questions_undecided_has_no_time() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF NEW.status IN ('pending', 'flagged') AND NEW.moderated_at IS NOT NULL\n       AND (TG_OP = 'INSERT' OR OLD.moderated_at IS NULL) THEN\n        PERFORM public.raise_refusal('anonymous_questions_undecided_has_no_time', TG_TABLE_NAME, 'moderated_at', 'A question gets its time of decision with the decision');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="184fb2bbbf90e1a31bc245f1349d5c2a7e3ab764",
                                    operation='INSERT OR UPDATE OF "status", "moderated_at"',
                                    pgid="anonymous_questions_undecided_has_no_time",
                                    table="anonymous_questions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_withdraw_answer",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.publish_allowed AND NOT NEW.publish_allowed)",
                                    execute="public.anonymous_questions_withdraw_answer()",
                                    func="CREATE OR REPLACE FUNCTION public.anonymous_questions_withdraw_answer() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    UPDATE public.question_answers SET published_at = NULL\n    WHERE question_id = NEW.id AND published_at IS NOT NULL;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="8ff857ab719944463e63ba4f4812b1822ccbc0f0",
                                    operation='UPDATE OF "publish_allowed"',
                                    pgid="anonymous_questions_withdraw_answer",
                                    table="anonymous_questions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_answered_has_answer",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status = 'answered' AND OLD.status <> 'answered')",
                                    constraint="CONSTRAINT",
                                    execute="public.anonymous_questions_answered_has_answer()",
                                    func="CREATE OR REPLACE FUNCTION public.anonymous_questions_answered_has_answer() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    PERFORM FROM public.question_answers WHERE question_id = NEW.id FOR KEY SHARE;\n    IF NOT FOUND THEN\n        PERFORM public.raise_refusal('anonymous_questions_answered_has_answer', TG_TABLE_NAME, 'status', 'A question becomes answered only together with its answer');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="2e60dd1a39b23b74b5a1a2299ce3fc0df8634c61",
                                    operation='UPDATE OF "status"',
                                    pgid="anonymous_questions_answered_has_answer",
                                    table="anonymous_questions",
                                    timing="DEFERRABLE INITIALLY IMMEDIATE",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('question_status_changed', 'id', 'status')",
                                    func="",
                                    hash="e2ece0b8dd06ba77b532d8e4eef5cf4c78d64e0f",
                                    operation="UPDATE",
                                    pgid="anonymous_questions_update_audited",
                                    table="anonymous_questions",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('anonymous_questions_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="c6b8e8ba6d6a719d5bcf4882125370cd78c27638",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="anonymous_questions_user_id_not_erased",
                                    table="anonymous_questions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_submitted_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.submitted_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('anonymous_questions_submitted_at_not_ahead', 'submitted_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="d7fd7e6e129c1c9b597a67b0a86c9d037e2ffca2",
                                    operation='INSERT OR UPDATE OF "submitted_at"',
                                    pgid="anonymous_questions_submitted_at_not_ahead",
                                    table="anonymous_questions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_moderated_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.moderated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('anonymous_questions_moderated_at_not_ahead', 'moderated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="5e7d1c6bf4c55986f6ccb279eda36bad702d44fc",
                                    operation='INSERT OR UPDATE OF "moderated_at"',
                                    pgid="anonymous_questions_moderated_at_not_ahead",
                                    table="anonymous_questions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_answered_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.answered_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('anonymous_questions_answered_at_not_ahead', 'answered_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="9c599801bf18d9a5b06322ea0f09ffd586745ac5",
                                    operation='INSERT OR UPDATE OF "answered_at"',
                                    pgid="anonymous_questions_answered_at_not_ahead",
                                    table="anonymous_questions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="anonymous_questions_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('anonymous_questions_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="4e1e438ee3faf8f691c2d7edd59f342122693ffc",
                                    operation='UPDATE OF "id"',
                                    pgid="anonymous_questions_id_stays",
                                    table="anonymous_questions",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="QuestionAnswer",
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
                            "question",
                            models.ForeignKey(
                                db_comment="P0 · question",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="answers",
                                to="ugc.anonymousquestion",
                            ),
                        ),
                        (
                            "answered_by",
                            models.ForeignKey(
                                db_column="answered_by_user_id",
                                db_comment="P0 · who answered",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="question_answers",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "answer_text_encrypted",
                            models.TextField(db_comment="P2 · the answer, sealed", editable=False),
                        ),
                        (
                            "published_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when published, UTC", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "answer",
                        "verbose_name_plural": "answers",
                        "db_table": "question_answers",
                        "db_table_comment": "Answers to questions, sealed",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["answered_by"],
                                name="question_answers_by_author",
                                serves="the delete check",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("question",), name="question_answers_one_per_question"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("answer_text_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="question_answers_answer_text_encrypted_is_sealed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("published_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="question_answers_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("answer_text_encrypted__length__lte", 400000)),
                                name="question_answers_answer_text_encrypted_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="question_answers_answered_keeps_answer",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.question_answers_answered_keeps_answer()",
                                    func="CREATE OR REPLACE FUNCTION public.question_answers_answered_keeps_answer() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ DECLARE\n    question_status text;\nBEGIN\n    IF TG_OP = 'DELETE' OR NEW.question_id <> OLD.question_id THEN\n        SELECT status INTO question_status FROM public.anonymous_questions\n        WHERE id = OLD.question_id FOR SHARE;\n        IF question_status = 'answered' THEN\n            PERFORM public.raise_refusal('question_answers_answered_keeps_answer', TG_TABLE_NAME, 'question_id', 'The answer of an answered question goes only together with the question');\n        END IF;\n    END IF;\n    IF TG_OP = 'DELETE' THEN\n        RETURN OLD;\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="899621b5b37af57af80cd53dcbb945d9cf9e7951",
                                    operation='DELETE OR UPDATE OF "question_id"',
                                    pgid="question_answers_answered_keeps_answer",
                                    table="question_answers",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="question_answers_published_is_allowed",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.published_at IS NOT NULL)",
                                    execute="public.question_answers_published_is_allowed()",
                                    func="CREATE OR REPLACE FUNCTION public.question_answers_published_is_allowed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    PERFORM FROM public.anonymous_questions\n    WHERE id = NEW.question_id AND publish_allowed FOR SHARE;\n    IF NOT FOUND THEN\n        PERFORM public.raise_refusal('question_answers_published_is_allowed', TG_TABLE_NAME, 'published_at', 'An answer is published only if the author of the question allowed it');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="ecc9dfff0fd704fea3e99048e5be11fb598db4fe",
                                    operation='INSERT OR UPDATE OF "published_at", "question_id"',
                                    pgid="question_answers_published_is_allowed",
                                    table="question_answers",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="question_answers_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('question_answers_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="0adb27e6a11d0e6406fde466f4a81169bafeff45",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="question_answers_no_truncate",
                                    table="question_answers",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="question_answers_published_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.published_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('question_answers_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="f3835dd22461db0ebb29cfca1bcf687284211352",
                                    operation='INSERT OR UPDATE OF "published_at"',
                                    pgid="question_answers_published_at_not_ahead",
                                    table="question_answers",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="question_answers_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('question_answers_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="59b1c15376df6656a12fa79bd59b6999e05b1417",
                                    operation='UPDATE OF "id"',
                                    pgid="question_answers_id_stays",
                                    table="question_answers",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Review",
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
                                db_comment="P0 · who wrote it, if known",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="reviews",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle", db_default="draft", default="draft"
                            ),
                        ),
                        (
                            "review_text_encrypted",
                            models.TextField(db_comment="P2 · the review, sealed", editable=False),
                        ),
                        (
                            "anonymity_level",
                            models.TextField(
                                db_comment="P0 · how the author is shown",
                                db_default="full",
                                default="full",
                            ),
                        ),
                        (
                            "submitted_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when submitted, UTC", null=True
                            ),
                        ),
                        (
                            "published_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when last published, UTC", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "review",
                        "verbose_name_plural": "reviews",
                        "db_table": "reviews",
                        "db_table_comment": "Reviews of clients, sealed",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["user"],
                                name="reviews_by_user",
                                serves="a person's reviews; export",
                            ),
                            ebalance.db.rules.Index(
                                fields=["status", "submitted_at"],
                                name="reviews_by_status",
                                serves="moderation; site",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("review_text_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="reviews_review_text_encrypted_is_sealed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("submitted_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("published_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="reviews_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["draft", "pending", "published", "unpublished"])
                                ),
                                name="reviews_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("review_text_encrypted__length__lte", 400000)),
                                name="reviews_review_text_encrypted_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("anonymity_level__in", ["full", "initials", "named"])
                                ),
                                name="reviews_anonymity_level_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="reviews_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('draft', 'pending'), ('pending', 'published'), ('pending', 'unpublished'), ('published', 'unpublished'), ('unpublished', 'published'))))",
                                    execute="public.refuse_transition('reviews_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="d162af70eb20f64f369438cda60c0788362c1665",
                                    operation='UPDATE OF "status"',
                                    pgid="reviews_status_transition",
                                    table="reviews",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="reviews_status_initial",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status NOT IN ('draft', 'pending'))",
                                    execute="public.refuse('reviews_status_initial', 'status', 'A new record cannot start in this status')",
                                    func="",
                                    hash="7596778621c886944b90511b032790961293897e",
                                    operation="INSERT",
                                    pgid="reviews_status_initial",
                                    table="reviews",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="reviews_published_has_consent",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status = 'published' AND OLD.status <> 'published')",
                                    execute="public.reviews_published_has_consent()",
                                    func="CREATE OR REPLACE FUNCTION public.reviews_published_has_consent() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    PERFORM FROM public.review_publication_consents\n    WHERE review_id = NEW.id AND granted AND revoked_at IS NULL FOR SHARE;\n    IF NOT FOUND THEN\n        PERFORM public.raise_refusal('reviews_published_has_consent', TG_TABLE_NAME, 'status', 'A review is published only with the active consent of its author');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="6e6fe1531637164ce72042f9b4932f00517dea6a",
                                    operation='UPDATE OF "status"',
                                    pgid="reviews_published_has_consent",
                                    table="reviews",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="reviews_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('review_status_changed', 'id', 'status')",
                                    func="",
                                    hash="27b8e7e4fcbb7a8cdafa90eb6173baa6f055e554",
                                    operation="UPDATE",
                                    pgid="reviews_update_audited",
                                    table="reviews",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="reviews_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('reviews_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="b5ed38064d4514193573b1a334873ab8d91eff1a",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="reviews_user_id_not_erased",
                                    table="reviews",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="reviews_submitted_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.submitted_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('reviews_submitted_at_not_ahead', 'submitted_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="34323c592fd6ed054cd850659b28f9d08336ecf1",
                                    operation='INSERT OR UPDATE OF "submitted_at"',
                                    pgid="reviews_submitted_at_not_ahead",
                                    table="reviews",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="reviews_published_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.published_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('reviews_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="3409d5b344fae8d447f63709a5700dc8bed74da8",
                                    operation='INSERT OR UPDATE OF "published_at"',
                                    pgid="reviews_published_at_not_ahead",
                                    table="reviews",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="reviews_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('reviews_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="f797b82cb557c8fe2c454bb41167270ed845b262",
                                    operation='UPDATE OF "id"',
                                    pgid="reviews_id_stays",
                                    table="reviews",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ReviewPublicationConsent",
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
                            "review",
                            models.ForeignKey(
                                db_comment="P0 · review",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="publication_consents",
                                to="ugc.review",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                blank=True,
                                db_comment="P0 · who agreed, if known",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="review_publication_consents",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "granted",
                            models.BooleanField(
                                db_comment="P0 · true: agreed; false: refused",
                                db_default=False,
                                default=False,
                            ),
                        ),
                        (
                            "version",
                            models.TextField(
                                db_comment="P0 · version of the text, YYYY-MM-DD or YYYY-MM-DD.n"
                            ),
                        ),
                        (
                            "granted_at",
                            models.DateTimeField(
                                db_comment="P0 · when given, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                            ),
                        ),
                        (
                            "revoked_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when withdrawn, UTC; set once",
                                null=True,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "consent to publication",
                        "verbose_name_plural": "consents to publication",
                        "db_table": "review_publication_consents",
                        "db_table_comment": "Evidence of consents to publish a review",
                        "indexes": [
                            ebalance.db.rules.Index(
                                condition=models.Q(("revoked_at__isnull", False)),
                                fields=["revoked_at"],
                                name="review_publication_consents_withdrawn",
                                serves="purge_expired, 3 years after the withdrawal",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("granted", False)),
                                fields=["granted_at"],
                                name="review_publication_consents_refused",
                                serves="purge_expired, 3 years after the refusal",
                            ),
                            ebalance.db.rules.Index(
                                fields=["review"],
                                name="review_publication_consents_by_review",
                                serves="history of a review",
                            ),
                            ebalance.db.rules.Index(
                                fields=["user"],
                                name="review_publication_consents_by_user",
                                serves="a person's; export",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("version__regex", "^[0-9]{4}-[0-9]{2}-[0-9]{2}(\\.[0-9]+)?$")
                                ),
                                name="review_publication_consents_version_is_dated",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("revoked_at__isnull", True),
                                    ("revoked_at__gte", models.F("granted_at")),
                                    _connector="OR",
                                ),
                                name="review_publication_consents_revoked_after_granted",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("granted", True), ("revoked_at__isnull", True), _connector="OR"
                                ),
                                name="review_publication_consents_refusal_is_not_revoked",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("granted_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("revoked_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="review_publication_consents_times_finite",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("granted", True), ("revoked_at__isnull", True)),
                                fields=("review",),
                                name="review_publication_consents_one_active",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("version__length__lte", 60)),
                                name="review_publication_consents_version_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="review_publication_consents_are_evidence",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.review_id IS DISTINCT FROM NEW.review_id OR OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.granted IS DISTINCT FROM NEW.granted OR OLD.version IS DISTINCT FROM NEW.version OR OLD.granted_at IS DISTINCT FROM NEW.granted_at))",
                                    execute="public.refuse('review_publication_consents_are_evidence', 'review_id', 'A consent is evidence: only its withdrawal can be recorded')",
                                    func="",
                                    hash="1d20ad74750d9284ec3bee773595656d49124632",
                                    operation="UPDATE",
                                    pgid="review_publication_consents_are_evidence",
                                    table="review_publication_consents",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="review_publication_consents_revoked_once",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.revoked_at IS DISTINCT FROM NEW.revoked_at) AND OLD.revoked_at IS NOT NULL)",
                                    execute="public.refuse('review_publication_consents_revoked_once', 'revoked_at', 'A consent is withdrawn once')",
                                    func="",
                                    hash="e8ed7be195d8022f8a0c573331bd4b71f62d1ee5",
                                    operation="UPDATE",
                                    pgid="review_publication_consents_revoked_once",
                                    table="review_publication_consents",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="review_publication_consents_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((CASE WHEN OLD.granted THEN OLD.revoked_at ELSE OLD.granted_at END < public.fact_clock() - interval '3 years') IS NOT TRUE)",
                                    execute="public.refuse('review_publication_consents_no_delete', 'id', 'These records are kept as evidence and are not deleted')",
                                    func="",
                                    hash="430907d576410288b5bb34d1cc1cd5d00e920feb",
                                    operation="DELETE",
                                    pgid="review_publication_consents_no_delete",
                                    table="review_publication_consents",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="review_publication_consents_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('review_publication_consents_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="60490450706bacbdb6192069c053ea5df007f473",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="review_publication_consents_no_truncate",
                                    table="review_publication_consents",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="review_publication_consents_unpublish",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL)",
                                    execute="public.review_publication_consents_unpublish()",
                                    func="CREATE OR REPLACE FUNCTION public.review_publication_consents_unpublish() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    UPDATE public.reviews\n    SET status = CASE status WHEN 'published' THEN 'unpublished' ELSE status END\n    WHERE id = NEW.review_id;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="03d7a1130414968f9e62fd418e327619bad803f0",
                                    operation='UPDATE OF "revoked_at"',
                                    pgid="review_publication_consents_unpublish",
                                    table="review_publication_consents",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="review_publication_consents_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('review_publication_consents_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="354fdd2804a4953910f8fdd0104a8d2e765ca75b",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="review_publication_consents_user_id_not_erased",
                                    table="review_publication_consents",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="review_publication_consents_granted_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.granted_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('review_publication_consents_granted_at_not_ahead', 'granted_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="26bab0867ae6ffe35b8af89169cb47f7f4c4c334",
                                    operation='INSERT OR UPDATE OF "granted_at"',
                                    pgid="review_publication_consents_granted_at_not_ahead",
                                    table="review_publication_consents",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="review_publication_consents_revoked_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.revoked_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('review_publication_consents_revoked_at_not_ahead', 'revoked_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="8caac0d326c8b503fff9a767c03ac81cf6b01034",
                                    operation='INSERT OR UPDATE OF "revoked_at"',
                                    pgid="review_publication_consents_revoked_at_not_ahead",
                                    table="review_publication_consents",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="review_publication_consents_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('review_publication_consents_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="57c06dd9d466d588578e6433b27e9f2febc4d574",
                                    operation='UPDATE OF "id"',
                                    pgid="review_publication_consents_id_stays",
                                    table="review_publication_consents",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ModerationAction",
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
                        ("ugc_type", models.TextField(db_comment="P0 · what ugc_id points at")),
                        (
                            "ugc_id",
                            models.UUIDField(db_comment="P0 · id of the question or review"),
                        ),
                        (
                            "moderator",
                            models.ForeignKey(
                                db_column="moderator_user_id",
                                db_comment="P0 · who decided",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="moderation_actions",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        ("action", models.TextField(db_comment="P0 · what was done")),
                        (
                            "reason_category",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · category of the reason; required to reject",
                                null=True,
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
                        "verbose_name": "moderation action",
                        "verbose_name_plural": "moderation actions",
                        "db_table": "ugc_moderation_actions",
                        "db_table_comment": "Decisions of moderators; append-only",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["ugc_type", "ugc_id", "created_at"],
                                name="ugc_moderation_actions_by_target",
                                serves="history of a question or review; metrics: decision times",
                            ),
                            ebalance.db.rules.Index(
                                fields=["moderator"],
                                name="ugc_moderation_actions_by_moderator",
                                serves="delete check",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("action", "reject"), _negated=True),
                                    ("reason_category__isnull", False),
                                    _connector="OR",
                                ),
                                name="ugc_moderation_actions_reject_has_reason",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="ugc_moderation_actions_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("ugc_type__in", ["anonymous_question", "review", "comment"])
                                ),
                                name="ugc_moderation_actions_ugc_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "action__in",
                                        [
                                            "approve",
                                            "reject",
                                            "flag",
                                            "mask_pii",
                                            "publish",
                                            "unpublish",
                                            "escalate",
                                        ],
                                    )
                                ),
                                name="ugc_moderation_actions_action_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "reason_category__in",
                                        [
                                            "crisis",
                                            "medical",
                                            "out_of_scope",
                                            "therapy_request",
                                            "spam",
                                            "pii",
                                            "other",
                                        ],
                                    )
                                ),
                                name="ugc_moderation_actions_reason_category_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="ugc_moderation_actions_target_exists",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.ugc_moderation_actions_target_exists()",
                                    func="CREATE OR REPLACE FUNCTION public.ugc_moderation_actions_target_exists() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF NOT (CASE NEW.ugc_type\n            WHEN 'anonymous_question' THEN\n                EXISTS (SELECT FROM public.anonymous_questions WHERE id = NEW.ugc_id)\n            WHEN 'review' THEN EXISTS (SELECT FROM public.reviews WHERE id = NEW.ugc_id)\n            -- Comments have no table in release 1; an unknown type is the CHECK's to name.\n            WHEN 'comment' THEN false\n            ELSE true END) THEN\n        PERFORM public.raise_refusal('ugc_moderation_actions_target_exists', TG_TABLE_NAME, 'ugc_id', 'There is no such question or review');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="c6acdc2a8cc9ea9958a24a4a1b54c5740d0ad990",
                                    operation="INSERT",
                                    pgid="ugc_moderation_actions_target_exists",
                                    table="ugc_moderation_actions",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="ugc_moderation_actions_immutable",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('ugc_moderation_actions_immutable', 'id', 'These records are only added, never changed or deleted')",
                                    func="",
                                    hash="203243f2ac2e835267c57d447e0f81bca7bf1c7e",
                                    operation="UPDATE",
                                    pgid="ugc_moderation_actions_immutable",
                                    table="ugc_moderation_actions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="ugc_moderation_actions_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('ugc_moderation_actions_no_delete', 'id', 'These records are only added, never changed or deleted')",
                                    func="",
                                    hash="104b633f4707c449e220039ba1c9bb4ff35ba18a",
                                    operation="DELETE",
                                    pgid="ugc_moderation_actions_no_delete",
                                    table="ugc_moderation_actions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="ugc_moderation_actions_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('ugc_moderation_actions_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="f17f42a8761744beabfa4c801e829c328fe750df",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="ugc_moderation_actions_no_truncate",
                                    table="ugc_moderation_actions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="ugc_moderation_actions_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('ugc_moderation_actions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="b4dfc26877877bb88b9b15297844794895dcb4f8",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="ugc_moderation_actions_created_at_not_ahead",
                                    table="ugc_moderation_actions",
                                    when="AFTER",
                                ),
                            ),
                        ],
                    },
                ),
            ],
        ),
    ]
