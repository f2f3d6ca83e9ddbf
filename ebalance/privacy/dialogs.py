"""What the owner is asked before a person is forgotten."""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldBooleanSwitchWidget

from ebalance.admin.dialogs import Dialog
from ebalance.services import NotFound, get_or_refuse
from identity.models import User

from .erasure.service import sessions_ahead


class Erasure(Dialog):
    """Names what will happen, and the sessions ahead that are cancelled only if asked for."""

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
