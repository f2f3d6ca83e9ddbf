"""Consents that people grant, refuse and withdraw: as an account, as a lead, or as both."""

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
    """A clock that always returns NOW plus ``hours``."""
    return lambda: NOW + timedelta(hours=hours)


def grant(hours: float = 0, **values: Any) -> Consent:
    return grant_consent(**{**TEXT, "clock": at(hours), **values})


def withdraw(hours: float = 0, **values: Any) -> list[Consent]:
    return withdraw_consent(**{"clock": at(hours), **values})


def refuse(hours: float = 0, **values: Any) -> Consent:
    return grant(hours, granted=False, **values)


def lead_of(*users: User, **values: Any) -> Lead:
    """A lead with an e-mail address, and these accounts among its identities."""
    lead = LeadFactory(**values)
    LeadIdentityFactory(lead=lead)
    for user in users:
        LeadIdentityFactory(registered=True, user=user, lead=lead)
    return lead


def active(**subject: Any) -> list[Consent]:
    return [*Consent.objects.filter(**subject).active().order_by("granted_at", "pk")]


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
    """The block raises exactly this refusal and writes nothing."""
    with nothing_written(), pytest.raises(error) as caught:
        yield
    assert type(caught.value) is error
    assert details.items() <= caught.value.details.items(), caught.value.details
    assert caught.value.sentence


SUBJECTS: dict[str, Callable[[], dict[str, Any]]] = {
    "user": lambda: {"user": UserFactory()},
    "lead": lambda: {"lead": lead_of()},
    "both": lambda: {"user": UserFactory(), "lead": lead_of()},
    "both, who are known as one": lambda: (lambda user: {"user": user, "lead": lead_of(user)})(
        UserFactory()
    ),
}
each_subject = pytest.mark.parametrize("make_subject", SUBJECTS.values(), ids=SUBJECTS)


# -- granting -------------------------------------------------------------------------------------


@each_subject
def test_consent_is_stored_as_it_was_given(make_subject: Callable[[], dict[str, Any]]) -> None:
    subject = make_subject()
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
def test_repeated_grant_of_a_version_returns_the_same_consent(
    make_subject: Callable[[], dict[str, Any]],
) -> None:
    subject = make_subject()
    row = grant(**subject)
    with nothing_written():
        assert grant(1, **subject) == row
        assert grant(1, **{name: one.pk for name, one in subject.items()}) == row
        assert grant(1, **{name: str(one.pk) for name, one in subject.items()}) == row
        assert grant(1, source="telegram", **subject) == row
        for name, one in subject.items():  # the consent is also that of each of them alone
            assert grant(1, **{name: one}) == row


@each_subject
def test_newer_version_replaces_the_older_one(
    make_subject: Callable[[], dict[str, Any]],
) -> None:
    subject = make_subject()
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


def test_older_version_is_refused_after_a_newer_one() -> None:
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


def test_purposes_are_independent() -> None:
    user = UserFactory()
    rows = [grant(user=user, consent_type=purpose) for purpose in Consent.Type.values]
    assert {*active()} == {*rows}
    withdraw(1, user=user, consent_type="telegram")
    assert {row.consent_type for row in active()} == {*Consent.Type.values} - {"telegram"}


def test_people_are_independent() -> None:
    user, other = UserFactory(), UserFactory()
    lead, another = lead_of(), lead_of()
    rows = [
        grant(**{name: one})
        for name, one in [("user", user), ("user", other), ("lead", lead), ("lead", another)]
    ]
    assert len({*rows}) == 4
    withdraw(1, user=user)
    withdraw(1, lead=lead)
    assert active() == [rows[1], rows[3]]


def test_grant_of_both_stores_only_the_missing_subject() -> None:
    user, lead = UserFactory(), lead_of()
    own = grant(user=user)
    row = grant(1, user=user, lead=lead)
    assert (stored(row)["user_id"], stored(row)["lead_id"]) == (None, lead.pk)
    assert {*active()} == {own, row}
    with nothing_written():
        assert grant(2, user=user, lead=lead) == row


def test_grant_of_both_replaces_the_older_consent() -> None:
    user, lead = UserFactory(), lead_of()
    old, same = grant(user=user), grant(lead=lead, version=V2)
    row = grant(1, user=user, lead=lead, version=V2)
    assert (row.user_id, row.lead_id) == (user.pk, None)
    assert {*active()} == {same, row}
    assert stored(old)["revoked_at"] == NOW + timedelta(hours=1)


