"""Login to admin: the password, then a code of the second factor (access.md §1).

Between the two steps the session only remembers whose password was correct: it logs nobody in.
Outside development a person without a second factor sets it up before the first login.
"""

from __future__ import annotations

import time
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.signals import user_login_failed
from django.contrib.auth.views import LoginView
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.crypto import constant_time_compare, get_random_string
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from ebalance.actor import Actor, client_address, current_actor
from identity.auth import find_person
from identity.errors import TooManyAttempts
from identity.models import User
from identity.services import (
    Attempt,
    begin_attempt,
    confirm_second_factor,
    offer_second_factor,
    offered_secret,
    second_factor_of,
    unused_recovery_codes,
    use_code,
)

from .qr import app_address, qr_code

PENDING = "pending_login"  # in the session, between the password and the code
REPLACING = "replacing_second_factor"  # in the session: the current password was given at
STEP_SECONDS = 10 * 60  # for the code after the password
KNOWN_BROWSER = "__Host-known_browser" if settings.DEPLOYED else "known_browser"
KNOWN_SECONDS = 365 * 24 * 3600


class LoginForm(AuthenticationForm):
    """Attempts are limited. A correct password without a role in admin is a failed login too."""

    def clean(self) -> dict[str, Any]:
        account, password = (self.cleaned_data.get(name) for name in ("username", "password"))
        if account is None or not password:
            return self.cleaned_data
        person = find_person(account)
        attempt = limited(self.request, "password", account, person)
        try:
            cleaned = super().clean()
        except ValidationError:
            attempt.failed(person)
            raise
        attempt.succeeded()
        return cleaned

    def confirm_login_allowed(self, user: User) -> None:
        try:
            super().confirm_login_allowed(user)
        except ValidationError:
            report_failure(self.request, self.cleaned_data["username"])
            raise


class OneField(forms.Form):
    """Checks one field by ``accepts()``, as a limited attempt of ``person``."""

    name = ""
    step = ""
    wrong: Any = ""

    def __init__(self, request: HttpRequest, person: User, data: Any = None) -> None:
        super().__init__(data)
        self.request, self.person = request, person

    def accepts(self, text: str) -> bool:
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        if (text := self.cleaned_data.get(self.name)) is None:
            return self.cleaned_data
        attempt = limited(self.request, self.step, str(self.person.pk), self.person)
        if not self.accepts(text):
            report_failure(self.request, self.person.email)
            attempt.failed(self.person)
            raise ValidationError(self.wrong, "wrong")
        attempt.succeeded()
        return self.cleaned_data


class CodeForm(OneField):
    name, step = "code", "code"
    wrong = _("This code is not correct, or it was used already. Wait for the next one.")

    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        help_text=_("Six digits of the app, or a recovery code if the phone is lost."),
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": "", "spellcheck": "false"}
        ),
    )

    def accepts(self, text: str) -> bool:
        return use_code(self.person, text, actor=self.person)


class FirstCodeForm(OneField):
    name, step = "code", "code"
    wrong = _("This code is not correct. Check the clock of the phone, and type the next code.")
    recovery_codes: list[str] | None = None

    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        help_text=_("Six digits that the app shows now."),
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}
        ),
    )

    def accepts(self, text: str) -> bool:
        self.recovery_codes = confirm_second_factor(self.person, text, actor=self.person)
        return self.recovery_codes is not None


class CurrentPasswordForm(OneField):
    name, step = "current_password", "current password"
    wrong = _("The current password is not correct.")

    current_password = forms.CharField(
        label=_("Current password"),
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )

    def accepts(self, text: str) -> bool:
        return self.person.check_password(text)


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """Guesses of the current password are limited: the session may be stolen."""

    def clean_old_password(self) -> str:
        password: str = self.cleaned_data["old_password"]
        if not is_current_password(self.user, password):
            raise ValidationError(CurrentPasswordForm.wrong, "password_incorrect")
        return password


class PasswordStep(LoginView):
    """The page of the password."""

    authentication_form = LoginForm
    template_name = "admin/login.html"

    def form_valid(self, form: Any) -> HttpResponse:
        person = form.get_user()
        factor = second_factor_of(person)
        if factor is None and not settings.SECOND_FACTOR_REQUIRED:
            response = super().form_valid(form)
            remember_browser(response, self.request, person)
            return response
        if self.request.user.is_authenticated:
            logout(self.request)
        self.request.session[PENDING] = {
            "person": str(person.pk),
            "stamp": person.get_session_auth_hash(),
            "at": int(time.time()),
            "next": self.get_success_url(),
        }
        page = "admin:login_code" if factor else "admin:second_factor_setup"
        return HttpResponseRedirect(reverse(page))


