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
from tests.support import Case, breaks, insert_sql, save_related

pytestmark = pytest.mark.django_db

KEY, ENDING = "media_assets_object_key_is_object_key", "media_assets_object_key_agrees"
AGREES, KNOWN = "media_assets_mime_agrees", "media_assets_mime_type_is_known"
SIZE, DESCRIBED = "media_assets_size_within_limit", "media_assets_image_is_described"
MIB = 2**20


def files(field: str, rule: str | None, *values: Any, **row: Any) -> list[Case]:
    return [
        Case(f"{' '.join(row)} {value!r}", MediaAssetFactory, {**row, field: value}, rule)
        for value in values
    ]


@case_groups(
    *files("object_key", None, "a.webp", "2026/01/a.webp", "a/b/c/d-1_2.webp", "x.php.webp"),
    *files("object_key", None, "a.mp3", audio=True),
    *files("object_key", None, "a.pdf", pdf=True),
    *files("object_key", KEY, "/a.webp", "//a.webp", "a//b.webp", "../a.webp", "a/../b.webp"),
    *files("object_key", KEY, "a/./b.webp", r"a\b.webp", r"..\a.webp", "..%2fa.webp", "a b.webp"),
    *files("object_key", KEY, " a.webp", "рассвет.webp", "A.webp", ".a.webp", "a/.b.webp"),
    *files("object_key", ENDING, "a", "webp", "x.php", "a.svg", "a.jpg", "a.webp.php", "a.mp3"),
    *files("object_key", ENDING, "a.webp", "a.mp3.webp", audio=True),
    *files("object_key", ENDING, "a.webp", pdf=True),
    others=["sql"],
)
def test_object_key_ends_as_its_kind_and_leads_nowhere_else(group: CaseGroup) -> None:
    check_case_group(group)


@case_groups(
    Case(
        "the same",
        MediaAssetFactory,
        {"object_key": lambda: MediaAssetFactory(object_key="a.webp").object_key},
        "media_assets_object_key_unique",
    ),
    Case(
        "in another folder",
        MediaAssetFactory,
        {"object_key": lambda: f"b/{MediaAssetFactory(object_key='a.webp').object_key}"},
    ),
)
def test_object_key_belongs_to_one_file(group: CaseGroup) -> None:
    check_case_group(group)


IMAGES = {"image/webp": "webp", "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif"}
IMAGES["image/avif"] = "avif"
SOUNDS = {"audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/mp4": "m4a"}
UNKNOWN = ["image/svg+xml", "image/", "IMAGE/webp", "image/webp; a=b", "image/webp\n", "text/html"]


@case_groups(
    *(
        case
        for kind, types in {"image": IMAGES, "audio": SOUNDS}.items()
        for mime, ending in types.items()
        for case in files("mime_type", None, mime, media_type=kind, object_key=f"a.{ending}")
    ),
    *files("mime_type", None, "application/pdf", pdf=True),
    *files("mime_type", AGREES, "audio/mpeg", object_key="a.mp3"),
    *files("mime_type", AGREES, "image/webp", audio=True, object_key="a.webp"),
    *files("mime_type", AGREES, "image/webp", pdf=True, object_key="a.webp"),
    *files("mime_type", AGREES, "application/pdf", object_key="a.pdf"),
    others=["sql"],
)
def test_mime_type_agrees_with_the_kind(group: CaseGroup) -> None:
    check_case_group(group)


@pytest.mark.parametrize("mime_type", UNKNOWN)
@breaks(KNOWN)
def test_other_mime_types_are_not_stored(mime_type: str) -> None:
    asset = MediaAssetFactory.build(mime_type=mime_type, media_type="image")
    save_related(asset)
    with refuses_by_any_rule():
        insert_sql(asset)


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
    Change("moved up", MediaAssetFactory, {}, {"object_key": "../a.webp"}, KEY),
    Change("grown", MediaAssetFactory, {}, {"size_bytes": 10 * MIB + 1}, SIZE),
    Change("another kind", MediaAssetFactory, {}, {"media_type": "audio"}, AGREES),
    Change(
        "another kind, too large for it",
        MediaAssetFactory,
        {"audio": True, "size_bytes": 30 * MIB},
        {"media_type": "pdf", "mime_type": "application/pdf", "object_key": "a.pdf"},
        SIZE,
    ),
    Change(
        "another kind, undescribed",
        MediaAssetFactory,
        {"audio": True, "size_bytes": MIB},
        {"media_type": "image", "mime_type": "image/webp", "object_key": "a.webp"},
        DESCRIBED,
    ),
    Change(
        "another kind in full",
        MediaAssetFactory,
        {},
        {
            "media_type": "audio",
            "mime_type": "audio/mpeg",
            "object_key": "a.mp3",
            "alt_text": None,
        },
    ),
    write_paths=ALL_WRITE_PATHS,
)
def test_a_file_changes_by_the_same_rules(group: ChangeGroup) -> None:
    check_change_group(group)


@loop_over(
    ("row", "rule"),
    [
        (("../a.webp", "image/webp", 1, "Рассвет"), KEY),
        (("a.webp", "text/html", 1, "Рассвет"), AGREES),
        (("a.webp", "image/webp", 0, "Рассвет"), SIZE),
        (("a.webp", "image/webp", 1, None), DESCRIBED),
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
