"""Rows are purged exactly when their retention ends."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection, models

from ebalance import commands
from ebalance.db.ids import uuid7
from ebalance.db.schema.retention import Purged
from ebalance.privacy import retention
from tests.clocks import fact_clock_at
from tests.factories import (
    AnalyticsEventFactory,
    AnonymousQuestionFactory,
    AppointmentFactory,
    AuditLogEntryFactory,
    DataExportRequestFactory,
    DeepLinkFactory,
    DiaryEntryFactory,
    ErasureRequestFactory,
    IntakeFormFactory,
    InteractiveRunFactory,
    InteractiveRunTotalFactory,
    LeadIdentityFactory,
    LeadTimelineEventFactory,
    LeaseFactory,
    LoginLimitFactory,
    MessageDeliveryFactory,
    ModerationActionFactory,
    OutboxEventFactory,
    PaymentWebhookEventFactory,
    ReviewFactory,
    ReviewPublicationConsentFactory,
    SessionNoteFactory,
    UserFactory,
    WaitlistRequestFactory,
)
from tests.factories.base import ago
from tests.privacy.purging import before, command, exists, named, purge, refused, touches
from tests.support import breaks, delete_sql, execute, refuses

INSTANT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)


# -- the end of retention -------------------------------------------------------------------------


@dataclass(frozen=True)
class Ending:
    """A row whose retention ends at a given time. Its purge also changes the tables ``touches``."""

    table: str
    name: str
    make: Callable[[datetime], models.Model]
    touches: tuple[str, ...] = ()
    own_time: str = ""

    def __str__(self) -> str:
        return f"{self.table}: {self.name}"

    @property
    def time(self) -> str:
        retention = named(self.table).retention
        assert isinstance(retention, Purged)
        return self.own_time or retention.time


def question(**values: Any) -> models.Model:
    return AnonymousQuestionFactory(submitted_at=ago(days=2000), **values)


def answered_question(at: datetime) -> models.Model:
    row = question(answered=True, moderated_at=at - timedelta(days=100), answered_at=at)
    ModerationActionFactory(ugc=row)
    return row


def rejected(at: datetime) -> models.Model:
    row = question(rejected=True, moderated_at=at)
    ModerationActionFactory(ugc=row, rejected=True, created_at=at - timedelta(days=1))
    return row


def decided_again(at: datetime, status: str, action: str) -> models.Model:
    """Decided first 100 days before ``at``, escalated, and decided for good at ``at``."""
    row = question(**{status: True}, moderated_at=at - timedelta(days=100))
    reason = {"reason_category": "spam"} if action == "reject" else {}
    ModerationActionFactory(ugc=row, action=action, created_at=at, **reason)
    return row


def intake(at: datetime, **values: Any) -> models.Model:
    """The form of a session that ended at ``at``."""
    appointment = AppointmentFactory(
        completed=True, start_at_utc=at - timedelta(minutes=50), end_at_utc=at, **values
    )
    return IntakeFormFactory(appointment=appointment, created_at=at - timedelta(days=30))


def note_of_session(at: datetime) -> models.Model:
    """A note about a session that ended at ``at``, written a year later."""
    appointment = AppointmentFactory(
        completed=True, start_at_utc=at - timedelta(minutes=50), end_at_utc=at
    )
    return SessionNoteFactory(appointment=appointment, created_at=at + timedelta(days=365))


def intake_of_canceled(at: datetime) -> models.Model:
    appointment = AppointmentFactory(canceled=True, canceled_at=at)
    return IntakeFormFactory(appointment=appointment, created_at=at - timedelta(days=30))


def intake_of_moved(at: datetime) -> models.Model:
    """The form stays with the first session of the chain, the last one was cancelled at ``at``."""
    first = AppointmentFactory(rescheduled=True)
    AppointmentFactory(canceled=True, canceled_at=at, rescheduled_from=first)
    return IntakeFormFactory(appointment=first, created_at=at - timedelta(days=30))


def identity_of_lead(at: datetime) -> models.Model:
    identity = LeadIdentityFactory(created_at=at - timedelta(days=400))
    LeadTimelineEventFactory(lead=identity.lead, occurred_at=at)
    return identity


def consent(**values: Any) -> models.Model:
    return ReviewPublicationConsentFactory(review=ReviewFactory(unpublished=True), **values)


def session(at: datetime) -> models.Model:
    return Session.objects.create(session_key=uuid7().hex, session_data="signed", expire_date=at)


def admin_entry(at: datetime) -> models.Model:
    return LogEntry.objects.create(
        action_time=at, user=UserFactory(), object_id="1", object_repr="1", action_flag=2
    )


ENDINGS = [
    Ending(
        "deep_links",
        "expired",
        lambda at: DeepLinkFactory(created_at=at - timedelta(days=30), expires_at=at, of_lead=True),
    ),
    *(
        Ending(
            "interactive_runs",
            state or "in progress",
            lambda at, state=state: InteractiveRunFactory(
                started_at=at, of_user=True, **{state: True} if state else {}
            ),
            ("interactive_run_totals",),
        )
        for state in ("", "completed", "abandoned", "crisis")
    ),
    Ending(
        "anonymous_questions",
        "answered",
        answered_question,
        ("question_answers", "moderation_totals"),
    ),
    Ending("anonymous_questions", "rejected", rejected, ("moderation_totals",)),
    Ending(
        "anonymous_questions",
        "rejected after an escalation",
        lambda at: decided_again(at, "rejected", "reject"),
        ("moderation_totals",),
    ),
    Ending(
        "anonymous_questions",
        "approved and never answered",
        lambda at: question(approved=True, moderated_at=at),
        ("moderation_totals",),
        own_time="180 days",
    ),
    Ending(
        "anonymous_questions",
        "approved again after an escalation and never answered",
        lambda at: decided_again(at, "approved", "approve"),
        ("moderation_totals",),
        own_time="180 days",
    ),
    *(
        Ending(
            "erasure_requests",
            state,
            lambda at, state=state: ErasureRequestFactory(
                **{state: True}, created_at=at, completed_at=at
            ),
        )
        for state in ("done", "refused")
    ),
    Ending(
        "waitlist_requests", "closed", lambda at: WaitlistRequestFactory(closed=True, closed_at=at)
    ),
    Ending("intake_forms", "session is over", intake, own_time="12 months"),
    Ending("intake_forms", "session was cancelled", intake_of_canceled),
    Ending("intake_forms", "moved session was cancelled", intake_of_moved),
    Ending("session_notes", "session was long ago", note_of_session, own_time="3 years"),
    Ending(
        "message_deliveries",
        "written",
        lambda at: MessageDeliveryFactory(created_at=at, due_at=at),
    ),
    Ending("lead_identities", "last event of the lead", identity_of_lead),
    Ending("lead_identities", "no event", lambda at: LeadIdentityFactory(created_at=at)),
    Ending(
        "diary_entries",
        "deleted",
        lambda at: DiaryEntryFactory(deleted_at=at, payload_encrypted=None, created_at=at),
    ),
    Ending(
        "data_export_requests",
        "ready",
        lambda at: DataExportRequestFactory(
            ready=True, created_at=at, completed_at=at, expires_at=at + timedelta(days=7)
        ),
    ),
    Ending(
        "data_export_requests",
        "ready late, and its file gone at this moment",
        lambda at: DataExportRequestFactory(
            ready=True, created_at=at, completed_at=at, expires_at=before("1 second")
        ),
    ),
    Ending(
        "data_export_requests",
        "failed",
        lambda at: DataExportRequestFactory(failed=True, created_at=at, completed_at=at),
    ),
    Ending(
        "review_publication_consents",
        "withdrawn",
        lambda at: consent(granted_at=at - timedelta(days=400), revoked_at=at),
    ),
    Ending(
        "review_publication_consents",
        "refused",
        lambda at: consent(refused=True, granted_at=at),
    ),
    Ending(
        "analytics_events",
        "received",
        lambda at: AnalyticsEventFactory(received_at=at, occurred_at=at - timedelta(days=30)),
    ),
    Ending(
        "payment_webhook_events",
        "processed",
        lambda at: PaymentWebhookEventFactory(processed=True, processed_at=at, received_at=at),
    ),
    Ending(
        "outbox_events",
        "sent",
        lambda at: OutboxEventFactory(sent=True, published_at=at, created_at=at),
    ),
    Ending("leases", "ended", lambda at: LeaseFactory(expires_at=at)),
    Ending("login_limits", "ended", lambda at: LoginLimitFactory(expires_at=at)),
    Ending("django_session", "expired", session),
    Ending("django_admin_log", "written", admin_entry),
]
each_ending = pytest.mark.parametrize("ending", ENDINGS, ids=str)


@pytest.mark.django_db
@each_ending
def test_row_is_purged_exactly_after_its_retention(ending: Ending) -> None:
    """The clock of the database does not advance within a transaction."""
    over = before(ending.time)
    kept = ending.make(over)  # exactly at the end of its retention
    expired = [ending.make(over - INSTANT), ending.make(over - timedelta(days=30))]
    with touches():
        assert f"{ending.table}: 2 rows would be purged." in command("--dry-run")
    with touches(ending.table, *ending.touches):
        output = command()
    assert f"{ending.table}: 2 rows purged." in output
    assert len(re.findall(r": [1-9]", output)) == 1
    assert exists(kept)
    assert not any(map(exists, expired))
    with touches():
        assert f"{ending.table}: 0 rows purged." in command()


@pytest.mark.django_db
@breaks("review_publication_consents_no_delete", "analytics_events_no_delete")
@pytest.mark.parametrize(
    "ending",
    [e for e in ENDINGS if e.table in ("review_publication_consents", "analytics_events")],
    ids=str,
)
def test_protected_row_is_not_deleted_before_its_retention_ends(ending: Ending) -> None:
    over = before(ending.time)
    (clock,) = execute("SELECT now() AS now")
    with fact_clock_at(clock["now"]):
        kept = ending.make(over + INSTANT)
        for delete in (delete_sql, lambda row: row.delete()):
            with refuses(f"{ending.table}_no_delete", ending.table):
                delete(type(kept)._base_manager.get(pk=kept.pk))
        delete_sql(ending.make(over - INSTANT))


def test_every_purged_table_has_a_case() -> None:
    tried = {ending.table for ending in ENDINGS} | {
        "interactive_run_totals",
        "moderation_totals",
        "audit_log_entries",
    }
    assert tried == {table.name for table in retention.purged_tables()}


LONG_AGO = timedelta(days=9000)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "make",
    [
        lambda: question(),
        lambda: question(crisis=True),
        lambda: WaitlistRequestFactory(created_at=ago(days=999)),
        lambda: IntakeFormFactory(created_at=ago(days=999)),
        lambda: LeadIdentityFactory(registered=True, created_at=ago(days=9000)),
        lambda: LeadIdentityFactory(
            created_at=ago(days=9000),
            lead=LeadIdentityFactory(registered=True, created_at=ago(days=9000)).lead,
        ),
        lambda: DiaryEntryFactory(created_at=ago(days=9000), entry_date=date(2001, 1, 1)),
        lambda: DataExportRequestFactory(created_at=ago(days=999)),
        lambda: DataExportRequestFactory(processing=True, created_at=ago(days=999)),
        # Made late: the person may still fetch it.
        lambda: DataExportRequestFactory(ready=True, created_at=ago(days=999)),
        lambda: PaymentWebhookEventFactory(received_at=ago(days=999)),
        lambda: OutboxEventFactory(created_at=ago(days=999), available_at=ago(days=999)),
        lambda: OutboxEventFactory(created_at=ago(days=999), attempts=20, last_error="http_500"),
        lambda: consent(granted_at=ago(days=9000)),
        lambda: ReviewFactory(published=True, submitted_at=ago(days=9000)),
        lambda: LeadTimelineEventFactory(occurred_at=ago(days=9000)),
    ],
)
def test_row_without_an_end_stays_at_any_age(make: Callable[[], models.Model]) -> None:
    """Rows that are pending, in use, or needed as evidence."""
    row = make()
    with touches():
        output = command()
    assert not re.search(r": [1-9]", output)
    assert exists(row)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("utc", "day"),
    [
        ("2027-03-31 20:59:59+00", "2026-02-28"),  # still the 31st in Moscow
        ("2027-03-31 21:00:00+00", "2026-03-01"),  # already the 1st of April
        ("2027-07-15 12:00:00+00", "2026-06-15"),
    ],
)
def test_total_is_kept_for_thirteen_months_of_moscow_time(utc: str, day: str) -> None:
    """``day`` is the first day that is kept."""
    first = date.fromisoformat(day)
    kept, expired = (
        InteractiveRunTotalFactory(day=first),
        InteractiveRunTotalFactory(day=first - timedelta(days=1)),
    )
    with touches("interactive_run_totals"):
        assert purge("interactive_run_totals", now=datetime.fromisoformat(utc)).done == 1
    assert exists(kept)
    assert not exists(expired)


@pytest.mark.django_db
def test_month_is_a_calendar_month() -> None:
    """13 months before the end of March is the end of February, which is shorter."""
    now = datetime.fromisoformat("2027-03-31 12:00:00+00")
    end = datetime.fromisoformat("2026-02-28 12:00:00+00")
    kept = AnalyticsEventFactory(received_at=end)
    AnalyticsEventFactory(received_at=end - INSTANT)
    assert (
        retention.purge_of(named("analytics_events"), now=now, batch=1, stop=Event()).remaining()
        == 1
    )
    assert exists(kept)


# -- the command ----------------------------------------------------------------------------------


def expired_links(number: int) -> list[models.Model]:
    return [
        DeepLinkFactory(created_at=ago(days=31), expires_at=ago(days=2) + n * SECOND)
        for n in range(number)
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--batch=0"], r"'0' is no batch: a number of rows from 1 to 10,000\."),
        (["--batch=10001"], r"'10001' is no batch"),
        (["--batch=many"], r"'many' is no batch"),
        (["--pause=-1"], r"'-1' is no pause: a number of milliseconds from 0 to 60,000\."),
        (["--pause=60001"], r"'60001' is no pause"),
        (["--pause="], r"'' is no pause"),
        (["--table=users"], r"'users' is no table that is purged; those are .*deep_links, "),
        (["--table=consents"], r"'consents' is no table that is purged"),
        (["--table=deep_links", "--table="], r"'' is no table that is purged"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry run"])
def test_invalid_argument_is_refused_in_one_line(
    arguments: list[str], sentence: str, dry: list[str]
) -> None:
    expired_links(1)
    with touches():
        output, error = refused(*arguments, *dry)
    assert output == ""
    assert re.match(sentence, error)
    assert "\n" not in error


@pytest.mark.django_db
def test_tables_are_chosen_by_name() -> None:
    expired_links(2)
    session(ago(days=1))
    OutboxEventFactory(sent=True, published_at=ago(days=91))
    assert command("--table", "django_session", "--dry-run").splitlines() == [
        "django_session: 1 row would be purged."
    ]
    with touches("deep_links", "outbox_events"):
        output = command("--table", "outbox_events", "--table", "deep_links", "--batch", "1")
    assert output.splitlines() == ["deep_links: 2 rows purged.", "outbox_events: 1 row purged."]


@pytest.mark.django_db
@pytest.mark.parametrize("event", ["lead_erased", "lead_shared"])
def test_events_about_erased_and_shared_leads_are_kept(event: str) -> None:
    kept = OutboxEventFactory(event_type=event, sent=True, published_at=ago(days=400))
    OutboxEventFactory(sent=True, published_at=ago(days=91))
    output = command("--table", "outbox_events")
    assert output.splitlines() == ["outbox_events: 1 row purged."]
    assert [row.pk for row in type(kept).objects.all()] == [kept.pk]


@pytest.mark.django_db
def test_dry_run_only_reads(files: Path) -> None:
    expired_links(3)
    old = files / f"{uuid7()}-{'0' * 32}.zip"
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    with touches(), connection.execute_wrapper(refuse_writes):
        assert "deep_links: 3 rows would be purged." in command("--dry-run")
    assert old.exists()
    command()
    assert not old.exists()


def refuse_writes(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    assert not re.search(r"\b(DELETE|UPDATE|INSERT|FOR UPDATE|advisory)\b", str(sql)), sql
    return execute(sql, params, many, context)


@pytest.fixture
def files(tmp_path: Path, settings: Any) -> Path:
    settings.EXPORTS_DIR = tmp_path / "exports"
    settings.EXPORTS_DIR.mkdir()
    return settings.EXPORTS_DIR


@pytest.mark.django_db
def test_export_file_is_removed_at_its_expiry_and_the_row_later(files: Path) -> None:
    names = [f"{uuid7()}-{n:032x}.zip" for n in range(3)]
    for name in names:
        (files / name).write_bytes(b"everything")
    rows = [
        DataExportRequestFactory(
            ready=True,
            created_at=ago(days=created),
            completed_at=ago(days=created),
            expires_at=ago(days=expired),
            file_url=f"exports/{name}",
        )
        for name, created, expired in zip(names, (91, 8, 3), (84, 1, -4), strict=True)
    ]
    assert "data_export_requests: 1 row purged." in command()
    assert [exists(row) for row in rows] == [False, True, True]
    assert [(files / name).exists() for name in names] == [False, False, True]


@pytest.mark.django_db
def test_unremovable_file_stops_no_row(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = DataExportRequestFactory(failed=True, created_at=ago(days=91), completed_at=ago(days=91))
    expired_links(1)

    def broken(now: datetime) -> int:
        raise PermissionError(13, "Permission denied", "/srv/exports/somebody.zip")

    monkeypatch.setattr("ebalance.privacy.exports.storage.sweep", broken)
    with touches("deep_links", "data_export_requests"):
        output, error = refused()
    assert "deep_links: 1 row purged." in output
    assert error.splitlines() == [
        "Expired rows remain; run it again:",
        "data_export_requests: its files cannot be removed: Permission denied",
    ]
    assert not exists(row)


@pytest.mark.django_db
def test_progress_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "LINE_EVERY", 0.0)
    expired_links(5)
    command("--batch", "2", "--table", "deep_links")
    assert capsys.readouterr().err.splitlines() == [
        "deep_links: 2 of 5 rows",
        "deep_links: 4 of 5 rows",
        "deep_links: 5 of 5 rows",
    ]


@pytest.mark.django_db
def test_oldest_rows_are_purged_first() -> None:
    rows = expired_links(4)
    stop = Event()
    made = retention.purge_of(
        named("deep_links"), now=retention.database_time(), batch=3, stop=stop, patience=0.0
    )
    made.run(lambda rows: stop.set())
    assert [exists(row) for row in rows] == [False, False, False, True]
    assert made.done == 3


@pytest.mark.django_db
def test_row_that_expires_meanwhile_is_left_to_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = retention.database_time()
    rows = [
        DeepLinkFactory(created_at=now - timedelta(days=1), expires_at=now + n * INSTANT)
        for n in (-1, 0, 1)
    ]
    assert purge("deep_links", now=now).done == 1
    assert purge("deep_links", now=now + INSTANT).done == 1
    assert [exists(row) for row in rows] == [False, False, True]


@pytest.mark.django_db
def test_row_protected_by_a_rule_does_not_stop_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that was added by hand, with an unexpected foreign key."""
    monkeypatch.setattr(retention, "PATIENCE", 0.0)
    rows = expired_links(6)
    execute("CREATE TABLE clicks (link text CONSTRAINT clicks_link_fk REFERENCES deep_links)")
    execute("INSERT INTO clicks VALUES (%s), (%s)", [rows[1].pk, rows[4].pk])
    made = purge("deep_links")
    assert (made.done, made.left, made.rules) == (4, 2, {"clicks_link_fk"})
    output, error = refused("--table", "deep_links")
    assert output.splitlines() == [
        "deep_links: 0 rows purged.",
        *[f"  deep_links {rows[n].pk}: refused by clicks_link_fk" for n in (1, 4)],
    ]
    assert error.splitlines()[1:] == ["deep_links: 2 rows, refused by clicks_link_fk"]
    execute("DELETE FROM clicks")
    assert command("--table", "deep_links") == "deep_links: 2 rows purged.\n"


