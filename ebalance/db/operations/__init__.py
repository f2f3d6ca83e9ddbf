"""Operations that migrations use. Their SQL is frozen with the migrations of a release."""

from .backfill import Backfill
from .contract import Contract
from .steps import (
    AddCheck,
    AddForeignKey,
    AddIndexConcurrently,
    AddUnique,
    RemoveIndexConcurrently,
    ReplaceCheck,
    ReplaceFunction,
    SetNotNull,
)
from .tables import CreateTables
from .views import CreateView

__all__ = [
    "AddCheck",
    "AddForeignKey",
    "AddIndexConcurrently",
    "AddUnique",
    "Backfill",
    "Contract",
    "CreateTables",
    "CreateView",
    "RemoveIndexConcurrently",
    "ReplaceCheck",
    "ReplaceFunction",
    "SetNotNull",
]

for _name in __all__:
    # Migrations name the package: its modules may be divided in another way later.
    globals()[_name].__module__ = __name__
