"""Services of questions: submission, moderation, answers (states.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from audit.models import OutboxEvent
from crm.models import Lead, LeadTimelineEvent
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.services import (
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    Refused,
    TransitionRefused,
)
from identity.models import User
from tests.factories import AnonymousQuestionFactory, QuestionAnswerFactory, UserFactory
from tests.rule_groups import loop_over
from tests.support import execute
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
    ContactUnusable,
    PublicationNotAllowed,
    ReasonMissing,
    TextBlank,
    TextTooLong,
)
from ugc.models import AnonymousQuestion, QuestionAnswer
from ugc.services import (
    answer_question,
    approve_question,
    escalate_question,
    flag_question,
    mask_personal_data,
    moderation,
    publish_answer,
    questions,
    reject_question,
    submit_question,
)

pytestmark = pytest.mark.django_db

SECRET = "Мне страшно оставаться дома одной"
ADDRESS = "zoya.tikhaya@example.org"


def ask(**values: Any) -> AnonymousQuestion:
    given = {"text": Plaintext(SECRET), "clock": at(), **values}
    return submit_question(**given)


def question(state: str = "pending", **values: Any) -> AnonymousQuestion:
    traits = {} if state == "pending" else {state: True}
    given = {"submitted_at": NOW - timedelta(hours=3), **traits, **values}
    return AnonymousQuestionFactory(**given)


@pytest.fixture
def owner(db: None) -> User:
    return staff("owner")


@pytest.fixture
def assistant(db: None) -> User:
    return staff("assistant")


# -- submit ---------------------------------------------------------------------------------------


def test_a_question_awaits_moderation() -> None:
    row = ask(publish_allowed=True, safety_confirmed=True)
    assert (
        stored(row).items()
        >= {
            "status": "pending",
            "channel": "web",
            "trigger_flags": [],
            "user_id": None,
            "publish_allowed": True,
            "safety_confirmed": True,
            "submitted_at": NOW,
            "due_at": NOW + timedelta(hours=24),
            "moderated_at": None,
            "contact_value_encrypted": None,
        }.items()
    )
    assert AnonymousQuestion.objects.get().question_text_encrypted.open() == SECRET
    assert event_types(row) == ["question_submitted"]
    assert outbox(row)[0].payload.items() >= {"crisis": False, "has_contact": False}.items()
    assert actions(row) == []


@loop_over("flags", [["crisis"], ("pii", "crisis", "pii"), {"spam"}])
def test_flags_of_the_filter_flag_the_question(flags: Any) -> None:
    row = ask(trigger_flags=flags)
    is_crisis = "crisis" in flags
    assert (row.status, {*row.trigger_flags}) == ("flagged", {*flags})
    assert row.due_at == NOW + timedelta(hours=4 if is_crisis else 24)
    assert event_types(row) == ["question_submitted", "question_flagged"]
    assert [event.payload["crisis"] for event in outbox(row)] == [is_crisis, is_crisis]
    assert actions(row) == []  # no moderator has decided yet


@loop_over("channel", ["web", "telegram"])
@loop_over("contact", [None, {"email": Plaintext(ADDRESS)}])
def test_question_is_tracked_with_its_channel(channel: str, contact: Any) -> None:
    ask(channel=channel, contact=contact, anonymous_id="browser-0001")
    (event,) = analytics("question_submitted")
    assert event.source == channel
    assert event.occurred_at == NOW
    assert event.properties == {"channel": channel, "has_contact": contact is not None}


@loop_over(
    "identifiers",
    [
        {"contact": {"email": Plaintext(ADDRESS)}},
        {"contact": {"phone": Plaintext("+79995550011")}},
        {"anonymous_id": "browser-0001"},
        {"user": UserFactory},
    ],
    ids=["email", "phone", "browser", "user"],
)
def test_first_question_creates_a_lead(identifiers: dict[str, Any]) -> None:
    ask(**{name: value() if callable(value) else value for name, value in identifiers.items()})
    assert Lead.objects.get().source == "question"
    assert LeadTimelineEvent.objects.get().tracking_event_id == "question_submitted"


def test_anonymous_question_creates_no_lead() -> None:
    ask()
    assert not Lead.objects.exists()
    assert len(tracked("question_submitted")) == 1


@loop_over(
    "contact",
    [
        {"email": Plaintext(ADDRESS)},
        {"phone": Plaintext("8 (999) 555-00-11")},
        {"telegram": Plaintext("@zoya_tikhaya")},
        {"telegram": Plaintext("123456789")},
    ],
    ids=["email", "phone", "telegram name", "telegram id"],
)
def test_contact_is_stored_as_typed(contact: dict[str, Plaintext]) -> None:
    row = ask(contact=contact)
    (typed,) = contact.values()
    assert AnonymousQuestion.objects.get().contact_value_encrypted.open() == typed.reveal()
    assert outbox(row)[0].payload["has_contact"] is True


def test_events_contain_neither_text_nor_contact() -> None:
    row = ask(contact={"email": Plaintext(ADDRESS)}, trigger_flags=["crisis"], user=UserFactory())
    written = json.dumps(
        execute("SELECT to_jsonb(e) AS row FROM outbox_events e")
        + execute("SELECT to_jsonb(e) AS row FROM analytics_events e")
        + execute("SELECT to_jsonb(e) AS row FROM lead_timeline_events e"),
        ensure_ascii=False,
    )
    assert "question_submitted" in written
    for word in (SECRET, ADDRESS, "Zoya", "zoya", "страшно"):
        assert word not in written
    tracking = execute("SELECT to_jsonb(e) AS row FROM analytics_events e")
    assert str(row.pk) not in json.dumps(tracking)  # the event does not identify the question


@loop_over("kind", ["uuid", "text"])
def test_repeated_request_returns_the_same_question(kind: str) -> None:
    key = uuid4()
    given = {
        "id": key if kind == "uuid" else str(key),
        "user": UserFactory(),
        "contact": {"email": Plaintext(ADDRESS)},
        "trigger_flags": ["pii"],
    }
    first = ask(**given)
    with writes_nothing(first):
        again = ask(**given | {"clock": at(1)})
    assert (again.pk, again.submitted_at) == (key, NOW)


def test_repeated_question_without_a_key_is_a_second_question() -> None:
    assert ask().pk != ask().pk


OTHER: dict[str, Callable[[], Any]] = {
    "text": lambda: Plaintext("Другой вопрос"),
    "channel": lambda: "telegram",
    "user": UserFactory,
    "contact": lambda: {"email": Plaintext("other@example.org")},
    "publish_allowed": lambda: True,
    "safety_confirmed": lambda: True,
}


@loop_over("name", OTHER)
def test_key_of_another_question_is_a_conflict(name: str) -> None:
    key, other = uuid4(), OTHER[name]()
    row = ask(id=key)
    with refused(IdempotencyConflict, row, entity="anonymous_questions", id=key):
        ask(id=key, **{name: other})


def test_repeat_is_recognised_after_flagging_and_masking(owner: User) -> None:
    key = uuid4()
    row = ask(id=key)
    flag_question(row, flags=["pii"])
    mask_personal_data(row, text=Plaintext("Мне страшно"), actor=owner)
    with writes_nothing(row):
        assert ask(id=key).pk == key


@loop_over(
    ("values", "error", "field"),
    [
        ({"text": Plaintext("")}, TextBlank, "text"),
        ({"text": Plaintext(" \n\t ")}, TextBlank, "text"),
        ({"text": Plaintext("\u200b\u2060\ufeff")}, TextBlank, "text"),
        ({"text": Plaintext("я" * 10_001)}, TextTooLong, "text"),
        ({"text": Plaintext("a\0b")}, InvalidInput, "text"),
        ({"text": Plaintext("a\ud800b")}, InvalidInput, "text"),
        ({"channel": "email"}, InvalidInput, "channel"),
        ({"channel": None}, InvalidInput, "channel"),
        ({"channel": ["web"]}, InvalidInput, "channel"),
        ({"trigger_flags": ["panic"]}, InvalidInput, "trigger_flags"),
        ({"trigger_flags": "crisis"}, InvalidInput, "trigger_flags"),
        ({"trigger_flags": None}, InvalidInput, "trigger_flags"),
        ({"trigger_flags": iter(["crisis"])}, InvalidInput, "trigger_flags"),  # an iterator
        ({"trigger_flags": [None]}, InvalidInput, "trigger_flags"),
        ({"trigger_flags": [["crisis"]]}, InvalidInput, "trigger_flags"),
        ({"publish_allowed": "yes"}, InvalidInput, "publish_allowed"),
        ({"publish_allowed": None}, InvalidInput, "publish_allowed"),
        ({"safety_confirmed": 1}, InvalidInput, "safety_confirmed"),
        ({"id": "17"}, InvalidInput, "id"),
        ({"id": 17}, InvalidInput, "id"),
        ({"contact": {}}, ContactUnusable, "contact"),
        ({"contact": Plaintext(ADDRESS)}, ContactUnusable, "contact"),
        ({"contact": {"email": Plaintext("anna")}}, ContactUnusable, "contact"),
        ({"contact": {"email": Plaintext(5)}}, ContactUnusable, "contact"),
        ({"contact": {"phone": Plaintext("123")}}, ContactUnusable, "contact"),
        ({"contact": {"fax": Plaintext("+79995550011")}}, ContactUnusable, "contact"),
        (
            {"contact": {"email": Plaintext(ADDRESS), "phone": Plaintext("+79995550011")}},
            ContactUnusable,
            "contact",
        ),
    ],
)
def test_invalid_question_writes_nothing(values: dict[str, Any], error: type, field: str) -> None:
    with refused(error, field=field):
        ask(**values)


@loop_over(
    "values",
    [
        {"text": SECRET},
        {"text": None},
        {"text": Plaintext(None)},
        {"text": Plaintext({"a": 1})},
        {"text": Plaintext(SECRET.encode())},
        {"contact": {"email": ADDRESS}},
        {"contact": {"email": None}},
    ],
)
def test_unsealed_value_is_refused_without_quoting_it(values: dict[str, Any]) -> None:
    with writes_nothing(), pytest.raises(UnsealedValue) as caught:
        ask(**values)
    assert SECRET not in str(caught.value)
    assert ADDRESS not in str(caught.value)


def test_question_may_have_ten_thousand_characters() -> None:
    ask(text=Plaintext("😡" * 10_000))
    assert AnonymousQuestion.objects.count() == 1


@loop_over("unknown", [uuid4(), "nobody", 17, True])
def test_unknown_person_asks_nothing(unknown: Any) -> None:
    with refused(NotFound, what="user"):
        ask(user=unknown)


@loop_over("state", ["blocked", "deleted"])
def test_a_blocked_or_deleted_person_asks_nothing(state: str) -> None:
    person = UserFactory(**{state: True})
    with refused(AuthorUnavailable, user=person.pk, status=state):
        ask(user=person)


def test_invalid_browser_id_asks_nothing() -> None:
    with writes_nothing(), pytest.raises(Refused):
        ask(anonymous_id="anna@example.org")


# -- transitions ----------------------------------------------------------------------------------

Service = Callable[[AnonymousQuestion, Any], Any]

SERVICES: dict[str, Service] = {
    "flag": lambda row, actor: flag_question(row, flags=["spam"], actor=actor, clock=at()),
    "approve": lambda row, actor: approve_question(row, actor=actor, clock=at()),
    "reject": lambda row, actor: reject_question(row, reason="medical", actor=actor, clock=at()),
    "escalate": lambda row, actor: escalate_question(
        row, reason="complex", actor=actor, clock=at()
    ),
    "mask_pii": lambda row, actor: mask_personal_data(
        row, text=Plaintext("[скрыто]"), actor=actor, clock=at()
    ),
    "answer": lambda row, actor: answer_question(
        row, text=Plaintext("Ответ"), actor=actor, clock=at()
    ),
    "publish_answer": lambda row, actor: publish_answer(row, actor=actor, clock=at()),
}
STATES = ["pending", "flagged", "approved", "rejected", "answered"]
# service -> state -> target state; other states are refused.
MOVES: dict[str, dict[str, str]] = {
    "flag": {"pending": "flagged", "flagged": "flagged"},
    "approve": {"pending": "approved", "flagged": "approved"},
    "reject": {"pending": "rejected", "flagged": "rejected"},
    "escalate": {"pending": "flagged", "flagged": "flagged", "approved": "flagged"},
    "mask_pii": {"pending": "pending", "flagged": "flagged", "approved": "approved"},
    "answer": {"approved": "answered"},
    "publish_answer": {"answered": "answered"},
}
ALREADY = {("approve", "approved")}
REFUSED = [
    (service, state)
    for service, moves in MOVES.items()
    for state in STATES
    if state not in moves and (service, state) not in ALREADY
]
EXPECTED = {
    "flag": ("question_flagged", ("flag", "spam")),
    "approve": ("question_approved", ("approve", None)),
    "reject": ("question_rejected", ("reject", "medical")),
    "escalate": ("question_escalated", ("escalate", "other")),
    "mask_pii": ("question_pii_masked", ("mask_pii", None)),
    "answer": ("question_answered", None),
    "publish_answer": (None, ("publish", None)),  # the event is about the answer
}


@pytest.mark.parametrize(
    ("service", "state"), [(service, state) for service, moves in MOVES.items() for state in moves]
)
def test_service_moves_the_question_once(owner: User, service: str, state: str) -> None:
    row = question(state, publish_allowed=True)
    stale = AnonymousQuestion.objects.get(pk=row.pk)
    SERVICES[service](row, owner)
    event, action = EXPECTED[service]
    assert row.status == stored(row)["status"] == MOVES[service][state]
    assert event_types(row) == ([event] if event else [])
    assert actions(row) == ([action] if action else [])
    for repeated in (row, stale):
        with writes_nothing(row):
            SERVICES[service](repeated, owner)
        assert repeated.status == row.status


@pytest.mark.parametrize(("service", "state"), REFUSED)
def test_service_refuses_other_states(owner: User, service: str, state: str) -> None:
    row = question(state, publish_allowed=True)
    given = {"entity": "anonymous_questions", "id": row.pk, "status": state}
    with refused(TransitionRefused, row, **given):
        SERVICES[service](row, owner)


@loop_over("service", SERVICES)
def test_service_ignores_a_stale_copy(owner: User, service: str) -> None:
    """The service decides on the stored row, not on the caller's copy."""
    row = question("rejected")
    row.status, row.publish_allowed = "approved", True
    with refused(TransitionRefused, status="rejected"):
        SERVICES[service](row, owner)


