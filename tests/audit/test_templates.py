"""Message templates: an active version exists, and only e-mail has a subject."""

from __future__ import annotations

from typing import Any

import pytest

from audit.models import MessageTemplate
from tests.adversarial_sql import (
    refuses_by_any_rule,
    shadow_equality_operator,
)
from tests.case_loops import breaks_rules_of, check_changes, check_inserts
from tests.factories import MessageTemplateFactory, MessageTemplateVersionFactory, UserFactory
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    MAIN_WRITE_PATHS,
    Change,
    change_params,
    check_change,
    check_refusal_is_discreet,
    range_cases,
)
from tests.support import (
    ROUTES,
    Case,
    execute,
    refuses,
    update_sql,
)

pytestmark = pytest.mark.django_db

ONCE, LANGUAGE = "message_templates_once", "message_templates_language_is_iso_639"
HAS_VERSION = "message_templates_active_has_version"
EXISTS, CHANNEL = "message_templates_active_version_exists", "message_templates_channel_stays"


def template(title: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(title, MessageTemplateFactory, values, rule)


def taken(**values: Any) -> Any:
    return lambda: MessageTemplateFactory(name="Напоминание", **values).name


TEMPLATES = [
    template("draft"),
    template("archived", archived=True),
    template("active without a version", HAS_VERSION, status="active"),
    template("active in a version to come", EXISTS, active=True),
    template("draft of a version to come", EXISTS, active_version=1),
    template("archived, a version to come", EXISTS, archived=True, active_version=0),
    template("the same", ONCE, name=taken()),
    template("the same of an archived one", ONCE, name=taken(archived=True)),
    template("another channel", name=taken(), telegram=True),
    template("another occasion", name=taken(), category="event"),
    template("another language", name=taken(), language="en"),
    *[
        template(f"language {value!r}", LANGUAGE, language=value)
        for value in ["r", "rus", "RU", "ру", "r1", "ru\n", " ru", "ru-RU"]
    ],
]


@pytest.mark.parametrize("route", ROUTES)
@breaks_rules_of(*TEMPLATES)
def test_new_template_is_unique_and_complete(route: str) -> None:
    check_inserts(TEMPLATES, [route])


def with_version(version: int = 1, **values: Any) -> Any:
    """A factory of a template with one version."""

    def make(**more: Any) -> MessageTemplate:
        made = MessageTemplateFactory(**values, **more)
        MessageTemplateVersionFactory(template=made, version=version)
        return made

    return make


ACTIVE = {"status": "active", "active_version": 1}


CHANGES = [
    Change("active", with_version(), {}, ACTIVE),
    Change("active again", with_version(archived=True), {}, ACTIVE),
    Change("active without a version", with_version(), {}, {"status": "active"}, HAS_VERSION),
    Change("active in a version to come", with_version(2), {}, ACTIVE, EXISTS),
    Change(
        "the version goes",
        MessageTemplateFactory,
        {"active": True},
        {"active_version": None},
        HAS_VERSION,
    ),
    Change("the next version", with_version(2, active=True), {}, {"active_version": 2}),
    Change(
        "archived",
        MessageTemplateFactory,
        {"active": True},
        {"status": "archived", "active_version": None},
    ),
    Change(
        "channel of a used one",
        MessageTemplateFactory,
        {"active": True},
        {"channel": "telegram"},
        CHANNEL,
    ),
    Change("written the same", MessageTemplateFactory, {}, {"channel": "email"}),
    Change("name", MessageTemplateFactory, {}, {"name": "Напоминание"}, ONCE),
    Change(
        "language",
        MessageTemplateFactory,
        {"name": "Напоминание", "language": "en"},
        {"language": "ru"},
        ONCE,
    ),
]


@change_params(
    Change("version to come", with_version(), {}, {"active_version": 2}, EXISTS),
    Change("channel", MessageTemplateFactory, {}, {"channel": "telegram"}, CHANNEL),
    write_paths=ALL_WRITE_PATHS,
)
def test_no_write_path_breaks_a_rule_of_templates(change: Change, write_path: str) -> None:
    check_change(change, write_path)


@pytest.mark.parametrize("write_path", MAIN_WRITE_PATHS)
@breaks_rules_of(*CHANGES)
def test_template_changes_within_its_rules(write_path: str) -> None:
    MessageTemplateFactory(name="Напоминание")
    check_changes(CHANGES, [write_path])


# -- versions -------------------------------------------------------------------------------------

SUBJECT = "message_template_versions_subject_for_email"


def telegram() -> MessageTemplate:
    return MessageTemplateFactory(telegram=True)


VERSIONS = [
    *range_cases(MessageTemplateVersionFactory, "version", 1),
    Case("e-mail with a subject", MessageTemplateVersionFactory),
    Case("e-mail without", MessageTemplateVersionFactory, {"subject": None}, SUBJECT),
    Case("Telegram without", MessageTemplateVersionFactory, {"template": telegram}),
    Case(
        "Telegram with one",
        MessageTemplateVersionFactory,
        {"template": telegram, "subject": "Вы записаны"},
        SUBJECT,
    ),
    Case(
        "same number",
        MessageTemplateVersionFactory,
        {"template": lambda: with_version(3)(), "version": 3},
        "message_template_versions_once",
    ),
    Case(
        "next number",
        MessageTemplateVersionFactory,
        {"template": lambda: with_version(3)(), "version": 4},
    ),
    Case(
        "same number of another",
        MessageTemplateVersionFactory,
        {"version": lambda: MessageTemplateVersionFactory().version},
    ),
]


@breaks_rules_of(*VERSIONS)
def test_version_has_a_number_and_a_subject_for_email_only() -> None:
    check_inserts(VERSIONS)


def test_version_without_a_template_is_refused() -> None:
    with refuses_by_any_rule():
        execute(
            "INSERT INTO message_template_versions (template_id, version, subject, body_markdown, "
            "updated_by_user_id) VALUES (uuid7(), 1, 'Вы записаны', '', %s)",
            [UserFactory().pk],
        )


def test_shadowing_operator_does_not_bypass_the_channel_rule() -> None:
    template = telegram()
    author = UserFactory().pk
    shadow_equality_operator("text", answer=True)
    with refuses(SUBJECT, "message_template_versions"):
        execute(
            "INSERT INTO message_template_versions (template_id, version, subject, body_markdown, "
            "updated_by_user_id) VALUES (%s, 1, 'Вы записаны', '', %s)",
            [template.pk, author],
        )


def test_refusal_shows_no_text_of_the_message() -> None:
    row, other = MessageTemplateFactory(name="Marker"), telegram()
    for write, rule, table, column in [
        (lambda: update_sql(row, channel="telegram"), CHANNEL, "message_templates", "channel"),
        (
            lambda: MessageTemplateVersionFactory(template=other, subject="Marker"),
            SUBJECT,
            "message_template_versions",
            "subject",
        ),
    ]:
        check_refusal_is_discreet(write, rule, table, column, "Marker", str(row.pk))
