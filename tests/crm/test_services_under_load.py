"""record_event() and merge_leads() from many connections at once."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from crm.models import AnalyticsEvent, Lead, LeadIdentity, LeadTimelineEvent
from crm.services import find_leads_by_contact, merge_leads, record_event
from ebalance.db.encryption import keys
from ebalance.db.encryption.fields import Plaintext
from tests.crm import recorders
from tests.databases import Database, default_connection_on
from tests.factories import (
    AppointmentFactory,
    LeadFactory,
    UserFactory,
)
from tests.processes import HANG_TIMEOUT, eventually
from tests.services import committing

PROCESSES = 8


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A separate database, to which the connections of this process commit too."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


@pytest.fixture(scope="module")
def shared(module_database: Database, django_db_blocker: Any) -> Iterator[None]:
    """One database for all tests of two steps, each of which has its own person."""
    with committing(module_database, django_db_blocker):
        yield


def run_in_processes(database: Database, work: Callable, *arguments: Any) -> list:
    """Run ``work`` in processes that start together; half of them have rotated keys."""
    context = multiprocessing.get_context("spawn")
    rings = [
        {
            f"EBALANCE_{name}": ring
            for name in ("ENCRYPTION_KEYS", "BLIND_INDEX_KEYS")
            for ring in [",".join(order([os.environ[f"EBALANCE_{name}"], ADDED[name]]))]
        }
        for order in (list, lambda keys: keys[::-1])
    ]
    environments = context.Queue()
    for n in range(PROCESSES):
        environments.put(rings[n % 2])
    with context.Pool(
        PROCESSES,
        recorders.set_up,
        (database.url, environments, context.Barrier(PROCESSES, timeout=HANG_TIMEOUT)),
    ) as pool:
        return pool.starmap(work, [(n, *arguments) for n in range(PROCESSES)], chunksize=1)


ADDED = {name: keys.generate("k2") for name in ("ENCRYPTION_KEYS", "BLIND_INDEX_KEYS")}


@pytest.mark.slow
def test_concurrent_first_events_make_one_lead(committed: Database) -> None:
    people = [
        {
            "email": f"person{n}@example.com",
            "anonymous_id": f"visitor-{n:06d}",
            "user": str(UserFactory(email=f"person{n}@example.com").pk),
        }
        for n in range(20)
    ]
    answers = run_in_processes(committed, recorders.record_first_events, people)
    assert Lead.objects.count() == 20
    for person in people:
        assert len({answer[person["email"]] for answer in answers}) == 1
    assert Counter(Lead.objects.values_list("timeline__lead", flat=True)) == dict.fromkeys(
        Lead.objects.values_list("pk", flat=True), PROCESSES
    )
    assert AnalyticsEvent.objects.count() == 20 * PROCESSES
    # Each lead has each contact once.
    assert LeadIdentity.objects.filter(email_encrypted__isnull=False).count() == 20
    assert LeadIdentity.objects.count() <= 60


@pytest.mark.slow
def test_same_event_from_many_connections_is_stored_once(committed: Database) -> None:
    events = [uuid4() for _ in range(20)]
    answers = run_in_processes(committed, recorders.record_same_events, events)
    assert len({tuple(answer) for answer in answers}) == 1
    for table in [Lead, LeadTimelineEvent, AnalyticsEvent]:
        assert table.objects.count() == 20


@pytest.mark.slow
def test_concurrent_merges_lose_no_event(committed: Database) -> None:
    pairs = []
    for _ in range(10):
        pair = (LeadFactory().pk, LeadFactory().pk)
        for key in pair:
            LeadIdentity.objects.create(lead_id=key, anonymous_id=f"visitor-{key}")
        pairs.append(pair)
    answers = run_in_processes(committed, recorders.merge_or_record, pairs)
    recorded = sum(n for n, _ in answers)
    assert recorded == PROCESSES // 2 * len(pairs) * 4
    # The later of two reverse merges is refused; no process meets a deadlock.
    refusals = {"lead_not_mergeable", "not_found", "transition_refused"}
    assert {code for _, codes in answers for code in codes} <= refusals
    assert Lead.objects.filter(merged_into=None).count() == len(pairs)
    assert LeadTimelineEvent.objects.count() == AnalyticsEvent.objects.count() == recorded
    for one, other in pairs:
        (lead,) = Lead.objects.filter(pk__in=[one, other], merged_into=None)
        assert lead.status == "booking_started"
        assert {row.anonymous_id for row in lead.identities.all()} == {
            f"visitor-{one}",
            f"visitor-{other}",
        }


# -- Two steps ------------------------------------------------------------------------------------


class Step(threading.Thread):
    """Runs a service on a separate connection.

    With ``halt`` its transaction stays open until ``commit()`` or ``roll_back()``.
    """

    def __init__(self, work: Callable[[], Any], *, halt: bool = False) -> None:
        super().__init__(daemon=True)
        self.work, self.halt = work, halt
        self.done, self.ending = threading.Event(), threading.Event()
        self.is_rolled_back = False
        self.result: Any = None
        self.start()

    def run(self) -> None:
        try:
            with transaction.atomic() if self.halt else nullcontext():
                self.result = self.work()
                self.done.set()
                if self.halt:
                    self.ending.wait(HANG_TIMEOUT)
                    transaction.set_rollback(self.is_rolled_back)
        except Exception as error:
            self.result = error
        finally:
            self.done.set()
            connection.close()

    def commit(self) -> Any:
        self.ending.set()
        self.join(HANG_TIMEOUT)
        assert not self.is_alive()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def roll_back(self) -> Any:
        self.is_rolled_back = True
        return self.commit()


WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def wait_for_locks(*steps: Step) -> None:
    """Return when each step waits for a lock; fail if a step does not wait."""

    def all_steps_wait() -> bool:
        assert not any(step.done.is_set() for step in steps), "a step did not wait"
        with connection.cursor() as cursor:
            cursor.execute(WAITING)
            return cursor.fetchone() == (len(steps),)

    assert eventually(all_steps_wait)


def start_in_order(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Step, Step]:
    """Start ``second`` while ``first`` is done but not committed; ``second`` must wait."""
    one = Step(first, halt=True)
    assert one.done.wait(HANG_TIMEOUT)
    other = Step(second)
    wait_for_locks(other)
    return one, other


def run_in_order(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
    one, other = start_in_order(first, second)
    return one.commit(), other.commit()


def start(**person: Any) -> Lead | None:
    return record_event(
        "booking_start", page=recorders.PAGE, acquisition=recorders.ACQUISITION, **person
    )


def merge(lead: Lead, into: Lead) -> Lead:
    return merge_leads(Lead(pk=lead.pk), into=into.pk)


class Person:
    """A person without a lead."""

    def __init__(self) -> None:
        self.browser = {"anonymous_id": f"visitor-{uuid4()}"}
        self.contact = {"contact": {"email": Plaintext(f"{uuid4()}@example.com")}}
        self.user = {"user": UserFactory()}

    @property
    def leads(self) -> list[Lead]:
        known = [self.browser, self.user]
        rows = [row for by in known for row in LeadIdentity.objects.filter(**by)]
        by_email = find_leads_by_contact(email=self.contact["contact"]["email"].reveal())
        return sorted({*by_email, *(row.lead for row in rows)}, key=lambda lead: lead.pk)

    def create_lead_by_browser(self) -> Lead:
        lead = LeadFactory()
        LeadIdentity.objects.create(lead=lead, **self.browser)
        return lead


@pytest.fixture
def person(shared: None) -> Person:
    return Person()


@pytest.mark.parametrize("identifier", ["lead", "browser", "contact"])
@pytest.mark.parametrize("merge_first", [True, False], ids=["merge, event", "event, merge"])
def test_event_during_a_merge_moves_to_the_remaining_lead(
    person: Person, merge_first: bool, identifier: str
) -> None:
    lead, into = person.create_lead_by_browser(), LeadFactory()
    record_event("lk_opened", source="web", lead=lead, page=PAGE, **person.contact)
    given = {"lead": lead.pk} if identifier == "lead" else getattr(person, identifier)
    steps = [lambda: merge(lead, into), lambda: start(**given)]
    leads = run_in_order(*(steps if merge_first else steps[::-1]))
    assert into in leads
    assert person.leads == [into]
    assert {*into.timeline.values_list("tracking_event", flat=True)} == {
        "lk_opened",
        "booking_start",
    }
    into.refresh_from_db()
    assert into.status == "booking_started"
    assert into.identities.count() == 2
    lead.refresh_from_db()
    assert (lead.status, lead.merged_into) == ("inactive", into)


PAGE = {"page_path": "/lk"}


def test_identity_added_before_a_waiting_merge_moves_too(person: Person) -> None:
    lead, into = person.create_lead_by_browser(), LeadFactory()
    run_in_order(lambda: start(**person.browser, **person.user), lambda: merge(lead, into))
    assert person.leads == [into]
    assert start(**person.user) == into


def test_identity_that_a_merge_moves_is_not_added_twice(person: Person) -> None:
    lead, into = person.create_lead_by_browser(), LeadFactory()
    run_in_order(lambda: merge(lead, into), lambda: start(lead=into.pk, **person.browser))
    assert into.identities.count() == 1


def test_appointment_inserted_before_a_waiting_merge_moves_too(person: Person) -> None:
    lead, into = person.create_lead_by_browser(), LeadFactory()
    appointment, _ = run_in_order(
        lambda: AppointmentFactory(client=None, lead=lead), lambda: merge(lead, into)
    )
    appointment.refresh_from_db()
    assert appointment.lead == into


def test_booking_and_merge_do_not_deadlock(person: Person) -> None:
    """A booking inserts the appointment first and records its event at the end."""
    lead, into = person.create_lead_by_browser(), LeadFactory()
    written, go_on = threading.Event(), threading.Event()

    def book() -> Any:
        appointment = AppointmentFactory(client=None, lead=lead)
        written.set()
        go_on.wait(HANG_TIMEOUT)
        start(lead=lead.pk)
        return appointment

    booking = Step(book, halt=True)
    assert written.wait(HANG_TIMEOUT)
    merging = Step(lambda: merge(lead, into))
    wait_for_locks(merging)
    go_on.set()
    assert booking.done.wait(HANG_TIMEOUT)
    appointment = booking.commit()
    assert merging.commit() == into
    appointment.refresh_from_db()
    assert appointment.lead == into
    assert into.timeline.count() == 1


@pytest.mark.parametrize("known", [False, True], ids=["new person", "known person"])
def test_second_first_event_waits_for_the_first(person: Person, known: bool) -> None:
    if known:  # known by the browser; both events have the contact
        person.create_lead_by_browser()
    one, other = run_in_order(
        lambda: start(**person.browser, **person.contact), lambda: start(**person.contact)
    )
    assert [one] == [other] == person.leads
    assert one is not None
    assert one.identities.count() == 2


def test_waiting_event_makes_the_lead_after_a_rollback(person: Person) -> None:
    one, other = start_in_order(
        lambda: start(**person.contact), lambda: start(**person.contact, **person.browser)
    )
    rolled_back = one.roll_back()
    lead = other.commit()
    assert lead != rolled_back
    assert person.leads == [lead]


def test_two_contacts_added_at_once_give_one_primary_contact(person: Person) -> None:
    lead = LeadFactory()
    run_in_order(
        lambda: start(lead=lead.pk, **person.contact),
        lambda: start(lead=lead.pk, contact={"phone": Plaintext("+79175551234")}),
    )
    assert lead.identities.count() == 2
    assert lead.identities.filter(is_primary=True).count() == 1


def test_two_people_at_once_do_not_get_one_lead(person: Person) -> None:
    """Each person shares another browser with a lead without an account."""
    lead = person.create_lead_by_browser()
    other_browser = {"anonymous_id": f"visitor-{uuid4()}"}
    LeadIdentity.objects.create(lead=lead, **other_browser)
    other_user = UserFactory()
    one, other = run_in_order(
        lambda: start(**person.user, **person.browser),
        lambda: start(user=other_user, **other_browser),
    )
    assert one == lead
    assert other is not None
    assert other != lead
    assert [*other.identities.filter(user__isnull=False).values_list("user", flat=True)] == [
        other_user.pk
    ]
    assert lead.identities.count() == 3


def test_two_events_make_one_lead_after_a_concurrent_delete(
    person: Person,
) -> None:
    lead = person.create_lead_by_browser()
    deleting = Step(lead.delete, halt=True)
    assert deleting.done.wait(HANG_TIMEOUT)
    events = [Step(lambda: start(**person.browser)) for _ in range(2)]
    wait_for_locks(*events)
    deleting.commit()
    one, other = (event.commit() for event in events)
    assert one is not None
    assert [one] == [other] == person.leads
    assert one.timeline.count() == 2


def test_event_that_waits_for_an_erasure_gets_no_lead(person: Person) -> None:
    """An erasure locks the lead, deletes its identities and empties the account."""
    lead = LeadFactory()
    user = person.user["user"]
    for known in [person.user, person.browser]:
        LeadIdentity.objects.create(lead=lead, **known)

    def erase() -> None:
        Lead.objects.select_for_update().get(pk=lead.pk)
        lead.identities.all().delete()
        erased = dict.fromkeys(["email", "phone", "telegram_user_id", "display_name"])
        type(user).objects.filter(pk=user.pk).update(
            status="deleted", deleted_at=timezone.now(), telegram_username=None, **erased
        )

    run_in_order(erase, lambda: start(**person.user))
    event = AnalyticsEvent.objects.latest("received_at")
    assert (event.user_id, event.lead_id) == (None, None)
    assert not lead.timeline.exists()
    assert person.leads == []


def test_event_does_not_lower_a_status_set_concurrently(person: Person) -> None:
    lead = LeadFactory()
    run_in_order(
        lambda: Lead.objects.filter(pk=lead.pk).update(status="paid"),  # without a service
        lambda: start(lead=lead.pk),
    )
    lead.refresh_from_db()
    assert lead.status == "paid"


def merge_row(lead: Lead, into: Lead) -> None:
    """Merge without merge_leads()."""
    Lead.objects.filter(pk=lead.pk).update(status="inactive", merged_into=into)


def test_leads_merged_into_each_other_at_once_make_no_circle(person: Person) -> None:
    lead, other = LeadFactory.create_batch(2)
    first, second = start_in_order(lambda: merge_row(lead, other), lambda: merge_row(other, lead))
    first.commit()
    with pytest.raises(IntegrityError, match="leads_merged_in_no_circle"):
        second.commit()


def test_chain_merged_at_both_ends_at_once_makes_no_circle(person: Person) -> None:
    lead, middle, last = LeadFactory.create_batch(3)
    merge_row(middle, last)
    first, second = start_in_order(lambda: merge_row(lead, middle), lambda: merge_row(last, lead))
    first.commit()
    with pytest.raises(IntegrityError, match="leads_merged_in_no_circle"):
        second.commit()


def test_concurrent_merge_of_a_lead_with_a_new_identity_is_refused(person: Person) -> None:
    lead, into = LeadFactory.create_batch(2)
    added, merged = start_in_order(
        lambda: LeadIdentity.objects.create(lead=lead, **person.browser),
        lambda: merge_row(lead, into),
    )
    added.commit()
    with pytest.raises(IntegrityError, match="leads_merged_has_no_identity"):
        merged.commit()


def test_identity_is_not_added_to_a_lead_merged_concurrently(person: Person) -> None:
    lead, into = LeadFactory.create_batch(2)
    merged, added = start_in_order(
        lambda: merge_row(lead, into),
        lambda: LeadIdentity.objects.create(lead=lead, **person.browser),
    )
    merged.commit()
    with pytest.raises(IntegrityError, match="lead_identities_not_of_merged_lead"):
        added.commit()
