"""The three roles of the database (access.md §2) and their privileges, derived from the models.

``wanted()`` lists all privileges, ``differences()`` compares them with the live catalog. Privileges
are derived as follows:

* the analyst selects the columns that are P0, table by table;
* the application writes every table, without the privileges that the table's rules withhold
  (``triggers.Rule.withholds``); it only reads what is READ_ONLY, and deletes no row of a model with
  ``deleted_by_owner_only``: retention and erasure delete those as the owner;
* the owner owns all objects, and needs only the privilege to create them.
"""

from typing import NamedTuple

from .. import triggers
from . import catalog
from .data_map import Table, tables

OWNER, APP, ANALYST = ROLES = ("ebalance_owner", "ebalance_app", "ebalance_analyst")
# Written by commands of the owner only.
READ_ONLY = frozenset(
    {
        "audit_checkpoints",
        "backfill_jobs",
        "django_migrations",
        "interactive_run_totals",
        "key_rotations",
        "migration_steps",
        "moderation_totals",
    }
)


class Grant(NamedTuple):
    role: str
    privilege: str
    kind: str  # TABLE, SEQUENCE, SCHEMA, DATABASE
    name: str
    column: str = ""

    def __str__(self) -> str:
        column = f".{self.column}" if self.column else ""
        return f"{self.role}: {self.privilege} on {self.kind.lower()} {self.name}{column}"


def app_privileges(table: Table) -> list[str]:
    if table.name in READ_ONLY:
        return ["SELECT"]
    declared = getattr(table.model._meta, "triggers", ()) if table.model else ()
    withheld = triggers.withheld(declared)
    if getattr(table.model, "deleted_by_owner_only", False):
        withheld.add("DELETE")
    return [p for p in ("SELECT", "INSERT", "UPDATE", "DELETE") if p not in withheld]


def wanted() -> set[Grant]:
    """All privileges that the roles should have in this database."""
    (database,) = catalog.read_column("SELECT current_database()")
    grants = {Grant(role, "CONNECT", "DATABASE", database) for role in ROLES}
    grants |= {Grant(role, "USAGE", "SCHEMA", "public") for role in ROLES}
    grants.add(Grant(OWNER, "CREATE", "SCHEMA", "public"))
    written = set()
    for table in tables():
        privileges = app_privileges(table)
        grants |= {Grant(APP, privilege, "TABLE", table.name) for privilege in privileges}
        grants |= {
            Grant(ANALYST, "SELECT", "TABLE", table.name, column.name)
            for column in table.columns
            if column.privacy == "P0"
        }
        if "INSERT" in privileges:
            written.add(table.name)
    for sequence, table_name in catalog.read_rows(catalog.SEQUENCES):
        if table_name in written:
            grants.add(Grant(APP, "USAGE", "SEQUENCE", sequence))
    return grants


def live() -> set[Grant]:
    """All privileges that the roles have, and those of PUBLIC beyond its defaults."""
    return {
        Grant(*row)
        for row in catalog.read_rows(catalog.LIVE, {"roles": [APP, ANALYST], "owner": OWNER})
    }


def differences() -> list[str]:
    """The differences between the live database and ``wanted()``, one line each."""
    missing_roles = {*ROLES} - {*catalog.read_column("SELECT rolname FROM pg_roles")}
    if missing_roles:
        return [f"missing: the role {role}" for role in sorted(missing_roles)]
    expected, granted = wanted(), live()
    return [
        *(f"missing: {grant}" for grant in sorted(expected - granted)),
        *(f"too much: {grant}" for grant in sorted(granted - expected)),
        *(f"not {OWNER}'s: {kind.lower()} {name}" for kind, name in not_owned()),
        *(f"too much: {role} is {what}" for role, what in powers()),
    ]


def not_owned() -> list[tuple[str, str]]:
    return catalog.read_rows(catalog.NOT_OWNED, {"owner": OWNER})


def powers() -> list[tuple[str, str]]:
    return catalog.read_rows(catalog.POWERS, {"roles": [*ROLES], "clients": [APP, ANALYST]})
