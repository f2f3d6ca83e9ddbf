from django.contrib.admin.apps import SimpleAdminConfig


class SiteConfig(SimpleAdminConfig):
    """django.contrib.admin with this project's site. Replaces it in INSTALLED_APPS.

    The URLs import the pages (ebalance/urls.py), so that commands such as migrate do not load them.
    """

    default_site = "ebalance.admin.sites.Site"
