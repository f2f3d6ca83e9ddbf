"""A sealed value is revealed only after its audit entry is committed (access.md §1, §3)."""

from __future__ import annotations

import copy
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, connection, models, transaction
from django.test import Client
from django.urls import NoReverseMatch, reverse

from audit.models import AuditLogEntry, SystemSetting
from booking.models import IntakeForm
from crm.models import LeadIdentity
from ebalance.actor import acting_as
from ebalance.db.apps import PROJECT_APPS
from ebalance.db.encryption.fields import Plaintext, Sealed, SealedField, SealedJSON
from ebalance.privacy.reveal import DoesNotOpen, reveal
from ebalance.services import NotFound, NotPermitted
from identity.models import User
from identity.permissions import REVEALS
from tests.admin.support import PROJECT_MODELS, label, page, signed_in, text, unrendered
from tests.admin.test_writing import is_russian
from tests.advice import advises, of_field, of_test
from tests.databases import Database
from tests.factories import (
    FACTORIES,
    AnonymousQuestionFactory,
    AppointmentFactory,
    DiaryEntryFactory,
    IntakeFormFactory,
    LeadIdentityFactory,
    ReviewFactory,
    SystemSettingFactory,
    UserFactory,
)
from tests.factories.payloads import PAYLOADS
from tests.sealed.support import ring
from tests.services import run_concurrently
from tests.support import execute, update_sql
from ugc.models import AnonymousQuestion, Review

# The roles that may reveal each column (access.md §1), and a value to seal in it.
BOTH, OWNER, NO_ROLE = {"owner", "assistant"}, {"owner"}, set()
COLUMNS: dict[str, tuple[set[str], Any]] = {
    "booking.IntakeForm.payload_encrypted": (OWNER, PAYLOADS["intake"]),
    "booking.SessionNote.note_encrypted": (OWNER, "Заметка о встрече zq_zq"),
    "booking.WaitlistRequest.contact_value_encrypted": (BOTH, "zq_zq.waits@example.org"),
    "crm.LeadIdentity.email_encrypted": (BOTH, "zq_zq.lead@example.org"),
    "crm.LeadIdentity.phone_encrypted": (BOTH, "+79165551234"),
    "crm.LeadNote.note_encrypted": (BOTH, "Заметка zq_zq"),
    "identity.SecondFactor.secret_encrypted": (NO_ROLE, "JBSWY3DPEHPK3PXP"),
    "ugc.AnonymousQuestion.contact_value_encrypted": (BOTH, "@zq_zq_contact"),
    "ugc.AnonymousQuestion.question_text_encrypted": (BOTH, "Вопрос zq_zq?"),
    "ugc.DiaryEntry.payload_encrypted": (NO_ROLE, PAYLOADS["diary_gratitude"]),
    "ugc.QuestionAnswer.answer_text_encrypted": (BOTH, "Ответ zq_zq"),
    "ugc.Review.review_text_encrypted": (BOTH, "Отзыв zq_zq"),
}
TRAITS: dict[str, dict[str, Any]] = {"crm.LeadIdentity.phone_encrypted": {"by_phone": True}}
ROLES = ["owner", "assistant", "editor", "client", None]
SETTING = "assistant_reads_intake_forms"
AGENT = {"REMOTE_ADDR": "203.0.113.7", "headers": {"User-Agent": "Mozilla/5.0 (X11)"}}

each_column = pytest.mark.parametrize("column", COLUMNS)
each_shown = pytest.mark.parametrize("column", [c for c, (roles, _) in COLUMNS.items() if roles])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The columns that are opened from now on."""
    columns: list[str] = []
    usual = Sealed.open

    def counted(self: Sealed, **options: Any) -> Any:
        columns.append(self.field.name)
        return usual(self, **options)

    monkeypatch.setattr(Sealed, "open", counted)
    return columns


def row_of(column: str) -> tuple[Any, str, Any]:
    """A row with a sealed value in the column, the column's name, and the value."""
    model, _, name = column.rpartition(".")
    kind = next(m for m in PROJECT_MODELS if label(m) == model)
    row, value = FACTORIES[kind](**TRAITS.get(column, {})), COLUMNS[column][1]
    setattr(row, name, Plaintext(value))
    row.save()
    return row, name, value