def test_decision_has_its_time(assistant: User) -> None:
    row = question()
    approve_question(row, actor=assistant, clock=at(1))
    assert stored(row)["moderated_at"] == NOW + timedelta(hours=1)
    escalate_question(row, actor=assistant, clock=at(2))
    approve_question(row, actor=assistant, clock=at(3))
    assert stored(row)["moderated_at"] == NOW + timedelta(hours=1)
    assert [kind for kind, _ in actions(row)] == ["approve", "escalate", "approve"]


def test_repeated_approval_changes_nothing(owner: User) -> None:
    row = question("approved")
    with writes_nothing(row):
        approve_question(row, actor=owner, clock=at())


def test_a_rejection_keeps_its_reason(owner: User) -> None:
    row = question()
    reject_question(row, reason="spam", actor=owner)
    with refused(TransitionRefused, row, status="rejected"):
        reject_question(row, reason="pii", actor=owner)


def test_moderation_action_names_the_actor(assistant: User) -> None:
    row = question()
    approve_question(row, actor=assistant, clock=at())
    (action,) = execute("SELECT moderator_user_id, created_at FROM ugc_moderation_actions")
    assert action == {"moderator_user_id": assistant.pk, "created_at": NOW}


@loop_over("service", SERVICES)
def test_missing_question_is_refused(owner: User, service: str) -> None:
    row = question()
    AnonymousQuestion.objects.filter(pk=row.pk).delete()
    with refused(NotFound):
        SERVICES[service](row, owner)


