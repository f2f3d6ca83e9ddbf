from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.apps import apps
from django.db import models
from django.utils import timezone

from ebalance.db import contacts
from ebalance.db.encryption.values import BlindToken, Plaintext, only_contact
from ebalance.db.ids import uuid7
from ebalance.db.querysets import EntityQuerySet
from ebalance.services import Clock, RowOrKey, transactional

if TYPE_CHECKING:
    from .models import Lead


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

    @transactional
    def record_event(
        self,
        event_name: str,
        *,
        source: str = "backend",
        event_id: UUID | str | None = None,
        occurred_at: datetime | None = None,
        lead: RowOrKey | None = None,
        user: RowOrKey | None = None,
        anonymous_id: str | None = None,
        contact: Mapping[str, Plaintext] | None = None,
        properties: Mapping[str, object] = {},
        page: Mapping[str, object] = {},
        acquisition: Mapping[str, object] = {},
        session_id: UUID | str | None = None,
        deep_link_id: str | None = None,
        topic: Any = None,
        utm: Mapping[str, str] | None = None,
        clock: Clock = timezone.now,
    ) -> Lead | None:
        """Write an event of the tracking plan: into analytics and, of a lead, into its timeline.

        Whose lead it is: the one given; else the user's, else that of a contact, else that of the
        browser or bot ``anonymous_id``; of several the oldest. A registered person is known by
        contacts of the account, not by what is typed; and by a browser alone, whoever says who
        they are is only the lead of which nobody has said that. The first contact of a person makes
        a lead (states.md), later events add what the lead is not known by yet (to that of a
        registered person only theirs) and move its status forward only. ``contact`` is by channel:
        email, phone, telegram. ``deep_link_id`` and None among the values are left out where they
        do not fit. An event with the ``event_id`` of an earlier one is that event: nothing is
        written. Returns the lead, if there is one.

        Raises EventRefused for what the plan does not allow, IdempotencyConflict for an event_id of
        another event or lead, NotFound for an unknown lead, user or topic, InvalidInput.
        """
        from .services.events import taken
        from .services.recognition import Search
        from .services.recording import Recorder

        event = taken(
            event_name,
            source=source,
            event_id=uuid7() if event_id is None else event_id,
            occurred_at=occurred_at,
            properties=properties,
            page=page,
            acquisition=acquisition,
            session_id=session_id,
            deep_link_id=deep_link_id,
            topic=topic,
            utm=utm,
        )
        whose = Search(lead, user=user, contact=contact, anonymous_id=anonymous_id)
        return Recorder(event, whose, clock=clock).record()
