"""What questions and reviews share: a text that moderators decide on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.apps import apps
from django.db import models
from django.utils import timezone

from audit.services import publish_event
from crm.services import record_event
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.fields import Entity
from ebalance.services import Clock, TransitionRefused, lock_or_refuse, transactional

from .inputs import check_text, is_same_text, permitted

MODERATORS = ("owner", "assistant")
LARGEST = 10**9  # the tracking plan's int; as milliseconds 11.5 days


class Moderated(Entity):
    """A text of a client. Its verbs write a ModerationAction for what a moderator does."""

    ugc_type: ClassVar[str]  # of ModerationAction and of the tracking plan
    event_prefix: ClassVar[str]  # of the outbox events
    text_column: ClassVar[str]
    maskable: ClassVar[frozenset[str]]  # statuses in which the text may still be masked

    class Meta:
        abstract = True

    @transactional
    def mask_pii(self, text: Plaintext, *, actor: Any, clock: Clock = timezone.now) -> None:
        """Replace the text by one without personal data; the status stays.

        Raises NotPermitted, TextBlank, TextTooLong, TransitionRefused once it is decided on for
        good (``maskable``), or emptied because its author was erased.
        """
        permitted(actor, *MODERATORS)
        check_text(text)
        with self._under_lock() as row:
            is_emptied = is_same_text(getattr(row, row.text_column), Plaintext(""))
            if row.status not in row.maskable or is_emptied:
                raise row._refusal("masked")
            if is_same_text(getattr(row, row.text_column), text):
                return
            setattr(row, row.text_column, text)
            row.save(update_fields=[row.text_column])
            row._note("mask_pii", actor, clock())
            row._publish("pii_masked")

    # -- for the verbs --------------------------------------------------------------------------

    @contextmanager
    def _under_lock(self) -> Iterator[Self]:
        """The row as it is now, locked. What becomes of it is read back into ``self``.

        Raises NotFound.
        """
        yield lock_or_refuse(type(self)._default_manager.all(), self.pk)
        self.refresh_from_db()

    def _refusal(self, wanted: str) -> TransitionRefused:
        return TransitionRefused(
            entity=self._meta.db_table, id=self.pk, status=self.status, wanted=wanted
        )

    @property
    def _actions(self) -> models.QuerySet:
        actions = apps.get_model("ugc.ModerationAction").objects
        return actions.filter(ugc_type=self.ugc_type, ugc_id=self.pk)

    def _last_action(self, *kinds: str) -> Any:
        """The latest moderation action of these kinds, or None."""
        return self._actions.filter(action__in=kinds).order_by("created_at", "pk").last()

    def _note(self, action: str, actor: Any, now: datetime, reason: str | None = None) -> None:
        self._actions.model.objects.create(
            ugc_type=self.ugc_type,
            ugc_id=self.pk,
            moderator=actor,
            action=action,
            reason_category=reason,
            created_at=now,
        )

    def _publish(self, what: str, **payload: object) -> None:
        publish_event(f"{self.event_prefix}_{what}", self, **payload)

    def _track(
        self, event_name: str, actor: Any, now: datetime, clock: Clock, **properties: object
    ) -> None:
        """About the text, not about a person: neither author nor moderator is its subject."""
        record_event(
            event_name,
            source="admin" if actor else "backend",
            occurred_at=now,
            properties={"ugc_id": self.pk, **properties},
            clock=clock,
        )

    def _track_decision(
        self,
        status: str,
        actor: Any,
        now: datetime,
        clock: Clock,
        reason: str | None = None,
        has_crisis_trigger: bool | None = None,
    ) -> None:
        self._track(
            "ugc_moderated",
            actor,
            now,
            clock,
            ugc_type=self.ugc_type,
            moderation_status=status,
            moderator_role=permitted(actor, *MODERATORS),
            duration_ms=since(self.submitted_at, now, milliseconds=1),
            rejection_reason=reason,
            has_crisis_trigger=has_crisis_trigger,
        )


def since(then: datetime | None, now: datetime, **unit: int) -> int:
    """Whole units from ``then`` to ``now``, from 0 to 10^9 as the tracking plan has it."""
    if then is None:
        return 0
    return min(max((now - then) // timedelta(**unit), 0), LARGEST)
