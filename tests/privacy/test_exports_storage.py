"""Files of exports: complete, private and removed in time."""

from __future__ import annotations

import os
import stat
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from django.utils.timezone import now

from ebalance.db.ids import uuid7
from ebalance.privacy.exports import storage
from ebalance.privacy.exports.storage import UnknownKey, open_for, remove, save, sweep
from identity.errors import ExportUnavailable
from identity.models import DataExportRequest
from tests.case_loops import check_each
from tests.factories import DataExportRequestFactory
from tests.processes import manage

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.EXPORTS_DIR = tmp_path / "kept" / "exports"
    return settings.EXPORTS_DIR


def new_request(export_type: str = "user_data") -> DataExportRequest:
    return DataExportRequest(id=uuid7(), export_type=export_type)


def content(stream: BinaryIO) -> None:
    stream.write(b"all of it")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("export_type", "suffix"), [("user_data", "zip"), ("diary_pdf", "pdf")])
def test_file_is_private_to_its_owner(folder: Path, export_type: str, suffix: str) -> None:
    before = os.umask(0)
    try:
        request = new_request(export_type)
        address = save(request, content)
    finally:
        os.umask(before)
    (path,) = folder.iterdir()
    assert address == f"exports/{path.name}"
    assert path.name.startswith(f"{request.pk}-")
    assert path.suffix == f".{suffix}"
    assert path.read_bytes() == b"all of it"
    assert (mode(folder), mode(path)) == (0o700, 0o600)


def test_folder_open_to_others_is_made_private(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    save(new_request(), content)
    assert mode(folder) == 0o700


def test_addresses_are_not_guessable() -> None:
    request = new_request()
    addresses = {save(request, content) for _ in range(20)}
    tokens = {address.removeprefix(f"exports/{request.pk}-") for address in addresses}
    assert len(tokens) == 20
    assert {len(token) for token in tokens} == {len("0" * 32 + ".zip")}


def test_unfinished_file_has_a_temporary_name(folder: Path) -> None:
    def write(stream: BinaryIO) -> None:
        content(stream)
        (unfinished,) = names(folder)
        assert unfinished.endswith(".part")
        assert mode(folder / unfinished) == 0o600

    save(new_request(), write)
    (finished,) = names(folder)
    assert not finished.endswith(".part")


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_failed_writer_leaves_no_file(folder: Path, error: type[BaseException]) -> None:
    def write(stream: BinaryIO) -> None:
        content(stream)
        raise error

    with pytest.raises(error):
        save(new_request(), write)
    assert names(folder) == []


def test_folder_that_cannot_be_created_is_an_os_error(folder: Path) -> None:
    folder.parent.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="kept"):
        save(new_request(), content)


# -- removing -------------------------------------------------------------------------------------


def test_removing_a_file_twice_is_no_error(folder: Path) -> None:
    address, other = save(new_request(), content), save(new_request(), content)
    remove(address)
    remove(address)
    assert names(folder) == [other.removeprefix("exports/")]


NAME = f"{uuid7()}-{'0' * 32}.zip"
OUTSIDE = [
    "",
    "exports/",
    "exports/../../etc/passwd",
    f"exports/../{NAME}",
    f"./{NAME}",
    f"exports/{NAME}/..",
    f"exports/{NAME}\0",
    f"exports/{NAME}\n",
    f"exports/{NAME}.part",
    f"exports\\{NAME}x",
    f"exports/..\\{NAME}",
    f"exports/%2e%2e%2f{NAME}",
    f"exports/{NAME.upper()}",
    f"exports/{NAME.replace('.zip', '.html')}",
    f"exports/{NAME[1:]}",
    "exports/a.zip",
    None,
    7,
]


def test_no_address_leads_out_of_the_folder(folder: Path) -> None:
    save(new_request(), content)
    before = names(folder)

    def is_refused(address: Any) -> None:
        with pytest.raises(UnknownKey) as caught:
            remove(address)
        assert names(folder) == before
        assert "passwd" not in str(caught.value)
        with pytest.raises(ExportUnavailable):
            open_for(ready(address))

    check_each([(repr(address), address) for address in OUTSIDE], is_refused, undo=False)


# -- reading --------------------------------------------------------------------------------------


def ready(file_url: Any, expires_at: datetime | None = None) -> DataExportRequest:
    request = new_request()
    request.status, request.file_url = "ready", file_url
    request.expires_at = expires_at or now() + HOUR
    return request


def test_a_ready_file_is_read() -> None:
    with open_for(ready(save(new_request(), content))) as stream:
        assert stream.read() == b"all of it"


