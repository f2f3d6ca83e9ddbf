"""Refusals of the services of accounts and consents. ``code`` is part of the API."""

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from ebalance.services import InvalidInput, Refused, TransitionRefused


class PersonUnavailable(Refused):
    """A blocked or deleted person cannot agree. A blocked one may refuse; all may withdraw."""

    code = "person_unavailable"
    sentence_template = _("This account cannot agree to anything now. Please write to us.")


class LeadOfAnother(InvalidInput):
    """The consent names a person and a lead, and the lead belongs to another person."""

    code = "lead_of_another"
    sentence_template = _("This contact belongs to another person.")


class VersionOutdated(TransitionRefused):
    """There is an active consent to a newer version of the text."""

    code = "version_outdated"
    sentence_template = _("A newer version of this text has been agreed to already.")


class ExportUnavailable(Refused):
    """There is no file: not ready yet, failed, expired or removed."""

    code = "export_unavailable"
    sentence_template = _("This export is not available any more. Please ask for a new one.")


class AccountErased(Refused):
    """The person was erased, so there is nothing to export."""

    code = "account_erased"
    sentence_template = _("This account was deleted.")


class LastOwner(Refused):
    """No other active person could grant a role."""

    code = "last_owner"
    sentence_template = _(
        "The last active owner cannot be blocked or erased. Make somebody else owner first."
    )


class UpcomingAppointments(Refused):
    """The person has upcoming sessions, listed in ``appointments`` and ``starts``."""

    code = "upcoming_appointments"
    sentence_template = _(
        "This person has sessions ahead that are paid, confirmed or being paid for: %(starts)s. "
        "Cancel them first, or have them cancelled together with the erasure."
    )

    @property
    def sentence(self) -> str:
        starts = "; ".join(
            date_format(timezone.localtime(start), "j E Y, H:i")
            for start in self.details["starts"]  # type: ignore[attr-defined]
        )
        return str(self.sentence_template) % {"starts": starts}


class ErasureUnavailable(Refused):
    """This connection lacks the rights of the database's owner (docs/adr/0016-erasure.md)."""

    code = "erasure_unavailable"
    sentence_template = _(
        "This program may not change what the database keeps as written: erase this person by "
        "manage.py erase_user, as the owner of the database."
    )


class TooManyAttempts(Refused):
    """Too many failed logins. ``seconds`` are left until the next attempt."""

    code = "too_many_attempts"
    sentence_template = _("Too many attempts. Try again in %(minutes)s min.")

    @property
    def sentence(self) -> str:
        minutes = -(-int(str(self.details["seconds"])) // 60)  # rounded up
        return str(self.sentence_template) % {"minutes": minutes}
