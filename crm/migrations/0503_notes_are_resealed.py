"""A note that moves to another key keeps its updated_at.

Rollback note: `migrate crm 0502` puts the older trigger back; nothing is lost, but rotate_keys then shows as a change of every note.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

import ebalance.db.triggers


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0502_tracking_plan"),
        ("audit", "0603_key_rotations"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="leadnote",
            name="lead_notes_touch_updated_at",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="leadnote",
            trigger=pgtrigger.compiler.Trigger(
                name="lead_notes_touch_updated_at",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (public.is_resealing('lead_notes', OLD.note_encrypted, NEW.note_encrypted) IS NOT TRUE)",
                    execute="public.touch_updated_at()",
                    func="",
                    hash="50c9570100085158a1eba846369ec56ffdf0677b",
                    operation="UPDATE",
                    pgid="lead_notes_touch_updated_at",
                    table="lead_notes",
                    when="BEFORE",
                ),
            ),
        ),
    ]
