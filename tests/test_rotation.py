"""Key rotation beside writers: no value is lost or sealed twice, even after a kill."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, models, transaction
from psycopg.errors import LockNotAvailable

from crm.models import LeadIdentity, LeadNote
from ebalance import commands
from ebalance.db.encryption import envelope, keys
from ebalance.db.encryption.fields import BlindToken, Plaintext, SealedField, protected_fields
from ebalance.db.encryption.keys import Key, Keyring
from ebalance.db.encryption.rotation import Rotation, sealed_models, shares
from ebalance.db.walks import PAUSE
from tests import live_writer
from tests.databases import Database, default_connection_on
from tests.factories import (
    FACTORIES,
    AnonymousQuestionFactory,
    DiaryEntryFactory,
    IntakeFormFactory,
    LeadFactory,
    LeadIdentityFactory,
    LeadNoteFactory,
    UserFactory,
    WaitlistRequestFactory,
)
from tests.factories.base import ago
from tests.privacy.purging import OnWait
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, manage
from tests.support import execute

RINGS = {name: os.environ[f"EBALANCE_{name}_KEYS"] for name in ("ENCRYPTION", "BLIND_INDEX")}
NEW_RINGS = {name: f"{keys.generate('k2')},{ring}" for name, ring in RINGS.items()}
NEW_ENVIRONMENT = {f"EBALANCE_{name}_KEYS": ring for name, ring in NEW_RINGS.items()}

SEALED = [model for model in sealed_models() if model is not LeadIdentity]
each_model = pytest.mark.parametrize("model", SEALED, ids=lambda model: model._meta.db_table)


def ring(text: str) -> Keyring:
    entries = [entry.split(":", 1) for entry in text.split(",")]
    return Keyring([Key(id, base64.b64decode(material)) for id, material in entries])


@pytest.fixture
def deploy_rings(settings: Any) -> Callable[[dict[str, str]], None]:
    """Deploy these rings."""

    def deploy(rings: dict[str, str]) -> None:
        settings.ENCRYPTION_KEYS = ring(rings["ENCRYPTION"])
        settings.BLIND_INDEX_KEYS = ring(rings["BLIND_INDEX"])

    return deploy


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A database in which the test commits."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


def identity(email: str = "anna@example.com", **values: Any) -> LeadIdentity:
    row = LeadIdentityFactory.build(lead=values.pop("lead", None) or LeadFactory(), **values)
    row.email_encrypted = Plaintext(email)
    row.save()
    return row


def rotate(model: type[models.Model], **options: Any) -> Rotation:
    rotation = Rotation(model, **{"batch": 3, "patience": 0.0, **options})
    rotation.begin()
    rotation.run()
    return rotation


def command(*arguments: str) -> str:
    output = io.StringIO()
    call_command("rotate_keys", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def refused(*arguments: str) -> tuple[str, str]:
    """Run the command; return its output and its error."""
    output = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("rotate_keys", *arguments, stdout=output, stderr=output)
    return output.getvalue(), str(caught.value)


def opened(row: models.Model) -> dict[str, Any]:
    row = type(row)._base_manager.get(pk=row.pk)
    values = {f.name: getattr(row, f.name) for f in protected_fields(type(row))}
    return {
        name: value.open() if isinstance(row._meta.get_field(name), SealedField) else "made"
        for name, value in values.items()
        if value is not None
    }


def key_ids(model: type[models.Model]) -> set[str]:
    return {share.key_id for share in shares(model)}


def fingerprint(*tables: str) -> list[Any]:
    """The stored version of every row."""
    return [
        execute(f'SELECT t::text, xmin::text, ctid::text FROM "{table}" t ORDER BY 1')
        for table in tables
    ]


def rotations() -> list[dict[str, Any]]:
    return execute("SELECT *, finished_at IS NULL AS is_open FROM key_rotations ORDER BY id")


# -- moved values ---------------------------------------------------------------------------------


@pytest.mark.django_db
@each_model
def test_all_sealed_columns_of_every_table_move_and_open(
    model: type[models.Model], deploy_rings: Any
) -> None:
    rows = [FACTORIES[model]() for _ in range(5)]
    before = [opened(row) for row in rows]
    assert all(before)
    deploy_rings(NEW_RINGS)
    assert rotate(model).done == 5
    assert key_ids(model) == {"k2"}
    assert [opened(row) for row in rows] == before
    (row,) = rotations()
    assert (row["table_name"], row["to_key"], row["to_index_key"]) == (
        model._meta.db_table,
        "k2",
        "k2",
    )
    assert (row["rows_done"], row["is_open"], row["batch_transaction"]) == (5, False, None)


@pytest.mark.django_db
def test_empty_columns_stay_empty(deploy_rings: Any) -> None:
    question = AnonymousQuestionFactory(contact_value_encrypted=None)
    both = identity(phone_encrypted=Plaintext("+79991234567"))
    by_mail, by_browser = identity("eva@example.com"), LeadIdentityFactory(by_browser=True)
    deleted = DiaryEntryFactory(deleted_at=ago(days=1), payload_encrypted=None)
    rows = [question, both, by_mail, by_browser, deleted]
    before = [opened(row) for row in rows]
    assert [len(values) for values in before] == [1, 4, 2, 0, 0]
    deploy_rings(NEW_RINGS)
    for model in (type(question), LeadIdentity, type(deleted)):
        rotate(model)
        assert key_ids(model) <= {"k2"}
    assert [opened(row) for row in rows] == before


@pytest.mark.django_db
def test_only_values_under_an_old_key_are_written(deploy_rings: Any) -> None:
    old = [LeadNoteFactory() for _ in range(3)]
    deploy_rings(NEW_RINGS)
    new = [LeadNoteFactory() for _ in range(3)]
    versions = {row["t"]: row for row in fingerprint("lead_notes")[0]}
    assert rotate(LeadNote).done == len(old)
    after = {row["t"]: row for row in fingerprint("lead_notes")[0]}
    kept = versions.keys() & after.keys()
    assert {text.split(",")[0].strip("(") for text in kept} == {str(row.pk) for row in new}
    assert all(versions[text] == after[text] for text in kept)
    before = fingerprint("lead_notes", "key_rotations")
    assert "Everything is under the first key" in command()
    assert fingerprint("lead_notes", "key_rotations") == before


@pytest.mark.django_db
def test_run_without_old_values_does_nothing(deploy_rings: Any) -> None:
    deploy_rings(NEW_RINGS)
    for arguments in [(), ("--dry-run",)]:
        assert command(*arguments).count("\n") <= 1
    assert rotations() == []


@pytest.mark.django_db
def test_only_the_index_moves_when_only_its_keys_change(deploy_rings: Any) -> None:
    row = identity()
    before = execute("SELECT email_encrypted FROM lead_identities")
    deploy_rings({**RINGS, "BLIND_INDEX": NEW_RINGS["BLIND_INDEX"]})
    rotate(LeadIdentity)
    assert execute("SELECT email_encrypted FROM lead_identities") == before
    row.refresh_from_db()
    assert row.email_bidx.key_id == "k2"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("channel", "contact"),
    [("email", "Anna@Example.com"), ("phone", "8 999 123-45-67"), ("telegram", "@anna_k")],
)
def test_blind_index_is_computed_by_its_channel(
    channel: str, contact: str, deploy_rings: Any
) -> None:
    row = WaitlistRequestFactory(
        preferred_contact=channel, contact_value_encrypted=Plaintext(contact)
    )
    deploy_rings(NEW_RINGS)
    rotate(type(row))
    (stored,) = execute("SELECT contact_value_bidx FROM waitlist_requests")
    assert stored["contact_value_bidx"] == BlindToken.of(channel, contact).text


@pytest.mark.django_db
def test_contact_is_searchable_throughout_a_rotation(deploy_rings: Any) -> None:
    made = [identity(f"client{n}@example.com") for n in range(6)]

    def search() -> list[Any]:
        return [
            LeadIdentity.objects.get(email_bidx=BlindToken.of("email", f"CLIENT{n}@example.com")).pk
            for n in range(6)
        ]

    expected = [row.pk for row in made]
    assert search() == expected
    deploy_rings(NEW_RINGS)
    assert search() == expected
    rotation = Rotation(LeadIdentity, batch=2)
    rotation.begin()
    rotation.run_batch()
    assert key_ids(LeadIdentity) == {"k1", "k2"}
    assert search() == expected
    rotation.run()
    assert key_ids(LeadIdentity) == {"k2"}
    assert search() == expected
    deploy_rings({name: text.split(",")[0] for name, text in NEW_RINGS.items()})  # k1 is retired
    assert search() == expected


@pytest.mark.django_db
def test_previously_loaded_row_does_not_restore_the_old_key(deploy_rings: Any) -> None:
    LeadNoteFactory()
    row, again = LeadNote.objects.get(), LeadNote.objects.get()
    deploy_rings(NEW_RINGS)
    rotate(LeadNote)
    row.save()
    LeadNote.objects.bulk_update([again], ["note_encrypted", "author"])
    assert key_ids(LeadNote) == {"k2"}


@pytest.mark.django_db
def test_rotation_keeps_updated_at_but_an_edit_changes_it(deploy_rings: Any) -> None:
    row = LeadNoteFactory(updated_at=ago(days=1))
    row.refresh_from_db()
    before = row.updated_at
    deploy_rings(NEW_RINGS)
    rotate(LeadNote)
    row.refresh_from_db()
    assert row.updated_at == before
    deploy_rings({**NEW_RINGS, "ENCRYPTION": f"{keys.generate('k3')},{NEW_RINGS['ENCRYPTION']}"})
    row.note_encrypted = Plaintext("Перезвонить в среду.")
    row.save()
    row.refresh_from_db()
    assert row.note_encrypted.key_id == "k3"
    assert row.updated_at > before


# -- skipped values -------------------------------------------------------------------------------


def tampered(text: str) -> str:
    return text[:-5] + ("A" if text[-5] != "A" else "B") + text[-4:]


@pytest.mark.django_db
def test_row_that_does_not_open_is_named_and_skipped(deploy_rings: Any) -> None:
    rows = [LeadNoteFactory() for _ in range(7)]
    bad = rows[2]
    text = tampered(bad.note_encrypted.text)
    execute("UPDATE lead_notes SET note_encrypted = %s WHERE id = %s", [text, bad.pk])
    deploy_rings(NEW_RINGS)
    output, error = refused("--batch", "2")
    assert "lead_notes: 6 rows moved." in output
    assert re.search(rf"lead_notes {bad.pk}: note_encrypted: .* does not open", output)
    assert re.search(r"lead_notes\.note_encrypted +k1 +1\b", error)
    assert execute("SELECT note_encrypted AS t FROM lead_notes WHERE id = %s", [bad.pk]) == [
        {"t": text}
    ]
    for secret in (text, text[6:20], rows[0].note_encrypted.open()):
        assert secret not in output + error
    assert [row["is_open"] for row in rotations()] == [True]
    bad.delete()
    assert "Everything" in command()
    assert [row["is_open"] for row in rotations()] == [False]


@pytest.mark.django_db
def test_other_columns_of_a_damaged_row_move(deploy_rings: Any) -> None:
    row = identity(phone_encrypted=Plaintext("+79991234567"))
    text = tampered(row.email_encrypted.text)
    execute("UPDATE lead_identities SET email_encrypted = %s", [text])
    deploy_rings(NEW_RINGS)
    rotation = rotate(LeadIdentity)
    assert [*rotation.refused] == [row.pk]
    assert {str(s.field.name): s.key_id for s in shares(LeadIdentity)} == {
        "email_encrypted": "k1",
        "email_bidx": "k1",  # its source does not open
        "phone_encrypted": "k2",
        "phone_bidx": "k2",
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("old", "reason"),
    [
        (f",{keys.generate('k1')}", "does not open: the key is another one"),
        ("", "There is no key k1 in the ring"),
    ],
    ids=["another key under its id", "no key"],
)
def test_rotation_without_the_old_key_writes_nothing(
    old: str, reason: str, deploy_rings: Any
) -> None:
    rows = [LeadNoteFactory() for _ in range(4)]
    before = fingerprint("lead_notes")
    deploy_rings({**RINGS, "ENCRYPTION": f"{keys.generate('k2')}{old}"})
    output, error = refused()
    assert output.count(reason) == len(rows)
    assert all(str(row.pk) in output for row in rows)
    assert ("NOT IN THE RING" in error) == (old == "")
    assert fingerprint("lead_notes") == before
    deploy_rings(NEW_RINGS)
    assert "lead_notes: 4 rows moved." in command()


@pytest.mark.django_db
def test_many_damaged_rows_are_counted(deploy_rings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SHOWN", 2)
    for _ in range(5):
        LeadNoteFactory()
    deploy_rings({**RINGS, "ENCRYPTION": keys.generate("k2")})
    output, _error = refused()
    assert "… and 3 rows more." in output


@pytest.mark.django_db
def test_duplicate_contact_is_skipped_alone(deploy_rings: Any) -> None:
    """While k1 and k2 are both in use, uniqueness misses a contact stored under each of them."""
    lead = LeadFactory()
    before = [identity("anna@example.com", lead=lead), identity("eva@example.com", lead=lead)]
    deploy_rings(NEW_RINGS)
    identity("anna@example.com", lead=lead)
    output, error = refused()
    assert (
        f"lead_identities {before[0].pk}: refused by lead_identities_email_bidx_once_per" in output
    )
    assert "lead_identities: 1 row moved." in output
    assert re.search(r"lead_identities\.email_bidx +k1 +1\b", error)
    before[0].delete()
    assert "Everything" in command()


@pytest.mark.django_db
def test_value_that_is_no_longer_a_contact_is_skipped(deploy_rings: Any) -> None:
    row = identity()
    field = LeadIdentity._meta.get_field("email_encrypted")
    text = envelope.seal(json.dumps("не адрес").encode(), field.token, row.pk)
    execute("UPDATE lead_identities SET email_encrypted = %s", [text])
    deploy_rings(NEW_RINGS)
    output, _error = refused()
    assert f"lead_identities {row.pk}: email_bidx: " in output
    assert "не адрес" not in output


# -- dry run --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_dry_run_reports_counts_and_writes_nothing(deploy_rings: Any) -> None:
    for _ in range(5):
        LeadNoteFactory()
    identity()
    deploy_rings(NEW_RINGS)
    tables = [model._meta.db_table for model in sealed_models()] + ["key_rotations"]
    before = fingerprint(*tables)
    output = command("--dry-run", "--batch", "2")
    assert "lead_notes: 5 rows would be moved." in output
    assert "lead_identities: 1 row would be moved." in output
    assert fingerprint(*tables) == before
    bad = LeadNote.objects.order_by("pk")[1]
    text = tampered(bad.note_encrypted.text)
    execute("UPDATE lead_notes SET note_encrypted = %s WHERE id = %s", [text, bad.pk])
    before = fingerprint(*tables)
    output, error = refused("--dry-run", "--batch", "2", "--table", "lead_notes")
    assert "lead_notes: 4 rows would be moved." in output
    assert f"lead_notes {bad.pk}: note_encrypted: " in output
    assert "lead_identities" not in output
    assert error == "1 row cannot be moved."
    assert fingerprint(*tables) == before


# -- progress -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_run_resumes_at_the_end_of_the_previous_one(deploy_rings: Any) -> None:
    for _ in range(7):
        LeadNoteFactory()
    deploy_rings(NEW_RINGS)
    killed = Rotation(LeadNote, batch=2)
    killed.begin()
    killed.run_batch()
    killed.run_batch()
    resumed = Rotation(LeadNote, batch=2)
    assert resumed.begin() == 4
    assert resumed.cursor == killed.cursor
    resumed.run()
    assert resumed.done == 3
    assert [(row["rows_done"], row["is_open"]) for row in rotations()] == [(7, False)]


@pytest.mark.django_db
def test_rotation_killed_after_its_last_batch_is_closed(deploy_rings: Any) -> None:
    LeadNoteFactory()
    deploy_rings(NEW_RINGS)
    killed = Rotation(LeadNote, batch=2)
    killed.begin()
    killed.run_batch()
    assert "Everything" in command()
    assert [row["is_open"] for row in rotations()] == [False]


@pytest.mark.django_db
def test_run_to_other_keys_ends_the_previous_one(deploy_rings: Any) -> None:
    """Otherwise two runs with different rings would undo each other's work for ever."""
    for _ in range(4):
        LeadNoteFactory()
    deploy_rings(NEW_RINGS)
    first = Rotation(LeadNote, batch=1)
    first.begin()
    first.run_batch()
    deploy_rings({**NEW_RINGS, "ENCRYPTION": f"{keys.generate('k3')},{NEW_RINGS['ENCRYPTION']}"})
    second = Rotation(LeadNote, batch=1)
    assert second.begin() == 0
    first.run()
    assert first.done == 1
    second.run()
    assert key_ids(LeadNote) == {"k3"}
    assert [(r["to_key"], r["rows_done"], r["is_open"]) for r in rotations()] == [
        ("k2", 1, False),
        ("k3", 4, False),
    ]


