"""Refusals of the services of questions, reviews and diaries. ``code`` is part of the API."""

from django.utils.translation import gettext_lazy as _

from crm.errors import TextBlank as TextBlank
from crm.errors import TextTooLong as TextTooLong
from ebalance.services import InvalidInput, Refused, TransitionRefused


class AuthorUnavailable(Refused):
    """The author is blocked or deleted."""

    code = "author_unavailable"
    sentence_template = _("This account cannot send anything at the moment. Please write to us.")


class ContactUnusable(InvalidInput):
    """There is not exactly one contact, or it is not valid for its channel."""

    code = "invalid_contact"
    sentence_template = _("This contact cannot be used. Please check it.")


class PayloadUnusable(InvalidInput):
    """A diary entry breaks ``rule`` of its schema at ``place``."""

    code = "invalid_payload"
    sentence_template = _("The entry is not filled in as expected.")


class ReasonMissing(InvalidInput):
    """A rejection needs a reason, and a flag needs a name."""

    code = "reason_missing"
    sentence_template = _("Please choose a reason.")


class ConsentMissing(Refused):
    """There is no active consent of the author, which a publication needs."""

    code = "consent_missing"
    sentence_template = _("The author has not agreed to publication, or has withdrawn the consent.")


class ConsentActive(TransitionRefused):
    """There is an active consent to another version of the legal text."""

    code = "consent_active"
    sentence_template = _("There is already an active consent for this review.")


class PublicationNotAllowed(Refused):
    """The author of the question did not allow its publication."""

    code = "publication_not_allowed"
    sentence_template = _("The person did not allow this question to be published.")
