"""Random rows for the metrics.

The seed chooses the period, "now", the number of people and the topics. The rows break no
constraint. Triggers are off, so a row may have any times.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from itertools import zip_longest
from typing import Any
from uuid import UUID

from django.db import connection

from tests.factories.base import sealed

from .choices import DAY, HOUR, MINUTE, TICK, ZERO, Choices
from .rows import key

Row = dict[str, Any]

TOPICS = ("bookings", "links", "sessions", "runs", "questions")
SLUGS = ("first", "second")
SERVICE = {"title": "A", "description_markdown": "A", "format": "online", "duration_minutes": 50}
SESSION = {"timezone": "Europe/Moscow", "format": "online"}
OWNER = key("user:owner")
MANUAL = {"provider": "manual", "method": "cash", "recorded_by_user_id": OWNER}
EVENT = {"schema_version": "1.0", "event_version": 1, "source": "backend"}
INTERACTIVES = (("quiz", "calm"), ("quiz", "stress"), ("ritual", "calm"))
LINKS = ("link-one", "link-two")
BOOKING = ("booking_start", "booking_slot_selected", "booking_paid", "booking_confirmed")
TELEGRAM = (
    "cta_tg_click",
    "tg_subscribe_confirmed",
    "tg_onboarding_completed",
    "tg_series_stopped",
)
VISITS = ("page_view", "lk_opened", "tg_interaction")
# The outcomes of a status, and whether it has a confirmation.
STATUSES: dict[str, tuple[list[str | None], list[bool]]] = {
    "pending_payment": ([None], [False]),
    "confirmed": ([None], [True]),
    "completed": (["attended", "attended", "no_show"], [True]),
    "canceled": ([None, "canceled_by_client"], [True, False]),
    "rescheduled": ([None, "rescheduled"], [True]),
}
# The actions of moderators by the status of the question. The first decision has its time.
ACTIONS: dict[str, list[list[str]]] = {
    "flagged": [["approve", "escalate"], ["reject", "escalate"]],
    "approved": [["approve"], ["mask_pii", "approve", "escalate", "approve"]],
    "answered": [["approve"], ["reject", "approve"]],
    "rejected": [["reject"], ["approve", "escalate", "reject"], []],
}


class RandomRows(Choices):
    """The rows of one seed: few people, and facts about them."""

    def __init__(
        self,
        seed: int,
        zone: str = "Europe/Moscow",
        *,
        topics: tuple[str, ...] = (),
        days: tuple[date, date] | None = None,
        has_totals: bool = True,
    ) -> None:
        super().__init__(seed, zone, days)
        self.has_totals = has_totals
        self.rows: list[tuple[str, Row]] = []
        self.busy: list[tuple[datetime, datetime]] = []
        self.make_people()
        for slug in SLUGS:
            self.add("services", id=key(slug), slug=slug, price_amount=5000, **SERVICE)
        for topic in topics or self.pick(TOPICS, TOPICS, *((topic,) for topic in TOPICS)):
            getattr(self, f"make_{topic}")()

    def insert(self) -> None:
        """Store the rows with triggers off."""
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            for table, columns in self.rows:
                names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
                values = [json.dumps(v) if isinstance(v, dict) else v for v in columns.values()]
                cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
            cursor.execute("SET LOCAL session_replication_role = origin")

    def add(self, table: str, **columns: Any) -> Row:
        row = {"id": self.make_id(), **columns}
        self.rows.append((table, row))
        return row

    def choose_days(self) -> list[date]:
        """Up to two different days for totals."""
        days = {self.find_day(when) for when in self.times} if self.has_totals else ()
        return self.some(sorted(days))[:2]

    # -- people and events ------------------------------------------------------------------------

    def make_people(self) -> None:
        """Leads, some merged, and their identities. Several leads can have an identifier."""
        most = self.pick(1, 2, 4)
        self.users = [key(f"user:{number}") for number in self.repeat(1, most)]
        self.browsers = [f"browser-{number}" for number in self.repeat(1, most)]
        self.leads: list[UUID] = []
        for _ in self.repeat(1, most):
            into = self.pick(None, *self.leads)
            status = "inactive" if into else "new"
            row = self.add("leads", source="quiz", status=status, merged_into_id=into)
            self.leads.append(row["id"])
            for user, browser in zip_longest(self.some(self.users), self.some(self.browsers)):
                created = self.begins - self.pick(1, 2, 3) * DAY
                columns = {"lead_id": row["id"], "user_id": user, "anonymous_id": browser}
                self.add("lead_identities", created_at=created, **columns)

    def choose_person(self) -> Row:
        """The identifiers of an event: often one, sometimes several, seldom none."""
        lead = self.pick(*self.leads, *self.leads, key("lead:erased"))
        user, browser = self.pick(*self.users), self.pick(*self.browsers)
        known = {"lead_id": lead, "user_id": user, "anonymous_id": browser}
        chosen = self.pick(*[[name] for name in known] * 5, [*known], [*known][1:], [])
        return {name: known[name] for name in chosen}

    def add_event(self, name: str, when: datetime, person: Row, **about: Any) -> None:
        acquisition = {}
        if "entry_point" in about and self.pick(True, False):
            acquisition["entry_point"] = about.pop("entry_point")
        columns = {"event_name": name, "event_id": self.make_id(), "occurred_at": when}
        environment, visit = self.pick(*["dev"] * 14, "stage", "prod"), about.pop("visit", None)
        columns |= {"environment": environment, "session_id": visit, "properties": about}
        self.add("analytics_events", acquisition=acquisition, **columns, **person, **EVENT)

    # -- appointments and money -------------------------------------------------------------------

    def make_bookings(self) -> None:
        """People who book. They omit, repeat and reverse steps, some on another device."""
        for _ in self.repeat(4, 9):
            person = self.choose_person()
            chain = self.add_chain(person)
            first = when = self.find_time()
            for name in BOOKING:
                # Half of the bookings have no payment, as if they were free or paid to staff.
                usual = [0, 1] if name == "booking_paid" else [1, 1]
                for _ in range(self.pick(0, *usual * 5, 2)):
                    about = self.describe_step(name, self.pick(*chain))
                    another = self.pick(*[person] * 5, self.choose_person())
                    self.add_event(name, when, another, **about)
                    when = self.find_next(when, first, 7 * DAY)
        for name in self.some(["show_no_slots", "waitlist_submitted"] * 2):
            self.add_event(name, self.find_time(), self.choose_person())

    def describe_step(self, name: str, appointment: Row) -> Row:
        slug = next(slug for slug in SLUGS if key(slug) == appointment["service_id"])
        service = self.pick({"service_slug": slug}, {"service_id": str(key(slug))})
        if name == "booking_confirmed":
            service["appointment_start_at"] = appointment["start_at_utc"].isoformat()
            return {"format": self.pick("online", "offline"), **service}
        entry_point, topic = self.pick("seo", "ads"), self.pick("anxiety", "sleep")
        about = {"entry_point": entry_point, "topic": topic, **service}
        return {column: about[column] for column in self.some([*about])}

    def add_chain(self, person: Row) -> list[Row]:
        """One to three appointments, each moved to the next, and their payments."""
        owner = {"lead_id": self.pick(*self.leads)}
        if "user_id" in person:
            owner = {"client_user_id": person["user_id"]}
        elif person.get("lead_id") in self.leads:
            owner = {"lead_id": person["lead_id"]}
        chain: list[Row] = []
        price = self.pick(0, 5000, 5000)
        for is_last in self.pick([True], [False, True], [False, False, True]):
            moved_from = chain[-1]["id"] if chain else None
            columns = {"price_amount": price, "rescheduled_from_id": moved_from, **owner}
            chain.append(self.add_appointment(is_last, **columns))
            if self.pick(True, False, False, False):
                self.add_payment(chain[-1], "succeeded", purpose="full", **MANUAL)
            # For each purpose one payment with the provider can succeed.
            for purpose in self.some(["deposit", "full"]):
                status = self.pick("pending", "pending", "succeeded", "canceled", "failed")
                self.add_payment(chain[-1], status, purpose=purpose, provider="yookassa")
        return chain

    def add_appointment(self, is_last: bool, **columns: Any) -> Row:
        """An appointment of any status, or one that was moved to the next."""
        start = self.pick(*[self.find_time()] * 5, self.period.now - 30 * MINUTE)
        end = start + self.pick(30, 50) * MINUTE
        statuses = ["completed", "completed", "canceled", "rescheduled"]
        # Appointments that block their time do not overlap. Others may begin at the same time.
        if all(end <= first or start >= last for first, last in self.busy):
            statuses += ["pending_payment", "confirmed", "confirmed", "confirmed"]
        status = self.pick(*statuses) if is_last else "rescheduled"
        if status in ("pending_payment", "confirmed"):
            self.busy.append((start, end))
        outcomes, confirmed = STATUSES[status]
        outcome = self.pick(*outcomes)
        columns |= {
            "confirmed_at": self.find_time() if self.pick(*confirmed) else None,
            "canceled_at": start if status == "canceled" else None,
            "outcome": outcome,
            "outcome_recorded_at": outcome and start,
            "outcome_recorded_by_role": outcome and "owner",
        }
        if status == "pending_payment" or self.pick(True, False):
            hold = self.period.now - DAY + self.pick(ZERO, TICK, -TICK, -DAY)
            columns["hold_expires_at"] = hold
        columns |= {"status": status, "start_at_utc": start, "end_at_utc": end}
        return self.add("appointments", service_id=key(self.pick(*SLUGS)), **SESSION, **columns)

    def add_payment(self, appointment: Row, status: str, **columns: Any) -> None:
        number, is_over = len(self.rows), status in ("failed", "canceled")
        columns |= {"idempotency_key": f"key-{number}", "provider_payment_id": f"id-{number}"}
        payment = self.add(
            "payments",
            appointment_id=appointment["id"],
            amount=self.pick(1, 2, 1001, 2500, 5000),
            status=status,
            created_at=self.find_time(),
            confirmed_at=self.find_time() if status == "succeeded" else None,
            failure_category=self.pick(None, "canceled", "timeout") if is_over else None,
            **columns,
        )
        refunds = ["due", "failed", "succeeded", "succeeded"] if status == "succeeded" else []
        for refund in self.some(refunds):
            succeeded = self.find_time() if refund == "succeeded" else None
            times = {"requested_at": self.find_time(), "succeeded_at": succeeded}
            about = {"amount": self.pick(1, 500, 999), "reason": "canceled", "status": refund}
            self.add("refunds", payment_id=payment["id"], **about, **times)

    def make_sessions(self) -> None:
        """Sessions, and other events of months in which people are active."""
        for _ in self.repeat(1, 4):
            self.add_chain(self.choose_person())
        for _ in self.repeat(0, 9):
            self.add_event(self.pick(*VISITS), self.find_time(), self.choose_person())

    # -- Telegram, interactives and questions -----------------------------------------------------

    def make_links(self) -> None:
        """Links into Telegram. Later events of a link may lack it, or have another person."""
        for _ in self.repeat(1, 3):
            link, people = self.pick(*LINKS), [self.choose_person(), self.choose_person()]
            first = when = self.find_time()
            for name in TELEGRAM:
                for _ in range(self.pick(0, *[1] * 8, 2)):
                    is_named = name in TELEGRAM[:2] or self.pick(True, False)
                    about = {"deep_link_id": link} if is_named else {}
                    self.add_event(name, when, self.pick(*people), **about)
                    when = self.find_next(when, first, 30 * DAY)
            for _ in self.repeat(0, 4):
                day = self.find_day(first) + self.pick(0, 1, 1, 2, 7, 7, 8, 30, 30, 31) * DAY
                visit = self.find_midnight(day) + self.pick(ZERO, -TICK, 12 * HOUR)
                about = self.pick({}, {"deep_link_id": self.pick(*LINKS)})
                self.add_event(self.pick(*VISITS), visit, self.pick(*people), **about)

    def make_runs(self) -> None:
        """Runs of interactives, clicks around their ends, and totals of deleted runs."""
        for kind, slug in INTERACTIVES:
            about = {"slug": slug, "title": slug, "topic_code": self.pick(None, "anxiety")}
            columns = {"id": key(kind + slug), "interactive_type": kind}
            self.add("interactive_definitions", **columns, **about)
        visits = [None, *(self.make_id() for _ in range(4))]
        for _ in self.repeat(1, 6):
            started, visit = self.find_time(), self.pick(*visits)
            ended = started + self.pick(ZERO, MINUTE, DAY)
            about = {"status": "in_progress", "session_id": visit, "started_at": started}
            if self.pick(True, True, False):
                level = self.pick(None, "low", "moderate", "high")
                about |= {"status": "completed", "completed_at": ended, "result_level": level}
            self.add_counted("interactive_runs", anonymous_id="browser-of-runs", **about)
            name = self.pick("cta_click", "cta_click", "cta_tg_click")
            clicked = ended + self.pick(ZERO, TICK, -TICK, DAY)
            another = self.pick(*[visit] * 5, *visits)
            self.add_event(name, clicked, {}, visit=another, deep_link_id=LINKS[0])
        for day in self.choose_days():
            runs = self.pick(1, 2, 5)
            about = {"status": "abandoned", "crisis_triggered": False, "cta_runs": 0}
            if self.pick(True, True, False):
                level, clicks = self.pick(None, "low", "high"), self.pick(0, runs)
                about |= {"status": "completed", "result_level": level, "cta_runs": clicks}
            about |= {"day": day, "runs": runs, "timed_runs": 0, "duration_ms": 0}
            self.add_counted("interactive_run_totals", **about)

    def add_counted(self, table: str, **columns: Any) -> None:
        definition = key("".join(self.pick(*INTERACTIVES)))
        self.add(table, interactive_definition_id=definition, **columns)

    def make_questions(self) -> None:
        """Questions, decided around their deadline, some escalated, and totals of deleted ones."""
        for _ in self.repeat(1, 7):
            status = self.pick("pending", *ACTIONS, *ACTIONS)
            submitted = min(self.find_time(), self.period.now)
            delays = [ZERO, TICK, 3 * MINUTE, 9 * MINUTE, 20 * MINUTE, 24 * HOUR, 33 * DAY]
            decided = submitted + self.pick(*delays)
            due = self.pick(decided, decided - TICK, decided + TICK, submitted + DAY)
            is_decided = status in ACTIONS and self.pick(True, True, status != "flagged")
            question = self.add(
                "anonymous_questions",
                status=status,
                trigger_flags=self.pick([], ["crisis"], ["pii", "spam"], ["pii", "crisis"]),
                question_text_encrypted=sealed(),
                submitted_at=submitted,
                due_at=self.period.now + self.pick(ZERO, TICK, -TICK, DAY, -DAY),
                moderated_at=decided if is_decided else None,
                moderated_due_at=due if is_decided else None,
                answered_at=decided + self.pick(*delays) if status == "answered" else None,
            )
            for number, action in enumerate(self.pick(*ACTIONS[status]) if is_decided else ()):
                of = {"ugc_type": "anonymous_question", "ugc_id": question["id"]}
                about = {"action": action, "created_at": decided + number * MINUTE}
                about["reason_category"] = "spam" if action == "reject" else None
                self.add("ugc_moderation_actions", moderator_user_id=OWNER, **of, **about)
        for day in self.choose_days():
            numbers = [Decimal(self.pick("0.05", "0.15", "0.35", "7.45", "24")) for _ in range(5)]
            hours, answers = numbers[: self.pick(1, 2, 3)], numbers[: self.pick(0, 1)]
            counts = {"decided": len(hours), "answered": len(answers), "crisis": 1, "rejected": 1}
            counts["within_due"] = self.pick(0, len(hours))
            self.add("moderation_totals", day=day, hours=hours, answer_hours=answers, **counts)
