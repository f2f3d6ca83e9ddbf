"""The entries that the database must write into the audit log, as a table of the cases of access.md
§3; and all write paths of a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import count
from typing import Any

from django.db import models
from django.utils.timezone import now
from psycopg.types.json import Jsonb

from audit.models import MessageTemplate
from tests.adversarial_sql import delete_by_merge, delete_in_a_cte
from tests.factories import (
    AnonymousQuestionFactory,
    AppointmentFactory,
    ContentItemFactory,
    CuratedCollectionFactory,
    EntityFactory,
    GlossaryTermFactory,
    InteractiveDefinitionFactory,
    InteractiveVersionFactory,
    LeadFactory,
    MediaAssetFactory,
    MessageTemplateFactory,
    MessageTemplateVersionFactory,
    PaymentFactory,
    QuestionAnswerFactory,
    RecoveryCodeFactory,
    RefundFactory,
    ReviewFactory,
    ReviewPublicationConsentFactory,
    ScheduleExceptionFactory,
    SecondFactorFactory,
    ServiceFactory,
    SystemSettingFactory,
    UserFactory,
    UserRoleFactory,
)
from tests.rule_cases import DELETES, UPDATES, UPSERTS, copy_rows
from tests.support import columns_of, execute, insert_row, insert_sql

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
LONG_AGO = datetime(2025, 1, 6, tzinfo=UTC)
_past = count()


# -- reading the log ------------------------------------------------------------------------------

COLUMNS = (
    "action, entity_type, entity_id, entity_key, old_value, new_value, actor_user_id, actor_role, "
    "host(ip_address) AS ip_address, user_agent"
)


def triggers_of_the_log() -> list[dict[str, Any]]:
    """Read from the catalog the triggers that write into the log."""
    return execute(
        """
        SELECT t.tgname AS name, c.relname AS "table", t.tgenabled::text AS enabled,
               t.tgdeferrable AND t.tginitdeferred AS is_deferred,
               pg_get_triggerdef(t.oid) AS definition
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE t.tgfoid IN ('public.audit_change'::regproc, 'public.audit_staff_secret'::regproc)
        ORDER BY t.tgname
        """
    )


def write_entries() -> None:
    """Write the deferred entries now instead of at the end of the transaction."""
    names = ", ".join(f"public.{trigger['name']}" for trigger in triggers_of_the_log())
    execute(f"SET CONSTRAINTS {names} IMMEDIATE; SET CONSTRAINTS {names} DEFERRED")


def entries_since(seq: int) -> list[dict[str, Any]]:
    entries = execute(
        f"SELECT {COLUMNS} FROM audit_log_entries WHERE seq > %s ORDER BY seq",
        [seq],
    )
    for entry in entries:
        for name in ("old_value", "new_value"):
            entry[name] = entry[name] and json.loads(entry[name])
    return entries


def last_seq() -> int:
    (row,) = execute("SELECT coalesce(max(seq), 0) AS seq FROM audit_log_entries")
    return row["seq"]


def capture_entries(write: Callable[[], Any]) -> list[dict[str, Any]]:
    """Return the entries that ``write`` causes."""
    write_entries()
    before = last_seq()
    write()
    write_entries()
    return entries_since(before)


def entry_of(row: models.Model, action: str, old: Any, new: Any) -> dict[str, Any]:
    """The entry of a write without an actor."""
    is_uuid = row._meta.pk.column == "id"
    return {
        "action": action,
        "entity_type": row._meta.db_table,
        "entity_id": row.pk if is_uuid else None,
        "entity_key": None if is_uuid else row.pk,
        "old_value": old,
        "new_value": new,
        "actor_user_id": None,
        "actor_role": "system",
        "ip_address": None,
        "user_agent": None,
    }


def as_json(value: Any) -> Any:
    """A value as PostgreSQL writes it into JSON, in UTC."""
    if isinstance(value, datetime):
        whole, _plus, zone = value.astimezone(UTC).isoformat().partition("+")
        return f"{whole.rstrip('0') if '.' in whole else whole}+{zone}"
    return value if isinstance(value, (int, str, dict, list, type(None))) else str(value)


def stored_json(row: models.Model, *names: str) -> dict[str, Any]:
    """Current values of the row's columns in the database."""
    key = row._meta.pk.column
    (stored,) = execute(
        f'SELECT to_jsonb(t) AS row FROM "{row._meta.db_table}" t WHERE "{key}" = %s', [row.pk]
    )
    values = json.loads(stored["row"])
    return {name: values[name] for name in names}


