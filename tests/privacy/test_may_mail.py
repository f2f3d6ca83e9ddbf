"""Whether we may contact people: a question about one person, and a query for a mailing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F, Q

from booking.models import Appointment
from crm.models import Lead, LeadIdentity
from crm.services import merge_leads
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.ids import uuid7
from ebalance.privacy.consents import grant_consent, withdraw_consent, withdraw_this_consent
from ebalance.privacy.erasure import erase_user
from ebalance.privacy.mailing import (
    PURPOSES,
    RECENT,
    CanContact,
    can_contact,
    leads_to_contact,
    users_to_contact,
)
from ebalance.services import InvalidInput
from identity.models import Consent, User
from tests.case_loops import check_each
from tests.factories import (
    AppointmentFactory,
    ConsentFactory,
    LeadFactory,
    LeadIdentityFactory,
    UserFactory,
)
from tests.privacy.consent_oracle import Oracle, World, each_seeds, erase
from tests.support import execute, update_sql

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("late_clock")]

NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
may_mail = partial(can_contact, "email")


def lead_of(*users: User) -> Lead:
    """A lead with an e-mail address, and these accounts among its identities."""
    lead = LeadFactory()
    LeadIdentityFactory(lead=lead)
    for user in users:
        LeadIdentityFactory(registered=True, user=user, lead=lead)
    return lead


def decide(hour: float = 0, **values: Any) -> Consent:
    """A consent to communications or a refusal, so many hours after noon."""
    given = {"user": None, "consent_type": "communications"}
    return ConsentFactory(granted_at=NOON + timedelta(hours=hour), **{**given, **values})


def withdrawn(given: float, until: float, **values: Any) -> Consent:
    return decide(given, revoked_at=NOON + timedelta(hours=until), **values)


def forget_events() -> None:
    """As retention does 90 days after the events were sent."""
    execute("DELETE FROM outbox_events")


# -- an account -----------------------------------------------------------------------------------

CASES: dict[str, tuple[bool, Callable[[User], Any]]] = {
    "nothing was said": (False, lambda user: None),
    "agreed": (True, lambda user: decide(user=user)),
    "refused": (False, lambda user: decide(user=user, granted=False)),
    "withdrawn": (False, lambda user: withdrawn(0, 1, user=user)),
    "withdrawn at once": (False, lambda user: withdrawn(0, 0, user=user)),
    "agreed to something else": (False, lambda user: decide(user=user, consent_type="telegram")),
    "agreed by somebody else": (False, lambda user: decide(user=UserFactory())),
    "agreed together with a lead": (True, lambda user: decide(user=user, lead=lead_of())),
    "agreed after a refusal": (
        True,
        lambda user: (decide(user=user, granted=False), decide(1, user=user)),
    ),
    "agreed, then refused by hand": (
        False,
        lambda user: (decide(user=user), decide(1, user=user, granted=False)),
    ),
    "agreed and refused at one moment": (
        False,
        lambda user: (decide(user=user), decide(user=user, granted=False)),
    ),
    "agreed to a newer version": (
        True,
        lambda user: (withdrawn(0, 1, user=user), decide(1, user=user)),
    ),
    "an older consent ended after a newer one": (
        False,
        lambda user: (withdrawn(0, 2, user=user), decide(1, user=user)),
    ),
    "refused something else": (
        True,
        lambda user: (
            decide(user=user),
            decide(1, user=user, granted=False, consent_type="telegram"),
        ),
    ),
    "agreed as a lead": (True, lambda user: decide(lead=lead_of(user))),
    "agreed as a lead of nobody": (False, lambda user: decide(lead=lead_of())),
    "agreed as the lead of another": (False, lambda user: decide(lead=lead_of(UserFactory()))),
    "refused as a lead later": (
        False,
        lambda user: (decide(user=user), decide(1, lead=lead_of(user), granted=False)),
    ),
    "refused as a lead before": (
        True,
        lambda user: (decide(1, user=user), decide(lead=lead_of(user), granted=False)),
    ),
    "withdrew as a lead later": (
        False,
        lambda user: (decide(user=user), withdrawn(0, 1, lead=lead_of(user))),
    ),
    "withdrew as a lead before": (
        True,
        lambda user: (decide(2, user=user), withdrawn(0, 1, lead=lead_of(user))),
    ),
    "agreed as a lead, then refused": (
        False,
        lambda user: (decide(lead=lead_of(user)), decide(1, user=user, granted=False)),
    ),
    "refused, then agreed as a lead": (
        True,
        lambda user: (decide(user=user, granted=False), decide(1, lead=lead_of(user))),
    ),
    "agreed as one lead, refused as another": (
        False,
        lambda user: (decide(lead=lead_of(user)), decide(1, lead=lead_of(user), granted=False)),
    ),
    "agreed as a lead that is merged": (
        True,
        lambda user: merged(user, lambda lead: decide(lead=lead)),
    ),
    "agreed, then refused as a lead that is merged": (
        False,
        lambda user: (
            decide(user=user),
            merged(user, lambda lead: decide(1, lead=lead, granted=False)),
        ),
    ),
    "agreed as a lead of two": (False, lambda user: decide(lead=lead_of(user, UserFactory()))),
    "agreed, and a lead of two refused": (
        False,
        lambda user: (
            decide(user=user),
            decide(1, lead=lead_of(user, UserFactory()), granted=False),
        ),
    ),
    "agreed, and the other of a lead of two refused": (
        True,
        lambda user: (decide(user=user), refused_beside(user)),
    ),
    "agreed as a lead beside one of two": (
        True,
        lambda user: (decide(lead=lead_of(user)), lead_of(user, UserFactory())),
    ),
    "agreed as a lead to which another gave a consent": (
        False,
        lambda user: (
            decide(lead=(lead := lead_of(user))),
            decide(user=UserFactory(), lead=lead, consent_type="telegram"),
        ),
    ),
}


def merged(user: User, decide_as: Callable[[Lead], Any]) -> None:
    """A decision as a lead that is then merged, through a third one, into a lead of the user."""
    lead, middle = lead_of(), lead_of()
    decide_as(lead)
    merge_leads(lead, into=middle)
    merge_leads(middle, into=lead_of(user))


def refused_beside(user: User) -> None:
    other = UserFactory()
    decide(1, user=other, lead=lead_of(user, other), granted=False)


def test_account_is_contacted_by_its_last_answer() -> None:
    def check_case(case: tuple[bool, Callable[[User], Any]]) -> None:
        expected, act = case
        user, other = UserFactory(), UserFactory()
        act(user)
        assert may_mail(user=user) is expected
        assert (user in users_to_contact()) is expected
        assert not may_mail(user=other)

    check_each(CASES.items(), check_case)


@pytest.mark.parametrize(
    ("state", "expected"), [("active", True), ("blocked", False), ("deleted", False)]
)
def test_blocked_or_deleted_person_is_not_contacted(state: str, expected: bool) -> None:
    user = UserFactory()
    lead = lead_of(user)
    beside = lead_of()
    decide(user=user)
    decide(user=user, lead=beside, consent_type="telegram")
    decide(lead=lead)
    if state == "deleted":
        erase(user.pk)
    else:
        update_sql(user, status=state)
    assert may_mail(user=user) is expected
    assert may_mail(lead=lead) is expected
    assert may_mail(lead=beside) is expected  # a consent has linked the lead to this person
    assert users_to_contact().count() == expected
    assert leads_to_contact().count() == 2 * expected


def test_unblocked_person_is_contacted_again() -> None:
    user = UserFactory(blocked=True)
    decide(user=user)
    update_sql(user, status="active")
    assert may_mail(user=user)


# -- a lead ---------------------------------------------------------------------------------------

LEADS: dict[str, tuple[bool, Callable[[Lead], Any]]] = {
    "nothing was said": (False, lambda lead: None),
    "agreed": (True, lambda lead: decide(lead=lead)),
    "refused": (False, lambda lead: decide(lead=lead, granted=False)),
    "agreed, then refused by hand": (
        False,
        lambda lead: (decide(lead=lead), decide(1, lead=lead, granted=False)),
    ),
    "withdrawn": (False, lambda lead: withdrawn(0, 1, lead=lead)),
    "its account agreed": (True, lambda lead: decide(user=account_of(lead))),
    "its account agreed, the lead refused later": (
        False,
        lambda lead: (decide(user=account_of(lead)), decide(1, lead=lead, granted=False)),
    ),
    "agreed, its account refused later": (
        False,
        lambda lead: (decide(lead=lead), decide(1, user=account_of(lead), granted=False)),
    ),
    "agreed, its account withdrew later": (
        False,
        lambda lead: (decide(lead=lead), withdrawn(0, 1, user=account_of(lead))),
    ),
    "another lead of its account agreed": (
        True,
        lambda lead: decide(lead=lead_of(account_of(lead))),
    ),
    "agreed together with an account": (True, lambda lead: decide(lead=lead, user=UserFactory())),
    "one that was merged into it agreed": (
        True,
        lambda lead: merge_into(lead, lambda other: decide(lead=other)),
    ),
    "one that was merged into it refused later": (
        False,
        lambda lead: (
            decide(lead=lead),
            merge_into(lead, lambda other: decide(1, lead=other, granted=False)),
        ),
    ),
    "one of its two accounts agreed": (
        False,
        lambda lead: (decide(user=account_of(lead)), account_of(lead)),
    ),
    "both of its accounts agreed": (
        True,
        lambda lead: (decide(user=account_of(lead)), decide(user=account_of(lead))),
    ),
    "agreed, and is two accounts": (
        False,
        lambda lead: (decide(lead=lead), account_of(lead), account_of(lead)),
    ),
}


def account_of(lead: Lead) -> User:
    """A new account that is an identity of the lead."""
    return LeadIdentityFactory(registered=True, lead=lead).user


def merge_into(lead: Lead, decide_as: Callable[[Lead], Any]) -> None:
    other = lead_of()
    decide_as(other)
    merge_leads(other, into=lead)


def test_lead_is_contacted_by_the_last_answer_of_the_person() -> None:
    def check_case(case: tuple[bool, Callable[[Lead], Any]]) -> None:
        expected, act = case
        lead, other = lead_of(), lead_of()
        act(lead)
        assert may_mail(lead=lead) is expected
        assert (lead in leads_to_contact()) is expected
        assert not may_mail(lead=other)

    check_each(LEADS.items(), check_case)


def test_lead_without_identities_is_not_contacted() -> None:
    """Erasure leaves such leads."""
    lead = lead_of()
    decide(lead=lead)
    assert may_mail(lead=lead)
    lead.identities.all().delete()
    assert not may_mail(lead=lead)
    assert not leads_to_contact().exists()


def test_merged_lead_has_the_answers_of_the_remaining_lead() -> None:
    lead, into = lead_of(), lead_of()
    decide(lead=into)
    decide(1, lead=lead, granted=False)
    merge_leads(lead, into=into)
    assert not may_mail(lead=lead)
    merge_leads(decide(2, lead=lead_of(), consent_type="telegram").lead, into=into)
    withdraw_this_consent(Consent.objects.get(lead=into))
    grant_consent(lead=lead, consent_type="communications", version="2026-01-07", source="web")
    assert may_mail(lead=lead)
    assert may_mail(lead=into)


def test_merge_is_known_after_the_outbox_was_purged() -> None:
    lead, into = lead_of(), lead_of()
    decide(lead=lead)
    decide(lead=into)
    merge_leads(lead, into=into)
    forget_events()
    assert may_mail(lead=lead)
    withdraw_consent(lead=into)
    assert not may_mail(lead=lead)
    assert not may_mail(lead=into)


# -- arguments ------------------------------------------------------------------------------------


def test_each_channel_needs_its_own_consent() -> None:
    assert PURPOSES == {"email": "communications", "telegram": "telegram"}
    user = UserFactory()
    for purpose in Consent.Type.values:
        row = ConsentFactory(user=user, consent_type=purpose)
        for channel, needed in PURPOSES.items():
            assert can_contact(channel, user=user) is (purpose == needed)
            assert users_to_contact(channel).exists() is (purpose == needed)
        withdraw_this_consent(row)


def test_other_channels_are_refused() -> None:
    user = UserFactory()
    for channel in ("sms", "", None, "communications", ["email"]):
        with pytest.raises(InvalidInput) as caught:
            can_contact(channel, user=user)
        assert caught.value.details == {"field": "channel"}
        with pytest.raises(InvalidInput):
            users_to_contact(channel)


def test_unknown_person_is_not_contacted() -> None:
    user = UserFactory()
    decide(user=user)
    for key in (uuid4(), str(uuid4()), "", "nobody", 5, b"\0"):
        assert not may_mail(user=key), key
        assert not may_mail(lead=key), key
    assert not may_mail(user=user, lead="nobody")
    assert may_mail(user=str(user.pk))


def test_call_without_a_person_is_refused() -> None:
    with pytest.raises(InvalidInput):
        may_mail()


def test_account_and_lead_must_both_agree() -> None:
    user, lead, same = UserFactory(), lead_of(UserFactory()), lead_of()
    decide(user=user)
    LeadIdentityFactory(registered=True, user=user, lead=same)
    assert may_mail(user=user, lead=same)
    assert not may_mail(user=user, lead=lead)
    decide(user=lead.identities.get(user__isnull=False).user)
    assert may_mail(user=user, lead=lead)
    unregistered = lead_of()
    assert not may_mail(user=user, lead=unregistered)
    decide(lead=unregistered)
    assert may_mail(user=user, lead=unregistered)
    unregistered.identities.all().delete()
    assert not may_mail(user=user, lead=unregistered)


def test_each_question_is_one_query(django_assert_num_queries: Any) -> None:
    user = UserFactory()
    leads = [lead_of(user) for _ in range(5)]
    for lead in leads:
        decide(lead=lead)
    about = AppointmentFactory(client=user)
    for question in (
        lambda: may_mail(user=user),
        lambda: may_mail(lead=leads[0]),
        lambda: may_mail(user=user, about=about),
        lambda: len(users_to_contact()) == 1,
        lambda: len(leads_to_contact()) == 5,
    ):
        with django_assert_num_queries(1):
            assert question()


def test_mailing_query_may_be_narrowed_and_negated() -> None:
    users = UserFactory.create_batch(4)
    for user in users[:2]:
        decide(user=user)
    may = CanContact("email", user="pk")
    assert {*User.objects.filter(may)} == {*users[:2]}
    assert {*User.objects.exclude(may)} == {*User.objects.filter(~Q(may))} == {*users[2:]}
    assert User.objects.filter(may, email=users[0].email).get() == users[0]
    assert [*User.objects.annotate(may=may).order_by("pk").values_list("may", flat=True)] == [
        True,
        True,
        False,
        False,
    ]
    assert not User.objects.filter(CanContact("telegram", user="pk")).exists()


def test_mailing_query_works_on_rows_that_name_people() -> None:
    user, lead = UserFactory(), lead_of()
    rows = [
        AppointmentFactory(client=user),
        AppointmentFactory(client=None, lead=lead),
        AppointmentFactory(),
        AppointmentFactory(client=user, lead=lead_of(UserFactory())),
    ]
    decide(user=user)
    decide(lead=lead)
    may = CanContact("email", user=F("client"), lead="lead")
    assert {*Appointment.objects.filter(may)} == {*rows[:2]}


def test_manual_changes_of_consents_are_respected() -> None:
    user = UserFactory()
    grant_consent(user=user, consent_type="communications", version="2026-01-07", source="web")
    assert may_mail(user=user)
    execute("UPDATE consents SET revoked_at = granted_at + interval '1 s'")
    assert not may_mail(user=user)
    execute(
        "INSERT INTO consents (user_id, consent_type, version, source, granted_at) "
        "SELECT user_id, consent_type, version, source, revoked_at + interval '1 s' FROM consents"
    )
    assert may_mail(user=user)
    execute(
        "INSERT INTO consents (user_id, consent_type, version, source, granted, granted_at) "
        "SELECT user_id, consent_type, version, source, false, max(granted_at) "
        "FROM consents GROUP BY 1, 2, 3, 4"
    )
    assert not may_mail(user=user)


# -- agreement with the reference model -----------------------------------------------------------


@each_seeds(60)
def test_both_questions_agree_with_the_reference_model(seeds: range) -> None:
    check_each([(str(seed), seed) for seed in seeds], check_world)


def check_world(seed: int) -> None:
    world = World(seed)
    for channel, purpose in PURPOSES.items():
        oracle = Oracle(purpose)
        users = {key for key in world.users if oracle.may_user(key)}
        leads = {key for key in world.leads if oracle.may_lead(key)}
        assert {key for key in world.users if can_contact(channel, user=key)} == users
        assert {key for key in world.leads if can_contact(channel, lead=key)} == leads
        assert {user.pk for user in users_to_contact(channel)} == users
        assert {lead.pk for lead in leads_to_contact(channel)} == leads


@pytest.mark.slow
def test_random_worlds_cover_all_kinds_of_answers() -> None:
    """Otherwise the test above would prove little."""
    answers = set()
    for seed in range(100):
        world, oracle = World(seed), Oracle("communications")
        answers |= {("user", oracle.may_user(key)) for key in world.users}
        for key in world.leads:
            accounts = min(len(oracle.accounts_of(key)), 2)
            answers.add(("lead", accounts, len(oracle.one_with(key)) > 1, oracle.may_lead(key)))
    assert answers >= {("user", True), ("user", False)}
    assert answers >= {
        ("lead", accounts, is_merged, False)
        for accounts in (0, 1, 2)
        for is_merged in (True, False)
    }
    assert answers >= {("lead", 0, False, True), ("lead", 1, False, True), ("lead", 1, True, True)}


@each_seeds(30, start=60)
def test_owner_of_a_session_agrees_with_the_reference_model(seeds: range) -> None:
    check_each([(str(seed), seed) for seed in seeds], check_sessions)


def check_sessions(seed: int) -> None:
    world = World(seed, sessions=4)
    oracle = Oracle("communications")
    for session in Appointment.objects.all():
        for key in world.users:
            expected = oracle.may_user(key) or oracle.is_session_of(session, key, None)
            assert may_mail(user=key, about=session) is expected
        for key in world.leads:
            expected = oracle.may_lead(key) or oracle.is_session_of(session, None, key)
            assert may_mail(lead=key, about=session) is expected


# -- service messages -----------------------------------------------------------------------------

NOW = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
BEFORE, AFTER = NOW - RECENT, NOW - RECENT + INSTANT
ENDED = {"start_at_utc": NOW - timedelta(hours=1), "end_at_utc": NOW}
ENDING = {"start_at_utc": NOW - timedelta(hours=1), "end_at_utc": NOW + INSTANT}
AHEAD = {"start_at_utc": NOW + timedelta(days=90), "end_at_utc": NOW + timedelta(days=90, hours=1)}

SESSIONS: dict[str, tuple[bool, dict[str, Any]]] = {
    "held": (True, {**AHEAD}),
    "paid": (True, {**AHEAD, "paid": True}),
    "confirmed": (True, {**AHEAD, "confirmed": True}),
    "under way": (True, {**ENDING, "confirmed": True}),
    "over": (False, {**ENDED, "confirmed": True}),
    "held and over": (False, {**ENDED}),
    "completed": (False, {"completed": True}),
    "canceled lately": (True, {**AHEAD, "canceled": True, "canceled_at": AFTER}),
    "canceled lately, over by now": (True, {**ENDED, "canceled": True, "canceled_at": AFTER}),
    "canceled long ago": (False, {**AHEAD, "canceled": True, "canceled_at": BEFORE}),
}


@pytest.mark.parametrize("who", ["client", "lead"])
def test_service_messages_are_about_a_current_session(who: str) -> None:
    def is_current(case: tuple[bool, dict[str, Any]]) -> None:
        expected, session = case
        person = UserFactory() if who == "client" else lead_of()
        row = AppointmentFactory(**{"client": None, who: person, **session})
        subject = {"user" if who == "client" else "lead": person}
        for channel in PURPOSES:
            for about in (row, row.pk, str(row.pk)):
                assert can_contact(channel, about=about, clock=lambda: NOW, **subject) is expected
            assert not can_contact(channel, clock=lambda: NOW, **subject)  # without a session

    check_each(SESSIONS.items(), is_current)


@pytest.mark.parametrize(("moved_at", "expected"), [(AFTER, True), (BEFORE, False)])
def test_service_messages_cover_a_session_moved_recently(
    moved_at: datetime, expected: bool
) -> None:
    user = UserFactory()
    old = AppointmentFactory(client=user, rescheduled=True)
    AppointmentFactory(client=user, rescheduled_from=old, created_at=moved_at)
    assert may_mail(user=user, about=old, clock=lambda: NOW) is expected


def test_session_moved_without_a_successor_is_not_current() -> None:
    row = AppointmentFactory(rescheduled=True)
    assert not may_mail(user=row.client, about=row)


def test_session_is_mailed_only_to_its_own_person() -> None:
    user, other = UserFactory(), UserFactory()
    lead, strange = lead_of(user), lead_of(other)
    by_account, by_lead = (
        AppointmentFactory(client=user),
        AppointmentFactory(client=None, lead=lead),
    )
    beside = AppointmentFactory(client=user, lead=strange)
    for about in (by_account, by_lead):
        assert may_mail(user=user, about=about)
        assert may_mail(lead=lead, about=about)  # the same person
        assert not may_mail(user=other, about=about)
        assert not may_mail(lead=strange, about=about)
        assert not may_mail(user=user, lead=strange, about=about)
    assert may_mail(user=user, about=beside)
    assert may_mail(user=user, lead=lead_of(), about=beside)
    assert not may_mail(user=user, lead=strange, about=beside)
    unregistered = lead_of()
    theirs = AppointmentFactory(client=None, lead=unregistered)
    assert not may_mail(user=user, lead=unregistered, about=theirs)
    assert not may_mail(lead=strange, about=beside)  # the session belongs to the client


def test_session_of_a_shared_lead_is_mailed_to_the_lead() -> None:
    users = UserFactory.create_batch(2)
    lead = lead_of(*users)
    about = AppointmentFactory(client=None, lead=lead)
    assert may_mail(lead=lead, about=about)
    assert not any(may_mail(user=user, about=about) for user in users)
    assert not may_mail(lead=lead, about=AppointmentFactory(client=users[0]))


def test_session_of_a_merged_lead_is_mailed_to_the_remaining_lead() -> None:
    lead, into = lead_of(), lead_of()
    about = AppointmentFactory(client=None, lead=lead)
    decide(lead=lead, granted=False)
    merge_leads(lead, into=into)
    assert may_mail(lead=lead, about=about)
    assert may_mail(lead=into, about=about)


@pytest.mark.parametrize("answer", [{"granted": False}, {"granted_at": NOON, "revoked_at": NOON}])
def test_a_refusal_does_not_stop_service_messages(answer: dict[str, Any]) -> None:
    user = UserFactory()
    ConsentFactory(user=user, consent_type="communications", **answer)
    about = AppointmentFactory(client=user)
    assert may_mail(user=user, about=about)
    assert not may_mail(user=user)


def test_consent_allows_mail_about_a_past_session() -> None:
    row = AppointmentFactory(completed=True)
    decide(user=row.client)
    assert may_mail(user=row.client, about=row)


def test_blocked_person_gets_session_mail_and_erased_person_does_not() -> None:
    user = UserFactory()
    lead = lead_of(user)
    about = AppointmentFactory(client=user)
    of_lead = AppointmentFactory(client=None, lead=lead)
    update_sql(user, status="blocked")
    for session in (about, of_lead):
        assert may_mail(user=user, about=session)
        assert may_mail(lead=lead, about=session)
    erase(user.pk)
    for session in (about, of_lead):
        assert not may_mail(user=user, about=session)
        assert not may_mail(lead=lead, about=session)


def test_lead_without_identities_gets_no_session_mail() -> None:
    """Sessions of an erased client refer to such a lead."""
    about = AppointmentFactory(of_lead=True)
    assert not may_mail(lead=about.lead, about=about)


@pytest.mark.parametrize("about", [uuid7(), "nobody", 5], ids=["unknown", "no key", "number"])
def test_unknown_session_allows_no_mail(about: Any) -> None:
    assert not may_mail(user=UserFactory(), about=about)


def test_consent_of_a_shared_lead_does_not_count_for_one_person() -> None:
    anna, boris = UserFactory(), UserFactory()
    lead = lead_of(anna, boris)
    decide(lead=lead)
    erase_user(anna, method="admin")
    assert Consent.objects.active().filter(lead=lead).exists()
    assert not may_mail(user=boris)


# -- people with the same contact -----------------------------------------------------------------


def unregistered_with(email: str) -> Lead:
    """A lead without an account."""
    lead = LeadFactory()
    LeadIdentity.objects.create(lead=lead, email_encrypted=Plaintext(email))
    return lead


@pytest.mark.parametrize("choice", ["refuses", "withdraws"])
@pytest.mark.parametrize("as_lead", [True, False])
def test_refusal_by_a_contact_stops_mail_to_account_and_lead(choice: str, as_lead: bool) -> None:
    user = UserFactory(email="vera@example.org")
    lead = unregistered_with(user.email)
    decide(user=user)
    decide(lead=lead)
    speaker: dict[str, Any] = {"lead": lead} if as_lead else {"user": user}
    if choice == "refuses":
        grant(granted=False, **speaker)
    else:
        withdraw_consent(consent_type="communications", **speaker)
    assert not may_mail(user=user)
    assert not may_mail(lead=lead)


def test_refusal_covers_every_lead_with_the_same_contact() -> None:
    one, other = unregistered_with("vera@example.org"), unregistered_with("vera@example.org")
    decide(lead=other)
    grant(granted=False, lead=one)
    assert not may_mail(lead=other)


def test_withdrawal_covers_consents_from_before_a_merge() -> None:
    user = UserFactory(email="vera@example.org")
    one, other = unregistered_with(user.email), unregistered_with(user.email)
    decide(lead=one)
    merge_leads(one, into=other)
    assert may_mail(lead=other)
    withdraw_consent(user=user)
    assert not may_mail(lead=other)


def test_withdrawal_with_another_contact_keeps_email_consents() -> None:
    user = UserFactory(email="vera@example.org", phone="+79995554433")
    lead = LeadFactory()
    LeadIdentity.objects.create(lead=lead, phone_encrypted=Plaintext("+79995554433"))
    decide(user=user)
    withdraw_consent(lead=lead)
    assert may_mail(user=user)


def test_withdrawal_by_a_contact_ends_only_mailing_consents() -> None:
    user = UserFactory(email="vera@example.org")
    lead = unregistered_with(user.email)
    row = decide(user=user, consent_type="personal_data")
    withdraw_consent(lead=lead)
    assert row in Consent.objects.active()
    withdraw_consent(user=user)
    assert row not in Consent.objects.active()


def test_invalid_stored_contact_does_not_prevent_a_refusal() -> None:
    lead = LeadFactory()
    LeadIdentityFactory(lead=lead, by_telegram=True, telegram_user_id="0012345")
    decide(lead=lead, consent_type="telegram")
    withdraw_consent(lead=lead)
    grant(lead=lead, consent_type="telegram", granted=False)
    assert not Consent.objects.active().exists()


def test_refusal_by_a_lead_of_another_account_ends_nothing() -> None:
    """The lead is known as another account, so the typed address proves nothing."""
    user, other = UserFactory(email="vera@example.org"), UserFactory()
    lead = unregistered_with(user.email)
    LeadIdentityFactory(registered=True, user=other, lead=lead)
    decide(user=user)
    grant(granted=False, lead=lead)
    assert may_mail(user=user)


def test_grant_of_a_lead_is_no_grant_of_the_account() -> None:
    user = UserFactory(email="vera@example.org")
    lead = unregistered_with(user.email)
    grant(lead=lead)
    assert may_mail(lead=lead)
    assert not may_mail(user=user)


def grant(**values: Any) -> Consent:
    given = {"consent_type": "communications", "version": "2026-01-07", "source": "web"}
    return grant_consent(**{**given, **values})
