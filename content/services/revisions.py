"""The text of content items, and its revisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models

from ebalance.services import (
    InvalidInput,
    NotFound,
    RowOrKey,
    get_or_refuse,
    refresh,
    transactional,
)
from identity.models import User

from ..errors import NotReadyToPublish
from ..models import ContentItem, ContentRevision
from .publication import entity_details, lock_to_change, publish_row_event

# A revision stores these columns: TEXT in columns of the same name, META in ``meta``. The address
# (kind and slug) is not part of it, so a rollback does not move a page.
TEXT = ("title", "excerpt", "body_markdown")
META = (
    "time_to_benefit",
    "format",
    "support_level",
    "seo_title",
    "seo_description",
    "seo_keywords",
    "canonical_url",
)
REVISED = (*TEXT, *META)

type Text = dict[str, str | None]


@transactional
def save_revision(
    item: RowOrKey[ContentItem], /, *, actor: User, **changes: str | None
) -> ContentRevision:
    """Change the text of the item and store it as the revision with the next number.

    ``changes`` names columns of ``REVISED``. Returns the new revision, or the newest one if
    nothing changed. A text that another writer stored without a revision is saved first, as a
    revision of the item's author. Locks the item, so that two editors get two numbers.

    Raises NotFound, NotPermitted, InvalidInput (an unknown name, a value that the column refuses),
    and NotReadyToPublish if the item is published and the new text breaks a rule of the checklist
    that the current text follows.
    """
    if actor is None:
        raise InvalidInput(field="actor")
    row = lock_to_change(ContentItem, item, actor)
    revision = revise(row, actor, {n: clean_value(row, n, v) for n, v in changes.items()})
    refresh(item, row)
    return revision


@transactional
def rollback(
    item: RowOrKey[ContentItem], *, revision: RowOrKey[ContentRevision] | int, actor: User
) -> ContentRevision:
    """Store the text of an earlier revision again, as a new revision.

    ``revision`` is a row, a key or a number. Returns the new revision, or the newest one if the
    item already has this text.

    Raises what ``save_revision`` raises, and NotFound if the item has no such revision.
    """
    if actor is None:
        raise InvalidInput(field="actor")
    row = lock_to_change(ContentItem, item, actor)
    earlier = get_revision(row, revision)
    restored = revise(row, actor, text_of_revision(earlier), restored=earlier.revision)
    refresh(item, row)
    return restored


# -- steps -----------------------------------------------------------------------------------------


def revise(
    locked: ContentItem, actor: User, text: Mapping[str, str | None], restored: int | None = None
) -> ContentRevision:
    """Write ``text`` into the locked item. Returns the revision that holds its text then."""
    newest = locked.revisions.order_by("-revision").first()
    before = text_of_item(locked)
    if newest is None or before | text_of_revision(newest) != before:
        newest = add_revision(locked, newest, locked.author_id)
    changed = [name for name, value in text.items() if value != before[name]]
    if not changed:
        return newest
    old_offences = locked.publication_offences() if locked.status == "published" else []
    for name in changed:
        setattr(locked, name, text[name])
    if locked.status == "published":
        added = [code for code in locked.publication_offences() if code not in old_offences]
        if added:
            raise NotReadyToPublish(offences=added, **entity_details(locked))
    locked.save(update_fields=changed)
    return add_revision(locked, newest, actor.pk, restored)


def add_revision(
    locked: ContentItem,
    newest: ContentRevision | None,
    editor_id: UUID,
    restored: int | None = None,
) -> ContentRevision:
    """Store the text of the locked item as the revision after ``newest``."""
    text = text_of_item(locked)
    columns: dict[str, Any] = {name: text[name] for name in TEXT}
    added = locked.revisions.create(
        revision=newest.revision + 1 if newest else 1,
        **columns,
        meta={name: text[name] for name in META},
        changed_by_id=editor_id,
    )
    publish_row_event(locked, "revised", revision=added.revision, restored_revision=restored)
    return added


def get_revision(item: ContentItem, revision: RowOrKey[ContentRevision] | int) -> ContentRevision:
    """Raises NotFound."""
    if type(revision) is not int:
        return get_or_refuse(item.revisions.all(), cast("RowOrKey[ContentRevision]", revision))
    numbered = item.revisions.filter(revision=revision).first()
    if numbered is None:
        raise NotFound(what=ContentRevision._meta.model_name)
    return numbered


def text_of_item(item: ContentItem) -> Text:
    return {name: getattr(item, name) for name in REVISED}


def text_of_revision(revision: ContentRevision) -> Text:
    """The text that the revision holds. One that no service wrote may lack columns of META."""
    text: Text = {name: getattr(revision, name) for name in TEXT}
    for name, value in (revision.meta or {}).items():
        if name in META and isinstance(value, str | None):
            text[name] = value
    return text


def clean_value(item: ContentItem, name: str, value: str | None) -> str | None:
    """``value`` as the column ``name`` stores it. Raises InvalidInput."""
    if name not in REVISED or not isinstance(value, str | None):
        raise InvalidInput(field=name)
    field = cast("models.Field[Any, Any]", item._meta.get_field(name))
    if field.null and not (value or "").strip():
        return None  # an absent value is NULL, see SingleLineTextField
    try:
        return field.clean(value, item)
    except ValidationError:
        raise InvalidInput(field=name) from None
