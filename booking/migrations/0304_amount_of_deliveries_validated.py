"""The rules of 0303, checked on the rows that were there before.

Rollback note: `migrate booking 0303`; nothing is lost, a validated rule stays validated.
"""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("booking", "0303_amount_of_deliveries"),
    ]

    operations = [
        ValidateConstraint(
            model_name="paymentwebhookevent", name="payment_webhook_events_amount_not_negative"
        ),
        ValidateConstraint(
            model_name="paymentwebhookevent", name="payment_webhook_events_currency_is_iso"
        ),
    ]
