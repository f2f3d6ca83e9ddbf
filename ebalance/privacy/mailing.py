"""Whether we may contact a person: one SQL expression, for one person and for a whole mailing.

The person's last statement about the purpose counts, given as an account or as a lead
(``subject``). We may contact with an active consent, unless a later statement refuses or withdraws.
A consent of a shared lead counts for neither account, a refusal counts for both. We may contact a
shared lead if we may contact both accounts. Blocked and deleted accounts, and leads without
identities (left by an erasure), are not contacted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.db.models import BooleanField, Func, UUIDField, Value
from django.utils import timezone

from booking.models import Appointment
from booking.models.messages import CONSENT_OF_CHANNEL
from crm.models import Lead
from ebalance.services import Clock, InvalidInput, NotFound, RowOrKey, storable_arguments, to_utc
from identity.models import User

from .subject import parse_key, parse_subject, persons_sql

# The consent that each channel needs.
PURPOSES = CONSENT_OF_CHANNEL

# For how long after a session was moved or canceled we may write about it (news, refund).
RECENT = timedelta(days=3)

# A withdrawal at the same time as a consent belongs to the older version that it replaced.
CAN_CONTACT = """
(WITH RECURSIVE asked (user_id, lead_id) AS (SELECT ({user})::uuid, ({lead})::uuid), {persons},
    spoken AS MATERIALIZED (
        SELECT user_id, lead_id, granted, granted_at, revoked_at FROM consents
        WHERE consent_type = %s AND user_id = ANY (ARRAY(SELECT key FROM accounts))
        UNION ALL
        SELECT user_id, lead_id, granted, granted_at, revoked_at FROM consents
        WHERE consent_type = %s AND user_id IS NULL
          AND lead_id = ANY (ARRAY(SELECT lead_id FROM reach))
    ),
    statements (key, granted, granted_at, revoked_at, counts) AS (
        SELECT user_id, granted, granted_at, revoked_at, true FROM spoken WHERE user_id IS NOT NULL
        UNION ALL
        SELECT r.key, s.granted, s.granted_at, s.revoked_at,
            (r.key, r.start_id) NOT IN (SELECT key, start_id FROM shared)
        FROM reach r JOIN spoken s USING (lead_id)
        WHERE s.user_id IS NULL
    ),
    reachable (key) AS MATERIALIZED (
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
            FROM statements GROUP BY key
        ) last_statements
        WHERE agreed_at IS NOT NULL
          AND coalesce(refused_at < agreed_at, true)
          AND coalesce(withdrawn_at <= agreed_at, true)
    )
SELECT coalesce(bool_and(
    key IN (SELECT key FROM reachable) AND key IN (SELECT key FROM agreed)), false){service}
FROM people)
"""

# A message about a session of exactly this person needs no consent. A blocked person still gets it
# (a cancellation); an erased person does not.
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
              WHERE NOT EXISTS (
                  SELECT FROM reach r JOIN shared s USING (key, start_id)
                  WHERE r.lead_id = n.lead_id AND NOT s.is_now)
              UNION ALL
              SELECT r.lead_id FROM reach r
              WHERE (SELECT count(*) FROM people) = 1
                AND (r.key, r.start_id) NOT IN (SELECT key, start_id FROM shared))
          END
      AND NOT EXISTS (
          SELECT FROM people p
          WHERE CASE WHEN p.is_user
              THEN NOT EXISTS (SELECT FROM users u WHERE u.id = p.key AND u.status <> 'deleted')
              ELSE p.key NOT IN (SELECT key FROM reachable) END))
"""


@storable_arguments
def can_contact(
    channel: str,
    *,
    user: RowOrKey[User] | None = None,
    lead: RowOrKey[Lead] | None = None,
    about: RowOrKey[Appointment] | None = None,
    clock: Clock = timezone.now,
) -> bool:
    """Whether we may contact this person by ``channel``, email or telegram. One query.

    ``about`` is an appointment. A message about an appointment of exactly this person needs no
    consent while it is ahead or under way, and for three days (RECENT) after it was moved or
    canceled. Erased people are not contacted. False for an unknown person. Raises InvalidInput for
    another channel.
    """
    purpose = purpose_of(channel)
    now = to_utc(clock(), "clock")
    try:
        user_id, lead_id = parse_subject(user, lead)
        about_id = parse_key(about, "appointment")
    except NotFound:
        return False
    sql, params = condition_sql(purpose, user="%s", lead="%s", about=about_id, now=now)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", [user_id, lead_id, *params])
        (answer,) = cursor.fetchone()
    return bool(answer)


def users_to_contact(channel: str = "email") -> models.QuerySet[User]:
    """All accounts that we may contact, in one query."""
    return User.objects.filter(CanContact(channel, user="pk"))


def leads_to_contact(channel: str = "email") -> models.QuerySet[Lead]:
    """All leads that we may contact. ``users_to_contact`` includes those with an account."""
    return Lead.objects.filter(CanContact(channel, lead="pk"))


class CanContact(Func):
    """True for the account ``user``, the lead ``lead``, that we may contact by ``channel``.

    ``User.objects.filter(CanContact("email", user="pk"))`` is a mailing, in one query. If a
    row has both, such as an appointment, all people whom they name must have agreed. Raises
    InvalidInput for an unknown channel.
    """

    output_field = BooleanField()

    def __init__(self, channel: str, *, user: Any = None, lead: Any = None) -> None:
        self.purpose = purpose_of(channel)
        null = Value(None, UUIDField())
        super().__init__(*(null if value is None else value for value in (user, lead)))

    def as_sql(self, compiler: Any, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        (user, of_user), (lead, of_lead) = map(compiler.compile, self.get_source_expressions())
        sql, params = condition_sql(self.purpose, user=user, lead=lead)
        return sql, (*of_user, *of_lead, *params)


def condition_sql(
    purpose: str,
    *,
    user: str,
    lead: str,
    about: UUID | None = None,
    now: datetime | None = None,
) -> tuple[str, list[Any]]:
    """The expression over the SQL of a user and a lead, and the parameters after theirs."""
    params: list[Any] = [purpose, purpose]
    if about is not None and now is not None:
        params += [about, now, now - RECENT, now - RECENT]
    service = SERVICE if about is not None else ""
    sql = CAN_CONTACT.format(user=user, lead=lead, persons=persons_sql(), service=service)
    return sql, params


def purpose_of(channel: str) -> str:
    """The consent that a channel needs. Raises InvalidInput."""
    if not isinstance(channel, str) or channel not in PURPOSES:
        raise InvalidInput(field="channel")
    return PURPOSES[channel]
