"""Exports in admin: the owner hands over data without diaries; files of others stay closed."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from django.db import transaction
from django.test import Client

from audit.models import AuditLogEntry
from ebalance.db.encryption.fields import Plaintext
from ebalance.privacy.exports import hand_over_user_data
from ebalance.services import NotFound, NotPermitted
from identity.errors import AccountErased
from identity.models import DataExportRequest, User
from tests.admin.support import page, signed_in, text
from tests.databases import Database
from tests.factories import (
    AnonymousQuestionFactory,
    DataExportRequestFactory,
    DiaryEntryFactory,
    UserFactory,
)

QUESTION = "zqquestion"


def hand_over_page(person: User) -> str:
    return page(User, "change", person.pk).replace("change/", "hand-over/")


def tables_in(content: bytes) -> dict[str, list[dict[str, Any]]]:
    with ZipFile(BytesIO(content)) as archive:
        assert "diary" not in archive.read("index.html").decode().lower()
        return json.loads(archive.read("data.json"))["tables"]


@pytest.fixture
def anna(committed: Database) -> User:
    """A person with a question, a diary, and requests for copies of both."""
    anna = UserFactory(display_name="Анна")
    AnonymousQuestionFactory(user=anna, question_text_encrypted=Plaintext(QUESTION))
    DiaryEntryFactory(user=anna)
    DataExportRequestFactory(user=anna, ready=True)
    DataExportRequestFactory(user=anna, ready=True, export_type="diary_pdf")
    return anna


@pytest.mark.slow
def test_owner_hands_over_data_without_diaries(anna: User, as_role: Callable[..., Client]) -> None:
    owner = as_role("owner")
    shown = owner.get(hand_over_page(anna))
    assert shown.status_code == 200
    assert not AuditLogEntry.objects.filter(action="data_exported").exists()
    answer = owner.post(hand_over_page(anna))
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith('attachment; filename="user-data-')
    tables = tables_in(b"".join(answer.streaming_content))
    assert QUESTION in str(tables["anonymous_questions"])
    assert "diary_entries" not in tables
    assert [row["export_type"] for row in tables["data_export_requests"]] == ["user_data"]
    entry = AuditLogEntry.objects.get(action="data_exported")
    assert (entry.actor, entry.entity_id) == (signed_in(owner), anna.pk)


@pytest.mark.slow
@pytest.mark.parametrize("role", ["assistant", "editor", "client", None])
def test_other_roles_hand_over_no_data(
    anna: User, as_role: Callable[..., Client], role: str | None
) -> None:
    client = as_role(role)
    answers = [client.get(hand_over_page(anna)), client.post(hand_over_page(anna))]
    assert {answer.status_code for answer in answers} <= {302, 404}
    with pytest.raises(NotPermitted):
        hand_over_user_data(anna, actor=signed_in(client))
    assert not AuditLogEntry.objects.filter(action="data_exported").exists()
    assert AuditLogEntry.objects.filter(action="access_refused", entity_id=anna.pk).exists()


@pytest.mark.slow
def test_data_of_an_erased_or_unknown_person_are_not_handed_over(committed: Database) -> None:
    actor, erased = UserFactory(role="owner"), UserFactory(deleted=True)
    with pytest.raises(AccountErased):
        hand_over_user_data(erased, actor=actor)
    with pytest.raises(NotFound):
        hand_over_user_data("no key", actor=actor)
    with pytest.raises(RuntimeError), transaction.atomic():
        hand_over_user_data(UserFactory(), actor=actor)
    assert not AuditLogEntry.objects.filter(action="data_exported").exists()


def test_staff_request_no_export_for_others(owner: Client) -> None:
    values = {"user": UserFactory().pk, "export_type": "diary_pdf"}
    assert owner.get(page(DataExportRequest, "add")).status_code == 404
    assert owner.post(page(DataExportRequest, "add"), values).status_code == 404
    assert not DataExportRequest.objects.exists()


def test_no_page_prints_the_address_of_a_file(owner: Client) -> None:
    request = DataExportRequestFactory(ready=True)
    for address in (
        page(DataExportRequest, "change", request.pk),
        page(DataExportRequest, "changelist"),
        page(User, "change", request.user_id),
    ):
        answer = owner.get(address)
        assert answer.status_code == 200
        assert request.file_url.removeprefix("exports/") not in text(answer)


def test_no_page_shows_a_request_for_a_diary(owner: Client) -> None:
    request = DataExportRequestFactory(ready=True, export_type="diary_pdf")
    label = str(DataExportRequest.Type.DIARY_PDF.label)
    assert owner.get(page(DataExportRequest, "change", request.pk)).status_code == 302
    shown = owner.get(page(DataExportRequest, "changelist"))
    assert shown.context_data["cl"].result_count == 0
    assert label not in text(owner.get(page(User, "change", request.user_id)))
