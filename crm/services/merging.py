"""``Lead.merge``: two leads that are one person become one.

Everything that points at the merged lead points at the other afterwards, whatever table it stands
in. Consents are evidence and stay where they are; then what is left of the lead stays too, inactive
and not recognised by anything. Otherwise it is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models

from audit.models import OutboxEvent
from audit.services import publish_event
from ebalance.db.contacts import ContactInvalid
from ebalance.db.encryption.fields import SealingError
from ebalance.db.encryption.values import BlindToken
from ebalance.privacy.subject import SHARED
from ebalance.services import InvalidInput, NotFound, TransitionRefused, lock_rows

from ..models import Lead, LeadIdentity
from .events import WAY
from .recognition import merged_into
from .subjects import uuid_of

EVIDENCE = "consents"  # frozen by the database


def merge(key: UUID, into_key: Any) -> Lead:
    """Merge the lead ``key`` into the other; returns that one. See ``Lead.merge``."""
    into_id = uuid_of(into_key)
    if into_id is None:
        raise NotFound(what="lead")
    if into_id == key:
        raise InvalidInput(field="into")
    for rows in _pointing_at(key, outside=True):
        lock_rows(rows)
    both = {lead.pk: lead for lead in _both_locked(key, into_id)}
    lead, into = both.get(key), both.get(into_id)
    if into is None:
        raise NotFound(what="lead")
    if (earlier := merged_into(lead, key)) is not None:
        if earlier == into_id:
            return into
        raise TransitionRefused(entity="leads", id=key, status="merged", wanted="merged")
    if lead is None:
        raise NotFound(what="lead")
    if merged_into(into, into_id) is not None:
        raise TransitionRefused(entity="leads", id=into_id, status="merged", wanted="active")
    for one in (key, into_id):
        # Erasures are repeated: whoever else became it would be erased too.
        if _was_told("lead_erased", one):
            raise TransitionRefused(entity="leads", id=one, status="erased", wanted="merged")
    _move_identities(lead, into)
    for rows in _pointing_at(key):
        rows.update(lead=into)
    _complete(into, lead)
    if _was_told(SHARED, key) and not _was_told(SHARED, into_id):
        publish_event(SHARED, into)
    publish_event("lead_merged", lead, into=into.pk)
    _take_away(lead)
    return into


def _was_told(event_type: str, key: UUID) -> bool:
    events = OutboxEvent.objects.filter(aggregate_type="leads", aggregate_id=key)
    return events.filter(event_type=event_type).exists()


def _both_locked(key: UUID, into: UUID) -> models.QuerySet[Lead]:
    """Nothing new may point at them until they are one: FOR UPDATE waits for who adds it now."""
    return Lead.objects.filter(pk__in=[key, into]).order_by("pk").select_for_update(of=("self",))


def _pointing_at(key: UUID, *, outside: bool = False) -> Iterator[models.QuerySet]:
    """What moves with the lead, by table; ``outside``: of other apps only.

    Other apps' verbs lock their rows before leads, so these are locked first here too.
    """
    for relation in Lead._meta.related_objects:
        model = relation.related_model
        is_outside = model._meta.app_label != Lead._meta.app_label
        if relation.name != EVIDENCE and model is not LeadIdentity and (is_outside or not outside):
            yield model._base_manager.filter(lead=key)


# -- identities -----------------------------------------------------------------------------------


def _move_identities(lead: Lead, into: Lead) -> None:
    """Move what ``into`` is not known by yet; the rest goes. One stays primary, if one was."""
    rows = lock_rows(LeadIdentity.objects.filter(lead__in=[lead, into]))
    kept = [row for row in rows if row.lead_id == into.pk]
    primary = next((row for row in kept if row.is_primary), None)
    for row in rows:
        if row.lead_id == into.pk:
            continue
        twin = _forget_known(row, kept)
        if primary is None and row.is_primary:
            primary = row if _names(row) else twin
        if not _names(row):
            row.delete()
            continue
        row.lead, row.is_primary = into, row is primary
        row.save(update_fields=["lead", "is_primary", *IDENTIFIERS])
        kept.append(row)
    if primary is not None and not primary.is_primary:
        primary.is_primary = True
        primary.save(update_fields=["is_primary"])


# Column to what is searched in it.
IDENTIFIERS = {
    "user": "user_id",
    "anonymous_id": "anonymous_id",
    "email_encrypted": "email_bidx",
    "phone_encrypted": "phone_bidx",
    "telegram_user_id": "telegram_user_id",
}


def _forget_known(row: LeadIdentity, others: list[LeadIdentity]) -> LeadIdentity | None:
    """Empty the columns of ``row`` that one of the others has too; returns the last of these."""
    found = None
    for column, searched in IDENTIFIERS.items():
        own = _spellings(row, column, searched)
        for other in others:
            if own & _spellings(other, column, searched):
                setattr(row, column, None)
                found = other
    return found


def _names(row: LeadIdentity) -> bool:
    return any(getattr(row, searched) is not None for searched in IDENTIFIERS.values())


def _spellings(row: LeadIdentity, column: str, searched: str) -> set[object]:
    """What the identifier is stored as; while keys are rotated, under each of them."""
    value = getattr(row, searched)
    if value is None:
        return set()
    if not isinstance(value, BlindToken):
        return {value}
    if len(settings.BLIND_INDEX_KEYS.by_id) > 1:
        try:
            return {*BlindToken.of(column.split("_")[0], getattr(row, column).open()).candidates}
        except (SealingError, ContactInvalid):
            pass  # what does not open is compared as it stands
    return {value.text}


# -- the leads ------------------------------------------------------------------------------------


def _complete(into: Lead, lead: Lead) -> None:
    """The further of both statuses, unless staff has set it aside; topic and utm where missing."""
    changes: dict[str, Any] = {}
    if (
        lead.status in WAY
        and into.status in WAY
        and WAY.index(lead.status) > WAY.index(into.status)
    ):
        changes["status"] = lead.status
    for name in ["topic_id", "utm"]:
        if getattr(into, name) is None and getattr(lead, name) is not None:
            changes[name] = getattr(lead, name)
    if changes:
        Lead.objects.filter(pk=into.pk).update(**changes)
        into.refresh_from_db()


def _take_away(lead: Lead) -> None:
    rows = Lead.objects.filter(pk=lead.pk)
    if lead.consents.exists():
        rows.update(status=Lead.Status.INACTIVE)
    else:
        rows.delete()
