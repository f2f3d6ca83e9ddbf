from django.contrib.auth.backends import BaseBackend

from ebalance.actor import acting_as, origin

from .models import User


def find_person(username: str | None = None, email: str | None = None) -> User | None:
    """The account with this address, in any spelling of case and spaces."""
    address = (email or username or "").strip().lower()
    return User.objects.filter(email=address).first() if address else None


class RolesBackend(BaseBackend):
    """Login by e-mail and password; roles give the permissions (User.has_perm)."""

    def authenticate(self, request, username=None, password=None, email=None, **_credentials):
        if not (email or username or "").strip() or password is None:
            return None
        user = find_person(username, email)
        if user is None:
            # The same work as for a known address, so that timing reveals nothing.
            User().set_password(password)
            return None
        with acting_as(user, **origin(request)):  # a correct password may renew its hash
            is_correct = user.check_password(password)
        return user if is_correct and user.is_active else None

    def get_user(self, user_id):
        """None for a blocked or deleted person: access ends at the next request."""
        user = User.objects.filter(pk=user_id).first()
        return user if user and user.is_active else None
