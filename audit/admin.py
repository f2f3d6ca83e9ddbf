from django.contrib import admin

from ebalance.admin.options import AddOnly, ModelAdmin, ReadOnly, StackedInline

from .models import (
    AuditLogEntry,
    KeyRotation,
    MessageTemplate,
    MessageTemplateVersion,
    OutboxEvent,
    SystemSetting,
)


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
        """An assistant reads the own entries (access.md §1)."""
        rows = super().get_queryset(request)
        if "owner" in request.user.role_codes:
            return rows
        return rows.filter(actor=request.user.pk)


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


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "event_type",
        "aggregate_type",
        "aggregate_id",
        "created_at",
        "published_at",
        "attempts",
        "last_error",
    )
    list_filter = ("published_at", "created_at")
    search_fields = ("event_type__exact", "aggregate_type__exact", "aggregate_id__exact")


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
