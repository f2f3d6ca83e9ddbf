"""What the database and the verbs refuse, said to people."""

from django.db import DataError, IntegrityError, connection
from django.utils.translation import gettext as _

from ebalance.db.errors import explain
from ebalance.verbs import Refused

# A DataError is a value that its column cannot hold at all, such as a NUL in JSON.
REFUSALS = (IntegrityError, DataError, Refused)


def sentence(error: Exception) -> str:
    if isinstance(error, Refused):
        return error.sentence
    if isinstance(error, IntegrityError):
        return explain(error)
    return _("The database cannot store one of these values.")


def ask_deferred_rules() -> None:
    """Ask now what the database would otherwise refuse at commit, where no page can show it."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
