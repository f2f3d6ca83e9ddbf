from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.base_user import BaseUserManager
from django.db import transaction

if TYPE_CHECKING:
    from .models import User


class UserManager[Row: User](BaseUserManager[Row]):
    """Makes people with a hashed password."""

    def create_user(self, email: str | None = None, password: str | None = None, **fields) -> Row:
        """Create a person. Without a password they cannot log in to admin."""
        user = self.model(email=email.strip().lower() if email else None, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    @transaction.atomic
    def create_superuser(self, email: str, password: str | None = None, **fields) -> Row:
        """Create a person with the role owner. Raises IntegrityError when the seeds are missing."""
        user = self.create_user(email, password, **fields)
        user.user_roles.create(role_id="owner")
        return user
