from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _

PROJECT_APPS = ("identity", "content", "interactive", "booking", "ugc", "crm", "audit")


class PersistenceKitConfig(AppConfig):
    name = "ebalance.db"
    label = "persistence"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers them)

        # Field labels are the column names as words; the Russian is in locale/.
        for label in PROJECT_APPS:
            for model in apps.get_app_config(label).get_models():
                for field in (*model._meta.local_fields, *model._meta.local_many_to_many):
                    if getattr(field, "_verbose_name", None) is None:
                        field.verbose_name = _(field.name.replace("_", " "))
