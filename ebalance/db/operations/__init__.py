"""Operations that migrations use. Their parts are frozen with the migrations of a release."""

from .tables import CreateTables

__all__ = ["CreateTables"]