# -- permissions ----------------------------------------------------------------------------------


@loop_over("role", FORBIDDEN_ROLES)
@loop_over("service", SERVICES)
def test_other_roles_do_not_moderate(service: str, role: str | None) -> None:
    row, actor = question("approved"), staff(role)
    with refused(NotPermitted, row):
        SERVICES[service](row, actor)


@loop_over("service", [service for service in SERVICES if service != "flag"])
def test_decision_needs_an_actor(service: str) -> None:
    row = question("approved")
    with refused(NotPermitted, row):
        SERVICES[service](row, None)


@loop_over("service", SERVICES)
def test_a_blocked_owner_moderates_nothing(service: str) -> None:
    row, actor = question("approved"), staff("owner", blocked=True)
    with refused(NotPermitted, row):
        SERVICES[service](row, actor)


@loop_over(("service", "state"), [("answer", "approved"), ("publish_answer", "answered")])
def test_assistant_does_not_answer(assistant: User, service: str, state: str) -> None:
    row = question(state, publish_allowed=True)
    with refused(NotPermitted, row):
        SERVICES[service](row, assistant)


@loop_over("service", ["flag", "approve", "reject", "escalate", "mask_pii"])
def test_assistant_moderates(assistant: User, service: str) -> None:
    row = question()
    SERVICES[service](row, assistant)
    assert len(actions(row)) == 1


