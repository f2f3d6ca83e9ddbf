"""Services of reviews: submission, consent, publication (states.md)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.privacy.erasure import erase_user
from ebalance.services import (
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    RuleBroken,
    TransitionRefused,
)
from identity.models import User
from tests.factories import ReviewFactory, ReviewPublicationConsentFactory, UserFactory
from tests.rule_groups import loop_over
from tests.support import execute, refuses, update_sql
from tests.ugc.outbox_assertions import (
    FORBIDDEN_ROLES,
    NOW,
    actions,
    analytics,
    at,
    event_types,
    outbox,
    refused,
    staff,
    stored,
    tracked,
    writes_nothing,
)
from ugc.errors import (
    AuthorUnavailable,
    ConsentActive,
    ConsentMissing,
    ReasonMissing,
    TextBlank,
    TextTooLong,
)
from ugc.models import Review, ReviewPublicationConsent
from ugc.services import (
    draft_review,
    grant_review_consent,
    mask_personal_data,
    publish_review,
    reject_review,
    reviews,
    send_review_draft,
    submit_review,
    unpublish_review,
    withdraw_review_consent,
)
from ugc.services.moderation import actions_on

pytestmark = pytest.mark.django_db

VERSION = "2026-01-07"


def send(**values: Any) -> Review:
    given = {"text": Plaintext("Мне помогло."), "user": UserFactory, "clock": at(), **values}
    return submit_review(**{k: v() if v is UserFactory else v for k, v in given.items()})


def review(state: str = "pending", **values: Any) -> Review:
    """A review with a consent to its publication."""
    traits = {} if state == "draft" else {state: True}
    row = ReviewFactory(**{**traits, "submitted_at": NOW - timedelta(hours=2), **values})
    if state != "published":
        ReviewPublicationConsentFactory(review=row, granted_at=NOW - timedelta(days=1))
    return row


def consents(row: Review) -> list[tuple[str, bool]]:
    """The version of each consent, and whether it is active."""
    rows = row.publication_consents.order_by("granted_at", "pk")
    return [(c.version, c.granted and c.revoked_at is None) for c in rows]


@pytest.fixture
def assistant(db: None) -> User:
    return staff("assistant")


# -- sending --------------------------------------------------------------------------------------


def test_a_review_is_sent() -> None:
    author = UserFactory()
    row = send(user=author, anonymity_level="initials")
    assert (
        stored(row).items()
        >= {
            "user_id": author.pk,
            "status": "pending",
            "anonymity_level": "initials",
            "submitted_at": NOW,
            "published_at": None,
        }.items()
    )
    assert Review.objects.get().review_text_encrypted.open() == "Мне помогло."
    assert event_types(row) == ["review_submitted"]
    assert (consents(row), actions(row)) == ([], [])


def test_a_review_is_sent_with_its_consent() -> None:
    row = send(consent_version=VERSION)
    consent = row.publication_consents.get()
    assert (consent.user, consent.version, consent.granted_at) == (row.user, VERSION, NOW)
    assert row.status == "pending"  # a consent does not publish
    assert event_types(consent) == ["review_consent_granted"]


def test_draft_is_sent_once() -> None:
    row = draft_review(text=Plaintext("Мне помогло."), user=UserFactory())
    assert stored(row).items() >= {"status": "draft", "submitted_at": None}.items()
    send_review_draft(row, clock=at())
    assert stored(row).items() >= {"status": "pending", "submitted_at": NOW}.items()
    assert event_types(row) == ["review_drafted", "review_submitted"]
    with writes_nothing(row):
        send_review_draft(row, clock=at(1))


@loop_over("make", [submit_review, draft_review])
def test_repeated_request_returns_the_first_review(make: Callable[..., Review]) -> None:
    given = {"id": uuid4(), "user": UserFactory(), "text": Plaintext("Мне помогло.")}
    first = make(**given)
    with writes_nothing(first):
        assert make(**given).pk == first.pk
    other = UserFactory()
    for changed in (
        {"text": Plaintext("Другое.")},
        {"user": other},
        {"user": None},
        {"anonymity_level": "named"},
    ):
        with refused(IdempotencyConflict, first, entity="reviews", id=first.pk):
            make(**given | changed)


def test_submission_with_the_key_of_a_draft_is_refused() -> None:
    """Only ``send_review_draft`` sends a draft; ``submit_review`` refuses its key."""
    given = {"id": uuid4(), "user": UserFactory(), "text": Plaintext("Мне помогло.")}
    row = draft_review(**given)
    with refused(IdempotencyConflict, row, entity="reviews", id=row.pk):
        submit_review(**given)
    send_review_draft(row)
    with writes_nothing(row):
        assert submit_review(**given).status == "pending"


def test_repeat_needs_the_same_consent_version() -> None:
    given = {"id": uuid4(), "user": UserFactory(), "consent_version": VERSION}
    row = send(**given)
    with writes_nothing(row):
        assert send(**given).pk == row.pk
    with refused(IdempotencyConflict, row):
        send(**given | {"consent_version": "2026-02-01"})
    withdraw_review_consent(row)
    with writes_nothing(row):
        send(**given)
    assert consents(row) == [(VERSION, False)]


@loop_over(
    ("values", "error", "field"),
    [
        ({"text": Plaintext("  ")}, TextBlank, "text"),
        ({"text": Plaintext("я" * 10_001)}, TextTooLong, "text"),
        ({"anonymity_level": "secret"}, InvalidInput, "anonymity_level"),
        ({"anonymity_level": None}, InvalidInput, "anonymity_level"),
        ({"consent_version": "новая"}, InvalidInput, "version"),
        ({"consent_version": True}, InvalidInput, "version"),
        ({"consent_version": f"{VERSION}\n"}, InvalidInput, "version"),
        ({"id": "x"}, InvalidInput, "id"),
    ],
)
def test_invalid_review_writes_nothing(values: dict[str, Any], error: type, field: str) -> None:
    author = UserFactory()
    with refused(error, field=field):
        send(user=author, **values)


def test_unsealed_review_is_refused() -> None:
    with writes_nothing(), pytest.raises(UnsealedValue):
        send(user=None, text="Мне помогло.")


@loop_over("state", ["blocked", "deleted"])
def test_a_blocked_or_deleted_person_writes_no_review(state: str) -> None:
    draft = ReviewFactory()
    author = draft.user
    template = UserFactory.build(**{state: True})
    names = [f.name for f in template._meta.concrete_fields if f.name not in {"id", "created_at"}]
    for name in names:
        setattr(author, name, getattr(template, name))
    author.save()
    for write in (
        lambda: send(user=author),
        lambda: draft_review(text=Plaintext("Мне помогло."), user=author),
        lambda: send_review_draft(draft),
        lambda: grant_review_consent(draft, version=VERSION),
    ):
        with refused(AuthorUnavailable, draft, user=author.pk):
            write()


def test_unknown_person_writes_no_review() -> None:
    with refused(NotFound, what="user"):
        send(user=uuid4())


# -- transitions ----------------------------------------------------------------------------------

SERVICES: dict[str, Callable[[Review, Any], Any]] = {
    "publish": lambda row, actor: publish_review(row, actor=actor, clock=at()),
    "unpublish": lambda row, actor: unpublish_review(row, actor=actor, reason="pii", clock=at()),
    "reject": lambda row, actor: reject_review(row, actor=actor, reason="spam", clock=at()),
    "mask_pii": lambda row, actor: mask_personal_data(
        row, text=Plaintext("[скрыто]"), actor=actor, clock=at()
    ),
}
DECISIONS = {"reject": reject_review, "unpublish": unpublish_review}
STATES = ["draft", "pending", "published", "unpublished"]
MOVES: dict[str, dict[str, str]] = {
    "publish": {"pending": "published", "unpublished": "published"},
    "unpublish": {"published": "unpublished"},
    "reject": {"pending": "unpublished"},
    "mask_pii": {"pending": "pending", "published": "published", "unpublished": "unpublished"},
}
ALREADY = {("publish", "published"), ("unpublish", "unpublished")}
EXPECTED = {
    "publish": ("review_published", ("publish", None)),
    "unpublish": ("review_unpublished", ("unpublish", "pii")),
    "reject": ("review_rejected", ("reject", "spam")),
    "mask_pii": ("review_pii_masked", ("mask_pii", None)),
}


@pytest.mark.parametrize(
    ("service", "state"), [(service, state) for service, moves in MOVES.items() for state in moves]
)
def test_service_moves_the_review_once(assistant: User, service: str, state: str) -> None:
    row = review(state)
    stale = Review.objects.get(pk=row.pk)
    SERVICES[service](row, assistant)
    event, action = EXPECTED[service]
    assert row.status == stored(row)["status"] == MOVES[service][state]
    assert (event_types(row), actions(row)) == ([event], [action])
    for repeated in (row, stale):
        with writes_nothing(row):
            SERVICES[service](repeated, assistant)
        assert repeated.status == row.status


@pytest.mark.parametrize(
    ("service", "state"),
    [
        (service, state)
        for service, moves in MOVES.items()
        for state in STATES
        if state not in moves and (service, state) not in ALREADY
    ],
)
def test_service_refuses_other_states(assistant: User, service: str, state: str) -> None:
    row = review(state)
    row.status = "pending"  # the service ignores the caller's copy
    with refused(TransitionRefused, entity="reviews", id=row.pk, status=state):
        SERVICES[service](row, assistant)


@loop_over(("service", "state"), [*ALREADY])
def test_repeated_decision_changes_nothing(assistant: User, service: str, state: str) -> None:
    row = review(state)
    with writes_nothing(row):
        SERVICES[service](row, assistant)


@loop_over("role", FORBIDDEN_ROLES)
@loop_over("service", SERVICES)
def test_other_roles_do_not_moderate_reviews(service: str, role: str | None) -> None:
    row, actor = review(), staff(role)
    with refused(NotPermitted, row):
        SERVICES[service](row, actor)
    with refused(NotPermitted, row):
        SERVICES[service](row, None)


def test_publication_has_its_time_and_is_tracked_without_a_person(assistant: User) -> None:
    row = review()
    publish_review(row, actor=assistant, clock=at())
    assert stored(row)["published_at"] == NOW
    (event,) = analytics("ugc_moderated")
    assert (event.source, event.user_id, event.lead_id) == ("admin", None, None)
    assert event.properties == {
        "ugc_type": "review",
        "ugc_id": str(row.pk),
        "moderation_status": "approved",
        "moderator_role": "assistant",
        "duration_ms": 2 * 3_600_000,
    }


def test_a_rejection_is_tracked_with_its_reason(assistant: User) -> None:
    reject_review(review(), actor=assistant, reason="medical", clock=at())
    (properties,) = tracked("ugc_moderated")
    assert (
        properties.items()
        >= {
            "moderation_status": "rejected",
            "rejection_reason": "medical",
        }.items()
    )


def test_review_without_a_time_of_submission_is_tracked_with_zero(assistant: User) -> None:
    publish_review(review(submitted_at=None), actor=assistant)
    assert [event["duration_ms"] for event in tracked("ugc_moderated")] == [0]


def test_a_rejection_keeps_its_reason(assistant: User) -> None:
    row = review()
    reject_review(row, actor=assistant, reason="spam")
    with refused(TransitionRefused, row, status="unpublished"):
        reject_review(row, actor=assistant, reason="pii")
    publish_review(row, actor=assistant)
    unpublish_review(row, actor=assistant)
    with refused(TransitionRefused, row):  # the last decision is another one
        reject_review(row, actor=assistant, reason="spam")
    assert actions(row) == [("reject", "spam"), ("publish", None), ("unpublish", None)]


@loop_over(
    ("service", "reason", "error"),
    [
        ("reject", None, ReasonMissing),
        ("reject", "", ReasonMissing),
        ("reject", "rude", InvalidInput),
        ("reject", ["spam"], InvalidInput),
        ("unpublish", "", ReasonMissing),
        ("unpublish", "rude", InvalidInput),
    ],
)
def test_unknown_reason_is_refused(assistant: User, service: str, reason: Any, error: type) -> None:
    row = review()
    with refused(error, row, field="reason"):
        DECISIONS[service](row, actor=assistant, reason=reason)


def test_masking_keeps_the_review_published(assistant: User) -> None:
    row = review("published")
    mask_personal_data(row, text=Plaintext("Спасибо, [имя]"), actor=assistant)
    assert Review.objects.get().review_text_encrypted.open() == "Спасибо, [имя]"
    assert (stored(row)["status"], actions_on(row).count()) == ("published", 1)


def test_stale_page_does_not_restore_an_erased_text(assistant: User) -> None:
    row = review("published")
    erase_user(row.user, method="self_service")
    with refused(TransitionRefused):
        mask_personal_data(row, text=Plaintext("Спасибо, [имя]"), actor=assistant)
    assert Review.objects.get().review_text_encrypted.open() == ""


def test_missing_review_is_refused(assistant: User) -> None:
    row = ReviewFactory(pending=True)
    Review.objects.filter(pk=row.pk).delete()
    for service in (*SERVICES.values(), lambda row, _actor: send_review_draft(row)):
        with refused(NotFound):
            service(row, assistant)


# -- consent --------------------------------------------------------------------------------------


@loop_over("state", ["pending", "unpublished"])
@loop_over("consent", [None, {"refused": True}, {"revoked": True}])
def test_review_without_a_consent_is_not_published(
    assistant: User, state: str, consent: dict[str, Any] | None
) -> None:
    row = ReviewFactory(**{state: True})
    if consent is not None:
        ReviewPublicationConsentFactory(review=row, **consent)
    with refused(ConsentMissing, row, id=row.pk):
        publish_review(row, actor=assistant)
    with refuses("reviews_published_has_consent", "reviews"):  # also for plain SQL
        update_sql(row, status="published")


def test_consent_is_granted_once() -> None:
    row = ReviewFactory(pending=True)
    consent = grant_review_consent(row, version=VERSION, clock=at())
    with writes_nothing(row, consent):
        assert grant_review_consent(row, version=VERSION, clock=at(1)) == consent
    with refused(ConsentActive, consent, id=consent.pk):
        grant_review_consent(row, version="2026-02-01")
    assert (event_types(consent), stored(row)["status"]) == (["review_consent_granted"], "pending")


def test_consent_is_granted_again_after_a_withdrawal(assistant: User) -> None:
    row = review("published")
    withdraw_review_consent(row)
    grant_review_consent(row, version="2026-02-01")
    assert consents(row) == [(VERSION, False), ("2026-02-01", True)]
    assert stored(row)["status"] == "unpublished"
    publish_review(row, actor=assistant)
    assert stored(row)["status"] == "published"


def test_withdrawal_unpublishes_the_review_once() -> None:
    row = review("published")
    consent = row.publication_consents.get()
    later = consent.granted_at + timedelta(minutes=1)
    withdraw_review_consent(row, clock=lambda: later)
    assert row.status == stored(row)["status"] == "unpublished"
    assert stored(consent)["revoked_at"] == later
    assert (event_types(consent), event_types(row)) == (
        ["review_consent_withdrawn"],
        ["review_unpublished"],
    )
    assert outbox(consent)[0].payload == {"review_id": str(row.pk)}
    assert actions(row) == []  # no moderator decided
    with writes_nothing(row, consent):
        withdraw_review_consent(row, clock=at(24 * 31))


@pytest.mark.parametrize("state", ["draft", "pending", "unpublished"])
def test_withdrawal_keeps_the_status_of_an_unpublished_review(state: str) -> None:
    row = review(state)
    withdraw_review_consent(row)
    assert (stored(row)["status"], consents(row)) == (state, [(VERSION, False)])
    assert event_types(row) == []


@pytest.mark.parametrize("consent", [None, {"refused": True}, {"revoked": True}])
def test_withdrawal_without_a_consent_changes_nothing(consent: dict[str, Any] | None) -> None:
    row = ReviewFactory(pending=True)
    if consent is not None:
        ReviewPublicationConsentFactory(review=row, **consent)
    with writes_nothing(row, *row.publication_consents.all()):
        withdraw_review_consent(row)


def test_a_blocked_person_may_still_withdraw() -> None:
    row = review("published", user=UserFactory(blocked=True))
    withdraw_review_consent(row)
    assert stored(row)["status"] == "unpublished"


def test_withdrawal_by_a_slow_clock_has_the_time_of_the_consent() -> None:
    row = review()
    consent = row.publication_consents.get()
    withdraw_review_consent(row, clock=at(-24 * 30))
    assert stored(consent)["revoked_at"] == consent.granted_at


def test_database_protects_consents_from_plain_sql() -> None:
    """Plain SQL cannot add a second active consent or restore a withdrawn one."""
    row = review()
    consent = row.publication_consents.get()
    with refuses("review_publication_consents_one_active", "review_publication_consents"):
        execute(
            "INSERT INTO review_publication_consents (review_id, granted, version) "
            "VALUES (%s, true, %s)",
            [row.pk, VERSION],
        )
    withdraw_review_consent(row)
    with refuses("review_publication_consents_revoked_once", "review_publication_consents"):
        update_sql(consent, revoked_at=None)
    assert ReviewPublicationConsent.objects.count() == 1


def test_rule_of_the_database_raises_a_refusal(
    assistant: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database refuses even if the check of the service is bypassed."""
    row = ReviewFactory(pending=True)
    monkeypatch.setattr(reviews, "lock_active_consent", lambda row: object())
    with refused(RuleBroken, row, rule="reviews_published_has_consent"):
        publish_review(row, actor=assistant)
