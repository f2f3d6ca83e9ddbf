"""People with a row in every table that can hold personal rows, and a mark in every column.

A mark is a text that occurs in one column only. After an erasure, the tests search the whole
database for the marks, by its catalog, and open the sealed values.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection, models
from django.utils import timezone

from audit.models import AuditLogEntry
from audit.services import record_entry
from crm.models import LeadIdentity
from ebalance.actor import acting_as
from ebalance.db import patterns
from ebalance.db.encryption.fields import (
    BlindIndex,
    BlindToken,
    Plaintext,
    SealedField,
    SealingError,
)
from ebalance.db.fields import ClosedSet
from ebalance.db.schema import data_map
from ebalance.db.schema.data_map import Column, tables
from ebalance.privacy.rows import PersonalRows
from identity.models import User
from tests.factories import (
    AnalyticsEventFactory,
    AnonymousQuestionFactory,
    AppointmentFactory,
    AvailabilitySlotFactory,
    ConsentFactory,
    DataExportRequestFactory,
    DeepLinkFactory,
    DiaryEntryFactory,
    ErasureRequestFactory,
    IntakeFormFactory,
    InteractiveRunFactory,
    LeadFactory,
    LeadNoteFactory,
    LeadTimelineEventFactory,
    MessageDeliveryFactory,
    PaymentFactory,
    QuestionAnswerFactory,
    RecoveryCodeFactory,
    RefundFactory,
    ReviewFactory,
    ReviewPublicationConsentFactory,
    ScheduleExceptionFactory,
    SecondFactorFactory,
    SessionNoteFactory,
    UserFactory,
    UserRoleFactory,
    WaitlistRequestFactory,
)
from tests.factories.base import ahead
from tests.factories.payloads import PAYLOADS

LETTERS = string.ascii_lowercase
# P0 columns of people's rows into which people cannot type text of their own.
NOT_CHOSEN = {
    "users.timezone": "an IANA zone",
    "users.session_stamp": "random, set by the database",
    "appointments.timezone": "an IANA zone",
    "schedule_exceptions.timezone": "an IANA zone",
    "availability_slots.schedule_exception_id": "our key",
    "consents.version": "the date of our text",
    "review_publication_consents.version": "the date of our text",
    "anonymous_questions.trigger_flags": "a closed set",
    "analytics_events.schema_version": "our version",
    "message_deliveries.dedupe_key": "our key: the kind, and the id of what it is about",
    "message_deliveries.last_error": "our code",
    "availability_slots.external_event_id": "an event of the practice's own calendar",
    "audit_log_entries.action": "our code",
    "audit_log_entries.entity_type": "our code",
    "audit_log_entries.entity_id": "our key",
    "audit_log_entries.entity_key": "our key",
    "audit_log_entries.old_value": "P0 columns, written by the database",
    "audit_log_entries.new_value": "P0 columns, written by the database",
    "audit_log_entries.origin_salt": "random",
    "analytics_events.event_id": "a random id of the event, created by its sender",
    "lead_timeline_events.event_id": "a random id of the event, created by its sender",
}
# Kept for accounting: ids of the provider and our own ids (classification.ACCOUNTING).
KEPT_MARKS = {
    "payments.provider_payment_id",
    "payments.idempotency_key",
    "refunds.provider_refund_id",
}


class Marks:
    """Creates marks, and records the column ("table.column") of each mark."""

    serial = itertools.count()

    def __init__(self) -> None:
        self.placed: dict[str, list[str]] = {}

    def text(self, column: str) -> str:
        """A code, a slug or an opaque id: letters only, and no part of another mark."""
        number = next(self.serial)
        letters = ""
        for _ in range(5):
            number, letter = divmod(number, 26)
            letters += LETTERS[letter]
        return self.put(column, f"zqx{letters}xqz")

    def digits(self, column: str) -> str:
        return self.put(column, f"4{next(self.serial):07d}46")

    def phone(self, column: str) -> str:
        return "+" + self.digits(column)

    def email(self, column: str) -> str:
        return f"{self.text(column)}@example.com"

    def uuid(self, column: str) -> UUID:
        made = uuid4()
        self.put(column, str(made))
        return made

    def address(self, column: str) -> str:
        return self.put(column, f"2001:db8::{1 + next(self.serial):x}:4646")

    def token(self, column: str, channel: str, contact: str) -> None:
        """The blind index of a contact identifies the contact to anyone who has the key."""
        self.put(column, BlindToken.of(channel, contact).text)

    def put(self, column: str, text: str) -> str:
        self.placed.setdefault(column, []).append(text)
        return text

    def all(self, *, but: Iterable[str] = ()) -> dict[str, str]:
        """The column of each mark."""
        left_out = {*but}
        return {
            mark: column
            for column, marks in self.placed.items()
            for mark in marks
            if column not in left_out
        }


@dataclass
class Marked:
    """A person whose rows have marks."""

    user: User
    marks: Marks
    rows: dict[str, list[models.Model]] = field(default_factory=dict)

    @property
    def pk(self) -> UUID:
        return self.user.pk

    def add(self, row: Any) -> Any:
        self.rows.setdefault(row._meta.db_table, []).append(row)
        return row

    def erased_marks(self) -> dict[str, str]:
        """The marks that an erasure removes."""
        return self.marks.all(but=KEPT_MARKS)


@dataclass
class Shared:
    """Rows that belong to none of the people: the owner, a service and an interactive."""

    owner: User
    service: Any
    interactive: Any

    @classmethod
    def made(cls) -> Shared:
        from tests.factories import InteractiveDefinitionFactory, ServiceFactory

        return cls(
            UserFactory(role="owner"),
            ServiceFactory(published=True),
            InteractiveDefinitionFactory(published=True),
        )


def marked_person(shared: Shared, **account: Any) -> Marked:
    """A person with a row of every kind, and without upcoming sessions."""
    marks = Marks()
    email, phone = marks.email("users.email"), marks.phone("users.phone")
    telegram = marks.digits("users.telegram_user_id")
    given: dict[str, Any] = {
        "email": email,
        "phone": phone,
        "telegram_user_id": telegram,
        "telegram_username": marks.text("users.telegram_username"),
        "display_name": f"Анна {marks.text('users.display_name')}",
        "password": marks.text("users.password"),
        "last_login": timezone.now(),
    }
    one = Marked(UserFactory(**given | account), marks)
    one.add(one.user)
    one.add(UserRoleFactory(user=one.user))
    browser = marks.text("interactive_runs.anonymous_id")
    lead = _lead(one, browser)
    _sessions(one, shared, lead)
    _writings(one, shared)
    _events(one, shared, lead, browser)
    _rights(one, lead)
    _logins(one)
    return one


def _lead(one: Marked, browser: str) -> Any:
    marks, text = one.marks, one.marks.text
    lead = one.add(
        LeadFactory(utm={"utm_source": text("leads.utm"), "utm_term": text("leads.utm")})
    )
    phone = marks.phone("lead_identities.phone_encrypted")
    email = marks.email("lead_identities.email_encrypted")
    marks.token("lead_identities.phone_bidx", "phone", phone)
    marks.token("lead_identities.email_bidx", "email", email)
    for values in (
        {"user": one.user, "is_primary": True},
        {"email_encrypted": Plaintext(email)},
        {"phone_encrypted": Plaintext(phone)},
        {"telegram_user_id": marks.digits("lead_identities.telegram_user_id")},
        {"anonymous_id": marks.text("lead_identities.anonymous_id")},
        {"anonymous_id": browser},
    ):
        one.add(LeadIdentity.objects.create(lead=lead, **values))
    note = LeadNoteFactory(
        lead=lead, note_encrypted=Plaintext(f"Заметка {text('lead_notes.note_encrypted')}")
    )
    one.add(note)
    for subject in (
        {"lead": lead, "anonymous_id": text("deep_links.anonymous_id")},
        {"anonymous_id": browser},
    ):
        link = DeepLinkFactory(
            deep_link_id=text("deep_links.deep_link_id"),
            entity_ref=text("deep_links.entity_ref"),
            source_page=text("deep_links.source_page"),
            **subject,
        )
        one.add(link)
    return lead


def _sessions(one: Marked, shared: Shared, lead: Any) -> None:
    marks, text = one.marks, one.marks.text
    for state, subject in (
        ("completed", {"client": one.user}),
        ("canceled", {"client": one.user, "lead": lead}),
        ("completed", {"client": None, "lead": lead}),
    ):
        appointment = AppointmentFactory(
            service=shared.service,
            slot=AvailabilitySlotFactory(note=f"Заметка {text('availability_slots.note')}"),
            client_request_id=text("appointments.client_request_id"),
            meeting_url=f"https://meet.example.com/{text('appointments.meeting_url')}",
            location_text=text("appointments.location_text"),
            external_calendar_event_id=text("appointments.external_calendar_event_id"),
            deep_link_id=text("appointments.deep_link_id"),
            **{state: True},
            **subject,
        )
        one.add(appointment)
        one.add(appointment.slot)
        payment = PaymentFactory(
            appointment=appointment,
            purpose="full",
            answered=True,
            provider_payment_id=text("payments.provider_payment_id"),
            idempotency_key=text("payments.idempotency_key"),
        )
        refund = RefundFactory(
            payment=payment, provider_refund_id=text("refunds.provider_refund_id")
        )
        one.add(payment)
        one.add(refund)
        for paid in appointment.payments.exclude(pk=payment.pk):
            one.add(paid)
        form = PAYLOADS["intake"] | {"note": f"Ещё {text('intake_forms.payload_encrypted')}"}
        one.add(IntakeFormFactory(appointment=appointment, payload_encrypted=Plaintext(form)))
        note = Plaintext(f"Заметка {text('session_notes.note_encrypted')}")
        one.add(
            SessionNoteFactory(appointment=appointment, author=shared.owner, note_encrypted=note)
        )
        person = {"user": one.user} if appointment.client_id else {"user": None, "lead": lead}
        provider_id = text("message_deliveries.provider_message_id")
        for values in ({}, {"canceled": True, "provider_message_id": provider_id}):
            one.add(MessageDeliveryFactory(appointment=appointment, **person, **values))
    # A colleague's note on their own absence.
    one.add(
        ScheduleExceptionFactory(
            created_by=one.user, note=f"Отпуск {text('schedule_exceptions.note')}"
        )
    )
    for subject in ({"user": one.user}, {"user": None, "lead": lead}):
        contact = marks.email("waitlist_requests.contact_value_encrypted")
        marks.token("waitlist_requests.contact_value_bidx", "email", contact)
        one.add(_waitlist_request(shared, contact, **subject))
    # This request names no person; it belongs to the account with this address.
    marks.token("waitlist_requests.contact_value_bidx", "email", one.user.email)
    one.add(_waitlist_request(shared, one.user.email, user=None))


def _waitlist_request(shared: Shared, contact: str, **subject: Any) -> Any:
    return WaitlistRequestFactory(
        service=shared.service, contact_value_encrypted=Plaintext(contact), **subject
    )


def _writings(one: Marked, shared: Shared) -> None:
    marks, text = one.marks, one.marks.text
    for kind in ("gratitude", "sleep_energy"):
        entry = PAYLOADS[f"diary_{kind}"] | {"note": text("diary_entries.payload_encrypted")}
        diary = DiaryEntryFactory(
            user=one.user, diary_type=kind, payload_encrypted=Plaintext(entry)
        )
        one.add(diary)
    column = "anonymous_questions.contact_value_encrypted"
    for user, contact in (
        (one.user, marks.email(column)),
        (None, one.user.phone),
        (one.user, None),
    ):
        question = AnonymousQuestionFactory(
            user=user,
            approved=True,
            question_text_encrypted=Plaintext(
                f"Почему {text('anonymous_questions.question_text_encrypted')}?"
            ),
            contact_value_encrypted=contact and Plaintext(contact),
        )
        one.add(question)
        answer = QuestionAnswerFactory(
            question=question,
            answered_by=shared.owner,
            answer_text_encrypted=Plaintext(text("question_answers.answer_text_encrypted")),
        )
        one.add(answer)
        question.status, question.answered_at = "answered", timezone.now()
        question.save(update_fields=["status", "answered_at"])
    for state in ("draft", "pending", "published", "unpublished"):
        review = ReviewFactory(
            user=one.user,
            status=state,
            review_text_encrypted=Plaintext(text("reviews.review_text_encrypted")),
        )
        one.add(review)
    one.add(ReviewPublicationConsentFactory(review=review, refused=True))


def _events(one: Marked, shared: Shared, lead: Any, browser: str) -> None:
    marks, text = one.marks, one.marks.text
    timeline = LeadTimelineEventFactory(
        lead=lead,
        deep_link_id=text("lead_timeline_events.deep_link_id"),
        properties={
            "entry_point": "seo",
            "page_path": f"/{text('lead_timeline_events.properties')}",
            "topic": "anxiety",
        },
    )
    one.add(timeline)
    for subject in (
        {"user_id": one.pk, "anonymous_id": text("analytics_events.anonymous_id")},
        {"lead_id": lead.pk, "anonymous_id": None},
        {"anonymous_id": browser},
    ):
        path = f"/{text('analytics_events.properties')}"
        event = AnalyticsEventFactory(
            session_id=marks.uuid("analytics_events.session_id"),
            page={
                "page_path": f"/{text('analytics_events.page')}",
                "referrer_host": f"{text('analytics_events.page')}.ru",
            },
            acquisition={
                "entry_point": "seo",
                "utm_source": text("analytics_events.acquisition"),
                "utm_campaign": text("analytics_events.acquisition"),
            },
            properties={"page_path": path, "content_slug": text("analytics_events.properties")},
            **subject,
        )
        one.add(event)
    for user, completed in ((one.user, True), (None, False)):
        run = InteractiveRunFactory(
            interactive_definition=shared.interactive,
            user=user,
            anonymous_id=browser,
            session_id=marks.uuid("interactive_runs.session_id"),
            deep_link_id=text("interactive_runs.deep_link_id"),
            completed=completed,
        )
        one.add(run)


def _rights(one: Marked, lead: Any) -> None:
    for consent in (
        ConsentFactory(user=one.user),
        ConsentFactory(user=one.user, lead=lead, consent_type="communications"),
        ConsentFactory(user=None, lead=lead, consent_type="telegram"),
        ConsentFactory(user=one.user, consent_type="telegram", revoked=True),
    ):
        one.add(consent)
    for state in ("ready", "failed"):
        request = DataExportRequestFactory(user=one.user, **{state: True})
        if state == "ready":
            name = f"{request.pk}-{one.marks.uuid('data_export_requests.file_url').hex}.zip"
            one.marks.placed["data_export_requests.file_url"] = [name]
            request.file_url = f"exports/{name}"
            request.save(update_fields=["file_url"])
        one.add(request)
    one.add(ErasureRequestFactory(user=one.user, refused=True))
    one.add(ErasureRequestFactory(user=one.user))


def _logins(one: Marked) -> None:
    text = one.marks.text
    data = {"_auth_user_id": str(one.pk), "data": text("django_session.session_data")}
    session = Session.objects.create(
        session_key=one.marks.put("django_session.session_key", f"zqx{uuid4().hex[:20]}"),
        session_data=SessionStore().encode(data),
        expire_date=ahead(days=1),
    )
    one.add(session)
    secret = Plaintext(text("second_factors.secret_encrypted"))
    second_factor = one.add(SecondFactorFactory(user=one.user, secret_encrypted=secret))
    hashed = f"argon2${text('recovery_codes.code_hash')}{'x' * 20}"
    one.add(RecoveryCodeFactory(second_factor=second_factor, code_hash=hashed))
    for actor, action in ((one.user, "login"), (None, "login_failed")):
        with acting_as(
            actor,
            ip_address=one.marks.address("audit_log_entries.ip_address"),
            user_agent=f"Mozilla {text('audit_log_entries.user_agent')}",
        ):
            key = record_entry(action, one.user)
        one.add(AuditLogEntry.objects.get(pk=key))


# -- completeness ---------------------------------------------------------------------------------


def tables_of_people() -> list[data_map.Table]:
    """The tables that can hold rows of a person."""
    missing_person = PersonalRows(UUID(int=0))
    return [table for table in tables() if missing_person.rows(table) is not None]


def takes_text(column: Column) -> bool:
    """Whether a person's own words or numbers fit into the column."""
    kind = column.field
    assert kind is not None
    if column.privacy != "P0":
        return not (kind.is_relation or isinstance(kind, ClosedSet | models.DateField))
    if kind.primary_key and isinstance(kind, models.UUIDField):
        return False
    is_free = isinstance(
        kind,
        models.TextField
        | models.CharField
        | models.JSONField
        | models.UUIDField
        | models.GenericIPAddressField,
    ) or hasattr(kind, "base_field")
    is_reference = kind.is_relation or column.declared.links_person
    return is_free and not (is_reference or isinstance(kind, ClosedSet))


