"""What a moderator is asked before a verb runs: a dialog on the page of the row."""

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from ebalance.db.sealed import Plaintext

from .models import ModerationAction
from .verbs.inputs import LONGEST_TEXT
from .verbs.questions import EscalationReason, TriggerFlag


class Confirmation(BaseDialogForm):
    """Nothing is asked but whether. ``values()`` are the verb's own arguments."""

    shown_at: str | None = None  # the field beside which a refusal of the verb is shown

    def values(self) -> dict:
        return {}


class Choice(Confirmation):
    """One value of a closed set, under the name of the verb's argument."""

    def values(self):
        return {name: value for name, value in self.cleaned_data.items() if name[0] != "_"}


def choice(members, label, *, initial=None) -> forms.ChoiceField:
    choices = members.choices if initial is not None else [("", "---------"), *members.choices]
    return forms.ChoiceField(
        label=label, choices=choices, initial=initial, widget=UnfoldAdminSelectWidget
    )


class Rejection(Choice):
    shown_at = "reason"
    reason = choice(ModerationAction.Reason, _("Reason"))


class Escalation(Choice):
    shown_at = "reason"
    reason = choice(EscalationReason, _("Reason"), initial="other")


class Flags(Choice):
    shown_at = "flags"
    flags = forms.MultipleChoiceField(
        label=_("Flags"),
        choices=TriggerFlag.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )


class Text(Confirmation):
    """A text that goes into a sealed column: shown to nobody but who is typing it."""

    shown_at = "text"
    text = forms.CharField(
        label=_("Text"),
        max_length=LONGEST_TEXT,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 12}),
    )

    def values(self):
        # Browsers send every line break of a text area as two characters.
        return {"text": Plaintext(self.cleaned_data["text"].replace("\r\n", "\n"))}
