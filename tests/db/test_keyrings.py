"""Key rings: accepted and refused texts, messages, and the development key."""

from __future__ import annotations

import base64
import copy
import itertools
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import override_settings
from django.views.debug import get_default_exception_reporter_filter

from ebalance.db.encryption import keys
from ebalance.db.encryption.envelope import blind_index, open_sealed, seal
from ebalance.db.encryption.keys import BadKeys, DevelopmentKeyring, Keyring
from tests.case_loops import check_each
from tests.databases import Database
from tests.processes import ROOT, environment, manage


@pytest.fixture(autouse=True)
def private_files() -> Iterator[None]:
    """Key files belong to their user alone, as production requires."""
    before = os.umask(0o077)
    yield
    os.umask(before)


NAME = "EBALANCE_ENCRYPTION_KEYS"
RINGS = (NAME, "EBALANCE_BLIND_INDEX_KEYS")
MATERIAL = [bytes(range(n, n + 64, 2)) for n in (5, 60, 120)]
K1, K2, K3 = (base64.b64encode(material).decode() for material in MATERIAL)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Keyring]:
    """Read a ring from an environment with the variable's value or the file's name."""

    def reader(value: str | None = None, file: str | Path | None = None, **options) -> Keyring:
        for name, given in ((NAME, value), (f"{NAME}_FILE", file)):
            monkeypatch.delenv(name, raising=False)
            if given is not None:
                monkeypatch.setenv(name, str(given))
        options = {"deployed": True, "development_file": tmp_path / "made" / "key"} | options
        return keys.from_environment(NAME, **options)

    return reader


def forms(text: str) -> set[str]:
    """The forms of a key: every piece of its base64, and its bytes."""
    pieces = {text[i : i + 6] for i in range(len(text) - 5)}
    material = base64.b64decode(text)
    return pieces | {material.hex(), repr(material)[2:-1], str(list(material))[1:-1]}


def check_shows_no_key(text: str, *more: str) -> None:
    for key in (K1, K2, K3, *more):
        assert not any(form in text for form in forms(key))


