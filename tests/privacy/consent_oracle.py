"""A reference model, in plain Python, of whom we may contact; and random sets of people."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from booking.models import Appointment, WaitlistRequest
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

FEW = 4  # seeds of the fast test; the slow test runs the others


def each_seeds(count: int, start: int = 0) -> Any:
    """Parametrise a test with few seeds, and with the others as a slow test."""
    few, others = range(start, start + FEW), range(start + FEW, start + count)
    params = [few, pytest.param(others, marks=pytest.mark.slow)]
    return pytest.mark.parametrize("seeds", params, ids=["few", "many"])


START = datetime(2026, 1, 7, 12, tzinfo=UTC)


class Oracle:
    """Reads all rows once, and answers from these rows."""

    def __init__(self, consent_type: str) -> None:
        self.status = dict(User.objects.values_list("pk", "status"))
        self.leads = {lead.pk: lead for lead in Lead.objects.all()}
        self.identities = [*LeadIdentity.objects.all()]
        every_consent = [*Consent.objects.all()]
        self.consents = [row for row in every_consent if row.consent_type == consent_type]
        pairs = [
            *((row.user_id, row.lead_id) for row in [*self.identities, *every_consent]),
            *Appointment.objects.values_list("client", "lead"),
            *WaitlistRequest.objects.values_list("user", "lead"),
        ]
        self.links = {(user, lead) for user, lead in pairs if user and lead}
        self.merges = {
            frozenset([lead.pk, lead.merged_into_id])
            for lead in self.leads.values()
            if lead.merged_into_id
        }

    def one_with(self, lead: UUID) -> set[UUID]:
        """The lead and all leads that merges connect to it."""
        group, grown = {lead}, True
        while grown:
            grown = False
            for pair in self.merges:
                if pair & group and not pair <= group:
                    group |= pair
                    grown = True
        return group

    def accounts_of(self, lead: UUID) -> set[UUID]:
        group = self.one_with(lead)
        return {user for user, known in self.links if known in group}

    def others_of(self, lead: UUID, user: UUID) -> set[UUID]:
        """The other accounts of the lead; an erased account does not count."""
        accounts = self.accounts_of(lead) - {user}
        return {account for account in accounts if self.status.get(account) != "deleted"}

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
        own = [row for row in rows if row.user_id or not self.others_of(row.lead_id, user)]
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
        """Whether a current session belongs to exactly this person, who is not erased."""
        people = {user} if user else self.accounts_of(lead) or {lead}
        group = self.one_with(lead) if lead else set()
        accounts = people & {*self.status}
        if any(self.status[key] == "deleted" for key in accounts):
            return False
        if not accounts and not any(row.lead_id in group for row in self.identities):
            return False
        if session.client_id:
            return people == {session.client_id}
        if session.lead_id in group:
            return True
        return len(accounts) == len(people) == 1 and all(
            session.lead_id in self.leads_of(account)
            and not self.others_of(session.lead_id, account)
            for account in accounts
        )

    def rows_of(self, user: UUID | None, lead: UUID | None) -> set[UUID]:
        """The keys of all consents and refusals of the person."""
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
    """Erase the account only: the identities of its leads stay."""
    User.objects.filter(pk=user).update(
        status="deleted", deleted_at=START, email=None, display_name=None, password=""
    )


class World:
    """Random accounts and leads with consents. The times are few, so that many coincide."""

    def __init__(self, seed: int, *, sessions: int = 0) -> None:
        self.dice = dice = random.Random(seed)
        self.users = [
            UserFactory(blocked=dice.random() < 0.15).pk for _ in range(dice.randint(1, 5))
        ]
        self.leads = [
            LeadFactory(status=dice.choice(["new", "inactive", "inactive"])).pk
            for _ in range(dice.randint(1, 7))
        ]
        for _ in range(dice.randint(0, 8)):
            self._identify()
        for _ in range(dice.randint(0, 4)):
            self._merge()
        self.taken: set[tuple[UUID | None, str]] = set()
        for _ in range(dice.randint(0, 16)):
            self._add_consent()
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
        if self.dice.random() < 0.45:
            LeadIdentityFactory(lead_id=lead)
            return
        user = self.dice.choice(self.users)
        if not LeadIdentity.objects.filter(lead=lead, user=user).exists():
            LeadIdentityFactory(registered=True, user_id=user, lead_id=lead)

    def _merge(self) -> None:
        unmerged = [*Lead.objects.filter(pk__in=self.leads, merged_into=None).order_by("pk")]
        if len(unmerged) > 1:
            lead, into = self.dice.sample(unmerged, 2)
            users = into.identities.filter(user__isnull=False).values("user")
            lead.identities.filter(user__in=users).delete()
            lead.identities.update(lead=into)
            Lead.objects.filter(pk=lead.pk).update(status="inactive", merged_into=into)

    def _add_consent(self) -> None:
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
