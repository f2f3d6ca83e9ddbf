from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ebalance.admin import log
from ebalance.admin.options import AddOnly, ModelAdmin, ReadOnly, StackedInline

from .models import (
    AuditCheckpoint,
    AuditLogEntry,
    KeyRotation,
    Lease,
    Lock,
    MessageTemplate,
    MessageTemplateVersion,
    OutboxEvent,
    SystemSetting,
)
from .services import requeue_event


class MessageTemplateVersionInline(AddOnly, StackedInline):
    model = MessageTemplateVersion
    fields = ("version", "subject", "body_markdown", "updated_by", "created_at")
    actor_fields = ("updated_by",)
    ordering = ("-version",)
    per_page = 5
    tab = False


@admin.register(AuditLogEntry)
class AuditLogEntryAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "seq",
        "created_at",
        "actor",
        "actor_role",
        "action",
        "entity_type",
        "entity_id",
    )
    list_filter = ("actor_role", "created_at")
    search_fields = (
        "action__exact",
        "entity_type__exact",
        "entity_id__exact",
        "entity_key__exact",
        "actor__email__exact",
    )
    ordering = ("-seq",)

    def get_queryset(self, request):
        """An assistant reads only his or her own entries (access.md §1)."""
        rows = super().get_queryset(request)
        if "owner" in request.user.role_codes:
            return rows
        return rows.filter(actor=request.user.pk)


@admin.register(AuditCheckpoint)
class AuditCheckpointAdmin(ReadOnly, ModelAdmin):
    list_display = ("seq", "entries", "key_id", "created_at")
    list_filter = ("created_at",)
    search_fields = ("seq__exact", "key_id__exact")
    ordering = ("-seq",)


@admin.register(Lock)
class LockAdmin(ReadOnly, ModelAdmin):
    list_display = ("kind", "number")
    list_filter = ("kind",)
    search_fields = ("number__exact",)
    ordering = ("kind", "number")


@admin.register(MessageTemplate)
class MessageTemplateAdmin(ModelAdmin):
    list_display = ("name", "channel", "category", "language", "status", "active_version")
    list_filter = ("status", "channel", "category")
    search_fields = ("name",)
    inlines = (MessageTemplateVersionInline,)


@admin.register(MessageTemplateVersion)
class MessageTemplateVersionAdmin(AddOnly, ModelAdmin):
    list_display = ("template", "version", "subject", "updated_by", "created_at")
    list_filter = ("created_at",)
    search_fields = ("template__name", "subject")
    actor_fields = ("updated_by",)


@admin.register(SystemSetting)
class SystemSettingAdmin(ModelAdmin):
    list_display = ("key", "value", "updated_by", "updated_at")
    list_filter = ("updated_at",)
    search_fields = ("key",)
    ordering = ("pk",)
    actor_fields = ("updated_by",)
    actor_on_change = True


class OutboxState(admin.SimpleListFilter):
    title = _("delivery")
    parameter_name = "delivery"

    def lookups(self, request, model_admin):
        # Each is a method of OutboxQuerySet.
        return [
            ("waiting", _("waiting")),
            ("retrying", _("being retried")),
            ("dead", _("dead letters")),
            ("published", _("delivered")),
        ]

    def queryset(self, request, queryset):
        chosen = self.value()
        known = [name for name, _title in self.lookup_choices]
        return getattr(queryset, chosen)() if chosen in known else queryset


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "event_type",
        "aggregate_type",
        "aggregate_id",
        "created_at",
        "available_at",
        "published_at",
        "attempts",
        "last_error",
    )
    list_filter = (OutboxState, "published_at", "created_at")
    search_fields = ("event_type__exact", "aggregate_type__exact", "aggregate_id__exact")
    actions = ("requeue",)

    def has_requeue_permission(self, request):
        return request.user.has_perm("audit.change_outboxevent")

    @admin.action(description=_("Send dead letters again"), permissions=["requeue"])
    def requeue(self, request, queryset):
        dead = list(queryset.dead())
        for event in dead:
            requeue_event(event, actor=request.user)
        log.write(request, dead, CHANGE, "requeue")
        self.message_user(
            request,
            ngettext(
                "%(count)d event will be sent again.",
                "%(count)d events will be sent again.",
                len(dead),
            )
            % {"count": len(dead)},
            messages.SUCCESS if dead else messages.WARNING,
        )


@admin.register(KeyRotation)
class KeyRotationAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "table_name",
        "to_key",
        "to_index_key",
        "rows_done",
        "started_at",
        "updated_at",
        "finished_at",
    )
    list_filter = ("finished_at",)
    search_fields = ("table_name__exact", "to_key__exact", "to_index_key__exact")
    ordering = ("-started_at",)


@admin.register(Lease)
class LeaseAdmin(ReadOnly, ModelAdmin):
    list_display = ("name", "holder", "expires_at")
    search_fields = ("name", "holder")
    ordering = ("name",)
