"""People, their roles, and what they agreed to."""

import pgtrigger
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules, triggers
from ebalance.db.classification import p0, p1
from ebalance.db.fields import ClosedSet, Entity, Ref, TextLine, created_at, now_default, updated_at
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.sets import Members

from .managers import UserManager
from .permissions import allows, allows_module


def other_owner(lost: str, rule: str, column: str) -> str:
    """PL/pgSQL that refuses unless somebody besides ``lost`` is an active owner.

    The owner's role row is taken first, by a write: two sessions can then not each count the
    other's owner, at any isolation level.
    """
    return f"""
    UPDATE public.roles SET scope = scope WHERE code = 'owner';
    IF NOT EXISTS (
        SELECT FROM public.user_roles r JOIN public.users u ON u.id = r.user_id
        WHERE r.role_code = 'owner' AND u.status = 'active' AND u.id <> {lost}
    ) THEN
        PERFORM public.raise_refusal('{rule}', TG_TABLE_NAME, '{column}',
            'The last active owner cannot lose the role, be blocked or be deleted');
    END IF;
"""


class User(Entity, AbstractBaseUser):
    """A person who can be addressed: client or staff. Written by the site, the bot and admin.

    Staff access comes from roles (access.md), not from a flag to keep in step.
    """

    Status = Members("Status", "active blocked deleted")

    email = TextLine(null=True, blank=True, db_comment=p1("e-mail, lower case, trimmed"))
    phone = TextLine(null=True, blank=True, db_comment=p1("phone, E.164"))
    telegram_user_id = TextLine(null=True, blank=True, db_comment=p1("Telegram's id, digits"))
    telegram_username = TextLine(null=True, blank=True, db_comment=p1("Telegram name without @"))
    display_name = TextLine(null=True, blank=True, db_comment=p1("how the person is called"))
    timezone = TextLine(null=True, blank=True, db_comment=p0("IANA zone"))
    status = ClosedSet(Status, default=Status.active, db_comment=p0("life cycle, states.md"))
    created_at = created_at()
    updated_at = updated_at()
    deleted_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("when the account was deleted, UTC")
    )
    password = TextLine(
        blank=True, default="", db_default="", db_comment=p1("salted password hash; empty: none")
    )
    last_login = models.DateTimeField(null=True, blank=True, db_comment=p0("last login, UTC"))
    is_superuser = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        db_comment=p0("required by Django's auth; grants nothing, roles do"),
    )

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        db_table = "users"
        db_table_comment = "People: clients and staff"
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [
            rules.Unique("users_email_unique", fields=["email"]),
            rules.Unique("users_phone_unique", fields=["phone"]),
            rules.Unique("users_telegram_user_id_unique", fields=["telegram_user_id"]),
            rules.matches(
                "users_email_is_normalised",
                "email",
                r"^[^@\s]+@[^@\s]+$",
                _("An e-mail address in lower case, with one @ and no spaces."),
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
                r"^[0-9]+$",
                _("A Telegram id consists of digits."),
            ),
            rules.time_zone("users"),
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
                    # Django marks "no password" with a leading "!".
                    Q(password="") | Q(password__startswith="!"),
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
                body=f"""
BEGIN
    IF OLD.status = 'active' AND (TG_OP = 'DELETE' OR NEW.status <> 'active')
       AND EXISTS (SELECT FROM public.user_roles
                   WHERE user_id = OLD.id AND role_code = 'owner') THEN
        {other_owner("OLD.id", "users_last_owner_stays", "status")}
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END""",
            ),
            triggers.touch_updated_at("users"),
            triggers.no_truncate("users"),
        ]

    def __str__(self) -> str:
        return self.display_name or self.email or str(self.pk)

    @property
    def is_active(self) -> bool:
        return self.status == self.Status.active

    @property
    def role_codes(self) -> frozenset[str]:
        """The person's roles; read once per instance, so that one request asks once."""
        if not hasattr(self, "_role_codes"):
            self._role_codes = frozenset(self.user_roles.values_list("role_id", flat=True))
        return self._role_codes

    @property
    def is_staff(self) -> bool:
        return self.is_active and bool(self.role_codes & {"owner", "assistant", "editor"})

    def has_perm(self, perm: str, obj=None) -> bool:
        return self.is_staff and allows(self.role_codes, perm)

    def has_perms(self, perms, obj=None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perms)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_staff and allows_module(self.role_codes, app_label)


