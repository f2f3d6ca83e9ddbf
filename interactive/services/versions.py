"""Publication of interactives. ``content.services`` has the other changes of status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Max
from django.utils import timezone

from content.services.publication import lock_to_change, needs_transition, write_publication
from ebalance.services import Clock, RowOrKey, refresh, transactional
from identity.models import User

from .. import configs
from ..errors import ConfigInvalid
from ..models import InteractiveDefinition, InteractiveVersion


@transactional
def publish_version(
    definition: RowOrKey[InteractiveDefinition],
    *,
    config: Mapping[str, Any],
    actor: User | None = None,
    clock: Clock = timezone.now,
) -> InteractiveVersion:
    """Publish the configuration as an immutable version with the next number.

    Returns the version. The published configuration again creates no new version. Locks the
    definition. Raises NotFound, NotPermitted, ConfigInvalid, and TransitionRefused for an archived
    interactive.
    """
    row = lock_to_change(InteractiveDefinition, definition, actor)
    plain = configs.as_json(config)
    if plain is None:
        raise ConfigInvalid(problems=[configs.Problem("not_json", configs.path())])
    if problems := configs.problems(row.interactive_type, plain):
        raise ConfigInvalid(problems=problems)
    is_changed = needs_transition(row, "published", row.published_from)
    version = row.version_numbered(row.published_version)
    if version is None or version.config != plain:
        version = add_version(row, plain, actor)
        is_changed = True
    if is_changed:
        write_publication(row, actor, clock, published_version=version.version)
    refresh(definition, row)
    return version


def add_version(
    locked: InteractiveDefinition, config: configs.Config, actor: User | None
) -> InteractiveVersion:
    newest = locked.versions.aggregate(number=Max("version"))["number"] or 0
    return locked.versions.create(version=newest + 1, config=config, created_by=actor)
