"""The accounts of people."""

from typing import ClassVar

import pgtrigger
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from audit.models import SystemSetting
from ebalance.db import auditing, lengths, patterns, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    SingleLineTextField,
    TimeZoneField,
    created_at,
    updated_at,
)
from ebalance.db.schema.classification import NULL, p0, p1, replace
from ebalance.db.schema.retention import kept
from ebalance.db.times import FactTime

from ..permissions import allows, allows_module, reveals, sees_personal, setting_that_grants
from .managers import UserManager
from .roles import LAST_OWNER, is_last_owner, other_owner

CONTACT_COLUMNS = {"email": "email", "phone": "phone", "telegram": "telegram_user_id"}
"""The columns of an account that identify its person, by channel."""


class User(Entity, AbstractBaseUser):
    """A person who can be addressed: client or staff. Written by the site, the bot and admin.
    Roles give staff access (access.md). There is no separate flag.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", _("active")
        BLOCKED = "blocked", _("blocked")
        DELETED = "deleted", _("deleted")

    email = SingleLineTextField(
        max_length=lengths.EMAIL,
        null=True,
        blank=True,
        db_comment=p1("e-mail, lower case, trimmed"),
    )
    phone = SingleLineTextField(
        max_length=lengths.PHONE, null=True, blank=True, db_comment=p1("phone, E.164")
    )
    telegram_user_id = SingleLineTextField(
        max_length=lengths.TELEGRAM_ID,
        null=True,
        blank=True,
        db_comment=p1("Telegram's id, digits"),
    )
    telegram_username = SingleLineTextField(
        max_length=lengths.TELEGRAM_NAME,
        null=True,
        blank=True,
        db_comment=p1("Telegram name, no @"),
    )
    display_name = SingleLineTextField(
        max_length=lengths.TITLE, null=True, blank=True, db_comment=p1("how the person is called")
    )
    timezone = TimeZoneField(null=True, blank=True, db_comment=p0("IANA zone", erasure=NULL))
    status = ClosedSet(Status, default=Status.ACTIVE, db_comment=p0("life cycle"))
    created_at = created_at()
    updated_at = updated_at()
    deleted_at = FactTime(null=True, blank=True, db_comment=p0("when the account was deleted, UTC"))
    password = SingleLineTextField(
        max_length=lengths.PASSWORD,
        blank=True,
        default="",
        db_default="",
        # A secret of the account, so it is not exported.
        db_comment=p1(
            "salted password hash; empty: none",
            erasure=replace("an empty text, no password", str),
            export=False,
        ),
    )
    last_login = FactTime(null=True, blank=True, db_comment=p0("last login, UTC", erasure=NULL))
    is_superuser = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        db_comment=p0("required by Django's auth; grants nothing, roles do"),
    )
    session_stamp = models.UUIDField(
        db_default=RandomUUID(),
        editable=False,
        db_comment=p0(
            "random, set by the database; a session with another one has ended", export=False
        ),
    )

    objects: ClassVar = UserManager()  # type: ignore[assignment]  # no sealed columns

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    retention = kept("until the account is erased; then a row that names nobody")

    class Meta:
        db_table = "users"
        db_table_comment = "People: clients and staff"
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [
            rules.Unique("users_email_unique", fields=["email"]),
            rules.Unique("users_phone_unique", fields=["phone"]),
            rules.Unique("users_telegram_user_id_unique", fields=["telegram_user_id"]),
            rules.Check(
                "users_email_is_normalised",
                Q(rules.holds("is_email", "email")),
                _("An e-mail address in lower case, with one @ and no spaces."),
                field="email",
            ),
            rules.Check(
                "users_email_is_lower_case",
                Q(rules.holds("is_lower_case", "email")),
                _("An e-mail address is stored in lower case."),
                field="email",
            ),
            rules.matches(
                "users_phone_is_e164",
                "phone",
                r"^\+[1-9][0-9]{9,14}$",
                _("A phone number in international form, for example +79991234567."),
            ),
            rules.matches(
                "users_telegram_user_id_is_digits",
                "telegram_user_id",
                patterns.DIGITS,
                _("A Telegram id consists of digits."),
            ),
            rules.not_blank("users", "display_name"),
            rules.set_exactly_when(
                "users_deleted_at_with_status",
                "deleted_at",
                Q(status="deleted"),
                _("A deletion date is set exactly when the person is deleted."),
            ),
            rules.Check(
                "users_deleted_holds_nothing_personal",
                ~Q(status="deleted")
                | Q(
                    rules.none_set(
                        ["email", "phone", "telegram_user_id", "telegram_username", "display_name"]
                    ),
                    # Django marks "no password" with "!" and 40 random letters and digits.
                    password__regex=r"^(![A-Za-z0-9]{40})?$",
                ),
                _("A deleted person keeps no personal data."),
            ),
            rules.Check(
                "users_reachable",
                Q(status="deleted")
                | Q(email__isnull=False)
                | Q(phone__isnull=False)
                | Q(telegram_user_id__isnull=False),
                _("Give at least one of e-mail, phone and Telegram."),
            ),
            rules.finite("users", "created_at", "updated_at", "deleted_at", "last_login"),
        ]
        indexes = [
            rules.Index("users_by_age", "created_at", serves="admin: newest people first"),
        ]
        triggers = [
            *triggers.transitions(
                "users",
                {"active": ["blocked", "deleted"], "blocked": ["active", "deleted"]},
            ),
            triggers.Rule(
                "users_last_owner_stays",
                operation=pgtrigger.UpdateOf("status") | pgtrigger.Delete,
                message=LAST_OWNER,
                column="status",
                broken=lambda row: (
                    row.status != "active"
                    and (triggers.stored(row, "status") or {}).get("status") == "active"
                    and is_last_owner(row.pk)
                ),
                body=f"""
