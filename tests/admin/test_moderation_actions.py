"""Moderation in admin: buttons call the services, for the roles of access.md §1."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.db import models
from django.test import Client

from crm.services.texts import LONGEST_TEXT
from tests.admin.support import page, signed_in, text
from tests.admin.test_writing import is_russian
from tests.factories import AnonymousQuestionFactory, ReviewFactory, ReviewPublicationConsentFactory
from tests.ugc.outbox_assertions import actions, event_types, stored, writes_nothing
from ugc.models import AnonymousQuestion, QuestionAnswer, Review
from ugc.services.moderation import add_action, last_action

SECRET = "Вы не одна, и это пройдёт"
SENT = {"_form_submitted": "True"}  # distinguishes a sent dialog from an opened one

QUESTION_DIALOGS: dict[str, tuple[str, dict[str, Any], str, list[tuple[str, str | None]]]] = {
    # service -> state before, what is filled in, state after, moderation actions
    "approve": ("pending", {}, "approved", [("approve", None)]),
    "reject": ("flagged", {"reason": "medical"}, "rejected", [("reject", "medical")]),
    "escalate": ("approved", {"reason": "crisis"}, "flagged", [("escalate", "crisis")]),
    "flag": ("pending", {"flags": ["pii", "spam"]}, "flagged", [("flag", "pii")]),
    "mask_pii": ("pending", {"text": SECRET}, "pending", [("mask_pii", None)]),
    "answer": ("approved", {"text": SECRET}, "answered", []),
    "publish_answer": ("answered", {}, "answered", [("publish", None)]),
}
REVIEW_DIALOGS: dict[str, tuple[str, dict[str, Any], str, list[tuple[str, str | None]]]] = {
    "publish": ("pending", {}, "published", [("publish", None)]),
    "unpublish": ("published", {}, "unpublished", [("unpublish", None)]),
    "reject": ("pending", {"reason": "spam"}, "unpublished", [("reject", "spam")]),
    "mask_pii": ("published", {"text": SECRET}, "published", [("mask_pii", None)]),
}
DIALOGS = [
    *((AnonymousQuestion, service, *rest) for service, rest in QUESTION_DIALOGS.items()),
    *((Review, service, *rest) for service, rest in REVIEW_DIALOGS.items()),
]
OWNERS = {"answer", "publish_answer"}

each_dialog = pytest.mark.parametrize(
    ("model", "service", "state", "filled", "after", "done"),
    DIALOGS,
    ids=[f"{model._meta.model_name} {service}" for model, service, *_ in DIALOGS],
)


def row_in(model: type[models.Model], state: str) -> Any:
    traits = {} if state == "pending" and model is AnonymousQuestion else {state: True}
    if model is AnonymousQuestion:
        return AnonymousQuestionFactory(publish_allowed=True, **traits)
    row = ReviewFactory(**traits)
    if state != "published":
        ReviewPublicationConsentFactory(review=row)
    return row


def dialog(row: models.Model, service: str) -> str:
    meta = type(row)._meta
    return f"/admin/{meta.app_label}/{meta.model_name}/{row.pk}/{service.replace('_', '-')}/"


def messages_of(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


@pytest.fixture
def assistant(as_role: Callable[[str], Client]) -> Client:
    return as_role("assistant")


# -- permitted roles ------------------------------------------------------------------------------


@each_dialog
def test_dialog_calls_the_service_for_the_permitted_roles(
    owner: Client,
    assistant: Client,
    model: Any,
    service: str,
    state: str,
    filled: Any,
    after: str,
    done: Any,
) -> None:
    """The assistant decides, but does not answer."""
    row = row_in(model, state)
    address, change = dialog(row, service), page(model, "change", row.pk)
    with writes_nothing(row):
        if service in OWNERS:
            assert address not in text(assistant.get(change))
            assert assistant.get(address).status_code == 404
            assert assistant.post(address, {**SENT, **filled}).status_code == 404
        client = owner if service in OWNERS else assistant
        assert address in text(owner.get(change))
        assert client is owner or address in text(client.get(change))
        assert client.get(address).status_code == 200  # opening it decides nothing
    answer = client.post(address, {**SENT, **filled})
    assert (answer.status_code, answer.url) == (302, change)
    assert is_russian(messages_of(answer)), messages_of(answer)
    assert stored(row)["status"] == after
    assert actions(row) == done


@pytest.mark.parametrize("role", ["editor", "client"])
def test_others_have_no_dialog(as_role: Callable[[str], Client], role: str) -> None:
    client, anonymous = as_role(role), Client()
    rows = [
        (row_in(model, state), service, filled) for model, service, state, filled, *_ in DIALOGS
    ]
    with writes_nothing(*(row for row, *_ in rows)):
        for row, service, filled in rows:
            assert client.get(dialog(row, service)).status_code == 404, service
            assert client.post(dialog(row, service), {**SENT, **filled}).status_code == 404, service
            # A person who is not signed in is asked to sign in.
            assert anonymous.post(dialog(row, service), {**SENT, **filled}).status_code == 302, (
                service
            )


def test_actor_is_the_signed_in_person(assistant: Client) -> None:
    row = row_in(AnonymousQuestion, "pending")
    assistant.post(dialog(row, "approve"), SENT)
    assert str(last_action(row, "approve").moderator_id) == assistant.session["_auth_user_id"]


def test_post_without_the_csrf_token_decides_nothing(owner: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(signed_in(owner))
    row = row_in(AnonymousQuestion, "pending")
    with writes_nothing(row):
        assert strict.post(dialog(row, "approve"), SENT).status_code == 403


def test_dialog_in_a_page_reloads_the_page(owner: Client) -> None:
    for model, service in ((AnonymousQuestion, "approve"), (Review, "publish")):
        row = row_in(model, "pending")
        answer = owner.post(dialog(row, service), SENT, headers={"HX-Request": "true"})
        assert answer.status_code == 200
        assert answer.headers["HX-Redirect"] == page(model, "change", row.pk)
        assert answer.content == b""


# -- refusals -------------------------------------------------------------------------------------


def test_refusal_is_a_message(owner: Client) -> None:
    for model, service, state in (
        (AnonymousQuestion, "approve", "rejected"),
        (AnonymousQuestion, "publish_answer", "approved"),
        (Review, "publish", "draft"),
        (Review, "unpublish", "pending"),
    ):
        row = ReviewFactory() if state == "draft" else row_in(model, state)
        with writes_nothing(row):
            answer = owner.post(dialog(row, service), SENT)
        assert answer.status_code == 302, (service, state)
        assert is_russian(messages_of(answer)), messages_of(answer)
        assert messages_of(answer) in text(owner.get(answer.url))


def test_refusal_names_the_missing_consent(owner: Client) -> None:
    row = ReviewFactory(pending=True)
    answer = owner.post(dialog(row, "publish"), SENT)
    assert answer.status_code == 302
    assert "соглас" in messages_of(answer)
    assert stored(row)["status"] == "pending"


def test_refused_dialog_keeps_its_input(owner: Client) -> None:
    """Another moderator has rejected the question meanwhile."""
    row = row_in(AnonymousQuestion, "rejected")
    add_action(row, "reject", signed_in(owner), row.moderated_at, "pii")
    for service, filled in (
        ("reject", {"reason": "spam"}),
        ("escalate", {"reason": "other"}),
        ("flag", {"flags": ["spam"]}),
        ("mask_pii", {"text": SECRET}),
        ("answer", {"text": SECRET}),
    ):
        with writes_nothing(row):
            answer = owner.post(dialog(row, service), {**SENT, **filled})
        assert answer.status_code == 200, service
        (errors,) = answer.context["form"].errors.values()
        assert is_russian(str(errors[0])), errors
        assert str(errors[0]) in text(answer)
        if "text" in filled:
            assert SECRET in text(answer)


def test_dialog_asks_again_for_missing_input(owner: Client) -> None:
    rows = {state: row_in(AnonymousQuestion, state) for state in ("pending", "approved")}
    with writes_nothing(*rows.values()):
        for service, state, filled in (
            ("reject", "pending", {}),
            ("reject", "pending", {"reason": ""}),
            ("reject", "pending", {"reason": "rude"}),
            ("escalate", "pending", {"reason": "medical"}),
            ("flag", "pending", {}),
            ("flag", "pending", {"flags": ["panic"]}),
            ("answer", "approved", {"text": ""}),
            ("answer", "approved", {"text": " \n "}),
            ("answer", "approved", {"text": "\u200b"}),
            ("answer", "approved", {"text": "я" * 10_001}),
            ("answer", "approved", {"text": "a\0b"}),
            ("mask_pii", "approved", {"text": ""}),
        ):
            answer = owner.post(dialog(rows[state], service), {**SENT, **filled})
            assert answer.status_code == 200, (service, filled)
            (errors,) = answer.context["form"].errors.values()
            assert is_russian(str(errors[0])), errors


def test_dialog_of_a_missing_question_does_not_exist(owner: Client) -> None:
    for key in (uuid4(), "nothing", "../../x"):
        address = f"/admin/ugc/anonymousquestion/{key}/approve/"
        assert owner.post(address, SENT).status_code == 404, key


def test_a_line_break_is_one_character(owner: Client) -> None:
    longest = "Да.\n" * (LONGEST_TEXT // 4 - 1) + "Вот."
    row, sent = row_in(AnonymousQuestion, "approved"), longest.replace("\n", "\r\n")
    assert owner.post(dialog(row, "answer"), {**SENT, "text": sent + "."}).status_code == 200
    assert owner.post(dialog(row, "answer"), {**SENT, "text": sent}).status_code == 302
    assert row.answers.get().answer_text_encrypted.open() == longest


# -- many at once ---------------------------------------------------------------------------------


def approve_selected(client: Client, *rows: models.Model) -> Any:
    form = {"action": "approve_selected", "_selected_action": [row.pk for row in rows]}
    return client.post(page(AnonymousQuestion, "changelist"), form)


def test_selected_questions_are_approved(assistant: Client) -> None:
    rows = [row_in(AnonymousQuestion, state) for state in ("pending", "flagged", "approved")]
    answer = approve_selected(assistant, *rows)
    assert answer.status_code == 302
    assert is_russian(messages_of(answer)), messages_of(answer)
    assert [stored(row)["status"] for row in rows] == ["approved"] * 3
    assert [len(actions(row)) for row in rows] == [1, 1, 0]


def test_selected_questions_are_approved_all_or_none(owner: Client) -> None:
    rows = [row_in(AnonymousQuestion, state) for state in ("pending", "rejected")]
    with writes_nothing(*rows):
        answer = approve_selected(owner, *rows)
    assert answer.status_code == 302
    assert is_russian(messages_of(answer)), messages_of(answer)


def test_editor_has_no_action_on_questions(as_role: Callable[[str], Client]) -> None:
    row, editor = row_in(AnonymousQuestion, "pending"), as_role("editor")
    with writes_nothing(row):
        assert approve_selected(editor, row).status_code == 404


# -- fields that no form has ----------------------------------------------------------------------


@pytest.mark.parametrize("model", [AnonymousQuestion, Review], ids=lambda model: model.__name__)
def test_form_has_no_field_for_a_state_or_a_time(owner: Client, model: Any) -> None:
    row = row_in(model, "pending")
    before = stored(row)
    form = owner.get(page(model, "change", row.pk)).context_data["adminform"].form
    assert list(form.fields) == []
    typed = dict.fromkeys(before, "2030-01-01") | {"status": "approved", "trigger_flags": "spam"}
    inline = "answers" if model is AnonymousQuestion else "publication_consents"
    management = {f"{inline}-TOTAL_FORMS": 0, f"{inline}-INITIAL_FORMS": 0}
    owner.post(page(model, "change", row.pk), typed | management)
    assert stored(row) == before


def test_form_of_an_answer_has_no_fields(owner: Client) -> None:
    answer = row_in(AnonymousQuestion, "answered").answers.get()
    form = owner.get(page(QuestionAnswer, "change", answer.pk)).context_data["adminform"].form
    assert list(form.fields) == []


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The records of every logger during the test."""
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.getMessage()} {record.__dict__}")

    keeper, root = Keeper(logging.DEBUG), logging.getLogger()
    level = root.level
    root.addHandler(keeper)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(keeper)
    root.setLevel(level)


