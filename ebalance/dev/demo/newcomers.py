"""People who are new in this month, each with a story of their own."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import partial

from booking.models import Appointment, WaitlistRequest
from booking.services import (
    close_waitlist_request,
    mark_waitlist_request_contacted,
    submit_waitlist_request,
)
from crm.services import record_event
from ebalance.db.encryption.fields import Plaintext

from . import money
from .booking_steps import (
    book,
    cancel,
    expire_later,
    fill_intake,
    finish,
    open_cabinet,
    start_booking,
)
from .world import World

# key: days since they booked, service, day and hour of the session, outcome
FIRST_TALKS = {
    "ksenia": (24, -15, 10, 0, "attended"),
    "pavel": (22, -14, 10, 20, "attended"),
    "veronika": (19, -12, 10, 40, "no_show"),
    "mikhail": (12, -6, 10, 0, "attended"),
}
ANSWERS = {
    "ksenia": {
        "version": 1,
        "request": "Трудно засыпать: прокручиваю прошедший день и жду, что завтра что-то случится.",
        "lasting": "under_half_year",
        "severity": 6,
        "goals": "Научиться останавливать тревожные мысли и высыпаться.",
        "previous_therapy": {"had": False},
        "medication": {"takes": False},
        "safety": {"self_harm_thoughts": "none"},
        "adult_confirmed": True,
    },
    "roman": {
        "version": 1,
        "request": "После повышения постоянно боюсь ошибиться, срываюсь на близких.",
        "lasting": "under_year",
        "severity": 7,
        "previous_therapy": {"had": True},
        "medication": {"takes": False},
        "safety": {"self_harm_thoughts": "none"},
        "adult_confirmed": True,
    },
    "yulia": {
        "version": 1,
        "request": "Мы с мужем перестали слышать друг друга, любой разговор кончается ссорой.",
        "lasting": "over_year",
        "previous_therapy": {"had": False},
        "medication": {"takes": False},
        "safety": {"self_harm_thoughts": "none"},
        "adult_confirmed": True,
    },
    "polina": {"version": 1, "request": "Не могу решиться сменить работу."},
}
# days ago, contact, kind of contact, wanted time, what became of it
WAITLIST = [
    (27, "waiting.one@example.com", "email", "weekday_evening", "closed"),
    (16, "+79000000041", "phone", "weekend", "contacted"),
    (13, "waiting.two@example.com", "email", "weekday_evening", "closed"),
    (5, "5200000042", "telegram", "weekday_morning", "new"),
    (2, "waiting.three@example.com", "email", "any", "new"),
]


def plan(world: World) -> None:
    for key, (days, session, hour, minute, outcome) in FIRST_TALKS.items():
        start = world.on(world.workday(session), hour, minute)
        world.at(world.day(-days, 20, 30), partial(first_talk, world, key, start, outcome))
    for number, day in enumerate((-12, -7, -2, 3)):
        start = world.on(world.workday(day), 16)
        when = world.day(-20, 21) if number == 0 else start - timedelta(days=6, hours=22)
        world.at(when, partial(continue_after_talk, world, "ksenia", start))
    for days, session in ((17, -10), (9, -5)):
        start = world.on(world.workday(session), 12)
        world.at(world.day(-days, 20, 30), partial(pay_at_second_attempt, world, start, days))
    for days, week in ((25, -3), (13, -1)):
        start = world.on(saturday(world, week), 12, 30)
        world.at(world.day(-days, 20, 30), partial(book_as_pair, world, start, week))
    start = world.on(world.workday(-3), 17)
    world.at(world.day(-11, 20, 30), partial(never_pay, world, "kirill", start))
    start = world.on(world.workday(-3), 12)
    world.at(world.day(-9, 20, 30), partial(pay_too_late, world, start))
    start = world.on(world.workday(-5), 18)
    world.at(world.day(-14, 20, 30), partial(cancel_in_time, world, start))
    start = world.on(world.workday(-1), 12)
    world.at(world.day(-7, 20, 30), partial(book_once, world, "polina", start))
    start = world.on(world.workday(6), 15)
    world.at(world.day(-2, 20, 10), partial(wait_for_confirmation, world, start))
    for days, contact, channel, window, end in WAITLIST:
        world.at(
            world.day(-days, 19, 40), partial(ask_to_wait, world, contact, channel, window, end)
        )
    start = world.on(world.workday(2), 10, 20)
    world.at(world.day(-9, 13), partial(book_for_lead, world, start))
    world.at(world.ago(minutes=8), partial(book_now, world), recent=True)


def saturday(world: World, week: int) -> date:
    """-1: the last Saturday before today."""
    back = (world.today.weekday() - 5) % 7 or 7
    return world.today - timedelta(days=back + 7 * (-week - 1))


def first_talk(world: World, key: str, start: datetime, outcome: str) -> None:
    person = world.people[key]
    start_booking(world, person, "first")
    finish(world, book(world, person, "first", start), outcome)


def continue_after_talk(world: World, key: str, start: datetime) -> None:
    person = world.people[key]
    open_cabinet(world, person)
    appointment = book(world, person, "individual", start)
    money.pay(world, appointment, "deposit")
    if not person_has_form(appointment):
        fill_intake(world, appointment, ANSWERS[key], submit=True)
    finish(world, appointment, "attended")
    money.pay_rest_later(world, appointment)


def person_has_form(appointment: Appointment) -> bool:
    earlier = Appointment.objects.filter(client=appointment.client_id)
    return earlier.filter(intake_forms__isnull=False).exists()


def pay_at_second_attempt(world: World, start: datetime, days: int) -> None:
    """Roman's card is declined first; the second time the provider does not answer."""
    person = world.people["roman"]
    start_booking(world, person, "individual")
    appointment = book(world, person, "individual", start)
    if days == 17:
        money.decline(world, appointment, "full", "insufficient_funds")
    else:
        money.break_off(world, appointment, "full", "provider_error")
    world.pass_time(minutes=2)
    money.pay(world, appointment, "full")
    if days == 17:
        fill_intake(world, appointment, ANSWERS["roman"], submit=True)
    finish(world, appointment, "attended")


