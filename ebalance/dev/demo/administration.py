"""The services on offer, the working hours, a template and the settings."""

from __future__ import annotations

from datetime import date, time, timedelta
from functools import partial

from audit.models import MessageTemplate, SystemSetting
from booking.models import AvailabilitySlot, ScheduleRule, Service
from booking.services import block_slot, close_period, generate_slots, open_period
from content.services import publish
from ebalance.actor import acting_as

from .world import World

REFUNDS = {"cancel_free_hours": 24, "cancel_partial_hours": 6}
MOVES = {"reschedule_min_hours": 12, "reschedule_max_count": 2}
SERVICES = {
    "individual": {
        "slug": "individualnaya-konsultaciya",
        "title": "Индивидуальная консультация",
        "description_markdown": (
            "Встреча с психологом один на один, 50 минут, по видеосвязи.\n\n"
            "На первой встрече мы обсуждаем запрос и договариваемся, как будем работать."
        ),
        "format": "online",
        "duration_minutes": 50,
        "price_amount": 5000,
        "deposit_amount": 1000,
        "position": 2,
        **REFUNDS,
        **MOVES,
    },
    "pair": {
        "slug": "konsultaciya-dlya-pary",
        "title": "Консультация для пары",
        "description_markdown": (
            "Встреча для двоих, 80 минут, по видеосвязи или в кабинете.\n\n"
            "Подходит, когда разговор дома раз за разом заходит в тупик."
        ),
        "format": "hybrid",
        "offline_address": "Москва, Примерная улица, 5, кабинет 12",
        "duration_minutes": 80,
        "price_amount": 8000,
        "deposit_amount": 2000,
        "topic_id": "relationships",
        "position": 3,
        **REFUNDS,
        **MOVES,
    },
    "first": {
        "slug": "pervoe-znakomstvo",
        "title": "Первое знакомство",
        "description_markdown": (
            "Бесплатный разговор на 15 минут: познакомиться, задать вопросы и понять, "
            "подходим ли мы друг другу."
        ),
        "format": "online",
        "duration_minutes": 15,
        "price_amount": 0,
        "position": 1,
        **MOVES,
    },
}
# service: weekdays, the hours of each, and the break
HOURS = [
    ("first", range(1, 6), time(10), time(11), 5),
    ("individual", range(1, 6), time(11), time(14), 10),
    ("individual", range(1, 6), time(15), time(19), 10),
    ("pair", range(6, 7), time(11), time(15, 30), 10),
]
WEEKS_BACK, WEEKS_AHEAD = 6, 2


def plan(world: World) -> None:
    world.at(world.day(-100, 10), partial(add_settings, world))
    world.at(world.day(-95, 10), partial(add_services, world))
    first = world.today - timedelta(weeks=WEEKS_BACK)
    world.at(world.on(first, 6), partial(add_working_hours, world, first))
    world.at(world.day(-3, 12, 40), partial(block_free_hour, world))
    world.at(world.day(-2, 17), partial(add_exceptions, world))


def add_settings(world: World) -> None:
    with acting_as(world.owner):
        template = MessageTemplate.objects.create(
            channel="email", category="booking", name="Подтверждение записи"
        )
        template.versions.create(
            version=1,
            subject="Вы записаны на консультацию",
            body_markdown="Здравствуйте! Ждём вас в назначенное время.",
            updated_by=world.owner,
        )
        template.status, template.active_version = "active", 1
        template.save()
        SystemSetting.objects.create(key="hold_minutes", value=15, updated_by=world.owner)


def add_services(world: World) -> None:
    for key, values in SERVICES.items():
        with acting_as(world.owner):
            service = Service.objects.create(**values)
        publish(service, actor=world.owner, clock=world.clock)
        world.services[key] = world.stamp(service)


def add_working_hours(world: World, first: date) -> None:
    for key, weekdays, start, end, buffer in HOURS:
        for weekday in weekdays:
            ScheduleRule.objects.create(
                service=world.services[key],
                weekday=weekday,
                start_local=start,
                end_local=end,
                timezone=world.zone.key,
                recurrence="weekly",
                valid_from=first,
                buffer_minutes=buffer,
            )
    generate_slots(first, world.today + timedelta(weeks=WEEKS_AHEAD), clock=world.clock)
    for slot in AvailabilitySlot.objects.only("pk"):
        world.stamp(slot)


def block_free_hour(world: World) -> None:
    """The psychologist keeps an hour of the next week for supervision."""
    free = AvailabilitySlot.objects.filter(
        service=world.services["individual"],
        status="available",
        start_at_utc__gte=world.on(world.workday(5), 13),
    )
    if slot := free.order_by("start_at_utc").first():
        block_slot(slot, actor=world.owner)


def add_exceptions(world: World) -> None:
    """A Saturday off for a seminar, and an evening with extra hours instead."""
    saturday = world.today + timedelta(days=(4 - world.today.weekday()) % 7 + 8)
    closed = close_period(
        saturday,
        saturday,
        timezone=world.zone.key,
        note="Учебный семинар",
        actor=world.owner,
        clock=world.clock,
    )
    evening = world.workday(7)
    opened = open_period(
        evening,
        evening,
        timezone=world.zone.key,
        start_local=time(19, 30),
        end_local=time(21, 15),
        service=world.services["individual"],
        note="Вместо субботы",
        actor=world.owner,
        clock=world.clock,
    )
    extra = AvailabilitySlot.objects.filter(schedule_exception_id=opened.exception.pk)
    for row in (closed.exception, opened.exception, *extra):
        world.stamp(row)
