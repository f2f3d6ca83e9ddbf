"""makemigrations writes the forms that production accepts, and warns of the others."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pgtrigger.migrations
import pytest
from django.apps import apps
from django.contrib.postgres import operations as postgres
from django.contrib.postgres.constraints import ExclusionConstraint
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, models
from django.db.migrations import operations as django_operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import Func, Q
from django.utils import translation

from ebalance.db import operations, rules
from ebalance.db.autodetector import SafeAutodetector
from ebalance.db.operations.steps import Stepwise
from ebalance.db.runner import plan, releases
from ebalance.db.runner.safe_forms import preview
from ebalance.db.schema.classification import p0
from tests.advice import advises

from .support import SERVICE, Project

type Change = Callable[[ProjectState], None]


@cache
def loader() -> MigrationLoader:
    return MigrationLoader(None)


# Numbers of booking's migrations: the newest one, and the next two.
LAST, NEXT, AFTER = (
    f"{int(leaf[1][:4]) + ahead:04}"
    for leaf in loader().graph.leaf_nodes("booking")
    for ahead in (0, 1, 2)
)
TEXT = models.TextField(null=True)
OWNER = models.ForeignKey("identity.User", models.RESTRICT, null=True, related_name="+")


def add(name: str, field: models.Field) -> Change:
    return lambda state: state.add_field("booking", "service", name, field, True)


def alter(name: str, **attributes: Any) -> Change:
    def change(state: ProjectState) -> None:
        field = state.models["booking", "service"].fields[name].clone()
        vars(field).update(attributes)
        state.alter_field("booking", "service", name, field, True)

    return change


def remove(name: str) -> Change:
    return lambda state: state.remove_field("booking", "service", name)


def index(name: str = "services_by_price") -> Change:
    new = rules.Index(name, "price_amount", serves="the list by price")
    return lambda state: state.add_index("booking", "service", new)


def constraint(new: models.BaseConstraint) -> Change:
    return lambda state: state.add_constraint("booking", "service", new)


def without_constraint(name: str) -> Change:
    return lambda state: state.remove_constraint("booking", "service", name)


def without_trigger(name: str) -> Change:
    def change(state: ProjectState) -> None:
        options = state.models["booking", "service"].options
        options["triggers"] = [each for each in options["triggers"] if each.name != name]

    return change


def every(*changes: Change) -> Change:
    def change(state: ProjectState) -> None:
        for each in changes:
            each(state)

    return change


def price_limit(limit: int) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(price_amount__lt=limit), name="services_price_in_range"
    )


def new_table(state: ProjectState) -> None:
    state.add_model(
        ModelState(
            "booking",
            "Draft",
            [
                ("id", models.IntegerField(primary_key=True)),
                ("n", models.IntegerField()),
                ("user", models.ForeignKey("identity.User", models.RESTRICT, related_name="+")),
                ("service", models.ForeignKey("booking.Service", models.RESTRICT)),
            ],
            {
                "db_table": "drafts",
                "indexes": [models.Index(fields=["n"], name="drafts_by_n")],
                "constraints": [models.CheckConstraint(condition=Q(n__gt=0), name="drafts_n")],
            },
        )
    )


UNIQUE = models.UniqueConstraint(fields=["title"], name="services_title_unique")
CHECK = models.CheckConstraint(condition=Q(price_amount__lt=10**7), name="services_price_limit")
FORMAT = models.CheckConstraint(
    condition=Q(format__in=["online", "offline", "hybrid", "walk"]), name="services_format_in_set"
)


class Form(NamedTuple):
    """The operations that are written for a change."""

    name: str
    change: Change
    operations: list[str]


FORMS = [
    Form("an index", index(), ["AddIndexConcurrently services_by_price"]),
    Form("a CHECK", constraint(CHECK), ["AddCheck services_price_limit"]),
    Form("a unique rule", constraint(UNIQUE), ["AddUnique services_title_unique"]),
    Form(
        "the set of a CHECK",
        every(without_constraint("services_format_in_set"), constraint(FORMAT)),
        ["ReplaceCheck services_format_in_set"],
    ),
    Form("a column", add("extra", TEXT), ["AddField extra"]),
    Form("a foreign key", add("owner", OWNER), ["AddForeignKey owner"]),
    Form(
        "a foreign key without a constraint",
        add(
            "owner",
            models.ForeignKey(
                "identity.User",
                models.RESTRICT,
                null=True,
                related_name="+",
                db_constraint=False,
                db_index=False,
            ),
        ),
        ["AddField owner"],
    ),
    Form(
        "a column and its CHECK",
        every(
            add("extra", models.IntegerField(null=True)),
            constraint(models.CheckConstraint(condition=Q(extra__gt=0), name="services_extra")),
        ),
        ["AddField extra", "AddCheck services_extra"],
    ),
    Form(
        "a column that a trigger reads, and its CHECK",
        every(
            add("extra", models.IntegerField(null=True, db_comment=p0("extra"))),
            constraint(models.CheckConstraint(condition=Q(extra__gt=0), name="services_extra")),
        ),
        [
            "AddField extra",
            "AddCheck services_extra",
            # In one step: no row is written without the trigger.
            "RemoveTrigger services_delete_audited",
            "AddTrigger services_delete_audited",
        ],
    ),
    Form(
        "a CHECK of a column that is dropped",
        every(
            without_constraint("services_format_in_set"),
            constraint(FORMAT),
            remove("offline_address"),
        ),
        [
            f"Contract booking.{LAST}",
            "ReplaceCheck services_format_in_set",
            "RemoveTrigger services_delete_audited",
            "AddTrigger services_delete_audited",
            "RemoveField offline_address",
        ],
    ),
    Form(
        "NOT NULL",
        alter("deposit_amount", null=False, blank=False),
        ["SetNotNull deposit_amount"],
    ),
    Form(
        "NOT NULL and a default",
        alter("deposit_amount", null=False, db_default=1),
        ["AlterField deposit_amount", "SetNotNull deposit_amount"],
    ),
    Form(
        "nullable again",
        alter("title", null=True),
        ["AlterField title"],
    ),
    Form(
        "a column is dropped",
        remove("offline_address"),
        [
            f"Contract booking.{LAST}",
            "RemoveTrigger services_delete_audited",
            "AddTrigger services_delete_audited",
            "RemoveField offline_address",
        ],
    ),
    Form(
        "a default is removed",
        alter("created_at", db_default=models.NOT_PROVIDED),
        [f"Contract booking.{LAST}", "AlterField created_at"],
    ),
    Form(
        "a rule is dropped",
        without_constraint("services_slug_is_slug"),
        [f"Contract booking.{LAST}", "RemoveConstraint services_slug_is_slug"],
    ),
    Form(
        "a trigger is dropped",
        without_trigger("services_touch_updated_at"),
        [f"Contract booking.{LAST}", "RemoveTrigger services_touch_updated_at"],
    ),
    Form(
        "a table beside an index",
        every(index(), new_table),
        [
            "CreateModel Draft",
            "AddField service",
            "AddField user",
            "AddIndex drafts_by_n",
            "AddConstraint drafts_n",
            "AddIndexConcurrently services_by_price",
        ],
    ),
]


def detected(change: Change) -> Any:
    """The migration that is written for a change of the models."""
    with translation.override(None):  # as the command does
        after = ProjectState.from_apps(apps)
        change(after)
        changes = SafeAutodetector(loader().project_state(), after).changes(loader().graph)
    ((migration,),) = changes.values()
    return migration


def listed(operations: list[Any]) -> list[str]:
    return [f"{type(each).__name__} {_subject(each)}" for each in operations]


def _subject(operation: Any) -> str:
    for attribute in ("expand", "index", "constraint", "trigger", "name"):
        if value := getattr(operation, attribute, None):
            return str(getattr(value, "name", value))
    raise AssertionError(operation)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_safe_forms_are_written(form: Form) -> None:
    migration = detected(form.change)
    assert listed(migration.operations) == form.operations
    assert migration.name.startswith(f"{NEXT}_")


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def make(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run makemigrations with changed models. Returns its output."""

    def run(change: Change, *arguments: str, **options: Any) -> str:
        from_apps = ProjectState.from_apps

        def changed(apps: Any) -> ProjectState:
            state = from_apps(apps)
            change(state)
            return state

        output = io.StringIO()
        with monkeypatch.context() as patch, project.active("dev"):
            patch.setattr(ProjectState, "from_apps", changed)
            call_command(
                "makemigrations",
                "booking",
                *arguments,
                interactive=False,
                stdout=output,
                stderr=output,
                **options,
            )
        return output.getvalue()

    return run