# -- changes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LoggedChange:
    """A change of a row and its entry in the log.

    ``thing`` is its name in access.md §3. ``row`` holds the factory's arguments, ``to`` the new
    values by column, ``columns`` the logged columns (all unless given). Callables are called in
    the test with the row. ``prepare`` writes other rows that the change needs.
    """

    thing: str
    name: str
    factory: type[EntityFactory]
    action: str
    to: dict[str, Any]
    columns: tuple[str, ...] = ()
    row: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Any], Any] = lambda row: None

    @property
    def table(self) -> str:
        return self.factory._meta.model._meta.db_table

    def make(self) -> tuple[models.Model, dict[str, Any], tuple[str, ...]]:
        """The stored row, its new values, and the logged columns."""
        given = {k: v() if callable(v) else v for k, v in self.row.items()}
        row = self.factory(**given)
        self.prepare(row)
        row.refresh_from_db()
        to = {k: v(row) if callable(v) else v for k, v in self.to.items()}
        return row, to, self.columns or tuple(to)

    def __str__(self) -> str:
        return f"{self.table}: {self.name}"


def in_the_past() -> datetime:
    return LONG_AGO + timedelta(hours=3 * next(_past))


SERVICE = "price, deposit and policy of a service"
REFUNDS, EXCEPTIONS, MANUAL = "refunds", "schedule exceptions", "manual payments"
CONTENT, INTERACTIVE = "publication of content", "publication of interactives"
ROLES, STATUS, SETTINGS = "roles granted or taken", "user status", "settings"
MEDIA, LEAD, OUTCOME = "media created and deleted", "lead status", "outcome"
QUESTION, REVIEW = "question status", "review status"
SECOND_FACTOR = "second factor"
TEMPLATE = "template activation"
DELETIONS = {
    "appointments": "deletion of an appointment",
    "content_items": "deletion of a content item",
    "leads": "deletion of a lead",
    "services": "deletion of a service",
}
THINGS = {
    *(SERVICE, CONTENT, INTERACTIVE, ROLES, STATUS, SETTINGS, MEDIA, LEAD, OUTCOME, QUESTION),
    *(REVIEW, TEMPLATE, REFUNDS, EXCEPTIONS, SECOND_FACTOR, *DELETIONS.values()),
}

DELETED_USER = {
    "status": "deleted",
    "deleted_at": NOW,
    "email": None,
    "phone": None,
    "telegram_user_id": None,
    "telegram_username": None,
    "display_name": None,
    "password": "",
}
ATTENDED = {
    "status": "completed",
    "outcome": "attended",
    "outcome_recorded_at": lambda row: row.end_at_utc,
    "outcome_recorded_by_role": "owner",
}
CANCELED = {
    "status": "canceled",
    "canceled_at": NOW,
    "outcome": "canceled_by_client",
    "outcome_reason_category": "illness",
    "outcome_recorded_at": NOW,
    "outcome_recorded_by_role": "system",
}


def changes_of(
    thing: str,
    factory: type[EntityFactory],
    action: str,
    *,
    prepare: Callable[[Any], Any] = lambda row: None,
    **row: Any,
) -> Callable[..., LoggedChange]:
    """Make cases of one table: name, logged columns (all unless given), new values."""

    def made(name: str, *columns: str, **to: Any) -> LoggedChange:
        return LoggedChange(thing, name, factory, action, to, columns, row, prepare)

    return made


def version(number: int) -> Callable[[Any], Any]:
    def written(row: models.Model) -> None:
        if isinstance(row, MessageTemplate):
            MessageTemplateVersionFactory(template=row, version=number)
        else:
            InteractiveVersionFactory(interactive_definition=row, version=number)

    return written


def consent(row: Any) -> None:
    ReviewPublicationConsentFactory(review=row, user=row.user)


