"""Leads, the tracking plan, P0-only events, internal notes, deep links."""

from .deep_links import DeepLink
from .identities import LeadIdentity
from .leads import FUNNEL_STAGES, STAFF_STATUSES, Lead
from .metric_views import InteractivesMetric, TelegramMetric
from .notes import LeadNote
from .tracking import AnalyticsEvent, LeadTimelineEvent, TrackingEvent, TrackingEventParam

__all__ = [
    "FUNNEL_STAGES",
    "STAFF_STATUSES",
    "AnalyticsEvent",
    "DeepLink",
    "InteractivesMetric",
    "Lead",
    "LeadIdentity",
    "LeadNote",
    "LeadTimelineEvent",
    "TelegramMetric",
    "TrackingEvent",
    "TrackingEventParam",
]
