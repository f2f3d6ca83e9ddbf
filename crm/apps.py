from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from ebalance.services import set_event_recorder


class CrmConfig(AppConfig):
    name = "crm"
    verbose_name = _("Leads and events")

    def ready(self) -> None:
        set_event_recorder(record_event)


def record_event(event_name: str, /, **arguments: Any) -> object:
    from .models import Lead  # models are loaded after the configurations of the apps

    return Lead.objects.record_event(event_name, **arguments)
