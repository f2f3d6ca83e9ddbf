from django.contrib import admin

from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline

from .models import InteractiveDefinition, InteractiveRun, InteractiveVersion


class InteractiveVersionInline(ReadOnly, TabularInline):
    model = InteractiveVersion
    show_title = True
    fields = ("version", "created_by", "created_at")
    ordering = ("-version",)
    tab = False


@admin.register(InteractiveDefinition)
class InteractiveDefinitionAdmin(ModelAdmin):
    list_display = ("title", "interactive_type", "slug", "topic", "status", "published_version")
    list_filter = ("status", "interactive_type", "topic")
    search_fields = ("title", "slug")
    inlines = (InteractiveVersionInline,)


@admin.register(InteractiveVersion)
class InteractiveVersionAdmin(ReadOnly, ModelAdmin):
    list_display = ("interactive_definition", "version", "created_by", "created_at")
    list_filter = ("created_at",)
    search_fields = ("interactive_definition__title", "interactive_definition__slug")


@admin.register(InteractiveRun)
class InteractiveRunAdmin(ReadOnly, ModelAdmin):
    """Runs are aggregates that the product writes."""

    list_display = (
        "interactive_definition",
        "definition_version",
        "status",
        "result_level",
        "crisis_triggered",
        "entry_point",
        "started_at",
    )
    list_filter = (
        "status",
        "result_level",
        "result_profile",
        "crisis_triggered",
        "crisis_trigger_type",
        "entry_point",
        "started_at",
    )
    search_fields = ("anonymous_id__exact", "deep_link_id__exact")