def test_written_migration_is_applied_in_production(
    project: Project, make: Callable[..., str]
) -> None:
    project.execute(SERVICE)
    project.execute("UPDATE services SET deposit_amount = 100, offline_address = 'Lenina 1'")
    change = every(
        index(),
        constraint(CHECK),
        constraint(UNIQUE),
        without_constraint("services_format_in_set"),
        constraint(FORMAT),
        add("owner", OWNER),
        add("extra", models.IntegerField(null=True)),
        constraint(models.CheckConstraint(condition=Q(extra__gt=0), name="services_extra")),
        alter("deposit_amount", null=False),
        new_table,
    )
    assert "Production refuses" not in make(change, "--name", "many_changes")
    assert "ebalance.db.operations.steps" not in project.path(
        "booking", f"{NEXT}_many_changes"
    ).read_text("utf-8")
    assert project.refusal() == ""
    assert project.applied("booking")[-1] == f"{NEXT}_many_changes"
    with pytest.raises(Exception, match="deposit_amount"):
        project.execute("UPDATE services SET deposit_amount = NULL")

    # The next release drops a column; the expand step was applied by an earlier run.
    output = make(every(change, remove("offline_address")), "--name", "no_address")
    assert f"booking.{AFTER}_no_address: Check its Contract" in output
    text = project.path("booking", f"{AFTER}_no_address").read_text("utf-8")
    assert f'expand="booking.{NEXT}"' in text.replace("'", '"')
    assert project.refusal() == ""
    assert "No changes detected" in make(every(change, remove("offline_address")))


