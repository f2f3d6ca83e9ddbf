"""Administration: audit log, templates, settings, outbox, leases, locks, work of operators."""

from .leases import Lease
from .locks import Lock
from .log import AuditCheckpoint, AuditLogEntry
from .migrations import BackfillJob, MigrationStep
from .outbox import OutboxEvent
from .periods import MetricPeriod
from .rotations import KeyRotation
from .settings import SystemSetting
from .templates import MessageTemplate, MessageTemplateVersion

__all__ = [
    "AuditCheckpoint",
    "AuditLogEntry",
    "BackfillJob",
    "KeyRotation",
    "Lease",
    "Lock",
    "MessageTemplate",
    "MessageTemplateVersion",
    "MetricPeriod",
    "MigrationStep",
    "OutboxEvent",
    "SystemSetting",
]
