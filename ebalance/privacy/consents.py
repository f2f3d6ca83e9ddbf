"""Consents: a person, as an account, as a lead or as both, agrees to a text, refuses or withdraws.

Rows are evidence: agreeing to a newer text ends the older consent and adds a row. The last
statement of a person about a purpose counts (``mailing``). So each one gets a later time than the
one before, even if the clocks of the hosts differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, models, transaction
from django.db.models import Max, Q
from django.utils import timezone

from audit.services import publish_event
from crm.models import Lead
from crm.services import record_event
from ebalance.db.ids import uuid7
from ebalance.services import (
    MAX_ATTEMPTS,
    Clock,
    IdempotencyConflict,
    Refused,
    RowOrKey,
    constraint_of,
    get_or_refuse,
    lock_rows,
    parse_bool,
    parse_choice,
    parse_text_version,
    parse_uuid,
    storable_arguments,
    to_utc,
    transactional,
)
from identity.errors import LeadOfAnother, VersionOutdated
from identity.models import Consent, User
from identity.querysets import ConsentQuerySet

from .mailing import PURPOSES
from .statements import (
    Statement,
    require_own_or_staff,
    require_status,
    speaker_of,
    version_order,
)
from .subject import (
    DataSubject,
    holders_of_contact,
    lock_subject,
    parse_subject,
)

# A concurrent writer that does not lock the person won: read again and retry.
RETRIED_RULES = {
    "consents_one_active_per_user",
    "consents_one_active_per_lead",
    "consents_pkey",
}
TICK = timedelta(microseconds=1)
LONGEST_PUBLISHED = len("2026-01-07.10")  # a longer version looks like a phone number to the outbox


# -- services --------------------------------------------------------------------------------------


@storable_arguments
def consent_history(
    *, user: RowOrKey[User] | None = None, lead: RowOrKey[Lead] | None = None
) -> models.QuerySet[Consent]:
    """All statements of a person: by purpose, the oldest first.

    The history of an account includes the statements of its leads. The history of a lead includes
    those of its account. Raises NotFound for a value that cannot be a key, InvalidInput if neither
    is given.
    """
    subject = DataSubject.read(*parse_subject(user, lead))
    rows = Consent.objects.filter(subject.own_statements)
    return rows.order_by("consent_type", "granted_at", "pk")


@transactional
def grant_consent(
    *,
    consent_type: str,
    version: str,
    source: str,
    user: RowOrKey[User] | None = None,
    lead: RowOrKey[Lead] | None = None,
    granted: bool = True,
    id: UUID | str | None = None,
    actor: User | None = None,
    clock: Clock = timezone.now,
) -> Consent:
    """The person, known as ``user``, as ``lead`` or as both, agrees to a text, or refuses.

    ``version`` of the text: YYYY-MM-DD or YYYY-MM-DD.n. A repeated call returns the same consent,
    with ``id`` also after its withdrawal. A newer version ends the older consent of the same user
    and lead. A refusal (``granted=False``) ends everything that the person agreed to for this
    purpose. A merged lead is replaced by the lead that it was merged into.

    Raises PersonUnavailable for a blocked person who agrees and for an erased one, VersionOutdated,
    LeadOfAnother, IdempotencyConflict for an id with other content, NotPermitted for an actor who
    is neither the person nor may change consents, NotFound, InvalidInput.
    """
    consent_type = parse_choice(consent_type, Consent.Type, "consent_type")
    version = parse_text_version(version)
    source = parse_choice(source, Consent.Source, "source")
    granted = parse_bool(granted, "granted")
    key = None if id is None else parse_uuid(id, "id")
    user_id, lead_id = parse_subject(user, lead)
    person = lock_subject(user_id, lead_id)
    require_own_or_staff(actor, {user_id} if user_id else person.subject.accounts)
    if user_id and person.subject.accounts - {user_id}:
        raise LeadOfAnother(field="lead")
    statement = Statement(
        consent_type,
        granted,
        version,
        source,
        user_id,
        person.lead,
        person,
        speaker_of(person.subject, user_id, actor),
    )
    for attempt in range(MAX_ATTEMPTS):
        try:
            with transaction.atomic():
                return _record(statement, key, clock)
        except IntegrityError as error:
            if constraint_of(error) not in RETRIED_RULES or attempt == MAX_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


@transactional
def withdraw_consent(
    *,
    consent_type: str | None = None,
    user: RowOrKey[User] | None = None,
    lead: RowOrKey[Lead] | None = None,
    source: str | None = None,
    actor: User | None = None,
    clock: Clock = timezone.now,
) -> list[Consent]:
    """End everything that the person agreed to for a purpose, or for all; returns the ended rows.

    It ends consents of the account and of its leads, and all consents to write to the person's
    contacts, also those that other people gave. A blocked person may withdraw too. ``source`` is
    the channel of the withdrawal, if known. Without an active consent it does nothing.

    Raises NotPermitted for an actor who is neither the person nor may change consents, NotFound,
    InvalidInput.
    """
    if consent_type is not None:
        consent_type = parse_choice(consent_type, Consent.Type, "consent_type")
    if source is not None:
        source = parse_choice(source, Consent.Source, "source")
    user_id, lead_id = parse_subject(user, lead)
    person = lock_subject(user_id, lead_id)
    require_own_or_staff(actor, {user_id} if user_id else person.subject.accounts)
    speaker = speaker_of(person.subject, user_id, actor)
    rows = _lock_statements(person.subject, consent_type, speaker)
    active = lock_rows(rows.active())
    if not active:
        return []
    now = later_than(rows, clock)
    end_consents(active, now)
    for row in active:
        publish_consent_event("consent_withdrawn", row)
    for purpose in dict.fromkeys(row.consent_type for row in active):
        _track(purpose, False, source, now, clock, user=user_id, lead=person.lead)
    return active


@transactional
def withdraw_this_consent(
    consent: RowOrKey[Consent],
    *,
    source: str | None = None,
    actor: User | None = None,
    clock: Clock = timezone.now,
) -> None:
    """The person withdraws the purpose of this row, if the row is active. Repeatable.

    Raises as ``withdraw_consent`` does.
    """
    row = get_or_refuse(Consent.objects.all(), consent)
    if row.status == "active":
        withdraw_consent(
            consent_type=row.consent_type,
            user=row.user_id,
            lead=row.lead_id,
            source=source,
            actor=actor,
            clock=clock,
        )
    if isinstance(consent, Consent):
        consent.refresh_from_db()


# -- steps -----------------------------------------------------------------------------------------


def _record(statement: Statement, key: UUID | None, clock: Clock) -> Consent:
    earlier = Consent.objects.filter(pk=key).first() if key else None
    if earlier is not None:
        if statement.matches(earlier):
            return earlier
        raise IdempotencyConflict(entity=Consent._meta.db_table, id=key)
    if statement.granted:
        return _agree(statement, key, clock)
    return _refuse(statement, key, clock)


def _agree(statement: Statement, key: UUID | None, clock: Clock) -> Consent:
    rows = Consent.objects.filter(
        statement.subject.own_statements, consent_type=statement.consent_type
    )
    active = lock_rows(rows.active().filter(statement.same_speaker))
    same = [row for row in active if row.version == statement.version]
    if not statement.missing_in(same):
        return last_of(same)
    require_status(statement.person.statuses, {"active"})
    older = [row for row in active if row not in same]
    newest = max(older, key=lambda row: version_order(row.version), default=None)
    if newest is not None and version_order(newest.version) > version_order(statement.version):
        raise VersionOutdated(
            entity=newest._meta.db_table, id=newest.pk, status="granted", wanted="granted"
        )
    now = later_than(rows, clock)
    end_consents(older, now)
    row = _insert(statement, key, now, clock, statement.missing_in(same))
    for old in older:
        publish_consent_event("consent_replaced", old, by=row.pk)
    return row


def _refuse(statement: Statement, key: UUID | None, clock: Clock) -> Consent:
    rows = _lock_statements(statement.subject, statement.consent_type, statement.speaker)
    active = lock_rows(rows.active())
    if not active and (refusal := _same_refusal(statement, rows)) is not None:
        return refusal
    require_status(statement.person.statuses, {"active", "blocked"})
    now = later_than(rows, clock)
    end_consents(active, now)
    for row in active:
        publish_consent_event("consent_withdrawn", row)
    return _insert(statement, key, now, clock, statement.missing_in([]))


def _same_refusal(statement: Statement, rows: models.QuerySet[Consent]) -> Consent | None:
    """The refusal that a repeated call returns, if it is the latest statement of both speakers."""
    spoken = rows.filter(statement.same_speaker)
    of_account = [row for row in spoken if statement.user and row.user_id == statement.user]
    of_lead = [row for row in spoken if statement.lead and row.lead_id in statement.subject.named]
    last = [last_of(own) for own in (of_account, of_lead) if own]
    same = [row for row in last if not row.granted and row.version == statement.version]
    if len(same) == len(last) and not statement.missing_in(same):
        return last_of(same)
    return None


def _insert(
    statement: Statement,
    key: UUID | None,
    now: datetime,
    clock: Clock,
    speaker: dict[str, UUID],
) -> Consent:
    row = Consent(
        id=key or uuid7(),
        **speaker,
        consent_type=statement.consent_type,
        granted=statement.granted,
        version=statement.version,
        source=statement.source,
        granted_at=now,
    )
    row.save(force_insert=True)
    publish_consent_event("consent_granted" if row.granted else "consent_refused", row)
    _track(
        row.consent_type,
        row.granted,
        row.source,
        now,
        clock,
        user=statement.user,
        lead=statement.lead,
    )
    return row


def _lock_statements(
    subject: DataSubject, consent_type: str | None, speaker: UUID | None
) -> ConsentQuerySet:
    """The statements that a refusal of this purpose, or of all, ends. Locks their leads.

    ``speaker`` is the account that refuses: a consent of another account of a shared lead stays.
    """
    condition = subject.own_statements
    if speaker is not None:
        condition &= Q(user=speaker) | Q(user=None)
    for channel, purpose in PURPOSES.items():
        if consent_type not in (None, purpose):
            continue
        accounts, leads = holders_of_contact(subject, channel, speaker=speaker)
        # Lock the leads before their consents, as every consent service does.
        lock_rows(Lead.objects.filter(pk__in=leads - subject.leads))
        condition |= Q(consent_type=purpose) & (Q(user__in=accounts) | Q(user=None, lead__in=leads))
    rows = Consent.objects.filter(condition)
    return rows if consent_type is None else rows.filter(consent_type=consent_type)


def end_consents(rows: Iterable[Consent], now: datetime) -> None:
    for row in rows:
        row.revoked_at = now
        row.save(update_fields=["revoked_at"])


def publish_consent_event(event: str, row: Consent, **facts: object) -> None:
    version = row.version if len(row.version) <= LONGEST_PUBLISHED else None
    publish_event(event, row, consent_type=row.consent_type, version=version, **facts)


def _track(
    consent_type: str,
    granted: bool,
    source: str | None,
    now: datetime,
    clock: Clock,
    *,
    user: UUID | None,
    lead: UUID | None,
) -> None:
    """Record the event of the tracking plan, which covers the site only; ignore refusals."""
    if source != "web":
        return
    with suppress(Refused):
        record_event(
            "consent_updated",
            source=source,
            occurred_at=now,
            # An event with both would add the account to the identities of the lead.
            user=user,
            lead=None if user else lead,
            properties={"consent_type": consent_type, "new_value": granted},
            clock=clock,
        )


def last_of(rows: Iterable[Consent]) -> Consent:
    return max(rows, key=lambda row: (row.granted_at, row.pk))


def later_than(rows: models.QuerySet[Consent], clock: Clock) -> datetime:
    """The current time, or the tick after the last time in ``rows``, whichever is later."""
    times = rows.aggregate(Max("granted_at"), Max("revoked_at")).values()
    now = to_utc(clock(), "clock")
    return max([now, *(time + TICK for time in times if time is not None)])
