from django.contrib.auth.backends import BaseBackend

from .models import User


def person_at(username: str | None = None, email: str | None = None) -> User | None:
    """Whose address this is, however it was typed."""
    address = (email or username or "").strip().lower()
    return User.objects.filter(email=address).first() if address else None


class RolesBackend(BaseBackend):
    """Login by e-mail and password; permissions come from roles (User.has_perm)."""

    def authenticate(self, request, username=None, password=None, email=None, **_credentials):
        if not (email or username or "").strip() or password is None:
            return None
        user = person_at(username, email)
        if user is None:
            # The same work as for a known address, so that time tells nothing.
            User().set_password(password)
            return None
        if user.check_password(password) and user.is_active:
            return user
        return None

    def get_user(self, user_id):
        """Blocking or deleting a person ends access at the next request."""
        user = User.objects.filter(pk=user_id).first()
        return user if user and user.is_active else None
