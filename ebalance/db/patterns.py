"""Regular expressions of the data model, in PostgreSQL's dialect (data-model.md §0)."""

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
OPAQUE_ID = r"^[A-Za-z0-9_-]{8,64}$"
# A code or a slug that cannot be a phone number: no run of seven digits.
REFERENCE = r"^(?!.*[0-9]{7})([a-z0-9]+([_-][a-z0-9]+)*|[a-z][a-z0-9_]*)$"
# The version of a legal text: 2026-01-07 or 2026-01-07.2
TEXT_VERSION = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[0-9]+)?$"
DIGITS = r"^[0-9]+$"
KEY_ID = r"^[a-z0-9]{1,16}$"
# privacy.md §2. The CHECK calls is_sealed(), which also checks the length of the base64.
SEALED = r"^v1\.[a-z0-9]{1,16}\.[A-Za-z0-9_-]{39,}$"
BLIND_INDEX = r"^v1\.[a-z0-9]{1,16}\.[A-Za-z0-9_-]{43}$"
