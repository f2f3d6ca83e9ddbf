"""Questions in every state, reviews and diaries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from ebalance.db.encryption.fields import Plaintext
from ugc.models import AnonymousQuestion, Review
from ugc.services import (
    answer_question,
    approve_question,
    draft_review,
    escalate_question,
    flag_question,
    mask_personal_data,
    publish_answer,
    publish_review,
    reject_question,
    reject_review,
    submit_question,
    submit_review,
    unpublish_review,
    write_diary_entry,
)

from . import question_texts as texts
from .people import POLICY
from .world import World

type Step = Callable[[World, AnonymousQuestion], None]


def plan(world: World) -> None:
    plan_answered(world)
    plan_decided(world)
    plan_queue(world)
    plan_reviews(world)
    plan_diaries(world)


# -- questions ------------------------------------------------------------------------------------


def ask(
    world: World,
    when: datetime,
    text: str,
    *steps: tuple[float, Step],
    flags: tuple[str, ...] = (),
    channel: str = "web",
    email: str | None = None,
    publish: bool = False,
    recent: bool = False,
) -> None:
    """Plan a question and the steps after it, each some hours after the submission."""

    def submit() -> None:
        question = submit_question(
            text=Plaintext(text),
            channel=channel,
            contact={"email": Plaintext(email)} if email else None,
            trigger_flags=flags,
            publish_allowed=publish,
            safety_confirmed=channel == "web",
            anonymous_id=world.browser("bot" if channel == "telegram" else "web"),
            clock=world.clock,
        )
        for hours, step in steps:
            after = when + timedelta(hours=hours)
            world.at(after, partial(step, world, question), recent=recent)

    world.at(when, submit, recent=recent)


def approve(world: World, question: AnonymousQuestion) -> None:
    approve_question(question.pk, actor=world.moderator, clock=world.clock)


def answer_with(text: str) -> Step:
    def answer(world: World, question: AnonymousQuestion) -> None:
        answer_question(question.pk, text=Plaintext(text), actor=world.owner, clock=world.clock)

    return answer


def publish(world: World, question: AnonymousQuestion) -> None:
    publish_answer(question.pk, actor=world.owner, clock=world.clock)


def reject_for(reason: str) -> Step:
    def reject(world: World, question: AnonymousQuestion) -> None:
        reject_question(question.pk, reason=reason, actor=world.moderator, clock=world.clock)

    return reject


def escalate_as(reason: str) -> Step:
    def escalate(world: World, question: AnonymousQuestion) -> None:
        escalate_question(question.pk, actor=world.moderator, reason=reason, clock=world.clock)

    return escalate


def flag(world: World, question: AnonymousQuestion) -> None:
    flag_question(question.pk, flags=["pii"], actor=world.moderator, clock=world.clock)


def mask(world: World, question: AnonymousQuestion) -> None:
    row = AnonymousQuestion.objects.get(pk=question.pk)
    text = Plaintext(texts.WITHOUT_NAMES)
    mask_personal_data(row, text=text, actor=world.moderator, clock=world.clock)


def plan_answered(world: World) -> None:
    for number, (text, answer) in enumerate(texts.ANSWERED):
        decided = 2.5 + 3.4 * number if number < 6 else 31.0  # the last one took too long
        ask(
            world,
            world.day(-27 + 3 * number, 9 + number, 20),
            text,
            (decided, approve),
            (decided + 20 + number, answer_with(answer)),
            *([(decided + 30 + number, publish)] if number % 3 == 0 else []),
            channel="telegram" if number % 3 == 1 else "web",
            publish=number % 3 == 0,
        )


def plan_decided(world: World) -> None:
    for number, text in enumerate(texts.APPROVED):
        ask(world, world.day(-4 + number, 8, 10), text, (6.5 + number, approve), publish=True)
    for number, (text, reason) in enumerate(texts.REJECTED):
        flags = (reason,) if reason == "spam" else ()
        ask(
            world,
            world.day(-15 + 6 * number, 13, 5),
            text,
            (4.0, reject_for(reason)),
            flags=flags,
        )
    ask(world, world.day(-8, 17), texts.WITH_NAMES, (2.0, flag), (2.1, mask), (2.3, approve))
    ask(
        world,
        world.day(-12, 22, 40),
        texts.CRISIS_DECIDED,
        (1.5, escalate_as("crisis")),
        (2.2, approve),
        (2.6, answer_with(texts.CRISIS_ANSWER)),
        flags=("crisis",),
        email="anonymous.reader@example.com",
    )


def plan_queue(world: World) -> None:
    """The queue of now: fresh questions, an overdue one, crises in time and overdue."""
    wait = partial(ask, world, recent=True)
    for number, text in enumerate(texts.PENDING):
        wait(world.ago(hours=1.4 + 5 * number), text, publish=number % 2 == 0)
    wait(world.ago(hours=39), texts.OVERDUE)
    wait(world.ago(hours=16), texts.WITH_CONTACT, flags=("pii",), channel="telegram")
    wait(world.ago(hours=6.2), texts.CRISIS[0], flags=("crisis",))
    wait(world.ago(hours=1.1), texts.CRISIS[1], (0.4, escalate_as("crisis")))


# -- reviews and diaries --------------------------------------------------------------------------


def plan_reviews(world: World) -> None:
    authors = ["anna", "maria", "elena", "igor", "natalia", "yulia"]
    ends = ["published", "published", "rejected", "unpublished", "pending", "draft"]
    rows = zip(authors, ends, texts.REVIEWS, strict=True)
    for number, (key, end, (text, anonymity)) in enumerate(rows):
        when = world.day(-24 + 4 * number, 21, 5 * number)
        world.at(when, partial(write_review, world, key, end, text, anonymity))


def write_review(world: World, key: str, end: str, text: str, anonymity: str) -> None:
    user = world.people[key].user
    if end == "draft":
        draft_review(text=Plaintext(text), user=user, anonymity_level=anonymity)
        return
    review = submit_review(
        text=Plaintext(text),
        user=user,
        anonymity_level=anonymity,
        consent_version=POLICY,
        clock=world.clock,
    )
    if end != "pending":
        world.at(world.time + timedelta(hours=15), partial(decide_review, world, review, end))


def decide_review(world: World, review: Review, end: str) -> None:
    if end == "rejected":
        reject_review(review, reason="other", actor=world.moderator, clock=world.clock)
        return
    publish_review(review, actor=world.moderator, clock=world.clock)
    if end == "unpublished":
        world.pass_time(hours=40)
        unpublish_review(review, actor=world.owner, reason="pii", clock=world.clock)


def plan_diaries(world: World) -> None:
    for number, text in enumerate(texts.GRATITUDE):
        payload = {"version": 1, "items": [{"text": text}], "mood": 5 + number}
        when = world.day(-18 + 4 * number, 22, 10)
        world.at(when, partial(write_diary, world, "maria", "gratitude", payload))
    for number, (event, thought, before, after) in enumerate(texts.THOUGHTS):
        belief = {"thought": thought, "conviction_before": before, "conviction_after": after}
        payload = {
            "version": 1,
            "activating_event": event,
            "beliefs": [belief],
            "consequences": {"emotions": [{"name": "тревога", "intensity_before": 6}]},
        }
        when = world.day(-13 + 5 * number, 23)
        world.at(when, partial(write_diary, world, "anna", "abc", payload))


def write_diary(world: World, key: str, kind: str, payload: dict) -> None:
    entry = write_diary_entry(
        user=world.people[key].account,
        diary_type=kind,
        entry_date=world.time.astimezone(world.zone).date(),
        payload=Plaintext(payload),
        clock=world.clock,
    )
    world.stamp(entry)
