"""Helpers for tests of sealed columns: the columns, filled rows, and recorded statements."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, models
from django.utils import timezone

from crm.models import LeadIdentity
from ebalance.db.apps import PROJECT_APPS
from ebalance.db.encryption.fields import Plaintext, ProtectedField, SealedField, protected_fields
from ebalance.db.encryption.keys import Keyring, _parse, generate
from identity.models import SecondFactor
from tests.factories import (
    FACTORIES,
    AnonymousQuestionFactory,
    LeadFactory,
    SecondFactorFactory,
    UserFactory,
)
from ugc.models import AnonymousQuestion

MODELS = [
    model
    for label in PROJECT_APPS
    for model in apps.get_app_config(label).get_models()
    if protected_fields(model)
]
COLUMNS: list[ProtectedField] = [field for model in MODELS for field in protected_fields(model)]
SEALED: list[SealedField] = [field for field in COLUMNS if isinstance(field, SealedField)]

EMAIL, PHONE = "anna@example.com", "+79991234567"


def name_of(item: Any) -> str:
    return item.qualified_name if isinstance(item, ProtectedField) else item._meta.db_table


each_model = pytest.mark.parametrize("model", MODELS, ids=name_of)
each_column = pytest.mark.parametrize("field", COLUMNS, ids=name_of)
each_sealed = pytest.mark.parametrize("field", SEALED, ids=name_of)


def identity(**contacts: Any) -> LeadIdentity:
    given = {"email_encrypted": EMAIL, "phone_encrypted": PHONE} | contacts
    return LeadIdentity.objects.create(
        lead=LeadFactory(),
        **{name: Plaintext(text) for name, text in given.items() if text is not None},
    )


def filled_row(model: type[models.Model]) -> Any:
    """A stored row with every protected column filled, read back from the database."""
    if model is LeadIdentity:
        row = identity()
    elif model is AnonymousQuestion:
        row = AnonymousQuestionFactory(user=UserFactory(), contact_value_encrypted=Plaintext(EMAIL))
    elif model is SecondFactor:
        # Fixtures have milliseconds, and these times never change.
        whole = timezone.now().replace(microsecond=0)
        row = SecondFactorFactory(created_at=whole, confirmed_at=whole)
    else:
        row = FACTORIES[model]()
    return reload(row)


def reload(row: models.Model) -> Any:
    """Read the row again from the database."""
    return type(row)._base_manager.get(pk=row.pk)


def texts(row: models.Model) -> dict[str, str | None]:
    """The stored texts of the protected columns."""
    names = [f.column for f in protected_fields(type(row))]
    with connection.cursor() as cursor:
        columns = ", ".join(f'"{name}"' for name in names)
        cursor.execute(
            f'SELECT {columns} FROM "{row._meta.db_table}" WHERE "id" = %s', [str(row.pk)]
        )
        return dict(zip(names, cursor.fetchone(), strict=True))


class RecordedStatements:
    """The statements that a block sent, with their values."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, str]] = []

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if "SAVEPOINT" not in sql:
            self.statements.append((str(sql), repr(params)))
        return execute(sql, params, many, context)

    @property
    def writes(self) -> list[str]:
        return [sql for sql, _ in self.statements if sql.startswith(("INSERT", "UPDATE"))]

    def holds(self, marker: str) -> bool:
        return any(marker in f"{sql} {params}" for sql, params in self.statements)


@contextmanager
def record_sql() -> Iterator[RecordedStatements]:
    log = RecordedStatements()
    with connection.execute_wrapper(log):
        yield log


def format_error(error: BaseException, *, ours: bool = False) -> str:
    """Format an error like an error reporter: causes, and frames with their local variables.

    ``ours`` limits the frames to the project's code.
    """
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    links, lines = [report], []
    while links:
        link = links.pop()
        lines += link.format_exception_only()
        for frame in link.stack:
            if not ours or is_ours(frame.filename):
                lines += [frame.filename, *(frame.locals or {}).values()]
        links += [more for more in (link.__cause__, link.__context__) if more]
    return "\n".join(lines)


def is_ours(filename: str) -> bool:
    return any(
        Path(filename).is_relative_to(settings.BASE_DIR / label)
        for label in ("ebalance", *PROJECT_APPS)
    )


def ring(*ids: str) -> Keyring:
    return Keyring(_parse(",".join(map(generate, ids)), "the test"))


def rotate_ring(old: Keyring, id: str = "k2") -> Keyring:
    """Put a new key before the keys of ``old``."""
    return Keyring([ring(id).primary, *old])
