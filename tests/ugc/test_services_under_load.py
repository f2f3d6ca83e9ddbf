"""Concurrent decisions, each on a separate connection: one of them wins."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from audit.models import OutboxEvent
from crm.models import AnalyticsEvent
from ebalance.db.encryption.fields import Plaintext
from ebalance.services import IdempotencyConflict, Refused, TransitionRefused
from identity.models import User
from tests.databases import Databases, default_connection_on
from tests.factories import (
    AnonymousQuestionFactory,
    DiaryEntryFactory,
    ReviewFactory,
    ReviewPublicationConsentFactory,
    UserFactory,
)
from tests.factories.payloads import PAYLOADS
from tests.processes import HANG_TIMEOUT, eventually
from tests.ugc.outbox_assertions import actions, event_types
from ugc.errors import AuthorUnavailable, ConsentActive, ConsentMissing
from ugc.models import AnonymousQuestion, DiaryEntry, ModerationAction, QuestionAnswer, Review
from ugc.services import (
    answer_question,
    approve_question,
    erase_diary_entry,
    escalate_question,
    flag_question,
    grant_review_consent,
    mask_personal_data,
    publish_answer,
    publish_review,
    reject_question,
    reject_review,
    send_review_draft,
    submit_question,
    submit_review,
    unpublish_review,
    withdraw_review_consent,
    write_diary_entry,
)

VERSION = "2026-01-07"


@pytest.fixture(scope="module", autouse=True)
def database(databases: Databases, django_db_blocker: Any) -> Iterator[None]:
    """All tests commit to one database. Each reads only its own rows."""
    with django_db_blocker.unblock():
        made = databases.clone()
        with default_connection_on(made):
            yield
    databases.drop(made.name)


@pytest.fixture(scope="module")
def staff(database: None) -> tuple[User, User]:
    return UserFactory(role="owner"), UserFactory(role="assistant")


class Caller:
    """A thread with a separate connection. ``answer`` is the returned value or the refusal.

    Anything but a Refused is an error of the test.
    """

    def __init__(self, work: Callable[[], Any], hold: threading.Event | None = None) -> None:
        self.answer: Any = None
        self.error: BaseException | None = None
        self.is_done = threading.Event()  # with ``hold`` set before the transaction ends
        self.thread = threading.Thread(target=self._run, args=(work, hold))
        self.thread.start()

    def _run(self, work: Callable[[], Any], hold: threading.Event | None) -> None:
        try:
            if hold is None:
                self.answer = work()  # an outermost call, which is retried
                return
            with transaction.atomic():
                self.answer = work()
                self.is_done.set()
                hold.wait(HANG_TIMEOUT)
        except Refused as refusal:
            self.answer = refusal
        except BaseException as error:
            self.error = error
        finally:
            self.is_done.set()
            connection.close()

    def finish(self) -> Any:
        self.thread.join(HANG_TIMEOUT)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.answer


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0] > 0


def race(first: Callable[[], Any], second: Callable[[], Any]) -> list[Any]:
    """Start ``second`` before ``first`` commits; ``second`` must wait for the lock."""
    release = threading.Event()
    one = Caller(first, release)
    assert one.is_done.wait(HANG_TIMEOUT)
    other = Caller(second)
    assert eventually(lambda: waits_for_a_lock() or not other.thread.is_alive())
    assert other.thread.is_alive(), "the second did not wait for the first"
    release.set()
    return [one.finish(), other.finish()]


def outcomes(answers: list[Any]) -> list[type | None]:
    """The class of each refusal; None for a call that succeeded or had nothing to do."""
    return [type(answer) if isinstance(answer, Refused) else None for answer in answers]


# -- two services on one row ----------------------------------------------------------------------

type Service = Callable[[Any, User], Any]


def approve(row: Any, actor: User) -> Any:
    return approve_question(row, actor=actor)


def reject(row: Any, actor: User) -> Any:
    change = reject_review if isinstance(row, Review) else reject_question
    return change(row, reason="spam", actor=actor)


def reject_otherwise(row: Any, actor: User) -> Any:
    return reject_question(row, reason="pii", actor=actor)


def escalate(row: Any, actor: User) -> Any:
    return escalate_question(row, reason="complex", actor=actor)


def flag(row: Any, actor: User) -> Any:
    return flag_question(row, flags=["crisis"], actor=actor)


def mask(row: Any, actor: User) -> Any:
    return mask_personal_data(row, text=Plaintext("[скрыто]"), actor=actor)


def answer(row: Any, actor: User) -> Any:
    return answer_question(row, text=Plaintext("Вы не одна."), actor=actor)


def answer_otherwise(row: Any, actor: User) -> Any:
    return answer_question(row, text=Plaintext("Нет."), actor=actor)


def publish(row: Any, actor: User) -> Any:
    return publish_review(row, actor=actor)


def unpublish(row: Any, actor: User) -> Any:
    return unpublish_review(row, actor=actor)


def withdraw(row: Any, actor: User) -> Any:
    return withdraw_review_consent(row)


def grant(row: Any, actor: User) -> Any:
    return grant_review_consent(row, version=VERSION)


def grant_otherwise(row: Any, actor: User) -> Any:
    return grant_review_consent(row, version="2026-02-01")


def send(row: Any, actor: User) -> Any:
    return send_review_draft(row)


def erase(row: Any, actor: User) -> Any:
    return erase_diary_entry(row)


@dataclass(frozen=True)
class Race:
    """The second call raises ``loser``, or has nothing to do (None)."""

    name: str
    row: Callable[[], Any]
    first: Service
    second: Service
    loser: type[Refused] | None
    status: str | None
    done: list[str]  # moderation actions
    event_types: list[str]  # outbox events about the row


def question(state: str, **values: Any) -> Callable[[], AnonymousQuestion]:
    traits = {} if state == "pending" else {state: True}
    return lambda: AnonymousQuestionFactory(**traits, **values)


def review(state: str, consent: bool = True) -> Callable[[], Review]:
    def made() -> Review:
        row = ReviewFactory(**{} if state == "draft" else {state: True})
        if consent and state != "published":
            ReviewPublicationConsentFactory(review=row)
        return row

    return made


REFUSED = TransitionRefused
Q, R = "question", "review"
RACES = [
    Race("approve, reject", question("pending"), approve, reject, REFUSED, "approved",
         ["approve"], [f"{Q}_approved"]),
    Race("reject, approve", question("pending"), reject, approve, REFUSED, "rejected",
         ["reject"], [f"{Q}_rejected"]),
    Race("approve, approve", question("flagged"), approve, approve, None, "approved",
         ["approve"], [f"{Q}_approved"]),
    Race("reject, reject", question("pending"), reject, reject, None, "rejected",
         ["reject"], [f"{Q}_rejected"]),
    Race("reject, reject otherwise", question("pending"), reject, reject_otherwise, REFUSED,
         "rejected", ["reject"], [f"{Q}_rejected"]),
    Race("flag, flag", question("pending"), flag, flag, None, "flagged",
         ["flag"], [f"{Q}_flagged"]),
    Race("flag, approve", question("pending"), flag, approve, None, "approved",
         ["flag", "approve"], [f"{Q}_flagged", f"{Q}_approved"]),
    Race("approve, flag", question("pending"), approve, flag, REFUSED, "approved",
         ["approve"], [f"{Q}_approved"]),
    Race("mask, approve", question("pending"), mask, approve, None, "approved",
         ["mask_pii", "approve"], [f"{Q}_pii_masked", f"{Q}_approved"]),
    Race("mask, mask", question("pending"), mask, mask, None, "pending",
         ["mask_pii"], [f"{Q}_pii_masked"]),
    Race("reject, mask", question("pending"), reject, mask, REFUSED, "rejected",
         ["reject"], [f"{Q}_rejected"]),
    Race("escalate, escalate", question("approved"), escalate, escalate, None, "flagged",
         ["escalate"], [f"{Q}_escalated"]),
    Race("escalate, answer", question("approved"), escalate, answer, REFUSED, "flagged",
         ["escalate"], [f"{Q}_escalated"]),
    Race("answer, escalate", question("approved"), answer, escalate, REFUSED, "answered",
         [], [f"{Q}_answered"]),
    Race("answer, answer", question("approved"), answer, answer, None, "answered",
         [], [f"{Q}_answered"]),
    Race("answer, answer otherwise", question("approved"), answer, answer_otherwise, REFUSED,
         "answered", [], [f"{Q}_answered"]),
    Race("publish answer twice", question("answered", publish_allowed=True), publish_answer,
         publish_answer, None, "answered", ["publish"], []),
    Race("publish, withdraw", review("pending"), publish, withdraw, None, "unpublished",
         ["publish"], [f"{R}_published", f"{R}_unpublished"]),
    Race("withdraw, publish", review("pending"), withdraw, publish, ConsentMissing, "pending",
         [], []),
    Race("publish, publish", review("pending"), publish, publish, None, "published",
         ["publish"], [f"{R}_published"]),
    Race("publish, reject", review("pending"), publish, reject, REFUSED, "published",
         ["publish"], [f"{R}_published"]),
    Race("reject, publish", review("pending"), reject, publish, None, "published",
         ["reject", "publish"], [f"{R}_rejected", f"{R}_published"]),
    Race("unpublish, withdraw", review("published"), unpublish, withdraw, None, "unpublished",
         ["unpublish"], [f"{R}_unpublished"]),
    Race("withdraw, unpublish", review("published"), withdraw, unpublish, None, "unpublished",
         [], [f"{R}_unpublished"]),
    Race("withdraw, withdraw", review("published"), withdraw, withdraw, None, "unpublished",
         [], [f"{R}_unpublished"]),
    Race("grant, grant", review("pending", consent=False), grant, grant, None, "pending", [], []),
    Race("grant, grant otherwise", review("pending", consent=False), grant, grant_otherwise,
         ConsentActive, "pending", [], []),
    Race("grant, publish", review("pending", consent=False), grant, publish, None, "published",
         ["publish"], [f"{R}_published"]),
    Race("send twice", review("draft"), send, send, None, "pending", [], [f"{R}_submitted"]),
    Race("erase twice", DiaryEntryFactory, erase, erase, None, None,
         [], ["diary_entry_deleted"]),
]  # fmt: skip


@pytest.mark.parametrize("case", RACES, ids=lambda case: case.name)
def test_one_of_two_concurrent_calls_wins(staff: tuple[User, User], case: Race) -> None:
    owner, assistant = staff
    needs_owner = {answer, answer_otherwise, publish_answer}
    row = case.row()
    model = type(row)

    def call(service: Service, actor: User) -> Callable[[], Any]:
        own = model.objects.get(pk=row.pk)  # a separate copy, read before both calls
        return lambda: service(own, actor=owner if service in needs_owner else actor)

    before = event_types(row)
    answers = race(call(case.first, owner), call(case.second, assistant))
    assert outcomes(answers) == [None, case.loser]
    now = model.objects.get(pk=row.pk)
    assert getattr(now, "status", None) == case.status
    assert event_types(row)[len(before) :] == case.event_types
    if case.status is not None:
        assert [kind for kind, _reason in actions(now)] == case.done


def test_concurrent_owners_get_the_same_answer(staff: tuple[User, User]) -> None:
    row = AnonymousQuestionFactory(approved=True)
    given = race(
        lambda: answer(AnonymousQuestion.objects.get(pk=row.pk), staff[0]),
        lambda: answer(AnonymousQuestion.objects.get(pk=row.pk), staff[0]),
    )
    assert given[0].pk == given[1].pk
    assert QuestionAnswer.objects.filter(question=row).count() == 1


# -- one request twice ----------------------------------------------------------------------------


def ask(key: Any, text: str = "Как спать?", **values: Any) -> AnonymousQuestion:
    return submit_question(id=key, text=Plaintext(text), **values)


def post(key: Any, text: str = "Помогло.", **values: Any) -> Review:
    return submit_review(id=key, text=Plaintext(text), consent_version=VERSION, **values)


def write(key: Any, day: int = 1, **values: Any) -> DiaryEntry:
    return write_diary_entry(
        id=key,
        diary_type="gratitude",
        entry_date=date(2027, 3, day),
        payload=Plaintext(PAYLOADS["diary_gratitude"]),
        **values,
    )


@pytest.mark.parametrize(
    ("make", "other", "user", "kinds"),
    [
        (ask, {"text": "Как жить?"}, None, ["question_submitted"]),
        (ask, {"text": "Как жить?"}, UserFactory, ["question_submitted"]),
        (post, {"text": "Не помогло."}, None, ["review_submitted"]),
        (post, {"text": "Не помогло."}, UserFactory, ["review_submitted"]),
        (write, {"day": 2}, UserFactory, ["diary_entry_created"]),
    ],
    ids=["question", "question of a user", "review", "review of a user", "diary"],
)
def test_concurrent_equal_requests_store_one_row(
    make: Callable[..., Any], other: dict[str, Any], user: Any, kinds: list[str]
) -> None:
    person = {"user": user()} if user else {}
    key = uuid4()
    one, again = race(lambda: make(key, **person), lambda: make(key, **person))
    assert one.pk == again.pk == key
    assert event_types(one) == kinds
    key = uuid4()
    answers = race(lambda: make(key, **person), lambda: make(key, **other, **person))
    assert outcomes(answers) == [None, IdempotencyConflict]
    assert event_types(answers[0]) == kinds


# -- writers besides the services -----------------------------------------------------------------


def execute(statement: str, *params: Any) -> Callable[[], None]:
    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, params)

    return run


BLOCK = "UPDATE users SET status = 'blocked' WHERE id = %s"
WITHDRAW = (
    "UPDATE review_publication_consents SET revoked_at = clock_timestamp() WHERE review_id = %s"
)


def test_person_blocked_concurrently_writes_nothing() -> None:
    person = UserFactory()
    answers = race(execute(BLOCK, person.pk), lambda: ask(uuid4(), user=person.pk))
    assert outcomes(answers) == [None, AuthorUnavailable]
    assert not person.anonymous_questions.exists()


def test_person_blocked_afterwards_has_written() -> None:
    person = UserFactory()
    answers = race(lambda: ask(uuid4(), user=person.pk), execute(BLOCK, person.pk))
    assert outcomes(answers) == [None, None]
    assert person.anonymous_questions.count() == 1


def test_concurrent_raw_withdrawal_is_not_overwritten(staff: tuple[User, User]) -> None:
    """Plain SQL locks the consent before the review, the service the review first."""
    for is_first in (True, False):
        row = review("pending")()
        own = Review.objects.get(pk=row.pk)
        service, raw_withdrawal = lambda own=own: publish(own, staff[0]), execute(WITHDRAW, row.pk)
        pair = (raw_withdrawal, service) if is_first else (service, raw_withdrawal)
        answers = race(*pair)
        assert outcomes(answers) == [None, ConsentMissing if is_first else None]
        assert Review.objects.get(pk=row.pk).status == ("pending" if is_first else "unpublished")


# -- many at once ---------------------------------------------------------------------------------

PEOPLE, ROUNDS = 6, 40


@pytest.mark.slow
def test_concurrent_moderators_leave_one_action_for_each_effect(
    staff: tuple[User, User],
) -> None:
    owner, assistant = staff
    questions = [AnonymousQuestionFactory(publish_allowed=True).pk for _ in range(8)]
    reviews = [review("pending")().pk for _ in range(4)]
    on_questions = [approve, reject, escalate, flag, mask, answer, answer_otherwise, publish_answer]
    on_reviews = [publish, unpublish, reject, mask, withdraw, grant]

    def moderate(seed: int) -> Counter:
        dice, seen = random.Random(seed), Counter()
        for _ in range(ROUNDS):
            if dice.random() < 0.6:
                row = AnonymousQuestion.objects.get(pk=dice.choice(questions))
                service, actor = dice.choice(on_questions), owner
            else:
                row = Review.objects.get(pk=dice.choice(reviews))
                service, actor = dice.choice(on_reviews), assistant
            try:
                service(row, actor=actor)
                seen["done"] += 1
            except Refused as refusal:
                seen[refusal.code] += 1
        return seen

    callers = [Caller(lambda seed=seed: moderate(seed)) for seed in range(PEOPLE)]
    seen = sum((caller.finish() for caller in callers), Counter())
    assert sum(seen.values()) == PEOPLE * ROUNDS
    assert set(seen) <= {"done", "transition_refused", "consent_missing"}
    assert min(seen["done"], seen["transition_refused"]) > 0

    keys = [*questions, *reviews]
    done = Counter(
        ModerationAction.objects.filter(ugc_id__in=keys).values_list("action", flat=True)
    )
    events = Counter(
        OutboxEvent.objects.filter(aggregate_id__in=keys).values_list("event_type", flat=True)
    )
    decisions = AnalyticsEvent.objects.filter(
        tracking_event="ugc_moderated", properties__ugc_id__in=[str(key) for key in keys]
    )
    assert done["approve"] == events["question_approved"]
    assert done["reject"] == events["question_rejected"] + events["review_rejected"]
    assert done["escalate"] == events["question_escalated"]
    assert done["flag"] == events["question_flagged"]
    assert done["mask_pii"] == events["question_pii_masked"] + events["review_pii_masked"]
    crises = decisions.filter(properties__moderation_status="flagged_crisis").count()
    assert decisions.count() - crises == (
        done["approve"] + done["reject"] + events["review_published"]
    )
    answered = AnonymousQuestion.objects.filter(pk__in=questions, status="answered")
    answers = QuestionAnswer.objects.filter(question__in=questions)
    assert answered.count() == answers.count() == events["question_answered"]
    published = Review.objects.filter(pk__in=reviews, status="published")
    assert all(row.publication_consents.filter(revoked_at=None).count() == 1 for row in published)
