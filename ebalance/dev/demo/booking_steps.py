"""Steps of a session of the demo data, each at the time of the simulated clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from booking.models import Appointment, AvailabilitySlot, IntakeForm
from booking.services import (
    book_appointment,
    book_for_client,
    cancel_appointment,
    expire_holds,
    record_outcome,
    reschedule_appointment,
    save_intake_draft,
    submit_intake_form,
)
from crm.models import Lead
from crm.services import record_event
from ebalance.db.encryption.fields import Plaintext

from . import money
from .world import Person, World

HOLD = timedelta(minutes=16)  # a little longer than a hold


def open_cabinet(world: World, person: Person) -> None:
    record_event(
        "lk_opened",
        source="web",
        user=person.user,
        anonymous_id=person.browser,
        properties={"page_path": "/lk"},
        clock=world.clock,
    )
    world.pass_time(seconds=50)


def start_booking(world: World, person: Person, service: str) -> None:
    """The person looks at the service and begins to book, not logged in yet."""
    session_id = world.uuid()
    slug = world.services[service].slug
    for name, properties in (
        ("page_view", {"page_path": f"/services/{slug}"}),
        (
            "booking_start",
            {
                "page_path": "/booking",
                "entry_point": person.entry_point,
                "topic": person.topic,
                "service_slug": slug,
            },
        ),
    ):
        record_event(
            name,
            source="web",
            anonymous_id=person.browser,
            session_id=session_id,
            properties=properties,
            acquisition={"entry_point": person.entry_point},
            topic=person.topic,
            clock=world.clock,
        )
        world.pass_time(seconds=45)


def book(
    world: World,
    person: Person,
    service: str,
    start: datetime,
    *,
    lead: Lead | None = None,
    format: str = "online",
) -> Appointment:
    """Book an offered time as the client. The psychologist books any other time for them."""
    offered = AvailabilitySlot.objects.filter(
        service=world.services[service], status="available", start_at_utc=start
    )
    by_owner: dict[str, Any] = {"override": True, "actor": world.owner}
    if offered.exists():
        by_owner = {}
    appointment = book_appointment(
        world.services[service],
        client_request_id=f"demo-{world.uuid()}",
        start=start,
        client=person.user,
        lead=lead,
        timezone=person.zone,
        format=format,
        topic=person.topic,
        entry_point=person.entry_point,
        anonymous_id=person.browser,
        session_id=world.uuid(),
        clock=world.clock,
        **by_owner,
    )
    world.stamp(appointment)
    world.pass_time(seconds=30)
    return appointment


def book_by_telephone(world: World, person: Person, service: str, start: datetime) -> Appointment:
    """The client calls, and the psychologist keeps the time for a day without a payment."""
    appointment = book_for_client(
        world.services[service],
        client_request_id=f"demo-{world.uuid()}",
        start=start,
        client=person.account,
        timezone=person.zone,
        format="online",
        topic=person.topic,
        override=True,
        actor=world.owner,
        clock=world.clock,
    )
    return world.stamp(appointment)


def expire_later(world: World) -> None:
    world.at(world.time + HOLD, partial(expire_holds, clock=world.clock))


def finish(world: World, appointment: Appointment, outcome: str) -> None:
    """Record the outcome shortly after the session, for whichever row the session has by then."""
    by = world.owner if world.random.random() < 0.8 else world.moderator
    world.at(
        appointment.end_at_utc + timedelta(minutes=8),
        partial(record_outcome, appointment.pk, outcome=outcome, actor=by, clock=world.clock),
    )


def cancel(
    world: World,
    appointment: Appointment,
    *,
    by: str,
    reason: str | None,
    refund: str | None = None,
) -> None:
    """Cancel; ``refund``: what happens to the money that is due: paid, part, sent or None."""
    actor = world.owner if by == "provider" else None
    canceled = cancel_appointment(
        appointment.pk, by=by, reason_category=reason, actor=actor, clock=world.clock
    )
    if refund == "paid":
        money.refund_later(world, canceled.appointment, hours=20)
    elif refund == "part":
        when = world.time + timedelta(hours=30)
        world.at(when, partial(money.give_back_part, world, canceled.appointment, 3000))
    elif refund == "sent":
        when = world.time + timedelta(hours=3)
        world.at(when, partial(money.ask_for_refund, world, canceled.appointment))


def move(world: World, appointment: Appointment, start: datetime, *, by: str, outcome: str) -> None:
    """Move the session and record its outcome after the new time."""
    is_provider = by == "provider"
    moved = reschedule_appointment(
        appointment.pk,
        start=start,
        by=by,
        override=is_provider,
        actor=world.owner if is_provider else None,
        clock=world.clock,
    )
    finish(world, world.stamp(moved), outcome)


def fill_intake(world: World, appointment: Appointment, answers: dict, *, submit: bool) -> None:
    form = save_intake_draft(appointment.pk, payload=Plaintext(answers), clock=world.clock)
    # A submitted form does not change any more, so this is not left to the end.
    IntakeForm.objects.filter(pk=form.pk).update(created_at=world.time)
    if submit:
        world.pass_time(minutes=7)
        submit_intake_form(form, clock=world.clock)
