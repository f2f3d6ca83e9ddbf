"""Writing through admin: refusals of the database, read-only rows and the log of changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.hashers import make_password
from django.contrib.messages import get_messages
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext

from audit.models import MessageTemplate, MessageTemplateVersion, SystemSetting
from booking.models import Appointment, AvailabilitySlot, Service
from content.models import ContentItem, ContentRevision, CuratedCollection, CuratedItem
from crm.models import LeadTimelineEvent
from ebalance.admin import deletion
from ebalance.db.lengths import HasLength
from ebalance.privacy.erasure import erase_user
from identity.models import User
from tests.admin.support import (
    ADD_ONLY,
    MODELS,
    READ_ONLY,
    children,
    form_at,
    form_data,
    label,
    load_page,
    page,
    rows,
    text,
    unrendered,
)
from tests.advice import advises, of_class
from tests.factories import (
    FACTORIES,
    AppointmentFactory,
    AvailabilitySlotFactory,
    ContentItemFactory,
    CuratedCollectionFactory,
    CuratedItemFactory,
    LeadFactory,
    MessageTemplateFactory,
    ServiceFactory,
    UserFactory,
)
from tests.support import execute


def errors(response: Any) -> str:
    """The errors that the page shows."""
    context = response.context_data
    forms = [context["adminform"].form]
    forms += [form for item in context["inline_admin_formsets"] for form in item.formset.forms]
    shown = [str(error) for form in forms for lines in form.errors.values() for error in lines]
    return " ".join(shown)


def messages_of(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def is_russian(sentence: str) -> bool:
    letters = [c for c in sentence if c.isalpha()]
    return bool(letters) and sum("а" <= c.lower() <= "я" for c in letters) > len(letters) * 0.7


def snapshot(model: type[models.Model]) -> list[dict[str, Any]]:
    return list(model._base_manager.order_by("pk").values())


# -- refusals of the database -------------------------------------------------------------------


def test_refused_change_keeps_the_input(owner: Client) -> None:
    person = User.objects.get(pk=owner.session["_auth_user_id"])
    address = page(User, "change", person.pk)
    form = {**form_at(owner, address), "phone": "12", "display_name": "Новое имя"}
    answer = owner.post(address, form)
    assert answer.status_code == 200
    assert is_russian(errors(answer)), errors(answer)
    assert errors(answer) in text(answer)
    assert 'value="Новое имя"' in text(answer)
    person.refresh_from_db()
    assert (person.phone, person.display_name != "Новое имя") == (None, True)
    assert not LogEntry.objects.exists()
    # The connection remains usable.
    assert owner.post(address, {**form, "phone": ""}).status_code == 302
    person.refresh_from_db()
    assert person.display_name == "Новое имя"


def test_refused_addition_keeps_the_input(owner: Client) -> None:
    lead = LeadFactory()
    address = page(LeadTimelineEvent, "add")
    form = form_at(owner, address) | {
        "lead": lead.pk,
        "tracking_event": "booking_start",
        "source": "web",
        "properties": '{"page_path": "/services", "comment": "Позвоните мне"}',
    }
    answer = owner.post(address, form)
    assert answer.status_code == 200
    assert is_russian(errors(answer)), errors(answer)
    assert "Позвоните мне" in text(answer)
    assert not LeadTimelineEvent.objects.exists()


def test_broken_deferred_rule_is_an_error_of_the_form(
    owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people reorder at once: only the database detects the conflict, at commit."""
    collection = CuratedCollectionFactory()
    address = page(CuratedCollection, "change", collection.pk)
    form = form_at(owner, address) | {"title": "Напечатанное", "items-TOTAL_FORMS": 2}
    for number in range(2):
        form |= {
            f"items-{number}-item_type": "content",
            f"items-{number}-content_item": ContentItemFactory().pk,
            f"items-{number}-position": 1,
            f"items-{number}-collection": collection.pk,
        }
    monkeypatch.setattr(CuratedItem, "full_clean", lambda *args, **kwargs: None)
    monkeypatch.setattr(CuratedItem, "_get_unique_checks", lambda *args, **kwargs: ([], []))
    answer = owner.post(address, form)
    assert answer.status_code == 200
    assert is_russian(errors(answer)), errors(answer)
    assert 'value="Напечатанное"' in text(answer)
    assert not CuratedItem.objects.exists()
    collection.refresh_from_db()
    assert collection.title != "Напечатанное"


