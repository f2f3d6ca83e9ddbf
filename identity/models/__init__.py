"""People, their roles, and what they agreed to."""

from .access import LoginLimit, RecoveryCode, SecondFactor
from .consents import Consent
from .people import CONTACT_COLUMNS, User
from .rights import DataExportRequest, ErasureLedgerEntry, ErasureRequest
from .roles import Role, UserRole

__all__ = [
    "CONTACT_COLUMNS",
    "Consent",
    "DataExportRequest",
    "ErasureLedgerEntry",
    "ErasureRequest",
    "LoginLimit",
    "RecoveryCode",
    "Role",
    "SecondFactor",
    "User",
    "UserRole",
]
