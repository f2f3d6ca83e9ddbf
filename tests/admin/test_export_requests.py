"""Exports in admin: asked for on a person's behalf, never moved by hand."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from identity.models import DataExportRequest
from tests.admin.support import page, text
from tests.factories import DataExportRequestFactory, UserFactory
from tests.services import nothing_written

ADD = page(DataExportRequest, "add")


def test_an_export_is_asked_for_by_person_and_kind(owner: Client) -> None:
    person = UserFactory(blocked=True)
    form = owner.get(ADD).context_data["adminform"].form
    assert [*form.fields] == ["user", "export_type"]
    answer = owner.post(ADD, {"user": person.pk, "export_type": "diary_pdf"})
    assert answer.status_code == 302
    request = DataExportRequest.objects.get()
    assert (request.user, request.export_type, request.status) == (person, "diary_pdf", "requested")


def test_what_is_sent_beside_that_counts_for_nothing(owner: Client) -> None:
    values = {"status": "ready", "file_url": "https://example.com/x", "expires_at_0": "2030-01-01"}
    owner.post(ADD, {"user": UserFactory().pk, "export_type": "user_data", **values})
    request = DataExportRequest.objects.get()
    assert (request.status, request.file_url, request.expires_at) == ("requested", None, None)


def test_asking_again_leads_to_the_one_that_is_open(owner: Client) -> None:
    earlier = DataExportRequestFactory(processing=True)
    values = {"user": earlier.user_id, "export_type": "user_data", "_continue": "1"}
    answer = owner.post(ADD, values)
    assert str(earlier.pk) in answer.url
    assert DataExportRequest.objects.get() == earlier


def test_a_person_who_was_erased_is_said_so(owner: Client) -> None:
    gone = UserFactory(deleted=True)
    with nothing_written():
        answer = owner.post(ADD, {"user": gone.pk, "export_type": "user_data"})
    assert answer.status_code == 200
    assert answer.context_data["adminform"].form.errors
    assert DataExportRequest.objects.count() == 0


def test_the_file_is_not_linked_for_those_who_may_not_see_the_person(
    as_role: Callable[..., Client],
) -> None:
    request = DataExportRequestFactory(ready=True)
    for role in ("assistant", "editor"):
        assert as_role(role).get(page(DataExportRequest, "change", request.pk)).status_code == 404
    assert request.file_url in text(
        as_role("owner").get(page(DataExportRequest, "change", request.pk))
    )
