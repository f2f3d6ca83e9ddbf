"""A reschedule closes the old row and opens a new one that points back (states.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from booking.models import Appointment
from tests.factories import AppointmentFactory, ServiceFactory, UserFactory
from tests.rule_cases import check_refusal_is_discreet
from tests.rule_groups import loop_over
from tests.support import breaks, execute, insert_sql, refuses, update_sql

pytestmark = pytest.mark.django_db

RULE = "appointments_replaces_rescheduled"
ONCE = "appointments_rescheduled_once"


def replacement(old: Appointment, **values: Any) -> Appointment:
    """Build the new row, confirmed and not yet stored."""
    given = {"service": old.service, "client": old.client, "confirmed": True, **values}
    return AppointmentFactory.build(rescheduled_from_id=old.pk, **given)


def close(old: Appointment) -> None:
    update_sql(old, status="rescheduled")


each_route = pytest.mark.parametrize("write", [insert_sql, Appointment.save], ids=["sql", "orm"])


@each_route
@pytest.mark.parametrize("order", ["old first", "new first"])
def test_old_and_new_row_are_written_in_either_order(
    write: Callable[[Appointment], None], order: str
) -> None:
    old = AppointmentFactory(confirmed=True)
    new = replacement(old)
    steps = [lambda: close(old), lambda: write(new)]
    for step in steps if order == "old first" else reversed(steps):
        step()
    connection.check_constraints()
    assert Appointment.objects.get(pk=new.pk).rescheduled_from_id == old.pk


@each_route
@loop_over("status", ["held", "paid", "confirmed", "canceled", "completed"])
@breaks(RULE)
def test_confirmed_row_replaces_only_a_rescheduled_row(
    write: Callable[[Appointment], None], status: str
) -> None:
    old = AppointmentFactory(**{status: True})
    with refuses(RULE, "appointments"):
        write(replacement(old))
    assert Appointment.objects.count() == 1


@pytest.mark.parametrize("status", ["confirmed", "completed"])
def test_free_confirmed_row_replaces_a_row_in_any_status(status: str) -> None:
    insert_sql(replacement(AppointmentFactory(**{status: True}), free=True))
    connection.check_constraints()


def test_row_that_replaces_an_unknown_row_is_refused() -> None:
    """The rule refuses the row even while the foreign key is deferred."""
    unknown = AppointmentFactory.build(service=ServiceFactory(), client=UserFactory())
    new = replacement(unknown)
    with refuses(RULE, "appointments"):
        execute("SET CONSTRAINTS ALL DEFERRED")
        insert_sql(new)
        execute(f"SET CONSTRAINTS {RULE} IMMEDIATE")
    assert not Appointment.objects.exists()


@each_route
@breaks(ONCE)
def test_appointment_is_replaced_once(write: Callable[[Appointment], None]) -> None:
    old = AppointmentFactory(rescheduled=True)
    insert_sql(replacement(old))
    with refuses(ONCE, "appointments"):
        write(replacement(old))
    # A hold does not replace it either, and nothing does after the first replacement is canceled.
    with refuses(ONCE, "appointments"):
        write(replacement(old, confirmed=False))
    update_sql(old.rescheduled_to.get(), status="canceled", canceled_at=timezone.now())
    with refuses(ONCE, "appointments"):
        write(replacement(old))


def test_replacement_may_be_replaced() -> None:
    row = AppointmentFactory(confirmed=True)
    for _ in range(2):
        close(row)
        new = replacement(row)
        insert_sql(new)
        row = new
    connection.check_constraints()
    assert row.rescheduled_from.rescheduled_from.rescheduled_from is None


def test_new_row_may_have_the_time_of_the_rescheduled_row() -> None:
    old = AppointmentFactory(confirmed=True)
    times = {"start_at_utc": old.start_at_utc, "end_at_utc": old.end_at_utc}
    with refuses("appointments_no_overlap", "appointments"):
        insert_sql(replacement(old, **times))
    close(old)
    insert_sql(replacement(old, **times))
    connection.check_constraints()


# -- attempts in SQL -----------------------------------------------------------------------------


def test_deferred_check_survives_a_released_savepoint() -> None:
    old = AppointmentFactory(confirmed=True)
    with refuses(RULE, "appointments"):
        with transaction.atomic():
            insert_sql(replacement(old))
        close_and_undo(old)


def close_and_undo(old: Appointment) -> None:
    """Reschedule the old row within a savepoint that is rolled back."""
    with transaction.atomic():
        close(old)
        transaction.set_rollback(True)


def test_immediate_constraint_needs_the_old_row_closed_first() -> None:
    old = AppointmentFactory(confirmed=True)
    execute("SET CONSTRAINTS appointments_replaces_rescheduled IMMEDIATE")
    with refuses(RULE, "appointments"):
        insert_sql(replacement(old))
    close(old)
    insert_sql(replacement(old))
    assert Appointment.objects.count() == 2


def test_one_statement_may_close_the_old_row_and_insert_the_new_one() -> None:
    old = AppointmentFactory(confirmed=True)
    copied = (
        "INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, timezone, "
        "format, status, price_amount, confirmed_at, rescheduled_from_id) "
        "SELECT service_id, client_user_id, end_at_utc, end_at_utc + interval '50 minutes', "
        "timezone, format, 'confirmed', price_amount, now(), id FROM appointments WHERE id = %s"
    )
    with refuses(RULE, "appointments"):
        execute(copied, [old.pk])
    execute(
        f"WITH closed AS (UPDATE appointments SET status = 'rescheduled' WHERE id = %s) {copied}",
        [old.pk, old.pk],
    )
    connection.check_constraints()
    assert old.rescheduled_to.get().price_amount == old.price_amount


def test_two_unpaid_rows_do_not_replace_each_other() -> None:
    """Each row replaces the other, so neither was ever a hold, paid or free."""
    given = {"service": ServiceFactory(), "client": UserFactory(), "confirmed": True}
    first, second = (AppointmentFactory.build(**given) for _ in range(2))
    first.rescheduled_from_id, second.rescheduled_from_id = second.pk, first.pk
    with refuses(RULE, "appointments"):
        execute("SET CONSTRAINTS ALL DEFERRED")
        insert_sql(first)
        insert_sql(second)
        close(first)
        close(second)


SECRET = "https://meet.example.com/maria-ivanova"


def test_refusal_reveals_nothing_about_either_row() -> None:
    old = AppointmentFactory(confirmed=True, meeting_url=SECRET)
    new = replacement(old, meeting_url=SECRET)
    check_refusal_is_discreet(
        lambda: insert_sql(new),
        RULE,
        "appointments",
        "rescheduled_from_id",
        SECRET,
        str(old.pk),
        str(new.pk),
    )
