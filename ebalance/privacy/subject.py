"""The one definition of "who is this person" (privacy.md §5).

A person is an account with its leads, or a lead without an account. Consents, mailing, export and
erasure all use this module.

* A lead and the leads merged into it, or that it was merged into, are one lead (merged_into_id).
* A lead belongs to an account if a row names both: an identity of the lead, a consent, an
  appointment, a waitlist request, a message.
* A lead that belongs to two accounts is shared. Its rows are attributed to neither account. For
  consents and exports the lead stays shared after one account is erased; the erasure of the other
  account removes it.
* For export and erasure, a lead without an account belongs to the account whose contact it has, if
  it has no other contact. Anybody may have typed a contact: a consent of such a lead does not count
  for the account, but a refusal does.
* A browser id belongs to an account if nobody else used it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from uuid import UUID

from django.db import connection
from django.db.models import Q

from crm.models import Lead, LeadIdentity
from crm.services import find_leads_by_contact
from ebalance.db.contacts import ContactInvalid, normalise
from ebalance.db.encryption.envelope import SealingError
from ebalance.db.encryption.values import BlindToken
from ebalance.db.schema.data_map import tables
from ebalance.services import InvalidInput, NotFound, RowOrKey, lock_rows, pk_of, uuid_or_none
from identity.models import CONTACT_COLUMNS, User

from .links import LEADS, PEOPLE, foreign_keys

# Common table expressions over asked (user_id, lead_id), one row; either may be NULL:
#   named   the lead asked for, with its merges
#   people  the accounts; or the lead itself, if it belongs to no account
#   reach   the leads of each; leads with the same start_id are one lead
#   shared  the leads that belong to another account too
# Arrays instead of joins, so that the planner uses indexes.
PERSONS = """
    merges (lead_id, other_id) AS NOT MATERIALIZED (
        SELECT id, merged_into_id FROM leads WHERE merged_into_id IS NOT NULL
        UNION ALL
        SELECT merged_into_id, id FROM leads WHERE merged_into_id IS NOT NULL
    ),
    known (user_id, lead_id) AS NOT MATERIALIZED ({known}),
    named (lead_id) AS (
        SELECT lead_id FROM asked WHERE lead_id IS NOT NULL
        UNION
        SELECT m.other_id FROM named n JOIN merges m USING (lead_id)
    ),
    named_as (key) AS (
        SELECT user_id FROM known WHERE lead_id = ANY (ARRAY(SELECT lead_id FROM named))
    ),
    accounts (key) AS (
        SELECT user_id FROM asked WHERE user_id IS NOT NULL
        UNION
        SELECT key FROM named_as
    ),
    people (key, is_user) AS (
        SELECT key, true FROM accounts
        UNION ALL
        SELECT lead_id, false FROM asked
        WHERE lead_id IS NOT NULL AND NOT EXISTS (SELECT FROM named_as)
    ),
    reach (key, start_id, lead_id) AS (
        (SELECT user_id, lead_id, lead_id FROM known
         WHERE user_id = ANY (ARRAY(SELECT key FROM accounts))
         UNION
         SELECT key, key, key FROM people WHERE NOT is_user)
        UNION
        SELECT r.key, r.start_id, m.other_id FROM reach r JOIN merges m USING (lead_id)
    ),
    others (user_id, lead_id) AS MATERIALIZED (
        SELECT k.user_id, k.lead_id FROM known k
        WHERE k.lead_id = ANY (ARRAY(SELECT lead_id FROM reach))
          AND NOT EXISTS (SELECT FROM users u WHERE u.id = k.user_id AND u.status = 'deleted')
    ),
    shared (key, start_id, is_now) AS (
        SELECT r.key, r.start_id, true
        FROM reach r JOIN others o USING (lead_id)
        WHERE o.user_id <> r.key
        UNION
        SELECT r.key, r.start_id, false
        FROM reach r JOIN outbox_events e ON e.aggregate_id = r.lead_id
        WHERE e.aggregate_type = 'leads' AND e.event_type = 'lead_shared'
    )
"""

READ = """
WITH RECURSIVE asked (user_id, lead_id) AS (SELECT %s::uuid, %s::uuid), {persons}
SELECT 'account', key, NULL::uuid, NULL::boolean FROM accounts
UNION ALL
SELECT 'named', lead_id, NULL, NULL FROM named
UNION ALL
SELECT 'lead', r.lead_id, r.key, (
    SELECT bool_or(s.is_now) FROM shared s WHERE (s.key, s.start_id) = (r.key, r.start_id))
