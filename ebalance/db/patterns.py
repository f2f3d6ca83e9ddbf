"""Regular expressions of the data model, in PostgreSQL's dialect (data-model.md §0)."""

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
# The id of a browser, a bot or a deep link. With a letter, so that no phone number is one.
OPAQUE_ID = r"^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$"
# An id that somebody else made, with a letter.
EXTERNAL_ID = r"^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$"
# A code or a slug that cannot be a phone number: no run of seven digits.
REFERENCE = r"^(?!.*[0-9]{7})([a-z0-9]+([_-][a-z0-9]+)*|[a-z][a-z0-9_]*)$"
# The version of a legal text: 2026-01-07 or 2026-01-07.2
TEXT_VERSION = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[0-9]+)?$"
DIGITS = r"^[0-9]+$"
# A backfill: the migration that declares it, or a name of its own.
JOB_NAME = r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)?$"
MIGRATION_NAME = r"^[0-9]{4}(_[a-z0-9]+)+$"
SHA256 = r"^[0-9a-f]{64}$"
# A primary key as text: a number, a UUID, or a code or an id with a letter.
ROW_KEY = (
    r"^([0-9]{1,10}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=.*[A-Za-z])[A-Za-z0-9_.:~-]+)$"
)
KEY_ID = r"^[a-z0-9]{1,16}$"
# privacy.md §2. The CHECK calls is_sealed(), which also checks the length of the base64.
SEALED = r"^v1\.[a-z0-9]{1,16}\.[A-Za-z0-9_-]{39,}$"
BLIND_INDEX = r"^v1\.[a-z0-9]{1,16}\.[A-Za-z0-9_-]{43}$"

# Characters that show nothing: blanks, controls, marks of direction, joiners, separators.
INVISIBLE = (
    r"\x01-\x20\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F\u2000-\u200F"
    r"\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB"
    r"\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF"
)
_IN_URL = rf"[^{INVISIBLE}\\\"<>^`{{|}}]"  # the other characters that no URL has
_LETTER = r"A-Za-z0-9\u0401\u0410-\u044F\u0451"
_LABEL = rf"[{_LETTER}]([{_LETTER}-]*[{_LETTER}])?"
# The host has Latin or Russian letters, and no user name before it.
SECURE_URL = rf"^https://{_LABEL}(\.{_LABEL})*(:[0-9]{{1,5}})?([/?#]{_IN_URL}*)?$"
# A path of the site. Two leading slashes would name another host.
SITE_PATH = rf"^/((?!/){_IN_URL}+)?$"
ADDRESS = rf"({SECURE_URL}|{SITE_PATH})"
# A file in a storage: no "..", no hidden file, no escape.
OBJECT_KEY = r"^[a-z0-9]+([/_.-][a-z0-9]+)*$"
