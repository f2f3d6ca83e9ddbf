"""Writes of accounts."""

from .accounts import block_user, lock_contacts, require_other_owner, unblock_user

__all__ = ["block_user", "lock_contacts", "require_other_owner", "unblock_user"]
