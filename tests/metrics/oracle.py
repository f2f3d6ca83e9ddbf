"""The metrics of docs/spec/metrics.md in plain Python. The tests compare the product with them.

This module shares no code with the product's metrics. It follows each subject in loops, and keeps
hours as exact fractions until it rounds them once. "Exactly 3" refers to that point of the
specification. Comments name the product's reading where the specification leaves a choice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from .facts import DAY, Days, Facts, Row, read_rows

STEPS = ("started", "slot_selected", "paid", "confirmed")
EVENTS_OF_STEPS = ("booking_start", "booking_slot_selected", "booking_paid", "booking_confirmed")
DIMENSIONS = ("entry_point", "topic", "service", "format")


def compute_metrics(
    *, first: date, last: date, zone: str, now: datetime, environment: str
) -> dict[str, Any]:
    """The object that `manage.py metrics --json` prints."""
    facts = Facts(Days(first, last, zone), now, environment)
    return {
        "period": {"from": first.isoformat(), "to": last.isoformat()},
        **Funnel(facts).count(),
        "no_slots": count_no_slots(facts),
        "payments": count_payments(facts),
        "interactives": count_runs(facts),
        "moderation": measure_moderation(facts),
        "no_show": count_outcomes(facts),
        "revenue": sum_revenue(facts),
        "telegram": count_links(facts),
        "retention": count_cohorts(facts),
    }


# -- hours and roubles (Exactly 1) ----------------------------------------------------------------


def round_half_up(number: Fraction, digits: int) -> Fraction:
    return Fraction((number * 10**digits + Fraction(1, 2)) // 1, 10**digits)


def count_hours(interval: timedelta) -> Fraction:
    return Fraction(interval // timedelta.resolution, timedelta(hours=1) // timedelta.resolution)


def round_hours(hours: Fraction | None) -> float | None:
    return None if hours is None else float(round_half_up(hours, 1))


def compute_mean(numbers: list[Fraction]) -> Fraction | None:
    return sum(numbers, Fraction(0)) / len(numbers) if numbers else None


def compute_p90(numbers: list[Fraction]) -> Fraction | None:
    """percentile_cont: between two numbers it interpolates."""
    if not numbers:
        return None
    ordered = sorted(numbers)
    index, share = divmod(Fraction(9, 10) * (len(ordered) - 1), 1)
    lower, upper = ordered[index], ordered[min(index + 1, len(ordered) - 1)]
    return lower + share * (upper - lower)


# -- booking --------------------------------------------------------------------------------------


class Funnel:
    """The steps of each subject (Exactly 2 to 4)."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.slugs = {str(row["id"]): row["slug"] for row in read_rows("services")}
        succeeded = [row for row in facts.payments if row["status"] == "succeeded"]
        manual = [row for row in succeeded if row["provider"] == "manual"]
        self.paid_to_staff = {row["appointment_id"] for row in manual}

    def count(self) -> dict[str, Any]:
        events_of = defaultdict(list)
        for event in self.facts.select_events(*EVENTS_OF_STEPS):
            if event["subject"] is not None:
                events_of[event["subject"]].append(event)
        whole = dict.fromkeys(STEPS, 0)
        by: dict[str, dict[str, dict[str, int]]] = {dimension: {} for dimension in DIMENSIONS}
        for steps in filter(None, map(self.find_steps, events_of.values())):
            cells = [whole]
            for dimension in DIMENSIONS:
                values = [self.find_value(step, dimension) for step in steps]
                value = next((value for value in values if value is not None), "none")
                cells.append(by[dimension].setdefault(value, dict.fromkeys(STEPS, 0)))
            for cell in cells:
                for step in STEPS[: len(steps)]:
                    cell[step] += 1
        return {"booking_funnel": whole, "booking_funnel_by": by}

    def find_steps(self, events: list[Row]) -> list[Row]:
        """The counted steps of a subject, in order."""
        starts = [event for event in events if event["event_name"] == "booking_start"]
        steps = self.facts.days.select(starts, "occurred_at")[:1]
        for name in EVENTS_OF_STEPS[1:] if steps else ():
            last = steps[0]["occurred_at"] + 7 * DAY
            later = select_between(events, steps[-1]["occurred_at"], last)
            step = next((event for event in later if self.passes_step(event, name)), None)
            if step is None:
                break
            steps.append(step)
        return steps

    def passes_step(self, event: Row, name: str) -> bool:
        if event["event_name"] == "booking_confirmed" and name == "booking_paid":
            return self.passes_paid(event)
        return event["event_name"] == name

    def passes_paid(self, confirmation: Row) -> bool:
        """Exactly 3: the agreed price is 0, or the payment was manual, also one before a move."""
        start = datetime.fromisoformat(confirmation["properties"]["appointment_start_at"])
        service = self.find_value(confirmation, "service")
        confirmed = [r for r in self.facts.appointments.values() if r["confirmed_at"] is not None]
        # The event does not name its appointment. It is one of this start and service. The
        # subject's own appointment is preferred, then the one with the lowest id (ADR 0050).
        agreed = [
            row
            for row in confirmed
            if row["start_at_utc"] == start and self.slugs[str(row["service_id"])] == service
        ]
        agreed.sort(key=lambda row: (row["subject"] != confirmation["subject"], row["id"]))
        return any(
            row["price_amount"] == 0 or not self.paid_to_staff.isdisjoint(self.walk_chain(row))
            for row in agreed[:1]
        )

    def walk_chain(self, appointment: Row | None) -> Iterator[Any]:
        """The id of an appointment and of those from which it was moved."""
        while appointment is not None:
            yield appointment["id"]
            appointment = self.facts.appointments.get(appointment["rescheduled_from_id"])

    def find_value(self, step: Row, dimension: str) -> str | None:
        properties = step["properties"]
        if dimension == "entry_point":
            return properties.get("entry_point", step["acquisition"].get("entry_point"))
        if dimension == "service":
            return properties.get("service_slug", self.slugs.get(properties.get("service_id")))
        return properties.get(dimension)


