"""Buttons on the page of a row: each opens a dialog, which calls a service by POST."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.db import models
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget

from ebalance.services import Refused

from .options import ModelAdmin


class Dialog(BaseDialogForm):
    """Asks for the arguments of a service, or, without fields, for confirmation.

    A field has the name of its argument.
    """

    shown_at: str | None = None  # the field that shows a refusal of the service

    def values(self) -> dict[str, Any]:
        given = {name: value for name, value in self.cleaned_data.items() if name[0] != "_"}
        return {name: None if value == "" else value for name, value in given.items()}


def choice(label: Any, choices: Sequence[Any], **options: Any) -> forms.ChoiceField:
    if "initial" not in options:
        choices = [("", "---------"), *choices]
    return forms.ChoiceField(
        label=label, choices=choices, widget=UnfoldAdminSelectWidget, **options
    )


def service_action(
    name: str,
    title: Any,
    call: Callable[..., Any],
    *,
    form: type[Dialog] = Dialog,
    permission: str = "change",
) -> Callable:
    """A button ``name`` on the page of a row: a dialog, then ``call(row, actor=…, **values)``.

    If ``call`` returns a text, the page shows it as a message.
    """
    dialog = {"title": title, "form_class": form, "form_submit_text": title}

    def run(self, request, form, object_id):
        return self.call_service(request, form, object_id, call, dialog)

    run.__name__ = name
    path = name.replace("_", "-")
    return action(description=title, url_path=path, permissions=[permission], dialog=dialog)(run)


class ServiceActionAdmin(ModelAdmin):
    """Pages whose rows change state by services only. A refusal is shown as its sentence."""

    # The buttons of each status.
    buttons: ClassVar[Mapping[str, Sequence[str]]] = {}
    # Editable on a new row, read-only afterwards: services write these.
    settled_fields: ClassVar[Sequence[str]] = ()

    def get_readonly_fields(self, request, obj=None):
        names = super().get_readonly_fields(request, obj)
        if obj is None:
            return names
        settled = [name for name in self.settled_fields if not self.is_hidden(request, name)]
        return [*dict.fromkeys([*names, *settled])]

    def get_actions_detail(self, request, object_id):
        row = self.get_object(request, unquote(str(object_id)))
        offered = self.buttons.get(row.status, ()) if row else ()
        prefix = f"{self.opts.app_label}_{self.opts.model_name}_"
        return [
            button
            for button in super().get_actions_detail(request, object_id)
            if button.action_name.removeprefix(prefix) in offered
        ]

    def call_service(
        self, request, form: Dialog, object_id: str, call: Callable[..., Any], dialog: dict
    ) -> HttpResponse:
        row = self.get_object(request, unquote(str(object_id)))
        if row is None:
            raise Http404
        try:
            answer = call(row, actor=request.user, **form.values())
        except Refused as refusal:
            if form.shown_at:  # the dialog keeps its input
                form.add_error(form.shown_at, refusal.sentence)
                return render(
                    request,
                    "unfold/helpers/dialog.html",
                    {"dialog": dialog, "form": form, "form_submit_text": dialog["title"]},
                )
            self.message_user(request, refusal.sentence, messages.ERROR)
        else:
            message = answer if isinstance(answer, str) else _("Done.")
            self.message_user(request, message, messages.SUCCESS)
        return self._back_to(request, row)

    def _back_to(self, request, row: models.Model) -> HttpResponse:
        """Redirect to the page of the row; htmx loads it as a full page."""
        page = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        address = reverse(page, args=[row.pk])
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Redirect": address})
        return HttpResponseRedirect(address)

    def call_for_all(self, request, rows: models.QuerySet, call: Callable[..., Any]) -> None:
        """Call the service for each selected row. A refusal undoes all calls (response_action)."""
        for row in rows.order_by("pk"):
            call(row, actor=request.user)
        self.message_user(request, _("Done."), messages.SUCCESS)
