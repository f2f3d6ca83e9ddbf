"""Admin: the site, and the shared behaviour of its pages."""
