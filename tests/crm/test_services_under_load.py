"""record_event and merge, from many connections at once."""

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
def here(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A database of its own, which this process's connections commit to as well."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


@pytest.fixture(scope="module")
def shared(module_database: Database, django_db_blocker: Any) -> Iterator[None]:
    """One for all tests of two steps, each of which looks at a person of its own."""
    with committing(module_database, django_db_blocker):
        yield


def at_once(database: Database, work: Callable, *arguments: Any) -> list:
    """Run ``work`` in processes that begin together. Half have other primary keys: a rotation."""
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
def test_of_many_first_events_one_lead_is_made(here: Database) -> None:
    people = [
        {
            "email": f"person{n}@example.com",
            "anonymous_id": f"visitor-{n:06d}",
            "user": str(UserFactory(email=f"person{n}@example.com").pk),
        }
        for n in range(20)
    ]
    answers = at_once(here, recorders.first_contacts, people)
    assert Lead.objects.count() == 20
    for person in people:
        assert len({answer[person["email"]] for answer in answers}) == 1
    assert Counter(Lead.objects.values_list("timeline__lead", flat=True)) == dict.fromkeys(
        Lead.objects.values_list("pk", flat=True), PROCESSES
    )
    assert AnalyticsEvent.objects.count() == 20 * PROCESSES
    # Each is known by each contact once.
    assert LeadIdentity.objects.filter(email_encrypted__isnull=False).count() == 20
    assert LeadIdentity.objects.count() <= 60


@pytest.mark.slow
def test_the_same_event_from_many_connections_is_one(here: Database) -> None:
    events = [uuid4() for _ in range(20)]
    answers = at_once(here, recorders.same_events, events)
    assert len({tuple(answer) for answer in answers}) == 1
    for table in [Lead, LeadTimelineEvent, AnalyticsEvent]:
        assert table.objects.count() == 20


@pytest.mark.slow
def test_no_event_is_lost_among_merges(here: Database) -> None:
    pairs = []
    for _ in range(10):
        pair = (LeadFactory().pk, LeadFactory().pk)
        for key in pair:
            LeadIdentity.objects.create(lead_id=key, anonymous_id=f"visitor-{key}")
        pairs.append(pair)
    answers = at_once(here, recorders.merges_and_events, pairs)
    recorded = sum(n for n, _ in answers)
    assert recorded == PROCESSES // 2 * len(pairs) * 4
    # Who comes second the other way round is refused; nobody meets a deadlock.
    assert {code for _, codes in answers for code in codes} <= {"not_found", "transition_refused"}
    assert Lead.objects.filter(merged_into=None).count() == len(pairs)
    assert LeadTimelineEvent.objects.count() == AnalyticsEvent.objects.count() == recorded
    for one, other in pairs:
        (lead,) = Lead.objects.filter(pk__in=[one, other], merged_into=None)
        assert lead.status == "booking_started"
        assert {row.anonymous_id for row in lead.identities.all()} == {
            f"visitor-{one}",
            f"visitor-{other}",
        }


# -- Step by step ---------------------------------------------------------------------------------


class Step(threading.Thread):
    """A verb on a connection of its own; with ``halt`` its transaction stays open until it ends by
    ``go()`` or ``back()``.
    """

    def __init__(self, work: Callable[[], Any], *, halt: bool = False) -> None:
        super().__init__(daemon=True)
        self.work, self.halt = work, halt
        self.done, self.ending = threading.Event(), threading.Event()
        self.is_taken_back = False
        self.result: Any = None
        self.start()

    def run(self) -> None:
        try:
            with transaction.atomic() if self.halt else nullcontext():
                self.result = self.work()
                self.done.set()
                if self.halt:
                    self.ending.wait(HANG_TIMEOUT)
                    transaction.set_rollback(self.is_taken_back)
        except Exception as error:
            self.result = error
        finally:
            self.done.set()
            connection.close()

    def go(self) -> Any:
        self.ending.set()
        self.join(HANG_TIMEOUT)
        assert not self.is_alive()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def back(self) -> Any:
        self.is_taken_back = True
        return self.go()


WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def all_wait(*steps: Step) -> None:
    """Return when each of these steps waits for a lock. It is an error that one does not."""

    def is_so() -> bool:
        assert not any(step.done.is_set() for step in steps), "a step did not wait"
        with connection.cursor() as cursor:
            cursor.execute(WAITING)
            return cursor.fetchone() == (len(steps),)

    assert eventually(is_so)


def one_then_other(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Step, Step]:
    """``second`` begins when ``first`` is done and not committed; it has to wait for that."""
    one = Step(first, halt=True)
    assert one.done.wait(HANG_TIMEOUT)
    other = Step(second)
    all_wait(other)
    return one, other


def in_order(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
    one, other = one_then_other(first, second)
    return one.go(), other.go()


def start(**person: Any) -> Lead | None:
    return record_event(
        "booking_start", page=recorders.PAGE, acquisition=recorders.ACQUISITION, **person
    )


def merge(lead: Lead, into: Lead) -> Lead:
    return merge_leads(Lead(pk=lead.pk), into=into.pk)


class Person:
    """Somebody whom nobody knows yet."""

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

    def known_by_browser(self) -> Lead:
        lead = LeadFactory()
        LeadIdentity.objects.create(lead=lead, **self.browser)
        return lead


@pytest.fixture
def person(shared: None) -> Person:
    return Person()


@pytest.mark.parametrize("way", ["lead", "browser", "contact"])
@pytest.mark.parametrize("merge_first", [True, False], ids=["merge, event", "event, merge"])
def test_an_event_of_a_lead_that_is_being_merged_is_kept(
    person: Person, merge_first: bool, way: str
) -> None:
    lead, into = person.known_by_browser(), LeadFactory()
    record_event("lk_opened", source="web", lead=lead, page=PAGE, **person.contact)
    given = {"lead": lead.pk} if way == "lead" else getattr(person, way)
    steps = [lambda: merge(lead, into), lambda: start(**given)]
    found = in_order(*(steps if merge_first else steps[::-1]))
    assert into in found
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


def test_what_a_lead_gains_while_it_is_merged_moves_too(person: Person) -> None:
    lead, into = person.known_by_browser(), LeadFactory()
    in_order(lambda: start(**person.browser, **person.user), lambda: merge(lead, into))
    assert person.leads == [into]
    assert start(**person.user) == into


def test_what_the_other_lead_gains_meanwhile_is_not_gained_twice(person: Person) -> None:
    lead, into = person.known_by_browser(), LeadFactory()
    in_order(lambda: merge(lead, into), lambda: start(lead=into.pk, **person.browser))
    assert into.identities.count() == 1


def test_an_appointment_made_while_its_lead_is_merged_moves_too(person: Person) -> None:
    lead, into = person.known_by_browser(), LeadFactory()
    appointment, _ = in_order(
        lambda: AppointmentFactory(client=None, lead=lead), lambda: merge(lead, into)
    )
    appointment.refresh_from_db()
    assert appointment.lead == into


def test_a_booking_and_a_merge_do_not_wait_for_each_other(person: Person) -> None:
    """A booking: the appointment of the lead first, its event at the end of the transaction."""
    lead, into = person.known_by_browser(), LeadFactory()
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
    all_wait(merging)
    go_on.set()
    assert booking.done.wait(HANG_TIMEOUT)
    appointment = booking.go()
    assert merging.go() == into
    appointment.refresh_from_db()
    assert appointment.lead == into
    assert into.timeline.count() == 1


@pytest.mark.parametrize("known", [False, True], ids=["new person", "known person"])
def test_two_first_events_wait_for_each_other(person: Person, known: bool) -> None:
    if known:  # by a browser; both bring the contact
        person.known_by_browser()
    one, other = in_order(
        lambda: start(**person.browser, **person.contact), lambda: start(**person.contact)
    )
    assert [one] == [other] == person.leads
    assert one is not None
    assert one.identities.count() == 2


def test_what_the_first_event_takes_back_the_next_makes(person: Person) -> None:
    one, other = one_then_other(
        lambda: start(**person.contact), lambda: start(**person.contact, **person.browser)
    )
    given_up = one.back()
    lead = other.go()
    assert lead != given_up
    assert person.leads == [lead]


def test_one_contact_is_primary_when_two_are_added_at_once(person: Person) -> None:
    lead = LeadFactory()
    in_order(
        lambda: start(lead=lead.pk, **person.contact),
        lambda: start(lead=lead.pk, contact={"phone": Plaintext("+79175551234")}),
    )
    assert lead.identities.count() == 2
    assert lead.identities.filter(is_primary=True).count() == 1


def test_two_people_do_not_get_one_lead_at_once(person: Person) -> None:
    """Each shares something else with a lead of which nobody has said whose it is."""
    lead = person.known_by_browser()
    other_browser = {"anonymous_id": f"visitor-{uuid4()}"}
    LeadIdentity.objects.create(lead=lead, **other_browser)
    other_user = UserFactory()
    one, other = in_order(
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


def test_one_lead_is_made_when_that_of_two_first_events_is_deleted_meanwhile(
    person: Person,
) -> None:
    lead = person.known_by_browser()
    deleting = Step(lead.delete, halt=True)
    assert deleting.done.wait(HANG_TIMEOUT)
    events = [Step(lambda: start(**person.browser)) for _ in range(2)]
    all_wait(*events)
    deleting.go()
    one, other = (event.go() for event in events)
    assert one is not None
    assert [one] == [other] == person.leads
    assert one.timeline.count() == 2


def test_an_event_that_waits_for_an_erasure_is_not_of_that_person(person: Person) -> None:
    """Erasure: the account first, then what leads are known by."""
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

    in_order(erase, lambda: start(**person.user))
    event = AnalyticsEvent.objects.latest("received_at")
    assert (event.user_id, event.lead_id) == (None, None)
    assert not lead.timeline.exists()
    assert person.leads == []


def test_a_status_that_is_proved_meanwhile_is_not_taken_back(person: Person) -> None:
    lead = LeadFactory()
    in_order(
        lambda: Lead.objects.filter(pk=lead.pk).update(status="paid"),  # by no verb
        lambda: start(lead=lead.pk),
    )
    lead.refresh_from_db()
    assert lead.status == "paid"


def merge_row(lead: Lead, into: Lead) -> None:
    """As a program without Django would."""
    Lead.objects.filter(pk=lead.pk).update(status="inactive", merged_into=into)


def test_leads_merged_into_each_other_at_once_make_no_circle(person: Person) -> None:
    lead, other = LeadFactory.create_batch(2)
    first, second = one_then_other(lambda: merge_row(lead, other), lambda: merge_row(other, lead))
    first.go()
    with pytest.raises(IntegrityError, match="leads_merged_in_no_circle"):
        second.go()


def test_chain_that_is_merged_at_both_ends_at_once_makes_no_circle(person: Person) -> None:
    lead, middle, last = LeadFactory.create_batch(3)
    merge_row(middle, last)
    first, second = one_then_other(lambda: merge_row(lead, middle), lambda: merge_row(last, lead))
    first.go()
    with pytest.raises(IntegrityError, match="leads_merged_in_no_circle"):
        second.go()


def test_identity_added_while_its_lead_is_merged_is_noticed(person: Person) -> None:
    lead, into = LeadFactory.create_batch(2)
    added, merged = one_then_other(
        lambda: LeadIdentity.objects.create(lead=lead, **person.browser),
        lambda: merge_row(lead, into),
    )
    added.go()
    with pytest.raises(IntegrityError, match="leads_merged_has_no_identity"):
        merged.go()


def test_identity_is_not_added_to_a_lead_that_was_merged_meanwhile(person: Person) -> None:
    lead, into = LeadFactory.create_batch(2)
    merged, added = one_then_other(
        lambda: merge_row(lead, into),
        lambda: LeadIdentity.objects.create(lead=lead, **person.browser),
    )
    merged.go()
    with pytest.raises(IntegrityError, match="lead_identities_not_of_merged_lead"):
        added.go()
