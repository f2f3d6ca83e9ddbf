"""What all factories share."""

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
    """A well-formed sealed value; nothing is in it."""
    token = base64.urlsafe_b64encode(os.urandom(size)).decode().rstrip("=")
    return f"v1.{key}.{token}"


def secret(value: Any = "Мне тревожно по ночам.") -> factory.LazyFunction:
    """A value that is sealed when it reaches its row."""
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


def walk(instance: models.Model, *stops: Mapping[str, Any]) -> None:
    """Save ``instance`` at each stop in turn: its values, the status among them.

    A callable value is called at its stop.
    """
    for stop in stops:
        for name, value in stop.items():
            setattr(instance, name, value() if callable(value) else value)
        instance.save(update_fields=[*stop])


class EntityFactory(factory.django.DjangoModelFactory):
    """Creates a row by the way the database allows.

    A state that no row may be inserted in is reached from its first stop by the allowed moves, so
    ``AppointmentFactory(confirmed=True)`` works like any trait. ``build()`` gives the row as it
    would stand, parents unsaved too, without touching the database.
    """

    # status -> the stops before it; the first is how the row is inserted. Underscored, or
    # factory_boy would take it for a column.
    _steps_before: ClassVar[Mapping[str, Sequence[Mapping[str, Any]]]] = {}

    class Meta:
        abstract = True
        skip_postgeneration_save = True

    @classmethod
    def before_move(cls, instance: Any, stop: Mapping[str, Any]) -> None:
        """Write what the database wants to see before ``instance`` moves to ``stop``."""

    @classmethod
    def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
        # A factory gives seeded parents by key (topic_id); a caller may give the row instead.
        for f in cls._meta.model._meta.concrete_fields:
            if f.is_relation and f.name in kwargs and f.attname in cls._meta.base_declarations:
                kwargs.pop(f.attname, None)
        for f in protected_fields(cls._meta.model):
            if isinstance(kwargs.get(f.name), str):  # as a stranger would write it, or rubbish
                kwargs[f.name] = f.to_python(kwargs[f.name])
        return super()._adjust_kwargs(**kwargs)

    @classmethod
    def _create(cls, model_class: type[models.Model], *args: Any, **kwargs: Any) -> Any:
        stops = cls._steps_before.get(kwargs.get("status", ""), ())
        if not stops:
            return super()._create(model_class, *args, **kwargs)
        first = {k: v() if callable(v) else v for k, v in stops[0].items()}
        instance = super()._create(model_class, *args, **{**kwargs, **first})
        changing = {name for stop in stops for name in stop}
        last = {name: value for name, value in kwargs.items() if name in changing}
        for stop in [*stops[1:], last]:
            cls.before_move(instance, stop)
            walk(instance, stop)
        return instance