def code_step(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The page of the code."""
    person = pending_person(request)
    if person is None or second_factor_of(person) is None:
        return HttpResponseRedirect(reverse("admin:login"))
    form = CodeForm(request, person, request.POST or None)
    if request.method == "POST" and form.is_valid():
        response = HttpResponseRedirect(finish_login(request, person))
        remember_browser(response, request, person)
        return response
    return render(request, "login/code.html", {**context, "form": form})


def setup_step(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Set up the second factor: at the first login, or when a logged-in person replaces it."""
    person = pending_person(request) or replacing_person(request)
    if person is None or (request.user.is_anonymous and second_factor_of(person)):
        return HttpResponseRedirect(reverse("admin:login"))
    form = FirstCodeForm(request, person, request.POST or None)
    if request.method == "POST" and form.is_valid():
        person = User.objects.get(pk=person.pk)  # with the new stamp
        if request.user.is_anonymous:
            target = finish_login(request, person)
        else:
            del request.session[REPLACING]
            update_session_auth_hash(request, person)
            target = reverse("admin:second_factor")
        shown = {**context, "codes": form.recovery_codes, "next": target}
        response = render(request, "login/recovery_codes.html", shown)
        remember_browser(response, request, person)
        return response
    secret = (request.method == "POST" and offered_secret(person)) or offer_second_factor(person)
    address = app_address(secret, person)
    shown = {
        **context,
        "form": form,
        "qr": qr_code(address),
        "address": address,
        "secret": " ".join(secret[i : i + 4] for i in range(0, len(secret), 4)),
    }
    return render(request, "login/setup.html", shown)


def second_factor_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The own second factor of a logged-in person. The current password opens its setup."""
    person = request.user
    assert isinstance(person, User)
    form = CurrentPasswordForm(request, person, request.POST or None)
    if request.method == "POST" and form.is_valid():
        request.session[REPLACING] = int(time.time())
        return HttpResponseRedirect(reverse("admin:second_factor_setup"))
    shown = {
        **context,
        "form": form,
        "factor": second_factor_of(person),
        "left": unused_recovery_codes(person),
    }
    return render(request, "login/second_factor.html", shown)


def pending_person(request: HttpRequest) -> User | None:
    """The person who gave a correct password in this session a short time ago."""
    pending = request.session.get(PENDING)
    if not pending or is_over(pending["at"]) or request.user.is_authenticated:
        return None
    person = User.objects.filter(pk=pending["person"]).first()
    if person is None or not person.is_staff:
        return None
    stamp = person.get_session_auth_hash()
    return person if constant_time_compare(pending["stamp"], stamp) else None


def replacing_person(request: HttpRequest) -> User | None:
    """The logged-in person who gave the current password a short time ago."""
    if isinstance(request.user, User) and not is_over(request.session.get(REPLACING, 0)):
        return request.user
    return None


def is_over(began: int) -> bool:
    return time.time() - began >= STEP_SECONDS


def finish_login(request: HttpRequest, person: User) -> str:
    """Log the person in, and return the address of the page that they wanted."""
    target: str = request.session.pop(PENDING)["next"]
    login(request, person)
    return target


# -- attempts -----------------------------------------------------------------------------------


def limited(request: HttpRequest, step: str, account: str, person: User | None) -> Attempt:
    """Count an attempt. Raises ValidationError if there were too many."""
    address = client_address(request)
    try:
        return begin_attempt(step, account, address, browser=known_browser(request, person))
    except TooManyAttempts as refusal:
        raise ValidationError(refusal.sentence, refusal.code) from None


def is_current_password(person: User, password: str) -> bool:
    """A limited check of the own password. Raises ValidationError after too many guesses."""
    address = (current_actor() or Actor()).ip_address
    try:
        attempt = begin_attempt(CurrentPasswordForm.step, str(person.pk), address)
    except TooManyAttempts as refusal:
        raise ValidationError(refusal.sentence, refusal.code) from None
    if person.check_password(password):
        attempt.succeeded()
        return True
    attempt.failed(person)
    return False


def report_failure(request: HttpRequest, account: str | None) -> None:
    user_login_failed.send(__name__, credentials={"username": account}, request=request)


def known_browser(request: HttpRequest, person: User | None) -> str | None:
    """The id of this browser if the person has logged in with it before."""
    try:
        text = str(request.get_signed_cookie(KNOWN_BROWSER, max_age=KNOWN_SECONDS))
    except (KeyError, signing.BadSignature):
        return None
    owner, _separator, _id = text.partition(":")
    return text if person is not None and owner == str(person.pk) else None


def remember_browser(response: HttpResponseBase, request: HttpRequest, person: User) -> None:
    response.set_signed_cookie(
        KNOWN_BROWSER,
        known_browser(request, person) or f"{person.pk}:{get_random_string(22)}",
        max_age=KNOWN_SECONDS,
        secure=settings.DEPLOYED,
        httponly=True,
        samesite="Lax",
    )
