from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CrmConfig(AppConfig):
    name = "crm"
    verbose_name = _("Leads and events")

    def ready(self) -> None:
        from ebalance.services import set_event_recorder

        from .services import record_event

        set_event_recorder(record_event)
