from django.apps import AppConfig


class DevelopmentConfig(AppConfig):
    """The command `run` and demo data, for development. Has no models."""

    name = "ebalance.dev"
    label = "development"