def unmarked(one: Marked) -> list[str]:
    """Tables without a row of this person, and columns without a mark in any of the rows."""
    person, missing = PersonalRows(one.pk), []
    for table in tables_of_people():
        rows = person.rows(table)
        assert rows is not None
        if not rows.exists():
            missing.append(table.name)
            continue
        for column in table.columns:
            if takes_text(column) and str(column) not in NOT_CHOSEN:
                marks = one.marks.placed.get(str(column), [])
                if not marks or not _holds(rows, column, marks):
                    missing.append(str(column))
    return missing


def _holds(rows: models.QuerySet, column: Column, marks: list[str]) -> bool:
    name = column.field.attname  # type: ignore[union-attr]
    for row in rows:
        value = getattr(row, name)
        if isinstance(column.field, BlindIndex):
            value = value and value.text
        elif isinstance(column.field, SealedField):
            value = value and value.open()
        elif column.name == "session_data":
            value = row.get_decoded()
        if any(mark in str(value) for mark in marks):
            return True
    return False


# -- searching ------------------------------------------------------------------------------------

SEALED = re.compile(patterns.SEALED.strip("^$").replace("{39,}", "{39,}+"))

COLUMNS = """
SELECT c.relname, a.attname, a.atttypid::regtype::text
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm')
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, a.attnum
"""