def test_value_that_no_column_can_store_is_an_error_of_the_form(owner: Client) -> None:
    address = page(SystemSetting, "add")
    answer = owner.post(address, {"key": "greeting", "value": '"a\\u0000b"'})
    assert answer.status_code == 200
    assert is_russian(errors(answer)), errors(answer)


def test_a_broken_rule_is_shown_at_its_field(owner: Client) -> None:
    service = ServiceFactory()
    address = page(Service, "change", service.pk)
    answer = owner.post(address, form_at(owner, address) | {"deposit_amount": 1_000_000})
    assert answer.status_code == 200
    shown = answer.context_data["adminform"].form.errors["deposit_amount"]
    assert "не больше цены" in " ".join(shown), shown
    assert Service.objects.get() == service
    assert Service.objects.get().deposit_amount == service.deposit_amount


def test_a_refused_deletion_is_a_message(owner: Client) -> None:
    slot = AvailabilitySlotFactory(reserved=True)
    address = page(AvailabilitySlot, "delete", slot.pk)
    answer = owner.post(address, {"post": "yes"})
    assert answer.status_code == 302
    assert answer.url == page(AvailabilitySlot, "change", slot.pk)
    assert is_russian(messages_of(answer)), messages_of(answer)
    assert AvailabilitySlot.objects.filter(pk=slot.pk).exists()
    assert not LogEntry.objects.exists()


def test_a_refused_action_is_a_message_and_does_nothing(owner: Client) -> None:
    free, reserved = AvailabilitySlotFactory(), AvailabilitySlotFactory(reserved=True)
    form = {
        "action": "delete_selected",
        "_selected_action": [free.pk, reserved.pk],
        "post": "yes",
    }
    answer = owner.post(page(AvailabilitySlot, "changelist"), form)
    assert answer.status_code == 302
    assert is_russian(messages_of(answer)), messages_of(answer)
    assert AvailabilitySlot.objects.count() == 2
    form["_selected_action"] = [free.pk]
    assert owner.post(page(AvailabilitySlot, "changelist"), form).status_code == 302
    assert list(AvailabilitySlot.objects.all()) == [reserved]


def test_deletion_page_names_the_rows_that_prevent_it(owner: Client) -> None:
    appointment = AppointmentFactory()
    service = appointment.service
    address = page(Service, "delete", service.pk)
    answer = owner.get(address)
    assert page(Appointment, "change", appointment.pk) in text(answer)
    assert owner.post(address, {"post": "yes"}).status_code == 200
    assert Service.objects.filter(pk=service.pk).exists()


def test_deletion_page_names_the_rows_deleted_along(owner: Client) -> None:
    item = ContentItemFactory()
    children(item, 12)
    address = page(ContentItem, "delete", item.pk)
    shown, statements = load_page(owner, address)
    loaded = [sql for sql in statements if 'FROM "content_revisions"' in sql]
    assert len(loaded) == 1
    assert f"LIMIT {deletion.SHOWN + 1}" in loaded[0]
    assert shown.context_data["perms_lacking"] == set()
    assert text(shown).count(page(ContentRevision, "changelist") + "0") == deletion.SHOWN
    answer = owner.post(address, {"post": "yes"})
    assert answer.status_code == 302
    assert not ContentItem.objects.filter(pk=item.pk).exists()
    assert execute("SELECT count(*) AS n FROM content_revisions") == [{"n": 0}]


def test_person_has_no_deletion_page(owner: Client) -> None:
    """The database refuses to delete somebody with a diary; a page would show the refusal."""
    person = UserFactory()
    address = page(User, "delete", person.pk)
    assert owner.get(address).status_code == 404
    assert owner.post(address, {"post": "yes"}).status_code == 404
    assert User.objects.filter(pk=person.pk).exists()


def test_the_second_page_of_an_inline_is_saved(owner: Client) -> None:
    """A page shows some of the rows; saving it leaves the other rows unchanged."""
    collection = CuratedCollectionFactory()
    for position in range(25):
        CuratedItemFactory(collection=collection, position=position)
    address = page(CuratedCollection, "change", collection.pk, **{"items-page": 2})
    shown = owner.get(address)
    assert 'name="items-page" value="2"' in text(shown)
    form = form_data(shown) | {"items-page": 2, "items-0-note": "Двадцать первое"}
    answer = owner.post(address, form)
    assert answer.status_code == 302, errors(answer)
    notes = dict(CuratedItem.objects.values_list("position", "note"))
    assert len(notes) == 25
    assert [position for position, note in notes.items() if note == "Двадцать первое"] == [20]


