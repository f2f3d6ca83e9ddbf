from django.contrib.admin.apps import SimpleAdminConfig


class SiteConfig(SimpleAdminConfig):
    """django.contrib.admin with this project's site; stands in INSTALLED_APPS in its place.

    The pages are loaded with the addresses (ebalance/urls.py): commands that serve no page, above
    all migrate, need not.
    """

    default_site = "ebalance.admin.sites.Site"
