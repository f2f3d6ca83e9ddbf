"""A column is renamed over two releases while clients of both run (docs/worked-example.md)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import call_command

from ebalance.db.schema.listing import schema_lines

from .renamed_column import CONTRACT, DROP, EXPAND, FILL, HEAD, REQUIRE, Clients, clients
from .support import Project

NOTE = "Rollback note: run `manage.py migrate booking 0301`; the headings of services are lost."
STORED = 3000
OLD_ROWS = f"""
    INSERT INTO services (slug, title, description_markdown, format, duration_minutes, price_amount)
    SELECT 'old-' || n, 'Old ' || n, 'Text', 'online', 50, 5000 FROM generate_series(1, {STORED}) n
"""
GRANTS = """
    SELECT grantee, privilege_type FROM information_schema.column_privileges
    WHERE table_name = 'services' AND column_name = %s AND grantee LIKE 'ebalance%%' ORDER BY 1, 2
"""


@pytest.fixture
def renaming(project: Project) -> Project:
    """A filled table, the roles, and the files of both releases, not applied yet."""
    with project.active():
        call_command("grant_db_roles", stdout=io.StringIO())
    project.execute(OLD_ROWS)
    project.add("booking", "0390_service_heading", EXPAND, head=HEAD, note=NOTE)
    project.add("booking", "0391_fill_service_heading", FILL, note=NOTE)
    project.add("booking", "0392_service_heading_required", REQUIRE, note=NOTE)
    project.add("booking", "0393_drop_service_title", CONTRACT, head=HEAD, note=NOTE)
    return project


def shape(project: Project) -> list[str]:
    with project.active():
        return schema_lines()


def renamed(lines: list[str]) -> list[str]:
    """The listing with the new name, without the hash of the trigger that lists the columns."""
    return sorted(
        line.replace("services.title", "services.heading")
        .replace("services_title_", "services_heading_")
        .replace("(title)", "(heading)")
        .replace("'title'", "'heading'")
        if "services" in line
        else line
        for line in lines
        if not line.startswith("comment on trigger services.services_delete_audited")
    )


def stored(project: Project, column: str) -> dict[str, str]:
    return dict(project.execute(f"SELECT id::text, {column} FROM services"))  # type: ignore[arg-type]


def assert_nothing_is_lost(project: Project, column: str, *writers: Clients) -> None:
    values = stored(project, column)
    for writer in writers:
        assert len(writer.written) > 10
        last = {key: history[-1] for key, history in writer.written.items()}
        assert last == {key: values.get(key) for key in last}
    old = {value for value in values.values() if value.startswith("Old ")}
    assert old == {f"Old {number}" for number in range(1, STORED + 1)}
    assert len(values) == STORED + sum(len(writer.written) for writer in writers)


def deleted_service(project: Project) -> dict[str, Any]:
    """Delete a service, and return its values in the audit log."""
    project.execute(
        "DELETE FROM services WHERE slug = (SELECT min(slug) FROM services WHERE slug LIKE 'gone%')"
    )
    ((entry,),) = project.execute(
        "SELECT old_value FROM audit_log_entries WHERE action = 'service_deleted' "
        "ORDER BY seq DESC LIMIT 1"
    )
    return entry


def add_gone(project: Project, slug: str, column: str) -> None:
    project.execute(
        f"INSERT INTO services (slug, {column}, description_markdown, format, duration_minutes, "
        "price_amount) VALUES (%s, 'Gone', 'Text', 'online', 50, 5000)",
        [slug],
    )


def test_column_is_renamed_beside_clients_of_both_releases(renaming: Project) -> None:
    project = renaming
    before, grants = shape(project), project.execute(GRANTS, ["title"])
    assert ("ebalance_analyst", "SELECT") in grants
    conninfo = project.database.conninfo

    with clients(conninfo, "title") as old:
        assert old.works()

        # The contract of release 1.2 is refused while release 1.1 is not deployed.
        assert "which is not applied yet. Deploy release 1.1.0 first" in project.refusal()
        assert shape(project) == before

        # Release 1.1: expand. The old clients go on.
        project.migrate("booking", "0391")
        assert old.works()
        add_gone(project, "gone-1", "title")
        assert deleted_service(project)["heading"] == "Gone"

        # The contract is refused while rows have no heading.
        refusal = project.refusal()
        assert "needs the backfill booking.0391_fill_service_heading, which is not done" in refusal
        assert "0392_service_heading_required" not in project.applied("booking")

        # Backfill, then the programs of release 1.1 switch to the new column.
        with project.active():
            call_command("backfill", "booking.0391_fill_service_heading", stdout=io.StringIO())
        with clients(conninfo, "heading") as new:
            assert old.works()
            assert new.works()
            assert_values_agree(project)

            # Release 1.2 without a Contract is refused.
            contract = project.path("booking", "0393_drop_service_title")
            contract.unlink()
            project.add("booking", "0393_undeclared", DROP, head=HEAD, note=NOTE)
            assert "drops column services.title" in project.refusal()
            assert project.applied("booking")[-1] == "0391_fill_service_heading"
            project.path("booking", "0393_undeclared").unlink()
            project.add("booking", "0393_drop_service_title", CONTRACT, head=HEAD, note=NOTE)

            # The programs of release 1.0 end. Those of release 1.1 run during release 1.2.
            old.end()
            assert old.failures == []
            project.migrate()
            assert new.works()
        assert new.failures == []

    assert_nothing_is_lost(project, "heading", old, new)
    assert renamed(before) == renamed(shape(project))
    assert project.execute(GRANTS, ["heading"]) == grants
    add_gone(project, "gone-2", "heading")
    entry = deleted_service(project)
    assert entry["heading"] == "Gone"
    assert "title" not in entry


def assert_values_agree(project: Project) -> None:
    assert project.execute("SELECT slug FROM services WHERE heading IS DISTINCT FROM title") == []
