"""What the database and the verbs refuse, said to people."""

from functools import cache

import pgtrigger
from django.db import DataError, IntegrityError, connection, models
from django.utils.translation import gettext as _

from ebalance.db.auditing import Audited
from ebalance.db.errors import explain
from ebalance.db.schema.data_map import tables
from ebalance.services import Refused

# A DataError is a value that its column cannot hold at all, such as a NUL in JSON.
REFUSALS = (IntegrityError, DataError, Refused)


def sentence(error: Exception) -> str:
    if isinstance(error, Refused):
        return error.sentence
    if isinstance(error, IntegrityError):
        return explain(error)
    return _("The database cannot store one of these values.")


def ask_deferred_rules() -> None:
    """Ask now what the database would otherwise refuse at commit, where no page can show it.

    The audit log is not asked: its lock would keep everybody waiting until this transaction ends.
    """
    names = ", ".join(f"public.{name}" for name in deferred_rules())
    with connection.cursor() as cursor:
        cursor.execute(f"SET CONSTRAINTS {names} IMMEDIATE")


@cache
def deferred_rules() -> tuple[str, ...]:
    """The names of the rules that are asked at commit."""
    found = []
    for table in tables():
        declared = table.model._meta if table.model else None
        for constraint in getattr(declared, "constraints", ()):
            if getattr(constraint, "deferrable", None) is models.Deferrable.DEFERRED:
                found.append(constraint.name)
        for rule in getattr(declared, "triggers", ()):
            if rule.timing == pgtrigger.Deferred and not isinstance(rule, Audited):
                found.append(rule.rule)
    return tuple(found)
