"""Creates accounts."""

from typing import Any

from django.contrib.auth.base_user import BaseUserManager
from django.db import transaction


class UserManager(BaseUserManager[Any]):
    """Creates accounts with a hashed password."""

    def create_user(
        self, email: str | None = None, password: str | None = None, **fields: Any
    ) -> Any:
        """Create an account. Without a password it cannot log in to admin."""
        user = self.model(email=email.strip().lower() if email else None, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    @transaction.atomic
    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> Any:
        """Create an account with the role owner. Raises IntegrityError if the seeds are missing."""
        user = self.create_user(email, password, **fields)
        user.user_roles.create(role_id="owner")
        return user
