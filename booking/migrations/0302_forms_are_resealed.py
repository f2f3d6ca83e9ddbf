"""A submitted form may move to another key, by rotate_keys alone.

Rollback note: `migrate booking 0301` puts the older trigger back; nothing is lost, but rotate_keys then leaves submitted forms under their old key.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

import ebalance.db.triggers


class Migration(migrations.Migration):
    dependencies = [
        ("booking", "0301_booking"),
        ("audit", "0603_key_rotations"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="intakeform",
            name="intake_forms_submitted_stays",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="intakeform",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
    ]
