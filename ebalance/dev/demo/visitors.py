"""Visitors of the site who stay unknown, and those who follow a link into Telegram."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import NamedTuple

from booking.models import AvailabilitySlot
from crm.models import DeepLink, Lead
from crm.services import record_event
from ebalance.db.encryption.fields import Plaintext

from . import money
from .booking_steps import book, expire_later
from .content import ARTICLES
from .world import Person, World


class Click(NamedTuple):
    """A click on a link into Telegram, and what followed."""

    days: int  # since the click
    subscribed: float | None  # hours after the click
    onboarded: float | None
    is_stopped: bool
    returns: tuple[int, ...]  # days after the click


ORIGINS = ["seo", "telegram", "seo", "direct", "ads", "seo", "referral", "internal"]
TOPICS = ["anxiety", "burnout", "relationships", "anxiety", "boundaries", "selfesteem"]
SERVICES = ["individual", "first", "individual", "pair", "individual"]
SOURCES = {"seo": ("search", "organic"), "ads": ("direct", "cpc"), "telegram": ("tg", "social")}
STARTS, READERS = 24, 25
TELEGRAM = [
    Click(64, 0.1, 0.2, False, (1, 7, 30)),
    Click(43, 0.1, 0.3, False, (1, 30)),
    Click(26, 0.1, 0.2, False, (1, 7, 14)),
    Click(24, 0.2, 0.4, True, (1,)),
    Click(21, None, None, False, ()),
    Click(19, 0.1, 0.3, False, (1, 7)),
    Click(16, 0.5, None, False, (7,)),
    Click(14, None, None, False, ()),
    Click(11, 0.1, 0.2, False, (1, 7)),
    Click(9, 0.3, 1.0, False, (1,)),
    Click(6, 0.1, None, True, ()),
    Click(4, None, None, False, ()),
    Click(2, 0.1, 0.2, False, (1,)),
]
FLOWS = ["plan_7d", "challenge_7d", "save_resource", "ritual", "boundaries"]
FIRST_BOT_ID = 5_200_000_100


def plan(world: World) -> None:
    for number in range(STARTS):
        hour, minute = 9 + world.random.randrange(14), world.random.randrange(60)
        when = world.day(-28 + number * 28 // STARTS, hour, minute)
        world.at(when, partial(start, world, number))
    for number in range(READERS):
        hour, minute = 8 + world.random.randrange(15), world.random.randrange(60)
        when = world.day(-28 + number * 28 // READERS, hour, minute)
        world.at(when, partial(read, world, number))
    for number, click in enumerate(TELEGRAM):
        when = world.day(-click.days, 12 + number % 6, 10)
        world.at(when, partial(follow_link, world, number, click))


def start(world: World, number: int) -> None:
    """Begin to book, and stop: without free times, before a choice, or without paying."""
    origin, topic = ORIGINS[number % len(ORIGINS)], TOPICS[number % len(TOPICS)]
    key = SERVICES[number % len(SERVICES)]
    service = world.services[key]
    browser, session_id = world.browser(), world.uuid()
    utm = SOURCES.get(origin)

    def record(name: str, **properties: object) -> Lead | None:
        world.pass_time(seconds=35)
        return record_event(
            name,
            source="web",
            anonymous_id=browser,
            session_id=session_id,
            properties=properties,
            acquisition={"entry_point": origin},
            utm={"utm_source": utm[0], "utm_medium": utm[1]} if utm else None,
            topic=topic,
            clock=world.clock,
        )

    record("page_view", page_path=f"/services/{service.slug}")
    lead = record(
        "booking_start",
        page_path="/booking",
        entry_point=origin,
        topic=topic,
        **({"service_slug": service.slug} if number % 4 else {}),
    )
    if number % 4 == 1:
        record("show_no_slots", service_slug=service.slug, date_range="next_7d")
    elif number % 4 == 2:
        record(
            "service_selected",
            service_slug=service.slug,
            format="online",
            price_bucket="free" if service.price_amount == 0 else "from_5000",
        )
        if number % 8 == 2:
            record(
                "booking_slot_selected",
                slot_start_at=world.on(world.workday(5), 17),
                timezone=world.zone.key,
                service_slug=service.slug,
                is_public_slots=True,
            )
    elif number % 12 == 3 and lead is not None:
        hold_as_guest(world, lead, browser, origin, topic, number)


def hold_as_guest(
    world: World, lead: Lead, browser: str, origin: str, topic: str, number: int
) -> None:
    """Choose a time without an account, and leave at the payment."""
    person = Person("", None, None, world.zone.key, browser, origin, topic)
    free = AvailabilitySlot.objects.filter(
        service=world.services["individual"],
        status="available",
        start_at_utc__gt=world.time + timedelta(days=1),
    )
    slot = free.order_by("start_at_utc")[0]
    appointment = book(world, person, "individual", slot.start_at_utc, lead=lead)
    category = "unknown" if number == 3 else "timeout"
    money.decline(world, appointment, "full", category)
    expire_later(world)


def read(world: World, number: int) -> None:
    slug = ARTICLES[number % 6].slug
    record_event(
        "page_view",
        source="web",
        anonymous_id=world.browser(),
        session_id=world.uuid(),
        properties={
            "page_path": f"/articles/{slug}",
            "content_type": "article",
            "content_slug": slug,
        },
        acquisition={"entry_point": ORIGINS[number % len(ORIGINS)]},
        clock=world.clock,
    )


def follow_link(world: World, number: int, click: Click) -> None:
    """Click on a link into Telegram, and what the bot reports about it."""
    browser, topic = world.browser(), TOPICS[number % len(TOPICS)]
    flow = FLOWS[number % len(FLOWS)]
    link = f"tg{world.random.getrandbits(40):010x}"
    row = DeepLink.objects.create(
        deep_link_id=link, flow=flow, topic_id=topic, anonymous_id=browser, created_at=world.time
    )
    about = {"tg_target": "bot", "tg_flow": flow, "topic": topic}
    record_event(
        "cta_tg_click",
        source="web",
        anonymous_id=browser,
        session_id=world.uuid(),
        deep_link_id=link,
        properties=about,
        topic=topic,
        clock=world.clock,
    )

    def report(name: str, **properties: object) -> None:
        lead = record_event(
            name,
            source="telegram",
            contact={"telegram": Plaintext(str(FIRST_BOT_ID + number))},
            deep_link_id=link,
            properties=properties,
            topic=topic,
            clock=world.clock,
        )
        if lead is not None and row.lead_id is None:
            row.lead = lead
            row.save(update_fields=["lead"])

    def plan_step(hours: float, name: str, **properties: object) -> None:
        world.at(world.time + timedelta(hours=hours), partial(report, name, **properties))

    if click.subscribed is None:
        return
    plan_step(click.subscribed, "tg_subscribe_confirmed", **about)
    if click.onboarded is not None:
        frequency = "weekly_1_2"
        plan_step(click.onboarded, "tg_onboarding_completed", segment=topic, frequency=frequency)
    for days in click.returns:
        plan_step(24 * days + 1, "tg_interaction", interaction_type="button_click", tg_flow=flow)
    if click.is_stopped:
        plan_step(50, "tg_series_stopped", tg_flow=flow, stop_method="button")
