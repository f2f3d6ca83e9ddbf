"""Documents for the tests of rendering: rows of an export as ``collecting.py`` returns them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ebalance.db.ids import uuid7
from ebalance.privacy.exports import document as export_document
from tests.factories.payloads import PAYLOADS

ANNA = uuid7()
NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)


def row(**values: Any) -> dict[str, Any]:
    return {"id": str(uuid7()), **values}


def account(**values: Any) -> dict[str, Any]:
    usual = {"display_name": "Анна", "timezone": "Europe/Moscow", "status": "active"}
    return {"id": str(ANNA), **usual, **values}


def diary(kind: str = "gratitude", day: str = "2026-01-07", **values: Any) -> dict[str, Any]:
    usual = {
        "diary_type": kind,
        "entry_date": day,
        "payload_encrypted": PAYLOADS[f"diary_{kind}"],
        "deleted_at": None,
    }
    return row(user_id=str(ANNA), **{**usual, **values})


def document(**tables: list[dict[str, Any]]) -> export_document.Document:
    return export_document.make_document(ANNA, {"users": [account()], **tables}, NOON)


def texts(value: Any) -> list[str]:
    """All texts inside the value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return []
    return [text for one in value for text in texts(one)]