FROM reach r
"""


@cache
def persons_sql() -> str:
    """PERSONS with the tables that name an account and a lead in one row."""
    pairs = [
        f"SELECT {user}, {lead} FROM {table.name} WHERE {user} IS NOT NULL AND {lead} IS NOT NULL"
        for table in tables()
        for user in foreign_keys(table, PEOPLE)
        for lead in foreign_keys(table, LEADS)
    ]
    return PERSONS.format(known=" UNION ALL ".join(pairs))


@dataclass(frozen=True)
class DataSubject:
    """The keys of a person's accounts and leads, read by one query."""

    accounts: frozenset[UUID]
    leads: frozenset[UUID]  # all of them, shared ones included
    named: frozenset[UUID]  # the lead asked for, with its merges
    shared_now: frozenset[UUID]  # leads that another account has too
    shared_before: frozenset[UUID]  # leads that another account had, until it was erased

    @classmethod
    def read(cls, user: UUID | None, lead: UUID | None = None) -> DataSubject:
        with connection.cursor() as cursor:
            cursor.execute(READ.format(persons=persons_sql()), [user, lead])
            rows = cursor.fetchall()
        leads = [(key, is_now) for kind, key, _, is_now in rows if kind == "lead"]
        named = frozenset(key for kind, key, *_ in rows if kind == "named")
        return cls(
            accounts=frozenset(key for kind, key, *_ in rows if kind == "account"),
            leads=named | frozenset(key for key, _ in leads),
            named=named,
            shared_now=frozenset(key for key, is_now in leads if is_now),
            shared_before=frozenset(key for key, is_now in leads if is_now is False),
        )

    @property
    def shared(self) -> frozenset[UUID]:
        return self.shared_now | self.shared_before

    @property
    def own_statements(self) -> Q:
        """Consents that this person gave.

        A row with an account belongs to that account alone, also if it names a lead.
        """
        return Q(user__in=self.accounts) | Q(user=None, lead__in=self.leads)

    def current_lead(self, lead: UUID) -> UUID:
        """The lead, or the one that it was merged into."""
        merged = dict(
            Lead.objects.filter(pk__in=self.named, merged_into__isnull=False).values_list(
                "pk", "merged_into"
            )
        )
        while (target := merged.get(lead)) is not None:
            lead = target
        return lead


@dataclass(frozen=True)
class LockedSubject:
    """A person whose accounts and leads are locked until the transaction ends."""

    subject: DataSubject
    lead: UUID | None  # the lead asked for, or the one that it was merged into
    statuses: dict[UUID, str] = field(hash=False)  # of its accounts


def lock_subject(user: UUID | None, lead: UUID | None) -> LockedSubject:
    """Lock the person's accounts, then the leads, and read the person as it is now.

    Raises NotFound for an account or a lead that does not exist.
    """
    subject = DataSubject.read(user, lead)
    while True:
        accounts = lock_rows(User.objects.filter(pk__in=subject.accounts))
        leads = {row.pk for row in lock_rows(Lead.objects.filter(pk__in=subject.leads))}
        # Another transaction may have merged a lead, or linked it to an account.
        current = DataSubject.read(user, lead)
        if current == subject:
            break
        subject = current
    statuses = {row.pk: row.status for row in accounts}
    if user is not None and user not in statuses:
        raise NotFound(what="user")
    if lead is not None and lead not in leads:
        raise NotFound(what="lead")
    return LockedSubject(subject, lead and subject.current_lead(lead), statuses)


def parse_subject(user: RowOrKey | None, lead: RowOrKey | None) -> tuple[UUID | None, UUID | None]:
    """The keys of the user and the lead given.

    Raises InvalidInput if both are None, NotFound for a value that cannot be a key.
    """
    if user is None and lead is None:
        raise InvalidInput(field="user")
    return parse_key(user, "user"), parse_key(lead, "lead")


def parse_key(row_or_key: RowOrKey | None, what: str) -> UUID | None:
    """Raises NotFound for a value that cannot be a key."""
    if row_or_key is None:
        return None
    key = uuid_or_none(pk_of(row_or_key))
    if key is None:
        raise NotFound(what=what)
    return key


