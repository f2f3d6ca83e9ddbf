"""Helpers of the tests of messages: people who agreed, templates, messages that are due."""

from __future__ import annotations

from typing import Any

from audit.models import MessageTemplate
from booking.models import Appointment, MessageDelivery
from identity.models import User
from tests.factories import (
    AppointmentFactory,
    ConsentFactory,
    MessageDeliveryFactory,
    MessageTemplateFactory,
    UserFactory,
)
from tests.factories.base import ago

PURPOSES = {"email": "communications", "telegram": "telegram"}


def agreed_user(*channels: str, **values: Any) -> User:
    """A person who agreed to messages by these channels a week ago; by e-mail without one."""
    user = UserFactory(**values)
    for channel in channels or ("email",):
        ConsentFactory(user=user, consent_type=PURPOSES[channel], granted_at=ago(days=7))
    return user


def session(user: User | None = None, **values: Any) -> Appointment:
    """A confirmed session of a person who agreed."""
    client = user or agreed_user()
    return AppointmentFactory(confirmed=True, client=client, **values)


def due_message(appointment: Appointment | None = None, **values: Any) -> MessageDelivery:
    """A reminder of a session ahead, due a minute ago."""
    about = appointment or session()
    given = {"user": about.client, "appointment": about, "due_at": ago(minutes=1), **values}
    return MessageDeliveryFactory(**given)


def template(kind: str = "reminder_24h", **values: Any) -> MessageTemplate:
    return MessageTemplateFactory(active=True, name=kind, **values)


def statuses(appointment: Appointment) -> dict[str, str]:
    """Kind → status of the messages of a session."""
    rows = MessageDelivery.objects.filter(appointment=appointment)
    return dict(rows.values_list("kind", "status"))
