"""To whom we may write, in plain Python over all rows; and worlds of people at random."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from audit.models import OutboxEvent
from crm.models import Lead, LeadIdentity
from ebalance.db.ids import uuid7
from identity.models import Consent, User
from tests.factories import (
    AppointmentFactory,
    ConsentFactory,
    LeadFactory,
    LeadIdentityFactory,
    UserFactory,
)

FEW = 4  # worlds of the fast test; the slow one tries the others


def each_seeds(count: int, start: int = 0) -> Any:
    """Parametrise a test with few seeds, and with the others as a slow test."""
    few, others = range(start, start + FEW), range(start + FEW, start + count)
    params = [few, pytest.param(others, marks=pytest.mark.slow)]
    return pytest.mark.parametrize("seeds", params, ids=["few", "many"])


START = datetime(2026, 1, 7, 12, tzinfo=UTC)


class Oracle:
    """Reads all there is once."""

    def __init__(self, consent_type: str) -> None:
        self.status = dict(User.objects.values_list("pk", "status"))
        self.leads = {lead.pk: lead for lead in Lead.objects.all()}
        self.identities = [*LeadIdentity.objects.all()]
        everything = [*Consent.objects.all()]
        self.consents = [row for row in everything if row.consent_type == consent_type]
        self.links = {
            (row.user_id, row.lead_id)
            for row in [*self.identities, *everything]
            if row.user_id and row.lead_id
        }
        self.merges = {frozenset(pair) for pair in self._merges().items()}

    def _merges(self) -> dict[UUID, UUID]:
        last: dict[UUID, Any] = {}
        for event in OutboxEvent.objects.order_by("created_at", "id"):
            if (event.event_type, event.aggregate_type) == ("lead_merged", "leads"):
                last[event.aggregate_id] = event.payload.get("into")
        found = {}
        for key, into in last.items():
            lead = self.leads.get(key)
            is_used = lead and (
                lead.status != "inactive" or any(row.lead_id == key for row in self.identities)
            )
            try:
                if not is_used:
                    found[key] = UUID(into)
            except (TypeError, ValueError, AttributeError):
                continue
        return found

    def one_with(self, lead: UUID) -> set[UUID]:
        """The lead and all that are one with it by merges."""
        found, grown = {lead}, True
        while grown:
            grown = False
            for pair in self.merges:
                if pair & found and not pair <= found:
                    found |= pair
                    grown = True
        return found

    def accounts_of(self, lead: UUID) -> set[UUID]:
        group = self.one_with(lead)
        return {user for user, known in self.links if known in group}

    def leads_of(self, user: UUID) -> set[UUID]:
        return {lead for who, known in self.links if who == user for lead in self.one_with(known)}

    def may_user(self, user: UUID) -> bool:
        if self.status.get(user) != "active":
            return False
        leads = self.leads_of(user)
        rows = [
            row
            for row in self.consents
            if row.user_id == user or (row.user_id is None and row.lead_id in leads)
        ]
        own = [row for row in rows if row.user_id or self.accounts_of(row.lead_id) == {user}]
        return last_word_is_yes(rows, own)

    def may_lead(self, lead: UUID) -> bool:
        group, accounts = self.one_with(lead), self.accounts_of(lead)
        if accounts:
            return all(map(self.may_user, accounts))
        if not any(row.lead_id in group for row in self.identities):
            return False
        rows = [row for row in self.consents if row.lead_id in group]
        return last_word_is_yes(rows, rows)

    def is_session_of(self, session: Any, user: UUID | None, lead: UUID | None) -> bool:
        """Whether a current session is exactly this person's, who is not erased."""
        people = {user} if user else self.accounts_of(lead) or {lead}
        group = self.one_with(lead) if lead else set()
        accounts = people & {*self.status}
        if any(self.status[key] == "deleted" for key in accounts):
            return False
        if not accounts and not any(row.lead_id in group for row in self.identities):
            return False
        if session.client_id:
            return people == {session.client_id}
        is_theirs = len(people) == 1 and self.accounts_of(session.lead_id) == accounts
        return session.lead_id in group or (bool(accounts) and is_theirs)

    def rows_of(self, user: UUID | None, lead: UUID | None) -> set[UUID]:
        """Keys of all that the person said."""
        users = {user} if user else self.accounts_of(lead)
        leads = set().union(*map(self.leads_of, users), self.one_with(lead) if lead else set())
        return {
            row.pk
            for row in self.consents
            if row.user_id in users or (row.user_id is None and row.lead_id in leads)
        }


