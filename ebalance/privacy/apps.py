from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PrivacyConfig(AppConfig):
    """The rights of people: consents, exports, erasure, retention. Has no models."""

    name = "ebalance.privacy"
    verbose_name = _("Privacy")

    def ready(self) -> None:
        from ebalance.services import set_contact_permission

        from .mailing import can_contact

        set_contact_permission(can_contact)
