"""Diaries have no page: no staff role sees even their existence (access.md §1)."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline
from ebalance.verbs import Refused

from .dialogs import Confirmation, Escalation, Flags, Rejection, Text
from .models import (
    AnonymousQuestion,
    ModerationAction,
    QuestionAnswer,
    Review,
    ReviewPublicationConsent,
)


def verb_action(
    verb: str, title: Any, *, form: type[Confirmation] = Confirmation, permission: str = "change"
) -> Callable:
    """A button on the page of a row: asks in a dialog, then calls the verb of this name."""
    dialog = {"title": title, "form_class": form, "form_submit_text": title}

    def run(self, request, form, object_id):
        return self.call(request, form, object_id, verb, dialog)

    run.__name__ = verb
    path = verb.replace("_", "-")
    return action(description=title, url_path=path, permissions=[permission], dialog=dialog)(run)


class Moderation(ModelAdmin):
    """Pages whose rows change by their verbs only. Each verb is a dialog, written by POST."""

    def call(self, request, form: Confirmation, object_id: str, verb: str, dialog: dict):
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        try:
            getattr(row, verb)(actor=request.user, **form.values())
        except Refused as refusal:
            if form.shown_at:  # nothing typed is lost
                form.add_error(form.shown_at, refusal.sentence)
                return render(
                    request,
                    "unfold/helpers/dialog.html",
                    {"dialog": dialog, "form": form, "form_submit_text": dialog["title"]},
                )
            self.message_user(request, refusal.sentence, messages.ERROR)
        else:
            self.message_user(request, _("Done."), messages.SUCCESS)
        return self.back_to(request, object_id)

    def back_to(self, request, object_id: str) -> HttpResponse:
        """The page of the row; a dialog of htmx is told to load it whole."""
        page = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        address = reverse(page, args=[object_id])
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Redirect": address})
        return HttpResponseRedirect(address)

    def has_answer_permission(self, request, obj=None) -> bool:
        """Answers are the owner's (access.md §1)."""
        return request.user.has_perm("ugc.add_questionanswer")


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
class AnonymousQuestionAdmin(Moderation):
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

    approve = verb_action("approve", _("Approve"))
    reject = verb_action("reject", _("Reject"), form=Rejection)
    escalate = verb_action("escalate", _("Escalate"), form=Escalation)
    flag = verb_action("flag", _("Flag"), form=Flags)
    mask_pii = verb_action("mask_pii", _("Mask personal data"), form=Text)
    answer = verb_action("answer", _("Answer"), form=Text, permission="answer")
    publish_answer = verb_action("publish_answer", _("Publish the answer"), permission="answer")

    @admin.action(description=_("Approve the selected questions"), permissions=["change"])
    def approve_selected(self, request, questions):
        """All of them or, if one is refused, none."""
        for question in questions.order_by("pk"):
            question.approve(actor=request.user)
        self.message_user(request, _("Done."), messages.SUCCESS)


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
class ReviewAdmin(Moderation):
    list_display = ("id", "user", "status", "anonymity_level", "submitted_at", "published_at")
    list_filter = ("status", "anonymity_level", "submitted_at", "published_at")
    search_fields = ("user__display_name", "user__email")
    locked_fields = ("user", "status", "anonymity_level", "submitted_at", "published_at")
    inlines = (ReviewPublicationConsentInline,)
    actions_detail = ("publish", "unpublish", "reject", "mask_pii")

    publish = verb_action("publish", _("Publish"))
    unpublish = verb_action("unpublish", _("Unpublish"))
    reject = verb_action("reject", _("Reject"), form=Rejection)
    mask_pii = verb_action("mask_pii", _("Mask personal data"), form=Text)


@admin.register(ReviewPublicationConsent)
class ReviewPublicationConsentAdmin(ReadOnly, ModelAdmin):
    list_display = ("review", "user", "granted", "version", "granted_at", "revoked_at")
    list_filter = ("granted", "granted_at", "revoked_at")
    search_fields = ("version", "review__id__exact", "user__display_name", "user__email")
