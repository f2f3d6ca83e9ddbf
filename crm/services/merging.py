"""``merge_leads``: two leads of one person become one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models

from audit.services import publish_event
from ebalance.db.contacts import ContactInvalid
from ebalance.db.encryption.envelope import SealingError
from ebalance.db.encryption.values import BlindToken
from ebalance.services import (
    InvalidInput,
    NotFound,
    RowOrKey,
    lock_rows,
    pk_of,
    require_permission,
    transactional,
    uuid_or_none,
)
from identity.models import User

from ..errors import LeadNotMergeable
from ..models import FUNNEL_STAGES, Lead, LeadIdentity
from .history import LEAD_ERASED, LEAD_SHARED, has_event

CONSENTS = "consents"
"""Rows that stay with the merged lead: they are evidence, and the database keeps them unchanged."""


@transactional
def merge_leads(lead: RowOrKey[Lead], *, into: RowOrKey[Lead], actor: User | None = None) -> Lead:
    """Merge ``lead`` into ``into``, a lead of the same person; returns ``into``. Repeatable.

    Identities, timeline, notes, links, appointments and waitlist requests move. ``into`` takes the
    later stage of the funnel, and the topic and utm that it does not have. The merged lead keeps
    its consents and its row, which is inactive and refers to ``into``. Analytics keep their lead.

    Raises InvalidInput for a lead and itself, NotFound for an unknown lead, NotPermitted for an
    actor who may not change leads, LeadNotMergeable when either lead was merged into a third one,
    or erased.
    """
    require_permission(actor, "crm.change_lead")
    key, into_key = (uuid_or_none(pk_of(given)) for given in (lead, into))
    if key is None or into_key is None:
        raise NotFound(what="lead")
    if key == into_key:
        raise InvalidInput(field="into")
    for rows in _rows_of_lead(key, other_apps_only=True):
        lock_rows(rows)
    locked = _lock_both(key, into_key)
    merged, target = locked.get(key), locked.get(into_key)
    if merged is None or target is None:
        raise NotFound(what="lead")
    if merged.merged_into_id != into_key:
        _require_mergeable(merged)
        _require_mergeable(target)
        _merge(merged, target)
    for given in (lead, into):
        if isinstance(given, Lead):
            given.refresh_from_db()
    return target


def _merge(lead: Lead, into: Lead) -> None:
    _move_identities(lead, into)
    _complete(into, lead)
    if has_event(LEAD_SHARED, lead) and not has_event(LEAD_SHARED, into):
        publish_event(LEAD_SHARED, into)
    lead.status, lead.merged_into = Lead.Status.INACTIVE, into
    lead.save(update_fields=["status", "merged_into"])
    # A paid session follows only a lead that is merged already.
    for rows in _rows_of_lead(lead.pk):
        rows.update(lead=into)
    publish_event("lead_merged", lead, into=into.pk)


def _require_mergeable(lead: Lead) -> None:
    """Raises LeadNotMergeable for a lead that was merged or erased.

    A repeated erasure would erase the other lead too.
    """
    for is_closed, status in (
        (lead.merged_into_id is not None, "merged"),
        (has_event(LEAD_ERASED, lead), "erased"),
    ):
        if is_closed:
            raise LeadNotMergeable(entity="leads", id=lead.pk, status=status, wanted="merged")


def _lock_both(key: UUID, into: UUID) -> dict[UUID, Lead]:
    """FOR UPDATE: inserts that refer to either lead wait until the merge ends."""
    rows = Lead.objects.filter(pk__in=[key, into]).order_by("pk").select_for_update(of=("self",))
    return {row.pk: row for row in rows}


def _rows_of_lead(key: UUID, *, other_apps_only: bool = False) -> Iterator[models.QuerySet]:
    """The rows that move with the lead, table by table.

    Services of other apps lock their rows before leads, so ``merge_leads`` does the same.
    """
    for relation in Lead._meta.related_objects:
        model = relation.related_model
        if relation.name == CONSENTS or model in (Lead, LeadIdentity):
            continue
        if not other_apps_only or model._meta.app_label != Lead._meta.app_label:
            yield model._base_manager.filter(lead=key)


# -- identities -----------------------------------------------------------------------------------


# Each column and the column that it is searched by.
IDENTIFIERS = {
    "user": "user_id",
    "anonymous_id": "anonymous_id",
    "email_encrypted": "email_bidx",
    "phone_encrypted": "phone_bidx",
    "telegram_user_id": "telegram_user_id",
}


def _move_identities(lead: Lead, into: Lead) -> None:
    """Move the identifiers that ``into`` does not have; delete the others.

    One identity stays primary, if one was.
    """
    rows = lock_rows(LeadIdentity.objects.filter(lead__in=[lead, into]))
    kept = [row for row in rows if row.lead_id == into.pk]
    primary = next((row for row in kept if row.is_primary), None)
    for row in rows:
        if row.lead_id == into.pk:
            continue
        same = _empty_known(row, kept)
        if primary is None and row.is_primary:
            primary = row if _has_identifier(row) else same
        if not _has_identifier(row):
            row.delete()
            continue
        row.lead, row.is_primary = into, row is primary
        row.save(update_fields=["lead", "is_primary", *IDENTIFIERS])
        kept.append(row)
    if primary is not None and not primary.is_primary:
        primary.is_primary = True
        primary.save(update_fields=["is_primary"])


def _empty_known(row: LeadIdentity, others: list[LeadIdentity]) -> LeadIdentity | None:
    """Empty the columns of ``row`` whose value another identity has; returns the last of these."""
    same = None
    for column, finder in IDENTIFIERS.items():
        own = _stored_forms(row, column, finder)
        for other in others:
            if own & _stored_forms(other, column, finder):
                setattr(row, column, None)
                same = other
    return same


def _has_identifier(row: LeadIdentity) -> bool:
    return any(getattr(row, finder) is not None for finder in IDENTIFIERS.values())


def _stored_forms(row: LeadIdentity, column: str, finder: str) -> set[object]:
    """The stored form of the identifier; during a rotation of keys, its form under each key."""
    value = getattr(row, finder)
    if value is None:
        return set()
    if not isinstance(value, BlindToken):
        return {value}
    if len(settings.BLIND_INDEX_KEYS.by_id) > 1:
        try:
            return {*BlindToken.of(column.split("_")[0], getattr(row, column).open()).candidates}
        except (SealingError, ContactInvalid):
            pass  # a value that cannot be decrypted is compared as it is
    return {value.text}


def _complete(into: Lead, lead: Lead) -> None:
    """Take the later stage, unless staff set one of the statuses; topic and utm if missing."""
    changes: dict[str, Any] = {}
    if {lead.status, into.status} <= set(FUNNEL_STAGES):
        later = max(lead.status, into.status, key=FUNNEL_STAGES.index)
        if later != into.status:
            changes["status"] = later
    for name in ["topic_id", "utm"]:
        if getattr(into, name) is None and getattr(lead, name) is not None:
            changes[name] = getattr(lead, name)
    if changes:
        Lead.objects.filter(pk=into.pk).update(**changes)
        into.refresh_from_db()
