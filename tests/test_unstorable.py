"""NUL and half of a surrogate pair, which no column can hold, in any argument of any service.

Each service refuses them as InvalidInput before its first query, so nothing is written.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from content.models import Topic
from ebalance.db.apps import PROJECT_APPS
from ebalance.db.encryption.values import Plaintext
from ebalance.db.storable import is_storable
from ebalance.services import InvalidInput, require_storable, storable_arguments
from tests.advice import advises, file_of

PRIVACY = {
    "ebalance.privacy.consents": [
        "consent_history",
        "grant_consent",
        "withdraw_consent",
        "withdraw_this_consent",
    ],
    "ebalance.privacy.erasure": ["erase_user"],
    "ebalance.privacy.exports": ["export_user_data", "process_export", "request_export"],
    "ebalance.privacy.mailing": ["can_contact", "leads_to_contact", "users_to_contact"],
}
UNSTORABLE = {"nul": "a\0b", "high": "a\ud800b", "low": "\udfff"}
# Parts of an annotation that allow a text somewhere inside of the value.
WITH_TEXT = re.compile(r"\b(str|UUID|RowOrKey|Plaintext|Mapping|Collection|object)\b")
# A repeated call is harmless, and these take the actor's row, the clock or a query.
NO_TEXT = {"actor", "clock", "rules", "wanted"}


def services() -> dict[str, Callable[..., Any]]:
    """Every public service, by the name of its package and its own."""
    names = {
        f"{app}.services": importlib.import_module(f"{app}.services").__all__
        for app in PROJECT_APPS
    } | PRIVACY
    exported_by_name = {
        f"{module}.{name}": getattr(importlib.import_module(module), name)
        for module, exported in names.items()
        for name in exported
    }
    return {
        name: service for name, service in exported_by_name.items() if inspect.isfunction(service)
    }


def text_parameters(service: Callable[..., Any]) -> list[inspect.Parameter]:
    return [
        parameter
        for parameter in inspect.signature(service).parameters.values()
        if parameter.name not in NO_TEXT and WITH_TEXT.search(str(parameter.annotation))
    ]


def shapes(parameter: inspect.Parameter, text: str) -> Iterator[Any]:
    """The unstorable text in each shape that the annotation allows."""
    annotation = str(parameter.annotation)
    if "Mapping" in annotation and "Plaintext" in annotation:
        yield {"email": Plaintext(text)}
        yield {text: Plaintext("a@example.com")}
    elif "Mapping" in annotation:
        yield from ({"key": text}, {text: 1}, {"key": ["a", {"b": (text,)}]})
    elif "Collection" in annotation:
        yield ["crisis", text]
    elif "Plaintext" in annotation:
        yield from (Plaintext(text), Plaintext({"answers": [text]}))
    else:
        yield text


def call_with(service: Callable[..., Any], parameter: inspect.Parameter, value: Any) -> None:
    """Call the service with ``value``, and None for the other arguments that it requires."""
    args, kwargs = [], {}
    for other in inspect.signature(service).parameters.values():
        given = value if other is parameter or other.name == parameter.name else None
        if other.kind is other.VAR_KEYWORD:
            if other.name == parameter.name:
                kwargs["title"] = value
        elif other.kind is other.KEYWORD_ONLY:
            if other.name == parameter.name or other.default is other.empty:
                kwargs[other.name] = given
        else:
            args.append(given)
    service(*args, **kwargs)


def test_registry_has_every_service() -> None:
    assert len(services()) > 50
    assert {"booking.services.book_appointment", "audit.services.publish_event"} <= {*services()}


@pytest.mark.django_db
@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE)
@advises
def test_services_refuse_unstorable_text_in_every_argument(text: str) -> Iterator[str]:
    for name, service in services().items():
        for parameter in text_parameters(service):
            for value in shapes(parameter, text):
                outcome = refusal_of(service, parameter, value)
                if outcome:
                    yield (
                        f"{file_of(inspect.unwrap(service))}: decorate with @transactional or "
                        f"@storable_arguments `{name}`: {parameter.name} {outcome}"
                    )


def refusal_of(service: Callable[..., Any], parameter: inspect.Parameter, value: Any) -> str:
    """Empty if the service refuses ``value`` as it should."""
    with CaptureQueriesContext(connection) as queries:
        try:
            call_with(service, parameter, value)
        except InvalidInput as refusal:
            fields = {parameter.name, "title", "channel", "email"}
            if refusal.details.get("field") not in fields | {parameter.name}:
                return f"is not named: {refusal.details}"
        except Exception as error:
            return f"raises {type(error).__name__}"
        else:
            return "is accepted"
    return f"is refused after {len(queries)} queries" if len(queries) else ""


@pytest.mark.django_db
def test_service_without_the_decorator_is_named() -> None:
    def unprotected(name: str) -> None:
        """Accepts everything."""

    (parameter,) = text_parameters(unprotected)
    assert refusal_of(unprotected, parameter, "\0") == "is accepted"
    assert refusal_of(storable_arguments(unprotected), parameter, "\0") == ""


@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE)
def test_text_is_looked_for_at_any_depth(text: str) -> None:
    loop: list[Any] = ["a"]
    loop.append(loop)
    assert is_storable(["a", {"b": ("c", {"d"}, 1, None, 1.5, b"\0")}, loop])
    loop.append({"deep": [text]})
    for value in (
        text,
        [text],
        (text,),
        {text},
        {text: 1},
        {"a": text},
        {"a": [{"b": text}]},
        loop,
    ):
        assert not is_storable(value)
    deep: Any = text
    for _level in range(10_000):
        deep = [deep]
    assert not is_storable(deep)


def test_rows_and_plaintexts_are_looked_into() -> None:
    for value in (Plaintext("\0"), Plaintext({"a": ["\0"]}), Topic(code="\0"), [Topic(code="\0")]):
        with pytest.raises(InvalidInput) as caught:
            require_storable(value, "topic")
        assert caught.value.details == {"field": "topic"}
    require_storable([Plaintext("Тревога\n🌅"), Topic(code="panic"), None], "topic")
