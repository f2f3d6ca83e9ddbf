from django.apps import AppConfig


class DevelopmentConfig(AppConfig):
    """What a developer's machine needs: the command `run` and demo data. It has no table."""

    name = "ebalance.dev"
    label = "development"