@pytest.mark.parametrize(("service", "column"), [("answer", None), ("mask_pii", "question")])
def test_saved_text_is_shown_nowhere(
    owner: Client, log: list[str], service: str, column: str | None
) -> None:
    row = row_in(AnonymousQuestion, "approved")
    answer = owner.post(dialog(row, service), {**SENT, "text": f"{SECRET}\r\nНавсегда"})
    sealed = (
        AnonymousQuestion.objects.get().question_text_encrypted
        if column
        else QuestionAnswer.objects.get().answer_text_encrypted
    )
    assert sealed.open() == f"{SECRET}\nНавсегда"
    shown = [
        text(owner.get(answer.url)),
        text(owner.get(dialog(row, service))),
        text(owner.get(page(AnonymousQuestion, "changelist"))),
        text(owner.get(page(QuestionAnswer, "changelist"))),
        answer.url,
        messages_of(answer),
        json.dumps(list(LogEntry.objects.values()), default=str, ensure_ascii=False),
        *log,
    ]
    for page_text in shown:
        assert SECRET not in page_text
        assert sealed.text not in page_text
    assert event_types(row)


def test_masking_dialog_does_not_show_the_stored_text(owner: Client) -> None:
    row = row_in(AnonymousQuestion, "pending")
    shown = text(owner.get(dialog(row, "mask_pii")))
    assert row.question_text_encrypted.open() not in shown
    assert row.question_text_encrypted.text not in shown
