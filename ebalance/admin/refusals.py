"""Sentences for refusals of the database and of services."""

from functools import cache

import pgtrigger
from django.db import DataError, IntegrityError, connection, models
from django.utils.translation import gettext as _

from ebalance.db.auditing import Audited
from ebalance.db.errors import explain
from ebalance.db.schema.data_map import tables
from ebalance.services import Refused

# DataError: a column cannot hold the value, such as NUL in JSON.
REFUSALS = (IntegrityError, DataError, Refused)


def sentence(error: Exception) -> str:
    if isinstance(error, Refused):
        return error.sentence
    if isinstance(error, IntegrityError):
        return explain(error)
    return _("The database cannot store one of these values.")


def ask_deferred_rules() -> None:
    """Check the deferred rules now: a page cannot show a refusal at commit.

    The triggers of the audit log stay deferred, because all other writers wait for their lock.
    """
    targets = ", ".join(f"public.{name}" for name in deferred_rules())
    with connection.cursor() as cursor:
        cursor.execute(f"SET CONSTRAINTS {targets} IMMEDIATE")


@cache
def deferred_rules() -> tuple[str, ...]:
    """The names of the rules that the database checks at commit."""
    names = []
    for table in tables():
        declared = table.model._meta if table.model else None
        for constraint in getattr(declared, "constraints", ()):
            if getattr(constraint, "deferrable", None) is models.Deferrable.DEFERRED:
                names.append(constraint.name)
        for rule in getattr(declared, "triggers", ()):
            if rule.timing == pgtrigger.Deferred and not isinstance(rule, Audited):
                names.append(rule.rule)
    return tuple(names)
