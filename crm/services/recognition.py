"""Whose event it is: the lead by which a person is known, locked.

Locks, last of all (ebalance.services): first the account of somebody that the lead is not known by
yet, then all that the person is known by, then the lead itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from contextlib import suppress
from operator import or_
from uuid import UUID

from django.db import connection
from django.db.models import F

from audit.models import OutboxEvent
from ebalance.db.encryption.values import Plaintext
from ebalance.privacy.subject import CONTACTS
from ebalance.services import InvalidInput, NotFound, RowOrKey, key_of

from ..models import Lead, LeadIdentity
from .subjects import (
    CONTACT,
    USER,
    Browser,
    Contact,
    Identifier,
    User,
    identifiers,
    is_named,
    uuid_of,
)


class Search:
    """The search for the lead of whoever is given; it knows more with each look."""

    def __init__(
        self,
        lead: RowOrKey[Lead] | None,
        *,
        user: RowOrKey | None,
        contact: Mapping[str, Plaintext] | None,
        anonymous_id: str | None,
    ) -> None:
        self.given_lead = uuid_of(key_of(lead))
        if lead is not None and self.given_lead is None:
            raise NotFound(what="lead")
        self.passed: set[UUID] = set()  # merged leads, on the way to the one that is
        self.persons = identifiers(user=user, contact=contact, anonymous_id=anonymous_id)
        self.own: list[Identifier] = []  # contacts of the user's account, once it was asked for
        self.is_account_read = self.is_held = False

    @property
    def user_id(self) -> UUID | None:
        return next((one.key for one in self.persons if isinstance(one, User)), None)

    @property
    def anonymous_id(self) -> str | None:
        return next((one.anonymous_id for one in self.persons if isinstance(one, Browser)), None)

    @property
    def _says_contact(self) -> bool:
        return any(isinstance(one, Contact) for one in self.persons)

    def found(self, *, may_be_made: bool) -> tuple[Lead | None, list[Identifier]]:
        """The lead, locked, and what it is not known by yet. Raises NotFound for a lead given.

        What was read before a lock is a guess: it is read again, until nothing else comes out.
        """
        while True:
            known = self._known()
            key = self._key(known)
            rows = known.get(key, [])
            if not self._is_settled(key, rows, may_be_made):
                continue
            if key is None:
                return None, self.persons
            lead = locked_lead(key)
            known = self._known()
            if self.given_lead is None:
                if lead is None or self._key(known) != key:
                    continue
            elif (lead is None or lead.status == Lead.Status.INACTIVE) and self._is_merged(lead):
                continue
            if lead is None:
                raise NotFound(what="lead")
            if self._is_settled(key, known.get(key, []), may_be_made):
                return lead, self._new(known.get(key, []))

    def is_about(self, key: UUID | None) -> bool:
        """Whether the person given, if one is, is the lead that the event was recorded for."""
        if self.given_lead is not None:
            return self.given_lead == key
        if key is None or not self.persons:
            return True  # of nobody known then, or by whom is not said now
        rows = self._known().get(key, [])
        return any(one.is_in(row) for one in self.persons for row in rows)

    def _is_settled(self, key: UUID | None, rows: list[LeadIdentity], may_be_made: bool) -> bool:
        """Whether the lead of ``key``, known by ``rows``, is the one.

        If not, it is to be looked for again: either the person's account is known now, or it was
        waited until nobody else makes or completes a lead of this person.
        """
        user = next((one for one in self.persons if isinstance(one, User)), None)
        if user is not None and not self.is_account_read and not any(map(user.is_in, rows)):
            self.is_account_read = True
            account = account_of(user)
            self.own = account or []
            if account is None:
                self.persons.remove(user)
            return False
        if not self.is_held and self._new(rows) and (key or may_be_made):
            self.is_held = True
            hold([*self.persons, *self.own])
            return False
        return True

    def _is_merged(self, lead: Lead | None) -> bool:
        """Whether the lead given was merged; then the other one is given."""
        into = merged_into(lead, self.given_lead)
        if into is None or into in self.passed:
            return False
        self.passed.add(self.given_lead)
        self.given_lead = into
        return True

    def _key(self, known: dict[UUID, list[LeadIdentity]]) -> UUID | None:
        """The lead by which the person is known best; of several the oldest."""
        if self.given_lead is not None:
            return self.given_lead
        ranked = [
            (strength, rows[0].lead_since, key)
            for key, rows in known.items()
            if (strength := self._strength(rows)) is not None
        ]
        return min(ranked)[-1] if ranked else None

    def _known(self) -> dict[UUID, list[LeadIdentity]]:
        """All identities of the lead given, else of those that share one with the person."""
        if not self.persons:
            return {}
        rows = LeadIdentity.objects.defer("email_encrypted", "phone_encrypted")
        if self.given_lead is not None:
            rows = rows.filter(lead=self.given_lead)
        else:
            shared = functools.reduce(or_, (one.known for one in [*self.persons, *self.own]))
            rows = rows.filter(lead__in=LeadIdentity.objects.filter(shared).values("lead"))
        known: dict[UUID, list[LeadIdentity]] = {}
        for row in rows.annotate(lead_since=F("lead__created_at")):
            known.setdefault(row.lead_id, []).append(row)
        return known

    def _strength(self, rows: list[LeadIdentity]) -> int | None:
        """How surely the lead that is known by ``rows`` is the person's; None: it is not.

        Two leads of one person can be merged, one of two persons shows each the other's contacts
        and cannot be taken apart. Browsers are shared, and anybody can type a contact. So whoever
        says who they are is by a browser alone only the lead of which nobody has said that, and
        a registered person by a contact only if it is one of the account.
        """
        shared = [one.strength for one in [*self.persons, *self.own] if any(map(one.is_in, rows))]
        if not shared or min(shared) == USER:
            return min(shared, default=None)
        is_nameless = not any(is_named(row) for row in rows)
        if self.user_id is not None:
            is_own = any(one.is_in(row) for one in self.own for row in rows)
            is_theirs = is_nameless or (is_own and all(self._is_own_contact(row) for row in rows))
        else:
            is_theirs = is_nameless or min(shared) == CONTACT or not self._says_contact
        return min(shared) if is_theirs else None

    def _is_own_contact(self, row: LeadIdentity) -> bool:
        """Whether the identity is nobody's account, and has no contact but those of this one:
        beside them anybody may have typed another's.
        """
        own = sum(one.is_in(row) for one in self.own)
        contacts = (row.email_bidx, row.phone_bidx, row.telegram_user_id)
        return row.user_id is None and own == sum(value is not None for value in contacts)

    def _new(self, rows: list[LeadIdentity]) -> list[Identifier]:
        """What the lead known by ``rows`` is to be known by too.

        That of a registered person learns nothing from whoever is not logged in as this person.
        """
        users = {row.user_id for row in rows} - {None}
        if users and self.user_id not in users:
            return []
        return [one for one in self.persons if not any(map(one.is_in, rows))]


def account_of(user: User) -> list[Identifier] | None:
    """The contacts of the person's account. None: erased, and not known by anything again.

    The row cannot be deleted or erased until this transaction ends: erasure takes its contacts,
    which are keys. Raises NotFound for a user that never was.
    """
    columns = ", ".join(CONTACTS.values())
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT status, {columns} FROM users WHERE id = %s FOR KEY SHARE", [user.key]
        )
        row = cursor.fetchone()
    if row is None:
        raise NotFound(what="user")
    status, *given = row
    if status == "deleted":
        return None
    found = []
    for channel, text in zip(CONTACTS, given, strict=True):
        if text is not None:
            # An account may be older than what a contact is held to now.
            with suppress(InvalidInput):
                found += identifiers(
                    user=None, contact={channel: Plaintext(text)}, anonymous_id=None
                )
    return found


def locked_lead(key: UUID) -> Lead | None:
    """The lead, locked; None when there is none any more."""
    return Lead.objects.select_for_update(no_key=True, of=("self",)).filter(pk=key).first()


def merged_into(lead: Lead | None, key: UUID) -> UUID | None:
    """The lead that the one of ``key`` was merged into, while the outbox remembers (privacy.md §4).

    ``lead`` is what is left of it. One that is in use again is no merged one.
    """
    if lead is not None and (lead.status != Lead.Status.INACTIVE or lead.identities.exists()):
        return None
    merges = OutboxEvent.objects.filter(
        aggregate_type=Lead._meta.db_table, aggregate_id=key, event_type="lead_merged"
    )
    into = merges.order_by("created_at", "id").values_list("payload__into", flat=True).last()
    return uuid_of(into)


def hold(persons: Iterable[Identifier]) -> None:
    """Wait until nobody else makes a lead of them; then others wait for this transaction."""
    keys = sorted(set().union(*(person.locks for person in persons)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) WITH ORDINALITY "
            "AS k (key, n) ORDER BY n",
            [keys],
        )
