"""Reads content."""

from __future__ import annotations

from typing import Self

from ebalance.db.querysets import EntityQuerySet
from ebalance.services import RowOrKey, pk_of


class ContentItemQuerySet(EntityQuerySet):
    def published(self) -> Self:
        """Published items, the newest first."""
        return self.filter(status="published").order_by("-published_at", "-pk")

    def of_topic(self, topic: RowOrKey) -> Self:
        """Items of a topic. With ``published()`` and a limit the time does not grow with them."""
        return self.filter(contentitemtopic__topic=pk_of(topic))