def refusal(action: Callable[[], object]) -> str:
    """The single line of a refusal; neither the line nor our frames hold a part of a key."""
    with pytest.raises(BadKeys) as caught:
        action()
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert isinstance(error, ImproperlyConfigured)  # the command line prints it in one line
    shown, traceback = [str(error), repr(error)], error.__traceback__
    while traceback is not None:
        if "ebalance" in Path(traceback.tb_frame.f_code.co_filename).parts:
            shown += map(repr, traceback.tb_frame.f_locals.values())
        traceback = traceback.tb_next
    check_shows_no_key("\n".join(shown))
    assert "\n" not in str(error)
    return str(error)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Switch from root, which may read and write anything, to the user `nobody`."""
    privileged = os.geteuid() == 0
    if privileged:
        os.seteuid(65534)
    try:
        yield
    finally:
        if privileged:
            os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# Accepted texts


def test_first_key_seals_and_every_key_opens(read) -> None:
    ring = read(f"k2:{K2},k1:{K1},a1b2c3d4e5f6g7h8:{K3}")
    assert [key.id for key in ring] == ["k2", "k1", "a1b2c3d4e5f6g7h8"]
    assert ring.primary is ring.by_id["k2"]
    assert [key.material for key in ring] == [MATERIAL[1], MATERIAL[0], MATERIAL[2]]
    turned = read(f"k1:{K1},k2:{K2}")
    context = (b"t", uuid.uuid4())
    assert open_sealed(seal(b"x", *context, ring), *context, turned) == b"x"
    assert seal(b"x", *context, turned).startswith("v1.k1.")


def test_blanks_and_line_ends_between_entries_are_ignored(read, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    for text in (
        f" k2:{K2},k1:{K1} ",
        f"k2:{K2},k1:{K1}\n",
        f"k2:{K2}, k1:{K1}",
        f"k2:{K2},\nk1:{K1}\n",
        f"k2:{K2} ,\r\n\tk1:{K1}\r\n",
        f"\n\nk2:{K2},k1:{K1}\n\n",
    ):
        assert list(read(text).by_id) == ["k2", "k1"], ascii(text)
        file.write_text(text, newline="")
        assert [key.material for key in read(file=file)] == [MATERIAL[1], MATERIAL[0]], ascii(text)


def test_generated_entry_is_accepted(read) -> None:
    entries = [keys.generate(id) for id in ("k1", "k2", "0", "z" * 16)]
    ring = read(",".join(entries))
    assert {len(key.material) for key in ring} == {32}
    assert not any(key.is_for_development for key in ring)


def test_no_entry_is_generated_for_a_wrong_id() -> None:
    for id in ("", "K1", "k 1", "k_1", "k1\n", "к1", "k" * 17, "k1,k2", "k١"):
        with pytest.raises(BadKeys, match="1 to 16"):
            keys.generate(id)


# Refused texts


def damaged(material: bytes) -> str:
    return base64.b64encode(material).decode()


NO_ID, NO_KEY, WEAK = "does not begin with a key id", "not the base64 of 32 bytes", "not random"
REFUSED = {
    "a key without its id": (K1, NO_ID),
    "an empty id": (f":{K1}", NO_ID),
    "an upper-case id": (f"K1:{K1}", NO_ID),
    "a long id": (f"{'k' * 17}:{K1}", NO_ID),
    "an id with a dot": (f"k.1:{K1}", NO_ID),
    "an id in Cyrillic": (f"к1:{K1}", NO_ID),
    "a blank before the colon": (f"k1 :{K1}", NO_ID),
    "a byte order mark": (f"\ufeffk1:{K1}", NO_ID),
    "quotes": (f'"k1:{K1}"', NO_ID),
    "key and id exchanged": (f"{K1}:k1", NO_ID),
    "another separator": (f"k1={K1}", NO_ID),
    "a comma only": (",", "Entry 1"),
    "blanks only": (" \n", NO_ID),
    "a comma at the end": (f"k1:{K1},", "Entry 2"),
    "a comma at the beginning": (f",k1:{K1}", "Entry 1"),
    "two commas": (f"k1:{K1},,k2:{K2}", "Entry 2"),
    "a neighbour without id": (f"k1:{K1},{K2}", "Entry 2"),
    "another separator of entries": (f"k1:{K1};k2:{K2}", "key k1"),
    "lines instead of commas": (f"k1:{K1}\nk2:{K2}", "key k1"),
    "no key": ("k1:", NO_KEY),
    "a short key": (f"k1:{damaged(MATERIAL[0][:31])}", NO_KEY),
    "a short key behind a good one": (f"k2:{K2},k1:{damaged(MATERIAL[0][:16])}", "key k1"),
    "a long key": (f"k1:{damaged(MATERIAL[0] + b'x')}", NO_KEY),
    "two keys in one": (f"k1:{damaged(MATERIAL[0] + MATERIAL[1])}", NO_KEY),
    "hexadecimal": (f"k1:{MATERIAL[0].hex()}", NO_KEY),
    "text": ("k1:correct horse battery staple", NO_KEY),
    "base64url": (f"k1:{base64.urlsafe_b64encode(bytes(range(224, 256))).decode()}", NO_KEY),
    "without its padding": (f"k1:{K1.rstrip('=')}", NO_KEY),
    "too much padding": (f"k1:{K1}=", NO_KEY),
    "something behind it": (f"k1:{K1}AAAA", NO_KEY),
    "a blank inside": (f"k1:{K1[:9]} {K1[9:]}", NO_KEY),
    "a line end inside": (f"k1:{K1[:9]}\n{K1[9:]}", NO_KEY),
    "a blank before the key": (f"k1: {K1}", NO_KEY),
    "Cyrillic in the key": (f"k1:{K1[:9]}ж{K1[9:]}", NO_KEY),
    "half of a surrogate pair": (f"k1:{K1}\udcff", NO_KEY),
    "zeros": (f"k1:{damaged(bytes(32))}", WEAK),
    "one byte": (f"k2:{K2},k1:{damaged(b'k' * 32)}", WEAK),
    "a short word, many times": (f"k1:{damaged(b'secret--' * 4)}", WEAK),
    "one id twice": (f"k1:{K1},k1:{K2}", "one key id twice"),
    "one entry twice": (f"k1:{K1},k1:{K1}", "one key id twice"),
    "one key under two ids": (f"k1:{K1},k2:{K1}", "the same key under two ids"),
}


@pytest.mark.parametrize("deployed", [True, False], ids=["deployed", "development"])
def test_bad_ring_is_refused(read, deployed: bool) -> None:
    def check(case: tuple[str, str]) -> None:
        text, part = case
        line = refusal(lambda: read(text, deployed=deployed))
        assert part in line
        assert NAME in line

    check_each(REFUSED.items(), check, undo=False)


def test_bad_ring_in_a_file_is_refused(read, tmp_path: Path) -> None:
    file = tmp_path / "keys"

    def check(case: tuple[str, str]) -> None:
        text, part = case
        file.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        line = refusal(lambda: read(file=file))
        assert part in line if text.isascii() else "more than ASCII" in line
        assert f"{NAME}_FILE" in line

    check_each(REFUSED.items(), check, undo=False)


def test_missing_ring_is_refused_where_deployed(read) -> None:
    for value, file in itertools.product([None, ""], repeat=2):
        line = refusal(lambda value=value, file=file: read(value, file))
        assert NAME in line
        assert f"{NAME}_FILE" in line
        assert isinstance(read(value, file, deployed=False), DevelopmentKeyring)


def test_ring_without_keys_is_refused() -> None:
    with pytest.raises(BadKeys):
        Keyring([])


def test_two_sources_of_one_ring_are_refused(read, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"k1:{K1}")
    for deployed in (True, False):
        line = refusal(lambda: read(f"k1:{K1}", file, deployed=deployed))  # noqa: B023
        assert "both set" in line
    assert read("", file).primary.id == read(f"k1:{K1}", "").primary.id == "k1"


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "No such file"),
    "a folder": (lambda path: path.mkdir(), "Is a directory"),
    "in a file": (lambda path: path.parent.joinpath("x").write_text(K1), "Not a directory"),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "binary": (lambda path: path.write_bytes(MATERIAL[2] + b"\xff"), "more than ASCII"),
    "UTF-16": (lambda path: path.write_text(f"k1:{K1}", "utf-16"), "more than ASCII"),
    "UTF-8 with a mark": (lambda path: path.write_text(f"k1:{K1}", "utf-8-sig"), "ASCII"),
    "empty": (lambda path: path.write_text(""), "Entry 1"),
    "a line end": (lambda path: path.write_text("\r\n"), "Entry 1"),
    "NULs": (lambda path: path.write_bytes(bytes(64)), "Entry 1"),
}


def test_file_without_a_ring_is_refused(read, tmp_path: Path) -> None:
    def check(case: tuple[str, tuple[Any, str]]) -> None:
        name, (make, part) = case
        folder = tmp_path / name
        folder.mkdir()
        make(folder / "keys")
        path = folder / ("x/keys" if part == "Not a directory" else "keys")
        for deployed in (True, False):  # a named file is required
            line = refusal(lambda: read(file=path, deployed=deployed))  # noqa: B023
            assert part in line
            assert f"{NAME}_FILE" in line

    check_each([(name, (name, case)) for name, case in FILES.items()], check, undo=False)


def test_unreadable_file_is_refused(read, open_folder: Path) -> None:
    file = open_folder / "keys"
    file.write_text(f"k1:{K1}")
    file.chmod(0)
    with without_privileges():
        assert "Permission denied" in refusal(lambda: read(file=file))


def test_key_shared_by_two_purposes_is_refused(read) -> None:
    one, two, both = read(f"k1:{K1}"), read(f"k1:{K2}"), read(f"k3:{K3},k2:{K2}")
    keys.no_key_in_common(one, two)
    keys.no_key_in_common(one, both)
    assert "must not share" in refusal(lambda: keys.no_key_in_common(two, both))
    assert "must not share" in refusal(lambda: keys.no_key_in_common(one, one))


# The key of development


def development_entry(folder: Path, id: str) -> str:
    """A development key, as it might be copied to production."""
    DevelopmentKeyring(folder / id).primary  # noqa: B018
    return f"{id}:{(folder / id).read_text().partition(':')[2].strip()}"


def test_development_key_is_refused_where_deployed(read, tmp_path: Path) -> None:
    made = development_entry(tmp_path, "k9")
    for text in (made, f"{made},k1:{K1}", f"k1:{K1},{made}", f"k2:{K2},{made},k1:{K1}"):
        line = refusal(lambda text=text: read(text))
        assert "development key" in line
        check_shows_no_key(line, made.partition(":")[2])
        assert read(text, deployed=False).by_id["k9"].is_for_development


def test_development_key_is_made_at_its_first_use(tmp_path: Path) -> None:
    path = tmp_path / "some" / "folder" / "key"
    ring = DevelopmentKeyring(path)
    keys.no_key_in_common(ring, DevelopmentKeyring(tmp_path / "other"))
    assert str(path) in repr(ring)
    assert list(tmp_path.iterdir()) == []
    made = ring.primary
    assert [key.id for key in ring] == [made.id]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]  # no draft remains
    again = DevelopmentKeyring(path)
    assert (again.primary.id, again.primary.material) == (made.id, made.material)
    assert K1 not in repr(ring)


def test_two_machines_make_two_keys(tmp_path: Path) -> None:
    one, two = (DevelopmentKeyring(tmp_path / name).primary for name in "ab")
    assert one.id != two.id
    assert one.material != two.material


def test_threads_agree_on_one_key(tmp_path: Path) -> None:
    for attempt in range(20):
        rings = [DevelopmentKeyring(tmp_path / str(attempt)) for _ in range(8)]
        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(lambda ring: ring.primary.material, rings))) == 1
        shared = DevelopmentKeyring(tmp_path / f"{attempt} shared")
        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(lambda _, r=shared: r.primary.material, range(8)))) == 1


RACER = """
import hashlib, sys, time
from pathlib import Path
from ebalance.db.encryption.keys import DevelopmentKeyring
for line in sys.stdin:
    at, path = line.strip().split(" ", 1)
    while time.time() < float(at):
        pass
    key = DevelopmentKeyring(Path(path)).primary
    print(key.id, hashlib.sha256(key.material).hexdigest(), flush=True)
