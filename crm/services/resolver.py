"""Finds and locks the lead that an event is about.

Locks, after all others (ebalance.services): first the account, if the lead does not have it yet,
then a lock for each identifier, then the lead.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from operator import or_
from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from django.db import connection
from django.db.models import F

from ebalance.db.encryption.values import Plaintext
from ebalance.services import InvalidInput, NotFound, RowOrKey, pk_of, uuid_or_none
from identity.services import lock_contacts

from ..models import Lead, LeadIdentity
from .history import LEAD_ERASED, has_event
from .identifiers import (
    Account,
    Browser,
    Contact,
    Identifier,
    Strength,
    has_name,
    parse_identifiers,
)

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations


class LeadAge(TypedDict):
    """The annotation that `_read_identities` adds."""

    lead_since: datetime


type DatedIdentity = WithAnnotations[LeadIdentity, LeadAge]
type Identities = dict[UUID, list[DatedIdentity]]  # by the key of their lead


class LeadResolver:
    """Resolves the caller's lead, user, contacts and browser to one lead.

    Reads before a lock are guesses: after each lock the search runs again, until nothing changes.
    """

    def __init__(
        self,
        lead: RowOrKey[Lead] | None,
        *,
        user: RowOrKey | None,
        contact: Mapping[str, Plaintext] | None,
        anonymous_id: str | None,
    ) -> None:
        self.given_lead = uuid_or_none(pk_of(lead))
        if lead is not None and self.given_lead is None:
            raise NotFound(what="lead")
        self.identifiers = parse_identifiers(user=user, contact=contact, anonymous_id=anonymous_id)
        self.account_contacts: list[Identifier] = []
        self.is_account_read = self.are_identifiers_locked = False

    @property
    def user_id(self) -> UUID | None:
        return next((one.key for one in self.identifiers if isinstance(one, Account)), None)

    @property
    def anonymous_id(self) -> str | None:
        browsers = (one for one in self.identifiers if isinstance(one, Browser))
        return next((one.anonymous_id for one in browsers), None)

    def lock_lead(self, *, may_create: bool) -> tuple[Lead | None, list[Identifier]]:
        """The lead, locked, and the identifiers that it does not have yet.

        A merged lead is followed to the lead that it was merged into. Raises NotFound for an
        unknown lead given by the caller.
        """
        while True:
            identities = self._read_identities()
            key = self._choose(identities)
            rows = identities.get(key, []) if key else []
            if self._must_search_again(key, rows, may_create=may_create):
                continue
            if key is None:
                return None, self.identifiers
            lead = Lead.objects.select_for_update(no_key=True, of=("self",)).filter(pk=key).first()
            if lead is not None and lead.merged_into_id is not None:
                if self.given_lead is not None:
                    self.given_lead = lead.merged_into_id
                continue
            identities = self._read_identities()
            if self.given_lead is None and (lead is None or self._choose(identities) != key):
                continue
            if lead is None:
                raise NotFound(what="lead")
            rows = identities.get(key, [])
            if lead.status == Lead.Status.INACTIVE and not rows and has_event(LEAD_ERASED, lead):
                raise NotFound(what="lead")
            if not self._must_search_again(key, rows, may_create=may_create):
                return lead, self._missing_in(rows)

    def agrees_with(self, key: UUID | None) -> bool:
        """Whether a repeated event, recorded for the lead ``key``, may be about the same person."""
        if self.given_lead is not None:
            return self.given_lead == key
        if key is None or not self.identifiers:
            return True  # the first event knew no person, or this one names none
        rows = self._read_identities().get(key, [])
        return any(one.matches(row) for one in self.identifiers for row in rows)

    def _must_search_again(
        self, key: UUID | None, rows: Sequence[LeadIdentity], *, may_create: bool
    ) -> bool:
        """Read the account, or lock the identifiers, where this is still to be done.

        Returns True when it did so: another transaction may have committed while this one waited.
        """
        account = next((one for one in self.identifiers if isinstance(one, Account)), None)
        if account and not self.is_account_read and not any(map(account.matches, rows)):
            self.is_account_read = True
            contacts = lock_account(account)
            self.account_contacts = contacts or []
            if contacts is None:
                self.identifiers.remove(account)
            return True
        if (
            not self.are_identifiers_locked
            and self._missing_in(rows)
            and (key is not None or may_create)
        ):
            self.are_identifiers_locked = True
            lock_identifiers([*self.identifiers, *self.account_contacts])
            return True
        return False

    def _choose(self, identities: Identities) -> UUID | None:
        """The lead with the strongest match; the oldest of several."""
        if self.given_lead is not None:
            return self.given_lead
        ranked = [
            (strength, rows[0].lead_since, key)
            for key, rows in identities.items()
            if (strength := self._strength(rows)) is not None
        ]
        return min(ranked)[-1] if ranked else None

    def _read_identities(self) -> Identities:
        """All identities of the given lead, or of every lead with one of the identifiers."""
        if not self.identifiers:
            return {}
        rows = LeadIdentity.objects.defer("email_encrypted", "phone_encrypted")
        if self.given_lead is not None:
            rows = rows.filter(lead=self.given_lead)
        else:
            own = [*self.identifiers, *self.account_contacts]
            shared = functools.reduce(or_, (one.matching for one in own))
            rows = rows.filter(lead__in=LeadIdentity.objects.filter(shared).values("lead"))
        identities: Identities = {}
        for row in rows.annotate(lead_since=F("lead__created_at")):
            identities.setdefault(row.lead_id, []).append(row)
        return identities

    def _strength(self, rows: Sequence[LeadIdentity]) -> Strength | None:
        """The strength of the match between the person and a lead; None if it is not theirs.

        Two leads of one person can be merged. A lead shared by two persons would expose each
        one's contacts to the other, and cannot be split. Browsers are shared, and anybody can type
        a contact. Therefore a person who names an account or a contact matches a lead by browser
        only if that lead has no account and no contact, and a registered person gets a lead by a
        contact only if the account has that contact.
        """
        own = [*self.identifiers, *self.account_contacts]
        shared = [one.strength for one in own if any(map(one.matches, rows))]
        if not shared or min(shared) == Strength.ACCOUNT:
            return min(shared, default=None)
        is_nameless = not any(has_name(row) for row in rows)
        if self.user_id is not None:
            has_own = any(one.matches(row) for one in self.account_contacts for row in rows)
            is_theirs = is_nameless or (has_own and all(map(self._has_only_own_contacts, rows)))
        else:
            names_contact = any(isinstance(one, Contact) for one in self.identifiers)
            is_theirs = is_nameless or min(shared) == Strength.CONTACT or not names_contact
        return min(shared) if is_theirs else None

    def _has_only_own_contacts(self, row: LeadIdentity) -> bool:
        """Whether the identity names no account, and no contact that the account does not have.

        Anybody may have typed a foreign contact beside one of the account's.
        """
        own = sum(one.matches(row) for one in self.account_contacts)
        contacts = (row.email_bidx, row.phone_bidx, row.telegram_user_id)
        return row.user_id is None and own == sum(value is not None for value in contacts)

    def _missing_in(self, rows: Sequence[LeadIdentity]) -> list[Identifier]:
        """The identifiers that the lead with the identities ``rows`` is to get.

        The lead of a registered person gets none from somebody who is not logged in as that person.
        """
        users = {row.user_id for row in rows} - {None}
        if users and self.user_id not in users:
            return []
        return [one for one in self.identifiers if not any(map(one.matches, rows))]


def lock_account(account: Account) -> list[Identifier] | None:
    """The contacts of the account as identifiers; None for an erased account.

    Raises NotFound for an unknown user.
    """
    contacts = lock_contacts(account.key)
    if contacts is None:
        return None
    identifiers: list[Identifier] = []
    for channel, text in contacts.items():
        # An account may be older than today's rules for a contact.
        with suppress(InvalidInput):
            identifiers += parse_identifiers(
                user=None, contact={channel: Plaintext(text)}, anonymous_id=None
            )
    return identifiers


def lock_identifiers(identifiers: Iterable[Identifier]) -> None:
    """Wait for other transactions that create or complete a lead with one of these identifiers.

    Later ones wait for this transaction.
    """
    keys = sorted(set().union(*(one.lock_keys for one in identifiers)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT public.take_lock('lead_identifier', part) "
            "FROM unnest(%s::integer[]) WITH ORDINALITY AS k (part, n) ORDER BY n",
            [keys],
        )