# -- flag -----------------------------------------------------------------------------------------


def test_filter_flags_without_a_moderation_action() -> None:
    """Each action names a moderator, so the filter leaves only flags and an outbox event."""
    row = question()
    flag_question(row, flags=["crisis", "medical"])
    assert (row.status, row.trigger_flags) == ("flagged", ["crisis", "medical"])
    assert row.due_at == row.submitted_at + timedelta(hours=4)
    assert actions(row) == []
    assert tracked("ugc_moderated") == []  # the event requires the role of a moderator
    (event,) = outbox(row)
    assert (event.event_type, event.payload["crisis"]) == ("question_flagged", True)


def test_flags_add_up(assistant: User) -> None:
    row = question()
    flag_question(row, flags=["spam"])
    flag_question(row, flags=["pii", "crisis", "spam"], actor=assistant)
    assert row.trigger_flags == ["crisis", "pii", "spam"]
    assert actions(row) == [("flag", "crisis")]
    assert event_types(row) == ["question_flagged", "question_flagged"]
    with writes_nothing(row):
        flag_question(row, flags=["crisis"])


@loop_over(
    ("flags", "error"),
    [([], ReasonMissing), (["panic"], InvalidInput), ("pii", InvalidInput), (7, InvalidInput)],
)
def test_unknown_flags_are_refused(owner: User, flags: Any, error: type) -> None:
    row = question()
    with refused(error, row, field="flags"):
        flag_question(row, flags=flags, actor=owner)