"""


@pytest.mark.slow
def test_processes_agree_on_one_key(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        for attempt in range(40):
            path = tmp_path / str(attempt) / "key"
            # The first attempt waits for the imports; then all start at the same time.
            at = time.time() + 0.05 if attempt else 0
            for racer in racers:
                racer.stdin.write(f"{at} {path}\n")
                racer.stdin.flush()
            assert len({racer.stdout.readline() for racer in racers}) == 1
            assert [file.name for file in path.parent.iterdir()] == ["key"]
    finally:
        for racer in racers:
            racer.communicate(timeout=60)


DAMAGED = {
    "empty": b"",
    "a line end": b"\n",
    "cut off": b"dev12345678:" + K1[:20].encode(),
    "not ASCII": b"dev1:\xff\xfe",
    "something else": b"SECRET_KEY=" + K1.encode(),
}


def test_damaged_development_key_is_named_and_kept(tmp_path: Path) -> None:
    """Values sealed with it would never open again."""
    path = tmp_path / "key"
    for content in DAMAGED.values():
        path.write_bytes(content)
        for _ in range(2):
            ring = DevelopmentKeyring(path)
            with pytest.raises(BadKeys, match=str(path)) as caught:
                ring.primary  # noqa: B018
            check_shows_no_key(str(caught.value))
            assert path.read_bytes() == content
            assert list(tmp_path.iterdir()) == [path]


def test_read_only_folder_is_refused(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    for path in (open_folder / "key", open_folder / "below" / "key"):
        with without_privileges(), pytest.raises(BadKeys, match="Permission denied"):
            DevelopmentKeyring(path).primary  # noqa: B018
    assert list(open_folder.iterdir()) == []


def test_the_development_keys_are_outside_version_control() -> None:
    """The default data folder of a checkout is ignored."""
    for purpose in ("encryption", "blind-index"):
        path = f".data/development-{purpose}-key"
        result = subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT)
        assert result.returncode in (0, 128)  # 128: an unpacked archive is no repository
    assert ".data" in (ROOT / ".gitignore").read_text()


# Nothing shows a key


SHOWN: dict[str, Callable[[Any], object]] = {
    "str": str,
    "repr": repr,
    "format": "{}".format,
    "percent": lambda value: f"{value!r:>40}",
    "in a list": lambda value: repr([value, {"key": value}]),
    "vars": lambda value: repr(vars(value)),
    "JSON by str": lambda value: json.dumps(value, default=str),
    "JSON by vars": lambda value: json.dumps([vars(value)], default=repr),
}


def test_nothing_shows_a_key(read) -> None:
    ring = read(f"k1:{K1},k2:{K2}")
    ring.primary.aead.encrypt(bytes(12), b"x", b"")  # caches the cipher
    for show in SHOWN.values():
        for value in (ring, ring.primary, *ring):
            check_shows_no_key(str(show(value)))
    assert "k1" in repr(ring)


def test_keys_cannot_be_copied(read, tmp_path: Path) -> None:
    ring = read(f"k1:{K1}")
    path = tmp_path / "key"
    for take in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        for value in (ring, ring.primary, DevelopmentKeyring(path)):
            with pytest.raises(TypeError) as caught:
                take(value)
            check_shows_no_key(str(caught.value))
    assert not path.exists()


def test_error_page_and_diffsettings_show_no_key(read, tmp_path: Path, capsys) -> None:
    path = tmp_path / "key"
    one, two = read(f"k1:{K1},k3:{K3}"), DevelopmentKeyring(path)
    # Also under a plain name that Django does not take for a secret.
    with override_settings(ENCRYPTION_KEYS=one, BLIND_INDEX_KEYS=two, PLAIN=[one, {"x": two}]):
        page = get_default_exception_reporter_filter().get_safe_settings()
        call_command("diffsettings", all=True)
    output = repr(page) + capsys.readouterr().out
    assert "ENCRYPTION_KEYS" in output
    check_shows_no_key(output)
    assert not path.exists()


@pytest.mark.parametrize("name", RINGS)
def test_settings_hold_no_text_of_a_ring(name: str) -> None:
    """Settings hold rings, but not the text from the environment."""
    secret = os.environ[name].partition(":")[2]
    for setting in dir(project):
        assert secret not in repr(getattr(project, setting))


def test_keys_are_independent_of_the_secret_key(settings, tmp_path: Path) -> None:
    context = (b"notes.text", uuid.uuid4())
    path = tmp_path / "key"
    settings.SECRET_KEY, before = "a" * 50, DevelopmentKeyring(path)
    text, index = seal(b"x", *context), blind_index("a@example.com")
    settings.SECRET_KEY, after = "b" * 50, DevelopmentKeyring(path)
    assert before.primary.material == after.primary.material
    assert open_sealed(text, *context) == b"x"
    assert blind_index("a@example.com") == index


# The whole program

GOOD = {
    "EBALANCE_ENV": "prod",
    "SECRET_KEY": "".join(chr(35 + i) for i in range(60)),
    "ALLOWED_HOSTS": "a.example",
    "DATABASE_URL": "postgres://h/db",
    "EBALANCE_ENCRYPTION_KEYS": f"k2:{K2},k1:{K1}",
    "EBALANCE_ENCRYPTION_KEYS_FILE": "",
    "EBALANCE_BLIND_INDEX_KEYS": f"k1:{K3}",
    "EBALANCE_BLIND_INDEX_KEYS_FILE": "",
}


def one_line(result: subprocess.CompletedProcess[str], *more: str) -> str:
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Wrong settings: ")
    check_shows_no_key(line, *more)
    return line


BAD: dict[str, tuple[str, dict[str, str], str]] = {
    "no keys": ("check", {RINGS[0]: ""}, RINGS[0]),
    "no keys of blind indexes": ("migrate", {RINGS[1]: ""}, RINGS[1]),
    "a malformed key": ("check", {RINGS[0]: f"k2:{K2},k1:{K1[:-2]}"}, "key k1"),
    "a short key": ("showmigrations", {RINGS[1]: f"k1:{damaged(MATERIAL[2][:16])}"}, "key k1"),
    "one key for both": ("check", {RINGS[1]: f"k7:{K1}"}, "must not share"),
    "two sources": ("check", {f"{RINGS[0]}_FILE": "/dev/null"}, "both set"),
    "a missing file": (
        "loaddata",
        {RINGS[0]: "", f"{RINGS[0]}_FILE": "/nowhere/keys"},
        "No such file",
    ),
}


@pytest.mark.parametrize(
    ("mode", "mounted", "refusal"),
    [
        (0o600, False, None),
        (0o640, False, None),
        (0o644, False, "can read"),
        (0o444, True, None),
        (0o620, False, "can write"),
        (0o602, False, "can write"),
        (0o646, True, "can write"),
    ],
)
def test_key_file_belongs_to_its_user(
    mode: int, mounted: bool, refusal: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others must not write it; outside /run/secrets they must not read it either."""
    file = tmp_path / "ring"
    file.write_text(f"k1:{K1}")
    file.chmod(mode)
    monkeypatch.delenv(RINGS[0], raising=False)
    monkeypatch.setenv(f"{RINGS[0]}_FILE", str(file))
    monkeypatch.setattr(keys, "MOUNTED_SECRETS", tmp_path if mounted else Path("/run/secrets"))
    if refusal:
        with pytest.raises(keys.BadKeys, match=refusal):
            keys.from_environment(RINGS[0], deployed=True, development_file=tmp_path / "none")
    else:
        keys.from_environment(RINGS[0], deployed=True, development_file=tmp_path / "none")
    assert keys.from_environment(RINGS[0], deployed=False, development_file=tmp_path / "none")


