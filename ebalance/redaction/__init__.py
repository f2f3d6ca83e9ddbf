"""Keeps what is about a person (P1, P2) and ciphertext out of logs, error reports and breadcrumbs.

`records` redacts log records, `reports` error pages and mails, `sentry` the events of such tools;
what they share: `texts` (patterns), `values` (objects), `exceptions`. Nothing here
raises, queries the database or calls the code of what it is shown.
Why it is as it is: docs/adr/0010-redaction.md.
"""
