from django.contrib.admin.apps import AdminConfig


class SiteConfig(AdminConfig):
    """django.contrib.admin with this project's site; stands in INSTALLED_APPS in its place."""

    default_site = "ebalance.admin.sites.Site"