def entries(*actions: str) -> list[dict[str, Any]]:
    rows = execute(
        "SELECT actor_user_id, actor_role, action, entity_type, entity_id, new_value, "
        "host(ip_address) AS ip_address, user_agent FROM audit_log_entries "
        "WHERE action = ANY(%s) ORDER BY seq",
        [list(actions) or ["sealed_value_revealed", "access_refused"]],
    )
    return [{**row, "new_value": json.loads(row["new_value"])} for row in rows]


def entry(action: str, row: models.Model, name: str, role: str, actor: Any, **more: Any) -> dict:
    return {
        "actor_user_id": actor.pk,
        "actor_role": role,
        "action": action,
        "entity_type": row._meta.db_table,
        "entity_id": row.pk,
        "new_value": {"column": name},
        "ip_address": None,
        "user_agent": None,
        **more,
    }


def address(row: models.Model, name: str) -> str:
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_reveal", args=[row.pk, name])


def click(client: Client, row: models.Model, name: str) -> Any:
    return client.post(address(row, name), **AGENT)


def plain(shown: Any) -> str:
    """The text of a page without its markup."""
    return re.sub(r"<[^>]+>", " ", text(shown))


# -- roles ----------------------------------------------------------------------------------------


@advises
def test_every_sealed_column_is_decided() -> Iterator[str]:
    sealed = {
        f"{label(model)}.{field.name}": field
        for model in PROJECT_MODELS
        for field in model._meta.concrete_fields
        if isinstance(field, SealedField)
    }
    for name, field in sealed.items():
        model, _, column = name.rpartition(".")
        assert name.split(".")[0] in PROJECT_APPS
        if f"{model.lower()}.{column}" not in REVEALS:
            yield (
                "identity/permissions.py: give the column a line in `REVEALS` "
                f"({of_field(field).declaration})"
            )
        if name not in COLUMNS:
            yield of_test(entries, "COLUMNS")(f'give "{name}" a line in', "it is sealed")
    for name in COLUMNS.keys() - sealed:
        yield of_test(entries, "COLUMNS")(f'remove "{name}" from', "it is not sealed")
    of_columns = {f"{m.lower()}.{c}" for m, _, c in (name.rpartition(".") for name in sealed)}
    for name in REVEALS.keys() - of_columns:
        yield f'identity/permissions.py: remove "{name}" from `REVEALS`: it is not sealed'


@pytest.mark.django_db
@each_column
def test_value_is_revealed_to_the_roles_of_the_table(opened: list[str], column: str) -> None:
    row, name, value = row_of(column)
    for role in ROLES:
        opened.clear()
        actor, before = UserFactory(role=role), len(entries())
        if role in COLUMNS[column][0]:
            assert reveal(row, name, actor=actor) == value
            assert opened == [name]
            written = entry("sealed_value_revealed", row, name, role, actor)
        else:
            with pytest.raises(NotPermitted) as refused:
                reveal(row, name, actor=actor)
            assert is_russian(refused.value.sentence)
            assert opened == []
            written = entry("access_refused", row, name, role or "client", actor)
            if not COLUMNS[column][0]:  # rows of hidden tables are not named: a key has its day
                written["entity_id"] = None
        assert entries()[before:] == [written], role


@each_shown
def test_page_has_a_button_that_shows_the_value_to_the_roles_of_the_table(
    as_role: Callable[[Any], Client], opened: list[str], column: str
) -> None:
    row, name, value = row_of(column)
    marker = value["request"] if isinstance(value, dict) else value
    button = f'formaction="{address(row, name)}"'
    for role in ROLES:
        client, may = as_role(role), role in COLUMNS[column][0]
        shown = client.get(page(type(row), "change", row.pk))
        assert (button in text(shown)) == may, role
        if shown.status_code == 200:
            assert getattr(row, name).text.split(".")[2] not in text(shown)
            assert "zq_zq" not in text(shown)
        opened.clear()
        before = len(entries())
        answer = click(client, row, name)
        (written,) = entries()[before:]
        if not may:
            assert (answer.status_code, opened) == (404, []), role
            assert (written["action"], written["entity_id"]) == ("access_refused", row.pk)
            continue
        assert answer.status_code == 200
        assert marker in plain(answer)
        assert opened == [name]
        assert written == entry(
            "sealed_value_revealed",
            row,
            name,
            role,
            signed_in(client),
            ip_address="203.0.113.7",
            user_agent="Mozilla/5.0 (X11)",
        )


