"""Carries out requests for an erasure, as the owner of the database."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from django.utils import timezone

from ebalance.services import Clock, NotFound, get_or_refuse, storable_arguments
from identity.models import ErasureRequest

from .erase import erase_user
from .requests import REASONS, refuse_request

type Outcome = Literal["done", "refused", "elsewhere"]


@storable_arguments
def process_erasure_request(key: UUID, *, clock: Clock = timezone.now) -> Outcome:
    """Erase the person of an open request, or refuse the request with a reason.

    The erasure closes the request in its own transaction, so several workers may process the same
    request: the second one waits, and changes nothing. "elsewhere": the request was closed before.

    Raises what ``erase_user`` raises, except the refusals of REASONS; then the request stays open.
    """
    rows = ErasureRequest.objects.filter(status="requested").select_related("requested_by")
    try:
        request = get_or_refuse(rows, key)
    except NotFound:
        return "elsewhere"
    is_own = request.requested_by_id == request.user_id
    try:
        erase_user(
            request.user_id,
            method="self_service" if is_own else "admin",
            requested_at=request.created_at,
            force=request.cancels_appointments,
            actor=request.requested_by,
            clock=clock,
        )
    except tuple(REASONS) as refusal:
        is_refused = refuse_request(key, reason=REASONS[type(refusal)], clock=clock)
        return "refused" if is_refused else "elsewhere"
    return "done"
