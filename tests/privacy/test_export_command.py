"""export_user_data: writes everything about one person into a file for an operator."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZipFile

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ebalance.db.ids import uuid7
from ebalance.privacy.lookup import PersonNotFound, find_person
from ebalance.privacy.management.commands import export_user_data
from tests.case_loops import check_each
from tests.databases import Database, default_connection_on
from tests.factories import DiaryEntryFactory, UserFactory
from tests.privacy.exports import SECRET, diarist, loaded
from tests.processes import HANG_TIMEOUT, ROOT, environment, manage
from tests.services import nothing_written
from tests.support import execute


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


def command(*arguments: str) -> str:
    output = io.StringIO()
    call_command("export_user_data", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def audited() -> list[dict[str, Any]]:
    connection.check_constraints()
    return execute(
        "SELECT entity_id, new_value FROM audit_log_entries WHERE action = 'data_exported'"
    )


# -- lookup ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_person_is_looked_up_by_id_or_contact() -> None:
    by_mail = UserFactory(email="anna@example.com")
    by_phone = UserFactory(by_phone=True, phone="+79991234567")
    by_telegram = UserFactory(by_telegram=True, telegram_user_id="123456789")
    for person, names in {
        by_mail: [str(by_mail.pk), by_mail.pk.hex, "anna@example.com", " Anna@Example.COM "],
        by_phone: ["+79991234567", "8 (999) 123-45-67", str(by_phone.pk).upper()],
        by_telegram: ["123456789"],
    }.items():
        for name in names:
            assert find_person(name) == person, name


UNKNOWN = [
    "",
    " ",
    "nobody@example.com",
    "+79990000000",
    "42",
    "@anna",
    "Анна",
    str(uuid7()),
    "' OR 1=1 --",
    "%",
    "a" * 100_000,
    "\ud83d",
]


@pytest.mark.django_db
def test_unknown_person_is_refused_without_an_echo(folder: Path) -> None:
    UserFactory(email="anna@example.com", display_name="Анна", telegram_username="anna")

    def is_refused(name: str) -> None:
        with nothing_written(), pytest.raises(CommandError) as caught:
            command("--", name)
        assert str(caught.value) == "There is no person with this id, e-mail, phone or Telegram id."
        assert [*folder.iterdir()] == []

    check_each([(ascii(name[:20]), name) for name in UNKNOWN], is_refused)


@pytest.mark.django_db
def test_contact_of_two_people_is_refused() -> None:
    """A Telegram id may have the digits of another person's phone."""
    UserFactory(by_phone=True, phone="+79991234567")
    UserFactory(by_telegram=True, telegram_user_id="79991234567")
    with pytest.raises(PersonNotFound, match="two people"):
        find_person("79991234567")
    assert find_person("+79991234567").phone == "+79991234567"


@pytest.mark.django_db
def test_blocked_and_deleted_people_are_looked_up_by_id() -> None:
    for person in (UserFactory(blocked=True), UserFactory(deleted=True)):
        assert find_person(str(person.pk)) == person


# -- output ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_default_output_is_a_zip_in_the_working_folder(folder: Path) -> None:
    person = diarist()
    assert command(str(person.pk)) == f"Written: export-{person.pk}.zip\n"
    (path,) = folder.iterdir()
    with ZipFile(path) as archive:
        assert archive.namelist() == ["index.html", "data.json"]
        assert json.loads(archive.read("data.json"))["subject"] == str(person.pk)
        assert SECRET in archive.read("index.html").decode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.django_db
def test_json_is_written_to_the_named_file(folder: Path) -> None:
    person = diarist()
    command(person.email, "--format", "json", "--output", "her.json")
    made = json.loads((folder / "her.json").read_bytes())
    assert made["format"] == "ebalance-export"
    assert made["tables"]["diary_entries"][0]["payload_encrypted"]["items"] == [{"text": SECRET}]


@pytest.mark.django_db
def test_standard_output_contains_only_the_data(folder: Path) -> None:
    person = diarist()
    made = json.loads(command(str(person.pk), "--format", "json", "--output", "-"))
    assert made["subject"] == str(person.pk)
    assert [*folder.iterdir()] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zip", "json"])
