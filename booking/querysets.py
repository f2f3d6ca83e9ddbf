from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models.functions import Coalesce

from ebalance.db.encryption.values import BlindToken, only_contact
from ebalance.db.querysets import EntityQuerySet


class WaitlistRequestQuerySet(EntityQuerySet):
    def find_by_contact(
        self, *, email: str | None = None, phone: str | None = None, telegram: str | None = None
    ) -> models.QuerySet:
        """Requests with one contact, in any spelling. Also works while keys are rotated.

        Raises ContactInvalid, and TypeError unless exactly one contact is given.
        """
        try:
            channel, contact = only_contact(email=email, phone=phone, telegram=telegram)
        finally:
            del email, phone, telegram  # error reporters show local variables
        return self.filter(contact_value_bidx=BlindToken.of(channel, contact.reveal()))


class PaymentQuerySet(EntityQuerySet):
    def with_balance(self) -> models.QuerySet:
        """Each payment with ``balance``: its amount less its refunds that are not failed."""
        given_back = models.Sum("refunds__amount", filter=~models.Q(refunds__status="failed"))
        return self.annotate(balance=models.F("amount") - Coalesce(given_back, 0))


class WebhookEventQuerySet(EntityQuerySet):
    def waiting(self) -> list[UUID]:
        """Keys of the events that are not processed, the oldest first."""
        rows = self.filter(processed_at=None).order_by("received_at", "pk")
        return list(rows.values_list("pk", flat=True))

    def due(self, now: datetime) -> list[UUID]:
        """Keys of the events to try now, the oldest first."""
        return self.filter(next_attempt_at__lte=now).waiting()