def test_written_rollback_note_is_to_be_completed(
    project: Project, make: Callable[..., str]
) -> None:
    make(add("extra", TEXT), "--name", "extra")
    path = project.path("booking", f"{NEXT}_extra")
    with project.active():
        module = import_module(f"{project.modules['booking']}.{NEXT}_extra")
        note = releases.rollback_note(module.Migration(f"{NEXT}_extra", "booking"))
    assert releases.fault_of_note(note) == "has a placeholder in its rollback note"
    assert path.read_text("utf-8").startswith('"""TODO: what changes, and why.\n')
    assert "Generated by" not in path.read_text("utf-8")


def test_dry_run_warns_and_writes_nothing(project: Project, make: Callable[..., str]) -> None:
    output = make(alter("title", db_column="heading"), "--dry-run", "--name", "heading")
    assert f"Production refuses: booking.{NEXT}_heading: renames column services.title" in output
    assert not project.path("booking", f"{NEXT}_heading").exists()


@pytest.mark.slow
def test_migrations_are_written_without_a_server(tmp_path: Path, django_db_blocker: Any) -> None:
    stopped = connection.copy()
    stopped.settings_dict |= {"HOST": str(tmp_path), "BUNDLED": None}
    before = loader().project_state()
    with django_db_blocker.unblock():
        for change in (
            alter("deposit_amount", null=False),
            add("token", models.UUIDField(db_default=Func(function="uuid7"))),
        ):
            assert [*preview({"booking": [detected(change)]}, before, stopped)] == []
        # A refusal that asks no server is printed.
        (line,) = preview({"booking": [detected(big_price)]}, before, stopped)
    assert "changes column services.price_amount" in line


