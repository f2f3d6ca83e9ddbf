"""Verbs behind buttons: each asks in a dialog on the page of a row, and is called by POST."""

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
    """Asks for the verb's own arguments, each field under the name of one; or only whether."""

    shown_at: str | None = None  # the field beside which a refusal of the verb is shown

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

    What ``call`` answers is said to the person, if it is a text.
    """
    dialog = {"title": title, "form_class": form, "form_submit_text": title}

    def run(self, request, form, object_id):
        return self.call_verb(request, form, object_id, call, dialog)

    run.__name__ = name
    path = name.replace("_", "-")
    return action(description=title, url_path=path, permissions=[permission], dialog=dialog)(run)


class ServiceActionAdmin(ModelAdmin):
    """Pages whose rows change state by verbs only; what a verb refuses is said as its sentence."""

    # Buttons by status; those that lead nowhere from there are not shown.
    buttons: ClassVar[Mapping[str, Sequence[str]]] = {}
    # Typed in on a new row, afterwards shown: verbs write these.
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
            found
            for found in super().get_actions_detail(request, object_id)
            if found.action_name.removeprefix(prefix) in offered
        ]

    def call_verb(
        self, request, form: Dialog, object_id: str, call: Callable[..., Any], dialog: dict
    ) -> HttpResponse:
        row = self.get_object(request, unquote(str(object_id)))
        if row is None:
            raise Http404
        try:
            answer = call(row, actor=request.user, **form.values())
        except Refused as refusal:
            if form.shown_at:  # nothing chosen is lost
                form.add_error(form.shown_at, refusal.sentence)
                return render(
                    request,
                    "unfold/helpers/dialog.html",
                    {"dialog": dialog, "form": form, "form_submit_text": dialog["title"]},
                )
            self.message_user(request, refusal.sentence, messages.ERROR)
        else:
            said = answer if isinstance(answer, str) else _("Done.")
            self.message_user(request, said, messages.SUCCESS)
        return self._back_to(request, row)

    def _back_to(self, request, row: models.Model) -> HttpResponse:
        """The page of the row; a dialog of htmx is told to load it whole."""
        page = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        address = reverse(page, args=[row.pk])
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Redirect": address})
        return HttpResponseRedirect(address)

    def call_for_all(self, request, rows: models.QuerySet, call: Callable[..., Any]) -> None:
        """The verb for each selected row; if one is refused, for none (response_action)."""
        for row in rows.order_by("pk"):
            call(row, actor=request.user)
        self.message_user(request, _("Done."), messages.SUCCESS)
