"""Requests to erase a person: admin asks, and a command of the owner carries them out.

Rollback note: run `DROP TABLE erasure_requests`; open requests are lost. The ledger has the
erasures that were done.
"""

import pgtrigger.compiler
from django.conf import settings
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.on_delete
import ebalance.db.rules
import ebalance.db.triggers.rule


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0003_second_factors"),
    ]

    operations = [
        migrations.CreateModel(
            name="ErasureRequest",
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
                    "status",
                    models.TextField(
                        db_comment="P0 · progress", db_default="requested", default="requested"
                    ),
                ),
                (
                    "cancels_appointments",
                    models.BooleanField(
                        db_comment="P0 · sessions ahead are canceled as by the client; else they stop the erasure",
                        db_default=False,
                        default=False,
                    ),
                ),
                (
                    "refused_reason",
                    models.TextField(blank=True, db_comment="P0 · why it was refused", null=True),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_comment="P0 · when requested, UTC",
                        db_default=models.Func(function="now", output_field=models.DateTimeField()),
                        editable=False,
                        verbose_name="created at",
                    ),
                ),
                (
                    "completed_at",
                    models.DateTimeField(
                        blank=True, db_comment="P0 · when done or refused, UTC", null=True
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        db_column="requested_by_user_id",
                        db_comment="P0 · who asked: staff, or the person",
                        db_index=False,
                        on_delete=ebalance.db.on_delete.DB_RESTRICT,
                        related_name="requested_erasures",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_comment="P0 · whom to erase",
                        db_index=False,
                        on_delete=ebalance.db.on_delete.DB_RESTRICT,
                        related_name="erasure_requests",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "erasure request",
                "verbose_name_plural": "erasure requests",
                "db_table": "erasure_requests",
                "db_table_comment": "Requests to erase a person",
                "triggers": [
                    pgtrigger.compiler.Trigger(
                        name="erasure_requests_status_transition",
                        sql=ebalance.db.triggers.rule.RuleTriggerSql(
                            condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('requested', 'done'), ('requested', 'refused'))))",
                            execute="public.refuse_transition('erasure_requests_status_transition', 'status', 'This change of status is not allowed')",
                            func="",
                            hash="b279ff88bb03602dcbd95f12f9fbf2fa998a6377",
                            operation='UPDATE OF "status"',
                            pgid="erasure_requests_status_transition",
                            table="erasure_requests",
                            when="BEFORE",
                        ),
                    ),
                    pgtrigger.compiler.Trigger(
                        name="erasure_requests_status_initial",
                        sql=ebalance.db.triggers.rule.RuleTriggerSql(
                            condition="WHEN (NEW.status NOT IN ('requested'))",
                            execute="public.refuse('erasure_requests_status_initial', 'status', 'A new record cannot start in this status')",
                            func="",
                            hash="1f0087548d4e101627779f897b375b42426a4364",
                            operation="INSERT",
                            pgid="erasure_requests_status_initial",
                            table="erasure_requests",
                            when="AFTER",
                        ),
                    ),
                    pgtrigger.compiler.Trigger(
                        name="erasure_requests_request_stays",
                        sql=ebalance.db.triggers.rule.RuleTriggerSql(
                            condition="WHEN ((OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.requested_by_user_id IS DISTINCT FROM NEW.requested_by_user_id OR OLD.created_at IS DISTINCT FROM NEW.created_at))",
                            execute="public.refuse('erasure_requests_request_stays', 'user_id', 'A request keeps its person, its requester and its time')",
                            func="",
                            hash="afbd591aa46529535610edbef6b8ef06d4bd6abe",
                            operation="UPDATE",
                            pgid="erasure_requests_request_stays",
                            table="erasure_requests",
                            when="BEFORE",
                        ),
                    ),
                    pgtrigger.compiler.Trigger(
                        name="erasure_requests_done_is_erased",
                        sql=ebalance.db.triggers.rule.RuleTriggerSql(
                            condition="WHEN (NEW.status = 'done' AND OLD.status <> 'done')",
                            execute="public.erasure_requests_done_is_erased()",
                            func="CREATE OR REPLACE FUNCTION public.erasure_requests_done_is_erased() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    -- Deleted is final, so no lock is needed.\n    IF NOT EXISTS (SELECT FROM public.users WHERE id = NEW.user_id AND status = 'deleted') THEN\n        PERFORM public.raise_refusal('erasure_requests_done_is_erased', TG_TABLE_NAME, 'status', 'A request is done only when the person is erased');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                            hash="d1d6c9e4eb71ed3ec6d02ee3cbf49f3094e0391a",
                            operation='UPDATE OF "status"',
                            pgid="erasure_requests_done_is_erased",
                            table="erasure_requests",
                            when="BEFORE",
                        ),
                    ),
                    pgtrigger.compiler.Trigger(
                        name="erasure_requests_user_id_not_erased",
                        sql=ebalance.db.triggers.rule.RuleTriggerSql(
                            condition="WHEN (NEW.user_id IS NOT NULL)",
                            execute="public.refuse_for_erased_person('erasure_requests_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                            func="",
                            hash="0fd404c7e652ac1724588163554d4c788cab7495",
                            operation='INSERT OR UPDATE OF "user_id"',
                            pgid="erasure_requests_user_id_not_erased",
                            table="erasure_requests",
                            when="AFTER",
                        ),
                    ),
                    pgtrigger.compiler.Trigger(
                        name="erasure_requests_created_at_not_ahead",
                        sql=ebalance.db.triggers.rule.RuleTriggerSql(
                            condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                            execute="public.refuse_new_value('erasure_requests_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                            func="",
                            hash="9c056a7c51ee88aca6a4ccf52360173f1874bbf2",
                            operation='INSERT OR UPDATE OF "created_at"',
                            pgid="erasure_requests_created_at_not_ahead",
                            table="erasure_requests",
                            when="AFTER",
                        ),
                    ),
                    pgtrigger.compiler.Trigger(
                        name="erasure_requests_completed_at_not_ahead",
                        sql=ebalance.db.triggers.rule.RuleTriggerSql(
                            condition="WHEN (NEW.completed_at > public.fact_clock() + interval '5 minutes')",
                            execute="public.refuse_new_value('erasure_requests_completed_at_not_ahead', 'completed_at', 'This time lies ahead of the clock')",
                            func="",
                            hash="e472de1d51dc9bdb8fbff5d7068b25f9ee3eba84",
                            operation='INSERT OR UPDATE OF "completed_at"',
                            pgid="erasure_requests_completed_at_not_ahead",
                            table="erasure_requests",
                            when="AFTER",
                        ),
                    ),
                    pgtrigger.compiler.Trigger(
                        name="erasure_requests_id_stays",
                        sql=ebalance.db.triggers.rule.RuleTriggerSql(
                            condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                            execute="public.refuse('erasure_requests_id_stays', 'id', 'The key of a record never changes')",
                            func="",
                            hash="0c4d47a44aaa9efea9f185e7577058a63fdff00c",
                            operation='UPDATE OF "id"',
                            pgid="erasure_requests_id_stays",
                            table="erasure_requests",
                            when="BEFORE",
                        ),
                    ),
                ],
                "indexes": [
                    ebalance.db.rules.Index(
                        fields=["user"],
                        name="erasure_requests_by_user",
                        serves="a person's requests; the delete check",
                    ),
                    ebalance.db.rules.Index(
                        fields=["requested_by"],
                        name="erasure_requests_by_requester",
                        serves="the delete check",
                    ),
                    ebalance.db.rules.Index(
                        condition=models.Q(("status", "requested")),
                        fields=["created_at"],
                        name="erasure_requests_queue",
                        serves="process_erasure_requests: what is to be done, oldest first",
                    ),
                    ebalance.db.rules.Index(
                        condition=models.Q(("completed_at__isnull", False)),
                        fields=["completed_at"],
                        name="erasure_requests_over",
                        serves="purge_expired, 90 days",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status", "requested")),
                        fields=("user",),
                        name="erasure_requests_one_open_per_user",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("status__in", ["done", "refused"]), ("completed_at__isnull", False)
                            ),
                            models.Q(
                                models.Q(("status__in", ["done", "refused"]), _negated=True),
                                ("completed_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="erasure_requests_completed_when_over",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "refused"), ("refused_reason__isnull", False)),
                            models.Q(
                                models.Q(("status", "refused"), _negated=True),
                                ("refused_reason__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="erasure_requests_reason_when_refused",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Func(
                                models.F("created_at"),
                                function="is_finite",
                                output_field=models.BooleanField(),
                            ),
                            models.Func(
                                models.F("completed_at"),
                                function="is_finite",
                                output_field=models.BooleanField(),
                            ),
                        ),
                        name="erasure_requests_times_finite",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["requested", "done", "refused"])),
                        name="erasure_requests_status_in_set",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "refused_reason__in",
                                ["last_owner", "upcoming_appointments", "not_permitted"],
                            )
                        ),
                        name="erasure_requests_refused_reason_in_set",
                    ),
                ],
            },
        ),
    ]