def select_between(events: list[Row], first: datetime, last: datetime) -> list[Row]:
    """Exactly 2: equal times count as after."""
    return [event for event in events if first <= event["occurred_at"] <= last]


def count_no_slots(facts: Facts) -> dict[str, int]:
    names = Counter(row["event_name"] for row in facts.days.select(facts.events, "occurred_at"))
    return {
        "starts": names["booking_start"],
        "no_slots": names["show_no_slots"],
        "waitlist": names["waitlist_submitted"],
    }


def count_payments(facts: Facts) -> dict[str, Any]:
    """Payments of the provider by created_at (Exactly 5)."""
    created = facts.days.select(facts.payments, "created_at")
    started = [row for row in created if row["provider"] == "yookassa"]
    categories: Counter[str] = Counter()
    for row in started:
        hold = facts.appointments[row["appointment_id"]]["hold_expires_at"]
        if row["status"] in ("failed", "canceled"):
            categories[row["failure_category"] or "unknown"] += 1
        elif row["status"] == "pending" and hold is not None and hold + DAY < facts.now:
            categories["timeout"] += 1
    failed = categories.total()
    return {"started": len(started), "failed": failed, "by_category": dict(categories)}


def count_outcomes(facts: Facts) -> dict[str, int]:
    """Sessions by their start (Exactly 8)."""
    sessions = facts.days.select([*facts.appointments.values()], "start_at_utc")
    ended = [row for row in sessions if row["end_at_utc"] <= facts.now]
    states = Counter((row["status"], row["outcome"]) for row in ended)
    outcomes = Counter(row["outcome"] for row in sessions)
    return {
        "attended": outcomes["attended"],
        "no_show": outcomes["no_show"],
        "unrecorded": states["confirmed", None],
    }


