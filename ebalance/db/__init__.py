"""The persistence kit: what all apps share to state their rules in the database."""