# -- read-only rows and fields ------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", [m for m in MODELS if label(m) in READ_ONLY | ADD_ONLY], ids=label
)
def test_evidence_is_changed_by_no_post(owner: Client, model: type[models.Model]) -> None:
    row = rows(model, 2)[0]
    before = snapshot(model)
    values = {f.name: "1" for f in model._meta.concrete_fields} | {"post": "yes"}
    for name in ("change", "delete"):
        assert owner.post(page(model, name, row.pk), values).status_code == 404
    if label(model) in READ_ONLY:
        assert owner.post(page(model, "add"), values).status_code == 404
    action = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes", "index": 0}
    with unrendered():
        owner.post(page(model, "changelist"), action)
        owner.post(page(model, "changelist"), {**action, "select_across": "1"})
    # The log itself has entries of the refused attempts.
    assert [row for row in snapshot(model) if row.get("action") != "access_refused"] == before


def test_inlines_of_evidence_are_not_changed(owner: Client) -> None:
    template = MessageTemplateFactory(active=True)
    version = template.versions.get()
    address = page(MessageTemplate, "change", template.pk)
    form = form_at(owner, address) | {
        "versions-0-id": version.pk,
        "versions-0-template": template.pk,
        "versions-0-body_markdown": "Подмена",
        "versions-0-DELETE": "on",
        "versions-TOTAL_FORMS": 2,
        "versions-1-version": 7,
        "versions-1-subject": "Тема",
        "versions-1-body_markdown": "Добавленное",
        "versions-1-template": template.pk,
    }
    answer = owner.post(address, form)
    assert answer.status_code == 302, errors(answer)
    texts = dict(MessageTemplateVersion.objects.values_list("version", "body_markdown"))
    assert texts == {1: version.body_markdown, 7: "Добавленное"}
    added = MessageTemplateVersion.objects.get(version=7)
    assert str(added.updated_by_id) == owner.session["_auth_user_id"]


def test_frozen_columns_and_keys_are_read_only(owner: Client) -> None:
    for row, names in {
        AppointmentFactory(): {"price_amount", "deposit_amount", "client_request_id", "status"},
        FACTORIES[SystemSetting](): {"key", "updated_by"},
    }.items():
        fields = owner.get(page(type(row), "change", row.pk)).context_data["adminform"].form.fields
        assert not names & set(fields)
    address = page(SystemSetting, "change", SystemSetting.objects.get().pk)
    assert owner.post(address, {"key": "another", "value": "20"}).status_code == 302
    assert SystemSetting.objects.get().value == 20


def test_empty_input_is_stored_as_null(owner: Client) -> None:
    address = page(ContentItem, "add")
    form = form_at(owner, address) | {
        "content_type": "article",
        "slug": "pustoe",
        "title": "Пустое",
        "body_markdown": "Текст",
        "excerpt": "",
        "seo_title": " ",
        "canonical_url": "",
        "format": "",
    }
    assert owner.post(address, form).status_code == 302
    item = ContentItem.objects.get()
    assert {item.excerpt, item.seo_title, item.canonical_url, item.format} == {None}
    address = page(ContentItem, "change", item.pk)
    assert owner.post(address, form_at(owner, address)).status_code == 302
    # Forms outside admin do the same.
    assert ContentItem._meta.get_field("seo_title").formfield().clean("") is None
    empty = [f.name for f in item._meta.concrete_fields if f.null]
    assert "" not in ContentItem.objects.values_list(*empty)[0]


@pytest.mark.parametrize("model", [m for m in MODELS if label(m) not in READ_ONLY], ids=label)
def test_saving_an_untouched_page_changes_nothing(owner: Client, model: type[models.Model]) -> None:
    row = rows(model, 1)[0]
    children(row, 1)
    address = page(model, "change", row.pk)
    if label(model) in ADD_ONLY:
        assert owner.post(address, form_at(owner, address)).status_code == 404
        return
    before = snapshot(model)
    answer = owner.post(address, form_at(owner, address))
    assert answer.status_code == 302, errors(answer)
    after = snapshot(model)
    for values in [*before, *after]:
        for touched in ("updated_at", "updated_by_id"):
            values.pop(touched, None)
    assert after == before


