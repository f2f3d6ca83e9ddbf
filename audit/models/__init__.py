"""Administration: audit log, message templates, settings, outbox, rotations of keys, leases."""

from .leases import Lease
from .log import AuditCheckpoint, AuditLogEntry
from .outbox import OutboxEvent
from .rotations import KeyRotation
from .settings import SystemSetting
from .templates import MessageTemplate, MessageTemplateVersion

__all__ = [
    "AuditCheckpoint",
    "AuditLogEntry",
    "KeyRotation",
    "Lease",
    "MessageTemplate",
    "MessageTemplateVersion",
    "OutboxEvent",
    "SystemSetting",
]
