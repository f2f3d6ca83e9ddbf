"""Reads consents."""

from __future__ import annotations

from typing import Self

from ebalance.db.querysets import EntityQuerySet


class ConsentQuerySet(EntityQuerySet):
    def active(self) -> Self:
        return self.filter(granted=True, revoked_at=None)
