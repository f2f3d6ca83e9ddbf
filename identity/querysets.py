"""Reads consents."""

from __future__ import annotations

from typing import Self

from django.db import models

from ebalance.db.querysets import EntityQuerySet


class ConsentQuerySet[Row: models.Model](EntityQuerySet[Row]):
    def active(self) -> Self:
        return self.filter(granted=True, revoked_at=None)
