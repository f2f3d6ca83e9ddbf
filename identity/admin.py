from typing import ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.admin import UserAdmin as AuthUserAdmin
from django.contrib.auth.forms import SetPasswordMixin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm
from unfold.widgets import UnfoldAdminPasswordWidget

from ebalance.admin import entries
from ebalance.admin.dialogs import ServiceActionAdmin, service_action
from ebalance.admin.forms import Form
from ebalance.admin.login import is_current_password
from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline
from ebalance.admin.refusals import REFUSALS, sentence

from .models import Consent, DataExportRequest, Role, User, UserRole
from .services import block_user, unblock_user

# Roles grant access (access.md §1); Django's groups grant nothing.
admin.site.unregister(Group)


class UserRoleInline(TabularInline):
    model = UserRole
    fields = ("role", "granted_at")
    tab = False


class ConsentInline(ReadOnly, TabularInline):
    model = Consent
    show_title = True
    fields = ("consent_type", "granted", "version", "source", "granted_at", "revoked_at")


class DataExportRequestInline(ReadOnly, TabularInline):
    model = DataExportRequest
    show_title = True
    fields = ("export_type", "status", "created_at", "completed_at", "expires_at")

    def get_queryset(self, request):
        """No page shows that somebody asked for a diary (access.md §1)."""
        return super().get_queryset(request).exclude(export_type="diary_pdf")


class UserForm(Form):
    """A person. A change of the own e-mail address needs the current password."""

    current_password = forms.CharField(
        label=_("Current password"),
        strip=False,
        required=False,
        help_text=_("Needed to change your own e-mail address."),
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if not self.is_own:
            del self.fields["current_password"]

    @property
    def is_own(self) -> bool:
        """Whether the logged-in user edits their own account."""
        row = self.instance
        return bool(self.request and not row._state.adding and row.pk == self.request.user.pk)

    def clean_email(self):
        email = self.cleaned_data["email"]
        return email and email.lower()

    def clean_current_password(self):
        password = self.cleaned_data["current_password"]
        changes = self.cleaned_data.get("email") != self.initial.get("email")
        if self.is_own and changes and not is_current_password(self.request.user, password):
            raise ValidationError(_("The current password is not correct."), "password_incorrect")
        return password


class NewUserForm(SetPasswordMixin, UserForm):
    """A new person. An account without a password cannot log in to admin."""

    password1, password2 = SetPasswordMixin.create_password_fields()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name in ("password1", "password2"):
            self.fields[name].required = False
            self.fields[name].widget = UnfoldAdminPasswordWidget(
                attrs={"autocomplete": "new-password"}
            )

    def clean(self):
        first, second = (self.cleaned_data.get(f"password{n}") or "" for n in (1, 2))
        if first != second:
            self.add_error("password2", self.error_messages["password_mismatch"])
        return super().clean()

    def _post_clean(self):
        super()._post_clean()  # type: ignore[misc]  # fills in the person, whom the password must not resemble
        self.validate_password_for_user(self.instance)

    def save(self, commit=True):
        self.instance.set_password(self.cleaned_data.get("password1") or None)
        return super().save(commit)


class UserAdmin(ServiceActionAdmin, AuthUserAdmin):
    """The pages of accounts. ``ebalance.privacy.admin`` registers them, with erasure added."""

    form = UserForm
    add_form = NewUserForm
    add_form_template = None
    change_password_form = AdminPasswordChangeForm
    list_display = ("display_name", "email", "phone", "role_names", "status", "created_at")
    list_display_links = ("display_name", "email", "phone")
    list_filter = ("status", "user_roles__role", "created_at")
    search_fields = ("display_name", "email", "phone", "telegram_username", "telegram_user_id")
    ordering = ("-pk",)
    filter_horizontal = ()
    readonly_fields = ("password_state",)
    locked_fields = ("last_login", "status", "deleted_at")
    actions_detail: ClassVar[tuple[str, ...]] = ("block", "unblock")
    buttons: ClassVar = {"active": ("block",), "blocked": ("unblock",)}
    block = service_action("block", _("Block"), block_user)
    unblock = service_action("unblock", _("Unblock"), unblock_user)
    inlines = (UserRoleInline, ConsentInline, DataExportRequestInline)
    sections = {_("Telegram"): ("telegram_user_id", "telegram_username")}

    def has_delete_permission(self, request, obj=None):
        """A person is erased. A page of deletion would show whether hidden rows prevent it."""
        return False

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("user_roles")

    def user_change_password(self, request, id, form_url=""):
        """If the database refuses a password of an erased person, show a sentence.

        The own password is changed on the page that asks for the current one.
        """
        if str(entries.uuid_in(id)) == str(request.user.pk):
            return HttpResponseRedirect(reverse(f"{self.admin_site.name}:password_change"))
        try:
            with transaction.atomic():
                return super().user_change_password(request, id, form_url)
        except REFUSALS as error:
            self.message_user(request, sentence(error), messages.ERROR)
            page = reverse(f"{self.admin_site.name}:identity_user_change", args=[unquote(id)])
            return HttpResponseRedirect(page)

    def columns(self, request):
        # The hash and the stamp are shown to no one, and the flag grants nothing.
        hidden = ("password", "is_superuser", "session_stamp")
        return [field for field in super().columns(request) if field.name not in hidden]

    def get_fieldsets(self, request, obj=None):
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            fieldsets.append((_("Password"), {"fields": ["password1", "password2"]}))
        elif obj.pk == request.user.pk and self.has_change_permission(request, obj):
            fieldsets[0][1]["fields"].append("current_password")
        return fieldsets

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        if form.is_own:  # a new own address ends all sessions; this one stays
            update_session_auth_hash(request, obj)

    @admin.display(description=_("roles"))
    def role_names(self, person: User) -> str:
        codes = sorted(granted.role_id for granted in person.user_roles.all())
        return ", ".join(str(Role.Code(code).label) for code in codes)

    @admin.display(description=_("password"))
    def password_state(self, person: User) -> str:
        state = gettext("set") if person.has_usable_password() else gettext("not set")
        if person.status == User.Status.DELETED:
            return state
        page = reverse(f"{self.admin_site.name}:auth_user_password_change", args=[person.pk])
        return format_html(
            '{} · <a class="text-link" href="{}">{}</a>', state, page, gettext("change password")
        )


@admin.register(Role)
class RoleAdmin(ModelAdmin):
    list_display = ("code", "scope")
    list_filter = ("scope",)
    search_fields = ("code",)
    ordering = ("pk",)


@admin.register(UserRole)
class UserRoleAdmin(ModelAdmin):
    list_display = ("user", "role", "granted_at")
    list_filter = ("role", "granted_at")
    search_fields = ("user__display_name", "user__email")
