"""Admin pages of questions, reviews and decisions of moderators.

Diaries have no page: no staff role sees even their existence (access.md §1).
"""

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from ebalance.admin.dialogs import Dialog, ServiceActionAdmin, choice, service_action
from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline
from ebalance.admin.text_dialogs import TextDialog

from .models import (
    AnonymousQuestion,
    EscalationReason,
    ModerationAction,
    ModerationTotal,
    QuestionAnswer,
    Review,
    ReviewPublicationConsent,
    TriggerFlag,
)
from .services import (
    answer_question,
    approve_question,
    escalate_question,
    flag_question,
    mask_personal_data,
    publish_answer,
    publish_review,
    reject_question,
    reject_review,
    unpublish_review,
)

# -- dialogs ---------------------------------------------------------------------------------------


class RejectionDialog(Dialog):
    shown_at = "reason"
    reason = choice(_("Reason"), ModerationAction.Reason.choices)


class EscalationDialog(Dialog):
    shown_at = "reason"
    reason = choice(_("Reason"), EscalationReason.choices, initial="other")


class FlagsDialog(Dialog):
    shown_at = "flags"
    flags = forms.MultipleChoiceField(
        label=_("Flags"),
        choices=TriggerFlag.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )


# -- pages -----------------------------------------------------------------------------------------


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
class AnonymousQuestionAdmin(ServiceActionAdmin):
    list_display = (
        "submitted_at",
        "due_at",
        "answer_due_at",
        "status",
        "channel",
        "trigger_flags",
        "moderated_at",
    )
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

    approve = service_action("approve", _("Approve"), approve_question)
    reject = service_action("reject", _("Reject"), reject_question, form=RejectionDialog)
    escalate = service_action("escalate", _("Escalate"), escalate_question, form=EscalationDialog)
    flag = service_action("flag", _("Flag"), flag_question, form=FlagsDialog)
    mask_pii = service_action(
        "mask_pii", _("Mask personal data"), mask_personal_data, form=TextDialog
    )
    answer = service_action(
        "answer", _("Answer"), answer_question, form=TextDialog, permission="answer"
    )
    publish_answer = service_action(
        "publish_answer", _("Publish the answer"), publish_answer, permission="answer"
    )

    def has_answer_permission(self, request, obj=None) -> bool:
        """Only the owner answers (access.md §1)."""
        return request.user.has_perm("ugc.add_questionanswer")

    @admin.action(description=_("Approve the selected questions"), permissions=["change"])
    def approve_selected(self, request, questions):
        self.call_for_all(request, questions, approve_question)


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


@admin.register(ModerationTotal)
class ModerationTotalAdmin(ReadOnly, ModelAdmin):
    """Totals of deleted questions; purge_expired and erase_user write them."""

    list_display = ("day", "decided", "rejected", "crisis", "within_due", "answered")
    date_hierarchy = "day"
    ordering = ("-day",)
    list_before_template = "lists/empty.html"
    empty_list = _(
        "Questions are deleted when their time of storage ends. Their numbers per day appear here."
    )


@admin.register(Review)
class ReviewAdmin(ServiceActionAdmin):
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

    publish = service_action("publish", _("Publish"), publish_review)
    unpublish = service_action("unpublish", _("Unpublish"), unpublish_review)
    reject = service_action("reject", _("Reject"), reject_review, form=RejectionDialog)
    mask_pii = service_action(
        "mask_pii", _("Mask personal data"), mask_personal_data, form=TextDialog
    )


@admin.register(ReviewPublicationConsent)
class ReviewPublicationConsentAdmin(ReadOnly, ModelAdmin):
    list_display = ("review", "user", "granted", "version", "granted_at", "revoked_at")
    list_filter = ("granted", "granted_at", "revoked_at")
    search_fields = ("version", "review__id__exact", "user__display_name", "user__email")
