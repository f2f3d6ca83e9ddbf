from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IdentityConfig(AppConfig):
    name = "identity"
    verbose_name = _("People and consents")

    def ready(self) -> None:
        from . import sessions, signals  # noqa: F401  (connects them)
