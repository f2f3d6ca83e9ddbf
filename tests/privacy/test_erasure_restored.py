"""People who were erased are erased again in a database restored from an older copy."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from ebalance.db.encryption.fields import Plaintext
from ebalance.dev.bundled import bundled_bin_dir
from ebalance.privacy.erasure import erase_user
from tests.databases import Database, Databases
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    LeadFactory,
    LeadNoteFactory,
    ServiceFactory,
    UserFactory,
)
from tests.privacy.pii_markers import KEPT_MARKS, Shared, marked_person, search
from tests.processes import HANG_TIMEOUT, manage
from tests.services import committing

pytestmark = pytest.mark.slow

LEDGER = "SELECT subject_id, requested_at FROM erasure_ledger ORDER BY 1, 2"


@pytest.fixture(autouse=True)
def _file(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(settings, "ERASURE_LEDGER_FILE", tmp_path / "erasures.jsonl")


@pytest.fixture
def before(fresh_database: Database, django_db_blocker: Any) -> Iterator[None]:
    """Django's connections use the database that existed before the restore."""
    with committing(fresh_database, django_db_blocker):
        yield


class Copy:
    """A dump of the database, and databases restored from the dump."""

    def __init__(self, database: Database, folder: Path, databases: Databases) -> None:
        self.path = folder / "older.sql"
        self.databases = databases
        run("pg_dump", "--file", str(self.path), database=database)
        # The bundled pg_dump always sets this parameter, unknown to servers before PostgreSQL 17.
        text = self.path.read_text()
        self.path.write_text(text.replace("SET transaction_timeout = 0;\n", "", 1))

    @contextmanager
    def restored(self) -> Iterator[Database]:
        database = self.databases.empty()
        try:
            script = ("-v", "ON_ERROR_STOP=1", "--file", str(self.path))
            run("psql", "-Xq", *script, database=database)
            yield database
        finally:
            self.databases.drop(database.name)


def run(program: str, *arguments: str, database: Database) -> None:
    result = subprocess.run(
        [str(bundled_bin_dir() / program), "--dbname", database.conninfo, *arguments],
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
    )
    assert result.returncode == 0, result.stderr


def replay(database: Database, *arguments: str, **environment: str) -> Any:
    given = {"ERASURE_LEDGER_FILE": str(settings.ERASURE_LEDGER_FILE), **environment}
    return manage("replay_erasures", *arguments, DATABASE_URL=database.url, **given)


def columns_with(marks: dict[str, str], database: Database) -> set[str]:
    with database.connect() as session:
        return {line.split(": ")[0] for line in search(marks, session.cursor())}


def fetch(database: Database, statement: str, *params: Any) -> list[tuple]:
    with database.connect() as session:
        return session.execute(statement, params).fetchall()


def test_people_are_erased_again_in_a_restored_copy(
    fresh_database: Database, databases: Databases, tmp_path: Path, before: None
) -> None:
    shared = Shared.made()
    people = [marked_person(shared) for _ in range(3)]
    elsewhere = search(people[2].marks.all())
    copy = Copy(fresh_database, tmp_path, databases)
    for one in people[:2]:
        erase_user(one.pk, method="self_service")
    file, other = Path(settings.ERASURE_LEDGER_FILE), str(tmp_path / "other.jsonl")
    with copy.restored() as restored:
        for one in people[:2]:
            assert len(columns_with(one.erased_marks(), restored)) > 20
        dry_run = replay(restored, "--ledger", str(file), "--dry-run", ERASURE_LEDGER_FILE=other)
        assert "2 would be erased" in dry_run.stdout
        assert len(columns_with(people[0].erased_marks(), restored)) > 20
        result = replay(restored, "--ledger", str(file), ERASURE_LEDGER_FILE=other)
        assert result.returncode == 0, result.stderr
        assert "2 were erased again" in result.stdout
        for one in people[:2]:
            assert columns_with(one.erased_marks(), restored) == set()
            assert columns_with(one.marks.all(), restored) == KEPT_MARKS
        with restored.connect() as session:
            assert search(people[2].marks.all(), session.cursor()) == elsewhere
        # The table and the other file contain both people again.
        assert fetch(restored, LEDGER) == fetch(fresh_database, LEDGER)
        assert subjects(Path(other)) == subjects(file)
        again = replay(restored, ERASURE_LEDGER_FILE=other)
        assert again.returncode == 0, again.stderr
        assert "2 are erased already" in again.stdout
        assert fetch(restored, LEDGER) == fetch(fresh_database, LEDGER)


