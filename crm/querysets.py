from django.apps import apps
from django.db import models

from ebalance.db import contacts
from ebalance.db.querysets import EntityQuerySet
from ebalance.db.values import BlindToken, only_contact


class LeadQuerySet(EntityQuerySet):
    def find_by_contact(
        self, *, email: str | None = None, phone: str | None = None, telegram: str | None = None
    ) -> models.QuerySet:
        """Leads known by one contact, in whatever spelling; also while keys are rotated.

        Nobody is known by a Telegram name, only by its numeric id. Raises ContactInvalid, and
        TypeError unless exactly one contact is given.
        """
        try:
            channel, contact = only_contact(email=email, phone=phone, telegram=telegram)
        finally:
            del email, phone, telegram  # error reporters show local variables
        if channel == "telegram":
            known = {"telegram_user_id": contacts.normalise(channel, contact.reveal())}
        else:
            known = {f"{channel}_bidx": BlindToken.of(channel, contact.reveal())}
        identities = apps.get_model("crm.LeadIdentity").objects.filter(**known)
        return self.filter(pk__in=identities.values("lead"))
