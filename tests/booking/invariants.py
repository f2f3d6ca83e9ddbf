"""Invariants of booking and payment, checked by SQL after every step."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from crm.models import FUNNEL_STAGES
from crm.services.events import PROMOTIONS
from tests.booking.reference import BLOCKING

TABLES = (
    "appointments",
    "payments",
    "refunds",
    "availability_slots",
    "payment_webhook_events",
    "outbox_events",
    "analytics_events",
    "lead_timeline_events",
    "leads",
    "lead_identities",
    "services",
)
READ = "; ".join(f"SELECT * FROM {table} ORDER BY id" for table in TABLES)
JSON = {"payload", "properties"}  # Django's cursors return JSON as text

type Row = dict[str, Any]
type State = dict[str, dict[UUID, Row]]


def read_state() -> State:
    """Read all rows of the tables that services write, ordered by key.

    One round trip, because the random machines call this after every step.
    """
    state = {}
    with connection.cursor() as cursor:
        cursor.execute(READ)
        for table in TABLES:
            names = [column.name for column in cursor.description]
            rows = [
                {
                    name: json.loads(value) if name in JSON and value is not None else value
                    for name, value in zip(names, values, strict=True)
                }
                for values in cursor.fetchall()
            ]
            state[table] = {row["id"]: row for row in rows}
            cursor.nextset()
    return state


# The outbox events of an appointment, in order. A row that replaces another has no `booked` event,
# and a free one has no `paid` event.
PATH = re.compile(
    r"(booked )?(paid )?confirmed (canceled |rescheduled |completed )?"
    r"|booked (hold_expired |canceled )?"
)
LAST_EVENTS = {
    "pending_payment": "booked",
    "confirmed": "confirmed",
    "rescheduled": "rescheduled",
    "completed": "completed",
}


def chains(state: State) -> Iterator[list[Row]]:
    after = {row["rescheduled_from_id"]: row for row in state["appointments"].values()}
    for row in state["appointments"].values():
        if row["rescheduled_from_id"] is None:
            rows = [row]
            while (following := after.get(rows[-1]["id"])) is not None:
                rows.append(following)
            yield rows


def outbox(state: State, *types: str) -> list[Row]:
    return [row for row in state["outbox_events"].values() if row["event_type"] in types]


def refunds(state: State) -> dict[UUID, int]:
    """Return the roubles that are due back or were given back, by payment."""
    due: dict[UUID, int] = defaultdict(int)
    for row in state["refunds"].values():
        if row["status"] != "failed":
            due[row["payment_id"]] += row["amount"]
    return due


def check_refund_events(state: State) -> None:
    """Each refund that is due, and each that was given back, is published once."""
    due = {
        key: row["amount"] for key, row in state["refunds"].items() if row["reason"] != "by_hand"
    }
    given = {
        key: row["amount"] for key, row in state["refunds"].items() if row["status"] == "succeeded"
    }
    for event_type, expected in {"refund_due": due, "payment_refunded": given}.items():
        payloads = [event["payload"] for event in outbox(state, event_type)]
        published = {UUID(payload["refund_id"]): payload["amount"] for payload in payloads}
        assert (published, len(payloads)) == (expected, len(expected))


def check_no_overlap(state: State) -> None:
    blocked = sorted(
        (
            row["start_at_utc"],
            row["end_at_utc"] + timedelta(minutes=row["buffer_minutes"]),
        )
        for row in state["appointments"].values()
        if row["status"] in BLOCKING
    )
    for (_, until), (start, _) in itertools.pairwise(blocked):
        assert until <= start, blocked


def check_slots(state: State) -> None:
    """A slot is reserved exactly while one appointment blocks it or has used it."""
    users = Counter(
        row["slot_id"]
        for row in state["appointments"].values()
        if row["status"] in (*BLOCKING, "completed") and row["slot_id"]
    )
    for key, slot in state["availability_slots"].items():
        assert users[key] == (slot["status"] == "reserved"), (slot, users[key])


def check_money(state: State) -> None:
    """Each succeeded payment belongs to a session or is due back, and no refund exceeds it."""
    due = refunds(state)
    payments = state["payments"]
    by_hand = {row["payment_id"] for row in state["refunds"].values() if row["reason"] == "by_hand"}
    for key, amount in due.items():
        assert 0 < amount <= payments[key]["amount"], (payments[key], amount)
    for rows in chains(state):
        keys = {row["id"] for row in rows}
        succeeded = [
            p
            for p in payments.values()
            if p["appointment_id"] in keys and p["status"] == "succeeded"
        ]
        kept = sum(p["amount"] - due[p["id"]] for p in succeeded)
        last = rows[-1]
        agreed = last["deposit_amount"] or last["price_amount"]
        assert kept <= last["price_amount"]
        match last["status"], last["outcome"]:
            case "confirmed" | "completed", _:
                if not any(p["id"] in by_hand for p in succeeded):
                    assert kept >= agreed
            case "pending_payment", _:
                assert kept < agreed
            case "canceled", None | "canceled_by_provider":
                assert kept == 0
            case "canceled", "canceled_by_client":
                (cancellation,) = [
                    e
                    for e in outbox(state, "appointment_canceled")
                    if e["aggregate_id"] == last["id"]
                ]
                promised: dict[UUID, int] = {}
                for row in state["refunds"].values():
                    of_chain = payments[row["payment_id"]]["appointment_id"] in keys
                    if of_chain and row["reason"] == "canceled":
                        promised.setdefault(row["payment_id"], row["amount"])
                refund = cancellation["payload"].get("refund_amount", 0)
                assert sum(promised.values()) == refund
            case _:
                raise AssertionError(last)


def check_final_rows(state: State, before: State) -> None:
    for key, old in before["payments"].items():
        new = state["payments"][key]
        terms = ("appointment_id", "amount", "currency", "purpose", "idempotency_key")
        assert [new[name] for name in terms] == [old[name] for name in terms]
        if old["status"] != "pending":
            attached = {} if old["provider_payment_id"] else {"provider_payment_id"}
            assert {name for name in new if new[name] != old[name]} <= set(attached)
    for key, old in before["payment_webhook_events"].items():
        if old["processed_at"] is not None:
            assert state["payment_webhook_events"][key] == old
    for table in ("outbox_events", "analytics_events", "lead_timeline_events"):
        for key, old in before[table].items():
            assert state[table][key] == old
    for key, old in before["appointments"].items():
        new = state["appointments"][key]
        agreed = ("price_amount", "deposit_amount", "client_user_id", "lead_id", "start_at_utc")
        assert [new[name] for name in agreed] == [old[name] for name in agreed]
        if old["status"] in ("canceled", "rescheduled", "completed"):
            assert new == old


def check_announcements(state: State) -> None:
    """Each effect is published once, in a possible order."""
    published: dict[UUID, list[str]] = defaultdict(list)
    for event in state["outbox_events"].values():
        if event["aggregate_type"] == "appointments":
            published[event["aggregate_id"]].append(
                event["event_type"].removeprefix("appointment_")
            )
    for key, row in state["appointments"].items():
        path = "".join(f"{name} " for name in published[key])
        assert PATH.fullmatch(path), path
        if row["status"] == "canceled":
            ended = "hold_expired" if row["outcome"] is None else "canceled"
        else:
            ended = LAST_EVENTS[row["status"]]
        assert published[key][-1] == ended, (row["status"], published[key])
    about_payments = Counter(
        (event["event_type"], event["aggregate_id"])
        for event in outbox(state, "payment_started", "payment_succeeded", "payment_failed")
    )
    for key, payment in state["payments"].items():
        assert about_payments["payment_started", key] == 1
        assert about_payments["payment_succeeded", key] == (payment["status"] == "succeeded")
        assert about_payments["payment_failed", key] == (
            payment["status"] in ("failed", "canceled")
        )


def check_tracking(state: State) -> None:
    tracked = Counter(row["event_name"] for row in state["analytics_events"].values())
    published = Counter(row["event_type"] for row in state["outbox_events"].values())
    lost = {
        e["aggregate_id"]
        for e in outbox(state, "refund_due")
        if e["payload"]["reason"] == "time_gone"
    }
    effective = [
        p for p in state["payments"].values() if p["status"] == "succeeded" and p["id"] not in lost
    ]
    # Where money of a session was given back before, a payment may leave the hold unpaid.
    by_hand = {r["payment_id"] for r in state["refunds"].values() if r["reason"] == "by_hand"}
    unsure = {
        p["appointment_id"] for p in state["payments"].values() if p["id"] in by_hand
    }  # payments belong to the first row of their chain
    sure = [p for p in effective if p["appointment_id"] not in unsure]
    assert len(sure) <= tracked["booking_paid"] <= len(effective)
    assert tracked["booking_confirmed"] == published["appointment_confirmed"]
    assert tracked["booking_slot_selected"] == published["appointment_booked"]
    assert tracked["payment_started"] == published["payment_started"]
    assert tracked["payment_failed"] == published["payment_failed"]
    assert tracked["appointment_outcome_recorded"] == sum(
        published[f"appointment_{name}"] for name in ("canceled", "rescheduled", "completed")
    )
    timeline = {row["event_id"]: row for row in state["lead_timeline_events"].values()}
    for row in state["analytics_events"].values():
        assert (row["event_id"] in timeline) == (row["lead_id"] is not None)


def check_leads(state: State, before: State) -> None:
    """A lead only moves forward, at least to the stage that its events prove."""
    stages = {key: FUNNEL_STAGES.index(row["status"]) for key, row in state["leads"].items()}
    for key, row in before["leads"].items():
        assert stages[key] >= FUNNEL_STAGES.index(row["status"])
    for event in state["lead_timeline_events"].values():
        proof = PROMOTIONS.get(event["event_name"])
        if proof is not None:
            assert stages[event["lead_id"]] >= FUNNEL_STAGES.index(proof)
