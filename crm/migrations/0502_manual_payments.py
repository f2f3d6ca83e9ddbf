"""The tracking plan accepts payments that staff take: payment_provider may be manual.

Rollback note: run `UPDATE tracking_event_params SET allowed = ARRAY['yookassa'] WHERE name =
'payment_provider'`; new events of manual payments are then refused, stored ones stay.
"""

from django.db import migrations

CHANGE = """
UPDATE public.tracking_event_params SET allowed = {allowed}
WHERE name = 'payment_provider'
  AND event_name IN ('payment_started', 'payment_failed', 'booking_paid')
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0501_crm")]

    operations = [
        migrations.RunSQL(
            CHANGE.format(allowed="ARRAY['yookassa', 'manual']"),
            CHANGE.format(allowed="ARRAY['yookassa']"),
        )
    ]