def test_a_process_writes_bytes(committed: Database, kind: str) -> None:
    person = diarist()
    arguments = ["export_user_data", str(person.pk), "--format", kind, "--output", "-"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=environment(DATABASE_URL=committed.url, PYTHONIOENCODING="ascii"),
        cwd=ROOT,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=HANG_TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    content = done.stdout
    if kind == "zip":
        with ZipFile(io.BytesIO(content)) as archive:
            content = archive.read("data.json")
    assert json.loads(content)["subject"] == str(person.pk)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_existing_file_is_not_overwritten(folder: Path, kind: str) -> None:
    target = folder / "there"
    match kind:
        case "file":
            target.write_text("kept")
        case "folder":
            target.mkdir()
        case "link":
            target.symlink_to(folder / "nowhere")
    before, person = target.lstat(), diarist()
    with nothing_written(), pytest.raises(CommandError) as caught:
        command(str(person.pk), "--output", str(target))
    assert str(caught.value) == f"{target} exists already; nothing was written."
    assert target.lstat() == before
    assert not (folder / "nowhere").exists()


@pytest.mark.django_db
def test_file_created_meanwhile_is_not_overwritten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process creates the file while the data is collected."""
    monkeypatch.setattr(
        export_user_data,
        "export_user_data",
        create_meanwhile(export_user_data.export_user_data, folder / "x"),
    )
    with pytest.raises(CommandError, match="exists already"):
        command(str(diarist().pk), "--output", "x")
    assert (folder / "x").read_text() == "of somebody else"


def create_meanwhile(collected: Any, path: Path) -> Any:
    def collect(*args: Any) -> Any:
        path.write_text("of somebody else")
        return collected(*args)

    return collect


@pytest.mark.django_db
def test_unwritable_output_is_reported(folder: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
        command(str(diarist().pk), "--output", str(folder / "nowhere" / "x.zip"))


@pytest.mark.django_db
def test_zip_is_not_written_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_user_data.sys.stdout, "isatty", lambda: True)
    person = diarist()
    with nothing_written(), pytest.raises(CommandError, match="not for a terminal"):
        command(str(person.pk), "--output", "-")


# -- audit log ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_audit_entry_names_only_the_person_and_the_format() -> None:
    person = diarist()
    command(person.email)
    (entry,) = audited()
    assert entry["entity_id"] == person.pk
    assert loaded(entry["new_value"]) == {"export_type": "user_data", "format": "zip"}


@pytest.mark.django_db
def test_audit_entry_is_written_before_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(export_user_data, "_write", lambda *_args: seen.append(len(audited())))
    command(str(diarist().pk))
    assert seen == [1]
    assert [*folder.iterdir()] == []


@pytest.mark.django_db
def test_export_without_an_audit_entry_is_not_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_options: Any) -> UUID:
        raise RuntimeError

    monkeypatch.setattr(export_user_data, "record_entry", fail)
    with pytest.raises(RuntimeError):
        command(str(diarist().pk))
    assert [*folder.iterdir()] == []


@pytest.mark.django_db
def test_unreadable_value_is_reported_and_the_rest_is_written(folder: Path) -> None:
    person = diarist()
    lost = DiaryEntryFactory(user=person)
    execute(
        "UPDATE diary_entries SET payload_encrypted = "
        "replace(payload_encrypted, 'v1.k1.', 'v1.lost.') WHERE id = %s",
        [lost.pk],
    )
    output = io.StringIO()
    with pytest.raises(CommandError, match="1 values could not be opened and are not in it"):
        call_command("export_user_data", str(person.pk), stdout=output, stderr=output)
    assert f"diary_entries.payload_encrypted {lost.pk}: could not be opened." in output.getvalue()
    with ZipFile(folder / f"export-{person.pk}.zip") as archive:
        assert SECRET in archive.read("data.json").decode()


@pytest.mark.slow
def test_failed_command_has_one_line_and_an_exit_code(committed: Database) -> None:
    result = manage("export_user_data", "nobody@example.com", DATABASE_URL=committed.url)
    assert result.returncode == 1
    assert result.stderr == (
        "CommandError: There is no person with this id, e-mail, phone or Telegram id.\n"
    )
    assert result.stdout == ""
