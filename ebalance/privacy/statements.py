"""A person's statement about a purpose, with its checks."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from ebalance.services import NotPermitted
from identity.errors import PersonUnavailable
from identity.models import Consent, User

from .subject import DataSubject, LockedSubject


@dataclass(frozen=True)
class Statement:
    """A person's consent or refusal for a purpose, with validated values."""

    consent_type: str
    granted: bool
    version: str
    source: str
    user: UUID | None
    lead: UUID | None  # the current one, if the lead given was merged
    person: LockedSubject
    speaker: UUID | None  # the account that speaks; None: not known for a shared lead

    @property
    def subject(self) -> DataSubject:
        return self.person.subject

    @property
    def same_speaker(self) -> Q:
        """Rows of the account and of the lead that make this statement."""
        condition = Q(user=self.user) if self.user else Q()
        return condition | (Q(lead__in=self.subject.named) if self.lead else Q())

    def missing_in(self, rows: Iterable[Consent]) -> dict[str, UUID]:
        """The account and the lead, if given, that no row of ``rows`` names, by column."""
        rows = [*rows]
        missing: dict[str, UUID] = {}
        if self.user and not any(row.user_id == self.user for row in rows):
            missing["user_id"] = self.user
        if self.lead and not any(row.lead_id in self.subject.named for row in rows):
            missing["lead_id"] = self.lead
        return missing

    def matches(self, row: Consent) -> bool:
        """Whether a row with the caller's id is this statement."""
        names = ("consent_type", "granted", "version", "source")
        return (
            all(getattr(row, name) == getattr(self, name) for name in names)
            and row.user_id in (None, self.user)
            and (row.lead_id is None or row.lead_id in self.subject.named)
        )


def version_order(version: str) -> tuple[str, int, str, str]:
    """The sort key of a version: by date, then by number, which may have any length."""
    day, _, number = version.partition(".")
    digits = number.lstrip("0")
    return day, len(digits) + bool(number), digits, number


def speaker_of(subject: DataSubject, user: UUID | None, actor: User | None) -> UUID | None:
    """The account that speaks: the one given, or the actor if the lead given is theirs."""
    if user is None and actor is not None and actor.pk in subject.accounts:
        return actor.pk
    return user


def require_own_or_staff(actor: User | None, accounts: Collection[UUID]) -> None:
    """Raises NotPermitted unless the actor is the person or may change consents (access.md §1)."""
    permission = "identity.change_consent"
    if actor is None or actor.pk in accounts or actor.has_perm(permission):
        return
    raise NotPermitted(permission=permission)


def require_status(statuses: dict[UUID, str], allowed: set[str]) -> None:
    """Raises PersonUnavailable for the first account with another status."""
    for key, status in statuses.items():
        if status not in allowed:
            raise PersonUnavailable(user=key, status=status)