class Role(models.Model):
    """One of the four roles; loaded by the seeds."""

    Code = Members("Code", "owner assistant editor client")
    Scope = Members("Scope", "admin product")

    code = ClosedSet(Code, primary_key=True, db_comment=p0("role"))
    scope = ClosedSet(Scope, db_comment=p0("where the role acts: admin or product"))

    class Meta:
        db_table = "roles"
        db_table_comment = "Roles of access.md"
        verbose_name = _("role")
        verbose_name_plural = _("roles")
        constraints = [
            rules.Check(
                "roles_client_is_product",
                Q(code="client", scope="product") | (~Q(code="client") & Q(scope="admin")),
                _("The client role belongs to the product, all others to admin."),
                field="scope",
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_code_display())


class UserRole(Entity):
    """A role granted to a person, by an owner in admin."""

    user = Ref(User, DB_CASCADE, related_name="user_roles", db_comment=p0("whose role"))
    role = Ref(
        Role, related_name="user_roles", db_column="role_code", db_comment=p0("granted role")
    )
    granted_at = models.DateTimeField(
        db_default=now_default(), editable=False, db_comment=p0("when granted, UTC")
    )

    class Meta:
        db_table = "user_roles"
        db_table_comment = "Roles granted to people"
        verbose_name = _("granted role")
        verbose_name_plural = _("granted roles")
        constraints = [
            rules.Unique("user_roles_once_per_user", fields=["user", "role"]),
            rules.finite("user_roles", "granted_at"),
        ]
        indexes = [
            rules.Index("user_roles_by_role", "role", serves="who has a role; the last owner"),
        ]
        triggers = [
            triggers.Rule(
                "user_roles_last_owner_stays",
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition="OLD.role_code = 'owner'",
                body=f"""
BEGIN
    -- A user who is gone or not active was not the last active owner (users has its own rule).
    IF (TG_OP = 'DELETE' OR NEW.role_code <> 'owner' OR NEW.user_id <> OLD.user_id)
       AND EXISTS (SELECT FROM public.users WHERE id = OLD.user_id AND status = 'active') THEN
        {other_owner("OLD.user_id", "user_roles_last_owner_stays", "role_code")}
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END""",
            ),
            triggers.no_truncate("user_roles"),
        ]

    def __str__(self) -> str:
        return str(self.role_id)


class Consent(Entity):
    """Evidence that a person agreed to a text, or refused. Only ``revoked_at`` may change, once."""

    Type = Members("Type", "personal_data communications telegram review_publication")
    Source = Members("Source", "web telegram admin")

    user = Ref(
        User, null=True, blank=True, related_name="consents", db_comment=p0("who agreed, if known")
    )
    lead = Ref(
        "crm.Lead", null=True, blank=True, related_name="consents", db_comment=p0("lead who agreed")
    )
    consent_type = ClosedSet(Type, db_comment=p0("purpose agreed to"))
    granted = models.BooleanField(
        default=True, db_default=True, db_comment=p0("true: agreed; false: refused")
    )
    version = TextLine(db_comment=p0("version of the text, YYYY-MM-DD or YYYY-MM-DD.n"))
    source = ClosedSet(Source, db_comment=p0("where it was given"))
    granted_at = models.DateTimeField(
        db_default=now_default(), editable=False, db_comment=p0("when given, UTC")
    )
    revoked_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("when withdrawn, UTC; set once")
    )

    class Meta:
        db_table = "consents"
        db_table_comment = "Evidence of consents; only revoked_at changes, once"
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        constraints = [
            rules.matches(
                "consents_version_is_dated",
                "version",
                rules.TEXT_VERSION,
                _("A version is a date, for example 2026-01-07 or 2026-01-07.2."),
            ),
            rules.Check(
                "consents_subject_present",
                Q(user__isnull=False) | Q(lead__isnull=False),
                _("A consent belongs to a person or a lead."),
            ),
            rules.Check(
                "consents_revoked_after_granted",
                Q(revoked_at__isnull=True) | Q(revoked_at__gte=models.F("granted_at")),
                _("A consent cannot be withdrawn before it was given."),
                field="revoked_at",
            ),
            rules.Check(
                "consents_refusal_is_not_revoked",
                Q(granted=True) | Q(revoked_at__isnull=True),
                _("A refusal cannot be withdrawn."),
                field="revoked_at",
            ),
            rules.Unique(
                "consents_one_active_per_user",
                fields=["user", "consent_type"],
                condition=Q(granted=True, revoked_at__isnull=True, user__isnull=False),
                message=_("This person has already given this consent."),
            ),
            rules.Unique(
                "consents_one_active_per_lead",
                fields=["lead", "consent_type"],
                condition=Q(granted=True, revoked_at__isnull=True, lead__isnull=False),
                message=_("This lead has already given this consent."),
            ),
            rules.finite("consents", "granted_at", "revoked_at"),
        ]
        indexes = [
            rules.Index("consents_by_user", "user", "granted_at", serves="history of a person"),
            rules.Index("consents_by_lead", "lead", "granted_at", serves="history of a lead"),
        ]
        triggers = [
            triggers.frozen(
                "consents",
                "are_evidence",
                [
                    "id",
                    "user_id",
                    "lead_id",
                    "consent_type",
                    "granted",
                    "version",
                    "source",
                    "granted_at",
                ],
                message="A consent is evidence: only its withdrawal can be recorded",
            ),
            triggers.frozen(
                "consents",
                "revoked_once",
                ["revoked_at"],
                when="OLD.revoked_at IS NOT NULL",
                message="A consent is withdrawn once",
            ),
            triggers.no_delete("consents"),
            triggers.no_truncate("consents"),
        ]

    def __str__(self) -> str:
        return f"{self.get_consent_type_display()} {self.version}"


