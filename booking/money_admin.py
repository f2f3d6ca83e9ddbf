"""Pages of money, and the dialogs in which staff record it (access.md §1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import uuid4

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from ebalance.admin.dialogs import Dialog, ServiceActionAdmin, choice, service_action
from ebalance.admin.options import ModelAdmin, ReadOnly, TabularInline
from ebalance.db.zones import get_zone_info
from ebalance.metrics import read_zone
from ebalance.services import uuid_or_none

from .errors import OutcomeTooEarly
from .models import Appointment, Payment, PaymentWebhookEvent, Refund
from .services import record_refund, send_refund
from .services.chains import read_chain_keys
from .services.inputs import MAX_AMOUNT

# Of 5,000 ₽: the spaces of 5 000 ₽ break no line.
NO_BREAKS = str.maketrans(", ", "\xa0\xa0")


def roubles() -> forms.IntegerField:
    wrong = _("Enter whole roubles, from 1.")
    return forms.IntegerField(
        label=_("Amount, roubles"),
        min_value=1,
        max_value=MAX_AMOUNT,
        error_messages={
            "invalid": wrong,
            "min_value": wrong,
            "max_value": _("This amount is too large."),
        },
        widget=UnfoldAdminIntegerFieldWidget,
    )


def in_roubles(column: str, label: Any) -> Callable[[Any], str]:
    """A column of a list that shows whole roubles as people write them: 5 000 ₽."""

    @admin.display(description=label, ordering=column)
    def shown(row: Any) -> str:
        return f"{getattr(row, column):,} ₽".translate(NO_BREAKS)

    return shown


AMOUNT = in_roubles("amount", _("amount"))


@admin.display(description=_("Client"))
def client_of(row: Payment | Refund) -> str:
    """The person whose session was paid for."""
    session = row.payment.appointment if isinstance(row, Refund) else row.appointment
    return str(session.client or session.lead or "-")


def key_of_click() -> forms.CharField:
    """A key that the opened dialog keeps: a form that is sent twice is recorded once."""
    return forms.CharField(widget=forms.HiddenInput, initial=uuid4)


class MoneyDialog(Dialog):
    """Records money that staff took. Offers the part of the price that is not paid yet."""

    shown_at = "amount"
    method = choice(_("How it was paid"), Payment.Method.choices)
    amount = roubles()
    outcome = choice(
        _("The session"),
        [("attended", _("took place")), ("no_show", _("the client did not come"))],
        required=False,
        help_text=_("Leave this empty if the session is still ahead."),
    )
    idempotency_key = key_of_click()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"].initial = self.unpaid_part()

    def session(self) -> Appointment | None:
        key = uuid_or_none(self.object_id)
        return None if key is None else Appointment.objects.filter(pk=key).first()

    def clean_outcome(self) -> str:
        """Refuse an outcome before the start here: the service calls it a change of the row."""
        outcome = self.cleaned_data["outcome"]
        row = self.session()
        if outcome and row is not None and row.start_at_utc > timezone.now():
            raise ValidationError(OutcomeTooEarly(start=row.start_at_utc).sentence)
        return outcome

    def unpaid_part(self) -> int | None:
        row = self.session()
        if row is None:
            return None
        paid = Payment.objects.filter(appointment__in=read_chain_keys(row.pk), status="succeeded")
        held = sum(paid.with_balance().values_list("balance", flat=True))
        return max(row.price_amount - held, 0) or None


class HandedBackDialog(Dialog):
    """Records money that staff gave back. Offers all that is held of the payment."""

    shown_at = "amount"
    amount = roubles()
    id = key_of_click()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        key = uuid_or_none(self.object_id)
        if key is not None:
            rows = Payment.objects.filter(pk=key).with_balance()
            row = only_of_the_day(self.request, rows, "created_at").first()
            self.fields["amount"].initial = None if row is None else row.balance or None


def only_of_the_day(request, rows: QuerySet, column: str) -> QuerySet:
    """All rows for the owner, and those of the practice's day for the assistant."""
    if "owner" in request.user.role_codes:
        return rows
    today = timezone.localtime(timezone=get_zone_info(read_zone()))
    midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
    return rows.filter(**{f"{column}__gte": midnight})


