from functools import update_wrapper

from django.core.exceptions import PermissionDenied
from django.http import Http404
from unfold.sites import UnfoldAdminSite


class Site(UnfoldAdminSite):
    """Admin. What a role may not see answers as what does not exist (access.md §1)."""

    def admin_view(self, view, cacheable=False):
        allowed = super().admin_view(view, cacheable)

        def hidden(request, *args, **kwargs):
            if request.user.is_authenticated and not self.has_permission(request):
                raise Http404
            try:
                return allowed(request, *args, **kwargs)
            except PermissionDenied:
                raise Http404 from None

        return update_wrapper(hidden, allowed)
