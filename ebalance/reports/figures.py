"""All metrics of a period as one object (metrics.md)."""

from __future__ import annotations

from typing import Any

from booking import metrics as booking
from crm import metrics as crm
from ebalance.db.snapshot import read_only_snapshot
from ebalance.metrics import Metric, Period
from ugc import metrics as ugc

METRICS: tuple[Metric, ...] = (
    booking.BOOKING_FUNNEL,
    booking.NO_SLOTS,
    booking.PAYMENTS,
    crm.INTERACTIVES,
    ugc.MODERATION,
    booking.NO_SHOW,
    booking.REVENUE,
    crm.TELEGRAM,
    booking.RETENTION,
)
BREAKDOWNS = ("entry_point", "topic", "service", "format")
STEPS = ("started", "slot_selected", "paid", "confirmed")


def read_metrics(period: Period) -> dict[str, Any]:
    """The object that ``manage.py metrics --json`` prints, from one snapshot of the database.

    Counts and roubles are whole, hours have one decimal. A mean, p90 or oldest of nothing is None.
    """
    with read_only_snapshot():
        rows = {metric.name: metric.read(period) for metric in METRICS}
    return {
        "period": {"from": period.first.isoformat(), "to": period.last.isoformat()},
        **_arrange_funnel(rows["booking_funnel"]),
        "no_slots": rows["no_slots"][0],
        "payments": _arrange_payments(rows["payments"]),
        "interactives": [_arrange_levels(row) for row in rows["interactives"]],
        "moderation": rows["moderation"][0],
        "no_show": rows["no_show"][0],
        "revenue": rows["revenue"][0],
        "telegram": _arrange_telegram(rows["telegram"][0]),
        "retention": rows["retention"],
    }


def _arrange_funnel(rows: list[dict[str, Any]]) -> dict[str, Any]:
    whole = dict.fromkeys(STEPS, 0)
    by: dict[str, dict[str, dict[str, int]]] = {dimension: {} for dimension in BREAKDOWNS}
    for row in sorted(rows, key=lambda row: row["value"] or ""):
        steps = {step: row[step] for step in STEPS}
        if row["dimension"] == "all":
            whole = steps
        else:
            by[row["dimension"]][row["value"]] = steps
    return {"booking_funnel": whole, "booking_funnel_by": by}


def _arrange_payments(rows: list[dict[str, Any]]) -> dict[str, Any]:
    by_category = {row["category"]: row["payments"] for row in rows if row["category"]}
    return {
        "started": sum(row["payments"] for row in rows),
        "failed": sum(by_category.values()),
        "by_category": dict(sorted(by_category.items())),
    }


def _arrange_levels(row: dict[str, Any]) -> dict[str, Any]:
    levels = {level: row[level] for level in ("low", "moderate", "high")}
    names = ("type", "slug", "topic", "started", "completed")
    return {**{name: row[name] for name in names}, "levels": levels, "cta": row["cta"]}


def _arrange_telegram(row: dict[str, Any]) -> dict[str, Any]:
    names = ("clicks", "subscribed", "onboarded", "stopped")
    returned = {str(days): row[f"returned_{days}"] for days in (1, 7, 30)}
    return {**{name: row[name] for name in names}, "returned": returned}
