"""Erasures beside writers of the same person, beside other erasures, and killed halfway."""

from __future__ import annotations

import io
import itertools
import json
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import IntegrityError, connection, models
from django.utils import timezone

from booking.models import Appointment
from booking.services import (
    book_appointment,
    receive_webhook,
    save_intake_draft,
    submit_intake_form,
    submit_waitlist_request,
)
from crm.services import record_event
from ebalance.db.encryption.fields import Plaintext
from ebalance.privacy.consents import grant_consent
from ebalance.privacy.erasure import columns, erase_user, ledger, locks
from ebalance.privacy.exports import request_export
from ebalance.privacy.rows import PersonalRows
from ebalance.services import Refused
from identity.errors import ErasureUnavailable
from identity.models import ErasureLedgerEntry, User
from interactive.services import start_run
from tests.databases import Database
from tests.factories import (
    AppointmentFactory,
    DiaryEntryFactory,
    LeadIdentityFactory,
    LeadNoteFactory,
    PaymentFactory,
    ReviewFactory,
    UserFactory,
)
from tests.factories.payloads import PAYLOADS
from tests.privacy.pii_markers import (
    Marked,
    Shared,
    broken_chain,
    digests,
    marked_person,
    search,
    tables_of_people,
)
from tests.processes import HANG_TIMEOUT, eventually, manage
from tests.services import committing, run_concurrently
from ugc.services import submit_question, submit_review, write_diary_entry

MARK = "zqxlatexqz"
MEETING = f"https://meet.example.com/{MARK}"
MARKS = {MARK: "late"}
TEN_YEARS_ON = timezone.now().replace(microsecond=0) + timedelta(days=3650)
# Codes of the refusals that services raise for a person who is being erased.
REFUSALS = {
    "not_found",
    "client_unavailable",
    "author_unavailable",
    "person_unavailable",
    "account_erased",
    "intake_closed",  # the session was cancelled with the erasure
    "rule_broken",
}

pytestmark = pytest.mark.slow


@pytest.fixture
def committed(
    fresh_database: Database, django_db_blocker: Any, tmp_path: Path, monkeypatch: Any
) -> Iterator[Database]:
    """A separate database, to which Django's connections commit."""
    monkeypatch.setattr(settings, "ERASURE_LEDGER_FILE", tmp_path / "erasures.jsonl")
    with committing(fresh_database, django_db_blocker):
        yield fresh_database


@pytest.fixture
def shared(committed: Database) -> Shared:
    return Shared.made()


@pytest.fixture
def one(shared: Shared) -> Marked:
    return marked_person(shared)


# -- beside writers -------------------------------------------------------------------------------

number = itertools.count()


def book_session(one: Marked, shared: Shared) -> Any:
    return book_appointment(
        service=shared.service,
        client=one.user,
        client_request_id=f"{MARK}{next(number)}",
        start=TEN_YEARS_ON + timedelta(hours=3 * next(number)),
        timezone="Europe/Moscow",
        format="online",
        override=True,
        actor=shared.owner,
    )


def submit_intake(one: Marked, shared: Shared) -> Any:
    """Submit the intake form of a new session."""
    form = PAYLOADS["intake"] | {"note": MARK}
    return submit_intake_form(
        save_intake_draft(appointment=book_session(one, shared), payload=Plaintext(form))
    )


def write_diary(one: Marked, shared: Shared) -> Any:
    return write_diary_entry(
        user=one.user,
        diary_type="gratitude",
        entry_date=timezone.localdate(),
        payload=Plaintext(PAYLOADS["diary_gratitude"] | {"note": MARK}),
    )


def ask_question(one: Marked, shared: Shared) -> Any:
    return submit_question(
        text=Plaintext(f"Почему {MARK}?"),
        user=one.user,
        contact={"email": Plaintext(f"{MARK}@example.com")},
    )


def join_waitlist(one: Marked, shared: Shared) -> Any:
    return submit_waitlist_request(
        service=shared.service,
        user=one.user,
        preferred_contact="email",
        contact=Plaintext(f"{MARK}@example.com"),
    )


def write_review(one: Marked, shared: Shared) -> Any:
    return submit_review(text=Plaintext(MARK), user=one.user, consent_version="2026-01-07")