def test_a_text_keeps_its_line_breaks(owner: Client) -> None:
    item = ContentItemFactory(body_markdown="    код\n\nтекст\n")
    address = page(ContentItem, "change", item.pk)
    form = form_at(owner, address)
    sent = form["body_markdown"].replace("\n", "\r\n")
    assert owner.post(address, {**form, "body_markdown": sent}).status_code == 302
    item.refresh_from_db()
    assert item.body_markdown == "    код\n\nтекст\n"


# -- state machines (states.md) -----------------------------------------------------------------

MOVES: dict[str, dict[str, set[str]]] = {
    "audit.MessageTemplate": {
        "draft": {"draft", "active"},
        "active": {"active", "archived", "draft"},
        "archived": {"archived", "active"},
    },
}


def in_state(model: type[models.Model], state: str) -> models.Model:
    factory = FACTORIES[model]
    initial = model._meta.get_field("status").default
    return factory() if state == initial else factory(**{state: True})


def test_status_offers_the_moves_of_the_specification(owner: Client) -> None:
    for name, moves in MOVES.items():
        model = next(m for m in MODELS if label(m) == name)
        for state, targets in moves.items():
            address = page(model, "change", in_state(model, state).pk)
            form = owner.get(address).context_data["adminform"].form
            assert {value for value, _label in form.fields["status"].choices} == targets, state


# Staff changes these statuses by hand: no service does.
TYPED = {"crm.Lead"}


@advises
def test_status_is_a_field_of_no_form(owner: Client) -> Iterator[str]:
    for model in MODELS:
        if "status" not in {f.name for f in model._meta.concrete_fields}:
            continue
        if label(model) in MOVES or label(model) in TYPED:
            continue
        with unrendered():
            opened = owner.get(page(model, "change", rows(model, 1)[0].pk))
        page_of = of_class(type(admin.site.get_model_admin(model)))
        if "status" in opened.context_data["adminform"].form.fields:
            yield page_of('add "status" to `locked_fields` of', "only services change it")


# -- people -------------------------------------------------------------------------------------


def new_person(owner: Client, **values: str) -> Any:
    address = page(User, "add")
    return owner.post(address, {**form_at(owner, address), **values})


def test_a_person_is_added_with_roles_and_without_a_password(owner: Client) -> None:
    answer = new_person(
        owner,
        email=" Anna@Example.com ",
        **{"user_roles-TOTAL_FORMS": "1", "user_roles-0-role": "assistant"},
    )
    assert answer.status_code == 302, errors(answer)
    person = User.objects.get(email="anna@example.com")
    assert person.role_codes == {"assistant"}
    assert not person.has_usable_password()


def test_password_is_set_on_creation_and_changed_later(owner: Client) -> None:
    first, second = "длинный пароль 1", "другой пароль 22"
    assert errors(new_person(owner, email="a@b.ru", password1="short", password2="short"))
    assert errors(new_person(owner, email="a@b.ru", password1=first, password2=second))
    assert errors(new_person(owner, email="a@b.ru", password1=first))
    assert not User.objects.filter(email="a@b.ru").exists()
    answer = new_person(owner, email="a@b.ru", password1=first, password2=first)
    assert answer.status_code == 302, errors(answer)
    person = User.objects.get(email="a@b.ru")
    assert person.check_password(first)
    address = f"/admin/identity/user/{person.pk}/password/"
    assert address in text(owner.get(page(User, "change", person.pk)))
    assert owner.get(address).status_code == 200
    form = {"password1": second, "password2": second, "usable_password": "true"}
    assert owner.post(address, form).status_code == 302
    person.refresh_from_db()
    assert person.check_password(second)


@pytest.mark.parametrize("is_empty", [True, False], ids=["empty", "unusable"])
def test_page_shows_that_a_person_has_no_password(owner: Client, is_empty: bool) -> None:
    person = UserFactory(password="" if is_empty else make_password(None))
    assert not person.has_usable_password()
    assert not person.check_password("")
    shown = text(owner.get(page(User, "change", person.pk)))
    with translation.override("ru"):
        assert f"{gettext('not set')} · " in shown