# Each starts a program; the tests above check the same refusals without one.
QUICK = {"no keys", "one key for both"}


@pytest.mark.parametrize(
    ("command", "changes", "part"),
    [
        pytest.param(*case, id=name, marks=[] if name in QUICK else [pytest.mark.slow])
        for name, case in BAD.items()
    ],
)
def test_production_refuses_to_start(command: str, changes: dict[str, str], part: str) -> None:
    assert part in one_line(manage(command, **GOOD | changes))


@pytest.mark.slow
def test_stage_refuses_a_missing_ring() -> None:
    line = one_line(manage("check", **GOOD | {"EBALANCE_ENV": "stage", RINGS[0]: ""}))
    assert RINGS[0] in line


@pytest.mark.parametrize("ring", [RINGS[0], pytest.param(RINGS[1], marks=pytest.mark.slow)])
def test_production_refuses_a_development_key(ring: str, tmp_path: Path) -> None:
    made = development_entry(tmp_path, "k5")
    line = one_line(manage("check", **GOOD | {ring: f"{GOOD[ring]},{made}"}), made.split(":")[1])
    assert f"{ring} holds a development key" in line


@pytest.mark.slow
def test_web_server_does_not_start_with_a_bad_ring() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "import ebalance.wsgi"],
        env=environment(**GOOD | {RINGS[0]: f"k2:{K2},k1:{K1[:-2]}"}),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "BadKeys: The key k1" in result.stderr
    check_shows_no_key(result.stderr)


