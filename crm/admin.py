from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.utils.translation import gettext_lazy as _

from ebalance.admin import log
from ebalance.admin.options import ModelAdmin, ReadOnly, StackedInline, TabularInline
from ebalance.db.ids import uuid7

from .models import (
    AnalyticsEvent,
    DeepLink,
    Lead,
    LeadIdentity,
    LeadNote,
    LeadTimelineEvent,
    TrackingEvent,
    TrackingEventParam,
)
from .services import merge_leads


class LeadIdentityInline(StackedInline):
    model = LeadIdentity


class LeadNoteInline(TabularInline):
    model = LeadNote
    show_title = True
    fields = ("author", "note_encrypted", "created_at")
    actor_fields = ("author",)
    ordering = ("-created_at",)


class LeadTimelineEventInline(ReadOnly, TabularInline):
    model = LeadTimelineEvent
    show_title = True
    fields = ("occurred_at", "tracking_event", "source")
    ordering = ("-occurred_at",)


class TrackingEventParamInline(ReadOnly, TabularInline):
    model = TrackingEventParam
    fields = ("name", "kind", "allowed", "is_required")
    ordering = ("name",)
    tab = False


@admin.register(Lead)
class LeadAdmin(ModelAdmin):
    list_display = ("id", "source", "status", "topic", "created_at", "updated_at")
    list_filter = ("status", "source", "topic", "created_at")
    search_fields = (
        "identities__anonymous_id__exact",
        "identities__telegram_user_id__exact",
        "identities__user__email",
        "identities__user__display_name",
    )
    inlines = (LeadIdentityInline, LeadNoteInline, LeadTimelineEventInline)
    readonly_fields = ("merged_into",)  # the action below merges
    actions = ("merge_selected",)

    @admin.action(
        description=_("Merge the selected leads into the oldest of them"), permissions=["change"]
    )
    def merge_selected(self, request, queryset):
        """All of them or, if one is refused, none."""
        leads = list(queryset.order_by("created_at", "pk"))
        if len(leads) < 2:
            self.message_user(
                request, _("Choose two leads of the same person, or more."), messages.WARNING
            )
            return
        oldest, *others = leads
        for lead in others:
            merge_leads(lead, into=oldest, actor=request.user)
        log.write(request, [oldest], CHANGE, "merge")
        self.message_user(request, _("Done."), messages.SUCCESS)


@admin.register(LeadIdentity)
class LeadIdentityAdmin(ModelAdmin):
    list_display = ("lead", "user", "anonymous_id", "telegram_user_id", "is_primary", "created_at")
    list_filter = ("is_primary", "created_at")
    search_fields = (
        "anonymous_id__exact",
        "telegram_user_id__exact",
        "user__display_name",
        "user__email",
    )


@admin.register(LeadNote)
class LeadNoteAdmin(ModelAdmin):
    list_display = ("lead", "author", "created_at", "updated_at")
    list_filter = ("created_at",)
    search_fields = ("lead__id__exact", "author__display_name", "author__email")
    actor_fields = ("author",)
    locked_fields = ("lead",)


@admin.register(LeadTimelineEvent)
class LeadTimelineEventAdmin(ModelAdmin):
    list_display = ("occurred_at", "lead", "tracking_event", "source")
    list_filter = ("source", "tracking_event", "occurred_at")
    search_fields = ("lead__id__exact", "event_id__exact", "deep_link_id__exact")

    def get_changeform_initial_data(self, request):
        return {
            "event_id": uuid7(),
            "source": "admin",
            **super().get_changeform_initial_data(request),
        }


@admin.register(TrackingEvent)
class TrackingEventAdmin(ReadOnly, ModelAdmin):
    """The tracking plan is loaded by migrations."""

    list_display = ("event_name", "sources", "is_active")
    list_filter = ("is_active",)
    search_fields = ("event_name",)
    ordering = ("pk",)
    inlines = (TrackingEventParamInline,)


@admin.register(TrackingEventParam)
class TrackingEventParamAdmin(ReadOnly, ModelAdmin):
    list_display = ("event", "name", "kind", "is_required", "allowed")
    list_filter = ("kind", "is_required")
    search_fields = ("name", "event__event_name")


@admin.register(AnalyticsEvent)
class AnalyticsEventAdmin(ReadOnly, ModelAdmin):
    list_display = ("occurred_at", "tracking_event", "source", "environment", "anonymous_id")
    list_filter = ("source", "environment", "tracking_event", "occurred_at")
    search_fields = (
        "event_id__exact",
        "anonymous_id__exact",
        "session_id__exact",
        "user_id__exact",
        "lead_id__exact",
    )


@admin.register(DeepLink)
class DeepLinkAdmin(ModelAdmin):
    list_display = (
        "deep_link_id",
        "flow",
        "tg_target",
        "topic",
        "lead",
        "created_at",
        "expires_at",
    )
    list_filter = ("flow", "tg_target", "topic", "created_at")
    search_fields = ("deep_link_id", "anonymous_id__exact", "entity_ref", "source_page")
