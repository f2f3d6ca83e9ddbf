"""Refusals of the services of the CRM. ``code`` is part of the API."""

from django.utils.translation import gettext_lazy as _

from ebalance.services import InvalidInput, Refused, TransitionRefused


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


class TextBlank(InvalidInput):
    code = "text_blank"
    sentence_template = _("Please write a text.")


class TextTooLong(InvalidInput):
    """``limit`` is in characters."""

    code = "text_too_long"
    sentence_template = _("The text is too long: at most %(limit)s characters.")
