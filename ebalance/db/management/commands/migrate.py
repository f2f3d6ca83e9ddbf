from django.core.management.commands import migrate

from ebalance.db.autodetector import FoldingAutodetector


class Command(migrate.Command):
    """migrate that compares models and migrations as makemigrations does."""

    autodetector = FoldingAutodetector