def holders_of_contact(
    subject: DataSubject, channel: str, *, speaker: UUID | None = None
) -> tuple[set[UUID], set[UUID]]:
    """The accounts, and the leads without an account, that have this person's contact.

    Anybody may have typed a contact, so a consent given by such an account or lead does not count
    for this person. A refusal does count: the contact must not be written to afterwards.
    ``speaker`` restricts a shared lead to the contacts of one account.
    """
    column = CONTACT_COLUMNS[channel]
    if subject.accounts:
        accounts_of = User.objects.filter(pk__in={speaker} if speaker else subject.accounts)
        contacts = set(accounts_of.values_list(column, flat=True))
    else:
        identities = LeadIdentity.objects.filter(lead__in=subject.leads)
        contacts = {_open_contact(row, channel) for row in identities}
    accounts: set[UUID] = set()
    leads: set[UUID] = set()
    for text in contacts - {None}:
        accounts |= set(User.objects.filter(**{column: text}).values_list("pk", flat=True))
        with suppress(ContactInvalid):  # an old contact may be invalid by today's rules
            holders = find_leads_by_contact(**{channel: text})
            for lead in holders.values_list("pk", flat=True):
                other = DataSubject.read(None, lead)
                if not other.accounts:
                    leads |= other.named
    return accounts, leads


def _open_contact(row: LeadIdentity, channel: str) -> str | None:
    """The identity's contact of this channel; None if it has none or cannot be decrypted."""
    value = row.telegram_user_id if channel == "telegram" else getattr(row, f"{channel}_encrypted")
    if value is None or isinstance(value, str):
        return value
    with suppress(SealingError, ContactInvalid):
        return normalise(channel, value.open())
    return None


class AccountSubject:
    """An account with its leads and contacts, for export and erasure. Read once, when first used.

    ``is_erasure``: a formerly shared lead belongs to the account once the other account is erased.
    ``remembered`` are the leads of an earlier erasure.
    """

    def __init__(
        self, user_id: UUID, *, remembered: Iterable[UUID] = (), is_erasure: bool = False
    ) -> None:
        self.user_id = user_id
        self.remembered = frozenset(remembered)
        self.is_erasure = is_erasure

    @cached_property
    def subject(self) -> DataSubject:
        return DataSubject.read(self.user_id)

    @cached_property
    def shared(self) -> frozenset[UUID]:
        """Leads whose rows cannot be attributed to one account."""
        return self.subject.shared_now if self.is_erasure else self.subject.shared

    @cached_property
    def leads(self) -> frozenset[UUID]:
        """The account's leads, with their merges, but not the shared ones."""
        leads = self.subject.leads - self.shared
        for lead in ((self._by_contact - self.doubtful) | self.remembered) - self.subject.leads:
            other = DataSubject.read(None, lead)
            is_doubtful = bool(other.shared) and not self.is_erasure
            if not other.accounts and not is_doubtful:
                leads |= other.named
        return leads

    @cached_property
    def doubtful(self) -> frozenset[UUID]:
        """Leads without an account that have a contact of this account and another contact."""
        identities = LeadIdentity.objects.filter(lead__in=self._by_contact)
        foreign = identities.filter(
            (Q(email_bidx__isnull=False) & ~Q(email_bidx__in=self.tokens))
            | (Q(phone_bidx__isnull=False) & ~Q(phone_bidx__in=self.tokens))
            | (Q(telegram_user_id__isnull=False) & ~Q(telegram_user_id__in=self.telegram_ids))
        )
        return frozenset(foreign.values_list("lead", flat=True)) - self.subject.leads

    @cached_property
    def registered(self) -> frozenset[UUID]:
        """Leads with the account among their identities."""
        identities = LeadIdentity.objects.filter(user=self.user_id)
        return frozenset(identities.values_list("lead", flat=True))

    @cached_property
    def tokens(self) -> frozenset[BlindToken]:
        """The blind indexes of the account's contacts."""
        tokens: set[BlindToken] = set()
        for channel, text in self._contacts.items():
            with suppress(ContactInvalid):  # an old contact may be invalid by today's rules
                tokens.add(BlindToken.of(channel, text))
        return frozenset(tokens)

    @cached_property
    def telegram_ids(self) -> frozenset[str]:
        return frozenset(text for channel, text in self._contacts.items() if channel == "telegram")

    @cached_property
    def _by_contact(self) -> frozenset[UUID]:
        """Leads that have a contact of the account. Anybody may have typed it."""
        identities = LeadIdentity.objects.filter(
            Q(email_bidx__in=self.tokens)
            | Q(phone_bidx__in=self.tokens)
            | Q(telegram_user_id__in=self.telegram_ids)
        )
        return frozenset(identities.values_list("lead", flat=True))

    @cached_property
    def _contacts(self) -> dict[str, str]:
        row = User.objects.filter(pk=self.user_id).values(*CONTACT_COLUMNS.values()).first() or {}
        return {c: row[name] for c, name in CONTACT_COLUMNS.items() if row.get(name) is not None}
