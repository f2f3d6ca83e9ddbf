"""The canonical form of an entry of the audit log, as SQL over an entry ``e``.

It is the same as that of ``audit_entry_hash()`` and ``audit_origin_hash()``, which write the log.
"""

from __future__ import annotations

from ..models.log import may_be_emptied

LOG = "public.audit_log_entries"


# The text of jsonb_build_array(), in half the time: a million entries have 13 million columns.
def array(*parts: str) -> str:
    return "'[' || " + " || ', ' || ".join(parts) + " || ']'"


def quoted(column: str) -> str:
    """For columns that need no escaping: ids, times, codes."""
    return f"""'"' || {column} || '"'"""


def or_null(part: str) -> str:
    return f"coalesce({part}, 'null')"


# Constraints restrict codes and keys. In case they were dropped, a quote gives no hash.
ARE_CODES = """strpos(
    e.actor_role || e.action || e.entity_type || coalesce(e.entity_key, ''), '"') = 0"""


def hash_of(*, seq: str = "e.seq", before: str = "e.prev_hash") -> str:
    """SQL: the hash that the entry ``e`` has under the number ``seq`` after the hash ``before``."""
    row = array(
        quoted("e.id"),
        seq,
        or_null(quoted("e.actor_user_id")),
        quoted("e.actor_role"),
        quoted("e.action"),
        quoted("e.entity_type"),
        or_null(quoted("e.entity_id")),
        or_null(quoted("e.entity_key")),
        or_null("e.old_value::text"),
        or_null("e.new_value::text"),
        quoted("""to_char(e.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""),
        or_null(quoted("encode(e.origin_hash, 'hex')")),
    )
    return f"CASE WHEN {ARE_CODES} THEN sha256({before} || convert_to({row}, 'UTF8')) END"


# The address and the agent of a request. Only those of an erased person may be missing.
ORIGIN_TEXT = array(or_null(quoted("e.ip_address::text")), or_null("to_json(e.user_agent)::text"))
ORIGIN = f"""CASE WHEN e.origin_salt IS NOT NULL
    THEN e.origin_hash = sha256(uuid_send(e.origin_salt) || convert_to({ORIGIN_TEXT}, 'UTF8'))
    ELSE num_nonnulls(e.ip_address, e.user_agent) = 0
        AND (e.origin_hash IS NULL OR {may_be_emptied("e")})
    END"""