def test_expired_file_is_not_read() -> None:
    request = ready(save(new_request(), content))
    open_for(request, clock=lambda: request.expires_at - timedelta(microseconds=1)).close()
    with pytest.raises(ExportUnavailable):
        open_for(request, clock=lambda: request.expires_at)


@pytest.mark.parametrize("status", ["requested", "processing", "failed"])
def test_a_request_that_is_not_ready_has_no_file(status: str) -> None:
    request = ready(save(new_request(), content))
    request.status = status
    with pytest.raises(ExportUnavailable) as caught:
        open_for(request)
    assert str(caught.value) == f"export_unavailable (status={status})"


def test_missing_file_is_refused() -> None:
    address = save(new_request(), content)
    remove(address)
    with pytest.raises(ExportUnavailable):
        open_for(ready(address))


def test_symbolic_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of somebody else")
    storage.prepare()
    (folder / NAME).symlink_to(secret)
    with pytest.raises(ExportUnavailable):
        open_for(ready(f"exports/{NAME}"))
    remove(f"exports/{NAME}")
    assert secret.exists()


# -- sweeping -------------------------------------------------------------------------------------


def aged(folder: Path, address: str, age: timedelta) -> str:
    name = address.removeprefix("exports/")
    then = (now() - age).timestamp()
    os.utime(folder / name, (then, then))
    return name


@pytest.mark.django_db
def test_file_is_swept_when_its_request_expires(folder: Path) -> None:
    noon = now()
    address = save(new_request(), content)
    name = aged(folder, address, timedelta(days=8))
    DataExportRequestFactory(
        ready=True, file_url=address, completed_at=noon, expires_at=noon + timedelta(days=7)
    )
    assert sweep(noon + timedelta(days=7) - timedelta(microseconds=1)) == 0
    assert names(folder) == [name]
    assert sweep(noon + timedelta(days=7)) == 1
    assert sweep(noon + timedelta(days=7)) == 0
    assert names(folder) == []


@pytest.mark.django_db
def test_expired_file_is_swept_at_any_age(folder: Path) -> None:
    address = save(new_request(), content)
    DataExportRequestFactory(ready=True, file_url=address, expires_at=now())
    assert sweep(now() + timedelta(seconds=1)) == 1
    assert names(folder) == []


@pytest.mark.django_db
@pytest.mark.parametrize("suffix", ["", ".part"], ids=["finished", "unfinished"])
def test_file_of_a_dead_run_is_swept_after_an_hour(folder: Path, suffix: str) -> None:
    for age in (HOUR - timedelta(minutes=1), HOUR + timedelta(minutes=1)):
        address = save(new_request(), content)
        name = aged(folder, address, age)
        (folder / name).rename(folder / f"{name}{suffix}")
    assert sweep(now()) == 1
    (left,) = folder.iterdir()
    assert now().timestamp() - left.stat().st_mtime < HOUR.total_seconds()
    assert sweep(now()) == 0


@pytest.mark.django_db
def test_file_of_a_deleted_request_is_swept(folder: Path) -> None:
    address = save(new_request(), content)
    aged(folder, address, 2 * HOUR)
    request = DataExportRequestFactory(ready=True, file_url=address)
    assert sweep(now()) == 0
    request.delete()
    assert sweep(now()) == 1


@pytest.mark.django_db
def test_other_files_and_addresses_are_left_alone(folder: Path) -> None:
    storage.prepare()
    for name in ("readme.txt", ".keep", "x.zip.part"):
        (folder / name).write_text("not ours")
        os.utime(folder / name, (0, 0))
    (folder / "folder").mkdir()
    DataExportRequestFactory(ready=True, file_url="exports/elsewhere.zip")
    assert sweep(now()) == 0
    assert len(names(folder)) == 4


@pytest.mark.django_db
def test_sweep_without_a_folder_does_nothing(folder: Path) -> None:
    assert sweep(now()) == 0
    assert not folder.exists()


# -- settings -------------------------------------------------------------------------------------

SHOW = "from django.conf import settings; print(settings.EXPORTS_DIR)"


@pytest.mark.slow
def test_default_folder_is_in_the_data_directory(tmp_path: Path) -> None:
    usual = {"EBALANCE_DATA_DIR": str(tmp_path)}
    shell = ("shell", "--no-imports", "-c", SHOW)
    beside = manage(*shell, **usual, EXPORTS_DIR=None)
    assert beside.stdout.split() == [str(tmp_path / "exports")], beside.stderr
    elsewhere = manage(*shell, **usual, EXPORTS_DIR=str(tmp_path / "else"))
    assert elsewhere.stdout.split()[0] == str(tmp_path / "else")
