"""Services are drafted, published and archived; slots are blocked and unblocked."""

from __future__ import annotations

from typing import Any

import pytest

from booking.errors import ServiceIncomplete, ServiceUnavailable, SlotTaken
from booking.models import Appointment, AvailabilitySlot, Service
from booking.services import block_slot, book_appointment, unblock_slot
from content import services
from content.services import archive, publish, unpublish
from ebalance.services import NotFound, NotPermitted, TransitionRefused
from tests.booking.outbox_assertions import (
    book,
    confirmed,
    event_types,
    payload,
    refused,
    request,
    stored,
    writes_nothing,
)
from tests.factories import AvailabilitySlotFactory, ServiceFactory, UserFactory
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db

# Function -> the new status, and the statuses that it accepts.
MOVES = {
    "publish": ("published", {"draft"}),
    "unpublish": ("draft", {"published"}),
    "archive": ("archived", {"published"}),
    "restore": ("draft", {"archived"}),
}
EVENTS = {
    "publish": "service_published",
    "unpublish": "service_unpublished",
    "archive": "service_archived",
    "restore": "service_restored",
}


# -- services ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["draft", "published", "archived"])
@loop_over("name", [*MOVES])
def test_service_changes_its_status_as_in_states_md(name: str, status: str) -> None:
    row, (to, sources) = ServiceFactory(status=status), MOVES[name]
    move = getattr(services, name)
    if status in sources:
        move(row)
        assert row.status == stored(row)["status"] == to
        assert event_types() == event_types(row) == [EVENTS[name]]
    elif status != to:
        with refused(TransitionRefused, entity="services", status=status, wanted=to):
            move(row)
        return
    with writes_nothing():
        move(row)
        move(Service.objects.get(pk=row.pk))


def test_service_function_ignores_the_status_in_memory() -> None:
    row = ServiceFactory(published=True)
    old = Service.objects.get(pk=row.pk)
    archive(row)
    with refused(TransitionRefused, status="archived"):
        unpublish(old)
    old.status = "draft"  # only in memory
    with refused(TransitionRefused, status="archived"):
        publish(old)


COMPLETE = {"description_markdown": "Встреча.", "offline_address": "Москва, улица Мира, 1"}
INCOMPLETE: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"format": "online", "offline_address": None}, ()),
    ({"format": "offline"}, ()),
    ({"format": "hybrid"}, ()),
    ({"format": "offline", "offline_address": None}, ("address_missing",)),
    ({"format": "hybrid", "offline_address": None}, ("address_missing",)),
    ({"format": "offline", "offline_address": " \u200b"}, ("address_missing",)),
    ({"format": "online", "description_markdown": ""}, ("description_missing",)),
    ({"format": "online", "description_markdown": " \n\u200b"}, ("description_missing",)),
    ({"cancel_free_hours": None, "cancel_partial_hours": None}, ("refund_policy_missing",)),
    (
        {
            "cancel_free_hours": None,
            "cancel_partial_hours": None,
            "price_amount": 0,
            "deposit_amount": None,
        },
        (),
    ),
    (
        {"format": "offline", "offline_address": None, "description_markdown": ""},
        ("description_missing", "address_missing"),
    ),
]


@loop_over(("values", "offences"), INCOMPLETE)
def test_incomplete_service_is_not_published(
    values: dict[str, Any], offences: tuple[str, ...]
) -> None:
    row = ServiceFactory(**COMPLETE | values)
    if offences:
        with refused(ServiceIncomplete, offences=offences):
            publish(row)
        assert stored(row)["status"] == "draft"
    else:
        publish(row)
        assert row.status == "published"


def test_sentence_names_each_offence() -> None:
    one, both = (
        ServiceIncomplete(offences=offences).sentence
        for offences in (["address_missing"], ["address_missing", "description_missing"])
    )
    assert one != both
    assert "%(" not in one + both


@pytest.mark.parametrize("role", ["assistant", "editor", "client"])
@loop_over("name", [*MOVES])
def test_only_the_owner_changes_the_status_of_a_service(name: str, role: str) -> None:
    row = ServiceFactory(status=min(MOVES[name][1]))
    actor = UserFactory(role=role)
    with refused(NotPermitted):
        getattr(services, name)(row, actor=actor)
    getattr(services, name)(row, actor=UserFactory(role="owner"))
    assert row.status == MOVES[name][0]


def test_unknown_service_is_refused() -> None:
    row = ServiceFactory.build()
    for name in MOVES:
        with refused(NotFound):
            getattr(services, name)(row)


def test_appointment_of_an_archived_service_stays_confirmed() -> None:
    row = confirmed()
    row.service.refresh_from_db()
    archive(row.service)
    assert Appointment.objects.get(pk=row.pk).status == "confirmed"
    values = request(service=row.service)
    with refused(ServiceUnavailable):
        book_appointment(**values)


# -- slots ------------------------------------------------------------------------------------


def test_slot_is_blocked_and_unblocked() -> None:
    slot, actor = AvailabilitySlotFactory(), UserFactory(role="assistant")
    assert block_slot(slot, actor=actor) is slot
    assert (slot.status, slot.block_type) == ("blocked", "exception")
    with writes_nothing():
        block_slot(AvailabilitySlot.objects.get(pk=slot.pk), actor=actor)
    assert unblock_slot(slot, actor=actor) is slot
    assert (slot.status, slot.block_type) == ("available", None)
    with writes_nothing():
        unblock_slot(slot)
    assert event_types() == ["slot_blocked", "slot_unblocked"]
    assert payload("slot_blocked").keys() == {"start_at_utc", "end_at_utc"}


def test_slot_blocked_by_the_calendar_is_unblocked() -> None:
    slot = AvailabilitySlotFactory(
        from_calendar=True, status="blocked", block_type="buffer", service=ServiceFactory()
    )
    with writes_nothing():
        block_slot(slot)
    assert slot.block_type == "buffer"
    unblock_slot(slot)
    assert payload("slot_unblocked")["service_id"] == str(slot.service_id)


def test_reserved_slot_is_neither_blocked_nor_unblocked() -> None:
    row = book()
    for service in (block_slot, unblock_slot):
        with refused(TransitionRefused, entity="availability_slots", status="reserved"):
            service(row.slot)


def test_blocked_slot_is_not_booked_until_it_is_unblocked() -> None:
    values = request()
    block_slot(values["slot"])
    with refused(SlotTaken):
        book_appointment(**values)
    unblock_slot(values["slot"])
    assert book_appointment(**values).slot_id == values["slot"].pk


@loop_over("role", ["editor", "client"])
def test_editors_and_clients_block_no_slots(role: str) -> None:
    slot, actor = AvailabilitySlotFactory(), UserFactory(role=role)
    with refused(NotPermitted):
        block_slot(slot, actor=actor)
    with refused(NotPermitted):
        unblock_slot(slot, actor=actor)


def test_unknown_slot_is_refused() -> None:
    slot = AvailabilitySlotFactory.build()
    for service in (block_slot, unblock_slot):
        with refused(NotFound):
            service(slot)