service = changes_of(SERVICE, ServiceFactory, "service_changed")
person = changes_of(STATUS, UserFactory, "user_status_changed")
blocked_person = changes_of(STATUS, UserFactory, "user_status_changed", blocked=True)
role = changes_of(ROLES, UserRoleFactory, "role_changed")
setting = changes_of(SETTINGS, SystemSettingFactory, "setting_changed")
item = changes_of(CONTENT, ContentItemFactory, "content_status_changed")
shown_item = changes_of(CONTENT, ContentItemFactory, "content_status_changed", published=True)
collection = changes_of(CONTENT, CuratedCollectionFactory, "collection_status_changed")
shown_collection = changes_of(
    CONTENT, CuratedCollectionFactory, "collection_status_changed", published=True
)
term = changes_of(CONTENT, GlossaryTermFactory, "term_status_changed")
shown_term = changes_of(CONTENT, GlossaryTermFactory, "term_status_changed", published=True)
quiz = changes_of(
    INTERACTIVE, InteractiveDefinitionFactory, "interactive_status_changed", prepare=version(1)
)
shown_quiz = changes_of(
    INTERACTIVE,
    InteractiveDefinitionFactory,
    "interactive_status_changed",
    prepare=version(2),
    published=True,
)
file = changes_of(MEDIA, MediaAssetFactory, "media_replaced")
lead = changes_of(LEAD, LeadFactory, "lead_status_changed")
paid_lead = changes_of(LEAD, LeadFactory, "lead_status_changed", status="paid")
session = changes_of(
    OUTCOME,
    AppointmentFactory,
    "outcome_recorded",
    confirmed=True,
    start_at_utc=in_the_past,
)
past_session = changes_of(
    OUTCOME,
    AppointmentFactory,
    "outcome_recorded",
    completed=True,
    start_at_utc=in_the_past,
    outcome_recorded_at=now,
)
question = changes_of(QUESTION, AnonymousQuestionFactory, "question_status_changed")
flagged_question = changes_of(
    QUESTION,
    AnonymousQuestionFactory,
    "question_status_changed",
    flagged=True,
)
approved_question = changes_of(
    QUESTION,
    AnonymousQuestionFactory,
    "question_status_changed",
    prepare=lambda row: QuestionAnswerFactory(question=row),
    approved=True,
)
draft_review = changes_of(REVIEW, ReviewFactory, "review_status_changed")
review = changes_of(
    REVIEW,
    ReviewFactory,
    "review_status_changed",
    prepare=consent,
    pending=True,
)
shown_review = changes_of(REVIEW, ReviewFactory, "review_status_changed", published=True)
template = changes_of(TEMPLATE, MessageTemplateFactory, "template_changed", prepare=version(1))
used_template = changes_of(
    TEMPLATE, MessageTemplateFactory, "template_changed", prepare=version(2), active=True
)

exception = changes_of(EXCEPTIONS, ScheduleExceptionFactory, "schedule_exception_changed")
refund = changes_of(REFUNDS, RefundFactory, "refund_changed")
confirmed = changes_of(SECOND_FACTOR, SecondFactorFactory, "second_factor_set", offered=True)
recovery = changes_of(SECOND_FACTOR, RecoveryCodeFactory, "recovery_code_used")

