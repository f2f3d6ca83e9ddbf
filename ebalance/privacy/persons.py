"""Who is one person: an account, and the leads that it is known as.

A person who registered is the account, and every lead that has it among its identities, or gave a
consent together with it; and what was merged into these leads or they were merged into, while the
outbox remembers the merge (merge_leads). Whoever has not registered is a lead with its merges.

A lead may be known as two accounts. Then nobody can say which of them spoke as the lead: such a
lead is "shared".
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection
from django.db.models import Q

from ebalance.db.contacts import ContactInvalid, normalise
from ebalance.db.encryption.fields import SealingError
from ebalance.privacy.subject import CONTACTS, with_merged
from ebalance.services import InvalidInput, NotFound, RowOrKey, key_of, lock_rows

# Common table expressions over asked (user_id, lead_id), one row of which either may be NULL:
#   named   the lead asked for, with its merges
#   people  whom it is about: accounts; and the lead's own key where it is known as none
#   reach   the leads of each; those with the same start_id are one by their merges
#   shared  of which of them nobody can say who spoke as them
# ``merges`` does not depend on who is asked for: in a query over many people it runs once. The rest
# runs for each; arrays, not joins, so that tables are read by their indexes.
PERSONS = """
    merges (lead_id, into_id) AS MATERIALIZED (
        SELECT last.lead_id, last.into_id
        FROM (
            SELECT DISTINCT ON (aggregate_id) aggregate_id AS lead_id,
                CASE WHEN payload ->> 'into' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                     THEN (payload ->> 'into')::uuid END AS into_id
            FROM outbox_events
            WHERE aggregate_type = 'leads' AND event_type = 'lead_merged'
            ORDER BY aggregate_id, created_at DESC, id DESC
        ) last
        -- One that is in use again is no merged one.
        WHERE last.into_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM leads l
            WHERE l.id = last.lead_id AND (l.status <> 'inactive' OR EXISTS (
                SELECT FROM lead_identities i WHERE i.lead_id = l.id)))
    ),
    links (lead_id, other_id) AS MATERIALIZED (
        SELECT lead_id, into_id FROM merges UNION SELECT into_id, lead_id FROM merges
    ),
    known (user_id, lead_id) AS NOT MATERIALIZED (
        SELECT user_id, lead_id FROM lead_identities WHERE user_id IS NOT NULL
        UNION ALL
        SELECT user_id, lead_id FROM consents WHERE user_id IS NOT NULL AND lead_id IS NOT NULL
    ),
    named (lead_id) AS (
        SELECT lead_id FROM asked WHERE lead_id IS NOT NULL
        UNION
        SELECT l.other_id FROM named n JOIN links l USING (lead_id)
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
        SELECT r.key, r.start_id, l.other_id FROM reach r JOIN links l USING (lead_id)
    ),
    near (user_id, lead_id) AS MATERIALIZED (
        SELECT user_id, lead_id FROM known WHERE lead_id = ANY (ARRAY(SELECT lead_id FROM reach))
    ),
    shared (key, start_id) AS (
        SELECT r.key, r.start_id
        FROM reach r JOIN near n USING (lead_id)
        WHERE n.user_id <> r.key
        UNION
        -- It was two people's when one of them was erased.
        SELECT r.key, r.start_id
        FROM reach r JOIN outbox_events o ON o.aggregate_id = r.lead_id
        WHERE o.aggregate_type = 'leads' AND o.event_type = 'lead_shared'
    )