def test_grant_of_both_replaces_two_older_consents() -> None:
    user, lead = UserFactory(), lead_of()
    old = [grant(user=user), grant(lead=lead)]
    row = grant(1, user=user, lead=lead, version=V2)
    assert active() == [row]
    assert [events(one)[-1] for one in old] == ["consent_replaced"] * 2


def test_consent_of_both_is_replaced_by_a_grant_of_one() -> None:
    user, lead = UserFactory(), lead_of()
    grant(user=user, lead=lead)
    row = grant(1, user=user, version=V2)
    assert active() == [row]
    assert [*consent_history(lead=lead)][-1] == row  # the first grant has linked the two


def test_grant_with_the_lead_of_another_person_is_refused() -> None:
    user, other = UserFactory(), UserFactory()
    for lead in [lead_of(other), lead_of(user, other), ConsentFactory(lead=lead_of()).lead]:
        for granted in (True, False):
            with refused(LeadOfAnother, field="lead"):
                grant(user=user, lead=lead, granted=granted)


@pytest.mark.parametrize("state", ["blocked", "deleted"])
def test_blocked_or_deleted_person_does_not_grant(state: str) -> None:
    user = UserFactory(**({"blocked": True} if state == "blocked" else {}))
    lead = lead_of(user)
    beside = ConsentFactory(user=user, lead=lead_of(), consent_type="telegram").lead
    if state == "deleted":
        erase(user.pk)
    for subject in [{"user": user}, {"lead": lead}, {"user": user, "lead": lead}, {"lead": beside}]:
        with refused(PersonUnavailable, user=user.pk, status=state):
            grant(**subject)


def test_consent_from_before_a_block_is_returned() -> None:
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
def test_repeated_request_returns_the_row_even_after_a_withdrawal(
    make_subject: Callable[[], dict[str, Any]], granted: bool
) -> None:
    subject, key = make_subject(), uuid7()
    row = grant(id=key, granted=granted, **subject)
    assert row.pk == key
    withdraw(1, **subject)
    newer = grant(2, version=V3, **subject)
    with nothing_written():
        assert grant(3, id=str(key), granted=granted, **subject) == row
    assert active() == [newer]


def test_key_belongs_to_one_request() -> None:
    user, lead, key = UserFactory(), lead_of(), uuid7()
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


def test_key_is_ignored_when_the_consent_exists() -> None:
    user = UserFactory()
    row = grant(user=user)
    with nothing_written():
        assert grant(1, user=user, id=uuid7()) == row


def test_repeated_request_of_a_merged_lead_returns_the_same_row() -> None:
    lead, into, key = lead_of(), lead_of(), uuid7()
    row = grant(id=key, lead=lead)
    merge_leads(lead, into=into)
    with nothing_written():
        assert grant(1, id=key, lead=lead) == grant(1, lead=lead) == grant(1, lead=into) == row


# -- refusing -------------------------------------------------------------------------------------


@each_subject
def test_refusal_is_stored_and_ends_the_active_consent(
    make_subject: Callable[[], dict[str, Any]],
) -> None:
    subject = make_subject()
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


def test_first_refusal_is_stored() -> None:
    no = refuse(user=UserFactory())
    assert [*Consent.objects.all()] == [no]


def test_refusal_of_another_version_is_another_row() -> None:
    user = UserFactory()
    first, second = refuse(user=user), refuse(1, user=user, version=V2)
    assert first != second
    with nothing_written():
        assert refuse(2, user=user, version=V2) == second
    third = refuse(2, user=user, version=V1)  # the latest refusal is of another version
    assert third not in [first, second]


def test_refusal_of_both_is_stored_unless_both_have_refused() -> None:
    user, lead = UserFactory(), lead_of()
    refuse(user=user)
    row = refuse(1, user=user, lead=lead)
    assert (row.user_id, row.lead_id) == (user.pk, lead.pk)
    with nothing_written():
        assert refuse(2, user=user, lead=lead) == refuse(2, lead=lead) == row


def test_refusal_ends_the_consents_of_linked_subjects() -> None:
    user = UserFactory()
    lead, merged = lead_of(user), lead_of()
    rows = [grant(user=user), grant(lead=lead), grant(lead=merged)]
    merge_leads(merged, into=lead)
    other = grant(user=user, consent_type="telegram")
    refuse(1, lead=lead)
    assert active() == [other]
    assert [events(row)[-1] for row in rows] == ["consent_withdrawn"] * 3


def test_blocked_person_may_refuse() -> None:
    user = UserFactory()
    grant(user=user)
    update_sql(user, status="blocked")
    refuse(1, user=user)
    assert active() == []


