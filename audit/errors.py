"""Refusals of the services of the audit log. A refused call writes nothing."""

from django.utils.translation import gettext_lazy as _

from ebalance.services import Refused


class LogDamaged(Refused):
    """An entry differs from what was written; verify_audit_log reports the details."""

    code = "audit_log_damaged"
    sentence_template = _("The audit log is damaged at number %(seq)s. Nothing of it is removed.")


class SigningKeyMissing(Refused):
    code = "audit_key_missing"
    sentence_template = _(
        "The last checkpoint of the audit log is signed with the key %(key)s, which is not there. "
        "Nothing of it is removed."
    )


class OwnerNeeded(Refused):
    code = "audit_owner_needed"
    sentence_template = _("Only the owner of the database may remove old entries of the audit log.")