def begin_run(one: Marked, shared: Shared) -> Any:
    return start_run(shared.interactive, user=one.user, anonymous_id=f"{MARK}{next(number)}")


def grant_and_export(one: Marked, shared: Shared) -> Any:
    grant_consent(user=one.user, consent_type="communications", version="2027-01-07", source="web")
    return request_export(one.user, export_type="user_data")


def track_event(one: Marked, shared: Shared) -> Any:
    """Never refused: the event of an erased person is linked to nobody."""
    return record_event(
        "booking_start",
        source="web",
        user=one.user,
        properties={"entry_point": "seo", "page_path": "/services", "topic": "anxiety"},
    )


SERVICES = [
    book_session,
    submit_intake,
    write_diary,
    ask_question,
    join_waitlist,
    write_review,
    begin_run,
    grant_and_export,
    track_event,
]


def beside(erasure: Callable[[], Any], *writers: Callable[[], Any]) -> tuple[Any, Counter]:
    """Erase when every writer has written once; the writers stop some rounds after the erasure.

    Returns the result of the erasure and counts of the outcomes of the writers.
    """
    outcomes: Counter[str] = Counter()
    lock, has_begun = threading.Lock(), threading.Barrier(len(writers) + 1)
    is_over = threading.Event()

    def write(work: Callable[[], Any]) -> None:
        with lock:
            outcomes["writers"] += 1
        work()
        has_begun.wait(HANG_TIMEOUT)
        left = 5  # rounds after the erasure
        for _ in range(400):
            if is_over.wait(0.02):  # without a pause the erasure cancels sessions for a minute
                left -= 1
            if left < 0:
                break
            try:
                work()
                outcome = "written"
            except Refused as refusal:
                outcome = refusal.code
            with lock:
                outcomes[outcome] += 1

    def start_erasure() -> Any:
        has_begun.wait(HANG_TIMEOUT)
        try:
            return erasure()
        finally:
            is_over.set()

    answers = run_concurrently(start_erasure, *(lambda work=work: write(work) for work in writers))
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers[0], outcomes


def test_concurrent_services_write_before_an_erasure_or_are_refused(
    one: Marked, shared: Shared
) -> None:
    elsewhere = marked_person(shared)
    before = search(elsewhere.marks.all())
    erased, outcomes = beside(
        lambda: erase_user(one.pk, method="admin", force=True),
        *(lambda service=service: service(one, shared) for service in SERVICES),
    )
    assert erased.counts["users"] == 1
    assert outcomes["written"] > 0
    assert {code for code in outcomes if code not in ("written", "writers")} <= REFUSALS, outcomes
    assert nothing_is_left_of(one)
    assert search(elsewhere.marks.all()) == before
    assert Appointment.objects.filter(status__in=["pending_payment", "confirmed"]).count() == 0


def nothing_is_left_of(one: Marked) -> bool:
    assert search(one.erased_marks() | MARKS) == []
    person = PersonalRows(one.pk)
    for table in tables_of_people():
        if table.rows_go:
            rows = person.rows(table)
            assert rows is not None
            assert not rows.exists(), table.name
    assert erase_user(one.pk, method="admin").rows == 0
    assert broken_chain() == []
    return True


def rows_of(one: Marked, shared: Shared) -> list[Callable[[], models.Model]]:
    """Unsaved rows that name the person, for writes past the services."""
    return [
        lambda: DiaryEntryFactory.build(
            user=one.user,
            payload_encrypted=Plaintext(PAYLOADS["diary_gratitude"] | {"note": MARK}),
        ),
        lambda: ReviewFactory.build(user=one.user, review_text_encrypted=Plaintext(MARK)),
        lambda: AppointmentFactory.build(
            service=shared.service, client=one.user, meeting_url=MEETING, start_at_utc=free_time()
        ),
        lambda: LeadIdentityFactory.build(
            lead=one.rows["leads"][0],
            user=one.user,
            by_browser=True,
            anonymous_id=f"{MARK}{next(number)}",
        ),
    ]


def free_time() -> Any:
    return TEN_YEARS_ON + timedelta(hours=3 * next(number))


