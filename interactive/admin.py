import json

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextareaWidget

from ebalance.admin.forms import Form
from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline
from ebalance.admin.publishing import PublishingAdmin

from .models import InteractiveDefinition, InteractiveRun, InteractiveRunTotal, InteractiveVersion
from .services import publish_version


class InteractiveVersionInline(ReadOnly, TabularInline):
    model = InteractiveVersion
    show_title = True
    fields = ("version", "created_by", "created_at")
    ordering = ("-version",)
    tab = False


class ConfigField(forms.JSONField):
    """Indented JSON. A refused form shows the input unchanged."""

    def to_python(self, value):
        try:
            return super().to_python(value)
        except (ValueError, RecursionError):  # more digits or levels than json parses
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None

    def bound_data(self, data, initial):
        return data

    def prepare_value(self, value):
        if isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


class DefinitionForm(Form):
    """Contains the newest configuration. Publishing a changed one creates a version."""

    config = ConfigField(
        label=_("configuration"),
        help_text=_("JSON, as described in interactive/config_schemas. “Publish” puts it to use."),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 24}),
    )
    publishes = False  # whether "Publish" was pressed; the page sets it

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        newest = self.instance.versions.order_by("-version").first()
        self.initial["config"] = newest.config if newest else {}

    def clean(self):
        super().clean()
        if "config" in self.changed_data and not self.publishes:
            self.add_error("config", _("A changed configuration is not saved, but published."))
        return self.cleaned_data


@admin.register(InteractiveDefinition)
class InteractiveDefinitionAdmin(PublishingAdmin):
    list_display = ("title", "interactive_type", "slug", "topic", "status", "published_version")
    list_filter = ("status", "interactive_type", "topic")
    search_fields = ("title", "slug")
    inlines = (InteractiveVersionInline,)
    locked_fields = (*PublishingAdmin.locked_fields, "published_version")
    # A new configuration replaces a published one.
    buttons = {**PublishingAdmin.buttons, "published": ("publish", "unpublish", "archive")}

    def takes_config(self, request, obj) -> bool:
        return obj is not None and self.has_change_permission(request, obj)

    def get_fieldsets(self, request, obj=None):
        sections = super().get_fieldsets(request, obj)
        if self.takes_config(request, obj):
            sections.append((_("Configuration"), {"fields": ["config"]}))
        return sections

    def get_readonly_fields(self, request, obj=None):
        """The kind is fixed after the first publication: versions follow the schema of the kind."""
        names = super().get_readonly_fields(request, obj)
        if obj is not None and obj.published_version is not None:
            names.append("interactive_type")
        return names

    def get_form(self, request, obj=None, change=False, **kwargs):
        if self.takes_config(request, obj):
            kwargs["form"] = DefinitionForm
        form = super().get_form(request, obj, change=change, **kwargs)
        form.publishes = self.is_pressed(request, "publish")
        return form

    @action(description=_("Publish"), permissions=["change"])
    def publish(self, request, form):
        publish_version(form.instance, config=form.cleaned_data["config"], actor=request.user)
        self.message_user(request, _("This is published now."))


@admin.register(InteractiveVersion)
class InteractiveVersionAdmin(ReadOnly, ModelAdmin):
    list_display = ("interactive_definition", "version", "created_by", "created_at")
    list_filter = ("created_at",)
    search_fields = ("interactive_definition__title", "interactive_definition__slug")


@admin.register(InteractiveRun)
class InteractiveRunAdmin(ReadOnly, ModelAdmin):
    """Only the product writes runs."""

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


@admin.register(InteractiveRunTotal)
class InteractiveRunTotalAdmin(ReadOnly, ModelAdmin):
    """Totals of purged runs; purge_expired writes them."""

    list_display = (
        "day",
        "interactive_definition",
        "status",
        "result_level",
        "result_profile",
        "entry_point",
        "crisis_triggered",
        "runs",
        "cta_runs",
    )
    list_filter = ("status", "result_level", "result_profile", "entry_point", "crisis_triggered")
    search_fields = ("interactive_definition__title", "interactive_definition__slug")
    date_hierarchy = "day"
    ordering = ("-day",)
