from functools import update_wrapper

from django.contrib.admin.options import BaseModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404
from unfold.sites import UnfoldAdminSite

from . import entries


class Site(UnfoldAdminSite):
    """Admin. A page that a user may not see is answered with 404 (access.md §1).

    The audit log records the attempt (access.md §3).
    """

    def admin_view(self, view, cacheable=False):
        allowed = super().admin_view(view, cacheable)
        page_of = getattr(view, "__self__", None)
        model = page_of.model if isinstance(page_of, BaseModelAdmin) else None

        def hidden(request, *args, **kwargs):
            if request.user.is_authenticated and not self.has_permission(request):
                if view != self.catch_all_view:  # the page exists
                    entries.refused(request, model)
                raise Http404
            try:
                return allowed(request, *args, **kwargs)
            except PermissionDenied as refusal:
                # With a cause, the request is malformed, not forbidden (AutocompleteJsonView).
                if refusal.__cause__ is None:
                    entries.refused(request, model)
                raise Http404 from None

        return update_wrapper(hidden, allowed)

    def app_index(self, request, app_label, extra_context=None):
        if not self.get_app_list(request, app_label):
            raise PermissionDenied  # apps without pages for this user
        return super().app_index(request, app_label, extra_context)