@pytest.mark.django_db
def test_rows_with_equal_times_are_purged_in_batches() -> None:
    at = ago(days=91)
    OutboxEventFactory.create_batch(7, sent=True, published_at=at)
    ticks: list[int] = []
    made = retention.purge_of(
        named("outbox_events"), now=retention.database_time(), batch=2, stop=Event()
    )
    made.run(ticks.append)
    assert (ticks, made.done, made.left) == ([2, 2, 2, 1], 7, 0)


@pytest.mark.django_db
def test_unmigrated_database_is_refused_in_one_line() -> None:
    expired_links(1)
    execute("DROP TABLE interactive_run_totals CASCADE")
    output, error = refused()
    assert (output, error) == (
        "",
        "interactive_run_totals does not exist yet: run `manage.py migrate` first.",
    )


# -- the audit log ---------------------------------------------------------------------------------


def old_entries() -> list[models.Model]:
    """Two entries of a month that ended three years ago, and one of a later month."""
    return [AuditLogEntryFactory(created_at=ago(days=days)) for days in (1500, 1490, 1000)]


@pytest.mark.django_db
def test_old_audit_entries_are_purged_and_the_rest_verifies() -> None:
    rows = old_entries()
    with touches():
        assert "audit_log_entries: 2 rows would be purged." in command("--dry-run")
    with touches("audit_log_entries", "audit_checkpoints"):
        assert "audit_log_entries: 2 rows purged." in command("--batch", "1")
    assert [exists(row) for row in rows] == [False, False, True]
    assert "audit_log_entries: 0 rows purged." in command()
    call_command("verify_audit_log", stdout=io.StringIO(), stderr=io.StringIO())


@pytest.mark.django_db
def test_damaged_log_is_kept_and_stops_no_other_table() -> None:
    rows = old_entries()
    expired_links(1)
    session(ago(days=1))
    execute("ALTER TABLE audit_log_entries DISABLE TRIGGER USER")
    execute("UPDATE audit_log_entries SET action = 'nothing' WHERE id = %s", [rows[1].pk])
    execute("ALTER TABLE audit_log_entries ENABLE TRIGGER USER")
    with touches("deep_links", "django_session"):
        output, error = refused()
    assert "deep_links: 1 row purged." in output
    assert "audit_log_entries: 0 rows purged." in output
    assert error.splitlines()[0] == "Expired rows remain; run it again:"
    assert error.splitlines()[1].startswith("audit_log_entries: audit_log_damaged (seq=2")
