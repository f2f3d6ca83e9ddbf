"""Sessions of the regular clients: two months back, the last four weeks, and ahead."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from . import money, newcomers
from .booking_steps import book, book_by_telephone, cancel, finish, move, open_cabinet
from .world import World

# key: hour, how they pay, days of the session as World.workday counts them (below 0: before today)
SERIES: dict[str, tuple[int, str, list[int]]] = {
    "anna": (11, "full", [-55, -25, -20, -15, -10, -5, 0]),
    "maria": (12, "full", [-54, -24, -19, -14, -9, -4, 1]),
    "dmitry": (18, "rest", [-38, -23, -18, -13, -8, -3, 2]),
    "elena": (16, "full", [-40, -25, -20, -15, -10, -5, 0]),
    "igor": (11, "rest", [-37, -22, -17, -12, -7, -2, 3]),
    "olga": (15, "full", [-26, -16, -11, -6, -1, 4]),
    "natalia": (17, "transfer", [-14, -4]),
    "sergey": (13, "full", [-23, -18, -8, -3]),
    "anna2": (15, "sbp", [-17, -7, 8]),
    "tatiana": (12, "parts", [-16, -6, 4]),
    "alexey": (15, "full", [-19, -9]),
    "dmitry2": (18, "cash", [-10, 0]),
    "svetlana": (17, "deposit", [-17, -12]),
    "viktor": (14, "full", [-38]),
}
BY_TELEPHONE = ("transfer", "parts")
# How the psychologist takes the rest of the price, after the session.
REST_BY_HAND = {"cash": "cash", "sbp": "sbp", "parts": "cash"}
MONTH = -21  # the working day before the last four weeks
# (key, day): what happened instead of an attended session, and its arguments
INSTEAD: dict[tuple[str, int], tuple[str, dict]] = {
    ("maria", -9): ("canceled", {"by": "client", "reason": None, "hours": 50, "refund": "paid"}),
    ("dmitry", -13): (
        "canceled",
        {"by": "client", "reason": "other", "hours": 10, "refund": "paid"},
    ),
    ("natalia", -4): ("canceled", {"by": "client", "reason": "late_cancel", "hours": 3}),
    ("sergey", -8): (
        "canceled",
        {"by": "provider", "reason": "illness", "hours": 26, "refund": "part"},
    ),
    ("alexey", -9): (
        "canceled",
        {"by": "provider", "reason": "tech_issue", "hours": 2, "refund": "sent"},
    ),
    ("olga", -11): ("moved", {"by": "client", "hours": 40, "day": -10, "hour": 15}),
    ("igor", -7): ("moved", {"by": "provider", "hours": 28, "day": -6, "hour": 13}),
    ("elena", -10): ("no_show", {}),
    ("svetlana", -17): ("no_show", {}),
    ("svetlana", -12): ("no_show", {}),
    ("olga", -1): ("unrecorded", {}),
}


def plan(world: World) -> None:
    for key, (hour, payment, days) in SERIES.items():
        for day in days:
            start = world.on(world.workday(day), hour)
            booked = start - timedelta(days=6, hours=21, minutes=world.random.randrange(50))
            world.at(booked, partial(book_next, world, key, day, start, payment))
    newcomers.plan(world)


def book_next(world: World, key: str, day: int, start: datetime, payment: str) -> None:
    """Book the next session a week before it. INSTEAD has the sessions that did not take place."""
    person = world.people[key]
    if payment in BY_TELEPHONE:
        appointment = book_by_telephone(world, person, "individual", start)
        amount = None if payment == "transfer" else 2000
        world.at(
            world.time + timedelta(hours=5),
            partial(money.take, world, appointment, "transfer", amount),
        )
    else:
        if day > MONTH:
            open_cabinet(world, person)
        appointment = book(world, person, "individual", start)
        money.pay(world, appointment, "full" if payment == "full" else "deposit")
    kind, values = INSTEAD.get((key, day), ("attended", {}))
    if kind == "canceled":
        when = start - timedelta(hours=values["hours"])
        others = {name: value for name, value in values.items() if name != "hours"}
        world.at(when, partial(cancel, world, appointment, **others))
        return
    if kind == "moved":
        new_start = world.on(world.workday(values["day"]), values["hour"])
        when = start - timedelta(hours=values["hours"])
        world.at(
            when,
            partial(move, world, appointment, new_start, by=values["by"], outcome="attended"),
        )
    elif kind == "attended" and payment in REST_BY_HAND:
        method = REST_BY_HAND[payment]
        world.at(
            start + timedelta(minutes=52),
            partial(money.take, world, appointment, method, outcome="attended"),
        )
    elif kind != "unrecorded":
        finish(world, appointment, kind)
    if payment == "rest":
        money.pay_rest_later(world, appointment)