def book_as_pair(world: World, start: datetime, week: int) -> None:
    person = world.people["yulia"]
    start_booking(world, person, "pair")
    appointment = book(world, person, "pair", start, format="offline")
    if week == -3:
        money.decline(world, appointment, "deposit", "canceled")
    money.pay(world, appointment, "deposit")
    if week == -3:
        fill_intake(world, appointment, ANSWERS["yulia"], submit=True)
        finish(world, appointment, "attended")
        money.pay_rest_later(world, appointment)
        return
    world.at(  # at the practice, by the card terminal
        start + timedelta(minutes=85),
        partial(money.take, world, appointment, "card", outcome="attended"),
    )


def never_pay(world: World, key: str, start: datetime) -> None:
    """The page of the provider was opened and left: the hold expires, the payment stays pending."""
    person = world.people[key]
    start_booking(world, person, "individual")
    money.start(world, book(world, person, "individual", start), "full")
    expire_later(world)


def pay_too_late(world: World, start: datetime) -> None:
    """Evgenia pays after her hold has expired and another client has taken the time."""
    person, other = world.people["evgenia"], world.people["anna2"]
    start_booking(world, person, "individual")
    appointment = book(world, person, "individual", start)
    payment = money.start(world, appointment, "full")
    expire_later(world)

    def book_other() -> None:
        taken = book(world, other, "individual", start)
        money.pay(world, taken, "full")
        finish(world, taken, "attended")

    world.at(world.time + timedelta(minutes=20), book_other)
    late = world.time + timedelta(minutes=35)
    world.at(late, partial(money.deliver_success, world, payment))
    world.at(late + timedelta(hours=14), partial(money.give_back_due, world, appointment))


def cancel_in_time(world: World, start: datetime) -> None:
    person = world.people["artem"]
    start_booking(world, person, "individual")
    appointment = book(world, person, "individual", start)
    money.pay(world, appointment, "full")
    world.at(
        start - timedelta(days=3),
        partial(cancel, world, appointment, by="client", reason=None, refund="paid"),
    )


def book_once(world: World, key: str, start: datetime) -> None:
    person = world.people[key]
    start_booking(world, person, "individual")
    appointment = book(world, person, "individual", start)
    money.pay(world, appointment, "full")
    fill_intake(world, appointment, ANSWERS[key], submit=False)
    finish(world, appointment, "attended")


def wait_for_confirmation(world: World, start: datetime) -> None:
    """Nikita has paid, and the site of release 1.0 has left the confirmation to staff."""
    person = world.people["nikita"]
    start_booking(world, person, "individual")
    appointment = book(world, person, "individual", start)
    payment = money.start(world, appointment, "full")
    world.pass_time(minutes=3)
    payment.status, payment.confirmed_at = "succeeded", world.time
    payment.save(update_fields=["status", "confirmed_at"])
    appointment.status = "paid"
    appointment.save(update_fields=["status"])
    record_event(
        "booking_paid",
        lead=appointment.lead_id,
        user=appointment.client_id,
        properties={
            "payment_provider": "yookassa",
            "amount": payment.amount,
            "currency": "RUB",
            "service_id": appointment.service_id,
        },
        clock=world.clock,
    )


def ask_to_wait(world: World, contact: str, channel: str, window: str, end: str) -> None:
    request = submit_waitlist_request(
        world.services["individual"],
        preferred_contact=channel,
        contact=Plaintext(contact),
        preferred_time_window=window,
        anonymous_id=world.browser(),
        entry_point="seo",
        clock=world.clock,
    )
    world.stamp(request)
    if end != "new":
        world.at(
            world.time + timedelta(hours=18),
            partial(mark_waitlist_request_contacted, request.pk, actor=world.moderator),
        )
    if end == "closed":
        world.at(
            world.time + timedelta(days=3),
            partial(close_waitlist_request, request.pk, actor=world.owner, clock=world.clock),
        )


def book_for_lead(world: World, start: datetime) -> None:
    """Lidia has no account. She left her telephone, and the psychologist books a talk for her."""
    person = world.people["lidia"]
    request = submit_waitlist_request(
        world.services["first"],
        preferred_contact="phone",
        contact=Plaintext(person.phone or ""),
        preferred_time_window="weekday_morning",
        anonymous_id=person.browser,
        entry_point=person.entry_point,
        clock=world.clock,
    )
    world.stamp(request)

    def answer() -> None:
        row = WaitlistRequest.objects.get(pk=request.pk)
        mark_waitlist_request_contacted(row, actor=world.owner)
        book(world, person, "first", start, lead=row.lead)
        close_waitlist_request(row, actor=world.owner, clock=world.clock)

    world.at(world.day(-1, 18), answer)


def book_now(world: World) -> None:
    """Alina is on the page of the provider at this moment."""
    person = world.people["alina"]
    start_booking(world, person, "individual")
    start = world.on(world.workday(2), 16)
    money.start(world, book(world, person, "individual", start), "full")
