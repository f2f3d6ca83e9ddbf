"""Writes of the audit app. The chain, the relay and retention are in separate modules."""

from .log import record_entry
from .outbox import publish_event, requeue_event

__all__ = ["publish_event", "record_entry", "requeue_event"]
