"""Admin pages of people's rights: consents, exports, erasure."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth import logout
from django.http import FileResponse, Http404, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldBooleanSwitchWidget

from ebalance.admin.dialogs import Dialog, ServiceActionAdmin, service_action
from ebalance.admin.options import ModelAdmin, ReadOnly
from ebalance.services import NotFound, get_or_refuse
from identity.admin import UserAdmin
from identity.errors import AccountErased, UpcomingAppointments
from identity.models import Consent, DataExportRequest, ErasureLedgerEntry, ErasureRequest, User

from .consents import withdraw_this_consent
from .erasure import erase_user, may_erase, request_erasure, sessions_ahead
from .exports import hand_over_user_data


class Erasure(Dialog):
    """Explains erasure and lists the sessions ahead, which it cancels only with ``force``."""

    NOTHING_AHEAD = _("There are none that are paid, confirmed or being paid for.")

    shown_at = "force"
    _understood = forms.BooleanField(
        label=_("I know that this cannot be undone"),
        help_text=_(
            "Diaries, intake forms, questions, notes, contacts, roles and exports are deleted; "
            "name, addresses and the texts of reviews are emptied; consents end. Appointments and "
            "payments stay without the person."
        ),
        widget=UnfoldBooleanSwitchWidget,
    )
    force = forms.BooleanField(
        label=_("Cancel the sessions ahead, as the client would"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["force"].help_text = self.sessions()

    def sessions(self) -> Any:
        try:
            person = get_or_refuse(User.objects.all(), self.object_id)
        except NotFound:
            return ""
        starts = [
            date_format(timezone.localtime(row.start_at_utc), "D, j E Y, H:i")
            for row in sessions_ahead(person.pk)
        ]
        return "; ".join(starts) or self.NOTHING_AHEAD


def erase_from_admin(person: User, *, actor: User, force: bool) -> str | None:
    """Erase the person; returns a message if staff must look at some leads.

    The application's role has no right to erase. It writes a request and returns a message.
    """
    if not may_erase():
        return request_from_admin(person, actor=actor, force=force)
    method = "self_service" if actor.pk == person.pk else "admin"
    erased = erase_user(person, method=method, force=force, actor=actor)
    if not erased.doubtful:
        return None
    pages = ((reverse("admin:crm_lead_change", args=[lead]), lead) for lead in erased.doubtful)
    return format_html(
        "{} {}",
        gettext(
            "Done. Beside a contact of theirs these leads have one that the account has not; "
            "see whose the rest of them is:"
        ),
        format_html_join(", ", '<a class="text-link" href="{}">{}</a>', pages),
    )


def request_from_admin(person: User, *, actor: User, force: bool) -> str:
    """Request the erasure. Raises UpcomingAppointments at once, not hours later in the command."""
    if not force and (sessions := sessions_ahead(person.pk)):
        raise UpcomingAppointments(
            appointments=[row.pk for row in sessions],
            starts=[row.start_at_utc for row in sessions],
        )
    request = request_erasure(person, actor=actor, force=force)
    return format_html(
        '{} <a class="text-link" href="{}">{}</a>',
        gettext("The erasure is requested. The next run of the owner's command carries it out."),
        reverse("admin:identity_erasurerequest_change", args=[request.pk]),
        gettext("Request"),
    )


@admin.register(User)
class PersonAdmin(UserAdmin):
    actions_detail = ("block", "unblock", "hand_over", "erase")
    buttons: ClassVar = {
        "active": ("block", "hand_over", "erase"),
        "blocked": ("unblock", "hand_over", "erase"),
    }
    erase = service_action("erase", _("Erase"), erase_from_admin, form=Erasure, permission="erase")

    def has_erase_permission(self, request, object_id=None):
        return request.user.has_perm("identity.delete_user")

    def has_hand_over_permission(self, request, object_id=None):
        return request.user.has_perm("identity.add_dataexportrequest")

    @action(description=_("Hand over data"), url_path="hand-over", permissions=["hand_over"])
    def hand_over(self, request, object_id):
        """Explain, then send the file once; it is not stored."""
        person = self.get_object(request, unquote(str(object_id)))
        if person is None:
            raise Http404
        back = reverse(f"{self.admin_site.name}:identity_user_change", args=[person.pk])
        if request.method == "POST":
            try:
                stream, name = hand_over_user_data(person, actor=request.user)
            except AccountErased as refusal:
                self.message_user(request, refusal.sentence, messages.ERROR)
                return HttpResponseRedirect(back)
            return FileResponse(stream, as_attachment=True, filename=name)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": person,
            "title": _("Hand over data"),
            "back": back,
        }
        return render(request, "privacy/hand_over.html", context)

    def call_service(self, request, form, object_id, call, dialog):
        response = super().call_service(request, form, object_id, call, dialog)
        if User.objects.filter(pk=request.user.pk, status="deleted").exists():
            logout(request)  # the actor erased themself, and the session with it
        return response


@admin.register(Consent)
class ConsentAdmin(ReadOnly, ServiceActionAdmin):
    """Consents are evidence. Staff can only withdraw one that the person withdrew elsewhere."""

    list_display = (
        "consent_type",
        "user",
        "lead",
        "granted",
        "version",
        "granted_at",
        "revoked_at",
    )
    list_filter = ("consent_type", "granted", "source", "granted_at")
    search_fields = ("version", "user__display_name", "user__email")
    actions_detail = ("withdraw",)
    buttons: ClassVar = {"active": ("withdraw",)}
    withdraw = service_action(
        "withdraw", _("Withdraw"), withdraw_this_consent, permission="withdraw"
    )

    def has_withdraw_permission(self, request, obj=None) -> bool:
        return request.user.has_perm("identity.change_consent")


@admin.register(DataExportRequest)
class DataExportRequestAdmin(ReadOnly, ModelAdmin):
    """Requests that people made for themselves. Their files open to their own login only.

    No page shows the address of a file, or that somebody asked for a diary.
    """

    list_display = ("user", "export_type", "status", "created_at", "completed_at", "expires_at")
    list_filter = ("status", "export_type", "created_at")
    search_fields = ("user__display_name", "user__email")

    def columns(self, request):
        return [field for field in super().columns(request) if field.name != "file_url"]

    def get_queryset(self, request):
        return super().get_queryset(request).exclude(export_type="diary_pdf")


@admin.register(ErasureRequest)
class ErasureRequestAdmin(ReadOnly, ModelAdmin):
    """Requests from the pages of people; process_erasure_requests carries them out."""

    list_display = (
        "user",
        "status",
        "refused_reason",
        "requested_by",
        "created_at",
        "completed_at",
    )
    list_filter = ("status", "refused_reason", "created_at")
    search_fields = ("user__display_name", "user__email")
    list_before_template = "lists/empty.html"
    empty_list = _("An erasure is requested on the page of the person. Its progress appears here.")


@admin.register(ErasureLedgerEntry)
class ErasureLedgerEntryAdmin(ReadOnly, ModelAdmin):
    list_display = ("subject_id", "method", "requested_at", "completed_at")
    list_filter = ("method", "completed_at")
    search_fields = ("subject_id__exact",)
