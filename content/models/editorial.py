"""The verbs of a content item: its text with revisions, and its way to publication."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.exceptions import ValidationError

from ebalance.db.encryption.payloads import UNSTORABLE
from ebalance.services import (
    Clock,
    InvalidInput,
    RowOrKey,
    get_or_refuse,
    track_event,
    transactional,
)

from ..errors import NotReadyToPublish
from ..services import checklist
from .publication import Publishable

if TYPE_CHECKING:
    from identity.models import User

    from .items import ContentRevision

# What a revision keeps: its own columns, and in ``meta`` the rest of what editors write. The
# address (kind and slug) is not among it: a rollback does not move a page.
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


class Editorial(Publishable):
    """``save_revision``, ``rollback`` and review, on top of what every publication has."""

    event_name = "content"
    published_from = ("draft", "review")

    @transactional
    def save_revision(self, *, actor: User, **changes: str | None) -> ContentRevision:
        """Change the text, and keep it as a revision with the next number; the newest one is
        always the text as it stands. Answers it, the one there is when nothing has changed.

        ``changes`` names columns of ``REVISED``. A text that came by another way than this verb is
        kept first, as its author's. Locks the item, so that two editors get two numbers.

        Raises NotFound, NotPermitted, InvalidInput (an unknown name, a value that the column does
        not take), NotReadyToPublish when the item is published and the new text lacks something
        of the list before publication that the present one has.
        """
        if actor is None:
            raise InvalidInput(field="actor")
        row = self._taken(actor)
        revision = row._revised(actor, {n: cleaned(row, n, v) for n, v in changes.items()})
        self.refresh_from_db()
        return revision

    @transactional
    def rollback(
        self, revision: RowOrKey[ContentRevision] | int, *, actor: User
    ) -> ContentRevision:
        """Bring back the text of an earlier revision, named by itself, its key or its number, as a
        new one. Answers it, or the newest when that is already the text.

        Raises as save_revision does, NotFound also for a revision that the item does not have.
        """
        if actor is None:
            raise InvalidInput(field="actor")
        row = self._taken(actor)
        by_number = row.revisions.filter(revision=revision) if type(revision) is int else None
        earlier = get_or_refuse(
            row.revisions.all(), revision if by_number is None else by_number.first()
        )
        restored = row._revised(actor, text_in(earlier), restored=earlier.revision)
        self.refresh_from_db()
        return restored

    @transactional
    def submit_for_review(self, *, actor: User | None = None) -> None:
        """Ask for somebody else's eyes."""
        self._move("review", ("draft",), "submitted", actor)

    @transactional
    def return_to_draft(self, *, actor: User | None = None) -> None:
        """Give it back from review, to be written on."""
        self._move("draft", ("review",), "returned", actor)

    def publication_offences(self) -> list[str]:
        return checklist.offences(self.body_markdown, slug=self.slug)

    def event_facts(self) -> Mapping[str, Any]:
        return {"content_type": self.content_type}

    # -- how ------------------------------------------------------------------------------------

    def _revised(
        self, actor: User, text: Mapping[str, str | None], restored: int | None = None
    ) -> ContentRevision:
        """The revision that holds the locked row with ``text`` in it."""
        newest = self.revisions.order_by("-revision").first()
        before = text_of(self)
        if newest is None or before | text_in(newest) != before:
            newest = self._keep(newest, self.author_id)
        changed = [name for name, value in text.items() if value != before[name]]
        if not changed:
            return newest
        old_offences = self.publication_offences() if self.status == "published" else []
        for name in changed:
            setattr(self, name, text[name])
        if self.status == "published":
            added = [code for code in self.publication_offences() if code not in old_offences]
            if added:
                raise NotReadyToPublish(offences=added, **self._named())
        self.save(update_fields=changed)
        return self._keep(newest, actor.pk, restored)

    def _keep(
        self, newest: ContentRevision | None, editor_id: UUID, restored: int | None = None
    ) -> ContentRevision:
        """Write the locked row's text as the revision after ``newest``."""
        text = text_of(self)
        kept = self.revisions.create(
            revision=newest.revision + 1 if newest else 1,
            **{name: text[name] for name in TEXT},
            meta={name: text[name] for name in META},
            changed_by_id=editor_id,
        )
        self._tell("revised", revision=kept.revision, restored_revision=restored)
        return kept

    def _publish(self, actor: User | None, clock: Clock, **values: Any) -> None:
        super()._publish(actor, clock, **values)
        track_event(
            "admin_content_published",
            source="admin" if actor else "backend",
            properties={
                "content_type": self.content_type,
                "content_id": self.pk,
                "qa_checklist_version": checklist.VERSION,
            },
            clock=clock,
        )


def text_of(item: Editorial) -> dict[str, str | None]:
    return {name: getattr(item, name) for name in REVISED}


def text_in(revision: ContentRevision) -> dict[str, str | None]:
    """What the revision keeps; one that did not come from the verbs may know fewer columns."""
    text = {name: getattr(revision, name) for name in TEXT}
    for name, value in (revision.meta or {}).items():
        if name in META and isinstance(value, str | None):
            text[name] = value
    return text


def cleaned(item: Editorial, name: str, value: str | None) -> str | None:
    """``value`` as the column ``name`` takes it. Raises InvalidInput."""
    if name not in REVISED or not isinstance(value, str | None) or UNSTORABLE.search(value or ""):
        raise InvalidInput(field=name)
    field = item._meta.get_field(name)
    if field.null and not (value or "").strip():
        return None  # absent is NULL, see TextLine
    try:
        return field.clean(value, item)
    except ValidationError:
        raise InvalidInput(field=name) from None
