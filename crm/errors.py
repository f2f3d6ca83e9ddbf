"""Refusals of the services of the CRM. ``code`` is part of the API."""

from django.utils.translation import gettext_lazy as _

from ebalance.services import Refused, TransitionRefused


class EventRefused(Refused):
    """The tracking plan does not allow this event (privacy.md §3).

    ``rule`` is the broken constraint or trigger, ``column`` the refused column, ``key`` the
    refused parameter, if any.
    """

    code = "event_refused"
    sentence_template = _("This event cannot be stored: the tracking plan does not allow it.")


class LeadNotMergeable(TransitionRefused):
    """The lead was merged into another one or its person erased (``status``: merged, erased)."""

    code = "lead_not_mergeable"
    sentence_template = _(
        "One of these leads was merged into another one already, or its person was erased."
    )
