"""Write events into either table, by SQL or by the ORM."""

from __future__ import annotations

from typing import Any

import pytest

from crm.models import AnalyticsEvent, LeadTimelineEvent
from tests.factories import AnalyticsEventFactory, LeadFactory, LeadTimelineEventFactory
from tests.support import insert_sql

TIMELINE, ANALYTICS = "lead_timeline_events", "analytics_events"
TABLES = [TIMELINE, ANALYTICS]
MODELS = {TIMELINE: LeadTimelineEvent, ANALYTICS: AnalyticsEvent}
SUFFIXES = ("p0_only", "required_present", "event_in_plan", "source_in_plan")
# The rules of the guard, by table.
GUARD = {table: {suffix: f"{table}_{suffix}" for suffix in SUFFIXES} for table in TABLES}

each_table = pytest.mark.parametrize("table", TABLES)


class Writer:
    """Writes events of one lead, by SQL or, with ``orm``, by the ORM."""

    def __init__(self, table: str, *, orm: bool = False) -> None:
        self.table, self.orm = table, orm
        self.lead = LeadFactory()

    def build(
        self, event: str, source: str, properties: Any, **more: Any
    ) -> AnalyticsEvent | LeadTimelineEvent:
        given = {"tracking_event_id": event, "source": source, "properties": properties, **more}
        if self.table == TIMELINE:
            return LeadTimelineEventFactory.build(lead=self.lead, **given)
        return AnalyticsEventFactory.build(**{"page": {}, "acquisition": {}, **given})

    def write(self, event: str, source: str, properties: Any, **more: Any) -> Any:
        row = self.build(event, source, properties, **more)
        row.save() if self.orm else insert_sql(row)
        return row

    def count(self) -> int:
        return MODELS[self.table].objects.count()