def test_erased_person_cannot_refuse() -> None:
    user = UserFactory()
    erase(user.pk)
    with refused(PersonUnavailable, status="deleted"):
        refuse(user=user)


# -- withdrawing ----------------------------------------------------------------------------------


@each_subject
def test_second_withdrawal_changes_nothing(make_subject: Callable[[], dict[str, Any]]) -> None:
    subject = make_subject()
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
def test_a_person_withdraws_a_purpose(make_subject: Callable[[], dict[str, Any]]) -> None:
    subject = make_subject()
    rows = [grant(**subject, consent_type=purpose) for purpose in ["communications", "telegram"]]
    assert withdraw(1, consent_type="communications", **subject) == rows[:1]
    assert active() == rows[1:]
    assert withdraw(2, **subject) == rows[1:]  # whatever is left
    assert active() == []


def test_withdrawal_covers_the_account_and_all_its_leads() -> None:
    user = UserFactory()
    lead, second, merged, twice = lead_of(user), lead_of(user), lead_of(), lead_of()
    rows = [grant(user=user), *(grant(lead=one) for one in [lead, second, merged, twice])]
    merge_leads(twice, into=merged)
    merge_leads(merged, into=lead)
    others = [
        grant(user=UserFactory()),
        grant(lead=lead_of()),
        grant(lead=lead_of(UserFactory())),
    ]
    assert withdraw(1, user=user) == sorted(rows, key=lambda row: row.pk)
    assert {*active()} == {*others}


@pytest.mark.parametrize("number", range(4))
def test_withdrawal_by_any_subject_ends_the_purpose(number: int) -> None:
    user = UserFactory()
    lead, merged = lead_of(user), lead_of()
    rows = [grant(user=user), grant(lead=lead), grant(lead=merged)]
    merge_leads(merged, into=lead)
    calls: list[Callable[[], Any]] = [
        lambda: withdraw(1, lead=lead),
        lambda: withdraw(1, lead=merged),
        lambda: withdraw_this_consent(rows[0], clock=at(1)),
        lambda: withdraw_this_consent(rows[2], clock=at(1)),
    ]
    calls[number]()
    assert active() == []


def test_person_withdraws_their_own_part_of_a_shared_lead() -> None:
    user, other = UserFactory(), UserFactory()
    lead = lead_of(user, other)
    own, theirs = grant(user=user), grant(user=other)
    as_lead = grant(lead=lead)
    beside = ConsentFactory(user=other, lead=lead, consent_type="telegram")
    assert {*withdraw(1, user=user)} == {own, as_lead}
    assert {*active()} == {theirs, beside}
    assert {*withdraw(2, lead=lead)} == {theirs, beside}  # either person may be speaking


@pytest.mark.parametrize("state", ["blocked", "deleted"])
def test_withdrawal_is_always_possible(state: str) -> None:
    user = UserFactory()
    lead = lead_of(user)
    rows = [grant(user=user), grant(lead=lead), grant(user=user, consent_type="telegram")]
    if state == "blocked":
        update_sql(user, status="blocked")
    else:
        erase(user.pk)
    withdraw_this_consent(rows[2], clock=at(1), actor=User.objects.get(pk=user.pk))
    assert {*withdraw(1, user=user, source="web")} == {*rows[:2]}
    assert active() == []


@pytest.mark.parametrize("row", [{}, {"refused": True}, {"revoked": True}], ids=str)
def test_withdrawal_without_a_consent_changes_nothing(row: dict[str, Any]) -> None:
    user = UserFactory()
    if row:
        consent = ConsentFactory(user=user, **row)
        with nothing_written():
            withdraw_this_consent(consent)
    with nothing_written():
        assert withdraw(user=user) == []


def test_withdrawal_of_an_older_consent_keeps_the_newer_one() -> None:
    old = grant(user=UserFactory())
    new = grant(1, user=old.user, version=V2)
    with nothing_written():
        withdraw_this_consent(old, clock=at(2))
    assert active() == [new]


# -- times ----------------------------------------------------------------------------------------


def test_later_decision_has_a_later_time_despite_the_clock() -> None:
    """Clocks of hosts differ, and the latest time decides."""
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


def test_decision_has_a_later_time_than_one_of_the_lead() -> None:
    user = UserFactory()
    grant(lead=lead_of(user))
    assert refuse(-1, user=user).granted_at == NOW + INSTANT


# -- merged leads ---------------------------------------------------------------------------------


