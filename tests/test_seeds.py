"""The seeds are those of data-model.md §8; loading them is atomic and idempotent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from content.models import Topic
from identity.models import Role
from tests.databases import Database
from tests.factories import FACTORIES
from tests.processes import manage

ROLES = {("owner", "admin"), ("assistant", "admin"), ("editor", "admin"), ("client", "product")}
TOPICS = {
    ("anxiety", "Тревога", True),
    ("burnout", "Выгорание", True),
    ("relationships", "Отношения", True),
    ("boundaries", "Границы", True),
    ("selfesteem", "Самооценка", True),
    ("panic", "Паника", False),
    ("stress", "Стресс и напряжение", False),
    ("sleep", "Сон", False),
    ("energy", "Энергия", False),
    ("mood", "Настроение", False),
    ("values", "Смысл и ценности", False),
}

Contents = dict[str, list[str]]


def contents(cursor: Any) -> Contents:
    """Every row of every table as text."""
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    rows_of: Contents = {}
    for (table,) in cursor.fetchall():
        cursor.execute(f'SELECT t::text FROM "{table}" t ORDER BY 1')
        rows_of[table] = [row for (row,) in cursor.fetchall()]
    return rows_of


def default_contents() -> Contents:
    with connection.cursor() as cursor:
        return contents(cursor)


def contents_of(database: Database) -> Contents:
    with database.connect() as session:
        return contents(session.cursor())


@pytest.mark.django_db
def test_seeds_are_those_of_the_data_model() -> None:
    Role.objects.all().delete()
    Topic.objects.all().delete()
    call_command("loaddata", "seeds", verbosity=0)
    assert set(Role.objects.values_list("code", "scope")) == ROLES
    assert set(Topic.objects.values_list("code", "title", "is_active")) == TOPICS


@pytest.mark.django_db
def test_test_databases_are_seeded() -> None:
    assert set(Role.objects.values_list("code", "scope")) == ROLES
    assert set(Topic.objects.values_list("code", "title", "is_active")) == TOPICS


@pytest.mark.django_db
def test_seeds_change_no_other_table() -> None:
    before = default_contents()
    Role.objects.all().delete()
    Topic.objects.all().delete()
    call_command("loaddata", "seeds", verbosity=0)
    assert default_contents() == before
    assert {table for table, rows in before.items() if rows} >= {"roles", "topics"}


@pytest.mark.django_db
def test_second_load_changes_nothing_in_a_filled_database() -> None:
    for factory_class in FACTORIES.values():
        factory_class()
    connection.check_constraints()  # writes the deferred entries of the audit log
    before = default_contents()
    assert all(before[model._meta.db_table] for model in FACTORIES)
    call_command("loaddata", "seeds", verbosity=0)
    assert default_contents() == before


@pytest.mark.django_db
@pytest.mark.parametrize(
    "label", ["seeds", "seeds.json", settings.BASE_DIR / "fixtures/seeds.json"]
)
def test_seeds_keep_what_staff_changed_and_add_what_is_missing(label: str | Path) -> None:
    Topic.objects.filter(code="panic").update(title="Паника и тревога", is_active=True)
    Topic.objects.filter(code="anxiety").update(is_active=False)
    Topic.objects.filter(code="mood").delete()
    Role.objects.filter(code="client").delete()
    call_command("loaddata", label, verbosity=0)
    changed = {("panic", "Паника и тревога", True), ("anxiety", "Тревога", False)}
    unchanged = {topic for topic in TOPICS if topic[0] not in {"panic", "anxiety"}}
    assert set(Topic.objects.values_list("code", "title", "is_active")) == changed | unchanged
    assert set(Role.objects.values_list("code", "scope")) == ROLES


@pytest.mark.slow
def test_second_load_by_the_command_changes_nothing(fresh_database: Database) -> None:
    before = contents_of(fresh_database)
    for _ in range(2):
        result = manage("loaddata", "seeds", DATABASE_URL=fresh_database.url)
        assert result.returncode == 0, result.stderr
        assert f"Installed 0 object(s) (of {len(ROLES) + len(TOPICS)})" in result.stdout
    assert contents_of(fresh_database) == before


def row(model: str, pk: Any, **fields: Any) -> dict[str, Any]:
    return {"model": model, "pk": pk, "fields": fields}


GOOD = [
    row("content.topic", "grief", title="Горе", is_active=False),
    row("content.topic", "anxiety", title="Другое название", is_active=False),
]
SECRET = "мне очень плохо"
KEY = "0190a000-0000-7000-8000-000000000001"

# The faulty part after good rows, and the text that the error must contain.
BROKEN: dict[str, tuple[Callable[[str], str] | dict[str, Any], str]] = {
    "invalid JSON half way": (lambda text: text[: len(text) // 2], "broken.json"),
    "invalid JSON at the very end": (lambda text: text[:-1], "broken.json"),
    "a code that is none": (row("content.topic", "Bad Code", title="X"), "topics_code_is_code"),
    "a blank title": (row("content.topic", "shame", title="  "), "topics_title_not_blank"),
    "a role that is none": (row("identity.role", "guest", scope="admin"), "roles_code_in_set"),
    "a client role for admin": (
        row("identity.role", "client", scope="admin"),
        "roles_client_is_product",
    ),
    "a person who cannot be reached": (row("identity.user", KEY), "users_reachable"),
    "a state that no row starts in": (
        row("ugc.review", KEY, status="published", review_text_encrypted=f"v1.k1.{'A' * 40}"),
        "reviews_status_initial",
    ),
    "a reference to nothing": (row("identity.userrole", KEY, user=KEY, role="client"), "user_id"),
    "a text in the open": (
        row("ugc.anonymousquestion", KEY, question_text_encrypted=SECRET),
        "anonymous_questions.question_text_encrypted",
    ),
    "an unknown model": (row("content.theme", "grief", title="Горе"), "content.theme"),
    "an unknown column": (row("content.topic", "shame", title="Стыд", colour="red"), "colour"),
}


def broken_fixture(folder: Path, kind: str) -> Path:
    """A fixture of good rows, one of them of a seeded topic, with one fault."""
    wrong, _ = BROKEN[kind]
    rows = [*GOOD, wrong] if isinstance(wrong, dict) else GOOD
    text = json.dumps(rows, ensure_ascii=False)
    path = folder / "broken.json"
    path.write_text(wrong(text) if callable(wrong) else text)
    return path


@pytest.mark.django_db
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_fixture_leaves_no_row(tmp_path: Path, kind: str) -> None:
    before = default_contents()
    with pytest.raises(Exception) as caught:  # noqa: PT011  (its text is what is checked)
        call_command("loaddata", broken_fixture(tmp_path, kind), verbosity=0)
    assert BROKEN[kind][1] in str(caught.value)
    assert SECRET not in str(caught.value)
    assert default_contents() == before


def test_good_rows_of_the_fixture_are_loaded_alone(db: None, tmp_path: Path) -> None:
    """The fixtures above fail because of the broken row alone."""
    path = tmp_path / "good.json"
    path.write_text(json.dumps(GOOD))
    call_command("loaddata", path, verbosity=0)
    assert Topic.objects.get(code="grief").title == "Горе"
    assert Topic.objects.get(code="anxiety").title == "Другое название"


@pytest.mark.slow
def test_command_commits_nothing_of_a_broken_fixture(
    fresh_database: Database, tmp_path: Path
) -> None:
    before = contents_of(fresh_database)
    for kind in ("invalid JSON half way", "a client role for admin", "a text in the open"):
        path = str(broken_fixture(tmp_path, kind))
        result = manage("loaddata", path, DATABASE_URL=fresh_database.url)
        assert result.returncode not in (0, None)
        assert BROKEN[kind][1] in result.stderr
        assert SECRET not in result.stderr + result.stdout
        assert contents_of(fresh_database) == before