def subjects(file: Path) -> list[str]:
    return [json.loads(line)["subject_id"] for line in file.read_text().splitlines()]


def test_lead_is_erased_in_a_copy_from_before_the_registration(
    fresh_database: Database, databases: Databases, tmp_path: Path, before: None
) -> None:
    """The file stores the leads of the person."""
    lead = LeadFactory()
    lead.identities.create(email_encrypted=Plaintext("zqxlaterxqz@example.com"))
    LeadNoteFactory(lead=lead, note_encrypted=Plaintext("zqxnotexqz"))
    copy = Copy(fresh_database, tmp_path, databases)
    person = UserFactory(email="zqxlaterxqz@example.com")
    erase_user(person.pk, method="admin")
    marks = {"zqxlaterxqz": "contact", "zqxnotexqz": "note"}
    with copy.restored() as restored:
        assert columns_with(marks, restored) == {
            "lead_identities.email_encrypted",
            "lead_notes.note_encrypted",
        }
        result = replay(restored)
        assert result.returncode == 0, result.stderr
        assert columns_with(marks, restored) == set()
        assert fetch(restored, LEDGER) == fetch(fresh_database, LEDGER)


def test_people_missing_in_the_copy_are_counted(
    fresh_database: Database, databases: Databases, tmp_path: Path, before: None
) -> None:
    copy = Copy(fresh_database, tmp_path, databases)
    person = UserFactory()
    erase_user(person.pk, method="admin")
    with copy.restored() as restored:
        for _ in range(2):
            result = replay(restored)
            assert result.returncode == 0, result.stderr
            assert "1 are unknown to this database" in result.stdout
        assert fetch(restored, LEDGER) == fetch(fresh_database, LEDGER)


def test_replay_cancels_upcoming_sessions_without_events(
    fresh_database: Database, databases: Databases, tmp_path: Path, before: None
) -> None:
    """The first cancellation published its events: a replay must cause no second refund."""
    person = UserFactory()
    slots = AvailabilitySlotFactory.create_batch(2, reserved=True)
    service = ServiceFactory(published=True)
    paid, _unpaid = (
        AppointmentFactory(client=person, slot=slot, service=service, **{state: True})
        for slot, state in zip(slots, ("confirmed", "held"), strict=True)
    )
    copy = Copy(fresh_database, tmp_path, databases)
    erase_user(person.pk, method="admin", force=True)
    assert fetch(fresh_database, "SELECT 1 FROM outbox_events WHERE event_type = 'refund_due'")
    with copy.restored() as restored:
        result = replay(restored)
        assert result.returncode == 0, result.stderr
        assert f"Session {paid.pk}" in result.stderr
        assert "check that its payment was refunded" in result.stderr
        rows = "SELECT status, outcome, client_user_id FROM appointments"
        assert fetch(restored, rows) == [("canceled", "canceled_by_client", None)] * 2
        assert fetch(restored, "SELECT DISTINCT status FROM availability_slots") == [("available",)]
        published = "SELECT DISTINCT event_type FROM outbox_events ORDER BY 1"
        assert fetch(restored, published) == [("lead_erased",), ("user_erased",)]
        assert fetch(restored, "SELECT count(*) FROM analytics_events") == [(0,)]


def test_refused_person_is_reported_and_the_replay_continues(
    fresh_database: Database, databases: Databases, tmp_path: Path, before: None
) -> None:
    owner, other, client = UserFactory(role="owner"), UserFactory(), UserFactory()
    copy = Copy(fresh_database, tmp_path, databases)
    other.user_roles.create(role_id="owner")
    for person in (owner, client):
        erase_user(person.pk, method="admin")
    with copy.restored() as restored:
        result = replay(restored)
        assert result.returncode == 1
        assert result.stderr.splitlines()[-1].endswith("1 could not be erased.")
        assert f"{owner.pk}: The last active owner" in result.stderr
        rows = dict(fetch(restored, "SELECT id, status FROM users"))
        assert rows == {owner.pk: "active", other.pk: "active", client.pk: "deleted"}
        # With another owner the erasure is possible.
        with restored.connect() as session:
            session.execute(
                "INSERT INTO user_roles (user_id, role_code) VALUES (%s, 'owner')", [other.pk]
            )
        result = replay(restored)
        assert result.returncode == 0, result.stderr
        assert "1 were erased again" in result.stdout
        assert "1 are erased already" in result.stdout
