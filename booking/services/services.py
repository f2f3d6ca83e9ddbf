"""The verbs of services: drafted, published, archived (states.md)."""

from __future__ import annotations

from typing import Any

from content.markdown import is_visible
from content.models.publication import Publishable
from ebalance.services import Clock
from identity.models import User

from ..errors import ServiceIncomplete


class ServiceVerbs(Publishable):
    """``publish``, ``unpublish``, ``archive`` and ``restore``, as for everything published.

    Only a published service is booked; what was agreed before stays as it was agreed.
    """

    event_name = "service"

    def _publish(self, actor: User | None, clock: Clock, **values: Any) -> None:
        """Raises ServiceIncomplete, naming what a client would miss."""
        if offences := self.offences():
            raise ServiceIncomplete(offences=offences, **self._named())
        super()._publish(actor, clock, **values)

    def offences(self) -> list[str]:
        """What a service on offer needs and this one lacks: codes of ServiceIncomplete."""
        checks = {
            "description_missing": is_visible(self.description_markdown),
            "address_missing": self.format == "online" or is_visible(self.offline_address),
        }
        return [code for code, holds in checks.items() if not holds]