@pytest.mark.django_db
def test_progress_without_a_terminal_is_printed_in_lines(
    deploy_rings: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "LINE_EVERY", 0.0)
    for _ in range(5):
        LeadNoteFactory()
    deploy_rings(NEW_RINGS)
    command("--batch", "2", "--table", "lead_notes")
    assert capsys.readouterr().err.splitlines() == [
        "lead_notes: 2 of 5 rows",
        "lead_notes: 4 of 5 rows",
        "lead_notes: 5 of 5 rows",
    ]


@pytest.mark.django_db
def test_progress_on_a_terminal_is_a_bar(
    deploy_rings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    LeadNoteFactory()
    deploy_rings(NEW_RINGS)
    monkeypatch.setattr(sys, "stderr", Terminal())
    command("--table", "lead_notes")
    assert re.search(r"\rlead_notes: 100%.*1/1", sys.stderr.getvalue())


@pytest.mark.django_db
def test_table_option_moves_one_table_and_reports_the_others(deploy_rings: Any) -> None:
    LeadNoteFactory()
    IntakeFormFactory()
    deploy_rings(NEW_RINGS)
    output, error = refused("--table", "lead_notes")
    assert "lead_notes: 1 row moved." in output
    assert "intake_forms.payload_encrypted" in error
    assert "lead_notes" not in error
    assert key_ids(LeadNote) == {"k2"}
    assert "Everything is under the first key" in command("--table", "intake_forms")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--batch", "0"], "'0' is no batch: a number of rows from 1 to 10,000."),
        (["--batch", "many"], "'many' is no batch: a number of rows from 1 to 10,000."),
        (["--batch", "10001"], "'10001' is no batch: a number of rows from 1 to 10,000."),
        (
            ["--table", "users"],
            "'users' is no table with sealed columns; those are second_factors",
        ),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(arguments: list[str], line: str) -> None:
    output, error = refused(*arguments)
    assert output == ""
    assert error.startswith(line)
    assert "\n" not in error


# -- keys status, keys generate -------------------------------------------------------------------


@pytest.mark.django_db
def test_status_counts_rows_by_column_and_key(deploy_rings: Any) -> None:
    LeadNoteFactory()
    deploy_rings(NEW_RINGS)
    for _ in range(2):
        LeadNoteFactory()
    deploy_rings({**NEW_RINGS, "ENCRYPTION": f"{keys.generate('k3')},{RINGS['ENCRYPTION']}"})
    output = io.StringIO()
    call_command("keys", "status", stdout=output)
    printed = output.getvalue()
    assert "Sealed columns: k3 (primary), k1\nBlind indexes: k2 (primary), k1\n" in printed
    lines = [line.split() for line in printed.splitlines() if line.startswith("lead_notes")]
    assert lines == [
        ["lead_notes.note_encrypted", "k1", "1"],
        ["lead_notes.note_encrypted", "k2", "2", "NOT", "IN", "THE", "RING"],
    ]
    for text in (*RINGS.values(), *NEW_RINGS.values()):
        assert text.split(":")[1][:10] not in printed


def test_generated_entry_is_a_ring() -> None:
    output = io.StringIO()
    call_command("keys", "generate", "k7", stdout=output)
    made = ring(output.getvalue().strip())
    assert made.primary.id == "k7"
    assert len(made.primary.material) == 32
    with pytest.raises(CommandError, match="1 to 16 lower-case"):
        call_command("keys", "generate", "K-7")


# -- lists decrypt nothing ------------------------------------------------------------------------


class Counting:
    """A cipher that counts decryptions."""

    def __init__(self, cipher: Any):
        self.cipher, self.encrypt, self.opened = cipher, cipher.encrypt, 0

    def decrypt(self, *arguments: Any) -> bytes:
        self.opened += 1
        return self.cipher.decrypt(*arguments)


@pytest.mark.django_db
def test_list_of_a_thousand_rows_decrypts_nothing(settings: Any) -> None:
    lead, author = LeadFactory(), UserFactory()
    LeadNote.objects.bulk_create(
        LeadNote(lead=lead, author=author, note_encrypted=Plaintext("Перезвонить."))
        for _ in range(1_000)
    )
    key = settings.ENCRYPTION_KEYS.primary
    cipher = Counting(key.aead)
    settings.ENCRYPTION_KEYS = Keyring([Key(key.id, key.material)])
    settings.ENCRYPTION_KEYS.primary.__dict__["aead"] = cipher
    rows = [*LeadNote.objects.select_related("lead")]
    assert len(rows) == 1_000
    assert len(repr(rows) + "".join(f"{row} {row.note_encrypted}" for row in rows)) > 1_000
    assert len([*LeadNote.objects.values(), *LeadNote.objects.values_list("note_encrypted")])
    for row in rows[:10]:
        row.save()
    assert cipher.opened == 0
    assert rows[0].note_encrypted.open() == "Перезвонить."
    assert cipher.opened == 1


# -- submitted forms ------------------------------------------------------------------------------

STAYS = "intake_forms_submitted_stays"


def resealed(row: Any) -> str:
    """The row's payload under the primary key, as any holder of the keys could seal it."""
    field = row._meta.get_field("payload_encrypted")
    plain = envelope.open_sealed(row.payload_encrypted.text, field.token, row.pk)
    return envelope.seal(plain, field.token, row.pk)


def is_refused(sql: str, parameters: list[Any]) -> bool:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        execute(sql, parameters)
    return caught.value.__cause__.diag.constraint_name == STAYS


@pytest.mark.slow
def test_only_a_rotation_moves_a_submitted_form_to_another_key(
    committed: Database, deploy_rings: Any
) -> None:
    form = IntakeFormFactory(submitted=True)
    other = IntakeFormFactory(submitted=True)
    before = opened(form)
    deploy_rings(NEW_RINGS)
    update = "UPDATE intake_forms SET payload_encrypted = %s WHERE id = %s"
    assert is_refused(update, [resealed(form), form.pk])
    rotation = Rotation(type(form), batch=1)
    rotation.begin()
    rotation.run_batch()
    assert opened(form) == before
    # Even during an open rotation, only its batches move a value.
    assert is_refused(update, [resealed(other), other.pk])
    with connection.cursor() as db, transaction.atomic():
        announce = "UPDATE key_rotations SET batch_transaction = pg_current_xact_id()::text::bigint"
        db.execute(announce)
        # Neither to its current key, nor to a key of another rotation, nor any other change.
        assert is_refused(update, [form.payload_encrypted.text, form.pk])
        form.refresh_from_db()
        assert is_refused(update, [resealed(form), form.pk])
        assert is_refused(update, [resealed(other).replace(".k2.", ".k3."), other.pk])
        both = "UPDATE intake_forms SET payload_encrypted = %s, submitted_at = now() WHERE id = %s"
        assert is_refused(both, [resealed(other), other.pk])
        nothing = "UPDATE intake_forms SET payload_encrypted = NULL WHERE id = %s"
        assert is_refused(nothing, [other.pk])
        # A rotation of another table or a finished one does not allow the move.
        for change in ("table_name = 'lead_notes'", "finished_at = now()"):
            with transaction.atomic():
                db.execute(f"UPDATE key_rotations SET {change}")
                assert is_refused(update, [resealed(other), other.pk])
                transaction.set_rollback(True)
    rotation.run()
    assert key_ids(type(form)) == {"k2"}
    assert is_refused(update, [resealed(other).replace(".k2.", ".k3."), other.pk])


# -- concurrency ----------------------------------------------------------------------------------


def fill(rows: int) -> dict[str, str]:
    """Write notes and contacts under the old keys; return the text of each row."""
    author, lead = UserFactory(), LeadFactory()
    notes = [
        LeadNote(lead=lead, author=author, note_encrypted=Plaintext(f"Заметка {n}"))
        for n in range(rows)
    ]
    contacts = [
        LeadIdentity(lead=lead, email_encrypted=Plaintext(f"client{n}@example.com"))
        for n in range(rows)
    ]
    LeadNote.objects.bulk_create(notes)
    LeadIdentity.objects.bulk_create(contacts)
    return {
        **{str(row.pk): f"Заметка {n}" for n, row in enumerate(notes)},
        **{str(row.pk): f"client{n}@example.com" for n, row in enumerate(contacts)},
    }


def stored_values() -> dict[str, str]:
    """The text of each row, sealed once; checks that each blind index fits its contact."""
    notes = {str(row.pk): row.note_encrypted.open() for row in LeadNote.objects.all()}
    contacts = LeadIdentity.objects.all()
    for row in contacts:
        assert row.email_bidx == BlindToken.of("email", row.email_encrypted.open())
    return {**notes, **{str(row.pk): row.email_encrypted.open() for row in contacts}}


def start(database: Database, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment(DATABASE_URL=database.url, **NEW_ENVIRONMENT),
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def rows_done(connection: Any) -> int:
    (done,) = connection.execute("SELECT coalesce(sum(rows_done), 0) FROM key_rotations").fetchone()
    return int(done)


@pytest.mark.slow
def test_rotation_killed_beside_a_writer_moves_every_value_once(
    committed: Database, deploy_rings: Any
) -> None:
    # Many rows in small batches: on a busy machine a run moves many before the test notices.
    expected, dice = fill(5_000), random.Random()
    deploy_rings(NEW_RINGS)
    writer = start(committed, "-m", "tests.live_writer")
    assert writer.stdout.readline() == "writing\n"
    with committed.connect(autocommit=True) as watch:
        for _ in range(4):
            enough = rows_done(watch) + dice.randrange(1, 50)
            run = start(committed, "manage.py", "rotate_keys", "--batch", "5")
            assert eventually(lambda enough=enough: rows_done(watch) >= enough)
            run.kill()
            run.communicate()
            assert run.returncode == -signal.SIGKILL
        assert 0 < rows_done(watch) < len(expected)
        finished = manage("rotate_keys", DATABASE_URL=committed.url, **NEW_ENVIRONMENT)
        assert finished.returncode == 0, finished.stderr
    last, errors = writer.communicate()
    assert writer.returncode == 0, errors
    written = json.loads(last)
    assert len(written) >= live_writer.LEAST
    deploy_rings({name: text.split(",")[0] for name, text in NEW_RINGS.items()})  # k1 is retired
    assert stored_values() == {**expected, **written}
    assert key_ids(LeadNote) == key_ids(LeadIdentity) == {"k2"}


@pytest.mark.slow
def test_two_runs_share_the_work(committed: Database, deploy_rings: Any) -> None:
    expected = fill(1_000)
    runs = [start(committed, "manage.py", "rotate_keys", "--batch", "10") for _ in range(2)]
    output = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], output
    moved = re.findall(r": ([0-9,]+) rows? moved", "".join(output))
    assert sum(int(number.replace(",", "")) for number in moved) == len(expected)
    deploy_rings(NEW_RINGS)
    assert stored_values() == expected
    assert all(not row["is_open"] for row in rotations())
    assert sum(row["rows_done"] for row in rotations()) == len(expected)


@contextmanager
def locked(database: Database, table: str, row_id: Any) -> Iterator[Any]:
    with database.connect() as other:
        other.execute(f"SELECT FROM {table} WHERE id = %s FOR UPDATE", [row_id])
        yield other
        other.rollback()


@pytest.mark.slow
def test_locked_row_is_skipped_and_moved_later(
    committed: Database, deploy_rings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run retries until no row becomes free for some time. The test has its own clock."""
    rows = [LeadNoteFactory() for _ in range(5)]
    deploy_rings(NEW_RINGS)
    waits: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(waits))
    monkeypatch.setattr("ebalance.db.walks.time", clock)
    with locked(committed, "lead_notes", rows[1].pk):
        assert rotate(LeadNote, patience=0.5, stop=OnWait(waits.append)).done == 4
        assert 0.5 < sum(waits) <= 0.5 + PAUSE + 1e-6
        assert {share.key_id: share.rows for share in shares(LeadNote)} == {"k1": 1, "k2": 4}
    with locked(committed, "lead_notes", rows[1].pk) as other:
        stop = OnWait(lambda _pause: other.rollback())
        assert rotate(LeadNote, patience=0.5, stop=stop).done == 1
    assert key_ids(LeadNote) == {"k2"}


@pytest.mark.slow
def test_row_is_locked_between_its_read_and_its_write(
    committed: Database, deploy_rings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = LeadNoteFactory()
    deploy_rings(NEW_RINGS)
    write, refusals = Rotation._update, []

    def late(rotation: Rotation, renewed: list[Any]) -> int:
        update = "UPDATE lead_notes SET created_at = now() WHERE id = %s"
        with committed.connect(options="-c lock_timeout=50") as other:
            with pytest.raises(LockNotAvailable) as caught:
                other.execute(update, [row.pk])
            other.rollback()
        refusals.append(caught.value)
        return write(rotation, renewed)

    monkeypatch.setattr(Rotation, "_update", late)
    assert rotate(LeadNote).done == len(refusals) == 1


@pytest.mark.django_db
def test_value_is_written_only_over_the_value_that_was_read(deploy_rings: Any) -> None:
    changed, same = LeadNoteFactory(), LeadNoteFactory()
    deploy_rings(NEW_RINGS)
    rotation = Rotation(LeadNote, batch=2)
    renewed = [*rotation._renewed(rotation._rows(rotation.find(2), lock=""))]
    changed.note_encrypted = Plaintext("Уже другая заметка.")
    changed.save()
    before = opened(same)
    assert rotation._update(renewed) == 1
    assert opened(changed) == {"note_encrypted": "Уже другая заметка."}
    assert opened(same) == before


@pytest.mark.slow
def test_index_written_by_another_session_does_not_block_the_run(
    committed: Database, deploy_rings: Any
) -> None:
    lead = LeadFactory()
    rows = [identity(f"client{n}@example.com", lead=lead) for n in range(3)]
    deploy_rings(NEW_RINGS)
    token = BlindToken.of("email", "client1@example.com").text
    with committed.connect() as other:
        other.execute(
            "INSERT INTO lead_identities (lead_id, email_encrypted, email_bidx) "
            "VALUES (%s, %s, %s)",
            [lead.pk, rows[1].email_encrypted.text, token],
        )
        assert rotate(LeadIdentity, patience=0.0).done == 2
        other.rollback()
    assert rotate(LeadIdentity).done == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_stopped_run_reports_how_to_resume(committed: Database, number: signal.Signals) -> None:
    rows = [LeadNoteFactory() for _ in range(3)]
    with locked(committed, "lead_notes", rows[1].pk), committed.connect(autocommit=True) as watch:
        run = start(committed, "manage.py", "rotate_keys")
        assert eventually(lambda: rows_done(watch) == 2)
        run.send_signal(number)
        _output, errors = run.communicate(timeout=HANG_TIMEOUT)
    assert run.returncode == 128 + number
    assert errors.splitlines()[-1].endswith("run the same command again to continue.")
    assert "Traceback" not in errors
    finished = manage("rotate_keys", DATABASE_URL=committed.url, **NEW_ENVIRONMENT)
    assert finished.returncode == 0, finished.stderr
    assert "lead_notes: 1 row moved." in finished.stdout


@pytest.mark.slow
def test_exit_code_reports_remaining_values(committed: Database, deploy_rings: Any) -> None:
    LeadNoteFactory()
    alone = {k: v.split(",")[0] for k, v in NEW_ENVIRONMENT.items()}
    failed = manage("rotate_keys", DATABASE_URL=committed.url, **alone)
    assert failed.returncode == 1
    assert "NOT IN THE RING" in failed.stderr
    assert "Traceback" not in failed.stderr
    finished = manage("rotate_keys", DATABASE_URL=committed.url, **NEW_ENVIRONMENT)
    assert finished.returncode == 0
    assert manage("keys", "status", DATABASE_URL=committed.url, **alone).returncode == 0
