"""Dialogs that take a text for a sealed column. No page shows the text again by itself."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget

from crm.services.texts import LONGEST_TEXT
from ebalance.db.encryption.fields import Plaintext

from .dialogs import Dialog


class TextField(forms.CharField):
    def to_python(self, value):
        # Browsers send every line break of a text area as two characters, and count it as one.
        return (super().to_python(value) or "").replace("\r\n", "\n")


class TextDialog(Dialog):
    shown_at = "text"
    text = TextField(
        label=_("Text"),
        max_length=LONGEST_TEXT,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 12}),
    )

    def values(self) -> dict[str, Any]:
        return super().values() | {"text": Plaintext(self.cleaned_data["text"])}
