"""Lists answer only what their pages offer (access.md §1)."""

from typing import Any

from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import get_user_model
from django.core.exceptions import BadRequest, FieldDoesNotExist
from django.db import models
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from unfold.views import ChangeList as UnfoldChangeList

MAX_SEARCH_LENGTH, MAX_SEARCH_WORDS = 200, 12


class ChangeList(UnfoldChangeList):
    """Refuses each lookup that is no filter and no date hierarchy of the page.

    Keys are UUIDv7, so a comparison of keys would be a comparison of dates.
    """

    def get_filters(self, request):
        try:
            filters = super().get_filters(request)
        except OverflowError as error:  # a year of many digits
            raise IncorrectLookupParameters(error) from error
        hierarchy = self.date_hierarchy
        # Django adds these two for the chosen year, month or day.
        own = {f"{hierarchy}__gte", f"{hierarchy}__lt"}
        if unknown := filters[2].keys() - (own if f"{hierarchy}__year" in request.GET else set()):
            raise DisallowedModelAdminLookup(f"{len(unknown)} lookups are not offered")
        return filters


def check_search(term: str) -> None:
    """Raise BadRequest for a long search: each of its words adds conditions to the query."""
    if len(term) > MAX_SEARCH_LENGTH or len(term.split()) > MAX_SEARCH_WORDS:
        raise BadRequest("The search is too long.")


def is_offered(page: Any, request: HttpRequest, path: str) -> bool:
    """Whether the user may filter and search a list by this column, or through these relations."""
    plain = path.lstrip("^=@")  # the kind of a search
    column = plain.partition(LOOKUP_SEP)[0]
    return not page.is_hidden(request, column) and may_follow(request.user, page.model, plain)


def may_follow(user: Any, model: type[models.Model], path: str) -> bool:
    """Whether ``user`` may see the tables through which the lookup ``path`` leads.

    A person counts as a client here, whom the owner and the assistant may see.
    """
    options = model._meta
    for name in path.split(LOOKUP_SEP):
        try:
            related: Any = options.get_field(name).related_model
        except FieldDoesNotExist:  # a lookup, such as __exact
            return True
        if related is None:
            return True
        options = related._meta
        if related is get_user_model():
            may_view = user.sees_personal
        else:
            may_view = user.has_perm(f"{options.app_label}.view_{options.model_name}")
        if not may_view:
            return False
    return True
