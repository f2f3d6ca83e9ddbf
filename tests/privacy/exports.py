"""Shared by the tests of exports: people with a diary, files and commands."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZipFile

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ebalance.db.encryption.fields import Plaintext
from ebalance.privacy.exports import storage
from identity.models import DataExportRequest
from tests.factories import DiaryEntryFactory, UserFactory
from tests.support import execute

SECRET = "Тайна, о которой знает только дневник"
requests = DataExportRequest.objects


def diarist(**values: Any) -> Any:
    person = UserFactory(**values)
    payload = {"version": 1, "items": [{"text": SECRET}]}
    DiaryEntryFactory(user=person, payload_encrypted=Plaintext(payload))
    return person


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def read(request: DataExportRequest) -> bytes:
    with storage.open_for(request) as stream:
        return stream.read()


def document_of(request: DataExportRequest) -> dict[str, Any]:
    with ZipFile(io.BytesIO(read(request))) as archive:
        return json.loads(archive.read("data.json"))


def command(*arguments: str) -> str:
    output = io.StringIO()
    call_command("process_exports", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def refused(*arguments: str) -> tuple[str, str]:
    """The output of the command, and the message with which it fails."""
    output = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("process_exports", *arguments, stdout=output, stderr=output)
    return output.getvalue(), str(caught.value)


def audited() -> list[tuple[str, UUID, dict[str, Any]]]:
    connection.check_constraints()
    rows = execute(
        "SELECT entity_type, entity_id, new_value FROM audit_log_entries "
        "WHERE action = 'data_exported' ORDER BY seq"
    )
    return [(row["entity_type"], row["entity_id"], loaded(row["new_value"])) for row in rows]


def loaded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
