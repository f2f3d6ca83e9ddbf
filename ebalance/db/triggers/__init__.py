"""Rules that a CHECK cannot express, as triggers of SQLSTATE class 23.

Built on django-pgtrigger's migrations, with two differences. ``pgtrigger.ignore`` has no effect:
no session setting can disable a rule. All rules share the function ``refuse()``, so that most of
them are only a WHEN condition and cost nothing until they are broken.

A rule's sentence is written once, in English, marked with ``gettext_noop``. The database uses it
untranslated, ``full_clean()`` and admin in the reader's language.
"""

from .moves import Transition, initial_states, transitions
from .rows import (
    APPEND_ONLY,
    append_only,
    frozen,
    key_stays,
    known_zone,
    no_delete,
    no_truncate,
    no_update,
    not_erased,
    touch_updated_at,
)
from .rule import REFUSE, Rule, RuleTriggerSql, is_immutable, literal, stored, withheld
from .versions import existing_version, versions

__all__ = [
    "APPEND_ONLY",
    "REFUSE",
    "Rule",
    "RuleTriggerSql",
    "Transition",
    "append_only",
    "existing_version",
    "frozen",
    "initial_states",
    "is_immutable",
    "key_stays",
    "known_zone",
    "literal",
    "no_delete",
    "no_truncate",
    "no_update",
    "not_erased",
    "stored",
    "touch_updated_at",
    "transitions",
    "versions",
    "withheld",
]