def search(marks: Mapping[str, str], cursor: Any = None) -> list[str]:
    """The columns that contain the marks, raw or opened: "table.column: marked column", sorted.

    ``cursor`` belongs to the database that is searched; the default is the tests' own database.
    """
    if cursor is None:
        with connection.cursor() as own:
            return search(marks, own)
    wanted = re.compile("|".join(map(re.escape, sorted(marks)))) if marks else None
    matches: set[str] = set()
    for table, row_id, column, text in _texts(cursor):
        for opened in (text, *_opened(table, column, row_id, text)):
            for mark in wanted.findall(opened) if wanted else ():
                matches.add(f"{table}.{column}: {marks[mark]}")
    return sorted(matches)


def _texts(cursor: Any) -> Iterator[tuple[str, str, str, str]]:
    """Table, key of the row, column and value as text, for every value of the database."""
    cursor.execute(COLUMNS)
    by_table: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in cursor.fetchall():
        by_table.setdefault(table, []).append((column, kind))
    for table, columns in by_table.items():
        selected = [_as_text(name, kind) for name, kind in columns]
        key = next((f'"{n}"::text' for n, _ in columns if n == "id"), "ctid::text")
        cursor.execute(f'SELECT {key}, {", ".join(selected)} FROM public."{table}"')
        for row_id, *values in cursor.fetchall():
            for (column, _), value in zip(columns, values, strict=True):
                if value is not None:
                    yield table, row_id, column, value
                if table == "django_session" and column == "session_data" and value is not None:
                    yield table, row_id, column, str(SessionStore().decode(value))