# -- escalate -------------------------------------------------------------------------------------


def test_a_crisis_shortens_the_time_to_decide(assistant: User) -> None:
    row = question()
    escalate_question(row, reason="crisis", actor=assistant)
    assert (row.status, row.trigger_flags) == ("flagged", ["crisis"])
    assert row.due_at == row.submitted_at + timedelta(hours=4)
    (event,) = outbox(row)
    assert event.payload.items() >= {"crisis": True, "reason": "crisis"}.items()
    assert actions(row) == [("escalate", "crisis")]


def test_escalation_keeps_the_deadline_that_the_first_decision_met(assistant: User) -> None:
    row = question(submitted_at=NOW)
    approve_question(row, actor=assistant, clock=at(20))
    escalate_question(row, reason="crisis", actor=assistant, clock=at(21))
    reject_question(row, reason="crisis", actor=assistant, clock=at(22))
    values = stored(row)
    assert values["moderated_at"] == NOW + timedelta(hours=20)
    assert values["moderated_due_at"] == NOW + timedelta(hours=24)
    assert values["due_at"] == NOW + timedelta(hours=4)
    assert values["trigger_flags"] == ["crisis"]


def test_crisis_after_an_escalation_is_another_escalation(assistant: User) -> None:
    row = question("flagged")
    escalate_question(row, actor=assistant)
    escalate_question(row, reason="crisis", actor=assistant)
    assert actions(row) == [("escalate", "other"), ("escalate", "crisis")]


