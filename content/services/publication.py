"""Publication of content, collections, terms, services and interactives (states.md).

The functions serve every ``Publishable`` model. Each locks the row, changes its status, and
publishes ``<event_name>_published`` and so on to the outbox. A row that already has the new status
does not change: nothing is checked and nothing is written.

All raise NotFound; NotPermitted if ``actor`` may not change such rows (None is the system);
TransitionRefused for a transition that states.md does not list.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.utils import timezone

from audit.services import publish_event
from ebalance.services import (
    Clock,
    RowOrKey,
    TransitionRefused,
    lock_or_refuse,
    refresh,
    require_change,
    track_event,
    transactional,
)
from identity.models import User

from .. import checklist
from ..models import ContentItem
from ..models.publication import Publishable


@transactional
def publish(row: Publishable, *, actor: User | None = None, clock: Clock = timezone.now) -> None:
    """Show the row to visitors. Its first publication sets ``published_at``; later ones keep it.

    Raises NotReadyToPublish, or the subclass that the model names, with the codes of the unmet
    conditions.
    """
    locked = lock_to_change(type(row), row, actor)
    if needs_transition(locked, "published", locked.published_from):
        if offences := locked.publication_offences():
            raise locked.not_ready_error(offences=offences, **entity_details(locked))
        write_publication(locked, actor, clock)
    refresh(row, locked)


@transactional
def unpublish(row: Publishable, *, actor: User | None = None) -> None:
    """Make a published row a draft again."""
    change_status(type(row), row, "draft", ("published",), "unpublished", actor)


@transactional
def archive(row: Publishable, *, actor: User | None = None) -> None:
    """Keep the row, and stop showing it."""
    change_status(type(row), row, "archived", ("published",), "archived", actor)


@transactional
def restore(row: Publishable, *, actor: User | None = None) -> None:
    """Make an archived row a draft again."""
    change_status(type(row), row, "draft", ("archived",), "restored", actor)


@transactional
def submit_for_review(item: RowOrKey[ContentItem], *, actor: User | None = None) -> None:
    change_status(ContentItem, item, "review", ("draft",), "submitted", actor)


@transactional
def return_to_draft(item: RowOrKey[ContentItem], *, actor: User | None = None) -> None:
    """Return an item from review to its author."""
    change_status(ContentItem, item, "draft", ("review",), "returned", actor)


# -- steps -----------------------------------------------------------------------------------------


def lock_to_change[Row: Publishable](
    model: type[Row], row_or_key: RowOrKey[Row], actor: User | None
) -> Row:
    """Read the row again and lock it. Raises NotPermitted, NotFound."""
    require_change(actor, model)
    return lock_or_refuse(model._base_manager.all(), row_or_key)


def needs_transition(locked: Publishable, status: str, sources: Collection[str]) -> bool:
    """False if the row already has ``status``. Raises TransitionRefused for any other source."""
    if locked.status == status:
        return False
    if locked.status not in sources:
        raise TransitionRefused(**entity_details(locked), status=locked.status, wanted=status)
    return True


def change_status[Row: Publishable](
    model: type[Row],
    row: RowOrKey[Row],
    status: str,
    sources: Collection[str],
    event: str,
    actor: User | None,
) -> None:
    locked = lock_to_change(model, row, actor)
    if needs_transition(locked, status, sources):
        locked.status = status
        locked.save(update_fields=["status"])
        publish_row_event(locked, event)
    refresh(row, locked)


def write_publication(locked: Publishable, actor: User | None, clock: Clock, **values: Any) -> None:
    """Write the status and the date of the publication, and ``values`` of other columns."""
    values["status"] = "published"
    if hasattr(locked, "published_at"):
        values["published_at"] = locked.published_at or clock()
    for name, value in values.items():
        setattr(locked, name, value)
    locked.save(update_fields=[*values])
    publish_row_event(locked, "published")
    if isinstance(locked, ContentItem):
        track_event(
            "admin_content_published",
            source="admin" if actor else "backend",
            properties={
                "content_type": locked.content_type,
                "content_id": locked.pk,
                "qa_checklist_version": checklist.VERSION,
            },
            clock=clock,
        )


def publish_row_event(row: Publishable, event: str, **payload: object) -> None:
    publish_event(f"{row.event_name}_{event}", row, **row.event_facts(), **payload)


def entity_details(row: Publishable) -> dict[str, str]:
    """The details of a refusal that identify the row."""
    return {"entity": row._meta.db_table, "id": str(row.pk)}
