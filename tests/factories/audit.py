"""The audit log, message templates, settings, the outbox, rotations of keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import factory
from django.db import connection
from django.utils import timezone

from audit.models import (
    AuditCheckpoint,
    AuditLogEntry,
    BackfillJob,
    KeyRotation,
    Lease,
    Lock,
    MessageTemplate,
    MessageTemplateVersion,
    MigrationStep,
    OutboxEvent,
    SystemSetting,
)
from ebalance.db.ids import uuid7
from tests.clocks import fact_clock_at

from .base import EntityFactory, ago, now
from .identity import UserFactory


class AuditLogEntryFactory(EntityFactory):
    actor = factory.SubFactory(UserFactory)
    actor_role = "owner"
    action = "service_changed"
    entity_type = "service"
    entity_id = factory.LazyFunction(uuid7)
    old_value = factory.LazyFunction(lambda: {"price_amount": 4500})
    new_value = factory.LazyFunction(lambda: {"price_amount": 5000})
    ip_address = "192.0.2.10"

    class Meta:
        model = AuditLogEntry

    class Params:
        by_system = factory.Trait(actor=None, actor_role="system", ip_address=None)

    @classmethod
    def _create(cls, model_class: type[AuditLogEntry], *args: Any, **kwargs: Any) -> Any:
        """The database dates the entry; ``created_at`` is the time on its clock."""
        time = kwargs.get("created_at")
        if not isinstance(time, datetime):
            return super()._create(model_class, *args, **kwargs)
        with fact_clock_at(time):
            return super()._create(model_class, *args, **kwargs)


class AuditCheckpointFactory(EntityFactory):
    """Ends at its own old entry unless another entry is given."""

    seq = None
    row_hash = None
    entries = 1
    key_id = "k1"
    signature = bytes(32)

    class Meta:
        model = AuditCheckpoint

    @classmethod
    def _build(cls, model_class: type[AuditCheckpoint], *args: Any, **kwargs: Any) -> Any:
        instance = super()._build(model_class, *args, **kwargs)
        last = AuditLogEntryFactory.build(by_system=True, created_at=ago(days=1100))

        def save() -> None:
            # The database sets both. No foreign key leads save_related() to the entry.
            with fact_clock_at(last.created_at):
                AuditLogEntry.save(last)
            instance.seq = instance.seq or last.seq
            instance.row_hash = instance.row_hash or last.row_hash

        if instance.seq is None:
            last.save = save
            instance.unsaved_relatives = [last]
        return instance

    @classmethod
    def _create(cls, model_class: type[AuditCheckpoint], *args: Any, **kwargs: Any) -> Any:
        instance = cls._build(model_class, *args, **kwargs)
        for entry in getattr(instance, "unsaved_relatives", ()):
            entry.save()
        # After an earlier login the log begins with a young entry.
        is_young = AuditLogEntry.objects.filter(created_at__gt=ago(days=1095)).exists()
        with connection.cursor() as cursor:
            rule = "TRIGGER audit_checkpoints_end_an_old_segment"
            if is_young:
                cursor.execute(f"ALTER TABLE audit_checkpoints DISABLE {rule}")
            instance.save(force_insert=True)
            if is_young:
                cursor.execute(f"ALTER TABLE audit_checkpoints ENABLE {rule}")
        return instance


class MessageTemplateFactory(EntityFactory):
    channel = "email"
    category = "booking"
    name = factory.Sequence(lambda n: f"Подтверждение записи {n}")

    _steps_before = {"active": [{"status": "draft", "active_version": None}]}

    class Meta:
        model = MessageTemplate

    class Params:
        telegram = factory.Trait(channel="telegram")
        active = factory.Trait(status="active", active_version=1)
        archived = factory.Trait(status="archived")

    @classmethod
    def before_move(cls, instance: MessageTemplate, step: Mapping[str, Any]) -> None:
        if step.get("active_version"):
            MessageTemplateVersionFactory(template=instance, version=step["active_version"])


class MessageTemplateVersionFactory(EntityFactory):
    template = factory.SubFactory(MessageTemplateFactory)
    version = factory.Sequence(lambda n: n + 1)
    body_markdown = "Здравствуйте! Ждём вас в назначенное время."
    updated_by = factory.SubFactory(UserFactory)

    class Meta:
        model = MessageTemplateVersion

    @factory.lazy_attribute
    def subject(self) -> str | None:
        is_email = self.template is None or self.template.channel == "email"
        return "Вы записаны на консультацию" if is_email else None


class SystemSettingFactory(EntityFactory):
    key = factory.Sequence(lambda n: f"hold_minutes_{n}")
    value = 15
    updated_by = factory.SubFactory(UserFactory)

    class Meta:
        model = SystemSetting


class OutboxEventFactory(EntityFactory):
    event_type = "appointment_confirmed"
    aggregate_type = "appointment"
    aggregate_id = factory.LazyFunction(uuid7)
    payload = factory.LazyAttribute(lambda o: {"appointment_id": str(o.aggregate_id)})

    class Meta:
        model = OutboxEvent

    class Params:
        sent = factory.Trait(published_at=now(), attempts=1)


class LeaseFactory(EntityFactory):
    name = factory.Sequence(lambda n: f"lease_{'abcdefghij'[n % 10]}:{uuid4()}")
    token = factory.LazyFunction(uuid4)
    holder = "practice-1:4711"
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(minutes=1))

    class Meta:
        model = Lease


class KeyRotationFactory(EntityFactory):
    table_name = factory.Sequence(lambda n: f"table_{n}")
    to_key = "k2"
    to_index_key = "k2"

    class Meta:
        model = KeyRotation

    class Params:
        finished = factory.Trait(finished_at=now())


class BackfillJobFactory(EntityFactory):
    name = factory.Sequence(lambda n: f"booking.{n:04}_fill_a_column")
    table_name = "appointments"

    class Meta:
        model = BackfillJob

    class Params:
        finished = factory.Trait(finished_at=now())


class MigrationStepFactory(EntityFactory):
    app_label = "booking"
    name = factory.Sequence(lambda n: f"{n:04}_index_of_a_table")
    step = 1
    statement_hash = "0" * 64

    class Meta:
        model = MigrationStep


class LockFactory(EntityFactory):
    kind = "lead_identifier"
    number = factory.Sequence(lambda n: n % 10_000)

    class Meta:
        model = Lock
