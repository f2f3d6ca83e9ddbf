"""A valid configuration of each kind, with every optional key."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

QUIZ = {
    "intro": "Займёт две минуты.",
    "questions": [
        {
            "id": "q1",
            "text": "Как часто вы чувствуете усталость с утра?",
            "options": [
                {"id": "never", "text": "Никогда", "score": 0},
                {"id": "often", "text": "Часто", "score": 2},
            ],
        },
        {
            "id": "q2",
            "text": "Что из этого про вас?",
            "multiple": True,
            "options": [
                {"id": "never", "text": "Высыпаюсь", "score": -1},
                {"id": "sleep", "text": "Плохо сплю", "score": 1},
                {"id": "anger", "text": "Злюсь", "score": 2},
            ],
        },
    ],
    "thresholds": [
        {"level": "low", "min": -1, "max": 1, "title": "Всё спокойно", "text": "Так держать."},
        {"level": "high", "min": 4, "max": 5},
        {"level": "moderate", "min": 2, "max": 3},
    ],
}
THERMOMETER = {
    "intro": "Отметьте, как сейчас.",
    "scales": [
        {"id": "body", "text": "Тело", "min": 0, "max": 10, "min_label": "нет", "max_label": "да"},
        {"id": "mood", "text": "Настроение", "min": -5, "max": 5},
    ],
    "thresholds": [{"level": "low", "min": -5, "max": 4}, {"level": "high", "min": 5, "max": 15}],
}
NAVIGATOR = {
    "intro": "Несколько вопросов.",
    "start": "first",
    "steps": [
        {
            "id": "last",
            "text": "Есть ли силы?",
            "choices": [
                {"id": "yes", "text": "Да", "result": "clarify"},
                {"id": "no", "text": "Нет", "result": "restore_energy"},
            ],
        },
        {
            "id": "first",
            "text": "Вам сейчас плохо?",
            "choices": [
                {"id": "yes", "text": "Очень", "result": "stabilize_now"},
                {"id": "no", "text": "Терпимо", "next": "last"},
            ],
        },
    ],
    "results": [
        {"profile": "clarify", "title": "Разобраться", "text": "С чего начать."},
        {"profile": "restore_energy", "text": "Отдых."},
        {"profile": "stabilize_now", "text": "Дыхание."},
    ],
}
BOUNDARIES = {
    "intro": "Фразы, которые можно взять с собой.",
    "scenarios": [
        {
            "scenario": "work",
            "title": "На работе",
            "variants": [
                {"id": "w1", "tone": "soft", "goal": "say_no", "text": "Мне нужно подумать."},
                {"id": "w2", "tone": "firm", "text": "Нет."},
            ],
        },
        {"scenario": "family", "variants": [{"id": "f1", "tone": "soft", "text": "Я устала."}]},
    ],
}
PREP = {
    "intro": "Подумайте до встречи.",
    "questions": [
        {"id": "why", "text": "Что привело?", "hint": "Своими словами."},
        {"id": "aim", "text": "Что изменится?"},
    ],
}
RITUAL = {
    "intro": "Пять минут.",
    "steps": [
        {"id": "sit", "title": "Сядьте", "text": "Удобно.", "seconds": 60},
        {"id": "breathe", "text": "Дышите."},
    ],
}

SAMPLES: dict[str, dict[str, Any]] = {
    "quiz": QUIZ,
    "navigator": NAVIGATOR,
    "thermometer": THERMOMETER,
    "boundaries": BOUNDARIES,
    "prep": PREP,
    "ritual": RITUAL,
}


def sample(kind: str) -> dict[str, Any]:
    return deepcopy(SAMPLES[kind])
