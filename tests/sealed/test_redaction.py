"""A sealed value is never shown, and no error, page, log or dump holds plaintext."""

from __future__ import annotations

import copy
import io
import json
import logging
import pprint
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core import serializers
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.template import Context, Template
from django.test import RequestFactory, override_settings
from django.views.debug import technical_500_response

from crm.models import LeadIdentity, LeadNote
from ebalance.db.encryption.envelope import SealBroken, UnknownKey
from ebalance.db.encryption.fields import BlindToken, Plaintext, UnsealedValue
from ebalance.db.encryption.keys import BadKeys, DevelopmentKeyring
from tests.case_loops import check_each
from tests.factories import LeadFactory, LeadNoteFactory, UserFactory
from tests.sealed.support import each_model, filled_row, format_error, identity, reload, ring, texts
from ugc.models import DiaryEntry

pytestmark = pytest.mark.django_db

SECRET = "afraid of the dark"


def a_note() -> Any:
    return LeadNoteFactory(note_encrypted=Plaintext(SECRET))


def hidden() -> dict[str, Any]:
    row = reload(a_note())
    return {
        "plaintext": Plaintext(SECRET),
        "payload": Plaintext({"version": 1, "note": SECRET}),
        "made": a_note().note_encrypted,
        "read": row.note_encrypted,
        "listed": LeadNote.objects.values_list("note_encrypted", flat=True)[0],
        "index": BlindToken.of("email", "afraid@example.com"),
    }


SHOW: dict[str, Callable[[Any], str]] = {
    "str": str,
    "repr": repr,
    "ascii": ascii,
    "f": lambda v: f"{v} {v!r} {v!s} {v!a} {v=}",
    "format": lambda v: f"{v:>80}{v:s}{v:,}{v:%Y}{v:.3f}{v:x}",
    "format with parts": lambda v: f"{v}{v}{v:>9}",
    "percent": lambda v: "%s %r %a %10s %.3s" % ((v,) * 5),  # noqa: UP031
    "print": lambda v: printed(v),
    "list": lambda v: str([v, (v,), {v: v}, {v}]),
    "pprint": lambda v: pprint.pformat({"a": [v]}),
    "json": lambda v: json.dumps({"a": v}, default=str),
    "log": lambda v: logged(v),
    "template": lambda v: rendered(v),
    "copies": lambda v: f"{copy.copy(v)}{copy.deepcopy([v])}",
}


def printed(value: Any) -> str:
    out = io.StringIO()
    print(value, [value], file=out)
    return out.getvalue()


def logged(value: Any) -> str:
    record = logging.makeLogRecord({"msg": "%s %r", "args": (value, value), "row": value})
    return logging.Formatter("%(message)s %(row)s").format(record)


def rendered(value: Any) -> str:
    names = ["v", "v.open", "v.reveal", "v.opened", "v|safe", "v|stringformat:'r'", "v|pprint"]
    names += ["v|default:'' ", "v|linebreaks", "v.text|slice:':2'", "v.field.opened"]
    return Template("".join(f"{{{{ {name} }}}}" for name in names)).render(Context({"v": value}))


def test_value_is_shown_as_sealed() -> None:
    values = hidden()

    def check(show: Callable[[Any], str]) -> None:
        for kind, value in values.items():
            text = show(value)
            assert "[sealed]" in text, kind
            assert "afraid" not in text, kind
            if hasattr(value, "text"):
                assert value.text not in text, kind

    check_each(SHOW.items(), check, undo=False)


def test_encoders_refuse_the_value() -> None:
    for value in hidden().values():
        for encoder in (None, DjangoJSONEncoder):
            with pytest.raises(TypeError, match="not JSON serializable"):
                json.dumps([value], cls=encoder)
        for convert in (bytes, int, float, len, list, dict, vars):
            with pytest.raises(TypeError):
                convert(value)
        with pytest.raises(TypeError):
            "".join([value])


def test_template_shows_no_value_of_a_row() -> None:
    row = a_note()
    names = "{{ r.note_encrypted }}{{ r.note_encrypted.open }}{{ r }}{% debug %}"
    text = Template(names).render(Context({"r": row, "p": Plaintext(SECRET)}))
    assert "[sealed]" in text
    assert SECRET not in text


@each_model
def test_a_dump_holds_ciphertext(model: type[models.Model]) -> None:
    row = filled_row(model)
    ciphertexts = [text for text in texts(row).values() if text]
    for style in ("json", "jsonl", "python", "xml"):
        for rows in ([row], model._base_manager.all()):
            data = str(serializers.serialize(style, rows))
            assert all(text in data for text in ciphertexts)
            assert "afraid" not in data
            assert "example.com" not in data
            assert "[sealed]" not in data


# -- errors ---------------------------------------------------------------------------------------


def broken_ring(path: str = "/dev/null") -> DevelopmentKeyring:
    return DevelopmentKeyring(Path(path))


