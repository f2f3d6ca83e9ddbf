from django.core.checks import Tags
from django.core.management.commands import migrate

from ebalance.db.autodetector import FoldingAutodetector


class Command(migrate.Command):
    """migrate with the autodetector of makemigrations."""

    autodetector = FoldingAutodetector

    def get_check_kwargs(self, options):
        # Only these checks: errors in admin or in URLs must not prevent a migration.
        return {**super().get_check_kwargs(options), "tags": [Tags.models, Tags.database]}