def test_update_of_a_migration_is_refused(make: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match="write it again without --update"):
        make(index(), "--update")


def big_price(state: ProjectState) -> None:
    old = state.models["booking", "service"].fields["price_amount"]
    new = models.BigIntegerField(db_comment=old.db_comment)
    state.alter_field("booking", "service", "price_amount", new, True)


class Warned(NamedTuple):
    name: str
    change: Change
    reason: str
    remedy: str


WARNED = [
    Warned(
        "NOT NULL without a default",
        add("extra", models.TextField()),
        "adds column services.extra NOT NULL without a default of the database",
        "db_default",
    ),
    Warned(
        "another type",
        big_price,
        "changes column services.price_amount from integer to bigint",
        "Add a new column",
    ),
    Warned(
        "a volatile default",
        add("token", models.UUIDField(db_default=models.Func(function="gen_random_uuid"))),
        "adds column services.token with the volatile default gen_random_uuid()",
        "set its default by AlterField",
    ),
    Warned(
        "an EXCLUDE",
        constraint(
            ExclusionConstraint(
                name="services_apart", expressions=[("slug", "=")], index_type="hash"
            )
        ),
        "adds services.services_apart, an EXCLUDE, to a table that has rows",
        "new table",
    ),
    Warned(
        "a required foreign key",
        add("owner", models.ForeignKey("identity.User", models.RESTRICT, related_name="+")),
        "adds column services.owner NOT NULL without a default of the database",
        "with null=True",
    ),
    Warned(
        "a unique column",
        add("code", models.TextField(null=True, unique=True)),
        "adds column services.code and builds its unique index under a lock",
        "AddUnique",
    ),
    Warned(
        "another unique rule of the same name",
        every(
            without_constraint("services_slug_unique"),
            constraint(
                models.UniqueConstraint(fields=["slug", "title"], name="services_slug_unique")
            ),
        ),
        "changes constraint services.services_slug_unique in place",
        "under another name",
    ),
]


def test_change_without_safe_form_is_warned_of(make: Callable[..., str]) -> None:
    for case in WARNED:
        output = make(case.change, "--dry-run", "--name", "refused")
        refusal = next(line for line in output.splitlines() if case.reason in line)
        assert refusal.startswith(f"Production refuses: booking.{NEXT}_refused: "), case.name
        assert case.remedy in refusal, case.name


def test_rename_is_warned_of(make: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MigrationQuestioner, "ask_rename", lambda *_: True)

    def rename(state: ProjectState) -> None:
        state.rename_field("booking", "service", "offline_address", "address")

    output = make(rename, "--dry-run", "--name", "address")
    assert "renames column services.offline_address. Add the new one, backfill it" in output


# -- decisions ------------------------------------------------------------------------------------


def _operations() -> list[type]:
    ours = [getattr(operations, name) for name in operations.__all__]
    django = [getattr(django_operations, name) for name in django_operations.__all__]
    others = [
        kind
        for module in (postgres, pgtrigger.migrations)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Operation)
        if kind.__module__ == module.__name__ and kind is not postgres.CollationOperation
    ]
    return [*ours, *django, *others]


def decided(kind: type) -> bool:
    if issubclass(kind, Stepwise) or kind is django_operations.SeparateDatabaseAndState:
        return True  # PlanExaminer looks into the second
    return any(each in plan.RULES for each in kind.__mro__)


@advises
def test_plan_has_a_decision_for_every_operation() -> Iterator[str]:
    for kind in _operations():
        if not decided(kind):
            yield f"ebalance/db/runner/plan.py: write a @rule for {kind.__name__}"


def test_unknown_operation_has_no_decision() -> None:
    assert not decided(type("DropEverything", (Operation,), {}))