def note(value: Any) -> Any:
    return LeadNote(lead=LeadFactory(), author=UserFactory(), note_encrypted=value)


def under(value: Callable[[], Any], **rings: Any) -> Any:
    with override_settings(**rings):
        return value()


def refused_by_the_database() -> Any:
    row = note(Plaintext(SECRET))
    row.author_id = row.pk  # no such person
    return row.save()


def diary(payload: Any, diary_type: str = "gratitude") -> Any:
    return DiaryEntry(diary_type=diary_type, payload_encrypted=payload)


def misplaced() -> Any:
    row = reload(a_note())
    row.note_encrypted.row_id = a_note().pk
    return row.note_encrypted.open()


FAILURES: dict[str, Callable[[], Any]] = {
    "no text": lambda: note(Plaintext([SECRET])),
    "half of a pair": lambda: note(Plaintext(SECRET + "\ud800")),
    "no JSON": lambda: diary(Plaintext({"version": 1, "a": {SECRET}})),
    "against the schema": lambda: diary(Plaintext({"version": 1, "note": SECRET})),
    "no such schema": lambda: diary(Plaintext({"version": 1, "note": SECRET}), "dreams"),
    "no contact": lambda: LeadIdentity(email_encrypted=Plaintext(SECRET)),
    "no contact, asked": lambda: BlindToken.of("phone", SECRET),
    "no such channel": lambda: BlindToken.of("pigeon", SECRET),
    "no key to seal": lambda: under(lambda: note(Plaintext(SECRET)), ENCRYPTION_KEYS=broken_ring()),
    "no key to index": lambda: under(
        lambda: LeadIdentity(email_encrypted=Plaintext("afraid@example.com")),
        BLIND_INDEX_KEYS=broken_ring(),
    ),
    "no key to look up": lambda: under(
        lambda: BlindToken.of("email", "afraid@example.com"), BLIND_INDEX_KEYS=broken_ring()
    ),
    "bad bytes of a key": lambda: under(
        lambda: note(Plaintext(SECRET)), ENCRYPTION_KEYS=type("Ring", (), {"primary": None})()
    ),
    "unknown key": lambda: under(
        lambda row=None: reload(a_note()).note_encrypted, ENCRYPTION_KEYS=ring("k9")
    ).open(),
    "of another row": misplaced,
    "of another column": lambda: setattr(
        identity(email_encrypted="afraid@example.com"), "phone_encrypted", a_note().note_encrypted
    ),
    "refused by the database": refused_by_the_database,
    "searched": lambda: LeadNote.objects.filter(note_encrypted=Plaintext(SECRET)),
    "updated": lambda: LeadNote.objects.update(note_encrypted=Plaintext(SECRET)),
    "pickled": lambda: copy.copy(Plaintext(SECRET)).__reduce__(),
}


def failed(name: str) -> BaseException:
    with pytest.raises(Exception) as caught, transaction.atomic():  # noqa: PT011
        FAILURES[name]()
    return caught.value


def test_error_contains_nothing_of_the_value() -> None:
    def check(name: str) -> None:
        error = failed(name)
        assert "afraid" not in f"{error} {error!r} {error.args} {vars(error)}"
        assert "afraid" not in format_error(error, ours=True)
        # Including the frames of Django.
        if name in ("refused by the database", "against the schema", "updated"):
            assert "afraid" not in format_error(error)

    check_each([(name, name) for name in FAILURES], check)


A_FEW = ["refused by the database", "against the schema", "of another row"]


@pytest.mark.parametrize(
    "names", [A_FEW, pytest.param([*FAILURES], marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_debug_page_contains_nothing_of_the_value(rf: RequestFactory, names: list[str]) -> None:
    def check(name: str) -> None:
        error = failed(name)
        with override_settings(DEBUG=True):
            page = technical_500_response(
                rf.get("/"), type(error), error, error.__traceback__
            ).content.decode()
        # The page quotes lines of this file, some of which contain the values.
        assert SECRET not in page.replace(f"SECRET = &quot;{SECRET}&quot;", "")
        assert type(error).__name__ in page

    check_each([(name, name) for name in names], check)


def test_errors_have_the_documented_types() -> None:
    kinds = {name: type(failed(name)).__name__ for name in FAILURES}
    assert kinds["no key to seal"] == kinds["no key to index"] == BadKeys.__name__
    assert kinds["of another row"] == SealBroken.__name__
    assert kinds["of another column"] == kinds["updated"] == UnsealedValue.__name__
    assert kinds["no such schema"] == "LookupError"


def test_error_of_an_unknown_key_names_the_key() -> None:
    value = reload(a_note()).note_encrypted
    with override_settings(ENCRYPTION_KEYS=ring("k9")), pytest.raises(UnknownKey, match="k1"):
        value.open()
    with override_settings(ENCRYPTION_KEYS=ring("k1")), pytest.raises(SealBroken, match="k1"):
        value.open()