CHANGES = [
    confirmed("confirmed", "confirmed_at", confirmed_at=NOW, last_step=7),
    recovery("used", used_at=NOW),
    service("price", price_amount=6000),
    service("free of charge", deposit_amount=None, price_amount=0),
    service("deposit", deposit_amount=1500),
    service("no deposit any more", deposit_amount=None),
    service("hours of a full refund", cancel_free_hours=48),
    service("hours of a half refund", cancel_partial_hours=None),
    service("hours before moving", reschedule_min_hours=24),
    service("how often it may move", reschedule_max_count=3),
    service("on offer", status="published"),
    refund("sent", "status", status="sent", sent_at=lambda row: now()),
    refund("recorded", recorded_by_user_id=lambda row: UserFactory().pk),
    exception("one service", service_id=lambda row: ServiceFactory().pk),
    exception("first day", starts_on=lambda row: row.starts_on - timedelta(days=1)),
    exception("last day", ends_on=lambda row: row.ends_on + timedelta(days=1)),
    exception("zone", timezone="Asia/Tokyo"),
    exception("hours", start_local=time(9), end_local=time(10)),
    exception("extra hours", kind="open", start_local=time(9), end_local=time(10)),
    service("price beside a title", "price_amount", price_amount=1000, title="Другая встреча"),
    person("blocked", status="blocked"),
    blocked_person("active again", status="active"),
    person("deleted", "status", **DELETED_USER),
    role("another role", role_code="editor"),
    role("another person", user_id=lambda row: UserFactory().pk),
    setting("value", value={"minutes": 20, "is_kept": True}),
    setting(
        "value beside its editor",
        "value",
        value={"minutes": [1, None]},
        updated_by_user_id=lambda row: UserFactory().pk,
    ),
    item("to review", status="review"),
    item("published", "status", status="published", published_at=NOW),
    shown_item("archived", status="archived"),
    shown_item("unpublished", status="draft"),
    collection("published", "status", status="published", published_at=NOW),
    shown_collection("archived", status="archived"),
    term("published", "status", status="published", published_at=NOW),
    shown_term("unpublished", status="draft"),
    quiz(
        "published",
        "status",
        "published_version",
        status="published",
        published_version=1,
        published_at=NOW,
    ),
    shown_quiz("another version", published_version=2),
    shown_quiz("archived", status="archived"),
    file("another file", object_key="2026/01/other.webp"),
    file("another address", public_url="/media/other.webp"),
    file(
        "another kind",
        media_type="pdf",
        mime_type="application/pdf",
        object_key="2026/01/other.pdf",
    ),
    file("another size", size_bytes=50),
    lead("engaged", status="engaged"),
    paid_lead("inactive", status="inactive"),
    session("attended", *[name for name in ATTENDED if name != "status"], **ATTENDED),
    session("canceled", *[name for name in CANCELED if "outcome" in name], **CANCELED),
    past_session("corrected", outcome="no_show"),
    past_session("with a reason", outcome_reason_category="tech_issue"),
    past_session("by another", outcome_recorded_by_role="assistant"),
    question("approved", "status", status="approved", moderated_at=NOW),
    flagged_question("rejected", "status", status="rejected", moderated_at=NOW),
    approved_question("answered", "status", status="answered", answered_at=NOW),
    draft_review("sent in", "status", status="pending", submitted_at=NOW),
    review("published", "status", status="published", published_at=NOW),
    shown_review("unpublished", "status", status="unpublished", published_at=None),
    template("activated", status="active", active_version=1),
    used_template("another version", active_version=2),
    used_template("archived", status="archived"),
]


# -- inserts and deletes --------------------------------------------------------------------------


@dataclass(frozen=True)
class LoggedRow:
    """An insert or a delete of a row and its entry; without an action there is no entry."""

    thing: str
    name: str
    factory: type[EntityFactory]
    action: str | None
    columns: tuple[str, ...] = ()
    row: dict[str, Any] = field(default_factory=dict)
    with_it: Callable[[Any], Any] = lambda row: None  # written after it, in the same transaction

    @property
    def table(self) -> str:
        return self.factory._meta.model._meta.db_table

    def __str__(self) -> str:
        return f"{self.table}: {self.name}"


TERMS = (
    "price_amount",
    "deposit_amount",
    "cancel_free_hours",
    "cancel_partial_hours",
    "reschedule_min_hours",
    "reschedule_max_count",
    "status",
)
REFUND = ("payment_id", "amount", "reason", "status")
EXCEPTION = (
    *("service_id", "starts_on", "ends_on", "timezone", "kind", "start_local", "end_local"),
)
TAKEN = ("appointment_id", "amount", "method", "recorded_by_user_id")
FILE = ("media_type", "mime_type", "object_key", "public_url", "size_bytes")
SHOWN = {"published": True}

