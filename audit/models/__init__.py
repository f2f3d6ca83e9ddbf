"""Administration: audit log, locks, message templates, settings, outbox, rotations of keys."""

from .locks import Lock
from .log import AuditCheckpoint, AuditLogEntry
from .outbox import OutboxEvent
from .rotations import KeyRotation
from .settings import SystemSetting
from .templates import MessageTemplate, MessageTemplateVersion

__all__ = [
    "AuditCheckpoint",
    "AuditLogEntry",
    "KeyRotation",
    "Lock",
    "MessageTemplate",
    "MessageTemplateVersion",
    "OutboxEvent",
    "SystemSetting",
]
