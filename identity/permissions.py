"""The rights of each role in admin: the table of access.md §1."""

from collections.abc import Collection

FULL = frozenset({"view", "add", "change", "delete"})
READ = frozenset({"view"})
NONE: frozenset[str] = frozenset()

# section -> (assistant, editor); the owner has everything that exists.
SECTIONS = {
    "schedule": (FULL, NONE),
    "services": (READ, NONE),
    # Services of booking record it. The assistant sees those of the day (booking/money_admin.py).
    "money": (READ | {"record"}, NONE),
    "content": (READ, FULL),
    "crm": (FULL, NONE),
    "moderation": (FULL - {"delete"}, NONE),
    "answers": (READ, NONE),
    "templates": (READ, NONE),
    "audit": (READ, NONE),
    "owner only": (NONE, NONE),
}

# Only the owner may see models that are not listed. No role may see diaries,
# nor what a login asks.
MODEL_SECTIONS = {
    "booking.schedulerule": "schedule",
    "booking.scheduleexception": "schedule",
    "booking.availabilityslot": "schedule",
    "booking.appointment": "schedule",
    "booking.waitlistrequest": "schedule",
    "booking.service": "services",
    "booking.payment": "money",
    "booking.refund": "money",
    "ugc.anonymousquestion": "moderation",
    "ugc.moderationaction": "moderation",
    "ugc.moderationtotal": "moderation",
    "ugc.review": "moderation",
    "ugc.questionanswer": "answers",
    "ugc.reviewpublicationconsent": "answers",
    "crm.lead": "crm",
    "crm.leadidentity": "crm",
    "crm.leadtimelineevent": "crm",
    "crm.leadnote": "crm",
    "audit.messagetemplate": "templates",
    "audit.messagetemplateversion": "templates",
    "audit.auditlogentry": "audit",
}
HIDDEN_MODELS = frozenset(
    {
        "ugc.diaryentry",
        "identity.secondfactor",
        "identity.recoverycode",
        "identity.loginlimit",
    }
)

# The roles that may reveal a value of a sealed column in admin, one at a time (access.md §1: P2
# and contacts). No role may reveal a column that is not listed.
OWNER = frozenset({"owner"})
PRACTICE = frozenset({"owner", "assistant"})
REVEALS = {
    "booking.intakeform.payload_encrypted": OWNER,  # the assistant by SETTINGS
    "booking.waitlistrequest.contact_value_encrypted": PRACTICE,
    "crm.leadidentity.email_encrypted": PRACTICE,
    "crm.leadidentity.phone_encrypted": PRACTICE,
    "crm.leadnote.note_encrypted": PRACTICE,
    "ugc.anonymousquestion.contact_value_encrypted": PRACTICE,
    "ugc.anonymousquestion.question_text_encrypted": PRACTICE,
    "identity.secondfactor.secret_encrypted": NONE,
    "ugc.diaryentry.payload_encrypted": NONE,
    "ugc.questionanswer.answer_text_encrypted": PRACTICE,
    "ugc.review.review_text_encrypted": PRACTICE,
}

# More permissions of an assistant, if the owner sets the key in system_settings to true.
SETTINGS = {
    "booking.view_intakeform": "assistant_reads_intake_forms",
    "booking.intakeform.payload_encrypted": "assistant_reads_intake_forms",
}


def section_of(app_label: str, model: str) -> str:
    if app_label in ("content", "interactive"):
        return "content"
    return MODEL_SECTIONS.get(f"{app_label}.{model}", "owner only")


def allows(roles: Collection[str], perm: str) -> bool:
    """Whether one of ``roles`` grants ``perm`` ("app.action_model")."""
    app_label, _, codename = perm.partition(".")
    action, _, model = codename.partition("_")
    if f"{app_label}.{model}" in HIDDEN_MODELS:
        return False
    if "owner" in roles:
        return True
    assistant, editor = SECTIONS[section_of(app_label, model)]
    return ("assistant" in roles and action in assistant) or (
        "editor" in roles and action in editor
    )


def reveals(roles: Collection[str], column: str) -> bool:
    """Whether one of ``roles`` may reveal values of a sealed column ("app.model.field")."""
    return bool(REVEALS.get(column, NONE) & set(roles))


def setting_that_grants(roles: Collection[str], what: str) -> str | None:
    """The setting that would grant a permission, or a sealed column, to one of ``roles``."""
    return SETTINGS.get(what) if "assistant" in roles else None


def sees_personal(roles: Collection[str]) -> bool:
    """Whether one of ``roles`` sees names, contacts and other P1 columns: all but the editor."""
    return bool({"owner", "assistant"} & set(roles))


def allows_module(roles: Collection[str], app_label: str) -> bool:
    """Whether one of ``roles`` may see any model of the app."""
    if "owner" in roles:
        return True
    if app_label in ("content", "interactive"):
        return bool({"assistant", "editor"} & set(roles))
    return "assistant" in roles and any(name.startswith(f"{app_label}.") for name in MODEL_SECTIONS)
