from django.core.checks import Tags
from django.core.management.commands import migrate

from ebalance.db.autodetector import FoldingAutodetector


class Command(migrate.Command):
    """migrate that compares models and migrations as makemigrations does."""

    autodetector = FoldingAutodetector

    def get_check_kwargs(self, options):
        # What admin or an address gets wrong is no reason not to migrate, and need not be loaded.
        return {**super().get_check_kwargs(options), "tags": [Tags.models, Tags.database]}