def _as_text(name: str, kind: str) -> str:
    if kind == "bytea":
        return f"""encode("{name}", 'escape') || ' ' || encode("{name}", 'hex')"""
    return f'host("{name}")' if kind == "inet" else f'"{name}"::text'


def _opened(table: str, column: str, row_id: str, text: str) -> Iterator[str]:
    """The opened values of the sealed texts in ``text``.

    In a column that is not sealed itself, the fields of all sealed columns are tried.
    """
    for sealed in SEALED.findall(text) if "v1." in text else ():
        own = SEALED_FIELDS.get((table, column))
        for kind in [own] if own else SEALED_FIELDS.values():
            try:
                yield str(kind.opened(sealed, UUID(row_id)))
            except (SealingError, ValueError):
                continue


SEALED_FIELDS: dict[tuple[str, str], SealedField] = {
    (column.table.name, column.name): column.field
    for column in data_map.columns()
    if isinstance(column.field, SealedField)
}


# Copies of values that belong to no table: planner statistics, large objects, comments, sequences.
ELSEWHERE = {
    "pg_stats": """
        SELECT schemaname || '.' || tablename || '.' || attname, concat_ws(
            ' ', most_common_vals::text, histogram_bounds::text, most_common_elems::text)
        FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
    """,
    "pg_stats_ext": """
        SELECT statistics_schemaname || '.' || statistics_name, most_common_vals::text
        FROM pg_stats_ext
    """,
    "pg_largeobject": """
        SELECT loid::text, string_agg(encode(data, 'escape'), '' ORDER BY pageno)
        FROM pg_largeobject GROUP BY loid
    """,
    "pg_description": "SELECT objoid::regclass::text, description FROM pg_description",
    "pg_shdescription": "SELECT classoid::regclass::text, description FROM pg_shdescription",
    "pg_sequences": """
        SELECT schemaname || '.' || sequencename, concat_ws(' ', sequencename, last_value)
        FROM pg_sequences
    """,
}


