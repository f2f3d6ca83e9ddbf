"""What a moderator is asked before a verb runs: a dialog on the page of the row."""

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextareaWidget

from ebalance.admin.dialogs import Dialog, choice
from ebalance.db.encryption.fields import Plaintext

from .models import ModerationAction
from .services.inputs import LONGEST_TEXT
from .services.questions import EscalationReason, TriggerFlag


class Rejection(Dialog):
    shown_at = "reason"
    reason = choice(_("Reason"), ModerationAction.Reason.choices)


class Escalation(Dialog):
    shown_at = "reason"
    reason = choice(_("Reason"), EscalationReason.choices, initial="other")


class Flags(Dialog):
    shown_at = "flags"
    flags = forms.MultipleChoiceField(
        label=_("Flags"),
        choices=TriggerFlag.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )


class TextField(forms.CharField):
    def to_python(self, value):
        # Browsers send every line break of a text area as two characters, and count it as one.
        return super().to_python(value).replace("\r\n", "\n")


class Text(Dialog):
    """A text that goes into a sealed column: shown to nobody but who is typing it."""

    shown_at = "text"
    text = TextField(
        label=_("Text"),
        max_length=LONGEST_TEXT,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 12}),
    )

    def values(self):
        return {"text": Plaintext(self.cleaned_data["text"])}