def test_empty_column_has_no_button(owner: Client) -> None:
    question = AnonymousQuestionFactory()
    shown = text(owner.get(page(AnonymousQuestion, "change", question.pk)))
    assert address(question, "question_text_encrypted") in shown
    assert address(question, "contact_value_encrypted") not in shown
    assert click(owner, question, "contact_value_encrypted").status_code == 404
    assert entries() == []


def test_lists_and_tables_in_pages_have_no_button(owner: Client) -> None:
    form = IntakeFormFactory()
    question = AnonymousQuestionFactory(answered=True)
    for shown in (
        owner.get(page(IntakeForm, "changelist")),
        owner.get(page(AnonymousQuestion, "changelist")),
        owner.get(page(type(form.appointment), "change", form.appointment_id)),
    ):
        assert shown.status_code == 200
        assert "/reveal/" not in text(shown)
    shown = text(owner.get(page(AnonymousQuestion, "change", question.pk)))
    assert shown.count("/reveal/") == 1  # the question's, not the answer's
    assert page(IntakeForm, "change", form.pk) in text(
        owner.get(page(type(form.appointment), "change", form.appointment_id))
    )


def test_diaries_have_no_page_to_reveal_them_on(as_role: Callable[[str], Client]) -> None:
    diary = DiaryEntryFactory()
    with pytest.raises(NoReverseMatch):
        address(diary, "payload_encrypted")
    where = f"/admin/ugc/diaryentry/{diary.pk}/reveal/payload_encrypted/"
    for role in ("owner", "assistant", "editor", "client"):
        assert as_role(role).post(where).status_code == 404, role
    assert entries() == []


# -- the owner lets assistants read intake forms ------------------------------------------------


def test_assistant_reads_intake_forms_when_the_setting_is_true(
    as_role: Callable[[str], Client],
) -> None:
    SystemSettingFactory(key=SETTING, value=True)
    form = IntakeFormFactory()
    for role, may in (("owner", True), ("assistant", True), ("editor", False)):
        client, status = as_role(role), 200 if may else 404
        shown = client.get(page(IntakeForm, "change", form.pk))
        assert shown.status_code == status
        assert (address(form, "payload_encrypted") in text(shown)) == may
        with unrendered():
            assert client.get(page(IntakeForm, "changelist")).status_code == status
        assert click(client, form, "payload_encrypted").status_code == status
        # The setting grants nothing else.
        if role != "owner":
            assert client.get(page(SystemSetting, "changelist")).status_code == 404
            assert client.get(page(IntakeForm, "delete", form.pk)).status_code == 404


def test_assistant_reads_no_intake_form_by_another_value_of_the_setting(
    as_role: Callable[[str], Client],
) -> None:
    setting = SystemSettingFactory(key=SETTING, value=False)
    form, client = IntakeFormFactory(), as_role("assistant")
    addresses = [page(IntakeForm, "change", form.pk), page(IntakeForm, "changelist")]
    for value in (False, 1, "true", [True], {"on": True}):
        setting.value = value
        setting.save()
        assert {client.get(where).status_code for where in addresses} == {404}, value
        assert click(client, form, "payload_encrypted").status_code == 404, value


def test_removed_setting_ends_the_permission(as_role: Callable[[str], Client]) -> None:
    setting = SystemSettingFactory(key=SETTING, value=True)
    form, client = IntakeFormFactory(), as_role("assistant")
    assert click(client, form, "payload_encrypted").status_code == 200
    setting.value = False
    setting.save()
    assert click(client, form, "payload_encrypted").status_code == 404
    setting.delete()
    assert click(client, form, "payload_encrypted").status_code == 404


def test_other_settings_grant_nothing(as_role: Callable[[str], Client]) -> None:
    for key in ("assistant_reads_diaries", f"{SETTING}_too", "reads_intake_forms"):
        SystemSettingFactory(key=key, value=True)
    form, diary, client = IntakeFormFactory(), DiaryEntryFactory(), as_role("assistant")
    assert click(client, form, "payload_encrypted").status_code == 404
    with pytest.raises(NotPermitted):
        reveal(diary, "payload_encrypted", actor=signed_in(client))


# -- the entry before the value -------------------------------------------------------------------


