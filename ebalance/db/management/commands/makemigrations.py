from django.core.management.commands import makemigrations

from ebalance.db.autodetector import FoldingAutodetector


class Command(makemigrations.Command):
    """makemigrations that writes triggers into CreateModel."""

    autodetector = FoldingAutodetector
