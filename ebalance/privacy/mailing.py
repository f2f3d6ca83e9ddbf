"""Whether we may write to a person: one expression, for one person and for a whole mailing.

What counts is the last that the person said about the purpose, as an account or as a lead
(persons.py): we may with an active consent, unless something was refused or withdrawn later.
Nobody speaks for another: what was agreed to as a lead that is known as two accounts counts for
neither, what was refused counts for both; and to such a lead we write if we may to both. Whoever is
blocked or deleted, and a lead by which nobody can be recognised (what erasure leaves), are not
written to.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, Func, UUIDField, Value

from ebalance.services import InvalidInput

from .persons import PERSONS

# By which channel, with which consent.
PURPOSES = {"email": "communications", "telegram": "telegram"}

# A session that was moved or canceled is still written about for so long: the news, the refund.
RECENT = timedelta(days=3)

# A withdrawal at the very moment of a consent is an older version that ended with it.
MAY_MAIL = """
(WITH RECURSIVE asked (user_id, lead_id) AS (SELECT ({user})::uuid, ({lead})::uuid), {persons},
    spoken AS MATERIALIZED (
        SELECT user_id, lead_id, granted, granted_at, revoked_at FROM consents
        WHERE consent_type = %s AND user_id = ANY (ARRAY(SELECT key FROM accounts))
        UNION ALL
        SELECT user_id, lead_id, granted, granted_at, revoked_at FROM consents
        WHERE consent_type = %s AND user_id IS NULL
          AND lead_id = ANY (ARRAY(SELECT lead_id FROM reach))
    ),
    said (key, granted, granted_at, revoked_at, counts) AS (
        SELECT user_id, granted, granted_at, revoked_at, true FROM spoken WHERE user_id IS NOT NULL
        UNION ALL
        SELECT r.key, s.granted, s.granted_at, s.revoked_at,
            (r.key, r.start_id) NOT IN (SELECT key, start_id FROM shared)
        FROM reach r JOIN spoken s USING (lead_id)
        WHERE s.user_id IS NULL
    ),
    there (key) AS MATERIALIZED (
        SELECT id FROM users
        WHERE status = 'active' AND id = ANY (ARRAY(SELECT key FROM accounts))
        UNION ALL
        SELECT p.key FROM people p
        WHERE NOT p.is_user AND EXISTS (
            SELECT FROM lead_identities
            WHERE lead_id = ANY (ARRAY(SELECT r.lead_id FROM reach r WHERE r.key = p.key)))
    ),
    agreed (key) AS (
        SELECT key
        FROM (
            SELECT key,
                max(granted_at) FILTER (
                    WHERE granted AND revoked_at IS NULL AND counts) AS agreed_at,
                max(granted_at) FILTER (WHERE NOT granted) AS refused_at,
                max(revoked_at) AS withdrawn_at
            FROM said GROUP BY key
        ) last
        WHERE agreed_at IS NOT NULL
          AND coalesce(refused_at < agreed_at, true)
          AND coalesce(withdrawn_at <= agreed_at, true)
    )
SELECT coalesce(bool_and(
    key IN (SELECT key FROM there) AND key IN (SELECT key FROM agreed)), false){service}
FROM people)
"""

# About a session of exactly this person, which needs no consent; also to somebody who is blocked
# since: it is to be told that the session is off. Nobody writes to who was erased.
SERVICE = """
OR EXISTS (
    SELECT FROM appointments a
    WHERE a.id = %s
      AND (a.status IN ('pending_payment', 'paid', 'confirmed') AND a.end_at_utc > %s
           OR a.status = 'canceled' AND a.canceled_at > %s
           OR a.status = 'rescheduled' AND EXISTS (
               SELECT FROM appointments n
               WHERE n.rescheduled_from_id = a.id AND n.created_at > %s))
      AND CASE WHEN a.client_user_id IS NOT NULL
          THEN ARRAY[a.client_user_id] = ARRAY(SELECT key FROM accounts)
          ELSE a.lead_id IN (
              SELECT n.lead_id FROM named n JOIN asked ON user_id IS NULL
              UNION ALL
              SELECT r.lead_id FROM reach r
              WHERE (SELECT count(*) FROM people) = 1
                AND (r.key, r.start_id) NOT IN (SELECT key, start_id FROM shared))
          END
      AND NOT EXISTS (
          SELECT FROM people p
          WHERE CASE WHEN p.is_user
              THEN NOT EXISTS (SELECT FROM users u WHERE u.id = p.key AND u.status <> 'deleted')
              ELSE p.key NOT IN (SELECT key FROM there) END))
"""


class MayBeWritten(Func):
    """True for the account ``user``, the lead ``lead``, that we may write to by ``channel``.

    ``User.objects.filter(MayBeWritten("email", user="pk"))`` is a mailing, in one query. Of a row
    that has both, an appointment, all whom they name are asked. Raises InvalidInput for an unknown
    channel.
    """

    output_field = BooleanField()

    def __init__(self, channel: str, *, user: Any = None, lead: Any = None) -> None:
        self.purpose = purpose_of(channel)
        nobody = Value(None, UUIDField())
        super().__init__(*(nobody if one is None else one for one in (user, lead)))

    def as_sql(self, compiler: Any, *_: Any, **__: Any) -> tuple[str, list[Any]]:
        (user, of_user), (lead, of_lead) = map(compiler.compile, self.get_source_expressions())
        sql, params = question(self.purpose, user=user, lead=lead)
        return sql, [*of_user, *of_lead, *params]


def may_write(
    purpose: str, *, user: UUID | None, lead: UUID | None, about: UUID | None, now: datetime
) -> bool:
    """Whether we may write to this person for ``purpose``, or about an appointment. One query."""
    sql, params = question(purpose, user="%s", lead="%s", about=about, now=now)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", [user, lead, *params])
        (answer,) = cursor.fetchone()
    return bool(answer)


def question(
    purpose: str,
    *,
    user: str,
    lead: str,
    about: UUID | None = None,
    now: datetime | None = None,
) -> tuple[str, list[Any]]:
    """The expression over the SQL of a user and a lead; and its values after theirs."""
    params: list[Any] = [purpose, purpose]
    if about is not None and now is not None:
        params += [about, now, now - RECENT, now - RECENT]
    service = SERVICE if about is not None else ""
    return MAY_MAIL.format(user=user, lead=lead, persons=PERSONS, service=service), params


def purpose_of(channel: str) -> str:
    """The consent that a channel needs. Raises InvalidInput."""
    if not isinstance(channel, str) or channel not in PURPOSES:
        raise InvalidInput(field="channel")
    return PURPOSES[channel]
