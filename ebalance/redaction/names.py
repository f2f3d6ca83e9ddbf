"""Names of columns, parameters and headers whose values are not shown."""

from __future__ import annotations

import re
from functools import cache

WITHHELD = "[withheld]"


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# In addition to the P1 and P2 columns of the classification.
SECRETS = words(
    "access_token api_key authorization body comment contact contact_value cookie cookies "
    "credentials csrfmiddlewaretoken csrftoken email_address first_name full_name last_name login "
    "middle_name patronymic params passphrase passwd password payload phone_number "
    "private_key proxy_authorization refresh_token secret secret_key session sessionid "
    "set_cookie surname token username"
)
# Common words: matched as keys of a mapping or of `extra`, not in texts.
KEYS = words(
    "answer answers data diary message name notes query query_string question questions "
    "referer referrer remote_addr review text"
)
PARTS = re.compile(
    "email|phone|telegram|passw|secret|token|cookie|authoriz|encrypted|bidx|credential"
    "|contact|display_name"
)


@cache
def _personal_columns() -> frozenset[str]:
    from ebalance.db.schema import data_map

    return data_map.personal_names()


def personal_columns() -> frozenset[str]:
    """Names of P1 and P2 columns; empty while the applications are being loaded."""
    from django.apps import apps

    if not apps.ready:
        return frozenset()
    try:
        return _personal_columns()
    except Exception:  # a column without a declaration fails the tests, not the log
        return frozenset()


def is_sensitive(key: str) -> bool:
    name = key.lower().replace("-", "_").removeprefix("http_")
    return (
        name in SECRETS
        or name in KEYS
        or PARTS.search(name) is not None
        or name in personal_columns()
    )