@pytest.fixture
def entries_seen(committed: Database, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For each value that is opened, the number of its entries that another connection sees."""
    counts: list[int] = []
    usual = Sealed.open

    def count_entries_first(self: Sealed, **options: Any) -> Any:
        with committed.connect() as other:
            (number,) = other.execute(
                "SELECT count(*) FROM audit_log_entries WHERE action = 'sealed_value_revealed' "
                "AND entity_id = %s AND new_value ->> 'column' = %s",
                [self.row_id, self.field.column],
            ).fetchone()
        counts.append(number)
        return usual(self, **options)

    monkeypatch.setattr(Sealed, "open", count_entries_first)
    return counts


def test_entry_is_committed_before_the_value_is_opened(entries_seen: list[int]) -> None:
    row, actor = AnonymousQuestionFactory(), UserFactory(role="owner")
    reveal(row, "question_text_encrypted", actor=actor)
    reveal(row, "question_text_encrypted", actor=actor)
    with acting_as(actor):
        reveal(row, "question_text_encrypted", actor=actor)
    assert entries_seen == [1, 2, 3]


def test_entry_of_a_click_is_committed_before_the_value_is_opened(entries_seen: list[int]) -> None:
    client = Client()
    client.force_login(UserFactory(role="owner"))
    columns = [column for column, (roles, _) in COLUMNS.items() if roles]
    for column in columns:
        row, name, _value = row_of(column)
        entries_seen.clear()
        assert click(client, row, name).status_code == 200
        assert entries_seen == [1], column


def test_entry_stays_when_the_page_fails(
    committed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, client = AnonymousQuestionFactory(), Client(raise_request_exception=False)
    client.force_login(UserFactory(role="owner"))

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ebalance.admin.reveal.render", broken)
    assert click(client, row, "question_text_encrypted").status_code == 500
    with committed.connect() as other:
        counts = other.execute(
            "SELECT count(*) FROM audit_log_entries "
            "WHERE action = 'sealed_value_revealed' AND entity_id = %s",
            [row.pk],
        ).fetchall()
    assert counts == [(1,)]


UNWRITABLE = {
    "at once": "CREATE TRIGGER log_is_full AFTER INSERT ON audit_log_entries",
    "at commit": "CREATE CONSTRAINT TRIGGER log_is_full AFTER INSERT ON audit_log_entries "
    "DEFERRABLE INITIALLY DEFERRED",
}


@pytest.mark.parametrize("when", UNWRITABLE)
def test_value_is_not_opened_when_its_entry_cannot_be_written(
    committed: Database, opened: list[str], when: str
) -> None:
    row, who = AnonymousQuestionFactory(), UserFactory(role="owner")
    client = Client(raise_request_exception=False)
    client.force_login(who)
    execute(
        "CREATE FUNCTION full_log() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION USING ERRCODE = 'check_violation'; END$$"
    )
    execute(f"{UNWRITABLE[when]} FOR EACH ROW EXECUTE FUNCTION full_log()")
    try:
        with pytest.raises(IntegrityError):
            reveal(row, "question_text_encrypted", actor=who)
        answer = click(client, row, "question_text_encrypted")
    finally:
        execute("DROP FUNCTION full_log() CASCADE")
    assert answer.status_code == 500
    assert "тревожно" not in text(answer)
    assert opened == []


def test_reveal_refuses_to_run_inside_a_transaction(committed: Database, opened: list[str]) -> None:
    row, who = AnonymousQuestionFactory(), UserFactory(role="owner")
    before = entries()
    with pytest.raises(RuntimeError), transaction.atomic():
        reveal(row, "question_text_encrypted", actor=who)
    with pytest.raises(RuntimeError), transaction.atomic():
        reveal(row, "question_text_encrypted", actor=UserFactory(role="editor"))
    connection.set_autocommit(False)
    try:
        with pytest.raises(RuntimeError):
            reveal(row, "question_text_encrypted", actor=who)
    finally:
        connection.rollback()
        connection.set_autocommit(True)
    assert (opened, entries()) == ([], before)
    reveal(row, "question_text_encrypted", actor=who)
    assert (opened, len(entries())) == (["question_text_encrypted"], len(before) + 1)


@pytest.mark.slow
def test_concurrent_reveals_each_have_an_entry(entries_seen: list[int]) -> None:
    row, people = AnonymousQuestionFactory(), [UserFactory(role="owner") for _ in range(8)]

    def look(who: User) -> Any:
        return lambda: reveal(row, "question_text_encrypted", actor=who)

    shown = run_concurrently(*map(look, people))
    assert shown == ["Мне тревожно по ночам."] * 8
    assert len(entries_seen) == 8
    assert min(entries_seen) >= 1
    written = [e for e in entries("sealed_value_revealed") if e["entity_id"] == row.pk]
    assert {e["actor_user_id"] for e in written} == {who.pk for who in people}
    assert len(written) == 8


def test_every_click_has_an_entry(owner: Client) -> None:
    row = AnonymousQuestionFactory()
    for clicks in (1, 2, 3):
        assert click(owner, row, "question_text_encrypted").status_code == 200
        assert len(entries("sealed_value_revealed")) == clicks


# -- the person, the row --------------------------------------------------------------------------


@pytest.mark.django_db
def test_reveal_uses_the_current_rights(opened: list[str]) -> None:
    row = AnonymousQuestionFactory()
    UserFactory(role="owner")
    who = UserFactory(role="owner")
    assert who.role_codes == {"owner"}  # read once
    User.objects.filter(pk=who.pk).update(status="blocked")
    with pytest.raises(NotPermitted):
        reveal(row, "question_text_encrypted", actor=who)
    User.objects.filter(pk=who.pk).update(status="active")
    who.user_roles.all().delete()
    with pytest.raises(NotPermitted):
        reveal(row, "question_text_encrypted", actor=who)
    assert opened == []
    assert [e["action"] for e in entries()] == ["access_refused"] * 2
    who.user_roles.create(role_id="assistant")
    assert reveal(row, "question_text_encrypted", actor=who)


@pytest.mark.django_db
def test_nothing_is_revealed_without_a_person(opened: list[str]) -> None:
    row = AnonymousQuestionFactory()
    for actor in (None, AnonymousUser(), User(), User(pk=uuid4())):
        with pytest.raises(NotPermitted):
            reveal(row, "question_text_encrypted", actor=actor)
    assert (opened, entries()) == ([], [])


@pytest.mark.django_db
def test_entry_names_the_actor_of_the_reveal() -> None:
    who = UserFactory(role="assistant")
    with acting_as(UserFactory(role="owner"), ip_address="203.0.113.7"):
        reveal(AnonymousQuestionFactory(), "question_text_encrypted", actor=who)
    (written,) = entries()
    assert (written["actor_user_id"], written["actor_role"]) == (who.pk, "assistant")
    assert written["ip_address"] == "203.0.113.7"


@pytest.mark.django_db
def test_reveal_reads_the_stored_value(opened: list[str]) -> None:
    stale, who = AnonymousQuestionFactory(), UserFactory(role="owner")
    row = AnonymousQuestion.objects.get(pk=stale.pk)
    row.question_text_encrypted = Plaintext("Без имён.")
    row.save()
    assert reveal(stale, "question_text_encrypted", actor=who) == "Без имён."
    unloaded = AnonymousQuestion.objects.defer("question_text_encrypted").get(pk=row.pk)
    assert reveal(unloaded, "question_text_encrypted", actor=who) == "Без имён."
    row.delete()
    opened.clear()
    with pytest.raises(NotFound):
        reveal(stale, "question_text_encrypted", actor=who)
    with pytest.raises(NotFound):
        reveal(AnonymousQuestionFactory(), "contact_value_encrypted", actor=who)
    with pytest.raises(NotFound):
        reveal(AnonymousQuestion(), "question_text_encrypted", actor=who)
    assert (opened, len(entries())) == ([], 2)


@pytest.mark.django_db
def test_only_sealed_columns_are_revealed() -> None:
    question, owner = AnonymousQuestionFactory(), UserFactory(role="owner")
    identity = LeadIdentityFactory(by_phone=True)
    for row, name in ((question, "status"), (question, "user"), (identity, "phone_bidx")):
        with pytest.raises(TypeError):
            reveal(row, name, actor=owner)
    assert entries() == []


# -- values that do not open --------------------------------------------------------------------


def damaged(how: str, settings: Any) -> tuple[models.Model, str]:
    row = AnonymousQuestionFactory()
    name = "question_text_encrypted"
    if how == "the key is gone":
        settings.ENCRYPTION_KEYS = ring("k9")
    elif how == "rubbish":
        row = LeadIdentityFactory()
        name = "email_encrypted"
    elif how == "moved from another row":
        update_sql(row, **{name: AnonymousQuestionFactory().question_text_encrypted.text})
    elif how == "moved from another column":
        row.contact_value_encrypted = Plaintext("zq_zq@example.org")
        row.save()
        update_sql(row, **{name: row.contact_value_encrypted.text})
    return row, name


@pytest.mark.parametrize(
    "how", ["the key is gone", "rubbish", "moved from another row", "moved from another column"]
)
def test_value_that_does_not_open_is_reported_in_one_sentence(
    owner: Client, settings: Any, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    row, name = damaged(how, settings)
    stored = type(row).objects.get(pk=row.pk)
    fragment = getattr(stored, name).text.split(".")[2]
    with pytest.raises(DoesNotOpen) as refused:
        reveal(row, name, actor=signed_in(owner))
    assert refused.value.details["reason"] in ("UnknownKey", "SealBroken")
    assert is_russian(refused.value.sentence)
    answer = click(owner, row, name)
    assert answer.status_code == 200
    assert refused.value.sentence in text(answer)
    shown = text(answer) + caplog.text + str(refused.value) + repr(refused.value)
    for hidden in (fragment, fragment[:12], "тревожно", "zq_zq"):
        assert hidden not in shown
    assert len(entries("sealed_value_revealed")) == 2


# -- how a value is shown -------------------------------------------------------------------------


def test_only_a_post_reveals_the_value(owner: Client, opened: list[str]) -> None:
    row = AnonymousQuestionFactory()
    where = address(row, "question_text_encrypted")
    for ask in (owner.get, owner.head):
        answer = ask(where)
        assert (answer.status_code, answer.url) == (302, page(AnonymousQuestion, "change", row.pk))
    for ask in (owner.put, owner.delete, owner.patch, owner.options):
        assert ask(where).status_code == 302
    assert (opened, entries()) == ([], [])


def test_other_roles_get_404_at_the_address(as_role: Callable[[str], Client]) -> None:
    form = IntakeFormFactory()
    where = address(form, "payload_encrypted")
    for role in ("assistant", "editor", "client"):
        assert as_role(role).get(where).status_code == 404
    assert Client().post(where).status_code == 302
    assert [e["action"] for e in entries()] == ["access_refused"] * 3


def test_post_without_the_csrf_token_reveals_nothing(owner: Client, opened: list[str]) -> None:
    row, strict = AnonymousQuestionFactory(), Client(enforce_csrf_checks=True)
    strict.force_login(signed_in(owner))
    assert click(strict, row, "question_text_encrypted").status_code == 403
    assert (opened, entries()) == ([], [])
    shown = text(strict.get(page(AnonymousQuestion, "change", row.pk)))
    form = re.search(r'<form id="reveal".*?</form>', shown, re.DOTALL)
    assert form
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.group())
    assert token
    where = address(row, "question_text_encrypted")
    answer = strict.post(where, {"csrfmiddlewaretoken": token.group(1)})
    assert answer.status_code == 200


def test_other_columns_and_rows_have_no_address(owner: Client) -> None:
    row, name = AnonymousQuestionFactory(), "question_text_encrypted"
    columns = ["status", "nothing", "user", "id", "contact_value_bidx", "open"]
    wrong = [address(row, column) for column in columns]
    wrong += [address(row, name).replace(str(row.pk), key) for key in ("nothing", "../../x")]
    wrong.append(address(AnonymousQuestion(pk=uuid4()), name))
    assert [where for where in wrong if owner.post(where).status_code != 404] == []
    assert entries() == []


def test_value_is_in_the_answer_and_nowhere_else(
    owner: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    row = ReviewFactory()
    row.review_text_encrypted = Plaintext("Отзыв zq_zqmark")
    row.save()
    answer = click(owner, row, "review_text_encrypted")
    assert "zq_zqmark" in text(answer)
    kept = {part.strip() for part in answer.headers["Cache-Control"].split(",")}
    assert {"no-store", "private"} <= kept
    elsewhere = [
        str(answer.headers),
        str(answer.cookies),
        str(answer.wsgi_request.session.items()),
        answer.wsgi_request.get_full_path(),
        caplog.text,
        str([vars(record) for record in caplog.records]),
        str(execute("SELECT * FROM django_session")),
        str(execute("SELECT to_jsonb(e)::text FROM audit_log_entries e")),
        text(owner.get(page(Review, "change", row.pk))),
        text(owner.get(page(Review, "history", row.pk))),
    ]
    assert not [part for part in elsewhere if "zq_zqmark" in part]
    assert re.search(r"<title>[^<]*zq_zqmark", text(answer)) is None
    assert row.review_text_encrypted.text not in text(answer)


HOSTILE = "<script>alert(1)</script>\n  <b>&amp; \"'`{{ 7|add:1 }}\n\n'};alert(1)//"


def test_markup_is_shown_as_text(owner: Client) -> None:
    row = AnonymousQuestionFactory()
    row.question_text_encrypted = Plaintext(HOSTILE)
    row.save()
    shown = text(click(owner, row, "question_text_encrypted"))
    assert "<script>alert" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\n  &lt;b&gt;&amp;amp; " in shown
    assert "{{ 7|add:1 }}" in shown
    payload = copy.deepcopy(PAYLOADS["intake"])
    payload["previous_therapy"]["details"] = payload["note"] = HOSTILE
    form = IntakeFormFactory(payload_encrypted=Plaintext(payload))
    shown = text(click(owner, form, "payload_encrypted"))
    assert "<script>alert" not in shown
    assert shown.count("&lt;script&gt;alert(1)") == 2


def test_intake_form_is_shown_by_its_questions(owner: Client) -> None:
    form = IntakeFormFactory(
        payload_encrypted=Plaintext(
            {
                "version": 1,
                "request": "Мне тревожно.\nПо ночам.",
                "lasting": "under_year",
                "severity": 0,
                "previous_therapy": {"had": False},
                "medication": {"takes": True, "details": "Какие-то"},
                "goals": "",
            }
        )
    )
    shown = plain(click(owner, form, "payload_encrypted"))
    in_order = [
        "С чем вы приходите", "Мне тревожно.\nПо ночам.", "Как давно это беспокоит", "До года",
        "Насколько это мешает жить", "0", "Что вы хотите изменить", "–",
        "Опыт работы с психологом", "Был ли такой опыт", "нет", "Лекарства",
        "Принимаете ли вы лекарства", "да", "Какие и как давно", "Какие-то",
    ]  # fmt: skip
    at = 0
    for part in in_order:
        at = shown.index(part, at) + len(part)
    for name in ("version", "previous_therapy", "severity", "under_year", "False", "True"):
        assert name not in shown


OF_NO_FORM = [
    {"version": 99, "request": "Тревога", "deep": {"list": [1, {"a": "Б"}]}},
    {"version": [], "request": "Тревога"},
    {"request": "Тревога", "": None},
    ["Тревога", True, None],
    "Тревога",
]
WITHOUT_TEXT = [None, 0, 0.5, False, [], {}, "x" * 20_000]


def test_payload_of_no_known_form_is_shown_as_it_is(
    owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer or an older program wrote the payload."""
    monkeypatch.setattr(SealedJSON, "encoded", SealedField.encoded)
    form = IntakeFormFactory()
    failed = []
    for value in [*OF_NO_FORM, *WITHOUT_TEXT]:
        form.payload_encrypted = Plaintext(value)
        form.save()
        answer = click(owner, form, "payload_encrypted")
        is_shown = value in WITHOUT_TEXT or "Тревога" in plain(answer)
        if answer.status_code != 200 or not is_shown:
            failed.append(value)
    assert failed == []


def test_button_keeps_unsaved_changes_of_the_page(owner: Client) -> None:
    """The button submits its own form into another tab."""
    row = ReviewFactory()
    shown = text(owner.get(page(Review, "change", row.pk)))
    main = re.search(r'<form[^>]*id="review_form".*?</form>', shown, re.DOTALL)
    assert main
    assert '<button type="submit" form="reveal"' in main.group()
    assert '<form id="reveal" method="post" target="_blank"' not in main.group()
    assert '<form id="reveal" method="post" target="_blank"' in shown


def test_page_without_sealed_values_has_no_reveal_form(owner: Client) -> None:
    row = AppointmentFactory()
    assert 'id="reveal"' not in text(owner.get(page(type(row), "change", row.pk)))
    assert AuditLogEntry.objects.filter(action="access_refused").count() == 0
    assert not LeadIdentity.objects.exists()
