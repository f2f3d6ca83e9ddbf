"""The owner of the tables migrates without being a superuser, and grants what is new."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from psycopg import sql

from ebalance.db.schema import grants
from tests.databases import Database, Databases

from .support import Project, one

STEPS = """
    migrations.CreateModel("Parcel", fields=[("id", models.BigAutoField(primary_key=True))],
                           options={"db_table": "services_parcels"}),
    migrations.AddField("service", "extra", models.TextField(null=True)),
    AddIndexConcurrently("service", models.Index(fields=["price_amount"], name="services_price")),
    AddCheck("service", models.CheckConstraint(condition=Q(price_amount__lt=10**7), name="cheap")),
"""


LEASES = (
    "CREATE TABLE leases (id uuid PRIMARY KEY, name text, token uuid, holder text, "
    "expires_at timestamptz)"
)


@pytest.fixture
def plain_owner(databases: Databases) -> Iterator[str]:
    """A role without privileges.

    It has no LOGIN, because other tests use the server at the same time: `grant_db_roles --check`
    reports each role that logs in as a member of the owner and has no time limits.
    """
    name = f"plain_owner_{os.getpid()}"
    databases.keeper.execute(f"CREATE ROLE {name}")
    yield name
    databases.keeper.execute(f"DROP ROLE {name}")


@pytest.fixture
def owned_database(databases: Databases, plain_owner: str) -> Iterator[Database]:
    """An empty database of that role, with the extensions of a new server only."""
    database = databases.empty()
    databases.keeper.execute(f"ALTER DATABASE {database.name} OWNER TO {plain_owner}")
    yield database
    databases.drop(database.name)


def test_owner_without_superuser_installs_and_upgrades(
    project: Project, owned_database: Database, plain_owner: str
) -> None:
    project.database = owned_database
    project.role = plain_owner
    assert project.refusal() == ""
    project.add("booking", "0390_steps", STEPS)
    assert project.refusal() == ""
    assert project.applied("booking")[-1] == "0390_steps"
    owners = project.execute(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace"
    )
    assert owners == [(plain_owner,)]
    assert project.execute("SELECT extname FROM pg_extension") == [("plpgsql",)]


def test_new_objects_have_owner_and_privileges_at_once(project: Project, plain_owner: str) -> None:
    with project.active():
        call_command("grant_db_roles")
    project.execute(
        sql.SQL("GRANT {} TO {}").format(sql.Identifier(grants.OWNER), sql.Identifier(plain_owner))
    )
    project.role = plain_owner
    # As a release that adds a table of the models.
    project.execute("DROP TABLE leases")
    project.add("audit", "0690_leases", f"migrations.RunSQL({LEASES!r}, '')")
    assert project.refusal() == ""
    assert (
        one(
            project.execute(
                "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'leases'"
            )
        )
        == grants.OWNER
    )
    privileges = project.execute(
        "SELECT privilege_type FROM information_schema.role_table_grants "
        "WHERE table_name = 'leases' AND grantee = %s ORDER BY 1",
        [grants.APP],
    )
    assert [name for (name,) in privileges] == ["DELETE", "INSERT", "SELECT", "UPDATE"]
    with project.active():
        assert grants.differences() == []
