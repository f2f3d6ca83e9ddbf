"""How questions, reviews and diary entries come to be.

The caller may give a new row's key (``id``): a repeat with it and the same content is the same
request and answers with the first row, other content is an IdempotencyConflict.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models
from django.utils import timezone

from crm.services import record_event
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.db.encryption.payloads import PayloadInvalid
from ebalance.db.querysets import EntityQuerySet
from ebalance.services import Clock, InvalidInput, RowOrKey, transactional

from .errors import PayloadUnusable
from .services.inputs import (
    author,
    check_text,
    conflict,
    contact_of,
    insert_once,
    is_same_text,
    key,
    one_of,
    some_of,
    yes_or_no,
)
from .services.questions import TriggerFlag
from .services.reviews import version_of


def people() -> models.QuerySet:
    return apps.get_model("identity.User").objects.all()


class QuestionQuerySet(EntityQuerySet):
    @transactional
    def submit(
        self,
        *,
        text: Plaintext,
        channel: str = "web",
        user: RowOrKey | None = None,
        contact: Mapping[str, Plaintext] | None = None,
        trigger_flags: Collection[str] = (),
        publish_allowed: bool = False,
        safety_confirmed: bool = False,
        id: UUID | str | None = None,
        anonymous_id: str | None = None,
        deep_link_id: str | None = None,
        clock: Clock = timezone.now,
    ) -> Any:
        """A new question: flagged when the automatic filter saw something, else pending.

        ``contact`` is one: ``{"email": Plaintext(…)}``, ``phone`` or ``telegram``. A first contact:
        creates the lead of whoever is known by user, contact or ``anonymous_id``.
        Raises TextBlank, TextTooLong, ContactUnusable, InvalidInput, NotFound, AuthorUnavailable,
        IdempotencyConflict, EventRefused.
        """
        check_text(text)
        value = contact_of(contact)
        one_of(channel, self.model.Channel, "channel")
        flags = some_of(trigger_flags, TriggerFlag, "trigger_flags")
        person = author(people(), user)
        question = self.model(
            id=key(id),
            user=person,
            channel=channel,
            status="flagged" if flags else "pending",
            trigger_flags=flags,
            question_text_encrypted=text,
            contact_value_encrypted=value,
            publish_allowed=yes_or_no(publish_allowed, "publish_allowed"),
            safety_confirmed=yes_or_no(safety_confirmed, "safety_confirmed"),
            submitted_at=clock(),
        )
        row, is_new = insert_once(question)
        if not is_new:
            if not is_same_question(row, question, text, value):
                raise conflict(row)
            return row
        told = {"crisis": row.has_crisis_flag, "due_at": row.due_at}
        row._publish("submitted", channel=channel, has_contact=value is not None, **told)
        if flags:
            row._publish("flagged", **told)
        record_event(
            "question_submitted",
            source=channel,
            occurred_at=row.submitted_at,
            user=person,
            anonymous_id=anonymous_id,
            contact=contact,
            deep_link_id=deep_link_id,
            properties={"channel": channel, "has_contact": value is not None},
            clock=clock,
        )
        return row

    submit.alters_data = True  # type: ignore[attr-defined]


def is_same_question(earlier: Any, new: Any, text: Plaintext, contact: Plaintext | None) -> bool:
    """Flags are left out, as they grow; so is a text that a moderator has masked since."""
    same = ("user_id", "channel", "publish_allowed", "safety_confirmed")
    return (
        all(getattr(earlier, name) == getattr(new, name) for name in same)
        and is_same_text(earlier.contact_value_encrypted, contact)
        and has_same_text(earlier, text)
    )


def has_same_text(earlier: Any, text: Plaintext) -> bool:
    if earlier._last_action("mask_pii") is not None:
        return True
    return is_same_text(getattr(earlier, earlier.text_column), text)


class ReviewQuerySet(EntityQuerySet):
    @transactional
    def draft(
        self,
        *,
        text: Plaintext,
        user: RowOrKey | None = None,
        anonymity_level: str = "full",
        id: UUID | str | None = None,
    ) -> Any:
        """A review that its author has not sent yet: ``review.submit()`` does.

        Raises TextBlank, TextTooLong, InvalidInput, NotFound, AuthorUnavailable,
        IdempotencyConflict.
        """
        row, is_new = self._written(text, user, anonymity_level, id)
        if is_new:
            row._publish("drafted")
        return row

    draft.alters_data = True  # type: ignore[attr-defined]

    @transactional
    def submit(
        self,
        *,
        text: Plaintext,
        user: RowOrKey | None = None,
        anonymity_level: str = "full",
        consent_version: str | None = None,
        id: UUID | str | None = None,
        clock: Clock = timezone.now,
    ) -> Any:
        """A review that awaits moderation, with the consent to publish it where a version is given.

        Raises what ``draft`` does; the key of a draft is a conflict too: ``review.submit()`` sends
        that.
        """
        if consent_version is not None:
            version_of(consent_version)
        row, is_new = self._written(text, user, anonymity_level, id, clock)
        if is_new:
            row._publish("submitted")
            if consent_version is not None:
                row.grant_publication(version=consent_version, clock=clock)
        elif row.status == "draft" or not was_granted(row, consent_version):
            raise conflict(row)
        return row

    submit.alters_data = True  # type: ignore[attr-defined]

    def _written(
        self,
        text: Plaintext,
        user: RowOrKey | None,
        anonymity_level: str,
        id: UUID | str | None,
        clock: Clock | None = None,
    ) -> tuple[Any, bool]:
        """The review, a draft unless a clock says when it is sent; and whether it is new."""
        check_text(text)
        review = self.model(
            id=key(id),
            user=author(people(), user),
            status="pending" if clock else "draft",
            review_text_encrypted=text,
            anonymity_level=one_of(anonymity_level, self.model.Anonymity, "anonymity_level"),
            submitted_at=clock() if clock else None,
        )
        row, is_new = insert_once(review)
        same = (row.user_id, row.anonymity_level) == (review.user_id, review.anonymity_level)
        if not (is_new or (same and has_same_text(row, text))):
            raise conflict(row)
        return row, is_new


def was_granted(review: Any, version: str | None) -> bool:
    """Whether this consent came with the review; it may have been withdrawn since."""
    given = review.publication_consents.filter(granted=True)
    return version is None or given.filter(version=version).exists()


class DiaryQuerySet(EntityQuerySet):
    @transactional
    def write(
        self,
        *,
        user: RowOrKey,
        diary_type: str,
        entry_date: date,
        payload: Plaintext,
        id: UUID | str | None = None,
        clock: Clock = timezone.now,
    ) -> Any:
        """A new entry; its author's alone.

        No event says whose it is: staff see timelines and the outbox, and nobody in admin sees
        even the existence of a diary (access.md §1). Raises PayloadUnusable, InvalidInput,
        NotFound, AuthorUnavailable, IdempotencyConflict.
        """
        one_of(diary_type, self.model.Type, "diary_type")
        if not isinstance(entry_date, date) or isinstance(entry_date, datetime):
            raise InvalidInput(field="entry_date")
        if user is None:
            raise InvalidInput(field="user")
        entry = self.model(
            id=key(id), user=author(people(), user), diary_type=diary_type, entry_date=entry_date
        )
        seal_payload(entry, payload)
        row, is_new = insert_once(entry)
        if is_new:
            row._tell("created", clock)
        elif not is_same_entry(row, entry, payload):
            raise conflict(row)
        return row

    write.alters_data = True  # type: ignore[attr-defined]


def seal_payload(entry: Any, payload: Plaintext) -> None:
    if not isinstance(payload, Plaintext):
        del payload
        raise UnsealedValue("payload takes Plaintext.")
    try:
        entry.payload_encrypted = payload
    except PayloadInvalid as error:
        place, rule = error.place, error.rule
    else:
        return
    raise PayloadUnusable(field="payload", place=place, rule=rule)


def is_same_entry(earlier: Any, new: Any, payload: Plaintext) -> bool:
    """An entry that was erased since had nothing left to compare."""
    same = ("user_id", "diary_type", "entry_date")
    return all(getattr(earlier, name) == getattr(new, name) for name in same) and (
        earlier.deleted_at is not None or is_same_text(earlier.payload_encrypted, payload)
    )
