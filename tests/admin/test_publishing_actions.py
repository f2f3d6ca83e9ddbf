"""The buttons of the pages of content and interactives, which call the services."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import models
from django.test import Client

from content.models import (
    ContentItem,
    ContentRevision,
    CuratedCollection,
    CuratedItem,
    GlossaryTerm,
)
from content.services import archive, publish, save_revision, unpublish
from crm.models import AnalyticsEvent
from identity.models import User
from interactive.models import InteractiveDefinition
from interactive.services import publish_version
from tests.admin.support import form_at, form_data, page, text, unrendered
from tests.admin.test_writing import errors, is_russian, messages_of
from tests.content.texts import ready
from tests.factories import (
    ContentItemFactory,
    CuratedCollectionFactory,
    CuratedItemFactory,
    GlossaryTermFactory,
    InteractiveDefinitionFactory,
)
from tests.interactive.samples import sample
from tests.services import events, nothing_written

BUTTONS: dict[str, dict[str, set[str]]] = {
    "ContentItem": {
        "draft": {"submit_for_review", "publish"},
        "review": {"return_to_draft", "publish"},
        "published": {"unpublish", "archive"},
        "archived": {"restore"},
    },
    "CuratedCollection": {
        "draft": {"publish"},
        "published": {"unpublish", "archive"},
        "archived": {"restore"},
    },
    "InteractiveDefinition": {
        "draft": {"publish"},
        "published": {"publish", "unpublish", "archive"},
        "archived": {"restore"},
    },
}
BUTTONS["GlossaryTerm"] = BUTTONS["CuratedCollection"]
TARGETS = {
    "publish": "published",
    "unpublish": "draft",
    "archive": "archived",
    "restore": "draft",
    "submit_for_review": "review",
    "return_to_draft": "draft",
}


def collection(**values: Any) -> CuratedCollection:
    made = CuratedCollectionFactory(**values)
    CuratedItemFactory(collection=made, content_item=ContentItemFactory(published=True))
    return made


def interactive(status: str) -> InteractiveDefinition:
    made = InteractiveDefinitionFactory()
    publish_version(made, config=sample("quiz"))
    if status != "published":
        archive(made) if status == "archived" else unpublish(made)
    return made


def in_status(name: str, status: str) -> models.Model:
    if name == "InteractiveDefinition":
        return interactive(status)
    traits = {} if status == "draft" else {status: True}
    if name == "ContentItem":
        return ContentItemFactory(body_markdown=ready(), **traits)
    return collection(**traits) if name == "CuratedCollection" else GlossaryTermFactory(**traits)


def button(row: models.Model, service: str) -> str:
    return f"{row._meta.app_label}_{row._meta.model_name}_{service}"


def press(client: Client, row: models.Model, service: str, **values: Any) -> Any:
    address = page(type(row), "change", row.pk)
    return client.post(address, form_at(client, address) | values | {button(row, service): ""})


every_model = pytest.mark.parametrize("name", BUTTONS)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ContentItem", marks=pytest.mark.slow),
        *(n for n in BUTTONS if n[:7] != "Content"),
    ],
)
def test_page_has_the_buttons_of_its_state_and_no_field_for_it(
    as_role: Callable[[str], Client], name: str
) -> None:
    clients = {role: as_role(role) for role in ("editor", "owner", "assistant")}
    cases = [("editor", status) for status in BUTTONS[name]]
    cases += [("owner", "published"), ("assistant", "published")]
    for role, status in cases:
        row = in_status(name, status)
        answer = clients[role].get(page(type(row), "change", row.pk))
        assert answer.status_code == 200
        shown = {service for service in TARGETS if f'name="{button(row, service)}"' in text(answer)}
        assert shown == (set() if role == "assistant" else BUTTONS[name][status]), (role, status)
        fields = answer.context_data["adminform"].form.fields
        assert not {"status", "published_at", "published_version"} & set(fields)
        assert row.get_status_display() in text(answer)


@every_model
def test_each_button_moves_the_row_once(as_role: Callable[[str], Client], name: str) -> None:
    client = as_role("editor")
    for status, services in BUTTONS[name].items():
        for service in sorted(services):
            row = in_status(name, status)
            before = len(events(row))
            answer = press(client, row, service)
            assert answer.status_code == 302, (status, service, errors(answer))
            first = str(next(iter(get_messages(answer.wsgi_request))))
            assert is_russian(first), first
            row.refresh_from_db()
            assert row.status == TARGETS[service], (status, service)
            is_move = status != TARGETS[service]
            assert len(events(row)) == before + is_move, (status, service)


@every_model
def test_assistant_presses_no_button(as_role: Callable[[str], Client], name: str) -> None:
    row, client = in_status(name, "published"), as_role("assistant")
    client.get("/admin/")
    with nothing_written():
        for service in TARGETS:
            answer = client.post(page(type(row), "change", row.pk), {button(row, service): ""})
            assert answer.status_code == 404, service


@every_model
def test_status_in_the_form_is_ignored(owner: Client, name: str) -> None:
    for status in BUTTONS[name]:
        row = in_status(name, status)
        address = page(type(row), "change", row.pk)
        form = form_at(owner, address) | {"status": "published", "published_at_0": "2020-01-01"}
        published_at = row.published_at
        assert owner.post(address, form).status_code == 302
        row.refresh_from_db()
        assert (row.status, row.published_at) == (status, published_at)


def test_new_row_is_a_draft(owner: Client) -> None:
    for model, values in {
        ContentItem: {"content_type": "article", "body_markdown": "Текст"},
        CuratedCollection: {"collection_type": "problem"},
        GlossaryTerm: {"category": "state", "short_definition": "а", "body_markdown": "б"},
        InteractiveDefinition: {"interactive_type": "quiz"},
    }.items():
        form = form_at(owner, page(model, "add"))
        form |= {"slug": "novoe", "title": "Новое", **values, "status": "archived"}
        form[button(model(), "publish")] = ""
        answer = owner.post(page(model, "add"), form)
        assert answer.status_code == 302, errors(answer)
        assert model.objects.get().status == "draft"


def test_button_of_another_state_is_refused_with_a_message(owner: Client) -> None:
    row = in_status("ContentItem", "archived")
    with nothing_written():
        answer = press(owner, row, "publish")
    assert answer.status_code == 200
    assert is_russian(errors(answer)), errors(answer)


# -- content ------------------------------------------------------------------------------------


def test_refused_publication_lists_the_gaps_and_keeps_the_input(owner: Client) -> None:
    row = ContentItemFactory(body_markdown="![](/media/a.webp)")
    with nothing_written():
        answer = press(owner, row, "publish", title="Напечатанное")
    assert answer.status_code == 200
    assert is_russian(errors(answer)), errors(answer)
    assert errors(answer).count(";") == 3
    assert 'value="Напечатанное"' in text(answer)


def test_publishing_saves_the_form_first(owner: Client) -> None:
    row = ContentItemFactory(body_markdown="Набросок")
    answer = press(owner, row, "publish", body_markdown=ready(), slug="gotovo")
    assert answer.status_code == 302, errors(answer)
    row.refresh_from_db()
    assert (row.status, row.body_markdown, row.slug) == ("published", ready(), "gotovo")
    assert events(row)[-1] == "content_published"
    assert AnalyticsEvent.objects.get().source == "admin"


def test_new_item_has_its_first_revision(owner: Client) -> None:
    form = form_at(owner, page(ContentItem, "add"))
    form |= {"content_type": "note", "slug": "novoe", "title": "Новое", "body_markdown": "Текст"}
    assert owner.post(page(ContentItem, "add"), form).status_code == 302
    revision = ContentRevision.objects.get()
    assert (revision.revision, revision.title) == (1, "Новое")
    assert str(revision.changed_by_id) == owner.session["_auth_user_id"]


def test_saved_text_makes_a_revision_and_a_saved_address_does_not(owner: Client) -> None:
    row = ContentItemFactory(title="Было")
    save_revision(row, actor=User.objects.get(pk=owner.session["_auth_user_id"]))
    address = page(ContentItem, "change", row.pk)
    form = form_at(owner, address)
    assert owner.post(address, {**form, "slug": "drugoj-adres"}).status_code == 302
    assert row.revisions.count() == 1
    form = form_at(owner, address)
    assert owner.post(address, {**form, "title": "Стало", "seo_title": "А"}).status_code == 302
    row.refresh_from_db()
    assert (row.slug, row.title, row.seo_title) == ("drugoj-adres", "Стало", "А")
    newest = row.revisions.get(revision=2)
    assert (newest.title, newest.meta["seo_title"]) == ("Стало", "А")
    assert str(newest.changed_by_id) == owner.session["_auth_user_id"]


def test_published_text_does_not_lose_its_disclaimer_in_admin(owner: Client) -> None:
    row = in_status("ContentItem", "published")
    address = page(ContentItem, "change", row.pk)
    with nothing_written():
        answer = owner.post(address, {**form_at(owner, address), "body_markdown": "Коротко"})
    assert answer.status_code == 200
    assert is_russian(errors(answer)), errors(answer)
    assert "Коротко" in text(answer)


def roll_back(client: Client, *revisions: ContentRevision) -> Any:
    chosen = [revision.pk for revision in revisions]
    form = {"action": "roll_back", "_selected_action": chosen, "index": 0}
    return client.post(page(ContentRevision, "changelist"), form)


def test_revision_is_restored_by_an_action(as_role: Callable[[str], Client]) -> None:
    row, client = ContentItemFactory(title="Было"), as_role("editor")
    actor = User.objects.get(pk=client.session["_auth_user_id"])
    save_revision(row, actor=actor, title="Стало")
    first, second = row.revisions.order_by("revision")
    assert "roll_back" in text(client.get(page(ContentRevision, "changelist")))
    answer = roll_back(client, first)
    assert answer.status_code == 302
    assert is_russian(messages_of(answer)), messages_of(answer)
    row.refresh_from_db()
    assert (row.title, row.revisions.count()) == ("Было", 3)
    with nothing_written():
        assert is_russian(messages_of(roll_back(client, first, second)))
    reader = as_role("assistant")
    assert "roll_back" not in text(reader.get(page(ContentRevision, "changelist")))
    with nothing_written():
        roll_back(reader, second)


def test_refused_rollback_is_a_message(owner: Client) -> None:
    row = ContentItemFactory(body_markdown="Набросок")
    actor = User.objects.get(pk=owner.session["_auth_user_id"])
    save_revision(row, actor=actor, body_markdown=ready())
    publish(row, actor=actor)
    with nothing_written():
        answer = roll_back(owner, row.revisions.get(revision=1))
    assert answer.status_code == 302
    assert is_russian(messages_of(answer)), messages_of(answer)


# -- collections --------------------------------------------------------------------------------


def test_collection_is_published_with_the_rows_of_the_form(owner: Client) -> None:
    row, target = CuratedCollectionFactory(), ContentItemFactory(published=True)
    with nothing_written():
        answer = press(owner, row, "publish")
    assert is_russian(errors(answer)), errors(answer)
    added = {
        "items-TOTAL_FORMS": 1,
        "items-0-item_type": "content",
        "items-0-content_item": target.pk,
        "items-0-position": 0,
        "items-0-collection": row.pk,
    }
    answer = press(owner, row, "publish", **added)
    assert answer.status_code == 302, errors(answer)
    row.refresh_from_db()
    assert (row.status, CuratedItem.objects.count()) == ("published", 1)


# -- interactives -------------------------------------------------------------------------------


def test_interactive_is_published_with_the_configuration_of_its_page(owner: Client) -> None:
    row = InteractiveDefinitionFactory()
    answer = press(owner, row, "publish", config=json.dumps(sample("quiz")))
    assert answer.status_code == 302, errors(answer)
    row.refresh_from_db()
    assert (row.status, row.published_version) == ("published", 1)
    version = row.versions.get()
    assert version.config == sample("quiz")
    assert str(version.created_by_id) == owner.session["_auth_user_id"]
    shown = owner.get(page(type(row), "change", row.pk))
    assert json.loads(form_data(shown)["config"]) == sample("quiz")
    assert "Как часто вы чувствуете усталость с утра?" in text(shown)
    changed = sample("quiz") | {"intro": "Иначе"}
    assert press(owner, row, "publish", config=json.dumps(changed)).status_code == 302
    assert row.versions.get(version=2).config == changed


def test_bad_configuration_is_shown_again_with_its_mistakes(owner: Client) -> None:
    row, config = InteractiveDefinitionFactory(), sample("quiz")
    config["thresholds"][2]["min"] = 3
    with nothing_written():
        answer = press(owner, row, "publish", config=json.dumps(config, ensure_ascii=False))
    assert answer.status_code == 200
    assert "$.thresholds[2].min" in errors(answer)
    assert is_russian(errors(answer).replace("$.thresholds[2].min", "")), errors(answer)
    assert "Как часто вы чувствуете усталость с утра?" in text(answer)


NO_CONFIGS = ["", "{", "null", "[]", "[1]", '"a"', "5"]
AWKWARD = [
    '{"a": "\\u0000"}',
    '{"a": "\\ud800"}',
    # More digits or levels than json parses.
    '{"a": ' + "1" * 5_000 + "}",
    '{"a":' * 5_000 + "1" + "}" * 5_000,
]
HUGE = ["[" * 200_000, '{"a":' * 100_000 + "1" + "}" * 100_000]


@pytest.mark.parametrize(
    ("configs", "context"),
    [
        pytest.param(NO_CONFIGS, unrendered, id="wrong"),
        pytest.param(AWKWARD, nullcontext, id="awkward"),
        pytest.param(HUGE, nullcontext, id="huge", marks=pytest.mark.slow),
    ],
)
def test_text_that_is_no_configuration_is_an_error_of_the_form(
    owner: Client, configs: list[str], context: Callable[[], Any]
) -> None:
    row, failed = InteractiveDefinitionFactory(), []
    with nothing_written(), context():
        for config in configs:
            answer = press(owner, row, "publish", config=config)
            if answer.status_code != 200 or not errors(answer):
                failed.append(config[:20])
    assert failed == []


def test_changed_configuration_is_not_lost_by_saving(owner: Client) -> None:
    row = interactive("published")
    address = page(type(row), "change", row.pk)
    config = json.dumps(sample("quiz") | {"intro": "Иначе"}, ensure_ascii=False)
    for extra in ({}, {button(row, "unpublish"): ""}):
        with nothing_written():
            form = {**form_at(owner, address), "config": config, **extra}
            answer = owner.post(address, form)
        assert answer.status_code == 200
        assert is_russian(errors(answer)), errors(answer)
        assert "Иначе" in text(answer)


def test_title_is_saved_without_a_new_version(owner: Client) -> None:
    row = interactive("published")
    address = page(type(row), "change", row.pk)
    form = {**form_at(owner, address), "title": "Новое имя"}
    assert owner.post(address, form).status_code == 302
    row.refresh_from_db()
    assert (row.title, row.versions.count()) == ("Новое имя", 1)


def test_kind_is_frozen_after_the_first_publication(owner: Client) -> None:
    for row, is_open in ((InteractiveDefinitionFactory(), True), (interactive("draft"), False)):
        form = owner.get(page(type(row), "change", row.pk)).context_data["adminform"].form
        assert ("interactive_type" in form.fields) == is_open


def test_assistant_sees_no_field_for_a_configuration(as_role: Callable[[str], Client]) -> None:
    row = interactive("published")
    answer = as_role("assistant").get(page(type(row), "change", row.pk))
    assert answer.status_code == 200
    assert 'name="config"' not in text(answer)