def test_grant_of_a_merged_lead_is_of_the_remaining_lead() -> None:
    gone, left, into = lead_of(), lead_of(), lead_of()
    old = grant(lead=left)
    merge_leads(gone, into=into)
    merge_leads(left, into=into)
    row = grant(1, lead=gone, version=V2)
    assert row.lead_id == into.pk
    assert active() == [row]
    assert stored(old)["revoked_at"] == NOW + timedelta(hours=1)
    with nothing_written():
        assert grant(2, lead=left, version=V2) == row


# -- writes past the services ---------------------------------------------------------------------


def test_manual_revocation_is_respected() -> None:
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


def test_manual_grant_is_respected() -> None:
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


def test_row_written_by_a_service_is_evidence() -> None:
    row = grant(user=UserFactory())
    withdraw_this_consent(row, clock=at(1))
    for change, rule in [
        ({"version": V2}, "consents_are_evidence"),
        ({"granted_at": NOW - INSTANT}, "consents_are_evidence"),
        ({"revoked_at": None}, "consents_revoked_once"),
    ]:
        with refuses(rule, "consents"):
            update_sql(row, **change)


# -- permissions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [None, "client", "editor", "assistant"])
def test_other_roles_cannot_act_for_a_person(role: str | None) -> None:
    actor, user = UserFactory(role=role), UserFactory()
    lead = lead_of(user)
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
def test_person_and_owner_may_act(who: str) -> None:
    user = UserFactory()
    lead = lead_of(user)
    actor = user if who == "the person" else UserFactory(role="owner")
    rows = [grant(user=user, actor=actor), grant(lead=lead, actor=actor)]
    withdraw_this_consent(rows[0], actor=actor)
    assert active() == []
    refuse(lead=lead, actor=actor)


# -- events and tracking --------------------------------------------------------------------------


@each_subject
def test_decisions_on_the_site_are_tracked(make_subject: Callable[[], dict[str, Any]]) -> None:
    subject = make_subject()
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


def test_tracking_links_no_lead_to_an_account() -> None:
    lead = lead_of()
    grant(user=UserFactory(), lead=lead)
    assert lead.identities.filter(user__isnull=False).count() == 0


@pytest.mark.parametrize("source", ["telegram", "admin"])
def test_source_outside_the_tracking_plan_is_not_tracked(source: str) -> None:
    user = UserFactory()
    grant(user=user, source=source)
    withdraw(1, user=user, source=source)
    grant(2, user=user, source=source)
    withdraw(3, user=user)
    assert tracked() == []
    assert LeadTimelineEvent.objects.count() == 0


def test_inactive_tracking_event_does_not_stop_the_service() -> None:
    user = UserFactory()
    TrackingEvent.objects.filter(pk="consent_updated").update(is_active=False)
    grant(user=user)
    assert withdraw(1, user=user, source="web")
    assert tracked() == []
    assert OutboxEvent.objects.filter(aggregate_type="consents").count() == 2


@pytest.mark.parametrize(
    ("version", "published"), [(V1, True), ("2026-01-07.99", True), ("2026-01-07.100", False)]
)
def test_version_that_could_be_a_phone_number_is_omitted(version: str, published: bool) -> None:
    row = grant(user=UserFactory(), version=version)
    withdraw_this_consent(row, clock=at(1))
    assert [payload.get("version") for payload in payloads(row)] == [
        version if published else None
    ] * 2


def test_events_and_entries_contain_no_personal_value() -> None:
    user = UserFactory(email="marker@example.com", phone="+79990001122", display_name="Marker")
    lead = lead_of(user)
    row = grant(user=user, lead=lead, actor=user)
    withdraw_this_consent(row, actor=user, source="web")
    refuse(user=user)
    written = " ".join(
        str(values)
        for model in (OutboxEvent, AuditLogEntry, AnalyticsEvent)
        for values in model.objects.values()
    )
    for marker in ("marker", "Marker", "79990001122"):
        assert marker not in written
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


def check_invalid(inputs: list[tuple[dict[str, Any], str]], service: Callable[..., Any]) -> None:
    def is_refused(item: tuple[dict[str, Any], str]) -> None:
        values, field = item
        with refused(InvalidInput, field=field):
            service(**values)

    check_each([(str(item), item) for item in inputs], is_refused)


def test_invalid_consent_writes_nothing() -> None:
    given = {**TEXT, "user": UserFactory()}
    check_invalid(NO_CONSENTS, lambda **values: grant_consent(**{**given, **values}))


def test_invalid_withdrawal_writes_nothing() -> None:
    user = ConsentFactory().user
    check_invalid(NO_WITHDRAWALS, lambda **values: withdraw_consent(**{"user": user, **values}))


