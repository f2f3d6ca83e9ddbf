"""The privileges that a command of the owner needs, checked before its first statement."""

from __future__ import annotations

from collections.abc import Iterable

from . import catalog


class RightsMissing(Exception):
    """The connected role lacks a privilege, or a table does not exist yet. One line."""


def require_privileges(needed: Iterable[tuple[str, str]], work: str) -> None:
    """Raise RightsMissing unless the connected role has these privileges on tables.

    ``work`` is what the privileges are for, such as "a purge".
    """
    rights = [*dict.fromkeys(needed)]
    for name, _privilege in rights:
        if catalog.read_column("SELECT to_regclass(%s) IS NULL", [name]) == [True]:
            raise RightsMissing(f"{name} does not exist yet: run `manage.py migrate` first.")
    may = "SELECT has_table_privilege(%s, %s)"
    if denied := [right for right in rights if catalog.read_column(may, [*right]) == [False]]:
        name, privilege = denied[0]
        (role,) = catalog.read_column("SELECT current_user")
        more = f" ({len(denied)} such rights are missing)" if len(denied) > 1 else ""
        raise RightsMissing(
            f"{role} may not {privilege} {name}{more}: {work} is for the owner of the tables."
        )
