"""People, their roles, and what they agreed to."""

from .consents import Consent
from .people import Role, User, UserRole
from .rights import DataExportRequest, ErasureLedgerEntry

__all__ = ["Consent", "DataExportRequest", "ErasureLedgerEntry", "Role", "User", "UserRole"]