def sum_revenue(facts: Facts) -> dict[str, Any]:
    """Payments by confirmed_at less refunds by succeeded_at (Exactly 8)."""
    refunds = read_rows("refunds")

    def list_amounts(days: Days, rows: list[Row], column: str) -> list[int]:
        return [r["amount"] for r in days.select(rows, column) if r["status"] == "succeeded"]

    paid = list_amounts(facts.days, facts.payments, "confirmed_at")
    refunded = list_amounts(facts.days, refunds, "succeeded_at")
    before = facts.days.precede()
    paid_before = list_amounts(before, facts.payments, "confirmed_at")
    refunded_before = list_amounts(before, refunds, "succeeded_at")
    return {
        "gross": sum(paid),
        "refunded": sum(refunded),
        "net": sum(paid) - sum(refunded),
        "payments": len(paid),
        "average": int(round_half_up(Fraction(sum(paid), len(paid)), 0)) if paid else None,
        "previous_net": sum(paid_before) - sum(refunded_before),
    }


def count_cohorts(facts: Facts) -> list[dict[str, Any]]:
    """Subjects by the month of their first confirmation, and the later months (Exactly 10)."""
    days, current = facts.days, facts.days.find_month(facts.now)
    months: dict[Any, int] = {}
    active = defaultdict(set)  # the subjects of each month
    for row in facts.appointments.values():
        if row["confirmed_at"] is not None:
            month = days.find_month(row["confirmed_at"])
            months[row["subject"]] = min(month, months.get(row["subject"], month))
        if row["outcome"] == "attended":
            active[days.find_month(row["start_at_utc"])].add(row["subject"])
    for event in facts.select_events("lk_opened"):
        active[days.find_month(event["occurred_at"])].add(event["subject"])
    cohorts = []
    for month in sorted({*months.values()}):
        first = date(month // 12, month % 12 + 1, 1)
        if month < current and days.first <= first <= days.last:
            people = {subject for subject in months if months[subject] == month}
            later = [len(people & active[number]) for number in range(month + 1, current)]
            cohorts.append({"month": f"{first:%Y-%m}", "size": len(people), "active": later})
    return cohorts


# -- interactives, questions and Telegram ---------------------------------------------------------


def count_runs(facts: Facts) -> list[dict[str, Any]]:
    """Runs by their start, with the totals of deleted runs (Exactly 6)."""
    clicks = [row for row in facts.select_events("cta_click") if row["session_id"] is not None]
    rows = facts.days.select_totals("interactive_run_totals")
    for run in facts.days.select(read_rows("interactive_runs"), "started_at"):
        visit = [row for row in clicks if row["session_id"] == run["session_id"]]
        ended = run["completed_at"]
        followed = ended is not None and any(click["occurred_at"] >= ended for click in visit)
        rows.append({**run, "runs": 1, "cta_runs": int(followed)})
    figures: dict[Any, dict[str, Any]] = {}
    for definition in read_rows("interactive_definitions"):
        figures[definition["id"]] = {
            "type": definition["interactive_type"],
            "slug": definition["slug"],
            "topic": definition["topic_code"],
            **dict.fromkeys(("started", "completed", "cta"), 0),
            "levels": dict.fromkeys(("low", "moderate", "high"), 0),
        }
    for row in rows:
        figure = figures[row["interactive_definition_id"]]
        figure["started"] += row["runs"]
        figure["completed"] += row["runs"] * (row["status"] == "completed")
        figure["cta"] += row["cta_runs"]
        if row["result_level"] is not None:
            figure["levels"][row["result_level"]] += row["runs"]
    listed = [figure for figure in figures.values() if figure["started"]]
    return sorted(listed, key=lambda figure: (figure["type"], figure["slug"]))


def measure_moderation(facts: Facts) -> dict[str, Any]:
    """The queue of now, and the questions by their first decision (Exactly 7)."""
    questions = read_rows("anonymous_questions")
    queue = [row for row in questions if row["status"] in ("pending", "flagged")]
    ages = [count_hours(facts.now - row["submitted_at"]) for row in queue]
    decided = facts.days.select(questions, "moderated_at")
    answered = [row for row in decided if row["answered_at"] is not None]
    hours = [count_hours(row["moderated_at"] - row["submitted_at"]) for row in decided]
    answers = [count_hours(row["answered_at"] - row["submitted_at"]) for row in answered]
    actions = read_rows("ugc_moderation_actions")
    counts = {
        "decided": len(decided),
        "within_due": sum(row["moderated_at"] <= row["moderated_due_at"] for row in decided),
        "rejected": sum(is_rejected_first(row, actions) for row in decided),
        "crisis": sum("crisis" in row["trigger_flags"] for row in decided),
    }
    for total in facts.days.select_totals("moderation_totals"):
        counts = {name: counts[name] + total[name] for name in counts}
        hours += map(Fraction, total["hours"])
        answers += map(Fraction, total["answer_hours"])
    return {
        "queue": len(queue),
        "overdue": sum(row["due_at"] < facts.now for row in queue),
        "oldest_hours": round_hours(max(ages, default=None)),
        **counts,
        "mean_hours": round_hours(compute_mean(hours)),
        "p90_hours": round_hours(compute_p90(hours)),
        "answer_mean_hours": round_hours(compute_mean(answers)),
    }


def is_rejected_first(question: Row, actions: list[Row]) -> bool:
    decisions = [
        row
        for row in actions
        if (row["ugc_type"], row["ugc_id"]) == ("anonymous_question", question["id"])
        and row["action"] in ("approve", "reject")
    ]
    if not decisions:  # the status is the decision
        return question["status"] == "rejected"
    return min(decisions, key=lambda row: row["created_at"])["action"] == "reject"


def count_links(facts: Facts) -> dict[str, Any]:
    """Links of Telegram: the first click of each in the period, and what follows (Exactly 9)."""
    clicks: dict[str, Row] = {}
    for click in facts.days.select(facts.select_events("cta_tg_click"), "occurred_at"):
        clicks.setdefault(click["link"], click)
    counts = Counter(clicks=len(clicks), subscribed=0, onboarded=0, stopped=0)
    returned = dict.fromkeys(("1", "7", "30"), 0)
    for link, click in clicks.items():
        last = click["occurred_at"] + 30 * DAY
        subjects = {click["subject"]} - {None}
        names = follow_link(facts, link, subjects, click["occurred_at"], last)
        subscription = names.get("tg_subscribe_confirmed")
        if subscription is None:
            continue
        # The subjects of a link are those of its first click and first subscription (ADR 0050).
        subjects |= {subscription["subject"]} - {None}
        names = follow_link(facts, link, subjects, subscription["occurred_at"], last)
        counts["subscribed"] += 1
        counts["onboarded"] += "tg_onboarding_completed" in names
        counts["stopped"] += "tg_series_stopped" in names
        # An event of a subject is a return also if it has another link.
        visits = [e for e in facts.events if e["link"] == link or e["subject"] in subjects]
        days = {facts.days.find_day(event["occurred_at"]) for event in visits}
        for number in returned:
            day = facts.days.find_day(subscription["occurred_at"]) + int(number) * DAY
            returned[number] += day in days
    return {**counts, "returned": returned}


def follow_link(
    facts: Facts, link: str, subjects: set[Any], first: datetime, last: datetime
) -> dict[str, Row]:
    """The first event of each name of a link. Those without a link are taken by their subject."""
    events: dict[str, Row] = {}
    for event in select_between(facts.events, first, last):
        if event["link"] == link or (event["link"] is None and event["subject"] in subjects):
            events.setdefault(event["event_name"], event)
    return events
