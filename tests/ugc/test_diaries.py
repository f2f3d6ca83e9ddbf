"""Diaries: sealed; a deleted entry keeps no text."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.utils import timezone

from tests.factories import DiaryEntryFactory, UserFactory, sealed
from tests.rule_cases import UPDATES, Change, copy_rows
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
    loop_over,
)
from tests.support import Case, execute, refuses
from ugc.models import DiaryEntry

pytestmark = pytest.mark.django_db

GONE = "diary_entries_deleted_means_gone"
SEALED = "diary_entries_payload_encrypted_is_sealed"


def entry(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, DiaryEntryFactory, values, rule)


@case_groups(
    entry("written"),
    entry("of long ago", entry_date=date(2000, 1, 1)),
    entry("deleted", deleted=True),
    entry("deleted, text kept", GONE, deleted_at=timezone.now),
    entry("without a text", GONE, payload_encrypted=None),
)
def test_an_entry_has_a_text_until_it_is_deleted(group: CaseGroup) -> None:
    check_case_group(group)


def change(name: str, rule: str | None = None, /, deleted: bool = False, **to: Any) -> Change:
    return Change(name, DiaryEntryFactory, {"deleted": deleted}, to, rule)


@change_groups(
    change("deleted, text kept", GONE, deleted_at=lambda row: timezone.now()),
    change("text lost", GONE, payload_encrypted=None),
    change("deleted", deleted_at=lambda row: timezone.now(), payload_encrypted=None),
    change("another text", payload_encrypted=lambda row: sealed()),
    change("text back", GONE, deleted=True, payload_encrypted=lambda row: sealed()),
    change("undeleted without a text", GONE, deleted=True, deleted_at=None),
    write_paths=UPDATES,
)
def test_deleted_entry_has_no_text(group: ChangeGroup) -> None:
    check_change_group(group)


PLAIN = ["Сегодня мне было грустно", '{"mood": 3}', "", "null", "v1.k1.", "v1.k1." + "A" * 38]


@loop_over("plain", PLAIN)
def test_unsealed_diary_is_refused(plain: str) -> None:
    """Through INSERT, UPDATE and COPY."""
    owner = UserFactory()
    names = ["user_id", "diary_type", "entry_date", "payload_encrypted"]
    row = [owner.pk, "emotions", "2027-03-01", plain]
    with refuses(SEALED, "diary_entries"):
        execute(f"INSERT INTO diary_entries ({', '.join(names)}) VALUES (%s, %s, %s, %s)", row)
    with refuses(SEALED, "diary_entries"):
        copy_rows("diary_entries", names, [row])
    DiaryEntryFactory(user=owner)
    with refuses(SEALED, "diary_entries"):
        execute("UPDATE diary_entries SET payload_encrypted = %s", [plain])
    assert DiaryEntry.objects.count() == 1
