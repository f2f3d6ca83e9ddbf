"""Finds leads by a contact."""

from __future__ import annotations

from django.db import models

from ebalance.db import contacts
from ebalance.db.encryption.values import BlindToken, only_contact
from ebalance.services import require_storable

from ..models import Lead, LeadIdentity


def find_leads_by_contact(
    *, email: str | None = None, phone: str | None = None, telegram: str | None = None
) -> models.QuerySet[Lead]:
    """The leads that have a contact, in any spelling, also while keys are rotated.

    A Telegram name finds nobody; only the numeric id does. Raises ContactInvalid, InvalidInput, and
    TypeError unless exactly one contact is given.
    """
    try:
        channel, contact = only_contact(email=email, phone=phone, telegram=telegram)
    finally:
        del email, phone, telegram  # error reporters show local variables
    require_storable(contact, channel)
    if channel == "telegram":
        known = LeadIdentity.objects.filter(
            telegram_user_id=contacts.normalise(channel, contact.reveal())
        )
    else:
        known = LeadIdentity.objects.filter(
            **{f"{channel}_bidx": BlindToken.of(channel, contact.reveal())}
        )
    return Lead.objects.filter(pk__in=known.values("lead"))
