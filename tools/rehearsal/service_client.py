"""A program of a release: it calls the services. Started by tools/rehearse.py:

    python tools/rehearsal/service_client.py JOURNAL NUMBER OF

in the folder of the release, with DATABASE_URL. Client NUMBER of OF uses its own share of the slots
and people, so no booking is refused. The release's own copy of this file is run if it has one.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import django
from journal import Journal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")
sys.path.insert(0, os.getcwd())
django.setup()

from django.utils import timezone  # noqa: E402

from booking.models import AvailabilitySlot, Service  # noqa: E402
from booking.services import (  # noqa: E402
    attach_provider_id,
    book_appointment,
    cancel_appointment,
    receive_webhook,
    start_payment,
)
from crm.services import record_event  # noqa: E402
from ebalance.db.encryption.fields import Plaintext  # noqa: E402
from identity.models import User  # noqa: E402
from ugc.services import write_diary_entry  # noqa: E402

PAYLOAD = {"version": 1, "emotions": [{"name": "calm", "intensity": 3}], "situation": "a walk"}
EVENTS = {
    "page_view": {"page_path": "/articles"},
    "booking_start": {"page_path": "/services", "entry_point": "seo"},
}
MOST = 5000  # slots and people of all clients


class Program:
    """Does one round of work after another; each call of a service is an operation."""

    def __init__(self, journal: Journal, number: int, of: int) -> None:
        self.journal, self.number = journal, number
        tomorrow = timezone.now() + timedelta(days=1)
        slots = AvailabilitySlot.objects.filter(start_at_utc__gt=tomorrow).order_by("start_at_utc")
        people = User.objects.order_by("pk")
        # A canceled appointment gives its slot back, so they are used again.
        self.slot, self.person = (
            itertools.cycle(
                key for key in rows.values_list("pk", flat=True)[:MOST] if key.int % of == number
            )
            for rows in (slots, people)
        )
        self.service = Service.objects.filter(status="published").order_by("slug")[number]

    def run(self) -> None:
        while self.journal.is_open():
            self.book()
            self.record()
            self.write_diary()
            self.set_price()

    def call(self, name: str, function: Callable[[], Any]) -> Any:
        """The result of a service, or None after a failure."""
        results: list[Any] = []
        self.journal.run(f"service {name}", lambda: results.append(function()))
        return results[0] if results else None

    def book(self) -> None:
        """A session is booked, paid, confirmed by its payment, and canceled."""
        key = f"rehearsal-{uuid4()}"
        appointment = self.call(
            "book_appointment",
            lambda: book_appointment(
                self.service,
                slot=next(self.slot),
                client=next(self.person),
                client_request_id=key,
                timezone="Europe/Moscow",
                format="online",
            ),
        )
        payment = appointment and self.call(
            "start_payment",
            lambda: start_payment(appointment, purpose="full", idempotency_key=key),
        )
        if payment:
            self.call(
                "attach_provider_id", lambda: attach_provider_id(payment, provider_payment_id=key)
            )
            self.call(
                "receive_webhook",
                lambda: receive_webhook(
                    event_type="payment.succeeded",
                    provider_payment_id=key,
                    amount=f"{payment.amount}.00",
                    currency="RUB",
                ),
            )
        if appointment:
            self.call("cancel_appointment", lambda: cancel_appointment(appointment, by="provider"))

    def record(self) -> None:
        """A visitor reads a page, then becomes a lead."""
        browser = f"browser-{uuid4()}"
        for event, properties in EVENTS.items():
            self.call(
                f"record_event({event})",
                partial(
                    record_event,
                    event,
                    source="web",
                    anonymous_id=browser,
                    properties=properties,
                ),
            )

    def write_diary(self) -> None:
        self.call(
            "write_diary_entry",
            lambda: write_diary_entry(
                user=next(self.person),
                diary_type="emotions",
                entry_date=timezone.localdate(),
                payload=Plaintext(PAYLOAD),
            ),
        )

    def set_price(self) -> None:
        def save() -> None:
            service = Service.objects.get(pk=self.service.pk)
            service.price_amount = 4000 + (service.price_amount + 7) % 1000
            service.save()

        self.call("save of a price", save)


def main(path: str, number: str, of: str) -> None:
    journal = Journal(Path(path))
    Program(journal, int(number), int(of)).run()
    journal.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
