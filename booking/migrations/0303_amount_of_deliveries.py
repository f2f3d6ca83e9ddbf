"""What the provider said was paid, so that a delivery can be judged again later.

Rollback note: `migrate booking 0302` drops both columns; lost is the amount of deliveries that are not processed yet, which then wait for the provider to repeat them.
"""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("booking", "0302_forms_are_resealed"),
    ]

    operations = [
        migrations.AddField(
            model_name="paymentwebhookevent",
            name="amount",
            field=models.DecimalField(
                blank=True,
                db_comment="P0 · amount told, roubles",
                decimal_places=2,
                max_digits=12,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="paymentwebhookevent",
            name="currency",
            field=models.TextField(
                blank=True, db_comment="P0 · currency told, ISO 4217", null=True
            ),
        ),
        AddConstraintNotValid(
            model_name="paymentwebhookevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount__isnull", True),
                    models.Q(("amount__gte", 0), ("amount__lt", 10000000000)),
                    _connector="OR",
                ),
                name="payment_webhook_events_amount_not_negative",
            ),
        ),
        AddConstraintNotValid(
            model_name="paymentwebhookevent",
            constraint=models.CheckConstraint(
                condition=models.Q(("currency__regex", "^[A-Z]{3}$")),
                name="payment_webhook_events_currency_is_iso",
            ),
        ),
    ]
