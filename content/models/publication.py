"""What published things have in common: drafted, published, archived, each by its verb."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.services import publish_event
from ebalance.db import rules
from ebalance.services import Clock, NotPermitted, TransitionRefused, lock_or_refuse, transactional

from ..errors import NotReadyToPublish

if TYPE_CHECKING:
    from identity.models import User


def published_has_date(table: str) -> rules.Check:
    return rules.required_when(
        f"{table}_published_has_date",
        "published_at",
        Q(status="published"),
        _("What is published has a publication date."),
    )


class Publishable:
    """The verbs of a model with the states draft, published and archived (states.md).

    Each locks the row, moves it, and publishes ``<event_name>_published`` and so on to the outbox.
    A row that is already where the verb leads stays as it is: nothing is written, nothing checked.

    All raise NotFound; NotPermitted when ``actor`` may not change such rows (None is the system);
    TransitionRefused from a state that states.md does not name.
    """

    event_name: ClassVar[str]  # what outbox events call such a row: glossary_term
    published_from: ClassVar[Collection[str]] = ("draft",)

    @transactional
    def publish(self, *, actor: User | None = None, clock: Clock = timezone.now) -> None:
        """Show it to people. Its first publication gives it its date, which it then keeps.

        Raises NotReadyToPublish, naming what is missing.
        """
        row = self._taken(actor)
        if row._moves_to("published", self.published_from):
            if offences := row.publication_offences():
                raise NotReadyToPublish(offences=offences, **row._named())
            row._publish(actor, clock)
        self.refresh_from_db()

    @transactional
    def unpublish(self, *, actor: User | None = None) -> None:
        """Take it back to be written on."""
        self._move("draft", ("published",), "unpublished", actor)

    @transactional
    def archive(self, *, actor: User | None = None) -> None:
        """Take it out of sight, and keep it."""
        self._move("archived", ("published",), "archived", actor)

    @transactional
    def restore(self, *, actor: User | None = None) -> None:
        """Bring it back from the archive, as a draft."""
        self._move("draft", ("archived",), "restored", actor)

    def publication_offences(self) -> list[str]:
        """What keeps this row from being published: codes, nothing when it is ready."""
        return []

    def event_facts(self) -> Mapping[str, Any]:
        """What every outbox event about the row tells besides its key; P0."""
        return {}

    # -- how ------------------------------------------------------------------------------------

    def _taken(self, actor: User | None) -> Self:
        """The row as it is now, locked, for an actor who may change it."""
        must_be_allowed(actor, type(self))
        return lock_or_refuse(type(self)._base_manager.all(), self.pk)

    def _move(self, status: str, sources: Collection[str], what: str, actor: User | None) -> None:
        row = self._taken(actor)
        if row._moves_to(status, sources):
            row.status = status
            row.save(update_fields=["status"])
            row._tell(what)
        self.refresh_from_db()

    def _moves_to(self, status: str, sources: Collection[str]) -> bool:
        """Whether the locked row goes to ``status``; False when it is there already."""
        if self.status == status:
            return False
        if self.status not in sources:
            raise TransitionRefused(**self._named(), status=self.status, wanted=status)
        return True

    def _publish(self, actor: User | None, clock: Clock, **values: Any) -> None:
        """Write the publication of the locked row, ``values`` of other columns with it."""
        values["status"] = "published"
        if any(f.name == "published_at" for f in self._meta.concrete_fields):
            values["published_at"] = self.published_at or clock()
        for name, value in values.items():
            setattr(self, name, value)
        self.save(update_fields=[*values])
        self._tell("published")

    def _tell(self, what: str, **facts: Any) -> None:
        name = f"{self.event_name}_{what}"
        publish_event(name, self, **self.event_facts(), **facts)

    def _named(self) -> dict[str, Any]:
        return {"entity": self._meta.db_table, "id": str(self.pk)}


def must_be_allowed(actor: User | None, model: type[models.Model]) -> None:
    """Raise NotPermitted unless the actor's roles let them change such rows (access.md §1)."""
    meta = model._meta
    if actor is not None and not actor.has_perm(f"{meta.app_label}.change_{meta.model_name}"):
        raise NotPermitted(entity=meta.db_table)
