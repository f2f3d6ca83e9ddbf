"""Versions of content, interactives and templates.

A version is written once and deleted only with its parent. A parent in use refers to a version
that exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

from tests.adversarial_sql import (
    delete_by_merge,
    delete_in_a_cte,
    refuses_by_any_rule,
    rename_key,
    shadow_equality_operator,
    update_through_a_view,
)
from tests.factories import (
    ContentItemFactory,
    ContentRevisionFactory,
    InteractiveDefinitionFactory,
    InteractiveVersionFactory,
    MessageTemplateFactory,
    MessageTemplateVersionFactory,
)
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    Change,
    check_delete,
    check_refusal_is_discreet,
    each_delete,
)
from tests.rule_groups import ChangeGroup, change_groups, check_change_group
from tests.support import (
    TESTED_RULES,
    delete_sql,
    execute,
    insert_sql,
    refuses,
    update_sql,
)

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Versions:
    """A table of versions and its parents."""

    factory: Any
    parents: Any
    parent: str  # the field
    number: str = "version"
    used: str = ""  # the parent's column with the version in use

    @property
    def table(self) -> str:
        return self.factory._meta.model._meta.db_table

    @property
    def parent_table(self) -> str:
        return self.parents._meta.model._meta.db_table

    def rule(self, name: str) -> str:
        return f"{self.table}_{name}"

    @property
    def exists(self) -> str:
        return f"{self.parent_table}_{self.used}_exists"

    def of(self, parent: Any, number: int) -> Any:
        return self.factory(**{self.parent: parent, self.number: number})


REVISIONS = Versions(ContentRevisionFactory, ContentItemFactory, "content_item", "revision")
CONFIGS = Versions(
    InteractiveVersionFactory,
    InteractiveDefinitionFactory,
    "interactive_definition",
    used="published_version",
)
MESSAGES = Versions(
    MessageTemplateVersionFactory, MessageTemplateFactory, "template", used="active_version"
)
ALL, USED = [REVISIONS, CONFIGS, MESSAGES], [CONFIGS, MESSAGES]
TESTED_RULES.update(v.rule(name) for v in ALL for name in ["immutable", "no_delete", "no_truncate"])
TESTED_RULES.update(v.exists for v in USED)

each = pytest.mark.parametrize("versions", ALL, ids=lambda v: v.table)
each_used = pytest.mark.parametrize("versions", USED, ids=lambda v: v.parent_table)


@change_groups(
    *[
        Change(f"{name} {v.table}", v.factory, {v.number: 3}, to, v.rule("immutable"))
        for v in ALL
        for name, to in [
            ("another number of", {v.number: 10**6}),
            ("nothing of", {v.number: 3}),
            ("another parent of", {f"{v.parent}_id": lambda _, v=v: v.parents().pk}),
        ]
    ],
    *[
        Change(f"{field} of {v.table}", v.factory, {}, {field: value}, v.rule("immutable"))
        for v, field, value in [
            (REVISIONS, "title", "Иначе"),
            (REVISIONS, "body_markdown", "Иначе"),
            (CONFIGS, "created_by_user_id", None),
            (MESSAGES, "body_markdown", "Иначе"),
        ]
    ],
    write_paths=ALL_WRITE_PATHS,
)
def test_a_version_is_not_rewritten(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    *[
        Change(f"{field} of {v.table}", v.factory, {}, {field: value}, v.rule("immutable"))
        for v, field, value in [
            (REVISIONS, "meta", {"seo_title": "Иначе"}),
            (CONFIGS, "config", {"steps": []}),
            (MESSAGES, "subject", None),
        ]
    ]
)
def test_content_of_a_version_is_not_rewritten(group: ChangeGroup) -> None:
    check_change_group(group)


@each
@each_delete
def test_a_version_is_not_deleted(versions: Versions, delete: Any) -> None:
    check_delete(versions.factory(), delete, versions.rule("no_delete"))


@each_used
@each_delete
def test_a_version_in_use_is_not_deleted(versions: Versions, delete: Any) -> None:
    status = {"published": True} if versions is CONFIGS else {"active": True}
    version = versions.parents(**status).versions.get()
    check_delete(version, delete, versions.rule("no_delete"))


@each
def test_indirect_statements_are_refused(versions: Versions) -> None:
    version = versions.factory()
    for delete in [delete_in_a_cte, delete_by_merge]:
        with refuses(versions.rule("no_delete"), versions.table):
            delete(version)
    with refuses(versions.rule("immutable"), versions.table):
        update_through_a_view(version, versions.number, 10**6)


@each
@each_delete
def test_versions_are_deleted_with_their_parent(versions: Versions, delete: Any) -> None:
    parent, other = versions.parents(), versions.factory()
    for number in [1, 2]:
        versions.of(parent, number)
    delete(parent)
    assert [row["id"] for row in execute(f"SELECT id FROM {versions.table}")] == [other.pk]


@each
@pytest.mark.parametrize("with_parents", [False, True])
def test_versions_are_not_truncated(versions: Versions, with_parents: bool) -> None:
    versions.factory()
    table = versions.parent_table if with_parents else versions.table
    with refuses(f"{table}_no_truncate", table):
        execute(f"TRUNCATE {table} CASCADE")


@each
def test_changed_key_of_the_parent_does_not_detach_its_versions(versions: Versions) -> None:
    version = versions.factory()
    with refuses_by_any_rule():
        rename_key(getattr(version, versions.parent))
        execute(f"DELETE FROM {versions.table}")


@each
def test_key_of_the_parent_is_not_reused(versions: Versions) -> None:
    """The versions would belong to another parent."""
    parent = getattr(versions.factory(), versions.parent)
    with refuses_by_any_rule():
        rename_key(parent)
        insert_sql(versions.parents.build(id=parent.pk, **author_of(parent)))


def author_of(parent: Any) -> dict[str, Any]:
    return {"author": parent.author} if hasattr(parent, "author") else {}


@each
def test_temporary_table_does_not_replace_the_parents(versions: Versions) -> None:
    versions.factory()
    execute(f"CREATE TEMPORARY TABLE {versions.parent_table} (id uuid)")
    with refuses(versions.rule("no_delete"), versions.table):
        execute(f"DELETE FROM {versions.table}")


@each
def test_custom_operator_does_not_hide_the_parent(versions: Versions) -> None:
    versions.factory()
    shadow_equality_operator("uuid", answer=False)
    with refuses(versions.rule("no_delete"), versions.table):
        execute(f"DELETE FROM {versions.table}")


@each
def test_refusal_reveals_nothing_of_the_version(versions: Versions) -> None:
    version = versions.factory(**{versions.number: 424242})
    hidden = ["424242", str(version.pk), str(getattr(version, f"{versions.parent}_id"))]
    for write, rule, column in [
        (lambda: update_sql(version, **{versions.number: 1}), "immutable", "id"),
        (lambda: delete_sql(version), "no_delete", f"{versions.parent}_id"),
        (lambda: execute(f"TRUNCATE {versions.table} CASCADE"), "no_truncate", "id"),
    ]:
        check_refusal_is_discreet(write, versions.rule(rule), versions.table, column, *hidden)


# -- the version in use ---------------------------------------------------------------------------


@each_used
def test_version_of_another_parent_does_not_count(versions: Versions) -> None:
    versions.factory(version=5)
    with refuses(versions.exists, versions.parent_table):
        update_sql(versions.parents(), **{versions.used: 5})


@each_used
def test_deferred_rule_allows_any_order_of_writes(versions: Versions) -> None:
    def write(number: int) -> None:
        execute("SET CONSTRAINTS ALL DEFERRED")
        parent = versions.parents.build(**{versions.used: 7})
        insert_sql(parent)
        versions.of(parent, number)

    with refuses(versions.exists, versions.parent_table):
        write(8)
    write(7)
    connection.check_constraints()


@each_used
def test_savepoint_does_not_evade_the_deferred_rule(versions: Versions) -> None:
    parent = versions.parents()
    with refuses(versions.exists, versions.parent_table):
        execute("SET CONSTRAINTS ALL DEFERRED; SAVEPOINT kept")
        update_sql(parent, **{versions.used: 99})
        execute("RELEASE SAVEPOINT kept; SET CONSTRAINTS ALL DEFERRED")


@each_used
def test_changed_key_does_not_evade_the_deferred_rule(versions: Versions) -> None:
    parent = versions.parents()
    with refuses_by_any_rule():
        execute("SET CONSTRAINTS ALL DEFERRED")
        update_sql(parent, **{versions.used: 99})
        rename_key(parent)


@each_used
def test_temporary_table_does_not_replace_the_versions(versions: Versions) -> None:
    versions.factory(version=1)
    execute(f"CREATE TEMPORARY TABLE {versions.table} AS TABLE public.{versions.table}")
    execute(f"UPDATE pg_temp.{versions.table} SET version = 99")
    with refuses(versions.exists, versions.parent_table):
        execute(f"UPDATE {versions.parent_table} SET {versions.used} = 99")


@each_used
def test_custom_operator_does_not_make_a_version_exist(versions: Versions) -> None:
    versions.factory(version=1)
    shadow_equality_operator("integer", answer=True)
    with refuses(versions.exists, versions.parent_table):
        execute(f"UPDATE {versions.parent_table} SET {versions.used} = 99")


@each_used
def test_refusal_reveals_nothing_of_a_missing_version(versions: Versions) -> None:
    parent = versions.parents()
    check_refusal_is_discreet(
        lambda: update_sql(parent, **{versions.used: 424242}),
        versions.exists,
        versions.parent_table,
        versions.used,
        "424242",
        str(parent.pk),
    )
