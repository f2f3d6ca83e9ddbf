"""Refusals of the services of booking and payment. ``code`` is part of the API."""

from django.utils.translation import gettext_lazy as _

from content.errors import NotReadyToPublish
from ebalance.services import IdempotencyConflict, InvalidInput, Refused, TransitionRefused


class SlotTaken(Refused):
    """Another appointment or its break overlaps this time, or the time is blocked."""

    code = "slot_conflict"
    sentence_template = _("This time has just been taken. Please choose another one.")


class SlotUnsuitable(InvalidInput):
    """The slot belongs to another service, or is too short for this one."""

    code = "slot_unsuitable"
    sentence_template = _("This time does not suit the chosen service. Please choose another one.")


class TimeNotOffered(Refused):
    """No available slot contains this time. Staff may book it with ``override``."""

    code = "not_offered"
    sentence_template = _("This time is not offered. Please choose another one.")


class TooManyHolds(Refused):
    """The client has ``count`` unpaid holds already."""

    code = "too_many_holds"
    sentence_template = _(
        "Several sessions are waiting for payment already. Please pay for one of them first."
    )


class StartInPast(InvalidInput):
    code = "start_in_past"
    sentence_template = _("This time has already passed. Please choose another one.")


class ZoneUnknown(InvalidInput):
    code = "invalid_timezone"
    sentence_template = _("This time zone is not known.")


class FormatUnsuitable(InvalidInput):
    code = "format_unsuitable"
    sentence_template = _("This service is not offered in this format.")


class ServiceUnavailable(Refused):
    """The service is not published."""

    code = "service_unavailable"
    sentence_template = _("This service cannot be booked at the moment.")


class PersonAmbiguous(Refused):
    """Several people match: ``count``. Staff choose one, or give another contact."""

    code = "person_ambiguous"
    sentence_template = _("Several people match. Please choose one of them.")


class PersonUnknown(Refused):
    """No account has this name, and a new one needs a contact."""

    code = "person_unknown"
    sentence_template = _("Nobody has this name yet. Please give a phone number or an e-mail too.")


class ClientUnavailable(Refused):
    """The client is blocked or deleted."""

    code = "client_unavailable"
    sentence_template = _("This account cannot book. Please write to us.")


class HoldExpired(Refused):
    """The hold was not paid in time."""

    code = "hold_expired"
    sentence_template = _("The time for payment is over. Please choose a time again.")


class TooLateToCancel(Refused):
    """A client cancels before the session begins."""

    code = "too_late_to_cancel"
    sentence_template = _("The session has already begun and cannot be cancelled.")


class TooLateToReschedule(Refused):
    """Fewer than ``reschedule_min_hours`` are left."""

    code = "too_late_to_reschedule"
    sentence_template = _("The session can be moved no later than %(hours)s hours before it.")


class RescheduledTooOften(Refused):
    """``reschedule_max_count`` is reached."""

    code = "rescheduled_too_often"
    sentence_template = _("This session has been moved as often as possible.")


class OutcomeTooEarly(Refused):
    """Attendance is not known before the start."""

    code = "outcome_too_early"
    sentence_template = _("The outcome can be recorded once the session has begun.")


class CorrectionTooLate(Refused):
    """The outcome was recorded more than 30 days ago."""

    code = "correction_too_late"
    sentence_template = _("An outcome can be corrected for 30 days after it was recorded.")


class NotPaid(TransitionRefused):
    """An appointment is confirmed only once its deposit or price is paid."""

    code = "not_paid"
    sentence_template = _("This session is not paid yet.")


class NothingToPay(Refused):
    """The session is free of charge, has no deposit, or is paid already."""

    code = "nothing_to_pay"
    sentence_template = _("There is nothing to pay here.")


class Overpayment(Refused):
    """More than the ``left`` roubles of the price that are not paid yet."""

    code = "overpayment"
    sentence_template = _("This is more than is left to pay: %(left)s roubles.")


class RefundTooLarge(Refused):
    """More than what is left of the payment."""

    code = "refund_too_large"
    sentence_template = _("This is more than is left of the payment.")


class PaymentInProgress(Refused):
    """Another payment of this session is pending. A second one could charge twice."""

    code = "payment_in_progress"
    sentence_template = _("A payment for this session has already been started.")


class ProviderIdTaken(IdempotencyConflict):
    """The provider's id belongs to another payment, or the payment has another id."""

    code = "provider_id_taken"


class PeriodInvalid(InvalidInput):
    """Not a period of days; ``field`` names the end that is wrong."""

    code = "invalid_period"
    sentence_template = _("This is not a period of at most 366 days.")


class HoursInvalid(InvalidInput):
    """Not hours of a day; ``field`` names the end that is wrong."""

    code = "invalid_hours"
    sentence_template = _("Hours have a start and an end, later the same day.")


class RuleZoneUnknown(Refused):
    """The database knows the zone of ``rule``, Python on this machine does not.

    ``rule`` is a schedule rule, or an exception.
    """

    code = "unknown_zone"
    sentence_template = _("The time zone %(zone)s of a schedule rule is not known here.")


class ServiceIncomplete(NotReadyToPublish):
    """The service lacks what clients need; ``offences`` are codes."""

    code = "service_incomplete"
    wanted = {
        "description_missing": _("a description"),
        "address_missing": _("the address of the practice"),
        "refund_policy_missing": _("until when a cancellation is free of charge"),
    }

    @property
    def sentence(self) -> str:
        wanted = "; ".join(str(self.wanted[code]) for code in self.offences)
        return str(self.sentence_template) % {"wanted": wanted}


class AnswersInvalid(InvalidInput):
    """The answers break ``rule`` of the form's schema at ``place``."""

    code = "answers_invalid"
    sentence_template = _("Something is missing in the form, or not filled in as expected.")


class IntakeClosed(TransitionRefused):
    """The form was submitted, or the session is over."""

    code = "intake_closed"
    sentence_template = _("This form can no longer be changed.")
