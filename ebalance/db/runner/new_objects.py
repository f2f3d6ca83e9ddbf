"""Owner and privileges of the objects that a step made, in the transaction of the step.

Clients of the new release need no gap between ``migrate`` and ``grant_db_roles``.
"""

from __future__ import annotations

from typing import Any

from ebalance.db.schema import grants, roles

from .comparison import Comparison

# Indexes, constraints and triggers belong to their table and have no privileges.
KINDS = {"table", "column", "view", "sequence", "function", "type"}


def grant_new(cursor: Any, comparison: Comparison) -> None:
    """Give new objects to the owner, and grant the other roles what the models derive.

    Does nothing while the roles do not exist, or if the session does not belong to the owner.
    """
    if not any(each.kind in KINDS for each in comparison.new):
        return
    cursor.execute("SELECT count(*) = 3 FROM pg_roles WHERE rolname = ANY (%s)", [[*grants.ROLES]])
    if cursor.fetchone() == (False,):
        return
    cursor.execute("SELECT pg_has_role(current_user, %s, 'USAGE')", [grants.OWNER])
    if cursor.fetchone() == (False,):
        return
    names = {each.name for each in comparison.new}
    granted = {
        grant
        for grant in grants.wanted()
        if grant.kind in {"TABLE", "SEQUENCE"}
        and (grant.name in names or f"{grant.name}.{grant.column}" in names)
    }
    for statement in (*roles.grant_statements(granted), *roles.owner_statements(names)):
        cursor.execute(statement)
