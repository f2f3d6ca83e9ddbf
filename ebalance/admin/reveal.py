"""The button that opens one sealed value: on the page of its row, by POST, never in a list."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse

from ebalance.db.encryption.fields import SealedField, SealedJSON
from ebalance.privacy.exports.readable import LabelledValue, label_of, payload
from ebalance.privacy.reveal import DoesNotOpen, reveal
from ebalance.services import NotFound, NotPermitted

from .sealed import Seal


class Reveals(ModelAdmin):
    """Pages of rows with sealed values. A part of this project's ModelAdmin."""

    seals: dict[str, Seal]

    # A form of its own: what is being typed on the page is neither sent nor lost.
    change_form_outer_after_template = "reveal/form.html"

    def get_urls(self):
        if not self.seals:
            return super().get_urls()
        page = path(
            "<path:object_id>/reveal/<slug:column>/",
            self.admin_site.admin_view(self.reveal_view),
            name=f"{self.opts.app_label}_{self.opts.model_name}_reveal",
        )
        return [page, *super().get_urls()]

    def get_object(self, request, object_id, from_field=None):
        """The row, told where its sealed values are revealed to the person at work."""
        row: Any = super().get_object(request, object_id, from_field)
        if row is not None and self.seals:
            name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_reveal"
            row.reveal_addresses = {
                column: reverse(name, args=[quote(row.pk), column])
                for column, seal in self.seals.items()
                if request.user.may_reveal(seal.field)
            }
        return row

    def reveal_view(self, request: HttpRequest, object_id: str, column: str) -> HttpResponse:
        """The value, once; like all of admin not to be kept by a browser (Cache-Control: no-store).

        Whoever comes back by the address, after signing in again, finds the page of the row.
        """
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None or column not in self.seals:
            raise Http404
        if request.method != "POST":
            if column not in row.reveal_addresses:
                raise PermissionDenied
            return HttpResponseRedirect(self._page_of(row))
        field = self.seals[column].field
        context: dict[str, Any] = {}
        try:
            value = reveal(row, column, actor=request.user)
        except (NotPermitted, NotFound):  # the former is in the audit log already
            raise Http404 from None
        except DoesNotOpen as refusal:
            context["refusal"] = refusal.sentence
        else:
            context["said"] = said(row, field, value)
        return render(
            request,
            "reveal/value.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "original": row,
                "title": label_of(field),
                "subtitle": None,
                "back": self._page_of(row),
                **context,
            },
        )

    def _page_of(self, row: models.Model) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=[quote(row.pk)])


def said(row: models.Model, field: SealedField, value: Any) -> LabelledValue:
    """The value for reading; a payload by the questions of its schema."""
    if not isinstance(field, SealedJSON):
        return LabelledValue("", text=value)
    terms = {name: getattr(row, name) for name in field.checked_by}
    return LabelledValue("", parts=tuple(payload(field, value, terms)))
