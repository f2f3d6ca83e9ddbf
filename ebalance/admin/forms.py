from datetime import datetime
from typing import Any

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.db.models.expressions import DatabaseDefault
from unfold.forms import PaginationInlineFormSet

from ebalance.db.triggers import Transition


class Autocomplete(AutocompleteSelect):
    """Shows the chosen row without a query if the form's instance has loaded it."""

    loaded: models.Model | None = None

    def optgroups(self, name, value, attr=None):
        row = self.loaded
        if row is None or [str(v) for v in value] != [str(row.pk)]:
            return super().optgroups(name, value, attr)
        chosen = self.create_option(name, row.pk, str(row), True, 1)
        empty = [] if self.is_required else [self.create_option(name, "", "", False, 0)]
        return [(None, [*empty, chosen], 0)]


class Form(forms.ModelForm):
    """The form of every page and inline of admin.

    The page makes a subclass for each request, and sets ``request`` and ``refusal`` on it.
    """

    request: Any = None
    refusal: str | None = None  # the database's refusal of the same data
    actor_fields: tuple[str, ...] = ()  # references to the logged-in user, set by the form
    actor_on_change = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.request and (self.actor_on_change or self.instance._state.adding):
            for name in self.actor_fields:
                setattr(self.instance, f"{name}_id", self.request.user.pk)
        self._keep_loaded()
        self._offer_moves()

    def _keep_loaded(self) -> None:
        for name, field in self.fields.items():
            widget = getattr(field.widget, "widget", field.widget)
            if isinstance(widget, Autocomplete):
                reference = self.instance._meta.get_field(name)
                if reference.is_cached(self.instance):
                    widget.loaded = reference.get_cached_value(self.instance)

    def _offer_moves(self) -> None:
        """Offer only the reachable states of a state machine (states.md)."""
        row, meta = self.instance, self.instance._meta
        for trigger in getattr(meta, "triggers", ()):
            name = trigger.column if isinstance(trigger, Transition) else None
            if name not in self.fields:
                continue
            if row._state.adding:
                initial = [t for t in meta.triggers if t.rule == f"{meta.db_table}_{name}_initial"]
                reachable = [
                    state
                    for state in meta.get_field(name).members.values
                    if not any(t.broken and t.broken(_in_state(row, name, state)) for t in initial)
                ]
            else:
                now = getattr(row, name)
                reachable = [now, *trigger.moves.get(now, ())]
            field: Any = self.fields[name]  # a ChoiceField: the column has a closed set
            field.choices = [c for c in field.choices if c[0] == "" or c[0] in reachable]

    def clean(self):
        super().clean()
        for name, value in self.cleaned_data.items():
            if isinstance(value, str):
                # Browsers send every line break of a text area as two characters.
                self.cleaned_data[name] = value.replace("\r\n", "\n")
            elif isinstance(value, datetime) and name not in self.changed_data:
                # Inputs show whole seconds; an unchanged time keeps its fraction.
                self.cleaned_data[name] = self.initial.get(name, value)
        if self.refusal:
            self.add_error(None, self.refusal)
        return self.cleaned_data

    def add_error(self, field, error):
        """Show errors of columns that are not on the page as errors of the form."""
        if field is None and hasattr(error, "error_dict"):
            shown: dict[str, list[ValidationError]] = {}
            for name, errors in error.error_dict.items():
                is_shown = name in self.fields and not self.fields[name].widget.is_hidden
                shown.setdefault(name if is_shown else NON_FIELD_ERRORS, []).extend(errors)
            error = ValidationError(shown)
        super().add_error(field, error)


class Formset(PaginationInlineFormSet):
    @property
    def empty_form(self):
        """The form that the page copies for a new row."""
        form = super().empty_form
        blank_defaults(form.instance)
        return form


def blank_defaults(row: models.Model) -> None:
    """Empty the columns of an unsaved row that the database fills, for a page that shows it.

    Otherwise the page shows the Python object of the default.
    """
    for field in row._meta.concrete_fields:
        if isinstance(getattr(row, field.attname), DatabaseDefault):
            setattr(row, field.attname, None)


def _in_state(row: models.Model, name: str, state: str) -> models.Model:
    return type(row)(**{name: state})
