"""Staff requests exports in admin on a person's behalf; no form changes their state."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from identity.models import DataExportRequest
from tests.admin.support import page, text
from tests.factories import DataExportRequestFactory, UserFactory
from tests.services import nothing_written

ADD = page(DataExportRequest, "add")


def test_export_is_requested_by_person_and_type(owner: Client) -> None:
    person = UserFactory(blocked=True)
    form = owner.get(ADD).context_data["adminform"].form
    assert [*form.fields] == ["user", "export_type"]
    answer = owner.post(ADD, {"user": person.pk, "export_type": "diary_pdf"})
    assert answer.status_code == 302
    request = DataExportRequest.objects.get()
    assert (request.user, request.export_type, request.status) == (person, "diary_pdf", "requested")


def test_other_posted_values_are_ignored(owner: Client) -> None:
    values = {"status": "ready", "file_url": "https://example.com/x", "expires_at_0": "2030-01-01"}
    owner.post(ADD, {"user": UserFactory().pk, "export_type": "user_data", **values})
    request = DataExportRequest.objects.get()
    assert (request.status, request.file_url, request.expires_at) == ("requested", None, None)


def test_second_request_opens_the_pending_one(owner: Client) -> None:
    earlier = DataExportRequestFactory(processing=True)
    values = {"user": earlier.user_id, "export_type": "user_data", "_continue": "1"}
    answer = owner.post(ADD, values)
    assert str(earlier.pk) in answer.url
    assert DataExportRequest.objects.get() == earlier


def test_export_of_an_erased_person_is_an_error(owner: Client) -> None:
    erased = UserFactory(deleted=True)
    with nothing_written():
        answer = owner.post(ADD, {"user": erased.pk, "export_type": "user_data"})
    assert answer.status_code == 200
    assert answer.context_data["adminform"].form.errors
    assert DataExportRequest.objects.count() == 0


def test_file_is_linked_only_for_roles_that_may_see_the_person(
    as_role: Callable[..., Client],
) -> None:
    request = DataExportRequestFactory(ready=True)
    for role in ("assistant", "editor"):
        assert as_role(role).get(page(DataExportRequest, "change", request.pk)).status_code == 404
    assert request.file_url in text(
        as_role("owner").get(page(DataExportRequest, "change", request.pk))
    )
