"""Diaries have no page: no staff role sees even their existence (access.md §1)."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from ebalance.admin.dialogs import VerbAdmin, verb_action
from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline

from .dialogs import Escalation, Flags, Rejection, Text
from .models import (
    AnonymousQuestion,
    ModerationAction,
    QuestionAnswer,
    Review,
    ReviewPublicationConsent,
)


class QuestionAnswerInline(TabularInline):
    model = QuestionAnswer
    show_title = True
    actor_fields = ("answered_by",)
    locked_fields = ("published_at",)
    fields = ("answered_by", "answer_text_encrypted", "published_at")


class ReviewPublicationConsentInline(ReadOnly, TabularInline):
    model = ReviewPublicationConsent
    fields = ("user", "granted", "version", "granted_at", "revoked_at")


@admin.register(AnonymousQuestion)
class AnonymousQuestionAdmin(VerbAdmin):
    list_display = ("submitted_at", "due_at", "status", "channel", "trigger_flags", "moderated_at")
    list_filter = ("status", "channel", "publish_allowed", "safety_confirmed", "submitted_at")
    search_fields = ("trigger_flags",)
    locked_fields = (
        "channel",
        "status",
        "trigger_flags",
        "submitted_at",
        "publish_allowed",
        "safety_confirmed",
        "user",
        "moderated_at",
        "answered_at",
    )
    inlines = (QuestionAnswerInline,)
    actions = ("approve_selected",)
    actions_detail = (
        "approve",
        "answer",
        "reject",
        "escalate",
        "flag",
        "mask_pii",
        "publish_answer",
    )

    buttons = {
        "pending": ["approve", "reject", "escalate", "flag", "mask_pii"],
        "flagged": ["approve", "reject", "escalate", "flag", "mask_pii"],
        "approved": ["answer", "escalate", "mask_pii"],
        "answered": ["publish_answer"],
    }

    approve = verb_action("approve", _("Approve"), AnonymousQuestion.approve)
    reject = verb_action("reject", _("Reject"), AnonymousQuestion.reject, form=Rejection)
    escalate = verb_action("escalate", _("Escalate"), AnonymousQuestion.escalate, form=Escalation)
    flag = verb_action("flag", _("Flag"), AnonymousQuestion.flag, form=Flags)
    mask_pii = verb_action(
        "mask_pii", _("Mask personal data"), AnonymousQuestion.mask_pii, form=Text
    )
    answer = verb_action(
        "answer", _("Answer"), AnonymousQuestion.answer, form=Text, permission="answer"
    )
    publish_answer = verb_action(
        "publish_answer",
        _("Publish the answer"),
        AnonymousQuestion.publish_answer,
        permission="answer",
    )

    def has_answer_permission(self, request, obj=None) -> bool:
        """Answers are the owner's (access.md §1)."""
        return request.user.has_perm("ugc.add_questionanswer")

    @admin.action(description=_("Approve the selected questions"), permissions=["change"])
    def approve_selected(self, request, questions):
        self.call_for_all(request, questions, AnonymousQuestion.approve)


@admin.register(QuestionAnswer)
class QuestionAnswerAdmin(ModelAdmin):
    list_display = ("question", "answered_by", "published_at")
    list_filter = ("published_at",)
    search_fields = ("answered_by__display_name", "answered_by__email")
    actor_fields = ("answered_by",)
    locked_fields = ("question", "published_at")


@admin.register(ModerationAction)
class ModerationActionAdmin(ReadOnly, ModelAdmin):
    list_display = ("created_at", "ugc_type", "ugc_id", "action", "reason_category", "moderator")
    list_filter = ("ugc_type", "action", "reason_category", "created_at")
    search_fields = ("ugc_id__exact", "moderator__display_name", "moderator__email")


@admin.register(Review)
class ReviewAdmin(VerbAdmin):
    list_display = ("id", "user", "status", "anonymity_level", "submitted_at", "published_at")
    list_filter = ("status", "anonymity_level", "submitted_at", "published_at")
    search_fields = ("user__display_name", "user__email")
    locked_fields = ("user", "status", "anonymity_level", "submitted_at", "published_at")
    inlines = (ReviewPublicationConsentInline,)
    actions_detail = ("publish", "unpublish", "reject", "mask_pii")

    buttons = {
        "pending": ["publish", "reject", "mask_pii"],
        "published": ["unpublish", "mask_pii"],
        "unpublished": ["publish", "mask_pii"],
    }

    publish = verb_action("publish", _("Publish"), Review.publish)
    unpublish = verb_action("unpublish", _("Unpublish"), Review.unpublish)
    reject = verb_action("reject", _("Reject"), Review.reject, form=Rejection)
    mask_pii = verb_action("mask_pii", _("Mask personal data"), Review.mask_pii, form=Text)


@admin.register(ReviewPublicationConsent)
class ReviewPublicationConsentAdmin(ReadOnly, ModelAdmin):
    list_display = ("review", "user", "granted", "version", "granted_at", "revoked_at")
    list_filter = ("granted", "granted_at", "revoked_at")
    search_fields = ("version", "review__id__exact", "user__display_name", "user__email")