def test_concurrent_raw_writes_precede_an_erasure_or_are_refused(
    one: Marked, shared: Shared, committed: Database
) -> None:
    """Eight writers, through the ORM and through plain SQL."""
    rules: Counter[str] = Counter()

    def by_orm(made: Callable[[], models.Model]) -> None:
        try:
            made().save(force_insert=True)
        except IntegrityError as error:
            rules[error.__cause__.diag.constraint_name] += 1  # type: ignore[union-attr]

    def by_sql(made: Callable[[], models.Model]) -> None:
        row = made()
        given = {
            f.column: getattr(value, "text", value)
            for f in row._meta.concrete_fields
            if not isinstance(value := getattr(row, f.attname), models.expressions.DatabaseDefault)
        }
        names = ", ".join(f'"{name}"' for name in given)
        marks = ", ".join(["%s"] * len(given))
        with committed.connect(autocommit=True) as session:
            try:
                session.execute(
                    f'INSERT INTO "{row._meta.db_table}" ({names}) VALUES ({marks})',
                    list(given.values()),
                )
            except psycopg.IntegrityError as error:
                rules[str(error.diag.constraint_name)] += 1

    makers = rows_of(one, shared)
    # The lead has its primary contact already: another one conflicts even before the erasure.
    writers = [lambda w=route, m=made: w(m) for made in makers[:3] for route in (by_orm, by_sql)]
    writers += [lambda: by_orm(makers[0]), lambda: by_sql(makers[1])]
    erased, _ = beside(lambda: erase_user(one.pk, method="admin", force=True), *writers)
    assert erased.rows > 0
    assert {
        "diary_entries_user_id_not_erased",
        "reviews_user_id_not_erased",
        "appointments_client_user_id_not_erased",
    } == {*rules}
    assert nothing_is_left_of(one)


def test_rows_written_to_a_lead_meanwhile_are_erased_by_a_replay(
    one: Marked, shared: Shared, committed: Database
) -> None:
    """No rule refuses rows of an erased lead, or analytics of an erased person: replay_erasures
    removes such rows.
    """
    lead, staff = one.rows["leads"][0], shared.owner

    def note() -> None:
        LeadNoteFactory(lead=lead, author=staff, note_encrypted=Plaintext(MARK))

    def identity() -> None:
        lead.identities.create(anonymous_id=f"{MARK}{next(number)}")

    def event() -> None:
        with committed.connect(autocommit=True) as session:
            session.execute(
                """INSERT INTO analytics_events (schema_version, event_name, event_version,
                    event_id, occurred_at, source, environment, user_id, properties)
                VALUES ('1.0', 'page_view', 1, gen_random_uuid(), now(), 'web', 'prod', %s, %s)""",
                [one.pk, json.dumps({"page_path": f"/{MARK}"})],
            )

    beside(lambda: erase_user(one.pk, method="admin"), note, identity, event)
    assert search(one.erased_marks()) == []
    assert {line.split(": ")[0] for line in search(MARKS)} == {
        "lead_notes.note_encrypted",
        "lead_identities.anonymous_id",
        "analytics_events.properties",
    }
    result = manage(
        "replay_erasures",
        DATABASE_URL=committed.url,
        ERASURE_LEDGER_FILE=str(settings.ERASURE_LEDGER_FILE),
    )
    assert result.returncode == 0, result.stderr
    assert nothing_is_left_of(one)


def test_erasure_waits_for_an_open_booking_and_cancels_it(
    one: Marked, shared: Shared, committed: Database
) -> None:
    """A booking is not yet committed when the erasure takes its locks."""
    with committed.connect() as session:
        insert_booking(one, shared, session)
        done: list[Any] = []
        thread = threading.Thread(target=lambda: done.append(erase_and_disconnect(one)))
        thread.start()
        waits = "SELECT FROM pg_locks WHERE NOT granted AND pg_blocking_pids(pid) @> ARRAY[%s::int]"
        with committed.connect(autocommit=True) as watcher:
            blocked = [session.info.backend_pid]
            assert eventually(lambda: watcher.execute(waits, blocked).fetchall() or done)
        assert not done
        session.commit()
        thread.join(HANG_TIMEOUT)
    assert [len(erased.canceled) for erased in done] == [1]
    assert nothing_is_left_of(one)


