"""Operations that migrations use. Their parts are frozen with the migrations of a release."""

from .backfill import Backfill
from .tables import CreateTables

__all__ = ["Backfill", "CreateTables"]
