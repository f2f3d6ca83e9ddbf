"""The persistence kit: shared tools of all apps for rules in the database."""
