from functools import update_wrapper
from typing import Any

from django.contrib.admin.options import BaseModelAdmin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
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
            if kept := self.kept_form(request):
                return kept
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

    # -- login ----------------------------------------------------------------------------------

    def get_urls(self):
        return [
            path("login/code/", self.login_code, name="login_code"),
            path("login/second_factor/", self.second_factor_setup, name="second_factor_setup"),
            path(
                "second_factor/",
                self.admin_view(self.second_factor),
                name="second_factor",
            ),
            *super().get_urls(),
        ]

    def kept_form(self, request: HttpRequest) -> HttpResponse | None:
        """Keep a form that was sent too late; after the login, the page that sends it again."""
        from .kept_forms import keep_form, offer_form, take_form

        if request.user.is_anonymous:
            if request.method == "POST":
                keep_form(request)
            return None
        if request.method != "GET" or (fields := take_form(request)) is None:
            return None
        return offer_form(request, fields, self.login_context(request, gettext("Unsent form")))

    def login_context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.each_context(request), "title": title, "subtitle": None}

    @method_decorator(never_cache)
    def login(self, request, extra_context=None):
        """As Django's, with the code of the second factor as a second step."""
        from .login import PasswordStep

        target = LoginView().get_redirect_url(request) or reverse("admin:index")
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(target)
        context = {
            **self.login_context(request, gettext("Log in")),
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            REDIRECT_FIELD_NAME: target,
            **(extra_context or {}),
        }
        request.current_app = self.name
        return PasswordStep.as_view(extra_context=context)(request)

    def password_change(self, request, extra_context=None):
        """As unfold's, with limited guesses of the current password."""
        from .login import OwnPasswordForm

        request.current_app = self.name
        return PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done"),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )(request)

    @method_decorator([never_cache, csrf_protect, sensitive_post_parameters()])
    def login_code(self, request):
        from .login import code_step

        return code_step(request, self.login_context(request, gettext("Log in")))

    @method_decorator([never_cache, csrf_protect, sensitive_post_parameters()])
    def second_factor_setup(self, request):
        from .login import setup_step

        return setup_step(request, self.login_context(request, gettext("Second factor")))

    @method_decorator(sensitive_post_parameters())
    def second_factor(self, request):
        from .login import second_factor_page

        return second_factor_page(request, self.login_context(request, gettext("Second factor")))