def test_unknown_person_neither_agrees_nor_withdraws() -> None:
    def is_refused(item: tuple[Callable[..., Any], str, Any]) -> None:
        service, who, key = item
        with pytest.raises(NotFound) as caught:
            service(**{who: key})
        assert caught.value.details["what"] == who

    with nothing_written():
        check_each(
            [
                (f"{service.__name__} {who} {key!r}", (service, who, key))
                for service in (grant, refuse, withdraw)
                for who in ("user", "lead")
                for key in ("", "nobody", 7, 2.5, b"\0", uuid4(), str(uuid4()))
            ],
            is_refused,
            undo=False,
        )


def test_withdrawal_of_an_unsaved_consent_is_refused() -> None:
    row = Consent(user=UserFactory(), **TEXT)
    with refused(NotFound):
        withdraw_this_consent(row)


# -- history --------------------------------------------------------------------------------------


def test_history_lists_purpose_version_source_and_times() -> None:
    user = UserFactory()
    grant(user=user)
    grant(1, user=user, version=V2, source="telegram")
    refuse(2, user=user, consent_type="telegram")
    withdraw(3, user=user)
    grant(4, user=user, consent_type="personal_data")
    grant(user=UserFactory())
    listed = consent_history(user=user).values_list(
        "consent_type", "version", "granted", "source", "granted_at", "revoked_at"
    )
    hours = [NOW + timedelta(hours=n) for n in range(5)]
    assert [*listed] == [
        ("communications", V1, True, "web", hours[0], hours[1]),
        ("communications", V2, True, "telegram", hours[1], hours[3]),
        ("personal_data", V1, True, "web", hours[4], None),
        ("telegram", V1, False, "web", hours[2], None),
    ]
    assert consent_history(user=user).filter(version=V2).count() == 1


def test_history_includes_decisions_as_a_lead() -> None:
    user = UserFactory()
    lead, merged, gone = lead_of(user), lead_of(), lead_of()
    rows = [grant(lead=gone), grant(lead=merged), grant(1, lead=lead), grant(2, user=user)]
    merge_leads(gone, into=merged)
    merge_leads(merged, into=lead)
    grant(lead=lead_of(UserFactory()))
    for subject in [{"user": user}, {"lead": lead}, {"lead": merged}, {"lead": gone}]:
        assert {*consent_history(**subject)} == {*rows}
    assert [*consent_history(user=user)][2:] == rows[2:]  # in their order


def test_a_history_takes_two_queries(django_assert_num_queries: Any) -> None:
    user = UserFactory()
    for lead in [lead_of(user) for _ in range(3)]:
        grant(lead=lead)
    with django_assert_num_queries(2):
        assert len(consent_history(user=user)) == 3


def test_history_of_an_unknown_person_is_empty_or_refused() -> None:
    ConsentFactory()
    assert [*consent_history(user=uuid4())] == []
    assert [*consent_history(lead=uuid4())] == []
    with pytest.raises(NotFound):
        consent_history(user="nobody")
    with pytest.raises(InvalidInput):
        consent_history()


@each_seeds(20)
def test_history_agrees_with_the_reference_model(seeds: range) -> None:
    check_each([(str(seed), seed) for seed in seeds], check_history)


def check_history(seed: int) -> None:
    world = World(seed)
    for purpose in ("communications", "telegram"):
        oracle = Oracle(purpose)
        for user in world.users:
            listed = {row.pk for row in consent_history(user=user).filter(consent_type=purpose)}
            assert listed == oracle.rows_of(user, None)
        for lead in world.leads:
            listed = {row.pk for row in consent_history(lead=lead).filter(consent_type=purpose)}
            assert listed == oracle.rows_of(None, lead)


# -- shared leads ---------------------------------------------------------------------------------


@pytest.fixture
def shared() -> tuple[User, User, Lead]:
    """Two accounts that rows name beside the same lead."""
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


def test_account_cannot_withdraw_for_another_account(shared: tuple[User, User, Lead]) -> None:
    anna, boris, lead = shared
    own = grant(user=anna)
    with nothing_written(), pytest.raises(NotPermitted):
        withdraw(1, user=anna, lead=lead, actor=boris)
    assert withdraw(1, lead=lead, actor=boris) == []
    assert active() == [own]


def test_withdrawal_as_a_shared_lead_ends_the_consents_of_both(
    shared: tuple[User, User, Lead],
) -> None:
    """Either of the two may be speaking, so neither is contacted."""
    anna, boris, lead = shared
    both = [grant(user=anna), grant(user=boris)]
    assert {row.pk for row in withdraw(1, lead=lead)} == {row.pk for row in both}
