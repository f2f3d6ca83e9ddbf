from django.db import models

from ebalance.db.encryption.values import BlindToken, only_contact

from .services.requests import WaitlistSubmission


class WaitlistRequestQuerySet(WaitlistSubmission):
    def find_by_contact(
        self, *, email: str | None = None, phone: str | None = None, telegram: str | None = None
    ) -> models.QuerySet:
        """Requests to be answered at one contact, in whatever spelling; also while keys are
        rotated. Raises ContactInvalid, and TypeError unless exactly one contact is given.
        """
        try:
            channel, contact = only_contact(email=email, phone=phone, telegram=telegram)
        finally:
            del email, phone, telegram  # error reporters show local variables
        return self.filter(contact_value_bidx=BlindToken.of(channel, contact.reveal()))