@loop_over("reason", ["", None, "medical", 1])
def test_an_escalation_has_a_known_reason(assistant: User, reason: Any) -> None:
    row = question()
    with refused(InvalidInput, row, field="reason"):
        escalate_question(row, reason=reason, actor=assistant)


@loop_over(
    ("reason", "error"),
    [("", ReasonMissing), (None, ReasonMissing), ("rude", InvalidInput), (1, InvalidInput)],
)
def test_a_rejection_needs_a_known_reason(assistant: User, reason: Any, error: type) -> None:
    row = question()
    with refused(error, row, field="reason"):
        reject_question(row, reason=reason, actor=assistant)


# -- mask_personal_data ---------------------------------------------------------------------------


def test_masking_replaces_the_text_and_nothing_else(assistant: User) -> None:
    row = question(question_text_encrypted=Plaintext("Я Анна Петрова"))
    before = stored(row)
    mask_personal_data(row, text=Plaintext("Я [имя]"), actor=assistant)
    after = stored(row)
    assert row.question_text_encrypted.open() == "Я [имя]"
    assert before.pop("question_text_encrypted") != after.pop("question_text_encrypted")
    assert after == before


TEXT_SERVICES: dict[str, Callable[..., Any]] = {
    "mask_pii": mask_personal_data,
    "answer": answer_question,
}


@loop_over("service", TEXT_SERVICES)
@loop_over(
    ("text", "error"), [(" ", TextBlank), ("я" * 10_001, TextTooLong), ("a\0", InvalidInput)]
)
def test_invalid_text_of_staff_is_refused(
    owner: User, service: str, text: str, error: type
) -> None:
    row = question("approved")
    with refused(error, row, field="text"):
        TEXT_SERVICES[service](row, text=Plaintext(text), actor=owner)


@loop_over("service", TEXT_SERVICES)
def test_unsealed_text_of_staff_is_refused(owner: User, service: str) -> None:
    row = question("approved")
    with writes_nothing(row), pytest.raises(UnsealedValue):
        TEXT_SERVICES[service](row, text="Ответ", actor=owner)


# -- answer ---------------------------------------------------------------------------------------


def test_answer_is_stored_with_its_question(owner: User) -> None:
    row = question("approved")
    given = answer_question(row, text=Plaintext("Вы не одна."), actor=owner, clock=at())
    assert stored(row)["answered_at"] == NOW
    answer = QuestionAnswer.objects.get()
    assert (answer.pk, answer.answered_by, answer.published_at) == (given.pk, owner, None)
    assert answer.answer_text_encrypted.open() == "Вы не одна."
    assert outbox(row)[0].payload == {"answer_id": str(answer.pk)}
    assert actions(row) == []  # an answer is no moderation action


def test_repeated_answer_returns_the_first(owner: User) -> None:
    row = question("approved")
    first, other_owner = (
        answer_question(row, text=Plaintext("Вы не одна."), actor=owner),
        staff("owner"),
    )
    with writes_nothing(row, first):
        assert answer_question(row, text=Plaintext("Вы не одна."), actor=other_owner).pk == first.pk
    with refused(TransitionRefused, row, first, status="answered"):
        answer_question(row, text=Plaintext("Другой ответ"), actor=owner)


def test_existing_answer_is_accepted_only_if_it_is_equal(owner: User) -> None:
    row = question("approved")
    answer = QuestionAnswerFactory(question=row, answer_text_encrypted=Plaintext("Готово."))
    with refused(TransitionRefused, row, answer):
        answer_question(row, text=Plaintext("Не готово."), actor=owner)
    assert answer_question(row, text=Plaintext("Готово."), actor=owner) == answer
    assert row.status == "answered"