BEGIN
    IF OLD.status = 'active' AND (TG_OP = 'DELETE' OR NEW.status <> 'active')
       AND EXISTS (SELECT FROM public.user_roles
                   WHERE user_id = OLD.id AND role_code = 'owner') THEN
        {other_owner("OLD.id")}
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END""",
            ),
            triggers.Rule(
                "users_end_sessions",
                operation=pgtrigger.Update,
                condition="(OLD.password, OLD.email, OLD.status, OLD.session_stamp) "
                "IS DISTINCT FROM (NEW.password, NEW.email, NEW.status, NEW.session_stamp)",
                # Never the writer's stamp: an older one would revive the sessions that it ended.
                body="""
BEGIN
    NEW.session_stamp := pg_catalog.gen_random_uuid();
    RETURN NEW;
END""",
            ),
            triggers.touch_updated_at("users"),
            *auditing.audited(
                "users",
                changed=("user_status_changed", ["status"]),
                deleted="user_deleted",
            ),
            auditing.AuditedSecret("users", "password"),
            auditing.AuditedSecret("users", "email"),
        ]

    def __str__(self) -> str:
        return self.display_name or self.email or str(self.pk)

    def save(self, *args, **options) -> None:
        super().save(*args, **options)
        # A trigger may have changed it. The next access reads it again.
        self.__dict__.pop("session_stamp", None)

    def _get_session_auth_hash(self, secret=None) -> str:
        """Binds sessions to the stamp, which the database changes to end them."""
        stamp = str(self.session_stamp)
        return salted_hmac(
            "identity.User.session_stamp", stamp, secret=secret, algorithm="sha256"
        ).hexdigest()

    def has_usable_password(self) -> bool:
        """Django counts an empty hash as usable, but no password matches it."""
        return bool(self.password) and super().has_usable_password()

    @property
    def is_active(self) -> bool:  # type: ignore[override]  # the stub declares a writable attribute
        return self.status == self.Status.ACTIVE

    @property
    def role_codes(self) -> frozenset[str]:
        """The person's roles; read once per instance, so once per request."""
        if not hasattr(self, "_role_codes"):
            self._role_codes = frozenset(self.user_roles.values_list("role_id", flat=True))
        return self._role_codes

    @property
    def is_staff(self) -> bool:
        return self.is_active and bool(self.role_codes & {"owner", "assistant", "editor"})

    @property
    def sees_personal(self) -> bool:
        """Whether this person sees names and contacts of others (P1) in admin."""
        return sees_personal(self.role_codes)

    def has_perm(self, perm: str, obj=None) -> bool:
        return self.is_staff and (allows(self.role_codes, perm) or self._is_granted(perm))

    def may_reveal(self, field: models.Field) -> bool:
        """Whether this person may reveal a value of the sealed column in admin."""
        column = f"{field.model._meta.label_lower}.{field.name}"
        return self.is_staff and (reveals(self.role_codes, column) or self._is_granted(column))

    def _is_granted(self, what: str) -> bool:
        """Whether a setting made by the owner grants it; read once per instance, like the roles."""
        key = setting_that_grants(self.role_codes, what)
        if key is None:
            return False
        if not hasattr(self, "_granted"):
            self._granted: dict[str, bool] = {}
        if key not in self._granted:
            settings = SystemSetting._base_manager
            self._granted[key] = settings.filter(key=key, value=True).exists()
        return self._granted[key]

    def has_perms(self, perms, obj=None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perms)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_staff and allows_module(self.role_codes, app_label)