CREATED = [
    LoggedRow(SERVICE, "draft", ServiceFactory, "service_created", TERMS),
    LoggedRow(SERVICE, "free", ServiceFactory, "service_created", TERMS, {"free": True, **SHOWN}),
    LoggedRow(REFUNDS, "due", RefundFactory, "refund_created", REFUND),
    LoggedRow(
        EXCEPTIONS,
        "closed",
        ScheduleExceptionFactory,
        "schedule_exception_created",
        EXCEPTION,
    ),
    LoggedRow(
        MANUAL, "in cash", PaymentFactory, "manual_payment_recorded", TAKEN, {"manual": True}
    ),
    LoggedRow(ROLES, "granted", UserRoleFactory, "role_granted", ("user_id", "role_code")),
    LoggedRow(SETTINGS, "added", SystemSettingFactory, "setting_added", ("value",)),
    LoggedRow(MEDIA, "picture", MediaAssetFactory, "media_created", FILE),
    LoggedRow(MEDIA, "text", MediaAssetFactory, "media_created", FILE, {"pdf": True}),
    LoggedRow(
        CONTENT,
        "published at once",
        ContentItemFactory,
        "content_published",
        ("content_type", "slug", "status"),
        SHOWN,
    ),
    LoggedRow(
        CONTENT,
        "published at once",
        CuratedCollectionFactory,
        "collection_published",
        ("slug", "status"),
        SHOWN,
    ),
    LoggedRow(
        CONTENT,
        "published at once",
        GlossaryTermFactory,
        "term_published",
        ("slug", "status"),
        SHOWN,
    ),
    LoggedRow(
        INTERACTIVE,
        "published at once",
        InteractiveDefinitionFactory,
        "interactive_published",
        ("status", "published_version", "slug"),
        SHOWN,
        version(1),
    ),
    LoggedRow(
        TEMPLATE,
        "active at once",
        MessageTemplateFactory,
        "template_activated",
        ("status", "active_version"),
        {"active": True},
        version(1),
    ),
    *(
        LoggedRow(thing, "not yet", factory, None)
        for thing, factory in [
            (CONTENT, ContentItemFactory),
            (CONTENT, CuratedCollectionFactory),
            (CONTENT, GlossaryTermFactory),
            (INTERACTIVE, InteractiveDefinitionFactory),
            (TEMPLATE, MessageTemplateFactory),
            (OUTCOME, AppointmentFactory),
            (LEAD, LeadFactory),
            (STATUS, UserFactory),
            (QUESTION, AnonymousQuestionFactory),
            (REVIEW, ReviewFactory),
        ]
    ),
]
DELETED = [
    LoggedRow(
        SECOND_FACTOR,
        "in use",
        SecondFactorFactory,
        "second_factor_removed",
        ("user_id", "last_step", "confirmed_at", "created_at"),
    ),
    LoggedRow(SECOND_FACTOR, "offered", SecondFactorFactory, None, (), {"offered": True}),
    LoggedRow(
        DELETIONS["services"],
        "service",
        ServiceFactory,
        "service_deleted",
        (*TERMS, "slug", "title", "format", "duration_minutes", "topic_code", "position"),
        {"title": "Встреча", "topic_id": "anxiety"},
    ),
    LoggedRow(REFUNDS, "due", RefundFactory, "refund_deleted", (*REFUND, "requested_at")),
    LoggedRow(
        EXCEPTIONS,
        "closed",
        ScheduleExceptionFactory,
        "schedule_exception_deleted",
        (*EXCEPTION, "created_at"),
    ),
    LoggedRow(
        MANUAL,
        "in cash",
        PaymentFactory,
        "manual_payment_deleted",
        (
            *TAKEN,
            "provider",
            "idempotency_key",
            "purpose",
            "currency",
            "status",
            "created_at",
            "confirmed_at",
        ),
        {"manual": True},
    ),
    LoggedRow(
        DELETIONS["content_items"],
        "article",
        ContentItemFactory,
        "content_item_deleted",
        ("content_type", "slug", "title", "status", "author_user_id", "body_markdown"),
        SHOWN,
    ),
    LoggedRow(
        DELETIONS["leads"],
        "lead",
        LeadFactory,
        "lead_deleted",
        ("status", "source", "topic_code", "created_at"),
    ),
    LoggedRow(
        DELETIONS["appointments"],
        "appointment",
        AppointmentFactory,
        "appointment_deleted",
        ("service_id", "start_at_utc", "end_at_utc", "status", "price_amount", "deposit_amount"),
    ),
    LoggedRow(
        STATUS, "person", UserFactory, "user_deleted", ("status", "created_at", "deleted_at")
    ),
    LoggedRow(
        ROLES, "taken", UserRoleFactory, "role_taken", ("user_id", "role_code", "granted_at")
    ),
    LoggedRow(
        SETTINGS,
        "removed",
        SystemSettingFactory,
        "setting_removed",
        ("value", "updated_by_user_id", "updated_at"),
    ),
    LoggedRow(
        MEDIA,
        "picture",
        MediaAssetFactory,
        "media_deleted",
        (*FILE, "title", "alt_text", "uploaded_by_user_id"),
    ),
    LoggedRow(
        CONTENT,
        "shown",
        CuratedCollectionFactory,
        "collection_deleted",
        ("slug", "title", "status"),
        SHOWN,
    ),
    LoggedRow(
        CONTENT, "shown", GlossaryTermFactory, "term_deleted", ("slug", "title", "status"), SHOWN
    ),
    LoggedRow(
        INTERACTIVE,
        "shown",
        InteractiveDefinitionFactory,
        "interactive_deleted",
        ("slug", "status", "published_version"),
        SHOWN,
    ),
    LoggedRow(
        TEMPLATE,
        "in use",
        MessageTemplateFactory,
        "template_deleted",
        ("name", "status", "active_version"),
        {"active": True},
    ),
    *(
        LoggedRow(thing, "not shown", factory, None)
        for thing, factory in [
            (CONTENT, CuratedCollectionFactory),
            (CONTENT, GlossaryTermFactory),
            (INTERACTIVE, InteractiveDefinitionFactory),
            (TEMPLATE, MessageTemplateFactory),
            (QUESTION, AnonymousQuestionFactory),
        ]
    ),
]


