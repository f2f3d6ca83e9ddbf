"""process_exports: requests become files, or fail with a reason."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZipFile

import pytest
from django.core.management import CommandError
from django.db import OperationalError, transaction
from django.utils.timezone import now
from pypdf import PdfReader

from ebalance.db.ids import uuid7
from ebalance.db.snapshot import read_only_snapshot
from ebalance.privacy.exports import collecting, process_export, request_export
from ebalance.privacy.exports import requests as requests_module
from ebalance.privacy.management.commands import process_exports
from ebalance.services import InvalidInput, NotFound
from identity.errors import AccountErased
from tests.databases import Database, default_connection_on
from tests.factories import DataExportRequestFactory, DiaryEntryFactory, UserFactory
from tests.privacy.exports import (
    SECRET,
    audited,
    command,
    diarist,
    document_of,
    files,
    loaded,
    read,
    refused,
    requests,
)
from tests.services import events, nothing_written, run_concurrently
from tests.support import execute

DAYS = timedelta(days=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.EXPORTS_DIR = tmp_path / "exports"
    return settings.EXPORTS_DIR


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A separate database, to which the test commits."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


# -- requesting -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_repeated_request_returns_the_pending_one() -> None:
    person = UserFactory()
    first = request_export(person, export_type="user_data")
    assert (first.status, first.user_id) == ("requested", person.pk)
    assert request_export(person.pk, export_type="user_data") == first
    requests.filter(pk=first.pk).update(status="processing")
    with nothing_written():
        assert request_export(str(person.pk), export_type="user_data") == first
    assert request_export(person, export_type="diary_pdf") != first
    assert request_export(UserFactory(), export_type="user_data") != first


@pytest.mark.django_db
@pytest.mark.parametrize("over", ["ready", "failed"])
def test_request_after_a_finished_one_is_new(over: str) -> None:
    earlier = DataExportRequestFactory(**{over: True})
    new = request_export(earlier.user, export_type="user_data")
    assert new != earlier
    assert new.status == "requested"


@pytest.mark.django_db
def test_a_request_has_the_time_of_the_clock() -> None:
    noon = now() - DAYS
    request = request_export(UserFactory(), export_type="user_data", clock=lambda: noon)
    request.refresh_from_db()
    assert request.created_at == noon


@pytest.mark.django_db
def test_blocked_person_may_request_an_export() -> None:
    request = request_export(diarist(blocked=True), export_type="user_data")
    assert process_export(request.pk) == "ready"


@pytest.mark.django_db
def test_erased_and_unknown_people_cannot_request_an_export() -> None:
    erased = UserFactory(deleted=True)
    with nothing_written():
        with pytest.raises(AccountErased):
            request_export(erased, export_type="user_data")
        for unknown in (uuid7(), "unknown", None):
            with pytest.raises(NotFound):
                request_export(unknown, export_type="user_data")
        for odd in ("everything", "", None, "user_data "):
            with pytest.raises(InvalidInput):
                request_export(UserFactory.build(), export_type=odd)


@pytest.mark.slow
def test_concurrent_requests_store_one_row(committed: Database) -> None:
    person = UserFactory()
    calls = [lambda: request_export(person.pk, export_type="user_data")] * 8
    answers = run_concurrently(*calls)
    assert len({answer.pk for answer in answers}) == 1
    assert requests.count() == 1


# -- processing -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_request_becomes_a_file_with_everything(folder: Path) -> None:
    person = diarist()
    request = request_export(person, export_type="user_data")
    noon = now()
    assert process_export(request.pk, clock=lambda: noon) == "ready"
    request.refresh_from_db()
    assert request.status == "ready"
    assert (request.completed_at, request.expires_at) == (noon, noon + 7 * DAYS)
    assert [request.file_url] == [f"exports/{name}" for name in files(folder)]
    made = document_of(request)
    assert made["subject"] == str(person.pk)
    assert made["tables"]["users"][0]["email"] == person.email
    assert made["tables"]["diary_entries"][0]["payload_encrypted"]["items"] == [{"text": SECRET}]
    with ZipFile(io.BytesIO(read(request))) as archive:
        assert SECRET in archive.read("index.html").decode()


@pytest.mark.django_db
def test_file_has_no_rows_of_other_people() -> None:
    request = request_export(UserFactory(), export_type="user_data")
    other = diarist()
    process_export(request.pk)
    request.refresh_from_db()
    made = json.dumps(document_of(request), ensure_ascii=False)
    assert SECRET not in made
    assert other.email not in made


@pytest.mark.django_db
def test_a_diary_becomes_a_pdf() -> None:
    request = request_export(diarist(), export_type="diary_pdf")
    assert process_export(request.pk) == "ready"
    request.refresh_from_db()
    assert request.file_url.endswith(".pdf")
    (page,) = PdfReader(io.BytesIO(read(request))).pages
    assert SECRET in page.extract_text()


@pytest.mark.django_db
def test_person_without_a_diary_gets_a_pdf() -> None:
    """Otherwise the list of exports would reveal who keeps a diary."""
    request = request_export(UserFactory(), export_type="diary_pdf")
    assert process_export(request.pk) == "ready"
    request.refresh_from_db()
    assert len(PdfReader(io.BytesIO(read(request))).pages) == 1


@pytest.mark.django_db
def test_event_names_no_person_and_the_export_is_in_the_log() -> None:
    person = diarist()
    request = request_export(person, export_type="user_data")
    noon = now()
    process_export(request.pk, clock=lambda: noon)
    (event,) = execute(
        "SELECT payload FROM outbox_events WHERE aggregate_id = %s AND event_type = %s",
        [request.pk, "data_export_ready"],
    )
    payload = loaded(event["payload"])
    assert {*payload} == {"export_type", "expires_at"}
    assert payload["export_type"] == "user_data"
    assert audited() == [("users", person.pk, {"export_type": "user_data"})]


@pytest.mark.django_db
def test_repeated_processing_changes_nothing(folder: Path) -> None:
    request = request_export(diarist(), export_type="user_data")
    process_export(request.pk)
    before = files(folder)
    with nothing_written():
        assert process_export(request.pk) == "elsewhere"
        assert process_export(uuid7()) == "elsewhere"
    assert files(folder) == before


@pytest.mark.django_db
def test_oldest_requests_are_processed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [DataExportRequestFactory(created_at=now() - age * DAYS) for age in (1, 3, 2)]
    DataExportRequestFactory(ready=True)
    order: list[UUID] = []
    monkeypatch.setattr(
        process_exports, "process_export", lambda key: order.append(key) or process_export(key)
    )
    assert "2 are ready" in command("--limit", "2")
    assert "1 are ready" in command()
    assert order == [made[1].pk, made[2].pk, made[0].pk]


@pytest.mark.django_db
def test_command_without_requests_reports_zero(folder: Path) -> None:
    with nothing_written():
        assert command() == "       0 are ready\n"
    assert files(folder) == []


@pytest.mark.django_db
@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", ""])
def test_invalid_limit_is_refused(limit: str) -> None:
    with pytest.raises(CommandError, match="is no limit"):
        command(f"--limit={limit}")


@pytest.mark.django_db
def test_unusable_folder_is_reported_before_any_processing(folder: Path) -> None:
    request = DataExportRequestFactory()
    folder.write_text("a file where the folder should be")
    assert refused() == ("", "The folder of EXPORTS_DIR cannot be used: File exists.")
    request.refresh_from_db()
    assert request.status == "requested"


@pytest.mark.django_db
def test_files_of_expired_exports_are_removed_by_the_next_run(folder: Path) -> None:
    request = request_export(diarist(), export_type="user_data")
    process_export(request.pk, clock=lambda: now() - 8 * DAYS)
    assert len(files(folder)) == 1
    assert "1 files removed" in command()
    assert files(folder) == []
    request.refresh_from_db()
    assert request.status == "ready"  # the row stays for 90 days


# -- failures -------------------------------------------------------------------------------------


def make_rendering_fail(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, *, of: Any = None
) -> None:
    """Rendering raises ``error`` for this person, or for everybody."""
    collected = collecting.export_user_data

    def raising(user_id: UUID, *args: Any, **options: Any) -> Any:
        if of is None or user_id == of.pk:
            raise error
        return collected(user_id, *args, **options)

    monkeypatch.setattr(requests_module, "export_user_data", raising)


@pytest.mark.django_db
def test_failure_is_logged_in_one_line_without_values(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, folder: Path
) -> None:
    person, other = diarist(), diarist()
    make_rendering_fail(
        monkeypatch, ValueError(f"could not render {SECRET} of {person.email}"), of=person
    )
    request = request_export(person, export_type="user_data")
    fine = request_export(other, export_type="user_data")
    with caplog.at_level(logging.INFO):
        output, refusal = refused()
    assert refusal == "1 exports could not be made, or not completely."
    assert f"{request.pk}: failed" in output
    assert "1 are ready" in output
    request.refresh_from_db()
    fine.refresh_from_db()
    assert (request.status, fine.status) == ("failed", "ready")
    assert request.completed_at is not None
    (record,) = [
        record for record in caplog.records if record.name == "ebalance.privacy.exports.requests"
    ]
    line = record.getMessage()
    assert re.fullmatch(rf"data export {request.pk} failed: ValueError in raising, line \d+", line)
    assert record.exc_info is None
    assert len(files(folder)) == 1
    assert events(request) == []


@pytest.mark.django_db
def test_person_may_request_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    person = diarist()
    with monkeypatch.context() as patched:
        make_rendering_fail(patched, ValueError())
        process_export(request_export(person, export_type="user_data").pk)
    again = request_export(person, export_type="user_data")
    assert process_export(again.pk) == "ready"


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OperationalError("x")])
def test_temporary_failure_is_retried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    request = request_export(diarist(), export_type="user_data")
    with monkeypatch.context() as patched:
        make_rendering_fail(patched, error)
        output, refusal = refused()
    assert f"{request.pk}: postponed" in output
    assert "could not be made" in refusal
    assert "is postponed" in caplog.text
    request.refresh_from_db()
    assert request.status == "processing"
    assert "1 are ready" in command()


@pytest.mark.django_db
def test_unreadable_value_is_reported_and_the_rest_is_exported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    person = diarist()
    lost = DiaryEntryFactory(user=person)
    execute(
        "UPDATE diary_entries SET payload_encrypted = "
        "replace(payload_encrypted, 'v1.k1.', 'v1.lost.') WHERE id = %s",
        [lost.pk],
    )
    request = request_export(person, export_type="user_data")
    output, refusal = refused()
    assert "1 are ready, with values that could not be opened" in output
    assert "not completely" in refusal
    request.refresh_from_db()
    assert request.status == "ready"
    by_id = {row["id"]: row for row in document_of(request)["tables"]["diary_entries"]}
    assert by_id.pop(str(lost.pk))["payload_encrypted"] == {"$unreadable": "UnknownKey"}
    (left,) = by_id.values()
    assert left["payload_encrypted"]["items"] == [{"text": SECRET}]
    assert f"diary_entries.payload_encrypted {lost.pk}" in caplog.text
    assert SECRET not in caplog.text
    assert events(request) == ["data_export_ready"]


@pytest.mark.django_db
def test_unreadable_diary_entry_does_not_fail_the_pdf() -> None:
    person = diarist()
    lost = DiaryEntryFactory(user=person)
    moved = DiaryEntryFactory(user=person)
    execute(
        "UPDATE diary_entries SET payload_encrypted = %s WHERE id = %s",
        [moved.payload_encrypted.text, lost.pk],
    )
    request = request_export(person, export_type="diary_pdf")
    assert process_export(request.pk) == "incomplete"
    request.refresh_from_db()
    seen = "".join(page.extract_text() for page in PdfReader(io.BytesIO(read(request))).pages)
    assert SECRET in seen


@pytest.mark.django_db
@pytest.mark.parametrize("fails", [False, True], ids=["made", "failing"])
def test_person_erased_meanwhile_has_no_file_and_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, folder: Path, fails: bool
) -> None:
    request = request_export(diarist(), export_type="user_data")
    collected = collecting.export_user_data

    def erased_meanwhile(*args: Any, **options: Any) -> Any:
        requests.filter(pk=request.pk).delete()
        if fails:
            raise LookupError("nothing is left of this person")
        return collected(*args, **options)

    monkeypatch.setattr(requests_module, "export_user_data", erased_meanwhile)
    assert "1 are dropped" in command()
    assert files(folder) == []
    assert caplog.records == []
    assert audited() == []
    assert not execute("SELECT FROM outbox_events WHERE event_type = 'data_export_ready'")


@pytest.mark.django_db
def test_file_of_an_unfinished_request_is_removed(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    request = request_export(diarist(), export_type="user_data")

    def fail(*_args: Any, **_options: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(requests_module, "record_entry", fail)
    assert process_export(request.pk) == "failed"
    assert files(folder) == []
    request.refresh_from_db()
    assert request.status == "failed"
    assert events(request) == []


# -- collecting -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_collecting_uses_a_read_only_snapshot(committed: Database) -> None:
    show = "SELECT current_setting('transaction_isolation') AS i, current_setting({}) AS r"
    show = show.format("'transaction_read_only'")
    with read_only_snapshot():
        assert execute(show) == [{"i": "repeatable read", "r": "on"}]
    with transaction.atomic():
        assert execute(show) == [{"i": "read committed", "r": "off"}]
        with read_only_snapshot():  # a nested block uses the outer transaction
            assert execute(show) == [{"i": "read committed", "r": "off"}]
    assert execute(show) == [{"i": "read committed", "r": "off"}]
    with pytest.raises(ZeroDivisionError), read_only_snapshot():
        raise ZeroDivisionError
    assert execute(show) == [{"i": "read committed", "r": "off"}]


def test_unknown_type_is_reported_by_its_column_only() -> None:
    class Odd:
        def __repr__(self) -> str:
            return SECRET

    with pytest.raises(TypeError) as caught:
        collecting.plain({"a": [Odd()]}, "reviews.mood")
    assert str(caught.value) == "reviews.mood: there is no plain JSON for Odd."
