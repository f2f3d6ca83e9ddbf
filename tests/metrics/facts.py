"""The rows that the oracle of the metrics counts, with their days and subjects (metrics.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.support import execute

Row = dict[str, Any]
Subject = tuple[str, Any]

DAY = timedelta(days=1)


def read_rows(table: str) -> list[Row]:
    return execute(f"SELECT * FROM {table}")


@dataclass(frozen=True)
class Days:
    """The days of a period in the practice's zone."""

    first: date
    last: date
    zone: str

    def find_day(self, when: datetime) -> date:
        return when.astimezone(ZoneInfo(self.zone)).date()

    def find_month(self, when: datetime) -> int:
        """The number of the month since year 0."""
        day = self.find_day(when)
        return 12 * day.year + day.month - 1

    def select(self, rows: list[Row], column: str) -> list[Row]:
        """The rows with a time in the period in this column."""
        dated = [row for row in rows if row[column] is not None]
        return [row for row in dated if self.first <= self.find_day(row[column]) <= self.last]

    def select_totals(self, table: str) -> list[Row]:
        # The days of totals are days of Moscow in every zone (ADR 0050).
        return [row for row in read_rows(table) if self.first <= row["day"] <= self.last]

    def precede(self) -> Days:
        """The period of equal length just before this one."""
        return Days(self.first - (self.last - self.first) - DAY, self.first - DAY, self.zone)


class Subjects:
    """Persons as far as they are known: a lead, an account, or a browser."""

    def __init__(self) -> None:
        self.merged_into = {row["id"]: row["merged_into_id"] for row in read_rows("leads")}
        self.leads: dict[Subject, Any] = {}
        # Exactly 3: an identifier of several leads means the lead with the oldest identity.
        for row in sorted(read_rows("lead_identities"), key=lambda r: (r["created_at"], r["id"])):
            for column in ("user_id", "anonymous_id"):
                self.leads.setdefault((column, row[column]), row["lead_id"])

    def find_subject(self, lead: Any, user: Any, browser: Any = None) -> Subject | None:
        """The subject of the first identifier that is not None."""
        for identifier in (("lead", lead), ("user_id", user), ("anonymous_id", browser)):
            if identifier[1] is not None:
                lead = lead or self.leads.get(identifier)
                return identifier if lead is None else ("lead", self.follow_merges(lead))
        return None

    def follow_merges(self, lead: Any) -> Any:
        while (into := self.merged_into.get(lead)) is not None:
            lead = into
        return lead


class Facts:
    """The rows that several metrics read. Events and appointments have their subject."""

    def __init__(self, days: Days, now: datetime, environment: str) -> None:
        self.days, self.now = days, now
        subjects = Subjects()
        events = [row for row in read_rows("analytics_events") if row["environment"] == environment]
        # Among events of one time the lowest id is the first.
        self.events = sorted(events, key=lambda row: (row["occurred_at"], row["id"]))
        for row in self.events:
            known = (row["lead_id"], row["user_id"], row["anonymous_id"])
            row["subject"] = subjects.find_subject(*known)
            row["properties"] = json.loads(row["properties"])
            row["acquisition"] = json.loads(row["acquisition"])
            row["link"] = row["properties"].get("deep_link_id")
        self.appointments = {row["id"]: row for row in read_rows("appointments")}
        for row in self.appointments.values():
            row["subject"] = subjects.find_subject(row["lead_id"], row["client_user_id"])
        self.payments = read_rows("payments")

    def select_events(self, *names: str) -> list[Row]:
        return [event for event in self.events if event["event_name"] in names]
