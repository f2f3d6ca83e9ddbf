"""Reviews: published only with an active consent; the consents are evidence."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.db import models
from django.utils import timezone

from tests.adversarial_sql import refuses_by_any_rule
from tests.factories import (
    ReviewFactory,
    ReviewPublicationConsentFactory,
    UserFactory,
    sealed,
)
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    UPDATES,
    Change,
    check_delete,
    check_refusal_is_discreet,
    each_delete,
    stored,
)
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
    loop_over,
)
from tests.support import (
    Case,
    breaks,
    execute,
    insert_sql,
    refuses,
    update_sql,
)
from ugc.models import Review, ReviewPublicationConsent

pytestmark = pytest.mark.django_db

NEEDS = "reviews_published_has_consent"
VERSION = "review_publication_consents_version_is_dated"
AFTER = "review_publication_consents_revoked_after_granted"
REFUSAL = "review_publication_consents_refusal_is_not_revoked"
ONE = "review_publication_consents_one_active"
EVIDENCE = "review_publication_consents_are_evidence"
REVOKED_ONCE = "review_publication_consents_revoked_once"
NO_DELETE = "review_publication_consents_no_delete"
NO_TRUNCATE = "review_publication_consents_no_truncate"

NOW = timezone.now()
MICRO = timedelta(microseconds=1)


def consent(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, ReviewPublicationConsentFactory, values, rule)


def of_review(**consent: Any) -> Callable[[], Review]:
    """A review with such a consent."""
    return lambda: ReviewPublicationConsentFactory(**consent).review


@case_groups(
    *(
        consent(f"to version {version!r}", version=version)
        for version in ["2026-01-07", "2026-01-07.2", "2026-01-07.10"]
    ),
    *(
        consent(f"to version {version!r}", VERSION, version=version)
        for version in [
            "2026-1-7",
            "2026-01-07.",
            "2026-01-07.a",
            "v2026-01-07",
            "2026-01-07\n",
            " 2026-01-07",
            "2026-01-07.1.2",
            "٢٠٢٦-٠١-٠٧",
            "новая",
        ]
    ),
    consent("withdrawn at once", granted_at=NOW, revoked_at=NOW),
    consent("withdrawn before", AFTER, granted_at=NOW, revoked_at=NOW - MICRO),
    consent("a refusal", refused=True),
    consent("a refusal withdrawn", REFUSAL, refused=True, granted_at=NOW, revoked_at=NOW),
    consent("of somebody unknown", user=None),
    consent("of another person", user=UserFactory.build),
    consent("a second active one", ONE, review=of_review()),
    consent("after a withdrawn one", review=of_review(revoked=True)),
    consent("after a refusal", review=of_review(refused=True)),
    consent("a refusal beside an active one", refused=True, review=of_review()),
    consent("a withdrawn one beside an active one", revoked=True, review=of_review()),
)
def test_consent_has_a_version_and_valid_times(group: CaseGroup) -> None:
    check_case_group(group)


def test_consent_without_values_is_a_refusal() -> None:
    review = ReviewFactory()
    execute(
        "INSERT INTO review_publication_consents (review_id, version) VALUES (%s, '2026-01-07')",
        [review.pk],
    )
    (row,) = execute("SELECT *, now() AS now FROM review_publication_consents")
    assert (row["granted"], row["granted_at"], row["revoked_at"]) == (False, row["now"], None)


def change(traits: str, name: str, rule: str | None = None, /, **to: Any) -> Change:
    given = {} if traits == "active" else {traits: True}
    return Change(f"{traits}: {name}", ReviewPublicationConsentFactory, given, to, rule)


REWRITES: dict[str, dict[str, Any]] = {
    "another review": {"review_id": lambda row: ReviewFactory().pk},
    "another person": {"user_id": lambda row: UserFactory().pk},
    "nobody": {"user_id": None},
    "another version": {"version": "2020-01-01"},
    "another time": {"granted_at": lambda row: row.granted_at - timedelta(days=1)},
}


@change_groups(
    *(change("active", name, EVIDENCE, **to) for name, to in REWRITES.items()),
    change("active", "a refusal after all", EVIDENCE, granted=False),
    write_paths=ALL_WRITE_PATHS,
)
def test_a_consent_is_not_rewritten(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    *(
        change(traits, name, EVIDENCE, **to)
        for traits in ["active", "refused", "revoked"]
        for name, to in REWRITES.items()
    ),
    change("refused", "granted after all", EVIDENCE, granted=True),
    # One statement: the withdrawal is allowed, the rest is not.
    change(
        "active",
        "withdrawn from another review",
        EVIDENCE,
        revoked_at=lambda row: timezone.now(),
        review_id=lambda row: ReviewFactory().pk,
    ),
    change(
        "refused",
        "granted and withdrawn",
        EVIDENCE,
        granted=True,
        revoked_at=lambda row: timezone.now(),
    ),
    write_paths=["sql", "merge"],
)
def test_consent_is_not_rewritten_in_any_state(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    change("active", "withdrawn", revoked_at=lambda row: timezone.now()),
    change("active", "withdrawn the moment it was given", revoked_at=lambda row: row.granted_at),
    change("active", "withdrawn before", AFTER, revoked_at=lambda row: row.granted_at - MICRO),
    change("refused", "withdrawn", REFUSAL, revoked_at=lambda row: timezone.now()),
    change("revoked", "withdrawn again", REVOKED_ONCE, revoked_at=lambda row: timezone.now()),
    change("revoked", "given back", REVOKED_ONCE, revoked_at=None),
    write_paths=UPDATES,
)
def test_a_consent_is_withdrawn_once(group: ChangeGroup) -> None:
    check_change_group(group)


@each_delete
@loop_over("state", ["active", "refused", "revoked"])
@breaks(NO_DELETE)
def test_a_consent_is_not_deleted(delete: Callable[[models.Model], Any], state: str) -> None:
    traits = {} if state == "active" else {state: True}
    check_delete(ReviewPublicationConsentFactory(**traits), delete, NO_DELETE)


@loop_over(
    "statement",
    ["TRUNCATE review_publication_consents", "TRUNCATE reviews CASCADE", "TRUNCATE users CASCADE"],
)
@breaks(NO_TRUNCATE)
def test_consents_are_not_truncated(statement: str) -> None:
    ReviewPublicationConsentFactory()
    with refuses_by_any_rule():
        execute(statement)
    assert ReviewPublicationConsent.objects.count() == 1


def test_refused_truncation_names_its_rule() -> None:
    with refuses(NO_TRUNCATE, "review_publication_consents"):
        execute("TRUNCATE review_publication_consents")


# -- publication ----------------------------------------------------------------------------------

PUBLISHED = {"status": "published", "published_at": NOW}


def review(name: str, rule: str | None, consent: dict[str, Any] | None, **traits: Any) -> Change:
    def make_review() -> Review:
        row = ReviewFactory(**traits)
        if consent is not None:
            ReviewPublicationConsentFactory(review=row, **consent)
        return row

    return Change(name, make_review, {}, PUBLISHED, rule)


PENDING, UNPUBLISHED = {"pending": True}, {"unpublished": True}


@change_groups(
    *(
        review(f"{state} {name}", rule, given, **traits)
        for state, traits in [("pending", PENDING), ("unpublished", UNPUBLISHED)]
        for name, rule, given in [
            ("without a consent", NEEDS, None),
            ("refused", NEEDS, {"refused": True}),
            ("withdrawn", NEEDS, {"revoked": True}),
            ("agreed", None, {}),
            ("agreed by somebody unknown", None, {"user": None}),
        ]
    ),
    write_paths=UPDATES,
)
def test_a_review_is_published_only_with_an_active_consent(group: ChangeGroup) -> None:
    check_change_group(group)


@loop_over("write_path", UPDATES)
def test_consent_to_another_review_does_not_count(write_path: str) -> None:
    ReviewPublicationConsentFactory(review=ReviewFactory(pending=True))
    with refuses(NEEDS, "reviews"):
        UPDATES[write_path](ReviewFactory(pending=True), **PUBLISHED)


def published() -> tuple[Review, ReviewPublicationConsent]:
    row = ReviewFactory(published=True)
    return row, row.publication_consents.get()


@loop_over("write_path", UPDATES)
def test_a_withdrawal_unpublishes_in_the_same_statement(write_path: str) -> None:
    row, consent = published()
    before = stored(row)
    UPDATES[write_path](consent, revoked_at=timezone.now())
    after = stored(row)
    assert after == {**before, "status": "unpublished"}
    with refuses(NEEDS, "reviews"):
        UPDATES[write_path](row, **PUBLISHED)


@loop_over("state", ["draft", "pending", "unpublished"])
def test_withdrawal_keeps_the_status_of_an_unpublished_review(state: str) -> None:
    row = ReviewFactory(**{} if state == "draft" else {state: True})
    update_sql(ReviewPublicationConsentFactory(review=row), revoked_at=timezone.now())
    assert stored(row)["status"] == state


def test_withdrawal_changes_only_its_own_review() -> None:
    (row, consent), (other, _) = published(), published()
    update_sql(consent, revoked_at=timezone.now())
    assert (stored(row)["status"], stored(other)["status"]) == ("unpublished", "published")


def test_new_consent_allows_publication_but_does_not_publish() -> None:
    row, consent = published()
    update_sql(consent, revoked_at=timezone.now())
    ReviewPublicationConsentFactory(review=row)
    assert stored(row)["status"] == "unpublished"
    update_sql(row, status="published")
    assert stored(row)["status"] == "published"


def test_two_withdrawals_in_one_statement_unpublish_both() -> None:
    rows = [published()[0], published()[0]]
    execute("UPDATE review_publication_consents SET revoked_at = now() + interval '1 second'")
    assert [stored(row)["status"] for row in rows] == ["unpublished", "unpublished"]


# -- adversarial SQL ------------------------------------------------------------------------------

PUBLISH = "UPDATE reviews SET status = 'published' WHERE id = %(review)s"
WITHDRAW = (
    "UPDATE review_publication_consents SET revoked_at = now() + interval '1 second' "
    "WHERE review_id = %(review)s"
)


@loop_over(
    ("is_published_first", "statement"),
    [
        (True, f"WITH withdrawn AS ({WITHDRAW}) {PUBLISH}"),
        (
            False,
            f"WITH withdrawn AS ({WITHDRAW} RETURNING 1) {PUBLISH} "
            "AND (SELECT count(*) FROM withdrawn) = 1",
        ),
        (False, f"WITH shown AS ({PUBLISH}) {WITHDRAW}"),
        (
            True,
            f"WITH shown AS ({PUBLISH} RETURNING 1) {WITHDRAW} "
            "AND (SELECT count(*) FROM shown) = 1",
        ),
    ],
)
def test_one_statement_does_not_withdraw_and_publish(
    is_published_first: bool, statement: str
) -> None:
    """The withdrawal unpublishes the review, or the publication is refused."""
    row = ReviewFactory(pending=True)
    ReviewPublicationConsentFactory(review=row)
    with nullcontext() if is_published_first else refuses(NEEDS, "reviews"):
        execute(statement, {"review": row.pk})
    assert stored(row)["status"] == ("unpublished" if is_published_first else "pending")


def test_deferred_constraints_do_not_defer_the_withdrawal() -> None:
    row, consent = published()
    execute("SET CONSTRAINTS ALL DEFERRED")
    update_sql(consent, revoked_at=timezone.now())
    assert stored(row)["status"] == "unpublished"


def test_temporary_table_does_not_replace_the_consents() -> None:
    row = ReviewFactory(pending=True)
    execute(
        "CREATE TEMPORARY TABLE review_publication_consents AS "
        "SELECT %s::uuid AS review_id, true AS granted, NULL::timestamptz AS revoked_at",
        [row.pk],
    )
    with refuses(NEEDS, "reviews"):
        update_sql(row, **PUBLISHED)


def test_temporary_table_does_not_intercept_the_withdrawal() -> None:
    row, consent = published()
    execute("CREATE TEMPORARY TABLE reviews AS SELECT * FROM public.reviews")
    update_sql(consent, revoked_at=timezone.now())
    (unpublished,) = execute("SELECT status FROM public.reviews WHERE id = %s", [row.pk])
    assert unpublished == {"status": "unpublished"}


def test_published_review_does_not_lose_its_consent_by_a_new_key() -> None:
    """The key changes, and a draft takes the old key and its consent."""
    row, _consent = published()
    with refuses_by_any_rule():
        execute("SET CONSTRAINTS ALL DEFERRED")
        execute("UPDATE reviews SET id = uuid7()")
        insert_sql(ReviewFactory.build(id=row.pk, user=None))


SECRET = f"v1.k1.{'Anna' * 20}"


@loop_over(
    ("rule", "table", "column", "statement"),
    [
        (NEEDS, "reviews", "status", "UPDATE reviews SET status = 'published'"),
        (
            EVIDENCE,
            "review_publication_consents",
            "review_id",
            "UPDATE review_publication_consents SET version = '2020-12-31.99'",
        ),
        (
            REVOKED_ONCE,
            "review_publication_consents",
            "revoked_at",
            "UPDATE review_publication_consents SET revoked_at = '2099-12-31'",
        ),
        (NO_DELETE, "review_publication_consents", "id", "DELETE FROM review_publication_consents"),
    ],
)
def test_refusal_reveals_nothing_of_review_or_consent(
    rule: str, table: str, column: str, statement: str
) -> None:
    row = ReviewFactory(pending=True, review_text_encrypted=SECRET)
    given = ReviewPublicationConsentFactory(review=row, revoked=True, version="2021-07-31.42")
    check_refusal_is_discreet(
        lambda: execute(statement),
        rule,
        table,
        column,
        SECRET,
        given.version,
        "2020-12-31.99",
        "2099-12-31",
        str(row.pk),
        str(given.pk),
    )


@case_groups(
    Case("of somebody unknown", ReviewFactory, {"user": None}),
    Case("a draft", ReviewFactory),
    Case("sent", ReviewFactory, {"pending": True}),
    Case("named", ReviewFactory, {"anonymity_level": "named"}),
)
def test_review_needs_no_author(group: CaseGroup) -> None:
    check_case_group(group)


def test_changed_text_keeps_its_consent() -> None:
    row, _consent = published()
    update_sql(row, review_text_encrypted=sealed())
    assert stored(row)["status"] == "published"