"""

READ = f"""
WITH RECURSIVE asked (user_id, lead_id) AS (SELECT %s::uuid, %s::uuid), {PERSONS}
SELECT 'user', key, NULL, NULL FROM accounts
UNION ALL
SELECT 'lead', found.lead_id, m.into_id, found.lead_id IN (SELECT lead_id FROM named)
FROM (SELECT lead_id FROM named UNION SELECT lead_id FROM reach) found
LEFT JOIN merges m USING (lead_id)
"""


@dataclass(frozen=True)
class Person:
    """The keys of a person's accounts and leads, as far as known."""

    users: frozenset[UUID]
    leads: frozenset[UUID]
    named: frozenset[UUID]  # of the leads those that are the one asked for, by their merges
    into: dict[UUID, UUID] = field(hash=False)  # merged lead to the other one

    @classmethod
    def read(cls, user: UUID | None, lead: UUID | None) -> Person:
        with connection.cursor() as cursor:
            cursor.execute(READ, [user, lead])
            rows = cursor.fetchall()
        leads = [row for row in rows if row[0] == "lead"]
        return cls(
            users=frozenset(key for kind, key, *_ in rows if kind == "user"),
            leads=frozenset(key for _, key, *_ in leads),
            named=frozenset(key for _, key, _, is_named in leads if is_named),
            into={key: into for _, key, into, _ in leads if into is not None},
        )

    @property
    def spoke(self) -> Q:
        """Rows with a user and a lead that this person wrote.

        A row that names its user is that user's alone, whoever else its lead is known as.
        """
        return Q(user__in=self.users) | Q(user=None, lead__in=self.leads)

    def lead_now(self, lead: UUID) -> UUID:
        """The lead, or the one that it was merged into."""
        passed: set[UUID] = set()
        while lead in self.into and lead not in passed:
            passed.add(lead)
            lead = self.into[lead]
        return lead


def locked_person(user: UUID | None, lead: UUID | None) -> tuple[Person, dict[UUID, str]]:
    """The person as it is now, first its accounts, then its leads locked; and status by account.

    Raises NotFound for an account, and a lead, that is none (any more).
    """
    users, leads = apps.get_model("identity.User").objects, apps.get_model("crm.Lead").objects
    person = Person.read(user, lead)
    while True:
        accounts = {row.pk: row.status for row in lock_rows(users.filter(pk__in=person.users))}
        there = {row.pk for row in lock_rows(leads.filter(pk__in=person.leads))}
        # Whoever got in before may have merged a lead, or told whose it is.
        now = Person.read(user, lead)
        if now == person:
            break
        person = now
    if user is not None and user not in accounts:
        raise NotFound(what="user")
    if lead is not None and person.lead_now(lead) not in there:
        raise NotFound(what="lead")
    return person, accounts


def known_by_contact(person: Person, channel: str) -> tuple[set[UUID], set[UUID]]:
    """Accounts, and leads that are nobody's account, that have this person's contact.

    Anybody may have typed a contact: what is agreed to does not count for these, but where somebody
    who has the contact says no, nobody is to write to it.
    """
    column = CONTACTS[channel]
    users, leads = apps.get_model("identity.User").objects, apps.get_model("crm.Lead").objects
    identities = apps.get_model("crm.LeadIdentity").objects
    if person.users:
        own = users.filter(pk__in=person.users).values_list(column, flat=True)
    else:
        own = [_contact_of(row, channel) for row in identities.filter(lead__in=person.leads)]
    accounts: set[UUID] = set()
    found: set[UUID] = set()
    for text in {*own} - {None}:
        accounts |= set(users.filter(**{column: text}).values_list("pk", flat=True))
        with suppress(ContactInvalid):  # it may be older than what a contact is now
            found |= set(leads.find_by_contact(**{channel: text}).values_list("pk", flat=True))
    claimed = identities.filter(lead__in=found, user__isnull=False).values_list("lead", flat=True)
    return accounts, with_merged(found - set(claimed))


def _contact_of(row: Any, channel: str) -> str | None:
    """What an identity says of this channel; None also where it does not open."""
    value = row.telegram_user_id if channel == "telegram" else getattr(row, f"{channel}_encrypted")
    if value is None or isinstance(value, str):
        return value
    with suppress(SealingError, ContactInvalid):
        return normalise(channel, value.open())
    return None


def asked(user: RowOrKey | None, lead: RowOrKey | None) -> tuple[UUID | None, UUID | None]:
    """The keys of who is asked for. Raises InvalidInput for nobody, NotFound for what is no key."""
    if user is None and lead is None:
        raise InvalidInput(field="user")
    return a_key(user, "user"), a_key(lead, "lead")


def a_key(row_or_key: RowOrKey | None, what: str) -> UUID | None:
    """Raises NotFound for what is none."""
    if row_or_key is None:
        return None
    key = key_of(row_or_key)
    try:
        return key if isinstance(key, UUID) else UUID(key)
    except (ValueError, TypeError, AttributeError):
        raise NotFound(what=what) from None