class DataExportRequest(Entity):
    """A person's request for a copy of their data, worked off in the background."""

    Type = Members("Type", "user_data diary_pdf")
    Status = Members("Status", "requested processing ready failed")

    user = Ref(User, related_name="data_export_requests", db_comment=p0("whose data"))
    export_type = ClosedSet(Type, db_comment=p0("what is exported"))
    status = ClosedSet(Status, default=Status.requested, db_comment=p0("progress, states.md"))
    file_url = TextLine(null=True, blank=True, db_comment=p1("address of the finished file"))
    created_at = created_at("when requested, UTC")
    completed_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("when finished or failed, UTC")
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("when the file is removed, UTC")
    )

    class Meta:
        db_table = "data_export_requests"
        db_table_comment = "Requests for a copy of one's data"
        verbose_name = _("data export")
        verbose_name_plural = _("data exports")
        constraints = [
            rules.set_exactly_when(
                "data_export_requests_file_when_ready",
                ["file_url", "expires_at"],
                Q(status="ready"),
                _("A file and its expiry are set exactly when the export is ready."),
            ),
            rules.set_exactly_when(
                "data_export_requests_completed_when_over",
                "completed_at",
                Q(status__in=["ready", "failed"]),
                _("A finish time is set exactly when the export is over."),
            ),
            rules.finite("data_export_requests", "created_at", "completed_at", "expires_at"),
        ]
        indexes = [
            rules.Index(
                "data_export_requests_by_user",
                "user",
                serves="a person's exports; the delete check",
            ),
            rules.Index(
                "data_export_requests_queue",
                "created_at",
                condition=Q(status__in=["requested", "processing"]),
                serves="process_exports: what is to be done, oldest first",
            ),
        ]
        triggers = triggers.transitions(
            "data_export_requests",
            {"requested": ["processing", "failed"], "processing": ["ready", "failed"]},
            initial=["requested"],
        )

    def __str__(self) -> str:
        return f"{self.get_export_type_display()} {self.pk}"


class ErasureLedgerEntry(Entity):
    """That a person was erased, and when: replayed after a restore from backup."""

    Method = Members("Method", "self_service admin retention")

    subject_id = models.UUIDField(db_comment=p0("id of the erased person; names nobody any more"))
    requested_at = models.DateTimeField(db_comment=p0("when erasure was asked for, UTC"))
    completed_at = models.DateTimeField(
        db_default=now_default(), db_comment=p0("when it was done, UTC")
    )
    method = ClosedSet(Method, db_comment=p0("who started it"))
    counts = models.JSONField(db_comment=p0("rows erased per table, {table: number}"))

    class Meta:
        db_table = "erasure_ledger"
        db_table_comment = "Append-only list of erasures"
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        constraints = [
            rules.Check(
                "erasure_ledger_counts_are_numbers",
                Q(rules.holds("is_row_counts", "counts")),
                _("Counts are an object of table names and whole numbers."),
                field="counts",
            ),
            rules.finite("erasure_ledger", "requested_at", "completed_at"),
            rules.Check(
                "erasure_ledger_completed_after_requested",
                Q(completed_at__gte=models.F("requested_at")),
                _("An erasure is not finished before it was asked for."),
                field="completed_at",
            ),
        ]
        indexes = [
            rules.Index("erasure_ledger_by_subject", "subject_id", serves="replay_erasures"),
        ]
        triggers = triggers.append_only("erasure_ledger")

    def __str__(self) -> str:
        return str(self.subject_id)