# -- write paths ----------------------------------------------------------------------------------


def _changes(row: models.Model, changes: dict[str, Any]) -> list[Any]:
    json_columns = {f.column for f in row._meta.concrete_fields if isinstance(f, models.JSONField)}
    return [Jsonb(v) if name in json_columns else v for name, v in changes.items()]


def _sets(changes: dict[str, Any]) -> str:
    return ", ".join(f'"{name}" = %s' for name in changes)


def by_cte(row: models.Model, **changes: Any) -> None:
    table, key = row._meta.db_table, row._meta.pk.column
    execute(
        f'WITH changed AS (UPDATE "{table}" SET {_sets(changes)} WHERE "{key}" = %s RETURNING 1) '
        "SELECT count(*) FROM changed",
        [*_changes(row, changes), row.pk],
    )


def by_view(row: models.Model, **changes: Any) -> None:
    table, key = row._meta.db_table, row._meta.pk.column
    execute(f'CREATE TEMPORARY VIEW "same" AS SELECT * FROM "{table}"')
    execute(
        f'UPDATE "same" SET {_sets(changes)} WHERE "{key}" = %s',
        [*_changes(row, changes), row.pk],
    )
    execute('DROP VIEW "same"')


def by_cursor(row: models.Model, **changes: Any) -> None:
    table, key = row._meta.db_table, row._meta.pk.column
    execute(f'DECLARE here CURSOR FOR SELECT * FROM "{table}" WHERE "{key}" = \'{row.pk}\'')
    execute("FETCH here")
    execute(f'UPDATE "{table}" SET {_sets(changes)} WHERE CURRENT OF here', _changes(row, changes))
    execute("CLOSE here")


def by_function(row: models.Model, **changes: Any) -> None:
    """A function with dynamic SQL."""
    table, key = row._meta.db_table, row._meta.pk.column
    names = ", ".join(f'"{name}"' for name in changes)
    execute(
        f"""
        CREATE FUNCTION pg_temp.change(changes jsonb, key text) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            EXECUTE 'UPDATE "{table}" SET ({names}) = ROW({
            ", ".join(f'new."{n}"' for n in changes)
        }) FROM jsonb_populate_record(NULL::public."{table}", $1) new '
                'WHERE "{table}"."{key}"::text = $2' USING changes, key;
        END $$
        """
    )
    values = {name: as_json(value) for name, value in changes.items()}
    execute("SELECT pg_temp.change(%s, %s)", [Jsonb(values), str(row.pk)])
    execute("DROP FUNCTION pg_temp.change(jsonb, text)")


