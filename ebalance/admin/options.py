"""Base classes of all admin pages.

They handle roles, sealed columns, frozen columns, refusals of the database and the log. The number
of queries of a page does not depend on the number of its rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import django.contrib.admin
import unfold.admin
from django import forms
from django.contrib import messages
from django.contrib.admin import ActionLocation, ShowFacets
from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.contrib.admin.options import BaseModelAdmin, IncorrectLookupParameters, InlineModelAdmin
from django.contrib.auth import get_user_model
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import models, transaction
from django.http import HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from ebalance.db.encryption.fields import BlindIndex
from ebalance.db.fields import SingleLineTextField
from ebalance.db.schema.data_map import is_personal

from . import deletion, entries, log
from .forms import Autocomplete, Form, Formset, blank_defaults
from .lists import ChangeList, check_search, is_offered
from .paginator import BoundedPaginator
from .refusals import REFUSALS, ask_deferred_rules, sentence
from .reveal import Reveals
from .sealed import Seal, needs_sealing, seals_of, without_ciphertext


class Rows(BaseModelAdmin):
    """Shared behaviour of a table's own page (ModelAdmin) and of a table inside a page (inline)."""

    seals: dict[str, Seal]
    form: type[forms.ModelForm] = Form
    formfield_overrides: ClassVar = {
        SingleLineTextField: {"widget": UnfoldAdminTextInputWidget},
        ArrayField: {"widget": UnfoldAdminTextInputWidget},
        models.TextField: {"widget": UnfoldAdminTextareaWidget(attrs={"rows": 4})},
    }
    markdown_rows: ClassVar[int] = 24
    # References to the logged-in user, set by admin when a row is added.
    actor_fields: ClassVar[tuple[str, ...]] = ()
    # Read-only: a service of the domain writes these.
    locked_fields: ClassVar[tuple[str, ...]] = ()

    # -- who ------------------------------------------------------------------------------------

    def has_add_permission(self, request, *args):
        return not needs_sealing(self.model) and super().has_add_permission(request, *args)

    def is_hidden(self, request, name: Any) -> bool:
        """Whether the column is personal (not P0, or names a person) and hidden from the user."""
        if request.user.sees_personal:
            return False
        field = {f.name: f for f in self.opts.concrete_fields}.get(name)
        return field is not None and (is_personal(field) or field.related_model is get_user_model())

    def is_choosable(self, request, field: models.Field) -> bool:
        """Only users who may see the list of people can choose a person."""
        return field.related_model is not get_user_model() or request.user.has_perm(
            "identity.view_user"
        )

    # -- what -----------------------------------------------------------------------------------

    def get_queryset(self, request):
        return without_ciphertext(super().get_queryset(request))

    def is_fixed(self, request, field: models.Field) -> bool:
        """Whether the column is read-only, on new rows and on old ones."""
        return (
            not field.editable
            or field.name in self.locked_fields
            or field.name in self.actor_fields
            or not self.is_choosable(request, field)
        )

    def columns(self, request) -> list[models.Field]:
        """The columns that the user may see, sealed ones by their seal."""
        return [
            field
            for field in self.opts.concrete_fields
            if not isinstance(field, BlindIndex | models.BinaryField)
            and not self.is_hidden(request, field.name)
        ]

    # -- how ------------------------------------------------------------------------------------

    def get_autocomplete_fields(self, request):
        """All references to tables that the user may see, so that no list of choices is loaded."""
        return [
            field.name
            for field in self.opts.concrete_fields
            if field.many_to_one
            and field.related_model is not None
            and self.admin_site.is_registered(field.related_model)
            and self.admin_site.get_model_admin(field.related_model).has_view_permission(request)
        ]

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", Autocomplete(db_field, self.admin_site))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        if db_field.name.endswith("_markdown"):
            kwargs["widget"] = UnfoldAdminTextareaWidget(attrs={"rows": self.markdown_rows})
            kwargs["strip"] = False  # leading spaces mean something in Markdown
        if isinstance(db_field, models.TextField) and db_field.null and not db_field.choices:
            kwargs["empty_value"] = None  # absent is NULL, see SingleLineTextField
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def prepared(self, form: type[forms.ModelForm], request) -> type[Form]:
        """Set the request and the actor's fields on ``form``, a class made for this request."""
        made = cast("type[Form]", form)
        made.request = request
        made.actor_fields = self.actor_fields
        return made


