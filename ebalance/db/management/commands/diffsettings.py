"""Django's diffsettings, which prints passwords and keys otherwise."""

from typing import Any

from django.conf import settings
from django.core.management.commands import diffsettings
from django.views.debug import get_default_exception_reporter_filter


class Command(diffsettings.Command):
    help = "Display the settings that differ from Django's defaults. Secrets are hidden."

    def output_hash(self, user_settings, default_settings, **options):
        return super().output_hash(_without_secrets(user_settings), default_settings, **options)

    def output_unified(self, user_settings, default_settings, **options):
        return super().output_unified(_without_secrets(user_settings), default_settings, **options)


def _without_secrets(given: dict[str, str]) -> dict[str, str]:
    """The representations of the settings, as Django's error page would show them."""
    cleanse = get_default_exception_reporter_filter().cleanse_setting
    holder: Any = settings
    values = vars(holder._wrapped)
    return {
        name: repr(cleanse(name, values[name])) if name in values else given[name] for name in given
    }
