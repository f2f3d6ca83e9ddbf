"""Requests for an erasure: asked for by the application, carried out by the owner's command."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import AuditLogEntry
from ebalance.db.schema import grants
from ebalance.privacy.erasure import (
    erase_user,
    may_erase,
    process_erasure_request,
    request_erasure,
)
from ebalance.services import NotPermitted
from identity.errors import AccountErased
from identity.models import ErasureLedgerEntry, ErasureRequest, User
from tests.admin.test_person_actions import SURE, dialog
from tests.booking.outbox_assertions import stored, writes_nothing
from tests.db.test_roles import acting_as, grant
from tests.factories import AppointmentFactory, UserFactory
from tests.support import execute

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: Any) -> Path:
    path = tmp_path / "erasures.jsonl"
    monkeypatch.setattr(settings, "ERASURE_LEDGER_FILE", path)
    return path


@pytest.fixture
def boss() -> User:
    return UserFactory(role="owner")


def run() -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("process_erasure_requests", stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


# -- request_erasure ------------------------------------------------------------------------------


def test_request_is_recorded_and_repeatable(boss: User) -> None:
    person = UserFactory()
    request = request_erasure(person, actor=boss)
    with writes_nothing():
        assert request_erasure(person.pk, actor=boss) == request
    assert (request.status, request.cancels_appointments) == ("requested", False)
    entry = AuditLogEntry.objects.get(action="erasure_requested")
    assert (entry.entity_id, entry.actor_id) == (person.pk, boss.pk)
    assert request_erasure(person, actor=boss, force=True) == request
    assert stored(request)["cancels_appointments"] is True
    request_erasure(person, actor=boss, force=False)
    assert stored(request)["cancels_appointments"] is True


def test_only_the_person_and_owners_may_request(boss: User) -> None:
    person = UserFactory()
    for actor in (None, UserFactory(), UserFactory(role="assistant")):
        with writes_nothing(), pytest.raises(NotPermitted):
            request_erasure(person, actor=actor)  # type: ignore[arg-type]
    assert request_erasure(person, actor=person).requested_by == person
    with pytest.raises(AccountErased):
        request_erasure(UserFactory(deleted=True), actor=boss)


# -- the command ----------------------------------------------------------------------------------


def test_command_erases_the_requested_people(boss: User, file: Path) -> None:
    person, own = UserFactory(), UserFactory()
    rows = [request_erasure(person, actor=boss), request_erasure(own, actor=own)]
    output, _ = run()
    assert "2 people were erased" in output
    assert {stored(row)["status"] for row in rows} == {"done"}
    assert {stored(row)["status"] for row in (person, own)} == {"deleted"}
    methods = dict(ErasureLedgerEntry.objects.values_list("subject_id", "method"))
    assert methods == {person.pk: "admin", own.pk: "self_service"}
    entry = AuditLogEntry.objects.get(action="user_erased", entity_id=person.pk)
    assert entry.actor_id == boss.pk
    assert str(person.pk) in file.read_text()
    with writes_nothing():
        assert "0 people were erased" in run()[0]


def test_refused_requests_have_a_reason(boss: User) -> None:
    booked, demoted = UserFactory(), UserFactory(role="owner")
    AppointmentFactory(client=booked, confirmed=True)
    rows = [
        request_erasure(booked, actor=boss),
        request_erasure(UserFactory(), actor=demoted),
    ]
    demoted.user_roles.all().delete()
    rows.append(request_erasure(boss, actor=boss))
    output, _ = run()
    assert "3 are refused" in output
    reasons = [stored(row)["refused_reason"] for row in rows]
    assert reasons == ["upcoming_appointments", "not_permitted", "last_owner"]
    assert AuditLogEntry.objects.filter(action="erasure_refused").count() == 3
    assert stored(booked)["status"] == "active"
    request_erasure(booked, actor=boss, force=True)
    assert "1 people were erased" in run()[0]
    assert stored(booked)["status"] == "deleted"


def test_bad_request_is_skipped_and_tried_again(boss: User) -> None:
    bad, good = UserFactory(), UserFactory()
    rows = [request_erasure(person, actor=boss) for person in (bad, good)]
    execute(
        "CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE check_violation USING CONSTRAINT = 'bad_row'; END $$"
    )
    execute(
        "CREATE TRIGGER bad_row BEFORE UPDATE ON users FOR EACH ROW "
        f"WHEN (OLD.id = '{bad.pk}') EXECUTE FUNCTION refuse_it()"
    )
    with pytest.raises(CommandError, match="1 requests could not be carried out"):
        run()
    assert [stored(row)["status"] for row in rows] == ["requested", "done"]
    execute("DROP TRIGGER bad_row ON users")
    run()
    assert stored(rows[0])["status"] == "done"


def test_direct_erasure_closes_the_request(boss: User) -> None:
    request = request_erasure(UserFactory(), actor=boss)
    erase_user(request.user, method="admin")
    assert stored(request)["status"] == "done"
    assert process_erasure_request(request.pk) == "elsewhere"


# -- as the application's role --------------------------------------------------------------------


@pytest.fixture
def roles(db: None) -> None:
    grant()


def test_command_needs_the_rights_of_the_owner(roles: None, boss: User) -> None:
    request = request_erasure(UserFactory(), actor=boss)
    with acting_as(grants.APP), pytest.raises(CommandError, match="an erasure is for the owner"):
        run()
    assert may_erase()
    assert stored(request)["status"] == "requested"


def test_admin_asks_as_the_application(boss: User, monkeypatch: Any) -> None:
    client, person = Client(), UserFactory()
    client.force_login(boss)
    monkeypatch.setattr("ebalance.privacy.admin.may_erase", lambda: False)
    booked = AppointmentFactory(client=person, confirmed=True)
    assert client.post(dialog(person, "erase"), SURE).status_code == 200
    assert not ErasureRequest.objects.exists()
    assert client.post(dialog(person, "erase"), {**SURE, "force": "on"}).status_code == 302
    assert [stored(person)["status"], stored(booked)["status"]] == ["active", "confirmed"]
    assert ErasureRequest.objects.get().cancels_appointments
    run()
    assert [stored(person)["status"], stored(booked)["status"]] == ["deleted", "canceled"]
