"""Checks of the values that callers pass to several services of booking."""

from __future__ import annotations

import re

from django.contrib.postgres.fields import ArrayField
from django.db.models import Func, TextField, Value

from content.models import Topic
from ebalance.db import zones
from ebalance.db.sets import EntryPoint
from ebalance.services import (
    InvalidInput,
    NotFound,
    NotPermitted,
    RowOrKey,
    get_or_refuse,
    lock_or_refuse,
    parse_bool,
    parse_opaque_id,
    parse_optional_choice,
    pk_of,
    require_permission,
)
from identity.models import User

from ..errors import ClientUnavailable, FormatUnsuitable, ServiceUnavailable, ZoneUnknown
from ..models import Service

MAX_AMOUNT = 1_000_000_000  # roubles; the limit of an int in events.json


def parse_text(value: object, pattern: re.Pattern[str], longest: int, field: str) -> str:
    """A text of this form, of at most ``longest`` characters. Raises InvalidInput."""
    if not isinstance(value, str) or len(value) > longest or not pattern.fullmatch(value):
        raise InvalidInput(field=field)
    return value


def check_origin(deep_link_id: object, entry_point: object) -> None:
    """Raises InvalidInput."""
    parse_opaque_id(deep_link_id, "deep_link_id")
    parse_optional_choice(entry_point, EntryPoint, "entry_point")


def get_service(
    service: RowOrKey[Service], *, timezone: str, format: str, published: bool = True
) -> tuple[Service, str]:
    """Read the service again, and in the same query the name under which the zone is stored.

    With ``published`` the service must be published, and offered in ``format``. Raises
    ServiceUnavailable, FormatUnsuitable, ZoneUnknown, NotFound.
    """
    if not isinstance(timezone, str):
        raise ZoneUnknown(field="timezone")
    names = Value(zones.list_names(timezone), ArrayField(TextField()))
    known = Func(names, function="find_time_zone", output_field=TextField())
    row = get_or_refuse(Service.objects.annotate(zone=known), service)
    if published and row.status != "published":
        raise ServiceUnavailable(service=row.pk)
    zone = vars(row).pop("zone")
    if zone is None:
        raise ZoneUnknown(field="timezone")
    allowed = ("online", "offline") if row.format == "hybrid" else (row.format,)
    if published and format not in allowed:
        raise FormatUnsuitable(field="format")
    return row, zone


def get_topic(topic: Topic | str) -> Topic:
    """Raises NotFound."""
    code = pk_of(topic)
    if not isinstance(code, str):
        raise NotFound(what="topic")
    return get_or_refuse(Topic.objects.all(), code)


def get_active_client(client: RowOrKey[User], *, lock: bool = False) -> User:
    """Raises ClientUnavailable for a blocked or deleted account, NotFound."""
    read = lock_or_refuse if lock else get_or_refuse
    person = read(User.objects.all(), client)
    if person.status != "active":
        raise ClientUnavailable(client=person.pk)
    return person


def require_override_right(override: object, actor: User | None) -> None:
    """Only a named person who may change appointments overrides. Raises NotPermitted."""
    if parse_bool(override, "override"):
        require_named(actor, "booking.change_appointment")


def require_named(actor: User | None, permission: str) -> None:
    """Raises NotPermitted unless ``actor`` is a person who has ``permission``."""
    if actor is None:
        raise NotPermitted(permission=permission)
    require_permission(actor, permission)


def parse_roubles(value: object, field: str = "amount") -> int:
    """An amount that staff enter: whole roubles, from 1 to MAX_AMOUNT. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_AMOUNT:
        raise InvalidInput(field=field)
    return value