def test_endless_bookings_do_not_block_an_erasure(
    one: Marked, shared: Shared, committed: Database, monkeypatch: Any
) -> None:
    """Another booking is committed before each attempt to lock."""
    lock, booked = locks._lock_user, []

    def book_then_lock(order: Any) -> Any:
        with committed.connect(autocommit=True) as session:
            booked.append(insert_booking(one, shared, session))
        return lock(order)

    monkeypatch.setattr(locks, "_lock_user", book_then_lock)
    erased = erase_user(one.pk, method="admin")
    assert len(booked) == locks.MAX_LOCK_ATTEMPTS + 1
    assert {session.appointment for session in erased.canceled} == {*booked}
    monkeypatch.undo()
    assert nothing_is_left_of(one)


def insert_booking(one: Marked, shared: Shared, session: psycopg.Connection) -> Any:
    row = session.execute(
        """INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc,
            timezone, format, price_amount, hold_expires_at, meeting_url)
        VALUES (%(service)s, %(client)s, %(start)s, %(start)s + interval '50 minutes',
            'Europe/Moscow', 'online', 0, now() + interval '1 hour', %(mark)s) RETURNING id""",
        {"service": shared.service.pk, "client": one.pk, "start": free_time(), "mark": MEETING},
    ).fetchone()
    assert row is not None
    return row[0]


def erase_and_disconnect(one: Marked) -> Any:
    try:
        return erase_user(one.pk, method="admin")
    finally:
        connection.close()


# -- beside another erasure -----------------------------------------------------------------------


def test_concurrent_erasures_of_a_person_are_one(one: Marked) -> None:
    answers = run_concurrently(*[lambda: erase_user(one.pk, method="admin", force=True)] * 6)
    assert sorted(answer.rows > 0 for answer in answers) == [False] * 5 + [True]
    assert ErasureLedgerEntry.objects.filter(subject_id=one.pk).count() == 1
    assert nothing_is_left_of(one)


