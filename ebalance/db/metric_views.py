"""Views of the metrics, which the analyst reads (metrics.md)."""

from __future__ import annotations

from django.db import models

from .schema.classification import p0
from .views import View


class MetricView(View):
    """The rows of a metric in each period of ``metric_periods``.

    ``Metric.view_query()`` is its query. It reads with the privileges of its owner, so that the
    analyst needs none on the tables, and shows only aggregates. ``period`` is not unique where the
    metric has several rows.
    """

    period = models.TextField(primary_key=True, db_comment=p0("today, 7d, 30d, or month YYYY-MM"))
    first_day = models.DateField(db_comment=p0("first day of the period"))
    last_day = models.DateField(db_comment=p0("last day of the period"))

    class Meta(View.Meta):
        abstract = True

    def __str__(self) -> str:
        return self.period


def count(meaning: str) -> models.BigIntegerField:
    """A column that counts. ``meaning``: what."""
    return models.BigIntegerField(db_comment=p0(meaning))


def code(meaning: str) -> models.TextField:
    """A column by which the rows are grouped. ``meaning``: what."""
    return models.TextField(db_comment=p0(meaning))
