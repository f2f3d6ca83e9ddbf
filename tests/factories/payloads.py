"""A payload of each schema of diaries and intake forms, with every answer given."""

from __future__ import annotations

from typing import Any

PAYLOADS: dict[str, dict[str, Any]] = {
    "diary_emotions": {
        "version": 1,
        "emotions": [{"name": "тревога", "intensity": 8}, {"name": "злость 😡", "intensity": 0}],
        "situation": "Позвонили с работы.\nБыла ночь.",
        "thoughts": "Меня уволят",
        "body_sensations": "Ком в горле",
        "behaviour": "Лежу и смотрю в потолок",
        "needs": "Покой",
        "helped": "Дыхание",
    },
    "diary_abc": {
        "version": 1,
        "activating_event": "Начальник не поздоровался",
        "beliefs": [{"thought": "Он мной недоволен", "conviction_before": 90}],
        "consequences": {
            "emotions": [{"name": "страх", "intensity_before": 9, "intensity_after": 4}],
            "body_sensations": "Дрожь",
            "behaviour": "Не пошёл обедать",
        },
        "distortions": ["mind_reading", "catastrophising"],
        "dispute": {"evidence_for": "", "evidence_against": "Вчера хвалил"},
        "alternative": "Он мог меня не заметить",
        "next_step": "Поздороваться самому",
    },
    "diary_sleep_energy": {
        "version": 1,
        "sleep": {
            "bed_time": "23:45",
            "fell_asleep_minutes": 40,
            "wake_time": "06:30",
            "rise_time": "07:00",
            "duration_minutes": 365,
            "awakenings": 2,
            "awake_minutes": 30,
            "quality": 4,
            "dreams": "Экзамен",
        },
        "naps": [{"start_time": "14:00", "minutes": 20}],
        "energy": {"morning": 3, "afternoon": 6, "evening": 2},
        "caffeine": {"cups": 3, "last_time": "16:20"},
        "alcohol": False,
        "activity_minutes": 45,
        "gave_energy": "Прогулка",
        "took_energy": "Совещание",
        "note": "",
    },
    "diary_gratitude": {
        "version": 1,
        "items": [{"text": "Маме за звонок", "why": "Давно не говорили"}],
        "good_deed": "Лёг вовремя",
        "mood": 7,
        "note": "Дождь кончился",
    },
    "intake": {
        "version": 1,
        "request": "Не могу уснуть",
        "lasting": "under_year",
        "severity": 7,
        "goals": "Спать",
        "expectations": "Не знаю",
        "previous_therapy": {"had": True, "details": "Два года назад"},
        "medication": {"takes": False, "details": ""},
        "health": "Мигрени",
        "support": "Сестра",
        "safety": {"self_harm_thoughts": "past", "in_danger": False, "details": "В юности"},
        "contact_preference": "telegram",
        "form_of_address": "formal",
        "adult_confirmed": True,
        "note": "Спасибо",
    },
}