@pytest.mark.slow
def test_production_starts_with_good_keys(tmp_path: Path) -> None:
    result = manage("check", **GOOD)
    assert result.returncode == 0, result.stderr
    for number, name in enumerate(RINGS):
        (tmp_path / str(number)).write_text(GOOD[name] + "\r\n")
    files = {f"{name}_FILE": str(tmp_path / str(n)) for n, name in enumerate(RINGS)}
    show = "from django.conf import settings; print(settings.ENCRYPTION_KEYS)"
    result = manage("shell", "--no-imports", "-c", show, **GOOD | dict.fromkeys(RINGS, "") | files)
    assert result.returncode == 0, result.stderr
    assert "<keyring k2, k1>" in result.stdout
    check_shows_no_key(result.stdout + result.stderr)


def development(data: Path, **changes: str) -> dict[str, str]:
    unset = {f"{name}{suffix}": "" for name in RINGS for suffix in ("", "_FILE")}
    return {"EBALANCE_ENV": "dev", "EBALANCE_DATA_DIR": str(data), **unset, **changes}


SEALS = """
from uuid import UUID
from ebalance.db.encryption import envelope
print("sealed", envelope.seal(b"x", b"t", UUID(int=0)), envelope.blind_index("x"))
"""


@pytest.mark.slow
def test_development_makes_two_keys_and_keeps_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    variables = development(data, DATABASE_URL="postgres://h/db")
    seen = []
    for secret in ("a" * 50, "b" * 50):
        result = manage("shell", "-c", SEALS, **variables | {"SECRET_KEY": secret})
        assert result.returncode == 0, result.stderr
        _, text, index = result.stdout.splitlines()[-1].split()
        seen.append((text.split(".")[1], index))
    assert seen[0] == seen[1]
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in data.iterdir()} == {
        "development-encryption-key": 0o600,
        "development-blind-index-key": 0o600,
    }
    one, two = (DevelopmentKeyring(file).primary for file in data.iterdir())
    assert one.material != two.material


@pytest.mark.slow
def test_impossible_data_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    data = tmp_path / "file" / "data"
    line = one_line(
        manage("shell", "-v0", "-c", SEALS, **development(data, DATABASE_URL="postgres://h/db"))
    )
    assert str(data) in line
    assert "Not a directory" in line


@pytest.mark.slow
def test_migrate_makes_no_key(empty_database: Database, tmp_path: Path) -> None:
    """Without sealed values no key is needed."""
    result = manage("migrate", **development(tmp_path, DATABASE_URL=empty_database.url))
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.iterdir()) == []
