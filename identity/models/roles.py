"""The four roles, and who has them."""

from uuid import UUID

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import auditing, rules, triggers
from ebalance.db.fields import ClosedSet, Entity, RestrictForeignKey
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import DELETE, of_person, p0
from ebalance.db.schema.retention import goes_with, kept
from ebalance.db.times import FactTime, now_default

LAST_OWNER = gettext_noop("The last active owner cannot lose the role, be blocked or be deleted")


def other_owner(lost: str) -> str:
    """PL/pgSQL that refuses unless another person than ``lost`` is an active owner.

    It first locks the row of the role "owner" by a write. Two sessions then cannot each count the
    owner that the other one removes, at any isolation level.
    """
    return f"""
    UPDATE public.roles SET scope = scope WHERE code = 'owner';
    IF NOT EXISTS (
        SELECT FROM public.user_roles r JOIN public.users u ON u.id = r.user_id
        WHERE r.role_code = 'owner' AND u.status = 'active' AND u.id <> {lost}
    ) THEN
        {triggers.REFUSE}
    END IF;
"""


def is_last_owner(user_id: UUID) -> bool:
    """Whether this person is an owner and no other active person is."""
    owners = UserRole.objects.filter(role="owner")
    return (
        owners.filter(user=user_id).exists()
        and not owners.filter(user__status="active").exclude(user=user_id).exists()
    )


def loses_last_owner(role: "UserRole") -> bool:
    """Whether saving this granted role would leave no active owner."""
    row = triggers.stored(role, "user_id", "role_code")
    if not row or row["role_code"] != "owner":
        return False
    moved = role.role_id != "owner" or role.user_id != row["user_id"]
    active = UserRole.objects.filter(user=row["user_id"], user__status="active").exists()
    return moved and active and is_last_owner(row["user_id"])


class Role(models.Model):
    """One of the four roles; loaded by the seeds."""

    class Code(models.TextChoices):
        OWNER = "owner", _("owner")
        ASSISTANT = "assistant", _("assistant")
        EDITOR = "editor", _("editor")
        CLIENT = "client", _("client")

    class Scope(models.TextChoices):
        ADMIN = "admin", _("admin")
        PRODUCT = "product", _("product")

    code = ClosedSet(Code, primary_key=True, db_comment=p0("role"))
    scope = ClosedSet(Scope, db_comment=p0("where the role acts: admin or product"))

    retention = kept("as long as the product has it")

    class Meta:
        db_table = "roles"
        db_table_comment = "The four roles"
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

    user = RestrictForeignKey(
        "identity.User",
        DB_CASCADE,
        related_name="user_roles",
        db_comment=of_person("whose role", DELETE),
    )
    role = RestrictForeignKey(
        Role, related_name="user_roles", db_column="role_code", db_comment=p0("granted role")
    )
    granted_at = FactTime(
        db_default=now_default(), editable=False, db_comment=p0("when granted, UTC")
    )

    retention = goes_with("user")

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
            # Before the next rule, which locks the role: writers lock the person first.
            triggers.Rule(
                "user_roles_end_sessions",
                operation=pgtrigger.Update | pgtrigger.Delete,
                body="""
BEGIN
    IF TG_OP = 'DELETE' OR (OLD.user_id, OLD.role_code) <> (NEW.user_id, NEW.role_code) THEN
        UPDATE public.users SET session_stamp = pg_catalog.gen_random_uuid() WHERE id = OLD.user_id;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END""",
            ),
            triggers.Rule(
                "user_roles_last_owner_stays",
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition="OLD.role_code = 'owner'",
                message=LAST_OWNER,
                column="role_code",
                broken=lambda row: loses_last_owner(row),
                body=f"""
BEGIN
    -- A user who is gone or not active was not the last active owner (users has its own rule).
    IF (TG_OP = 'DELETE' OR NEW.role_code <> 'owner' OR NEW.user_id <> OLD.user_id)
       AND EXISTS (SELECT FROM public.users WHERE id = OLD.user_id AND status = 'active') THEN
        {other_owner("OLD.user_id")}
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END""",
            ),
            triggers.Rule(
                "user_roles_actor_keeps_role",
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                level=pgtrigger.Statement,
                execute="public.remember_acting_role()",
            ),
            *auditing.audited(
                "user_roles",
                inserted=("role_granted", ["user_id", "role_code"]),
                changed=("role_changed", ["user_id", "role_code"]),
                deleted="role_taken",
            ),
        ]

    def __str__(self) -> str:
        return str(dict(Role.Code.choices).get(self.role_id, self.role_id))
