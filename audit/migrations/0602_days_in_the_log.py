"""Let the audit log hold days, which have as many digits as a phone number.

Rollback note: run the SQL of `sql/0602_is_audit_value_before.sql`. Nothing is lost. Later entries name the
columns of days without their values. Stored entries keep their days, so a dump is restored only where
`sql/0602_is_audit_value.sql` was run: it copies all entries through the CHECK.
"""

from pathlib import Path

from django.db import migrations

from ebalance.db.operations import ReplaceFunction

SQL = Path(__file__).parent / "sql"


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0601_audit"),
    ]

    operations = [
        ReplaceFunction(
            name="is_audit_value",
            sql=(SQL / "0602_is_audit_value.sql").read_text(encoding="utf-8"),
            reverse_sql=(SQL / "0602_is_audit_value_before.sql").read_text(encoding="utf-8"),
        ),
    ]
