"""Administration: the audit log, message templates, settings, the outbox, rotations of keys."""

from .log import AuditCheckpoint, AuditLogEntry
from .outbox import OutboxEvent
from .rotations import KeyRotation
from .settings import SystemSetting
from .templates import MessageTemplate, MessageTemplateVersion

__all__ = [
    "AuditCheckpoint",
    "AuditLogEntry",
    "KeyRotation",
    "MessageTemplate",
    "MessageTemplateVersion",
    "OutboxEvent",
    "SystemSetting",
]
