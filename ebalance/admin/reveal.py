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
    """Pages of rows with sealed values. A base class of this project's ModelAdmin."""

    seals: dict[str, Seal]

    # A separate form, so that unsaved input of the page is neither sent nor lost.
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
        """The row, with the addresses that reveal its sealed values to this user."""
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
        """Show the value once, with Cache-Control: no-store as everywhere in admin.

        A GET, such as a redirect after signing in again, leads to the page of the row.
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
            context["value"] = label_value(row, field, value)
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


def label_value(row: models.Model, field: SealedField, value: Any) -> LabelledValue:
    """The value as text; a payload with the questions of its schema."""
    if not isinstance(field, SealedJSON):
        return LabelledValue("", text=value)
    terms = {name: getattr(row, name) for name in field.checked_by}
    return LabelledValue("", parts=tuple(payload(field, value, terms)))
