"""Rows for the metrics, inserted as they are: with triggers off, so that a test may choose times.

Times are texts of Moscow, for example "10-03 23:30", of the year 2026 if they name none.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from django.db import connection

from ebalance.metrics import Period
from tests.support import execute

MOSCOW = ZoneInfo("Europe/Moscow")
OCTOBER = (date(2026, 10, 1), date(2026, 10, 31))


def key(name: str) -> UUID:
    """The key of the row with this name."""
    return UUID(hashlib.md5(name.encode()).hexdigest())


def at(text: str) -> datetime:
    dated = text if text[4] == "-" else f"2026-{text}"
    return datetime.fromisoformat(dated).replace(tzinfo=MOSCOW)


def period(first: date, last: date, now: str = "11-15 12:00") -> Period:
    return Period(first, last, "Europe/Moscow", at(now), "dev")


def insert(table: str, **columns: Any) -> Any:
    """Insert a row. Returns its key."""
    columns = {"id": uuid4(), **columns}
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    values = [json.dumps(v) if isinstance(v, dict) else v for v in columns.values()]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
        cursor.execute("SET LOCAL session_replication_role = origin")
    return columns["id"]


def event(name: str, when: str, who: str = "unknown-browser", **columns: Any) -> None:
    """An event of a lead ("lead:…"), a user ("user:…") or a browser (any other name)."""
    kind, _, rest = who.partition(":")
    person = {f"{kind}_id": key(who)} if rest else {"anonymous_id": who}
    properties = {k: v for k, v in columns.items() if k not in ("environment", "session_id")}
    insert(
        "analytics_events",
        **{
            "schema_version": "1.0",
            "event_name": name,
            "event_version": 1,
            "event_id": uuid4(),
            "occurred_at": at(when),
            "source": "backend",
            "environment": columns.get("environment", "dev"),
            "session_id": columns.get("session_id"),
            "properties": properties,
            **person,
        },
    )


def lead(name: str, *, into: str | None = None) -> UUID:
    merged = None if into is None else key(into)
    status = "new" if into is None else "inactive"
    return insert("leads", id=key(name), source="quiz", status=status, merged_into_id=merged)


def identity(lead: str, created: str = "01-01 00:00", **identifier: Any) -> None:
    insert("lead_identities", lead_id=key(lead), created_at=at(created), **identifier)


def service(slug: str, price: int = 5000) -> UUID:
    return insert(
        "services",
        id=key(slug),
        slug=slug,
        title=slug,
        description_markdown="Text",
        format="online",
        duration_minutes=50,
        price_amount=price,
    )


def appointment(name: str, start: str, **columns: Any) -> UUID:
    """By default a confirmed appointment of the lead "lead:a" for the service "first"."""
    starts = at(start)
    values = {
        "service_id": key("first"),
        "lead_id": key("lead:a"),
        "start_at_utc": starts,
        "end_at_utc": starts.replace(minute=starts.minute + 30),
        "timezone": "Europe/Moscow",
        "format": "online",
        "status": "confirmed",
        "price_amount": 5000,
        "confirmed_at": starts,
        **columns,
    }
    return insert("appointments", id=key(name), **values)


def outcome(value: str, start: str) -> dict[str, Any]:
    return {
        "status": "completed",
        "outcome": value,
        "outcome_recorded_at": at(start),
        "outcome_recorded_by_role": "owner",
    }


def payment(of: str, amount: int, created: str, **columns: Any) -> UUID:
    """By default a pending payment with the provider."""
    values = {"status": "pending", "purpose": "full", "provider": "yookassa", **columns}
    values.setdefault("provider_payment_id", f"provider-{uuid4()}")
    return insert(
        "payments",
        appointment_id=key(of),
        amount=amount,
        created_at=at(created),
        idempotency_key=f"key-{uuid4()}",
        **values,
    )


def count(table: str) -> int:
    return execute(f"SELECT count(*) AS n FROM {table}")[0]["n"]
