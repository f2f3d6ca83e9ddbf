"""What people agree to, refuse and withdraw, as an account, as a lead, or as both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from audit.models import AuditLogEntry, OutboxEvent
from crm.models import AnalyticsEvent, Lead, LeadTimelineEvent, TrackingEvent
from crm.services import merge_leads
from ebalance.db.ids import uuid7
from ebalance.privacy.consents import (
    consent_history,
    grant_consent,
    version_order,
    withdraw_consent,
    withdraw_this_consent,
)
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    Refused,
)
from identity.errors import LeadOfAnother, PersonUnavailable, VersionOutdated
from identity.models import Consent, User
from tests.case_loops import check_each
from tests.factories import (
    ConsentFactory,
    LeadFactory,
    LeadIdentityFactory,
    UserFactory,
    WaitlistRequestFactory,
)
from tests.privacy.consent_oracle import Oracle, World, each_seeds, erase
from tests.services import events, nothing_written
from tests.support import execute, refuses, update_sql

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("late_clock")]

NOW = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
V1, V2, V3 = "2026-01-07", "2026-01-07.2", "2026-02-01"
TEXT = {"consent_type": "communications", "version": V1, "source": "web"}


def at(hours: float = 0) -> Clock:
    """A clock that stands ``hours`` after NOW."""
    return lambda: NOW + timedelta(hours=hours)


def grant(hours: float = 0, **values: Any) -> Consent:
    return grant_consent(**{**TEXT, "clock": at(hours), **values})


def withdraw(hours: float = 0, **values: Any) -> list[Consent]:
    return withdraw_consent(**{"clock": at(hours), **values})


def refuse(hours: float = 0, **values: Any) -> Consent:
    return grant(hours, granted=False, **values)


def known_as(*users: User, **values: Any) -> Lead:
    """A lead with an e-mail address, and these accounts among its identities."""
    lead = LeadFactory(**values)
    LeadIdentityFactory(lead=lead)
    for user in users:
        LeadIdentityFactory(registered=True, user=user, lead=lead)
    return lead


def active(**whose: Any) -> list[Consent]:
    return [*Consent.objects.filter(**whose).active().order_by("granted_at", "pk")]


def stored(row: Consent) -> dict[str, Any]:
    return Consent.objects.filter(pk=row.pk).values().get()


def payloads(row: Consent) -> list[dict[str, Any]]:
    rows = OutboxEvent.objects.filter(aggregate_type="consents", aggregate_id=row.pk)
    return [*rows.order_by("pk").values_list("payload", flat=True)]


def tracked() -> list[tuple[str, bool]]:
    """Purpose and new value of the stored events, in their order."""
    rows = AnalyticsEvent.objects.filter(tracking_event="consent_updated")
    return [
        (row.properties["consent_type"], row.properties["new_value"])
        for row in rows.order_by("received_at", "pk")
    ]


@contextmanager
def refused(error: type[Refused], **details: object):
    """The verb says no with exactly this error, and nothing is written."""
    with nothing_written(), pytest.raises(error) as caught:
        yield
    assert type(caught.value) is error
    assert details.items() <= caught.value.details.items(), caught.value.details
    assert caught.value.sentence


SUBJECTS: dict[str, Callable[[], dict[str, Any]]] = {
    "user": lambda: {"user": UserFactory()},
    "lead": lambda: {"lead": known_as()},
    "both": lambda: {"user": UserFactory(), "lead": known_as()},
    "both, who are known as one": lambda: (lambda user: {"user": user, "lead": known_as(user)})(
        UserFactory()
    ),
}
each_subject = pytest.mark.parametrize("whose", SUBJECTS.values(), ids=SUBJECTS)


# -- agreeing -------------------------------------------------------------------------------------


@each_subject
def test_a_consent_is_written_as_it_was_given(whose: Callable[[], dict[str, Any]]) -> None:
    subject = whose()
    row = grant(**subject)
    keys = {name: subject[name].pk if name in subject else None for name in ("user", "lead")}
    assert stored(row) == {
        "id": row.pk,
        "user_id": keys["user"],
        "lead_id": keys["lead"],
        "consent_type": "communications",
        "granted": True,
        "version": V1,
        "source": "web",
        "granted_at": NOW,
        "revoked_at": None,
    }
    assert events(row) == ["consent_granted"]
    assert payloads(row) == [{"consent_type": "communications", "version": V1}]


@each_subject
def test_the_same_version_again_is_the_same_consent(whose: Callable[[], dict[str, Any]]) -> None:
    subject = whose()
    row = grant(**subject)
    with nothing_written():
        assert grant(1, **subject) == row
        assert grant(1, **{name: one.pk for name, one in subject.items()}) == row
        assert grant(1, **{name: str(one.pk) for name, one in subject.items()}) == row
        assert grant(1, source="telegram", **subject) == row
        for name, one in subject.items():  # of both, each alone has said so too
            assert grant(1, **{name: one}) == row


@each_subject
def test_a_newer_version_takes_the_place_of_the_older_one(
    whose: Callable[[], dict[str, Any]],
) -> None:
    subject = whose()
    old = grant(**subject)
    new = grant(1, version=V2, **subject)
    assert stored(old)["revoked_at"] == stored(new)["granted_at"] == NOW + timedelta(hours=1)
    assert active() == [new]
    assert events(old) == ["consent_granted", "consent_replaced"]
    assert payloads(old)[-1] == {
        "consent_type": "communications",
        "version": V1,
        "by": str(new.pk),
    }
    with nothing_written():
        assert grant(2, version=V2, **subject) == new


def test_an_older_version_does_not_come_after_a_newer_one() -> None:
    user = UserFactory()
    row = grant(user=user, version=V2)
    with refused(VersionOutdated, id=row.pk):
        grant(1, user=user, version=V1)
    withdraw_this_consent(row, clock=at(2))
    assert grant(3, user=user, version=V1).version == V1  # nothing newer is in force any more


@pytest.mark.parametrize(
    "versions",
    [
        ["2025-12-31.9", "2026-01-07", "2026-01-07.0", "2026-01-07.1", "2026-01-07.2"],
        ["2026-01-07.2", "2026-01-07.10", "2026-01-07.100", f"2026-01-07.{'9' * 5000}"],
        ["2026-01-07.02", "2026-01-07.2", "2026-01-07.003", "2026-01-07.3", "2026-01-08"],
        ["0001-01-01", "9999-12-31"],
    ],
)
def test_versions_are_ordered_by_day_and_number(versions: list[str]) -> None:
    assert sorted(versions, key=version_order) == versions
    assert len({version_order(version) for version in versions}) == len(versions)


def test_purposes_are_apart() -> None:
    user = UserFactory()
    rows = [grant(user=user, consent_type=purpose) for purpose in Consent.Type.values]
    assert {*active()} == {*rows}
    withdraw(1, user=user, consent_type="telegram")
    assert {row.consent_type for row in active()} == {*Consent.Type.values} - {"telegram"}


def test_people_are_apart() -> None:
    user, other = UserFactory(), UserFactory()
    lead, another = known_as(), known_as()
    rows = [
        grant(**{name: one})
        for name, one in [("user", user), ("user", other), ("lead", lead), ("lead", another)]
    ]
    assert len({*rows}) == 4
    withdraw(1, user=user)
    withdraw(1, lead=lead)
    assert active() == [rows[1], rows[3]]


def test_of_both_only_who_has_not_said_so_is_written() -> None:
    user, lead = UserFactory(), known_as()
    own = grant(user=user)
    row = grant(1, user=user, lead=lead)
    assert (stored(row)["user_id"], stored(row)["lead_id"]) == (None, lead.pk)
    assert {*active()} == {own, row}
    with nothing_written():
        assert grant(2, user=user, lead=lead) == row


def test_of_both_the_older_one_is_replaced() -> None:
    user, lead = UserFactory(), known_as()
    old, same = grant(user=user), grant(lead=lead, version=V2)
    row = grant(1, user=user, lead=lead, version=V2)
    assert (row.user_id, row.lead_id) == (user.pk, None)
    assert {*active()} == {same, row}
    assert stored(old)["revoked_at"] == NOW + timedelta(hours=1)


def test_both_replace_two_older_ones() -> None:
    user, lead = UserFactory(), known_as()
    old = [grant(user=user), grant(lead=lead)]
    row = grant(1, user=user, lead=lead, version=V2)
    assert active() == [row]
    assert [events(one)[-1] for one in old] == ["consent_replaced"] * 2


def test_a_consent_of_both_is_replaced_by_that_of_one() -> None:
    user, lead = UserFactory(), known_as()
    grant(user=user, lead=lead)
    row = grant(1, user=user, version=V2)
    assert active() == [row]
    assert [*consent_history(lead=lead)][-1] == row  # they are known as one since


def test_nobody_agrees_together_with_the_lead_of_another() -> None:
    user, other = UserFactory(), UserFactory()
    for lead in [known_as(other), known_as(user, other), ConsentFactory(lead=known_as()).lead]:
        for granted in (True, False):
            with refused(LeadOfAnother, field="lead"):
                grant(user=user, lead=lead, granted=granted)


@pytest.mark.parametrize("state", ["blocked", "deleted"])
def test_whoever_is_blocked_or_deleted_does_not_agree(state: str) -> None:
    user = UserFactory(**({"blocked": True} if state == "blocked" else {}))
    lead = known_as(user)
    beside = ConsentFactory(user=user, lead=known_as(), consent_type="telegram").lead
    if state == "deleted":
        erase(user.pk)
    for whose in [{"user": user}, {"lead": lead}, {"user": user, "lead": lead}, {"lead": beside}]:
        with refused(PersonUnavailable, user=user.pk, status=state):
            grant(**whose)


def test_what_was_agreed_to_before_a_block_is_the_same() -> None:
    user = UserFactory()
    row = grant(user=user)
    update_sql(user, status="blocked")
    with nothing_written():
        assert grant(1, user=user) == row
    with refused(PersonUnavailable):
        grant(1, user=user, version=V2)


# -- the caller's key -----------------------------------------------------------------------------


@each_subject
@pytest.mark.parametrize("granted", [True, False])
def test_a_request_again_is_the_same_also_after_a_withdrawal(
    whose: Callable[[], dict[str, Any]], granted: bool
) -> None:
    subject, key = whose(), uuid7()
    row = grant(id=key, granted=granted, **subject)
    assert row.pk == key
    withdraw(1, **subject)
    newer = grant(2, version=V3, **subject)
    with nothing_written():
        assert grant(3, id=str(key), granted=granted, **subject) == row
    assert active() == [newer]


def test_a_key_comes_with_one_content() -> None:
    user, lead, key = UserFactory(), known_as(), uuid7()
    grant(id=key, user=user)
    for other in [
        {"user": UserFactory()},
        {"lead": lead},
        {"user": user, "version": V2},
        {"user": user, "source": "telegram"},
        {"user": user, "consent_type": "telegram"},
        {"user": user, "granted": False},
    ]:
        with refused(IdempotencyConflict, id=key):
            grant(1, id=key, **other)


def test_a_key_is_not_needed_for_what_is_there() -> None:
    user = UserFactory()
    row = grant(user=user)
    with nothing_written():
        assert grant(1, user=user, id=uuid7()) == row


def test_a_request_of_a_lead_that_was_merged_since_is_the_same() -> None:
    lead, into, key = known_as(), known_as(), uuid7()
    row = grant(id=key, lead=lead)
    merge_leads(lead, into=into)
    with nothing_written():
        assert grant(1, id=key, lead=lead) == grant(1, lead=lead) == grant(1, lead=into) == row


# -- refusing -------------------------------------------------------------------------------------


@each_subject
def test_a_refusal_is_written_and_ends_what_is_active(whose: Callable[[], dict[str, Any]]) -> None:
    subject = whose()
    row = grant(**subject)
    no = refuse(1, **subject)
    assert active() == []
    assert stored(row)["revoked_at"] == stored(no)["granted_at"] == NOW + timedelta(hours=1)
    assert (stored(no)["granted"], stored(no)["revoked_at"]) == (False, None)
    assert events(row) == ["consent_granted", "consent_withdrawn"]
    assert events(no) == ["consent_refused"]
    with nothing_written():
        assert refuse(2, **subject) == no
    yes = grant(3, **subject)
    assert active() == [yes]


def test_a_first_refusal_is_written() -> None:
    no = refuse(user=UserFactory())
    assert [*Consent.objects.all()] == [no]


def test_a_refusal_of_another_version_is_another_one() -> None:
    user = UserFactory()
    first, second = refuse(user=user), refuse(1, user=user, version=V2)
    assert first != second
    with nothing_written():
        assert refuse(2, user=user, version=V2) == second
    third = refuse(2, user=user, version=V1)  # the last word is not the same
    assert third not in [first, second]


def test_a_refusal_of_both_is_written_unless_both_said_so() -> None:
    user, lead = UserFactory(), known_as()
    refuse(user=user)
    row = refuse(1, user=user, lead=lead)
    assert (row.user_id, row.lead_id) == (user.pk, lead.pk)
    with nothing_written():
        assert refuse(2, user=user, lead=lead) == refuse(2, lead=lead) == row


def test_a_refusal_ends_what_the_person_agreed_to_elsewhere() -> None:
    user = UserFactory()
    lead, merged = known_as(user), known_as()
    rows = [grant(user=user), grant(lead=lead), grant(lead=merged)]
    merge_leads(merged, into=lead)
    other = grant(user=user, consent_type="telegram")
    refuse(1, lead=lead)
    assert active() == [other]
    assert [events(row)[-1] for row in rows] == ["consent_withdrawn"] * 3


def test_whoever_is_blocked_may_refuse() -> None:
    user = UserFactory()
    grant(user=user)
    update_sql(user, status="blocked")
    refuse(1, user=user)
    assert active() == []


def test_nothing_more_is_written_of_who_was_erased() -> None:
    user = UserFactory()
    erase(user.pk)
    with refused(PersonUnavailable, status="deleted"):
        refuse(user=user)


# -- withdrawing ----------------------------------------------------------------------------------


@each_subject
def test_a_withdrawal_is_once(whose: Callable[[], dict[str, Any]]) -> None:
    subject = whose()
    row = grant(**subject)
    withdraw_this_consent(row, clock=at(1))
    assert row.revoked_at == stored(row)["revoked_at"] == NOW + timedelta(hours=1)
    assert (row.status, events(row)) == ("withdrawn", ["consent_granted", "consent_withdrawn"])
    assert payloads(row)[-1] == {"consent_type": "communications", "version": V1}
    with nothing_written():
        withdraw_this_consent(row, clock=at(2))
        withdraw_this_consent(row.pk, clock=at(2))
        assert withdraw(2, **subject) == []


@each_subject
def test_a_person_withdraws_a_purpose(whose: Callable[[], dict[str, Any]]) -> None:
    subject = whose()
    rows = [grant(**subject, consent_type=purpose) for purpose in ["communications", "telegram"]]
    assert withdraw(1, consent_type="communications", **subject) == rows[:1]
    assert active() == rows[1:]
    assert withdraw(2, **subject) == rows[1:]  # whatever is left
    assert active() == []


def test_a_withdrawal_reaches_all_that_the_person_is_known_as() -> None:
    user = UserFactory()
    lead, second, merged, twice = known_as(user), known_as(user), known_as(), known_as()
    rows = [grant(user=user), *(grant(lead=one) for one in [lead, second, merged, twice])]
    merge_leads(twice, into=merged)
    merge_leads(merged, into=lead)
    others = [
        grant(user=UserFactory()),
        grant(lead=known_as()),
        grant(lead=known_as(UserFactory())),
    ]
    assert withdraw(1, user=user) == sorted(rows, key=lambda row: row.pk)
    assert {*active()} == {*others}


@pytest.mark.parametrize("number", range(4))
def test_wherever_a_person_withdraws_the_purpose_is_withdrawn(number: int) -> None:
    user = UserFactory()
    lead, merged = known_as(user), known_as()
    rows = [grant(user=user), grant(lead=lead), grant(lead=merged)]
    merge_leads(merged, into=lead)
    write_paths: list[Callable[[], Any]] = [
        lambda: withdraw(1, lead=lead),
        lambda: withdraw(1, lead=merged),
        lambda: withdraw_this_consent(rows[0], clock=at(1)),
        lambda: withdraw_this_consent(rows[2], clock=at(1)),
    ]
    write_paths[number]()
    assert active() == []


def test_of_a_lead_of_two_people_each_withdraws_what_is_theirs_or_nobodys() -> None:
    user, other = UserFactory(), UserFactory()
    lead = known_as(user, other)
    own, theirs = grant(user=user), grant(user=other)
    as_lead = grant(lead=lead)
    beside = ConsentFactory(user=other, lead=lead, consent_type="telegram")
    assert {*withdraw(1, user=user)} == {own, as_lead}
    assert {*active()} == {theirs, beside}
    assert {*withdraw(2, lead=lead)} == {theirs, beside}  # it may be either


@pytest.mark.parametrize("state", ["blocked", "deleted"])
def test_withdrawing_is_always_possible(state: str) -> None:
    user = UserFactory()
    lead = known_as(user)
    rows = [grant(user=user), grant(lead=lead), grant(user=user, consent_type="telegram")]
    if state == "blocked":
        update_sql(user, status="blocked")
    else:
        erase(user.pk)
    withdraw_this_consent(rows[2], clock=at(1), actor=User.objects.get(pk=user.pk))
    assert {*withdraw(1, user=user, source="web")} == {*rows[:2]}
    assert active() == []


@pytest.mark.parametrize("row", [{}, {"refused": True}, {"revoked": True}], ids=str)
def test_there_may_be_nothing_to_withdraw(row: dict[str, Any]) -> None:
    user = UserFactory()
    if row:
        consent = ConsentFactory(user=user, **row)
        with nothing_written():
            withdraw_this_consent(consent)
    with nothing_written():
        assert withdraw(user=user) == []


def test_a_newer_consent_is_left_to_a_withdrawal_of_an_older_one() -> None:
    old = grant(user=UserFactory())
    new = grant(1, user=old.user, version=V2)
    with nothing_written():
        withdraw_this_consent(old, clock=at(2))
    assert active() == [new]


# -- times ----------------------------------------------------------------------------------------


def test_what_is_said_later_has_a_later_time_whatever_the_clock() -> None:
    """Clocks of hosts differ; the last word is told by its time."""
    user = UserFactory()
    first = grant(user=user)
    second = grant(-5, user=user, version=V2)
    no = refuse(-7, user=user)
    yes = grant(-9, user=user)
    withdraw_this_consent(yes, clock=at(-11))
    assert [stored(row)["granted_at"] - NOW for row in (first, second, no, yes)] == [
        n * INSTANT for n in range(4)
    ]
    assert [stored(row)["revoked_at"] for row in (first, second, yes)] == [
        NOW + INSTANT,
        NOW + 2 * INSTANT,
        NOW + 4 * INSTANT,
    ]


def test_also_what_was_said_as_a_lead_is_earlier() -> None:
    user = UserFactory()
    grant(lead=known_as(user))
    assert refuse(-1, user=user).granted_at == NOW + INSTANT


def test_the_end_of_time_is_no_reason_not_to_withdraw() -> None:
    last = datetime(9999, 12, 30, tzinfo=UTC)
    row = ConsentFactory(granted_at=last)
    withdraw_this_consent(row, clock=at())
    assert stored(row)["revoked_at"] == last


# -- merged leads ---------------------------------------------------------------------------------


def test_a_merged_lead_agrees_as_the_one_that_is_left() -> None:
    gone, left, into = known_as(), known_as(), known_as()
    old = grant(lead=left)
    merge_leads(gone, into=into)
    merge_leads(left, into=into)
    row = grant(1, lead=gone, version=V2)
    assert row.lead_id == into.pk
    assert active() == [row]
    assert stored(old)["revoked_at"] == NOW + timedelta(hours=1)
    with nothing_written():
        assert grant(2, lead=left, version=V2) == row


# -- what the database and others do --------------------------------------------------------------


def test_somebody_revokes_by_hand() -> None:
    user = UserFactory()
    row = grant(user=user)
    execute("UPDATE consents SET revoked_at = %s", [NOW + timedelta(hours=1)])
    with nothing_written():
        withdraw_this_consent(row, clock=at(2))  # the caller's copy decides nothing
        assert withdraw(2, user=user) == []
    assert row.revoked_at == NOW + timedelta(hours=1)
    again = grant(3, user=user)
    assert again != row
    assert active() == [again]


def test_somebody_agrees_by_hand() -> None:
    user = UserFactory()
    execute(
        "INSERT INTO consents (user_id, consent_type, version, source, granted_at) "
        "VALUES (%s, 'communications', %s, 'admin', %s)",
        [user.pk, V1, NOW],
    )
    with nothing_written():
        (row,) = active()
        assert grant(1, user=user) == row
    newer = grant(2, user=user, version=V2)
    assert active() == [newer]


def test_what_a_verb_wrote_is_evidence() -> None:
    row = grant(user=UserFactory())
    withdraw_this_consent(row, clock=at(1))
    for change, rule in [
        ({"version": V2}, "consents_are_evidence"),
        ({"granted_at": NOW - INSTANT}, "consents_are_evidence"),
        ({"revoked_at": None}, "consents_revoked_once"),
    ]:
        with refuses(rule, "consents"):
            update_sql(row, **change)


# -- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [None, "client", "editor", "assistant"])
def test_nobody_speaks_for_another(role: str | None) -> None:
    actor, user = UserFactory(role=role), UserFactory()
    lead = known_as(user)
    row = grant(user=user)
    for call in (
        lambda: grant(user=user, version=V2, actor=actor),
        lambda: grant(lead=lead, actor=actor),
        lambda: refuse(user=user, actor=actor),
        lambda: withdraw(user=user, actor=actor),
        lambda: withdraw(lead=lead, actor=actor),
        lambda: withdraw_this_consent(row, actor=actor),
    ):
        with refused(NotPermitted):
            call()


@pytest.mark.parametrize("who", ["the person", "owner"])
def test_a_person_speaks_and_the_owner_writes_it_down(who: str) -> None:
    user = UserFactory()
    lead = known_as(user)
    actor = user if who == "the person" else UserFactory(role="owner")
    rows = [grant(user=user, actor=actor), grant(lead=lead, actor=actor)]
    withdraw_this_consent(rows[0], actor=actor)
    assert active() == []
    refuse(lead=lead, actor=actor)


# -- what is told ---------------------------------------------------------------------------------


@each_subject
def test_the_site_is_tracked(whose: Callable[[], dict[str, Any]]) -> None:
    subject = whose()
    grant(**subject)
    grant(1, **subject)
    grant(2, version=V2, **subject)
    withdraw(3, source="web", **subject)
    refuse(4, **subject)
    yes, no = ("communications", True), ("communications", False)
    assert tracked() == [yes, yes, no, no]
    event = AnalyticsEvent.objects.filter(tracking_event="consent_updated").first()
    assert event.source == "web"
    assert event.user_id == (subject["user"].pk if "user" in subject else None)
    if "user" not in subject:
        assert event.lead_id == subject["lead"].pk
        assert LeadTimelineEvent.objects.filter(lead=subject["lead"]).count() == 4


def test_tracking_tells_nobody_whose_a_lead_is() -> None:
    lead = known_as()
    grant(user=UserFactory(), lead=lead)
    assert lead.identities.filter(user__isnull=False).count() == 0


@pytest.mark.parametrize("source", ["telegram", "admin"])
def test_what_the_plan_does_not_know_is_not_tracked(source: str) -> None:
    user = UserFactory()
    grant(user=user, source=source)
    withdraw(1, user=user, source=source)
    grant(2, user=user, source=source)
    withdraw(3, user=user)
    assert tracked() == []
    assert LeadTimelineEvent.objects.count() == 0


def test_an_event_that_is_switched_off_stops_nobody() -> None:
    user = UserFactory()
    TrackingEvent.objects.filter(pk="consent_updated").update(is_active=False)
    grant(user=user)
    assert withdraw(1, user=user, source="web")
    assert tracked() == []
    assert OutboxEvent.objects.filter(aggregate_type="consents").count() == 2


@pytest.mark.parametrize(
    ("version", "told"), [(V1, True), ("2026-01-07.99", True), ("2026-01-07.100", False)]
)
def test_a_version_that_could_be_a_phone_number_is_left_out(version: str, told: bool) -> None:
    row = grant(user=UserFactory(), version=version)
    withdraw_this_consent(row, clock=at(1))
    assert [payload.get("version") for payload in payloads(row)] == [version if told else None] * 2


def test_no_event_and_no_entry_names_anybody() -> None:
    user = UserFactory(email="marker@example.com", phone="+79990001122", display_name="Marker")
    lead = known_as(user)
    row = grant(user=user, lead=lead, actor=user)
    withdraw_this_consent(row, actor=user, source="web")
    refuse(user=user)
    said = " ".join(
        str(values)
        for model in (OutboxEvent, AuditLogEntry, AnalyticsEvent)
        for values in model.objects.values()
    )
    for marker in ("marker", "Marker", "79990001122"):
        assert marker not in said
    consents = OutboxEvent.objects.filter(aggregate_type="consents")
    assert {*consents.values_list("event_type", flat=True)} == {
        "consent_granted",
        "consent_withdrawn",
        "consent_refused",
    }
    assert str(user.pk) not in str([*consents.values_list("payload", flat=True)])


# -- bad input ------------------------------------------------------------------------------------


NO_CONSENTS = [
    ({"consent_type": "cookies"}, "consent_type"),
    ({"consent_type": None}, "consent_type"),
    ({"consent_type": ["communications"]}, "consent_type"),
    ({"version": "новая"}, "version"),
    ({"version": None}, "version"),
    ({"version": f"{V1}\n"}, "version"),
    ({"version": "２０２６-01-07"}, "version"),
    ({"source": "phone"}, "source"),
    ({"granted": 1}, "granted"),
    ({"granted": None}, "granted"),
    ({"id": "x"}, "id"),
    ({"id": 5}, "id"),
    ({"user": None}, "user"),
    ({"clock": lambda: datetime(2027, 1, 1)}, "clock"),  # noqa: DTZ001
    ({"clock": lambda: "now"}, "clock"),
]
NO_WITHDRAWALS = [
    ({"user": None}, "user"),
    ({"consent_type": "cookies"}, "consent_type"),
    ({"source": "phone"}, "source"),
    ({"clock": lambda: None}, "clock"),
]


def check_invalid(inputs: list[tuple[dict[str, Any], str]], verb: Callable[..., Any]) -> None:
    def is_refused(item: tuple[dict[str, Any], str]) -> None:
        values, field = item
        with refused(InvalidInput, field=field):
            verb(**values)

    check_each([(str(item), item) for item in inputs], is_refused)


def test_invalid_consent_writes_nothing() -> None:
    given = {**TEXT, "user": UserFactory()}
    check_invalid(NO_CONSENTS, lambda **values: grant_consent(**{**given, **values}))


def test_invalid_withdrawal_writes_nothing() -> None:
    user = ConsentFactory().user
    check_invalid(NO_WITHDRAWALS, lambda **values: withdraw_consent(**{"user": user, **values}))


def test_unknown_person_neither_agrees_nor_withdraws() -> None:
    def is_refused(item: tuple[Callable[..., Any], str, Any]) -> None:
        verb, who, key = item
        with pytest.raises(NotFound) as caught:
            verb(**{who: key})
        assert caught.value.details["what"] == who

    with nothing_written():
        check_each(
            [
                (f"{verb.__name__} {who} {key!r}", (verb, who, key))
                for verb in (grant, refuse, withdraw)
                for who in ("user", "lead")
                for key in ("", "nobody", "\0", 7, 2.5, b"\0", uuid4(), str(uuid4()))
            ],
            is_refused,
            undo=False,
        )


def test_a_consent_that_is_no_row_is_not_found() -> None:
    row = Consent(user=UserFactory(), **TEXT)
    with refused(NotFound):
        withdraw_this_consent(row)


# -- history --------------------------------------------------------------------------------------


def test_a_history_says_who_agreed_to_what_when_from_where_and_until_when() -> None:
    user = UserFactory()
    grant(user=user)
    grant(1, user=user, version=V2, source="telegram")
    refuse(2, user=user, consent_type="telegram")
    withdraw(3, user=user)
    grant(4, user=user, consent_type="personal_data")
    grant(user=UserFactory())
    said = consent_history(user=user).values_list(
        "consent_type", "version", "granted", "source", "granted_at", "revoked_at"
    )
    hours = [NOW + timedelta(hours=n) for n in range(5)]
    assert [*said] == [
        ("communications", V1, True, "web", hours[0], hours[1]),
        ("communications", V2, True, "telegram", hours[1], hours[3]),
        ("personal_data", V1, True, "web", hours[4], None),
        ("telegram", V1, False, "web", hours[2], None),
    ]
    assert consent_history(user=user).filter(version=V2).count() == 1


def test_a_history_has_what_the_person_said_as_a_lead() -> None:
    user = UserFactory()
    lead, merged, gone = known_as(user), known_as(), known_as()
    rows = [grant(lead=gone), grant(lead=merged), grant(1, lead=lead), grant(2, user=user)]
    merge_leads(gone, into=merged)
    merge_leads(merged, into=lead)
    grant(lead=known_as(UserFactory()))
    for whose in [{"user": user}, {"lead": lead}, {"lead": merged}, {"lead": gone}]:
        assert {*consent_history(**whose)} == {*rows}
    assert [*consent_history(user=user)][2:] == rows[2:]  # in their order


def test_a_history_takes_two_queries(django_assert_num_queries: Any) -> None:
    user = UserFactory()
    for lead in [known_as(user) for _ in range(3)]:
        grant(lead=lead)
    with django_assert_num_queries(2):
        assert len(consent_history(user=user)) == 3


def test_nobody_has_no_history() -> None:
    ConsentFactory()
    assert [*consent_history(user=uuid4())] == []
    assert [*consent_history(lead=uuid4())] == []
    with pytest.raises(NotFound):
        consent_history(user="nobody")
    with pytest.raises(InvalidInput):
        consent_history()


@each_seeds(20)
def test_history_is_what_a_simpler_reading_says(seeds: range) -> None:
    check_each([(str(seed), seed) for seed in seeds], check_history)


def check_history(seed: int) -> None:
    world = World(seed)
    for purpose in ("communications", "telegram"):
        oracle = Oracle(purpose)
        for user in world.users:
            found = {row.pk for row in consent_history(user=user).filter(consent_type=purpose)}
            assert found == oracle.rows_of(user, None)
        for lead in world.leads:
            found = {row.pk for row in consent_history(lead=lead).filter(consent_type=purpose)}
            assert found == oracle.rows_of(None, lead)


# -- shared leads ---------------------------------------------------------------------------------


@pytest.fixture
def shared() -> tuple[User, User, Lead]:
    """Two accounts that are named beside one lead."""
    anna, boris, lead = UserFactory(), UserFactory(), LeadFactory()
    for user in (anna, boris):
        WaitlistRequestFactory(user=user, lead=lead)
    return anna, boris, lead


def test_withdrawal_of_one_account_leaves_the_others(shared: tuple[User, User, Lead]) -> None:
    anna, boris, lead = shared
    own, theirs = grant(user=anna), grant(user=boris)
    assert withdraw(1, user=anna, lead=lead) == [own]
    assert active() == [theirs]
    assert withdraw(2, lead=lead, actor=boris) == [theirs]


def test_nobody_withdraws_for_the_other_account(shared: tuple[User, User, Lead]) -> None:
    anna, boris, lead = shared
    own = grant(user=anna)
    with nothing_written(), pytest.raises(NotPermitted):
        withdraw(1, user=anna, lead=lead, actor=boris)
    assert withdraw(1, lead=lead, actor=boris) == []
    assert active() == [own]


def test_withdrawal_as_a_shared_lead_ends_the_consents_of_both(
    shared: tuple[User, User, Lead],
) -> None:
    """Nobody knows which of them speaks, so nobody is written to."""
    anna, boris, lead = shared
    both = [grant(user=anna), grant(user=boris)]
    assert {row.pk for row in withdraw(1, lead=lead)} == {row.pk for row in both}
