"""People, their roles, and what they agreed to."""

from .consents import Consent
from .people import CONTACT_COLUMNS, Role, User, UserRole
from .rights import DataExportRequest, ErasureLedgerEntry

__all__ = [
    "CONTACT_COLUMNS",
    "Consent",
    "DataExportRequest",
    "ErasureLedgerEntry",
    "Role",
    "User",
    "UserRole",
]