def search_catalog(marks: Mapping[str, str], but: Iterable[str] = ()) -> list[str]:
    """The entries outside of tables with the marks: "pg_stats public.users.email: users.email".

    ``but`` names catalogs that the session may not read.
    """
    matches = set()
    with connection.cursor() as cursor:
        for source, query in ELSEWHERE.items():
            if source in but:
                continue
            cursor.execute(query)
            for name, text in cursor.fetchall():
                for opened in (text or "", *_opened("", "", str(UUID(int=0)), text or "")):
                    matches |= {f"{source} {name}: {marks[m]}" for m in marks if m in opened}
    return sorted(matches)


def digests() -> dict[tuple[str, str], str]:
    """A digest of every row of the database, by table and key (or by the row itself)."""
    result = {}
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS)
        names = sorted({table for table, _, _ in cursor.fetchall()})
        keys = {table.name: table.model._meta.pk.column for table in tables() if table.model}
        for name in names:
            key = f'"{keys[name]}"::text' if name in keys else "t::text"
            cursor.execute(f'SELECT {key}, md5(t::text) FROM public."{name}" t')
            result |= {(name, row): digest for row, digest in cursor.fetchall()}
    return result


def broken_chain() -> list[int]:
    """Sequence numbers of the audit entries whose hash does not match their content."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT seq FROM (
                SELECT a.*, lag(a.row_hash, 1, '') OVER (ORDER BY a.seq) AS before
                FROM audit_log_entries a) a
            WHERE prev_hash <> before
               OR row_hash <> public.audit_entry_hash(prev_hash, id, seq, actor_user_id,
                    actor_role, action, entity_type, entity_id, entity_key, old_value, new_value,
                    created_at, origin_hash)
               OR (origin_salt IS NOT NULL
                   AND origin_hash <> public.audit_origin_hash(origin_salt, ip_address, user_agent))
               OR (origin_salt IS NULL AND num_nonnulls(ip_address, user_agent) > 0)
            ORDER BY seq
            """
        )
        return [seq for (seq,) in cursor.fetchall()]
