"""The database writes status and roles into the audit log itself; nothing new is written of an
erased person.

Rollback note: first take the other migrations called audit_capture back (`migrate ugc 0401`,
`migrate booking 0304`, `migrate crm 0503`, `migrate interactive 0201`, `migrate content 0102`), then
`migrate identity 0002`. The functions stay, unused. Nothing is lost; changes are no longer recorded.
"""

from pathlib import Path

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

import ebalance.db.triggers

FUNCTIONS = (Path(__file__).parent / "sql" / "0003_audit_capture.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0002_consents"),
    ]

    operations = [
        # One statement list, sent as it is: sqlparse would take it apart at every semicolon.
        migrations.RunSQL([(FUNCTIONS, None)], migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name="consent",
            trigger=pgtrigger.compiler.Trigger(
                name="consents_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('consents_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="1a890e0cf79999dde5a7fcf87bb8a47c4d75671e",
                    operation='INSERT OR UPDATE OF "user_id"',
                    pgid="consents_user_id_not_erased",
                    table="consents",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="dataexportrequest",
            trigger=pgtrigger.compiler.Trigger(
                name="data_export_requests_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('data_export_requests_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="1a3422e0b6fbb9f48d50a39a19bbd4ae322249e3",
                    operation='INSERT OR UPDATE OF "user_id"',
                    pgid="data_export_requests_user_id_not_erased",
                    table="data_export_requests",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="user",
            trigger=pgtrigger.compiler.Trigger(
                name="users_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('user_status_changed', 'id', 'status')",
                    func="",
                    hash="9a8f1096313930fb37be0047f3ebe30f381ca868",
                    operation="UPDATE",
                    pgid="users_update_audited",
                    table="users",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="user",
            trigger=pgtrigger.compiler.Trigger(
                name="users_delete_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    constraint="CONSTRAINT",
                    execute="public.audit_change('user_deleted', 'id', 'status', 'created_at', 'updated_at', 'deleted_at', 'is_superuser')",
                    func="",
                    hash="2f60ff0438be6b7e8ac8b9fb23ed1be3535a7ba1",
                    operation="DELETE",
                    pgid="users_delete_audited",
                    table="users",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="userrole",
            trigger=pgtrigger.compiler.Trigger(
                name="user_roles_insert_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    constraint="CONSTRAINT",
                    execute="public.audit_change('role_granted', 'id', 'user_id', 'role_code')",
                    func="",
                    hash="444cf35e27bcff3e47ec77734aeb9c711bf51945",
                    operation="INSERT",
                    pgid="user_roles_insert_audited",
                    table="user_roles",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="userrole",
            trigger=pgtrigger.compiler.Trigger(
                name="user_roles_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.role_code IS DISTINCT FROM NEW.role_code))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('role_changed', 'id', 'user_id', 'role_code')",
                    func="",
                    hash="f8182c8a8598a298a60e8cb107660938fbef77fa",
                    operation="UPDATE",
                    pgid="user_roles_update_audited",
                    table="user_roles",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="userrole",
            trigger=pgtrigger.compiler.Trigger(
                name="user_roles_delete_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    constraint="CONSTRAINT",
                    execute="public.audit_change('role_taken', 'id', 'user_id', 'role_code', 'granted_at')",
                    func="",
                    hash="a093e1d70e7ec28f7ac1d97124e4be3e20a0d9a2",
                    operation="DELETE",
                    pgid="user_roles_delete_audited",
                    table="user_roles",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="userrole",
            trigger=pgtrigger.compiler.Trigger(
                name="user_roles_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('user_roles_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="ee695fa71c437caa4f95364b8608ff5664acbfbb",
                    operation='INSERT OR UPDATE OF "user_id"',
                    pgid="user_roles_user_id_not_erased",
                    table="user_roles",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="userrole",
            trigger=pgtrigger.compiler.Trigger(
                name="user_roles_actor_keeps_role",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    execute="public.remember_acting_role()",
                    func="",
                    hash="6ccd6a193f282770a4d2bd4d5edda9e9f096006e",
                    level="STATEMENT",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="user_roles_actor_keeps_role",
                    table="user_roles",
                    when="BEFORE",
                ),
            ),
        ),
    ]
