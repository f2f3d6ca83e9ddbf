"""Interactives, their versions, runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import factory

from interactive.models import (
    InteractiveDefinition,
    InteractiveRun,
    InteractiveRunTotal,
    InteractiveVersion,
)
from tests.interactive.samples import sample

from .base import EntityFactory, ago, now, today
from .identity import UserFactory

DRAFT = {"status": "draft", "published_at": None, "published_version": None}


class InteractiveDefinitionFactory(EntityFactory):
    interactive_type = "quiz"
    slug = factory.Sequence(lambda n: f"test-na-vygoranie-{n}")
    title = factory.Sequence(lambda n: f"Тест на выгорание {n}")
    topic_id = "burnout"

    _steps_before = {"published": [DRAFT]}

    class Meta:
        model = InteractiveDefinition

    class Params:
        published = factory.Trait(status="published", published_at=now(), published_version=1)
        archived = factory.Trait(status="archived", published_at=now())

    @classmethod
    def before_move(cls, instance: InteractiveDefinition, step: Mapping[str, Any]) -> None:
        if step.get("published_version"):
            InteractiveVersionFactory(
                interactive_definition=instance, version=step["published_version"]
            )


class InteractiveVersionFactory(EntityFactory):
    interactive_definition = factory.SubFactory(InteractiveDefinitionFactory)
    version = factory.Sequence(lambda n: n + 1)
    config = factory.LazyAttribute(
        lambda version: sample(version.interactive_definition.interactive_type)
    )
    created_by = factory.SubFactory(UserFactory)

    class Meta:
        model = InteractiveVersion


class InteractiveRunFactory(EntityFactory):
    interactive_definition = factory.SubFactory(InteractiveDefinitionFactory)
    definition_version = 1
    anonymous_id = factory.Sequence(lambda n: f"visitor-{n:06d}")
    entry_point = "seo"

    class Meta:
        model = InteractiveRun

    class Params:
        completed = factory.Trait(
            status="completed",
            started_at=factory.LazyFunction(lambda: ago(minutes=5)),
            completed_at=now(),
            result_level="moderate",
            duration_ms=300_000,
        )
        abandoned = factory.Trait(status="abandoned")
        of_user = factory.Trait(anonymous_id=None, user=factory.SubFactory(UserFactory))
        crisis = factory.Trait(crisis_triggered=True, crisis_trigger_type="panic_like")


class InteractiveRunTotalFactory(EntityFactory):
    # One that cannot meet another: a total is there once.
    interactive_definition = factory.SubFactory(InteractiveDefinitionFactory)
    day = today()
    status = "completed"
    result_level = "moderate"
    entry_point = "seo"
    crisis_triggered = False
    runs = 3
    timed_runs = 2
    duration_ms = 540_000

    class Meta:
        model = InteractiveRunTotal
