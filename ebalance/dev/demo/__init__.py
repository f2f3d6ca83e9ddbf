"""Demo data that look like a month of a practice, for development (`make run`) and pictures.

A seed and the day of the practice decide everything but the keys: two loads on one day add the same
people, sessions and figures. The rows are made by the services, with a clock that moves through the
past (``world.World``). One module per domain plans what happens when.

To add a kind of rows, write one function that plans it, and call it in ``load_demo``.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from content.models import ContentItem
from identity.models import User, UserRole

from . import administration, content, interactives, people, questions, sessions, visitors
from .world import World

__all__ = ["active_owner", "load_demo"]


def active_owner() -> User | None:
    """An active user with the role owner, if there is one."""
    roles = UserRole.objects.select_related("user")
    first = roles.filter(role="owner", user__status="active").order_by("granted_at").first()
    return first.user if first else None


@transaction.atomic
def load_demo(*, now: datetime | None = None) -> str:
    """Add demo data unless there is content already; return what was added ("" for nothing).

    Needs the seeds and an active owner, who becomes the psychologist. ``now`` is the time at which
    the data end, at most the current time.
    """
    if ContentItem.objects.exists():
        return ""
    owner = active_owner()
    if owner is None:
        raise LookupError("Demo data need an active owner.")
    world = World(owner, timezone.now() if now is None else now)
    administration.plan(world)
    content.plan(world)
    people.plan(world)
    sessions.plan(world)
    questions.plan(world)
    interactives.plan(world)
    visitors.plan(world)
    world.run()
    return world.summary()
