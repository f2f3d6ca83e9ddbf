"""The commands ``erase_user`` and ``replay_erasures``, and the ledger file."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from ebalance.privacy.erasure import ledger
from identity.models import ErasureLedgerEntry, User
from tests.booking.outbox_assertions import stored, writes_nothing
from tests.factories import (
    AppointmentFactory,
    DiaryEntryFactory,
    ErasureLedgerEntryFactory,
    UserFactory,
)
from tests.support import execute

pytestmark = pytest.mark.django_db

EMAIL, PHONE, TELEGRAM = "zqxanna@example.com", "+79991234567", "100200300"
TIMESTAMP = "2026-01-07T12:30:00Z"
GOOD = {
    "subject_id": str(uuid4()),
    "requested_at": TIMESTAMP,
    "completed_at": TIMESTAMP,
    "method": "admin",
    "leads": [],
}
SPELLINGS = {"e-mail": "ZQXanna@example.com", "phone": "8 999 123-45-67", "telegram": TELEGRAM}


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: Any) -> Path:
    path = tmp_path / "erasures.jsonl"
    monkeypatch.setattr(settings, "ERASURE_LEDGER_FILE", path)
    return path


@pytest.fixture
def anna() -> User:
    return UserFactory(email=EMAIL, phone=PHONE, telegram_user_id=TELEGRAM)


def run(*arguments: str, **options: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def erase_user(*arguments: str, **options: Any) -> str:
    return run("erase_user", *arguments, **options)[0]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# -- erase_user -----------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["id", *SPELLINGS])
def test_person_is_identified_by_id_or_contact(anna: User, spelling: str) -> None:
    DiaryEntryFactory.create_batch(3, user=anna)
    output = erase_user(SPELLINGS.get(spelling) or str(anna.pk), "--yes")
    assert stored(anna)["status"] == "deleted"
    assert "       3 diary_entries\n" in output
    assert f"{anna.pk} is erased: 4 rows." in output
    for contact in (EMAIL, PHONE, *SPELLINGS.values()):
        assert contact not in output


def test_repeated_erasure_reports_that_nothing_is_left(anna: User) -> None:
    erase_user(str(anna.pk), "--yes")
    assert erase_user(str(anna.pk), "--yes") == f"Nothing of {anna.pk} is left to erase.\n"
    assert ErasureLedgerEntry.objects.count() == 1


def test_dry_run_prints_the_same_and_changes_nothing(anna: User, file: Path) -> None:
    DiaryEntryFactory(user=anna)
    row = AppointmentFactory(client=anna, confirmed=True)
    with writes_nothing():
        output = erase_user(EMAIL, "--dry-run", "--force")
    assert f"{anna.pk} would be erased" in output
    assert f"Session {row.pk} of {row.start_at_utc:%Y-%m-%d %H:%M} UTC would be canceled" in output
    assert "1000 roubles due back" in output
    assert not file.exists()
    done = erase_user(EMAIL, "--force", "--yes")
    assert done == output.replace("would be", "was", 1).replace("would be erased", "is erased")


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_refusal_names_the_upcoming_sessions(anna: User, arguments: list[str]) -> None:
    row = AppointmentFactory(client=anna, confirmed=True)
    with writes_nothing(), pytest.raises(CommandError) as caught:
        erase_user(str(anna.pk), "--yes", *arguments)
    output = str(caught.value)
    assert output.startswith("Nothing was changed. This person has sessions ahead")
    assert f"{row.start_at_utc:%Y, %H:%M}" in output


def test_last_owner_is_refused_in_one_line() -> None:
    owner = UserFactory(role="owner")
    with writes_nothing(), pytest.raises(CommandError, match="The last active owner cannot"):
        erase_user(str(owner.pk), "--force", "--yes")


def test_unknown_person_is_refused_without_an_echo(anna: User) -> None:
    for user in ("zqx@example.com", str(uuid4()), "+79990000000", "", "zqx"):
        with writes_nothing(), pytest.raises(CommandError) as caught:
            erase_user(user, "--yes")
        assert str(caught.value).startswith("There is no person with this id")
        assert not user or user not in str(caught.value)


def test_ledger_stores_the_method(anna: User) -> None:
    erase_user(str(anna.pk), "--yes", "--method", "self_service")
    assert ErasureLedgerEntry.objects.get().method == "self_service"
    with pytest.raises(CommandError, match="invalid choice"):
        erase_user(str(anna.pk), "--method", "magic")


@pytest.mark.parametrize(("answer", "is_erased"), [("yes", True), ("YES ", True), ("y", False)])
def test_command_asks_for_confirmation_at_a_terminal(
    anna: User, answer: str, is_erased: bool, monkeypatch: Any
) -> None:
    questions: list[str] = []

    def reply(question: str) -> str:
        questions.append(question)
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", reply)
    if is_erased:
        erase_user(EMAIL)
    else:
        with writes_nothing(), pytest.raises(CommandError, match="Nothing was changed"):
            erase_user(EMAIL)
    assert questions == [f"Erase the person {anna.pk}, for good? Type yes: "]
    assert (stored(anna)["status"] == "deleted") == is_erased


def test_erasure_is_refused_while_the_file_is_not_writable(anna: User, file: Path) -> None:
    file.mkdir()
    with writes_nothing(), pytest.raises(CommandError) as caught:
        erase_user(str(anna.pk), "--yes")
    assert str(caught.value).startswith("The file of ERASURE_LEDGER_FILE cannot be written: Is a")


# -- replay_erasures ------------------------------------------------------------------------------


def append_lines(file: Path, *subjects: Any) -> None:
    with file.open("a") as stream:
        for subject in subjects:
            stream.write(json.dumps(GOOD | {"subject_id": str(subject)}) + "\n")


def test_replay_erases_everybody_in_the_file_and_the_table(file: Path) -> None:
    of_file, of_table, both, other = UserFactory.create_batch(4)
    append_lines(file, of_file.pk, both.pk, uuid4())
    for person in (of_table, both):
        ErasureLedgerEntryFactory(subject_id=person.pk, method="self_service")
    out, err = run("replay_erasures")
    assert out.split("\n")[:3] == [
        "       3 were erased again",
        "       0 are erased already",
        "       1 are unknown to this database",
    ]
    statuses = [stored(person)["status"] for person in (of_file, of_table, both, other)]
    assert statuses == ["deleted"] * 3 + ["active"]
    # With the times and the method of the first erasure.
    entry = ErasureLedgerEntry.objects.get(subject_id=of_file.pk)
    assert (entry.method, entry.requested_at) == ("admin", datetime.fromisoformat(TIMESTAMP))
    assert {line["subject_id"] for line in lines(file)} == {
        str(subject) for subject in ErasureLedgerEntry.objects.values_list("subject_id", flat=True)
    }
    assert err == ""


def test_refused_erasure_stops_no_other_and_fails_the_replay(file: Path) -> None:
    people = UserFactory.create_batch(3)
    append_lines(file, *[person.pk for person in people])
    execute(
        "ALTER TABLE users ADD CONSTRAINT never_deleted "
        f"CHECK (status <> 'deleted' OR id <> '{people[1].pk}')"
    )
    output = io.StringIO()
    with pytest.raises(CommandError):
        call_command("replay_erasures", stdout=output, stderr=output)
    assert f"  {people[1].pk}: refused by never_deleted" in output.getvalue()
    statuses = [stored(person)["status"] for person in people]
    assert statuses == ["deleted", "active", "deleted"]


def test_repeated_replay_changes_nothing(file: Path) -> None:
    append_lines(file, UserFactory().pk, uuid4())
    run("replay_erasures")
    before = file.read_bytes()
    with writes_nothing():
        out, _ = run("replay_erasures")
    assert "1 are erased already" in out
    assert "1 are unknown" in out
    assert file.read_bytes() == before


def test_dry_run_of_a_replay_changes_nothing(file: Path) -> None:
    person = UserFactory()
    row = AppointmentFactory(client=person, confirmed=True)
    append_lines(file, person.pk, uuid4())
    before = file.read_bytes()
    with writes_nothing():
        out, err = run("replay_erasures", "--dry-run")
    assert "1 would be erased\n" in out
    assert f"Session {row.pk} of" in err
    assert file.read_bytes() == before


def test_another_file_may_be_named(file: Path, tmp_path: Path) -> None:
    other, person = tmp_path / "other.jsonl", UserFactory()
    append_lines(other, person.pk)
    run("replay_erasures", "--ledger", str(other))
    assert stored(person)["status"] == "deleted"
    assert [line["subject_id"] for line in lines(file)] == [str(person.pk)]


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    client = UserFactory()
    ErasureLedgerEntryFactory(subject_id=client.pk)
    for _ in range(2):
        with pytest.raises(CommandError, match=r"Nothing was changed\. .*, pass --no-file"):
            run("replay_erasures")
        assert stored(client)["status"] == "active"
    run("replay_erasures", "--no-file")
    assert stored(client)["status"] == "deleted"
    run("replay_erasures")  # the previous run has written the file
    with pytest.raises(CommandError, match="There is no file"):
        run("replay_erasures", "--ledger", str(tmp_path / "nowhere.jsonl"))


def test_unreadable_line_is_an_error_after_the_other_lines(file: Path) -> None:
    first, second = UserFactory.create_batch(2)
    append_lines(file, first.pk)
    with file.open("a") as stream:
        stream.write(json.dumps(GOOD | {"method": "admn"}) + "\n")
    append_lines(file, second.pk)
    with pytest.raises(CommandError, match=r"name is not known: 2\."):
        run("replay_erasures")
    assert [stored(row)["status"] for row in (first, second)] == ["deleted", "deleted"]


def test_a_file_that_is_no_ledger_is_an_error(tmp_path: Path, file: Path) -> None:
    file.touch()
    other = tmp_path / "passwd"
    other.write_text("root:x:0:0:root:/root:/bin/sh\n")
    with pytest.raises(CommandError, match=r"name is not known: 1\."):
        run("replay_erasures", "--ledger", str(other))


def test_incomplete_line_that_is_repeated_is_no_error(file: Path) -> None:
    client = UserFactory()
    append_lines(file, client.pk)
    (line,) = ledger.read_file(file)
    file.write_text(f"{line.text()[:70]}\n{line.text()}\n")
    run("replay_erasures")
    assert stored(client)["status"] == "deleted"


@pytest.mark.parametrize("length", [28, 70])
def test_incomplete_line_without_a_repetition_is_an_error(file: Path, length: int) -> None:
    """The line is too short to name the person, or no later line repeats it."""
    append_lines(file, UserFactory().pk)
    (line,) = ledger.read_file(file)
    begun, whole = line.text()[:length], line.text()
    lines = [begun, whole] if length == 28 else [whole, begun]
    file.write_text("".join(f"{text}\n" for text in lines))
    with pytest.raises(CommandError, match=f"name is not known: {lines.index(begun) + 1}"):
        run("replay_erasures")


def test_default_file_is_read_besides_the_named_one(file: Path, tmp_path: Path) -> None:
    file.write_text("garbage\n")
    other = tmp_path / "other.jsonl"
    other.touch()
    with pytest.raises(CommandError, match=r"erasures.jsonl name is not known: 1\."):
        run("replay_erasures", "--ledger", str(other))


def test_replay_accepts_times_in_the_future(file: Path) -> None:
    client = UserFactory()
    ahead = (timezone.now() + timedelta(hours=3)).isoformat()
    line = GOOD | {"subject_id": str(client.pk), "requested_at": ahead, "completed_at": ahead}
    file.write_text(json.dumps(line) + "\n")
    run("replay_erasures")
    assert stored(client)["status"] == "deleted"
    row = ErasureLedgerEntry.objects.filter(subject_id=client.pk).first()
    assert row.completed_at >= row.requested_at


def test_refused_person_does_not_stop_the_replay(file: Path) -> None:
    owner, client = UserFactory(role="owner"), UserFactory()
    append_lines(file, owner.pk, client.pk)
    err = io.StringIO()
    with pytest.raises(CommandError, match=r"1 could not be erased\."):
        call_command("replay_erasures", stdout=io.StringIO(), stderr=err)
    assert f"  {owner.pk}: The last active owner" in err.getvalue()
    assert [stored(row)["status"] for row in (owner, client)] == ["active", "deleted"]


def test_leads_in_the_file_are_erased_although_the_person_is_missing(
    file: Path,
) -> None:
    from tests.factories import LeadFactory, LeadNoteFactory

    lead, other = LeadFactory(), LeadFactory()
    LeadNoteFactory(lead=lead)
    LeadNoteFactory(lead=other)
    file.write_text(json.dumps(GOOD | {"leads": [str(lead.pk), str(uuid4())]}) + "\n")
    out, _ = run("replay_erasures")
    assert "1 were erased again" in out
    assert [lead.notes.count(), other.notes.count()] == [0, 1]
    assert stored(lead)["status"] == "inactive"
    with writes_nothing():
        run("replay_erasures")