def test_answer_is_published_only_if_the_asker_allowed_it(owner: User) -> None:
    row = question("answered", publish_allowed=True)
    publish_answer(row, actor=owner, clock=at())
    answer = row.answers.get()
    assert answer.published_at == NOW
    assert event_types(answer) == ["answer_published"]
    assert outbox(answer)[0].payload == {"question_id": str(row.pk)}
    kept = question("answered")
    with refused(PublicationNotAllowed, kept, kept.answers.get(), id=kept.pk):
        publish_answer(kept, actor=owner)


# -- tracking -------------------------------------------------------------------------------------


def test_decisions_are_tracked_without_a_person(assistant: User) -> None:
    row = question(user=UserFactory(), trigger_flags=["crisis"], status="flagged")
    reject_question(row, reason="crisis", actor=assistant, clock=at())
    (event,) = analytics("ugc_moderated")
    assert (event.source, event.occurred_at) == ("admin", NOW)
    assert (event.user_id, event.lead_id, event.anonymous_id) == (None, None, None)
    assert event.properties == {
        "ugc_type": "anonymous_question",
        "ugc_id": str(row.pk),
        "moderation_status": "rejected",
        "moderator_role": "assistant",
        "duration_ms": 3 * 3_600_000,
        "rejection_reason": "crisis",
        "has_crisis_trigger": True,
    }
    assert not LeadTimelineEvent.objects.exists()


def test_an_approval_is_tracked(owner: User) -> None:
    row = question()
    approve_question(row, actor=owner, clock=at())
    (properties,) = tracked("ugc_moderated")
    assert (
        properties.items()
        >= {
            "moderation_status": "approved",
            "moderator_role": "owner",
            "has_crisis_trigger": False,
        }.items()
    )
    assert "rejection_reason" not in properties


@loop_over(("flags", "events"), [(["crisis"], 1), (["crisis", "pii"], 1), (["pii"], 0)])
def test_crisis_flagged_by_a_moderator_is_tracked(
    assistant: User, flags: list[str], events: int
) -> None:
    flag_question(question(), flags=flags, actor=assistant, clock=at())
    decisions = tracked("ugc_moderated")
    assert [event["moderation_status"] for event in decisions] == ["flagged_crisis"] * events


@loop_over("reason", ["crisis", "complex", "other"])
def test_an_escalation_is_tracked(assistant: User, reason: str) -> None:
    row = question()
    escalate_question(row, reason=reason, actor=assistant, clock=at())
    assert tracked("moderation_escalated") == [
        {"ugc_type": "anonymous_question", "ugc_id": str(row.pk), "escalation_reason": reason}
    ]
    assert tracked("ugc_moderated") == []


@loop_over(
    ("length", "bucket"),
    [(1, "short"), (500, "short"), (501, "medium"), (2_000, "medium"), (2_001, "long")],
)
def test_an_answer_is_tracked_by_length_and_time(owner: User, length: int, bucket: str) -> None:
    row = question("approved")
    answer_question(row, text=Plaintext("я" * length), actor=owner, clock=at(0.99))
    assert tracked("ugc_answered") == [
        {"ugc_id": str(row.pk), "answer_length_bucket": bucket, "time_to_answer_hours": 3}
    ]


@loop_over(
    ("submitted", "milliseconds"),
    [
        (NOW - timedelta(days=11), 950_400_000),
        (NOW - timedelta(days=12), 10**9),
        (NOW - timedelta(days=4_000), 10**9),
        (NOW + timedelta(minutes=5), 0),  # the clocks of two machines differ
    ],
)
def test_time_to_decide_is_limited_to_the_tracking_plan(
    owner: User, submitted: Any, milliseconds: int
) -> None:
    approve_question(question(submitted_at=submitted), actor=owner, clock=at())
    assert [event["duration_ms"] for event in tracked("ugc_moderated")] == [milliseconds]


def test_failure_at_the_last_step_writes_nothing(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = question()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(moderation, "record_event", fail)
    monkeypatch.setattr(questions, "record_event", fail)
    with writes_nothing(row), pytest.raises(RuntimeError):
        approve_question(row, actor=owner)
    with writes_nothing(), pytest.raises(RuntimeError):
        ask()
    assert not OutboxEvent.objects.exists()