class PaymentInline(ReadOnly, TabularInline):
    model = Payment
    show_title = True
    fields: ClassVar[Any] = (
        AMOUNT,
        "status",
        "purpose",
        "provider",
        "method",
        "receipt_status",
        "created_at",
        "confirmed_at",
    )

    def get_readonly_fields(self, request, obj=None):
        return [AMOUNT, *super().get_readonly_fields(request, obj)]

    def get_formset(self, request, obj=None, **kwargs):
        if "owner" not in request.user.role_codes:
            self.verbose_name_plural = _("Payments of today")
        return super().get_formset(request, obj, **kwargs)

    def get_queryset(self, request):
        return only_of_the_day(request, super().get_queryset(request), "created_at")


@admin.register(Payment)
class PaymentAdmin(ReadOnly, ServiceActionAdmin):
    """Staff record money on the page of its session, and here that they gave it back."""

    list_display = (
        "appointment",
        client_of,
        AMOUNT,
        "status",
        "purpose",
        "provider",
        "method",
        "receipt_status",
        "created_at",
        "confirmed_at",
    )
    list_filter = ("status", "provider", "method", "receipt_status", "purpose", "created_at")
    search_fields = (
        "appointment__client__display_name",
        "appointment__client__email",
        "idempotency_key",
        "provider_payment_id",
    )
    list_before_template = "lists/empty.html"
    empty_list = _(
        "Payments of the site appear here. Record money that you took on the page of its session. "
        "The assistant sees the payments of today."
    )
    actions_detail = ("hand_back",)
    buttons: ClassVar = {"succeeded": ("hand_back",)}
    hand_back = service_action(
        "hand_back",
        _("Money was given back"),
        record_refund,
        form=HandedBackDialog,
        permission="record",
    )

    def columns(self, request):
        return [f for f in super().columns(request) if f.name != "idempotency_key"]

    def has_record_permission(self, request, object_id=None) -> bool:
        return request.user.has_perm("booking.record_refund")

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        sessions = rows.select_related("appointment__client", "appointment__lead")
        return only_of_the_day(request, sessions, "created_at")


def hand_back_due(row: Refund, **values: Any) -> Refund:
    return record_refund(row.payment_id, amount=row.amount, id=row.pk, **values)


@admin.register(Refund)
class RefundAdmin(ReadOnly, ServiceActionAdmin):
    """The owner sends what is due to the provider; staff record what they gave back by hand."""

    list_display = (
        "session",
        client_of,
        AMOUNT,
        "status",
        "reason",
        "requested_at",
        "sent_at",
        "succeeded_at",
    )
    list_filter = ("status", "reason", "requested_at")
    search_fields = (
        "payment__appointment__client__display_name",
        "payment__appointment__client__email",
        "provider_refund_id",
        "payment__provider_payment_id",
    )
    list_before_template = "lists/empty.html"
    empty_list = _(
        "Money that is due back to clients, or was given back, appears here. "
        "The assistant sees the refunds of today."
    )
    actions_detail = ("send", "hand_back")
    buttons: ClassVar = {"due": ("send", "hand_back"), "failed": ("send", "hand_back")}
    send = service_action("send", _("Send to the provider"), send_refund, permission="send")
    hand_back = service_action(
        "hand_back", _("Given back by hand"), hand_back_due, permission="record"
    )

    def has_send_permission(self, request, object_id=None) -> bool:
        return request.user.has_perm("booking.change_refund")

    def has_record_permission(self, request, object_id=None) -> bool:
        return request.user.has_perm("booking.record_refund")

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        sessions = rows.select_related("payment__appointment__client", "payment__appointment__lead")
        return only_of_the_day(request, sessions, "requested_at")

    @admin.display(description=_("appointment"), ordering="payment__appointment")
    def session(self, row: Refund) -> str:
        return str(row.payment.appointment)


@admin.register(PaymentWebhookEvent)
class PaymentWebhookEventAdmin(ReadOnly, ModelAdmin):
    list_display = (
        "event_type",
        "provider_payment_id",
        "received_at",
        "processed_at",
        "attempts",
        "last_error",
    )
    list_filter = ("last_error", "received_at")
    search_fields = ("provider_payment_id", "provider_event_id", "event_type")