def last_word_is_yes(rows: list[Consent], granting: list[Consent]) -> bool:
    return any(
        yes.granted
        and yes.revoked_at is None
        and not any(
            (not no.granted and no.granted_at >= yes.granted_at)
            or (no.revoked_at is not None and no.revoked_at > yes.granted_at)
            for no in rows
        )
        for yes in granting
    )


def erase(user: UUID) -> None:
    """As far as the account goes: what its leads are known by may stay."""
    User.objects.filter(pk=user).update(
        status="deleted", deleted_at=START, email=None, display_name=None, password=""
    )


class World:
    """Some accounts and leads, and what they said, at random; times are few, so that many meet."""

    def __init__(self, seed: int, *, sessions: int = 0) -> None:
        self.dice = dice = random.Random(seed)
        self.users = [
            UserFactory(blocked=dice.random() < 0.15).pk for _ in range(dice.randint(1, 5))
        ]
        self.leads = [
            LeadFactory(status=dice.choice(["new", "inactive", "inactive"])).pk
            for _ in range(dice.randint(1, 7))
        ]
        self.gone = [uuid4() for _ in range(2)]  # merged, and nothing is left of them
        for _ in range(dice.randint(0, 8)):
            self._identify()
        for _ in range(dice.randint(0, 6)):
            self._merge()
        self.taken: set[tuple[UUID | None, str]] = set()
        for _ in range(dice.randint(0, 16)):
            self._speak()
        for _ in range(sessions):
            client, lead = dice.choice([(True, False), (False, True), (True, True)])
            AppointmentFactory(
                client=User.objects.get(pk=dice.choice(self.users)) if client else None,
                lead_id=dice.choice(self.leads) if lead else None,
            )
        for user in self.users:
            if dice.random() < 0.15:
                erase(user)

    def _identify(self) -> None:
        lead = self.dice.choice(self.leads)
        if self.dice.random() < 0.3:
            LeadIdentityFactory(lead_id=lead)
            return
        user = self.dice.choice(self.users)
        if not LeadIdentity.objects.filter(lead=lead, user=user).exists():
            LeadIdentityFactory(registered=True, user_id=user, lead_id=lead)

    def _merge(self) -> None:
        somebody = [*self.leads, *self.gone]
        into: Any = str(self.dice.choice(somebody))
        payload = self.dice.choice([{"into": into}] * 8 + [{"into": "lead"}, {"into": 7}, {}])
        OutboxEvent.objects.create(
            event_type=self.dice.choice(["lead_merged"] * 9 + ["lead_created"]),
            aggregate_type=self.dice.choice(["leads"] * 9 + ["users"]),
            aggregate_id=self.dice.choice(somebody),
            payload=payload,
            created_at=self._time(),
        )

    def _speak(self) -> None:
        dice = self.dice
        purpose = dice.choice(["communications", "communications", "telegram"])
        user, lead = dice.choice(
            [
                (dice.choice(self.users), None),
                (None, dice.choice(self.leads)),
                (dice.choice(self.users), dice.choice(self.leads)),
            ]
        )
        given_at = self._time()
        granted, withdrawn = dice.choice(
            [(True, False)] * 4 + [(True, True)] * 2 + [(False, False)]
        )
        subjects = {(key, purpose) for key in (user, lead) if key}
        if granted and not withdrawn:
            if subjects & self.taken:
                return
            self.taken |= subjects
        ConsentFactory(
            id=uuid7(),
            user_id=user,
            lead_id=lead,
            consent_type=purpose,
            granted=granted,
            granted_at=given_at,
            revoked_at=given_at + timedelta(minutes=dice.randint(0, 3)) if withdrawn else None,
        )

    def _time(self) -> datetime:
        return START + timedelta(minutes=self.dice.randint(0, 5))