def by_copy_and_join(row: models.Model, **changes: Any) -> None:
    """Change rows like a bulk load: COPY into another table, then one UPDATE … FROM."""
    table, key = row._meta.db_table, row._meta.pk.column
    names = [key, *changes]
    listed = ", ".join(f'"{name}"' for name in names)
    execute(f'CREATE TEMPORARY TABLE loaded AS SELECT {listed} FROM "{table}" WHERE false')
    copy_rows("loaded", [f'"{n}"' for n in names], [[row.pk, *_changes(row, changes)]])
    sets = ", ".join(f'"{name}" = loaded."{name}"' for name in changes)
    execute(f'UPDATE "{table}" t SET {sets} FROM loaded WHERE t."{key}" = loaded."{key}"')
    execute("DROP TABLE loaded")


CHANGE_PATHS: dict[str, Callable[..., None]] = {
    **UPDATES,
    "cte": by_cte,
    "view": by_view,
    "cursor": by_cursor,
    "function": by_function,
    "copy and join": by_copy_and_join,
    **UPSERTS,
}


def insert_by_copy(row: models.Model) -> None:
    columns = columns_of(row)
    copy_rows(row._meta.db_table, [f'"{name}"' for name in columns], [columns.values()])


def insert_by_merge(row: models.Model) -> None:
    columns = columns_of(row)
    names = ", ".join(f'"{name}"' for name in columns)
    execute(
        f'MERGE INTO "{row._meta.db_table}" t USING (SELECT 1) s ON false '
        f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({', '.join(['%s'] * len(columns))})",
        [*columns.values()],
    )


def insert_by_cte(row: models.Model) -> None:
    columns = columns_of(row)
    names = ", ".join(f'"{name}"' for name in columns)
    execute(
        f'WITH made AS (INSERT INTO "{row._meta.db_table}" ({names}) '
        f"VALUES ({', '.join(['%s'] * len(columns))}) RETURNING 1) SELECT count(*) FROM made",
        [*columns.values()],
    )


def insert_by_view(row: models.Model) -> None:
    execute(f'CREATE TEMPORARY VIEW "same" AS SELECT * FROM "{row._meta.db_table}"')
    insert_row("same", columns_of(row))
    execute('DROP VIEW "same"')


def insert_by_upsert(row: models.Model) -> None:
    columns = columns_of(row)
    names = ", ".join(f'"{name}"' for name in columns)
    execute(
        f'INSERT INTO "{row._meta.db_table}" ({names}) '
        f"VALUES ({', '.join(['%s'] * len(columns))}) ON CONFLICT DO NOTHING",
        [*columns.values()],
    )


INSERT_PATHS: dict[str, Callable[[models.Model], Any]] = {
    "sql": insert_sql,
    "save": lambda row: row.save(force_insert=True),
    "bulk_create": lambda row: type(row)._base_manager.bulk_create([row]),
    "copy": insert_by_copy,
    "merge": insert_by_merge,
    "cte": insert_by_cte,
    "view": insert_by_view,
    "upsert": insert_by_upsert,
}


def delete_by_view(row: models.Model) -> None:
    table, key = row._meta.db_table, row._meta.pk.column
    execute(f'CREATE TEMPORARY VIEW "same" AS SELECT * FROM "{table}"')
    execute(f'DELETE FROM "same" WHERE "{key}" = %s', [row.pk])
    execute('DROP VIEW "same"')


def delete_by_cursor(row: models.Model) -> None:
    table, key = row._meta.db_table, row._meta.pk.column
    execute(f'DECLARE here CURSOR FOR SELECT * FROM "{table}" WHERE "{key}" = \'{row.pk}\'')
    execute("FETCH here")
    execute(f'DELETE FROM "{table}" WHERE CURRENT OF here')
    execute("CLOSE here")


DELETE_PATHS: dict[str, Callable[[Any], Any]] = {
    **DELETES,
    "cte": delete_in_a_cte,
    "merge": delete_by_merge,
    "view": delete_by_view,
    "cursor": delete_by_cursor,
}

# Entries without values; tests/identity/test_sessions.py tests them.
SECRETS = {"users_password_audited", "users_email_audited"}
AUDITED_BY_CASES = {
    *SECRETS,
    *(f"{case.table}_update_audited" for case in CHANGES),
    *(f"{case.table}_insert_audited" for case in CREATED if case.action),
    *(f"{case.table}_delete_audited" for case in DELETED if case.action),
}
