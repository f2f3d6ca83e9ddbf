"""What the verbs of the CRM say no with. ``code`` is part of the API."""

from django.utils.translation import gettext_lazy as _

from ebalance.services import Refused


class EventRefused(Refused):
    """The tracking plan does not allow this event (privacy.md §3).

    ``rule`` is the database's name of what it breaks, ``column`` where, ``key`` the parameter, if
    it is about one.
    """

    code = "event_refused"
    sentence_template = _("This event cannot be stored: the tracking plan does not allow it.")
