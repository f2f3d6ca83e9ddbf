"""Diaries have no page: no staff role sees even their existence (access.md §1)."""

from django.contrib import admin

from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline

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
    fields = ("answered_by", "answer_text_encrypted", "published_at")


class ReviewPublicationConsentInline(ReadOnly, TabularInline):
    model = ReviewPublicationConsent
    fields = ("user", "granted", "version", "granted_at", "revoked_at")


@admin.register(AnonymousQuestion)
class AnonymousQuestionAdmin(ModelAdmin):
    list_display = ("submitted_at", "due_at", "status", "channel", "trigger_flags", "moderated_at")
    list_filter = ("status", "channel", "publish_allowed", "safety_confirmed", "submitted_at")
    search_fields = ("trigger_flags",)
    locked_fields = ("channel", "submitted_at", "publish_allowed", "safety_confirmed", "user")
    inlines = (QuestionAnswerInline,)


@admin.register(QuestionAnswer)
class QuestionAnswerAdmin(ModelAdmin):
    list_display = ("question", "answered_by", "published_at")
    list_filter = ("published_at",)
    search_fields = ("answered_by__display_name", "answered_by__email")
    actor_fields = ("answered_by",)
    locked_fields = ("question",)


@admin.register(ModerationAction)
class ModerationActionAdmin(ReadOnly, ModelAdmin):
    list_display = ("created_at", "ugc_type", "ugc_id", "action", "reason_category", "moderator")
    list_filter = ("ugc_type", "action", "reason_category", "created_at")
    search_fields = ("ugc_id__exact", "moderator__display_name", "moderator__email")


@admin.register(Review)
class ReviewAdmin(ModelAdmin):
    list_display = ("id", "user", "status", "anonymity_level", "submitted_at", "published_at")
    list_filter = ("status", "anonymity_level", "submitted_at", "published_at")
    search_fields = ("user__display_name", "user__email")
    locked_fields = ("user", "anonymity_level", "submitted_at")
    inlines = (ReviewPublicationConsentInline,)


@admin.register(ReviewPublicationConsent)
class ReviewPublicationConsentAdmin(ReadOnly, ModelAdmin):
    list_display = ("review", "user", "granted", "version", "granted_at", "revoked_at")
    list_filter = ("granted", "granted_at", "revoked_at")
    search_fields = ("version", "review__id__exact", "user__display_name", "user__email")
