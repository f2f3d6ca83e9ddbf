"""Keeps personal data (P1, P2) and ciphertext out of logs, error reports and breadcrumbs.

`records` redacts log records, `reports` error pages and mails, `sentry` the events of error
trackers. They share `texts` (patterns), `values` (objects) and `exceptions`. This package never
raises, never queries the database, and never calls methods of the objects that it redacts. See
docs/adr/0010-redaction.md.
"""
