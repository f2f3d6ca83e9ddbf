from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReportsConfig(AppConfig):
    """The metrics of all apps together. Has no models."""

    name = "ebalance.reports"
    verbose_name = _("Reports")
