"""The verbs of accounts: access is taken and given back, a person is forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.apps import apps
from django.utils import timezone

from ebalance.privacy.erasure.service import Erased, erase, must_not_be_last_owner
from ebalance.services import Clock, NotPermitted, TransitionRefused, lock_or_refuse, transactional


class AccountVerbs:
    """Each reads the account again under its lock, and brings ``self`` up to date."""

    pk: Any

    @transactional
    def block(self, *, actor: Any = None) -> None:
        """active → blocked: access ends at the next request. Repeatable.

        Raises LastOwner, TransitionRefused for an erased person, NotPermitted, NotFound.
        """
        self._move("blocked", actor)

    @transactional
    def unblock(self, *, actor: Any = None) -> None:
        """blocked → active. Repeatable. Raises TransitionRefused, NotPermitted, NotFound."""
        self._move("active", actor)

    def erase(
        self,
        *,
        method: str,
        requested_at: datetime | None = None,
        force: bool = False,
        actor: Any = None,
        clock: Clock = timezone.now,
    ) -> Erased:
        """Forget this person, for good (ebalance.privacy.erasure.service). Repeatable.

        Raises LastOwner, UpcomingAppointments without ``force``, NotPermitted, NotFound,
        InvalidInput.
        """
        done = erase(
            self.pk,
            method=method,
            requested_at=requested_at,
            force=force,
            actor=actor,
            clock=clock,
        )
        self.refresh_from_db()  # type: ignore[attr-defined]
        return done

    erase.alters_data = True  # type: ignore[attr-defined]

    def _move(self, status: str, actor: Any) -> None:
        if actor is not None and not actor.has_perm("identity.change_user"):
            raise NotPermitted(permission="identity.change_user")
        row: Any = lock_or_refuse(apps.get_model("identity.User").objects.all(), self.pk)
        if row.status == "deleted":
            raise TransitionRefused(entity="users", id=row.pk, status=row.status, wanted=status)
        if row.status != status:
            if status == "blocked" and row.user_roles.filter(role="owner").exists():
                must_not_be_last_owner(row)
            row.status = status
            row.save(update_fields=["status"])
        self.refresh_from_db()  # type: ignore[attr-defined]
