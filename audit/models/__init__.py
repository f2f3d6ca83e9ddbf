"""Administration: audit log, templates, settings, outbox, rotations of keys, leases, locks."""

from .leases import Lease
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
    "Lease",
    "Lock",
    "MessageTemplate",
    "MessageTemplateVersion",
    "OutboxEvent",
    "SystemSetting",
]
