"""Deletes rows, and shows which other rows the database will delete with them, a few per table.

Django's own collector would load all these rows into memory. Rows of sections that the user may not
see are neither named nor counted (access.md §1).
"""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.utils import quote
from django.db import models
from django.db.models.deletion import CASCADE, DB_CASCADE, get_candidate_relations_to_delete
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from ebalance.db.on_delete import DB_RESTRICT

from .refusals import ask_deferred_rules
from .sealed import without_ciphertext

SHOWN = 10


def delete(rows: models.QuerySet) -> None:
    """One DELETE statement. Raises IntegrityError when the database refuses."""
    rows._raw_delete(rows.db)
    ask_deferred_rules()


def consequences(objects, request: HttpRequest, site) -> tuple[list, dict, set, list]:
    """The result of ``ModelAdmin.get_deleted_objects``.

    The number of queries depends only on the relations of the model.
    """
    result = _Consequences(request, site)
    keys: models.QuerySet | list[Any]
    if isinstance(objects, models.QuerySet):
        model, keys = objects.model, objects.values("pk")
    else:
        model, keys = type(objects[0]), [row.pk for row in objects]
    rows = model._base_manager.filter(pk__in=keys)
    roots = result.lines(rows)
    along = list(result.walk(rows, {model}))
    shown = [*roots, _("Together with this:"), along] if along else roots
    return shown, result.counts, result.lacking, result.protected


class _Consequences:
    def __init__(self, request: HttpRequest, site) -> None:
        self.request = request
        self.site = site
        self.counts: dict[str, int | str] = {}
        self.lacking: set[str] = set()
        self.protected: list[str] = []

    def walk(self, rows: models.QuerySet, seen: set[type[models.Model]]) -> Iterator[str]:
        for relation in get_candidate_relations_to_delete(rows.model._meta):
            field = relation.field  # type: ignore[attr-defined]  # relations, not fields
            related = field.model._base_manager.filter(**{f"{field.name}__in": rows})
            if field.remote_field.on_delete is DB_CASCADE:
                yield from self.lines(related)
                if field.model not in seen:
                    yield from self.walk(related, seen | {field.model})
            elif field.remote_field.on_delete in (DB_RESTRICT, CASCADE):
                # Only Django's admin log declares CASCADE; its rows are kept.
                self.protect(related)

    def lines(self, rows: models.QuerySet) -> list[str]:
        """One line for each of the first few rows."""
        meta = rows.model._meta
        if not self.may_view(rows.model):
            return []
        some = list(without_ciphertext(rows.order_by("pk"))[: SHOWN + 1])
        if not some:
            return []
        if not self.request.user.has_perm(f"{meta.app_label}.delete_{meta.model_name}"):
            self.lacking.add(str(meta.verbose_name))
        more = len(some) > SHOWN
        name = str(meta.verbose_name_plural)
        self.counts[name] = _("more than %(number)s") % {"number": SHOWN} if more else len(some)
        lines = [self.link(row) for row in some[:SHOWN]]
        return [*lines, _("%(rows)s: and more") % {"rows": capfirst(name)}] if more else lines

    def protect(self, rows: models.QuerySet) -> None:
        """Name the rows that prevent the deletion. Of hidden rows, only the database knows."""
        if self.may_view(rows.model):
            some = without_ciphertext(rows.order_by("pk"))[:SHOWN]
            self.protected += [self.link(row) for row in some]

    def may_view(self, model: type[models.Model]) -> bool:
        return self.site.is_registered(model) and self.site.get_model_admin(
            model
        ).has_view_permission(self.request)

    def link(self, row: models.Model) -> str:
        meta = row._meta
        page = f"{self.site.name}:{meta.app_label}_{meta.model_name}_change"
        return format_html(
            '{}: <a href="{}">{}</a>',
            capfirst(meta.verbose_name),
            reverse(page, args=[quote(row.pk)]),
            row,
        )
