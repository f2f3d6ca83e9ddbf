from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class UgcConfig(AppConfig):
    name = "ugc"
    verbose_name = _("What clients write")
