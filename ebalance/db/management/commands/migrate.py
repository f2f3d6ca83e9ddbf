from django.core.checks import Tags
from django.core.management.commands import migrate
from django.db import connections

from ebalance.db.autodetector import FoldingAutodetector
from ebalance.db.backend.direct import use_direct_connection


class Command(migrate.Command):
    """migrate with the autodetector of makemigrations, without a transaction pooler."""

    autodetector = FoldingAutodetector

    def get_check_kwargs(self, options):
        # Only these checks: errors in admin or in URLs must not prevent a migration.
        return {**super().get_check_kwargs(options), "tags": [Tags.models, Tags.database]}

    def handle(self, *args, **options):
        use_direct_connection(connections[options["database"]])
        return super().handle(*args, **options)