class ModelAdmin(Reveals, Rows, unfold.admin.ModelAdmin):
    """The page of a table. Subclasses declare columns, filters and searches of its list."""

    ordering: ClassVar[tuple[str, ...]] = ("-pk",)  # UUIDv7: newest first, and indexed
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator: ClassVar[type] = BoundedPaginator
    warn_unsaved_form = True
    # Sections of the form below the first: title -> names of columns.
    sections: ClassVar[Mapping[Any, Sequence[str]]] = {}
    actor_on_change: ClassVar[bool] = False

    def __init__(self, model, admin_site):
        super().__init__(model, admin_site)
        self.seals = seals_of(self.model)

    # -- lists ----------------------------------------------------------------------------------

    def get_list_display(self, request):
        shown = super().get_list_display(request)
        return [name for name in shown if not self.is_hidden(request, name)]

    def get_list_filter(self, request):
        filters = super().get_list_filter(request)
        return [f for f in filters if not isinstance(f, str) or is_offered(self, request, f)]

    def get_changelist(self, request, **kwargs):
        return ChangeList

    def get_changelist_instance(self, request):
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            raise BadRequest("The list has no such filter, value or page.") from error

    def get_queryset(self, request):
        """Join the references that the list shows."""
        shown = self.get_list_display(request)
        references = [
            f.name for f in self.opts.concrete_fields if f.many_to_one and f.name in shown
        ]
        rows = super().get_queryset(request)
        return rows.select_related(*references) if references else rows

    def get_search_fields(self, request):
        """Add the search by key."""
        fields = [f for f in super().get_search_fields(request) if is_offered(self, request, f)]
        return [*fields, "pk__exact"]

    def get_search_results(self, request, queryset, search_term):
        check_search(search_term)
        return super().get_search_results(request, queryset, search_term)

    def get_action_choices(
        self, request, default_choices=None, action_location=ActionLocation.CHANGE_LIST
    ):
        # Unfold's signature lacks action_location, which Django 6.1 warns of.
        return django.contrib.admin.ModelAdmin.get_action_choices(
            self, request, default_choices or [("", _("Select action"))], action_location
        )

    # -- pages ----------------------------------------------------------------------------------

    def get_inline_formsets(self, request, formsets, inline_instances, obj=None):
        """Leave database defaults of unsaved rows blank. Django calls this only to show a page."""
        for formset in formsets:
            for form in formset.extra_forms:
                blank_defaults(form.instance)
        return super().get_inline_formsets(request, formsets, inline_instances, obj)

    def get_fieldsets(self, request, obj=None):
        main: list[Any] = []
        record: list[Any] = []
        sections: dict[Any, list[Any]] = {title: [] for title in self.sections}
        section_of = {name: title for title, names in self.sections.items() for name in names}
        for field in self.columns(request):
            if obj is None and self.is_fixed(request, field):
                continue
            name: Any = self.seals.get(field.name, field.name)
            if field.name in section_of:
                sections[section_of[field.name]].append(name)
            elif field.editable or name in self.seals.values():
                main.append(name)
            else:
                record.append(name)
        if obj is not None:
            main += self.readonly_fields
        return [
            (title, {"fields": names})
            for title, names in [(None, main), *sections.items(), (_("Record"), record)]
            if names
        ]

    def get_inlines(self, request, obj):
        """On the page of a new row, only inlines whose rows can be added with it."""
        inlines = super().get_inlines(request, obj)
        if obj is not None:
            return inlines
        return [
            inline
            for inline in inlines
            if not issubclass(inline, ReadOnly) and not needs_sealing(inline.model)
        ]

    def get_readonly_fields(self, request, obj=None):
        names: list[Any] = [*self.seals.values(), *self.readonly_fields]
        columns = self.columns(request)
        names += [f.name for f in columns if self.is_fixed(request, f)]
        if obj is not None:
            frozen = {
                column
                for trigger in getattr(self.opts, "triggers", ())
                for column in getattr(trigger, "frozen_columns", ())
            }
            names += [f.name for f in columns if f.primary_key or f.column in frozen]
        return [*dict.fromkeys(names)]

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = self.prepared(super().get_form(request, obj, change=change, **kwargs), request)
        form.actor_on_change = self.actor_on_change
        form.refusal = getattr(request, "refusal", None)
        return form

    # -- what a role must not do ------------------------------------------------------------------

    def changelist_view(self, request, extra_context=None):
        """Refuse an action that is not offered to the user, instead of ignoring it."""
        if asked := request.POST.getlist("action"):
            actions = self._get_base_actions()
            offered = self._filter_actions_by_permissions(request, actions)
            if any(one.name in asked and one not in offered for one in actions):
                raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def _get_obj_does_not_exist_redirect(self, request, opts, object_id):
        """Django's answer for a missing row, also given to users who may not see the row."""
        key = entries.uuid_in(object_id)
        if key and self.model._base_manager.filter(pk=key).exists():
            entries.refused(request, self.model)
        return super()._get_obj_does_not_exist_redirect(request, opts, object_id)

    # -- refusals of the database ---------------------------------------------------------------

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except REFUSALS as error:
            # Everything is rolled back. The form is shown again with its input and the error.
            request.refusal = sentence(error)
            return super().changeform_view(request, object_id, form_url, extra_context)

    def save_related(self, request, form, formsets, change):
        super().save_related(request, form, formsets, change)
        ask_deferred_rules()

    def delete_view(self, request, object_id, extra_context=None):
        try:
            return super().delete_view(request, object_id, extra_context)
        except REFUSALS as error:
            self.message_user(request, sentence(error), messages.ERROR)
            page = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
            return HttpResponseRedirect(reverse(page, args=[object_id]))

    def response_action(self, request, queryset, action_location=ActionLocation.CHANGE_LIST):
        try:
            with transaction.atomic():
                return super().response_action(request, queryset, action_location)
        except REFUSALS as error:
            self.message_user(request, sentence(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    # -- deleting -------------------------------------------------------------------------------

    def get_deleted_objects(self, objs, request):
        return deletion.consequences(objs, request, self.admin_site)

    def delete_model(self, request, obj):
        deletion.delete(self.model._base_manager.filter(pk=obj.pk))

    def delete_queryset(self, request, queryset):
        deletion.delete(self.model._base_manager.filter(pk__in=[row.pk for row in queryset]))

    # -- the log --------------------------------------------------------------------------------

    def construct_change_message(self, request, form, formsets, add=False):
        return log.changes(form, formsets, added=add)

    def log_addition(self, request, obj, message):
        return log.write(request, [obj], ADDITION, message)[0]

    def log_change(self, request, obj, message):
        return log.write(request, [obj], CHANGE, message)[0]

    def log_deletions(self, request, queryset):
        return log.write(request, queryset, DELETION)

    def history_view(self, request, object_id, extra_context=None):
        if not (request.user.sees_personal and self.has_view_or_change_permission(request)):
            raise PermissionDenied  # it names people
        return super().history_view(request, object_id, extra_context)


class Inline(Rows, InlineModelAdmin):
    """A table inside the page of its parent row, with pagination."""

    extra = 0
    formset = Formset
    per_page = 20
    ordering: ClassVar[tuple[str, ...]] = ("pk",)
    show_change_link = True
    tab = True
    markdown_rows = 8

    def __init__(self, parent_model, admin_site):
        super().__init__(parent_model, admin_site)
        self.seals = seals_of(self.model)

    def get_queryset(self, request):
        references = [
            field.name
            for field in self.columns(request)
            if field.many_to_one and field.related_model is not self.parent_model
        ]
        rows = super().get_queryset(request)
        return rows.select_related(*references) if references else rows

    def get_fields(self, request, obj=None):
        columns = self.columns(request)
        names: Sequence[Any] = self.fields or [
            f.name for f in columns if f.editable or f.name in self.seals
        ]
        return [self.seals.get(name, name) for name in names if not self.is_hidden(request, name)]

    def get_readonly_fields(self, request, obj=None):
        fixed = [f.name for f in self.columns(request) if self.is_fixed(request, f)]
        return [*self.seals.values(), *fixed]

    def get_formset(self, request, obj=None, **kwargs):
        formset = super().get_formset(request, obj, **kwargs)
        self.prepared(formset.form, request)
        return formset


class TabularInline(Inline, unfold.admin.TabularInline):
    show_title = False  # True: each row is headed by its name, with a link to its page


class StackedInline(Inline, unfold.admin.StackedInline):
    pass


class AddOnly:
    """Rows are added and never changed (immutable versions)."""

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class ReadOnly(AddOnly):
    """Rows are written by the product, by migrations or by the database, not in admin."""

    def has_add_permission(self, request, *args):
        return False
