"""Admin: the site, and what all its pages have in common."""
