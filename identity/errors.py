"""What the verbs of people and their consents say no with. ``code`` is part of the API."""

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from ebalance.services import InvalidInput, Refused, TransitionRefused


class PersonUnavailable(Refused):
    """Whoever agrees is blocked or deleted; the blocked may refuse, and anybody may withdraw."""

    code = "person_unavailable"
    sentence_template = _("This account cannot agree to anything now. Please write to us.")


class LeadOfAnother(InvalidInput):
    """A consent of a person and a lead, where the lead is known as somebody else."""

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
    """There is nothing left of this person that an export could hold."""

    code = "account_erased"
    sentence_template = _("This account was deleted.")


class LastOwner(Refused):
    """Nobody else who is active could grant a role."""

    code = "last_owner"
    sentence_template = _(
        "The last active owner cannot be blocked or erased. Make somebody else owner first."
    )


class UpcomingAppointments(Refused):
    """There are sessions ahead; ``appointments`` and ``starts`` say which."""

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
    """This connection has not the rights of the database's owner (docs/adr/0016-erasure.md)."""

    code = "erasure_unavailable"
    sentence_template = _(
        "This program may not change what the database keeps as written: erase this person by "
        "manage.py erase_user, as the owner of the database."
    )
