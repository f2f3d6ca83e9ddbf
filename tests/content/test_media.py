"""Uploaded files: paths, types, sizes and descriptions."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from psycopg import errors

from content.models import MediaAsset
from tests.adversarial_sql import refuses_by_any_rule
from tests.factories import MediaAssetFactory, UserFactory
from tests.rule_cases import ALL_WRITE_PATHS, Change
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
    loop_over,
)
from tests.support import Case, insert_sql, save_related

pytestmark = pytest.mark.django_db

RELATIVE, AGREES = "media_assets_object_key_is_relative", "media_assets_mime_agrees"
SIZE, DESCRIBED = "media_assets_size_within_limit", "media_assets_image_is_described"
MIB = 2**20


def files(field: str, rule: str | None, *values: Any, **row: Any) -> list[Case]:
    return [
        Case(f"{' '.join(row)} {value!r}", MediaAssetFactory, {**row, field: value}, rule)
        for value in values
    ]


@case_groups(
    *files(
        "object_key", None, "a", "2026/01/a.webp", "a/b/c/d.mp3", ".hidden/a", "a/.b", "рассвет"
    ),
    *files("object_key", None, "...", "a/...", "..a/b", "a../b"),
    *files("object_key", RELATIVE, "/", "/a", "/etc/passwd", "//a", "a//b"),
    *files("object_key", RELATIVE, "..", "../a", "a/..", "a/../b", "a/b/../../../c", ".", "./a"),
    *files("object_key", RELATIVE, "a/./b", "a/.", r"a\b", r"a\..\b", "a b", " a", "a ", "a\n"),
    *files("object_key", RELATIVE, "\na", "a\t", "\u00a0/a"),
    others=["sql"],
)
def test_object_key_is_a_relative_path(group: CaseGroup) -> None:
    check_case_group(group)


@loop_over("object_key", [r"\a", r"\..", r"\\server"])
def test_path_does_not_start_with_a_backslash(object_key: str) -> None:
    asset = MediaAssetFactory.build(object_key=object_key)
    save_related(asset)
    with refuses_by_any_rule():
        insert_sql(asset)


@case_groups(
    Case(
        "the same",
        MediaAssetFactory,
        {"object_key": lambda: MediaAssetFactory(object_key="a.webp").object_key},
        "media_assets_object_key_unique",
    ),
    Case(
        "in another case",
        MediaAssetFactory,
        {"object_key": lambda: MediaAssetFactory(object_key="a.webp").object_key.upper()},
    ),
)
def test_object_key_belongs_to_one_file(group: CaseGroup) -> None:
    check_case_group(group)


IMAGES = ["image/webp", "image/jpeg", "image/svg+xml", "image/vnd.microsoft.icon"]
SOUNDS = ["audio/mpeg", "audio/ogg", "audio/x-m4a"]
OTHERS = ["text/html", "video/mp4", "application/octet-stream", "application/x-pdf"]


@case_groups(
    *files("mime_type", None, *IMAGES),
    *files("mime_type", None, *SOUNDS, audio=True),
    *files("mime_type", None, "application/pdf", pdf=True),
    *files("mime_type", AGREES, *SOUNDS, "application/pdf", *OTHERS),
    *files("mime_type", AGREES, *IMAGES, "application/pdf", *OTHERS, audio=True),
    *files("mime_type", AGREES, *IMAGES, *SOUNDS, *OTHERS, "application/pdf2", pdf=True),
    *files("mime_type", AGREES, "image", "image/", "IMAGE/webp", "image/WEBP", "image/webp; a=b"),
    *files("mime_type", AGREES, "image/webp\n", " image/webp", "ximage/webp", "image/webp/audio"),
    others=["sql"],
)
def test_the_mime_type_agrees_with_the_kind(group: CaseGroup) -> None:
    check_case_group(group)


@case_groups(
    *files("size_bytes", None, 1, 10 * MIB),
    *files("size_bytes", SIZE, -1, 0, 10 * MIB + 1, 20 * MIB, 2**40),
    *files("size_bytes", None, 1, 10 * MIB + 1, 50 * MIB, audio=True),
    *files("size_bytes", SIZE, 0, 50 * MIB + 1, audio=True),
    *files("size_bytes", None, 1, 10 * MIB + 1, 20 * MIB, pdf=True),
    *files("size_bytes", SIZE, 0, 20 * MIB + 1, pdf=True),
)
def test_a_file_has_a_size_within_the_limit_of_its_kind(group: CaseGroup) -> None:
    check_case_group(group)


BLANK = ["", " ", "\t\n", "\u00a0\u200b"]


@case_groups(
    *files("alt_text", None, "Рассвет", " — "),
    *files("alt_text", DESCRIBED, None, *BLANK),
    *files("alt_text", None, None, *BLANK, "Рассвет", is_decorative=True),
    *files("alt_text", None, None, *BLANK, audio=True),
    *files("alt_text", None, None, pdf=True),
)
def test_an_image_is_described_or_decorative(group: CaseGroup) -> None:
    check_case_group(group)


@change_groups(
    Change("the text goes", MediaAssetFactory, {}, {"alt_text": None}, DESCRIBED),
    Change("the text is blanked", MediaAssetFactory, {}, {"alt_text": " "}, DESCRIBED),
    Change(
        "no longer decorative",
        MediaAssetFactory,
        {"decorative": True},
        {"is_decorative": False},
        DESCRIBED,
    ),
    Change(
        "decorative instead",
        MediaAssetFactory,
        {},
        {"alt_text": None, "is_decorative": True},
    ),
    Change("moved up", MediaAssetFactory, {}, {"object_key": "../a.webp"}, RELATIVE),
    Change("grown", MediaAssetFactory, {}, {"size_bytes": 10 * MIB + 1}, SIZE),
    Change("another kind", MediaAssetFactory, {}, {"media_type": "audio"}, AGREES),
    Change(
        "another kind, too large for it",
        MediaAssetFactory,
        {"audio": True, "size_bytes": 30 * MIB},
        {"media_type": "pdf", "mime_type": "application/pdf"},
        SIZE,
    ),
    Change(
        "another kind, undescribed",
        MediaAssetFactory,
        {"audio": True, "size_bytes": MIB},
        {"media_type": "image", "mime_type": "image/webp"},
        DESCRIBED,
    ),
    Change(
        "another kind in full",
        MediaAssetFactory,
        {},
        {"media_type": "audio", "mime_type": "audio/mpeg", "alt_text": None},
    ),
    write_paths=ALL_WRITE_PATHS,
)
def test_a_file_changes_by_the_same_rules(group: ChangeGroup) -> None:
    check_change_group(group)


@loop_over(
    ("row", "rule"),
    [
        (("../a", "image/webp", 1, "Рассвет"), RELATIVE),
        (("a", "text/html", 1, "Рассвет"), AGREES),
        (("a", "image/webp", 0, "Рассвет"), SIZE),
        (("a", "image/webp", 1, None), DESCRIBED),
    ],
)
def test_copy_follows_the_same_rules(row: tuple[Any, ...], rule: str) -> None:
    key, mime, size, alt = row
    uploader = UserFactory().pk
    with pytest.raises(errors.CheckViolation) as caught, connection.cursor() as cursor:  # noqa: PT012
        statement = (
            "COPY media_assets (object_key, public_url, media_type, mime_type, size_bytes, "
            "alt_text, uploaded_by_user_id) FROM STDIN"
        )
        with cursor.copy(statement) as copy:
            copy.write_row((key, "/media/a", "image", mime, size, alt, uploader))
    assert caught.value.diag.constraint_name == rule


def test_file_is_in_the_local_storage_by_default() -> None:
    asset = MediaAssetFactory()
    assert MediaAsset.objects.values_list("storage_provider", "is_decorative").get(pk=asset.pk) == (
        "local_fs",
        False,
    )
