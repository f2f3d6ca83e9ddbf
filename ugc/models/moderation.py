"""Decisions of moderators."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import rules, triggers
from ebalance.db.fields import ClosedSet, Entity, RestrictForeignKey, created_at
from ebalance.db.schema.classification import by_staff, keep, p0
from ebalance.db.schema.retention import kept

from .questions import AnonymousQuestion
from .reviews import Review


def target_exists(action: "ModerationAction") -> bool:
    target = {"anonymous_question": AnonymousQuestion, "review": Review}.get(action.ugc_type)
    return target is not None and target.objects.filter(pk=action.ugc_id).exists()


class ModerationAction(Entity):
    """A decision of a moderator about a text of a client. Append-only."""

    class UgcType(models.TextChoices):
        ANONYMOUS_QUESTION = "anonymous_question", _("anonymous question")
        REVIEW = "review", _("review")
        COMMENT = "comment", _("comment")

    class Action(models.TextChoices):
        APPROVE = "approve", _("approve")
        REJECT = "reject", _("reject")
        FLAG = "flag", _("flag")
        MASK_PII = "mask_pii", _("mask pii")
        PUBLISH = "publish", _("publish")
        UNPUBLISH = "unpublish", _("unpublish")
        ESCALATE = "escalate", _("escalate")

    class Reason(models.TextChoices):
        CRISIS = "crisis", _("crisis")
        MEDICAL = "medical", _("medical")
        OUT_OF_SCOPE = "out_of_scope", _("out of scope")
        THERAPY_REQUEST = "therapy_request", _("therapy request")
        SPAM = "spam", _("spam")
        PII = "pii", _("pii")
        OTHER = "other", _("other")

    ugc_type = ClosedSet(UgcType, db_comment=p0("what ugc_id points at"))
    ugc_id = models.UUIDField(
        db_comment=p0(
            "id of the question or review",
            erasure=keep("the decision stays; the text is deleted"),
        )
    )
    moderator = RestrictForeignKey(
        "identity.User",
        db_column="moderator_user_id",
        related_name="moderation_actions",
        db_comment=by_staff("who decided"),
    )
    action = ClosedSet(Action, db_comment=p0("what was done"))
    reason_category = ClosedSet(
        Reason, null=True, blank=True, db_comment=p0("category of the reason; required to reject")
    )
    created_at = created_at()

    retention = kept("as evidence of the decision; the text is deleted")

    class Meta:
        db_table = "ugc_moderation_actions"
        db_table_comment = "Decisions of moderators; append-only"
        verbose_name = _("moderation action")
        verbose_name_plural = _("moderation actions")
        constraints = [
            rules.required_when(
                "ugc_moderation_actions_reject_has_reason",
                "reason_category",
                Q(action="reject"),
                _("A rejection needs a reason."),
            ),
            rules.finite("ugc_moderation_actions", "created_at"),
        ]
        indexes = [
            rules.Index(
                "ugc_moderation_actions_by_target",
                "ugc_type",
                "ugc_id",
                "created_at",
                serves="history of a question or review; metrics: decision times",
            ),
            rules.Index("ugc_moderation_actions_by_moderator", "moderator", serves="delete check"),
        ]
        triggers = [
            triggers.Rule(
                "ugc_moderation_actions_target_exists",
                operation=pgtrigger.Insert,
                message=gettext_noop("There is no such question or review"),
                column="ugc_id",
                broken=lambda row: row._state.adding and not target_exists(row),
                body=f"""
BEGIN
    IF NOT (CASE NEW.ugc_type
            WHEN 'anonymous_question' THEN
                EXISTS (SELECT FROM public.anonymous_questions WHERE id = NEW.ugc_id)
            WHEN 'review' THEN EXISTS (SELECT FROM public.reviews WHERE id = NEW.ugc_id)
            -- Comments have no table in release 1; an unknown type is the CHECK's to name.
            WHEN 'comment' THEN false
            ELSE true END) THEN
        {triggers.REFUSE}
    END IF;
    RETURN NULL;
END""",
            ),
            *triggers.append_only("ugc_moderation_actions"),
        ]

    def __str__(self) -> str:
        return str(self.get_action_display())