def test_erased_person_gets_no_password(owner: Client) -> None:
    person = UserFactory()
    erase_user(person, method="admin")
    address = f"/admin/identity/user/{person.pk}/password/"
    assert address not in text(owner.get(page(User, "change", person.pk)))
    new = "длинный пароль 1"
    answer = owner.post(address, {"password1": new, "password2": new, "usable_password": "true"})
    assert (answer.status_code, answer.url) == (302, page(User, "change", person.pk))
    (message,) = get_messages(answer.wsgi_request)
    with translation.override("ru"):
        assert str(message) == gettext("A deleted person keeps no personal data.")
    person.refresh_from_db()
    assert person.password == ""


def test_only_an_owner_changes_passwords(as_role: Callable[[str], Client]) -> None:
    person = UserFactory()
    for role in ("assistant", "editor", "client"):
        assert as_role(role).get(f"/admin/identity/user/{person.pk}/password/").status_code == 404


def test_page_of_a_person_shows_no_hash_and_no_superuser_flag(owner: Client) -> None:
    person = UserFactory()
    person.set_password("длинный пароль 1")
    person.save()
    answer = owner.get(page(User, "change", person.pk))
    for part in person.password.split("$")[2:]:
        assert part not in text(answer)
    names = flatten_fieldsets(answer.context_data["adminform"].fieldsets)
    assert "last_login" in names
    assert not {"password", "is_superuser"} & set(names)


# -- Django's own log ---------------------------------------------------------------------------


def test_log_of_admin_contains_no_name(owner: Client) -> None:
    secret = {
        "email": "sekretova@example.org",
        "display_name": "Зоя Секретова",
        "phone": "+79995550011",
        "telegram_username": "zoya_sekretova",
    }
    new_person(owner, **secret, **{"user_roles-TOTAL_FORMS": "1", "user_roles-0-role": "client"})
    person = User.objects.get(email=secret["email"])
    address = page(User, "change", person.pk)
    form = form_at(owner, address)
    changed = {"display_name": "Зоя Петровна Секретова", "user_roles-0-DELETE": "on"}
    assert owner.post(address, {**form, **changed}).status_code == 302
    template = MessageTemplateFactory(name="Для Секретовой")
    assert (
        owner.post(page(MessageTemplate, "delete", template.pk), {"post": "yes"}).status_code == 302
    )
    entries = list(LogEntry.objects.order_by("pk").values())
    assert [entry["action_flag"] for entry in entries] == [1, 2, 3]
    messages = [json.loads(entry["change_message"] or "[]") for entry in entries]
    assert {"name": "granted role"}.items() <= messages[0][1]["added"].items()
    written = f"{entries} {messages}"  # in JSON as stored, letters are escaped
    for word in (*secret.values(), "Секретов", "sekretova"):
        assert word not in written
    assert [entry["object_repr"] for entry in entries[:2]] == [str(person.pk)] * 2
    assert "display name" in entries[1]["change_message"]


def test_history_is_in_russian(owner: Client) -> None:
    person = UserFactory()
    address = page(User, "change", person.pk)
    form = {**form_at(owner, address), "display_name": "Другое"}
    assert owner.post(address, form).status_code == 302
    shown = text(owner.get(page(User, "history", person.pk)))
    assert "display name" not in shown


# -- texts that are too long ----------------------------------------------------------------------


@pytest.mark.parametrize("model", [m for m in MODELS if label(m) not in READ_ONLY], ids=label)
def test_text_too_long_is_an_error_of_its_field(owner: Client, model: type[models.Model]) -> None:
    """On every page that has a form, for each text and each JSON value in it."""
    row = rows(model, 1)[0]
    name = "add" if label(model) in ADD_ONLY else "change"
    address = page(model, name, *([] if name == "add" else [row.pk]))
    with unrendered():
        shown = owner.get(address)
        data, fields = form_data(shown), shown.context_data["adminform"].form.fields
        measured = [
            field
            for field in model._meta.concrete_fields
            if isinstance(field, HasLength) and field.name in fields
        ]
        before = snapshot(model)
        for field in measured:
            long = "a" * (field.limit + 1)
            is_json = isinstance(field, models.JSONField)
            answer = owner.post(address, data | {field.name: json.dumps(long) if is_json else long})
            assert answer.status_code == 200, field.name
            refused = answer.context_data["adminform"].form.errors
            assert field.name in refused, (field.name, refused)
            assert is_russian(" ".join(refused[field.name])), refused
            if not is_json and not isinstance(field, ArrayField):
                assert fields[field.name].max_length == field.limit, field.name
    assert snapshot(model) == before
