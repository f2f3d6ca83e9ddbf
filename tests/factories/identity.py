"""People, roles, consents."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import factory
from django.utils import timezone

from ebalance.db.ids import uuid7
from identity.models import (
    Consent,
    DataExportRequest,
    ErasureLedgerEntry,
    ErasureRequest,
    LoginLimit,
    RecoveryCode,
    Role,
    SecondFactor,
    User,
    UserRole,
)

from .base import ZONE, EntityFactory, ago, ahead, now, secret

NAMES = ["Анна", "Мария", "Ольга", "Ирина", "Елена", "Павел", "Сергей", "Дмитрий"]
TEXT_VERSION = "2026-01-07"


class UserFactory(EntityFactory):
    """``UserFactory(role="owner")`` grants a seeded role."""

    email = factory.Sequence(lambda n: f"client{n}@example.com")
    display_name = factory.Sequence(lambda n: NAMES[n % len(NAMES)])
    timezone = ZONE

    class Meta:
        model = User

    class Params:
        blocked = factory.Trait(status="blocked")
        deleted = factory.Trait(status="deleted", email=None, display_name=None, deleted_at=now())
        by_phone = factory.Trait(email=None, phone=factory.Sequence(lambda n: f"+7999{n:07d}"))
        by_telegram = factory.Trait(
            email=None,
            telegram_user_id=factory.Sequence(lambda n: str(100_000 + n)),
            telegram_username=factory.Sequence(lambda n: f"client_{n}"),
        )

    @factory.post_generation
    def role(self, create: bool, extracted: str | None, **_: Any) -> None:
        if create and extracted:
            self.user_roles.create(role_id=extracted)


class RoleFactory(EntityFactory):
    """Returns one of the four seeded roles, or creates it if the seeds are missing."""

    code = factory.Iterator(["owner", "assistant", "editor", "client"])
    scope = factory.LazyAttribute(lambda o: "product" if o.code == "client" else "admin")

    class Meta:
        model = Role
        django_get_or_create = ["code"]


class UserRoleFactory(EntityFactory):
    user = factory.SubFactory(UserFactory)
    role_id = "client"

    class Meta:
        model = UserRole


TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
HASH = "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"


class SecondFactorFactory(EntityFactory):
    """In use; ``offered=True`` waits for its first code."""

    user = factory.SubFactory(UserFactory, role="owner")
    secret_encrypted = secret(TOTP_SECRET)
    last_step = 1
    confirmed_at = now()

    class Meta:
        model = SecondFactor

    class Params:
        offered = factory.Trait(last_step=None, confirmed_at=None)


class RecoveryCodeFactory(EntityFactory):
    second_factor = factory.SubFactory(SecondFactorFactory)
    code_hash = HASH

    class Meta:
        model = RecoveryCode

    class Params:
        used = factory.Trait(used_at=now())


class LoginLimitFactory(EntityFactory):
    kind = "account"
    key_hash = factory.LazyFunction(lambda: secrets.token_hex(32))
    attempts = 1
    expires_at = factory.LazyFunction(lambda: ahead(minutes=15))

    class Meta:
        model = LoginLimit

    class Params:
        locked = factory.Trait(
            attempts=10, locked_until=factory.LazyFunction(lambda: ahead(minutes=1))
        )


class ConsentFactory(EntityFactory):
    user = factory.SubFactory(UserFactory)
    consent_type = "personal_data"
    version = TEXT_VERSION
    source = "web"

    class Meta:
        model = Consent

    class Params:
        of_lead = factory.Trait(
            user=None, lead=factory.SubFactory("tests.factories.crm.LeadFactory")
        )
        refused = factory.Trait(granted=False)
        revoked = factory.Trait(
            granted_at=factory.LazyFunction(lambda: ago(days=30)), revoked_at=now()
        )


REQUESTED = {
    "status": "requested",
    "file_url": None,
    "completed_at": None,
    "expires_at": None,
}
PROCESSING = {**REQUESTED, "status": "processing"}


class DataExportRequestFactory(EntityFactory):
    user = factory.SubFactory(UserFactory)
    export_type = "user_data"

    _steps_before = {
        "processing": [REQUESTED],
        "ready": [REQUESTED, PROCESSING],
        "failed": [REQUESTED],
    }

    class Meta:
        model = DataExportRequest

    class Params:
        processing = factory.Trait(status="processing")
        ready = factory.Trait(
            status="ready",
            file_url=factory.LazyFunction(lambda: f"exports/{uuid4()}.zip"),
            completed_at=now(),
            expires_at=factory.LazyFunction(lambda: ahead(days=7)),
        )
        failed = factory.Trait(status="failed", completed_at=now())


OPEN = {"status": "requested", "completed_at": None, "refused_reason": None}


class ErasureRequestFactory(EntityFactory):
    user = factory.SubFactory(UserFactory)
    requested_by = factory.SubFactory(UserFactory)

    _steps_before = {"done": [OPEN], "refused": [OPEN]}

    class Meta:
        model = ErasureRequest

    class Params:
        done = factory.Trait(status="done", completed_at=now())
        refused = factory.Trait(
            status="refused", refused_reason="upcoming_appointments", completed_at=now()
        )

    @classmethod
    def before_move(cls, instance: ErasureRequest, step: Mapping[str, Any]) -> None:
        if step.get("status") == "done":
            values = {"email": None, "display_name": None, "deleted_at": timezone.now()}
            User.objects.filter(pk=instance.user_id).update(status="deleted", **values)


class ErasureLedgerEntryFactory(EntityFactory):
    subject_id = factory.LazyFunction(uuid7)
    requested_at = factory.LazyFunction(lambda: ago(minutes=1))
    method = "self_service"
    counts = factory.LazyFunction(lambda: {"users": 1, "diary_entries": 12})

    class Meta:
        model = ErasureLedgerEntry
