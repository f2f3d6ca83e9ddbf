"""What people agree to, refuse and withdraw; each as an account, as a lead, or as both.

Rows are evidence: agreeing to a newer text ends the older consent and writes another one. What a
person says about a purpose has a later time than what was said before, whatever the clocks of
hosts: the last is what counts (ebalance.privacy.mailing).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.apps import apps
from django.db import IntegrityError, models, transaction
from django.db.models import Max, Q
from django.utils import timezone

from audit.services import publish_event
from ebalance.db import patterns
from ebalance.db.ids import uuid7
from ebalance.db.querysets import EntityQuerySet
from ebalance.services import (
    MAX_ATTEMPTS,
    Clock,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    Refused,
    RowOrKey,
    constraint_of,
    lock_rows,
    to_utc,
    transactional,
)
from identity.errors import LeadOfAnother, PersonUnavailable, VersionOutdated

from .mailing import PURPOSES, MayBeWritten, may_write, purpose_of
from .persons import Person, a_key, asked, known_by_contact, locked_person

if TYPE_CHECKING:
    from identity.models import Consent, User

# Somebody who does not lock the person was faster: it is looked at again.
OVERTAKEN = {"consents_one_active_per_user", "consents_one_active_per_lead", "consents_pkey"}
INSTANT = timedelta(microseconds=1)
LAST_MOMENT = datetime(9999, 12, 30, tzinfo=UTC)  # that a column takes
TOLD_VERSION = len("2026-01-07.10")  # a longer one could be a phone number to the outbox


@dataclass(frozen=True)
class Statement:
    """What somebody says about a purpose, checked."""

    consent_type: str
    granted: bool
    version: str
    source: str
    user: UUID | None
    lead: UUID | None  # the one that is left of the lead given
    person: Person

    @property
    def own(self) -> Q:
        """Rows of the account and of the lead that speak."""
        as_user = Q(user=self.user) if self.user else Q()
        return as_user | (Q(lead__in=self.person.named) if self.lead else Q())

    def is_covered(self, rows: Iterable[Consent]) -> bool:
        """Whether ``rows`` say it of the account and of the lead."""
        return not self.left_out(rows)

    def left_out(self, rows: Iterable[Consent]) -> dict[str, UUID]:
        """The account and the lead, if given, of whom ``rows`` do not say it."""
        rows = [*rows]
        found: dict[str, UUID] = {}
        if self.user and not any(row.user_id == self.user for row in rows):
            found["user_id"] = self.user
        if self.lead and not any(row.lead_id in self.person.named for row in rows):
            found["lead_id"] = self.lead
        return found

    def is_in(self, row: Consent) -> bool:
        """Whether the row, found by its key, is this statement."""
        same = ("consent_type", "granted", "version", "source")
        return (
            all(getattr(row, name) == getattr(self, name) for name in same)
            and row.user_id in (None, self.user)
            and (row.lead_id is None or row.lead_id in self.person.named)
        )


class ConsentQuerySet(EntityQuerySet):
    def active(self) -> Self:
        return self.filter(granted=True, revoked_at=None)

    def history(self, *, user: RowOrKey | None = None, lead: RowOrKey | None = None) -> Self:
        """All that a person agreed to, refused and withdrew: by purpose, oldest first.

        Of an account what its leads said too, of a lead what its account did, and both with what
        was merged into them, while the outbox remembers the merge. Two queries, one of which is
        made at once. Raises NotFound for what is no key.
        """
        return self.filter(Person.read(*asked(user, lead)).spoke).order_by(
            "consent_type", "granted_at", "pk"
        )

    @transactional
    def grant(
        self,
        *,
        consent_type: str,
        version: str,
        source: str,
        user: RowOrKey[User] | None = None,
        lead: RowOrKey | None = None,
        granted: bool = True,
        id: UUID | str | None = None,
        actor: User | None = None,
        clock: Clock = timezone.now,
    ) -> Consent:
        """The person, known as ``user``, as ``lead`` or as both, agrees to a text, or refuses.

        ``version`` of the text: YYYY-MM-DD or YYYY-MM-DD.n. The same again is the same consent;
        with ``id`` also after it was withdrawn. A newer version ends the older consent of the same
        user and lead. A refusal (``granted=False``) ends whatever the person agreed to for this
        purpose. A merged lead is the one that it was merged into.

        Raises PersonUnavailable for somebody blocked who agrees, or deleted, VersionOutdated,
        LeadOfAnother, IdempotencyConflict for an id with other content, NotPermitted for an actor
        who is neither the person nor may change consents, NotFound, InvalidInput.
        """
        model = self.model
        consent_type = one_of(consent_type, model.Type, "consent_type")
        version, source = version_of(version), one_of(source, model.Source, "source")
        if not isinstance(granted, bool):
            raise InvalidInput(field="granted")
        key = None if id is None else an_id(id)
        user_id, lead_id = asked(user, lead)
        person, accounts = locked_person(user_id, lead_id)
        permitted(actor, person)
        if user_id and person.users - {user_id}:
            raise LeadOfAnother(field="lead")
        said = Statement(
            consent_type,
            granted,
            version,
            source,
            user_id,
            lead_id and person.lead_now(lead_id),
            person,
        )
        for attempt in range(MAX_ATTEMPTS):
            try:
                with transaction.atomic():
                    return self._said(said, key, accounts, clock)
            except IntegrityError as error:
                if constraint_of(error) not in OVERTAKEN or attempt == MAX_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    grant.alters_data = True  # type: ignore[attr-defined]

    @transactional
    def withdraw(
        self,
        *,
        consent_type: str | None = None,
        user: RowOrKey[User] | None = None,
        lead: RowOrKey | None = None,
        source: str | None = None,
        actor: User | None = None,
        clock: Clock = timezone.now,
    ) -> list[Consent]:
        """End all that the person agreed to for this purpose, or for any; returns what ended now.

        Whoever speaks as an account or as a lead withdraws what was agreed to as either, merged
        leads included, and that we write to their contact, whoever agreed to it; also when blocked.
        Nothing active is nothing to do. ``source`` says where it happened, if known.

        Raises NotPermitted for an actor who is neither the person nor may change consents,
        NotFound, InvalidInput.
        """
        if consent_type is not None:
            consent_type = one_of(consent_type, self.model.Type, "consent_type")
        if source is not None:
            source = one_of(source, self.model.Source, "source")
        user_id, lead_id = asked(user, lead)
        person, _accounts = locked_person(user_id, lead_id)
        permitted(actor, person)
        rows = self._ended_by(person, consent_type)
        given = lock_rows(rows.active())
        if not given:
            return []
        now = later(rows, clock)
        end(given, now)
        for row in given:
            tell("consent_withdrawn", row)
        lead_id = lead_id and person.lead_now(lead_id)
        for purpose in dict.fromkeys(row.consent_type for row in given):
            track(purpose, False, source, now, clock, user=user_id, lead=lead_id)
        return given

    withdraw.alters_data = True  # type: ignore[attr-defined]

    # -- may we write -----------------------------------------------------------------------------

    def may_mail(
        self,
        *,
        user: RowOrKey[User] | None = None,
        lead: RowOrKey | None = None,
        about: RowOrKey | None = None,
        clock: Clock = timezone.now,
    ) -> bool:
        """Whether we may send this person an e-mail. See ``may_write``."""
        return self.may_write("email", user=user, lead=lead, about=about, clock=clock)

    def may_write(
        self,
        channel: str,
        *,
        user: RowOrKey[User] | None = None,
        lead: RowOrKey | None = None,
        about: RowOrKey | None = None,
        clock: Clock = timezone.now,
    ) -> bool:
        """Whether we may write to this person by ``channel``, email or telegram. One query.

        ``about`` is an appointment: service messages about one of exactly this person need no
        consent while it is ahead or under way, and for three days (mailing.RECENT) after it was
        moved or canceled. Nobody is written to after erasure. False for a person that is none.
        Raises InvalidInput for another channel.
        """
        purpose = purpose_of(channel)
        now = to_utc(clock(), "clock")
        try:
            user_id, lead_id = asked(user, lead)
            about_id = a_key(about, "appointment")
        except NotFound:
            return False
        return may_write(purpose, user=user_id, lead=lead_id, about=about_id, now=now)

    def users_to_write(self, channel: str = "email") -> models.QuerySet[User]:
        """All accounts that we may write to, in one query; for leads: ``leads_to_write``."""
        return apps.get_model("identity.User").objects.filter(MayBeWritten(channel, user="pk"))

    def leads_to_write(self, channel: str = "email") -> models.QuerySet:
        """All leads that we may write to; those who are registered are among ``users_to_write``."""
        return apps.get_model("crm.Lead").objects.filter(MayBeWritten(channel, lead="pk"))

    # -- steps ------------------------------------------------------------------------------------

    def _said(
        self, said: Statement, key: UUID | None, accounts: dict[UUID, str], clock: Clock
    ) -> Consent:
        earlier = self.model.objects.filter(pk=key).first() if key else None
        if earlier is not None:
            if said.is_in(earlier):
                return earlier
            raise IdempotencyConflict(entity=self.model._meta.db_table, id=key)
        if said.granted:
            return self._agree(said, key, accounts, clock)
        return self._refuse(said, key, accounts, clock)

    def _agree(
        self, said: Statement, key: UUID | None, accounts: dict[UUID, str], clock: Clock
    ) -> Consent:
        rows = self._spoken(said.person).filter(consent_type=said.consent_type)
        given = lock_rows(rows.active().filter(said.own))
        same = [row for row in given if row.version == said.version]
        if said.is_covered(same):
            return last_of(same)
        available(accounts, {"active"})
        older = [row for row in given if row not in same]
        newest = max(older, key=lambda row: age_of(row.version), default=None)
        if newest is not None and age_of(newest.version) > age_of(said.version):
            raise VersionOutdated(
                entity=newest._meta.db_table, id=newest.pk, status="granted", wanted="granted"
            )
        now = later(rows, clock)
        end(older, now)
        row = self._write(said, key, now, clock, **said.left_out(same))
        for old in older:
            tell("consent_replaced", old, by=row.pk)
        return row

    def _refuse(
        self, said: Statement, key: UUID | None, accounts: dict[UUID, str], clock: Clock
    ) -> Consent:
        rows = self._ended_by(said.person, said.consent_type)
        given = lock_rows(rows.active())
        if not given:
            spoken = rows.filter(said.own)
            last = [
                last_of(own)
                for own in (
                    [row for row in spoken if said.user and row.user_id == said.user],
                    [row for row in spoken if said.lead and row.lead_id in said.person.named],
                )
                if own
            ]
            same = [row for row in last if not row.granted and row.version == said.version]
            if len(same) == len(last) and said.is_covered(same):
                return last_of(same)
        available(accounts, {"active", "blocked"})
        now = later(rows, clock)
        end(given, now)
        for row in given:
            tell("consent_withdrawn", row)
        return self._write(said, key, now, clock, user_id=said.user, lead_id=said.lead)

    def _write(
        self,
        said: Statement,
        key: UUID | None,
        now: datetime,
        clock: Clock,
        *,
        user_id: UUID | None = None,
        lead_id: UUID | None = None,
    ) -> Consent:
        row = self.model(
            id=key or uuid7(),
            user_id=user_id,
            lead_id=lead_id,
            consent_type=said.consent_type,
            granted=said.granted,
            version=said.version,
            source=said.source,
            granted_at=now,
        )
        row.save(force_insert=True)
        tell("consent_granted" if said.granted else "consent_refused", row)
        track(
            said.consent_type,
            said.granted,
            said.source,
            now,
            clock,
            user=said.user,
            lead=said.lead,
        )
        return row

    def _spoken(self, person: Person) -> models.QuerySet[Consent]:
        """All rows of the person, whatever this queryset was narrowed to."""
        return self.model.objects.filter(person.spoke)

    def _ended_by(self, person: Person, consent_type: str | None) -> models.QuerySet[Consent]:
        """What ends when the person says no to this purpose, or to any; its leads are locked."""
        ended = person.spoke
        for channel, purpose in PURPOSES.items():
            if consent_type not in (None, purpose):
                continue
            accounts, leads = known_by_contact(person, channel)
            # Before their consents, as whoever speaks as one of them does.
            lock_rows(apps.get_model("crm.Lead").objects.filter(pk__in=leads - person.leads))
            ended |= Q(consent_type=purpose) & (Q(user__in=accounts) | Q(user=None, lead__in=leads))
        rows = self.model.objects.filter(ended)
        return rows if consent_type is None else rows.filter(consent_type=consent_type)


# -- what is given --------------------------------------------------------------------------------


def one_of(value: object, members: Any, field: str) -> str:
    if not isinstance(value, str) or value not in members.values:
        raise InvalidInput(field=field)
    return str(value)


def version_of(version: object) -> str:
    if not isinstance(version, str) or not re.fullmatch(patterns.TEXT_VERSION, version):
        raise InvalidInput(field="version")
    return version


def age_of(version: str) -> tuple[str, int, str, str]:
    """What versions are ordered by: the date, then the number, which may be of any length."""
    day, _, number = version.partition(".")
    digits = number.lstrip("0")
    return day, len(digits) + bool(number), digits, number


def an_id(value: UUID | str) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(field="id") from None


def permitted(actor: Any, person: Person) -> None:
    """The person, or somebody who may change consents (access.md §1). Raises NotPermitted."""
    if actor is None or actor.pk in person.users or actor.has_perm("identity.change_consent"):
        return
    raise NotPermitted(permission="identity.change_consent")


def available(accounts: dict[UUID, str], statuses: set[str]) -> None:
    """Raises PersonUnavailable for the first account with another status."""
    for key, status in accounts.items():
        if status not in statuses:
            raise PersonUnavailable(user=key, status=status)


# -- what is written ------------------------------------------------------------------------------


def last_of(rows: Iterable[Consent]) -> Consent:
    return max(rows, key=lambda row: (row.granted_at, row.pk))


def later(rows: models.QuerySet[Consent], clock: Clock) -> datetime:
    """The time now; a moment later than anything that ``rows`` say, if that is later."""
    said = rows.aggregate(Max("granted_at"), Max("revoked_at")).values()
    now = to_utc(clock(), "clock")
    return max([now, *(min(at + INSTANT, LAST_MOMENT) for at in said if at is not None)])


def end(rows: Iterable[Consent], now: datetime) -> None:
    for row in rows:
        row.revoked_at = now
        row.save(update_fields=["revoked_at"])


def tell(event: str, row: Consent, **more: object) -> None:
    version = row.version if len(row.version) <= TOLD_VERSION else None
    publish_event(event, row, consent_type=row.consent_type, version=version, **more)


def track(
    consent_type: str,
    granted: bool,
    source: str | None,
    now: datetime,
    clock: Clock,
    *,
    user: UUID | None,
    lead: UUID | None,
) -> None:
    """The tracking plan knows of what happens on the site only. It never stops anybody."""
    if source != "web":
        return
    with suppress(Refused):
        apps.get_model("crm.Lead").objects.record_event(
            "consent_updated",
            source=source,
            occurred_at=now,
            # An event with both would make the account an identity of the lead.
            user=user,
            lead=None if user else lead,
            properties={"consent_type": consent_type, "new_value": granted},
            clock=clock,
        )
