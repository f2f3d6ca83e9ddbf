"""P0 values as the JSON of an event or of an entry of the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID


def flat(payload: Mapping[str, object]) -> dict[str, Any]:
    """Times in UTC, ids as text; values that are None are left out."""
    return {name: plain(value) for name, value in payload.items() if value is not None}


def plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else value
