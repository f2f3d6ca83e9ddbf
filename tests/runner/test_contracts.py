"""A Contract runs after its expand step, its backfill and its release."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command

from ebalance.db.operations import Contract

from .support import SERVICE, Project

COLUMN = 'migrations.AddField("service", "old", models.TextField(null=True))'
DROP = 'migrations.RemoveField("service", "old")'


def contract(arguments: str = "") -> str:
    return f'Contract(expand="booking.0390", released="1.1.0"{arguments}), {DROP}'


def test_expand_step_comes_in_an_earlier_run(project: Project) -> None:
    project.add("booking", "0390_expand", COLUMN)
    project.add("booking", "0391_contract", contract())
    refusal = project.refusal()
    assert "booking.0391_contract: removes what booking.0390 replaces" in refusal
    assert "Deploy release 1.1.0 first" in refusal
    assert "0390_expand" not in project.applied("booking")
    project.migrate("booking", "0390")
    assert project.refusal() == ""


def test_check_that_selects_rows_refuses(project: Project) -> None:
    project.add("booking", "0390_expand", COLUMN)
    project.migrate()
    project.add(
        "booking",
        "0391_contract",
        contract(', check="SELECT slug FROM services WHERE old IS NOT NULL"'),
    )
    project.execute(SERVICE)
    project.execute("UPDATE services SET old = 'x'")
    refusal = project.refusal()
    assert "would lose data: its check selects rows (SELECT slug FROM services" in refusal
    assert "talk" not in refusal  # no value of a row
    project.execute("UPDATE services SET old = NULL")
    assert project.refusal() == ""


def test_check_with_wrong_sql_refuses(project: Project) -> None:
    project.add("booking", "0390_expand", COLUMN)
    project.migrate()
    project.add("booking", "0391_contract", contract(', check="SELECT nothing FROM services"'))
    assert 'has a check that fails: column "nothing" does not exist' in project.refusal()


def test_contract_covers_its_own_losses_only(project: Project) -> None:
    project.add("booking", "0390_expand", COLUMN)
    project.migrate()
    drop = "ALTER TABLE services DROP CONSTRAINT services_slug_is_slug"
    project.add("booking", "0391_contract", contract() + f', migrations.RunSQL("{drop}", "")')
    refusal = project.refusal()
    assert "drops constraint services.services_slug_is_slug" in refusal
    assert "services.old" not in refusal


def test_backfill_comes_first(project: Project) -> None:
    project.execute(SERVICE)
    project.add("booking", "0390_expand", COLUMN)
    project.add(
        "booking", "0391_fill", 'Backfill("services", set="old = title", where="old IS NULL")'
    )
    project.add("booking", "0392_contract", contract())
    project.migrate("booking", "0390")
    # The backfill is declared by this very run.
    assert "needs the backfill booking.0391_fill, which is not done" in project.refusal()
    assert project.applied("booking")[-1] == "0390_expand"
    project.migrate("booking", "0391")
    refusal = project.refusal()
    assert "0392_contract: needs the backfill booking.0391_fill, which is not done" in refusal
    assert "manage.py backfill booking.0391_fill" in refusal
    with project.active():
        call_command("backfill", stdout=io.StringIO())
    assert project.refusal() == ""
    # A finished job with a dropped column stops no later contract.
    project.add("booking", "0393_other", COLUMN.replace("old", "other"))
    project.migrate()
    project.add(
        "booking", "0394_contract", contract().replace("0390", "0393").replace('"old"', '"other"')
    )
    assert project.refusal() == ""


def test_unknown_expand_step_is_named(project: Project) -> None:
    project.add("booking", "0390_expand", COLUMN)
    project.add("booking", "0391_contract", contract().replace("0390", "0999"))
    assert "a Contract for booking.0999, which is no migration" in project.refusal()


@pytest.mark.parametrize("expand", ["", "booking", "booking.", ".0390"])
def test_expand_names_a_migration(expand: str) -> None:
    with pytest.raises(ValueError, match="is no migration"):
        Contract(expand=expand, released="1.1.0")


def test_release_is_named() -> None:
    with pytest.raises(ValueError, match="released="):
        Contract(expand="booking.0390", released="")


def test_empty_database_takes_everything_at_once(project: Project, empty_database) -> None:
    project.add("booking", "0390_expand", COLUMN)
    project.add("booking", "0391_contract", contract())
    project.database = empty_database
    assert project.refusal() == ""
    assert project.applied("booking")[-1] == "0391_contract"


def test_check_that_selects_no_column_refuses(project: Project) -> None:
    project.add("booking", "0390_expand", COLUMN)
    project.migrate()
    check = "SELECT FROM services WHERE old IS NOT NULL -- lost"
    project.add("booking", "0391_contract", contract(f", check={check!r}"))
    project.execute(SERVICE)
    project.execute("UPDATE services SET old = 'x'")
    assert "would lose data: its check selects rows" in project.refusal()
    project.execute("UPDATE services SET old = NULL")
    assert project.refusal() == ""


@pytest.mark.parametrize("app", ["audit", "crm"])  # before and after booking by name
def test_backfill_of_another_app_comes_first(project: Project, app: str) -> None:
    project.add("booking", "0390_column", COLUMN)
    project.add(app, "0990_fill", 'Backfill("services", set="old = slug", where="old IS NULL")')
    project.migrate()
    project.execute(SERVICE)
    project.add("booking", "0391_contract", contract().replace("booking.0390", f"{app}.0990"))
    assert f"needs the backfill {app}.0990_fill, which is not done" in project.refusal()
    project.execute("UPDATE services SET old = slug")
    assert project.refusal() == ""
