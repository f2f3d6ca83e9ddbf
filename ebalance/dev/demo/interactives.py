"""A quiz, a thermometer and a navigator, and the runs of visitors."""

from __future__ import annotations

from functools import partial
from typing import Any

from crm.services import record_event
from ebalance.actor import acting_as
from interactive.models import InteractiveDefinition
from interactive.services import abandon_run, complete_run, publish_version, start_run

from .world import World

QUIZ = {
    "intro": "Тест займёт минуту. Ответы не сохраняются.",
    "questions": [
        {
            "id": "tired",
            "text": "Как часто вы чувствуете усталость с утра?",
            "options": [
                {"id": "never", "text": "Никогда", "score": 0},
                {"id": "sometimes", "text": "Иногда", "score": 1},
                {"id": "often", "text": "Часто", "score": 2},
            ],
        },
        {
            "id": "joy",
            "text": "Радует ли вас то, что радовало раньше?",
            "options": [
                {"id": "yes", "text": "Да", "score": 0},
                {"id": "less", "text": "Меньше", "score": 1},
                {"id": "no", "text": "Почти нет", "score": 2},
            ],
        },
    ],
    "thresholds": [
        {"level": "low", "min": 0, "max": 1, "text": "Похоже, силы у вас есть."},
        {"level": "moderate", "min": 2, "max": 3, "text": "Возможно, пора отдохнуть."},
        {"level": "high", "min": 4, "max": 4, "text": "Вам сейчас, кажется, непросто."},
    ],
}
THERMOMETER = {
    "intro": "Отметьте, сколько у вас сил прямо сейчас.",
    "scales": [
        {"id": "body", "text": "Силы в теле", "min": 0, "max": 10},
        {"id": "mood", "text": "Настроение", "min": 0, "max": 10},
    ],
    "thresholds": [
        {"level": "low", "min": 0, "max": 7, "text": "Сил мало. Начните с отдыха."},
        {"level": "moderate", "min": 8, "max": 14, "text": "Силы есть, берегите их."},
        {"level": "high", "min": 15, "max": 20, "text": "У вас хороший запас сил."},
    ],
}
NAVIGATOR = {
    "intro": "Три вопроса, чтобы понять, с чего начать.",
    "start": "now",
    "steps": [
        {
            "id": "now",
            "text": "Что сейчас труднее всего?",
            "choices": [
                {"id": "anxiety", "text": "Тревога", "result": "stabilize_now"},
                {"id": "tired", "text": "Усталость", "result": "restore_energy"},
                {"id": "people", "text": "Отношения с людьми", "next": "people"},
            ],
        },
        {
            "id": "people",
            "text": "Чего хочется больше?",
            "choices": [
                {"id": "say_no", "text": "Научиться отказывать", "result": "boundaries"},
                {"id": "understand", "text": "Понять, чего я хочу", "result": "clarify"},
            ],
        },
    ],
}
# key: kind, slug, title, topic, configuration, events of its start and its end
INTERACTIVES: dict[str, tuple[str, str, str, str, dict[str, Any]]] = {
    "quiz": ("quiz", "test-na-vygoranie", "Тест на выгорание", "burnout", QUIZ),
    "thermometer": ("thermometer", "termometr-sil", "Термометр сил", "burnout", THERMOMETER),
    "navigator": ("navigator", "s-chego-nachat", "С чего начать", "anxiety", NAVIGATOR),
}
PROFILES = ["stabilize_now", "restore_energy", "boundaries", "clarify"]
LEVELS = ["low", "moderate", "moderate", "high", "moderate", "low", "high"]
ORIGINS = ["seo", "seo", "telegram", "direct", "ads", "referral", "internal"]
RUNS = 46


def plan(world: World) -> None:
    definitions: dict[str, InteractiveDefinition] = {}
    world.at(world.day(-94, 11), partial(add_definitions, world, definitions))
    for number in range(RUNS):
        kind = ("quiz", "quiz", "thermometer", "quiz", "navigator")[number % 5]
        hour, minute = 8 + world.random.randrange(15), world.random.randrange(60)
        when = world.day(-28 + number * 28 // RUNS, hour, minute)
        world.at(when, partial(run, world, definitions, kind, number))
    world.at(world.ago(minutes=4), partial(begin_run, world, definitions), recent=True)


def add_definitions(world: World, definitions: dict[str, InteractiveDefinition]) -> None:
    for key, (kind, slug, title, topic, config) in INTERACTIVES.items():
        with acting_as(world.owner):
            row = InteractiveDefinition.objects.create(
                interactive_type=kind, slug=slug, title=title, topic_id=topic
            )
        publish_version(row, config=config, actor=world.owner, clock=world.clock)
        definitions[key] = world.stamp(row)
    with acting_as(world.owner):  # not published yet
        draft = InteractiveDefinition.objects.create(
            interactive_type="ritual",
            slug="vecherniy-ritual",
            title="Вечерний ритуал",
            topic_id="anxiety",
        )
    world.stamp(draft)


def run(
    world: World, definitions: dict[str, InteractiveDefinition], kind: str, number: int
) -> None:
    """A visitor starts; most finish, and some of these go on to booking or to Telegram."""
    browser, session_id = world.browser(), world.uuid()
    page = f"/tests/{definitions[kind].slug}"
    record_event(
        "page_view",
        source="web",
        anonymous_id=browser,
        session_id=session_id,
        properties={"page_path": page},
        clock=world.clock,
    )
    row = start_run(
        definitions[kind],
        anonymous_id=browser,
        session_id=session_id,
        entry_point=ORIGINS[number % len(ORIGINS)],
        clock=world.clock,
    )
    seconds = 40 + world.random.randrange(200)
    world.pass_time(seconds=seconds)
    if number % 6 == 5:
        is_crisis = number == 29
        abandon_run(row, crisis_trigger_type="self_harm" if is_crisis else None)
        return
    if number == 44:
        complete_run(
            row, crisis_trigger_type="panic_like", duration_ms=seconds * 1000, clock=world.clock
        )
        return
    result: dict[str, str]
    if kind == "navigator":
        result = {"result_profile": PROFILES[number // 5 % len(PROFILES)]}
    else:
        result = {"result_level": LEVELS[number % len(LEVELS)]}
    complete_run(row, duration_ms=seconds * 1000, clock=world.clock, **result)
    if number % 3 == 0:
        world.pass_time(seconds=25)
        record_event(
            "cta_click",
            source="web",
            anonymous_id=browser,
            session_id=session_id,
            properties={
                "cta_id": "after_result",
                "cta_target": "telegram" if number % 2 else "booking",
                "page_path": page,
            },
            clock=world.clock,
        )


def begin_run(world: World, definitions: dict[str, InteractiveDefinition]) -> None:
    """A visitor answers the quiz at this moment."""
    start_run(
        definitions["quiz"],
        anonymous_id=world.browser(),
        session_id=world.uuid(),
        entry_point="seo",
        clock=world.clock,
    )
