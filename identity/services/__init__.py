"""Writes of accounts."""

from .accounts import block_user, lock_contacts, require_other_owner, unblock_user
from .login_limits import Attempt, begin_attempt
from .second_factors import (
    confirm_second_factor,
    offer_second_factor,
    offered_secret,
    reset_second_factor,
    second_factor_of,
    unused_recovery_codes,
    use_code,
)

__all__ = [
    "Attempt",
    "begin_attempt",
    "block_user",
    "confirm_second_factor",
    "lock_contacts",
    "offer_second_factor",
    "offered_secret",
    "require_other_owner",
    "reset_second_factor",
    "second_factor_of",
    "unblock_user",
    "unused_recovery_codes",
    "use_code",
]