def test_one_owner_remains_when_all_are_erased_at_once(committed: Database) -> None:
    owners = [UserFactory(role="owner") for _ in range(4)]
    answers = run_concurrently(
        *(lambda key=user.pk: erase_user(key, method="self_service") for user in owners)
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Erased"] * 3 + ["LastOwner"]
    assert User.objects.filter(status="active").count() == 1


def test_people_with_shared_rows_are_erased_at_once(shared: Shared) -> None:
    people = [marked_person(shared) for _ in range(4)]
    answers = run_concurrently(
        *(lambda key=one.pk: erase_user(key, method="admin") for one in people)
    )
    assert [type(answer).__name__ for answer in answers] == ["Erased"] * 4
    for one in people:
        assert nothing_is_left_of(one)
    lines = Path(settings.ERASURE_LEDGER_FILE).read_text().splitlines()
    assert sorted(json.loads(line)["subject_id"] for line in lines) == sorted(
        str(one.pk) for one in people
    )
    assert ledger.sync_file() == 0


def test_payment_during_an_erasure_is_due_back(
    shared: Shared,
) -> None:

    people = [UserFactory() for _ in range(4)]
    payments = [
        PaymentFactory(
            answered=True,
            appointment=AppointmentFactory(service=shared.service, client=person),
        )
        for person in people
    ]

    def deliver_payment(payment: Any) -> Any:
        return receive_webhook(
            event_type="payment.succeeded",
            provider_payment_id=payment.provider_payment_id,
            amount=payment.amount,
            currency="RUB",
        )

    answers = run_concurrently(
        *(lambda key=person.pk: erase_user(key, method="admin", force=True) for person in people),
        *(lambda payment=payment: deliver_payment(payment) for payment in payments),
    )
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    for payment in payments:
        payment.refresh_from_db()
        row = payment.appointment
        assert (payment.status, row.status, row.client_id) == ("succeeded", "canceled", None)
    assert Appointment.objects.count() == 4
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM outbox_events WHERE event_type = 'refund_due'")
        assert cursor.fetchone() == (4,)


# -- roles of the database ------------------------------------------------------------------------


def as_role(role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")


def test_database_owner_erases_and_the_application_is_refused(one: Marked) -> None:
    """Events and the log are append-only for the application (access.md §2)."""
    call_command("grant_db_roles", stdout=io.StringIO())
    before = digests()
    as_role("ebalance_app")
    with pytest.raises(ErasureUnavailable):
        erase_user(one.pk, method="self_service")
    as_role("ebalance_owner")
    assert digests() == before
    assert erase_user(one.pk, method="admin").counts["analytics_events"] == 3
    connection.close()
    assert nothing_is_left_of(one)


# -- killed ---------------------------------------------------------------------------------------


def die_at_table(key: Any, step: int) -> None:
    """Erase, and kill the process before the ``step``-th table."""
    connection.close()
    apply, steps = columns.Removal.apply, itertools.count()

    def die(self: Any, **settled: Any) -> int:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return apply(self, **settled)

    columns.Removal.apply = die  # type: ignore[method-assign]
    erase_user(key, method="admin")


def in_process(work: Callable, *arguments: Any) -> int | None:
    connection.close()
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    process.join(HANG_TIMEOUT)
    return process.exitcode


def test_killed_erasure_leaves_no_partial_changes(one: Marked) -> None:
    before = digests()
    for step in (0, 5, 11, 19):
        assert in_process(die_at_table, one.pk, step) == -signal.SIGKILL
        assert digests() == before
    assert not Path(settings.ERASURE_LEDGER_FILE).exists()
    erase_user(one.pk, method="admin")
    assert nothing_is_left_of(one)


def die_after_commit(key: Any) -> None:
    connection.close()
    ledger.sync_file = lambda: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    erase_user(key, method="admin")


def test_missing_line_of_a_killed_process_is_added_by_the_next(
    committed: Database,
) -> None:
    """The process is killed between its commit and the write of the file."""
    people = [str(person.pk) for person in UserFactory.create_batch(2)]
    file = Path(settings.ERASURE_LEDGER_FILE)
    assert in_process(die_after_commit, people[0]) == -signal.SIGKILL
    assert not file.exists()
    assert ErasureLedgerEntry.objects.count() == 1
    done = manage(
        "erase_user", people[1], DATABASE_URL=committed.url, ERASURE_LEDGER_FILE=str(file)
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = file.read_text().splitlines()
    assert [json.loads(line)["subject_id"] for line in lines] == people


def test_failed_command_prints_one_line(committed: Database) -> None:
    file = str(settings.ERASURE_LEDGER_FILE)
    result = manage(
        "erase_user", "zqx@example.com", DATABASE_URL=committed.url, ERASURE_LEDGER_FILE=file
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "zqx" not in result.stderr


def test_stopped_replay_continues_with_the_remaining_people(committed: Database) -> None:
    """The command handles the signal after the current person."""
    people = UserFactory.create_batch(5)
    file = Path(settings.ERASURE_LEDGER_FILE)
    timestamp = "2026-01-07T12:30:00Z"
    for person in people:
        line = {"subject_id": str(person.pk), "requested_at": timestamp, "completed_at": timestamp}
        with file.open("a") as stream:
            stream.write(json.dumps(line | {"method": "admin"}) + "\n")
    assert in_process(stopped_replay, 2) == 128 + signal.SIGTERM
    assert User.objects.filter(status="deleted").count() == 2
    result = manage("replay_erasures", DATABASE_URL=committed.url, ERASURE_LEDGER_FILE=str(file))
    assert result.returncode == 0, result.stderr
    assert "3 were erased again" in result.stdout
    assert "2 are erased already" in result.stdout


def stopped_replay(people: int) -> None:
    from django.core.management import CommandError, call_command

    from ebalance.privacy.management.commands import replay_erasures

    connection.close()
    again, done = replay_erasures.erase_again, itertools.count(1)

    def then_stop(*arguments: Any) -> Any:
        answer = again(*arguments)
        if next(done) == people:
            os.kill(os.getpid(), signal.SIGTERM)
        return answer

    replay_erasures.erase_again = then_stop  # type: ignore[assignment]
    try:
        call_command("replay_erasures")
    except CommandError as error:
        os._exit(error.returncode)
