"""Shared parts of the factories."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import factory
from django.db import models
from django.utils import timezone

from ebalance.db.encryption.fields import Plaintext, protected_fields

ZONE = "Europe/Moscow"


def sealed(key: str = "k1", size: int = 48) -> str:
    """A well-formed sealed value without content."""
    token = base64.urlsafe_b64encode(os.urandom(size)).decode().rstrip("=")
    return f"v1.{key}.{token}"


def secret(value: Any = "Мне тревожно по ночам.") -> factory.LazyFunction:
    """A value that is sealed when it is assigned to its row."""
    return factory.LazyFunction(lambda: Plaintext(value() if callable(value) else value))


def blind_index(key: str = "k1") -> str:
    return sealed(key, 32)


def ago(**delta: float) -> datetime:
    return timezone.now() - timedelta(**delta)


def ahead(**delta: float) -> datetime:
    return timezone.now() + timedelta(**delta)


def now() -> factory.LazyFunction:
    return factory.LazyFunction(timezone.now)


def today() -> factory.LazyFunction:
    return factory.LazyFunction(timezone.localdate)


FINAL = object()  # in a step: the value that the row ends with


def walk(instance: models.Model, *steps: Mapping[str, Any]) -> None:
    """Save ``instance`` with the values of each step in turn.

    A callable value is called at its step.
    """
    for step in steps:
        for name, value in step.items():
            setattr(instance, name, value() if callable(value) else value)
        instance.save(update_fields=[*step])


class EntityFactory(factory.django.DjangoModelFactory):
    """Create a row through the transitions that the database allows.

    A row that may not be inserted in a state is inserted in an earlier one and moved step by step,
    so ``AppointmentFactory(confirmed=True)`` works like any trait. ``build()`` returns the row in
    its final state with unsaved parents, without access to the database.
    """

    # status -> the steps before it; the row is inserted with the first one. The underscore keeps
    # factory_boy from taking the name for a column.
    _steps_before: ClassVar[Mapping[str, Sequence[Mapping[str, Any]]]] = {}

    class Meta:
        abstract = True
        skip_postgeneration_save = True

    @classmethod
    def before_move(cls, instance: Any, step: Mapping[str, Any]) -> None:
        """Write the rows that ``instance`` needs before it moves to ``step``."""

    @classmethod
    def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
        # A factory sets seeded parents by key (topic_id); a caller may pass the row instead.
        for f in cls._meta.model._meta.concrete_fields:
            if f.is_relation and f.name in kwargs and f.attname in cls._meta.base_declarations:
                kwargs.pop(f.attname, None)
        for f in protected_fields(cls._meta.model):
            if isinstance(kwargs.get(f.name), str):  # a sealed text, or an invalid one
                kwargs[f.name] = f.to_python(kwargs[f.name])
        return super()._adjust_kwargs(**kwargs)

    @classmethod
    def _create(cls, model_class: type[models.Model], *args: Any, **kwargs: Any) -> Any:
        steps = [
            {name: kwargs.get(name) if value is FINAL else value for name, value in step.items()}
            for step in cls._steps_before.get(kwargs.get("status", ""), ())
        ]
        if not steps:
            return super()._create(model_class, *args, **kwargs)
        first = {k: v() if callable(v) else v for k, v in steps[0].items()}
        instance = super()._create(model_class, *args, **{**kwargs, **first})
        changing = {name for step in steps for name in step}
        last = {name: value for name, value in kwargs.items() if name in changing}
        for step in [*steps[1:], last]:
            cls.before_move(instance, step)
            walk(instance, step)
        return instance
