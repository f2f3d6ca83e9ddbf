"""Files of exports: whole or not there, for their owner alone, gone when they should be."""

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
from ebalance.privacy.exports.storage import UnknownAddress, open_for, remove, save, sweep
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


def a_request(export_type: str = "user_data") -> DataExportRequest:
    return DataExportRequest(id=uuid7(), export_type=export_type)


def content(stream: BinaryIO) -> None:
    stream.write(b"all of it")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("export_type", "suffix"), [("user_data", "zip"), ("diary_pdf", "pdf")])
def test_a_file_is_for_its_owner_alone(folder: Path, export_type: str, suffix: str) -> None:
    before = os.umask(0)
    try:
        request = a_request(export_type)
        address = save(request, content)
    finally:
        os.umask(before)
    (path,) = folder.iterdir()
    assert address == f"exports/{path.name}"
    assert path.name.startswith(f"{request.pk}-")
    assert path.suffix == f".{suffix}"
    assert path.read_bytes() == b"all of it"
    assert (mode(folder), mode(path)) == (0o700, 0o600)


def test_a_folder_that_others_could_enter_is_closed(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    save(a_request(), content)
    assert mode(folder) == 0o700


def test_whoever_knows_one_address_knows_no_other() -> None:
    request = a_request()
    addresses = {save(request, content) for _ in range(20)}
    tokens = {address.removeprefix(f"exports/{request.pk}-") for address in addresses}
    assert len(tokens) == 20
    assert {len(token) for token in tokens} == {len("0" * 32 + ".zip")}


def test_the_address_begins_as_the_settings_say(settings: Any) -> None:
    settings.EXPORTS_URL = "https://files.example.com/e/"
    address = save(a_request(), content)
    assert address.startswith("https://files.example.com/e/")
    settings.EXPORTS_URL = "exports/"  # and is understood when they have changed
    remove(address)


def test_nothing_looks_finished_before_it_is(folder: Path) -> None:
    def write(stream: BinaryIO) -> None:
        content(stream)
        (unfinished,) = names(folder)
        assert unfinished.endswith(".part")
        assert mode(folder / unfinished) == 0o600

    save(a_request(), write)
    (finished,) = names(folder)
    assert not finished.endswith(".part")


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_nothing(folder: Path, error: type[BaseException]) -> None:
    def write(stream: BinaryIO) -> None:
        content(stream)
        raise error

    with pytest.raises(error):
        save(a_request(), write)
    assert names(folder) == []


def test_a_folder_that_cannot_be_made_is_an_error_of_the_machine(folder: Path) -> None:
    folder.parent.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="kept"):
        save(a_request(), content)


# -- removing -------------------------------------------------------------------------------------


def test_a_file_is_removed_and_removing_it_again_is_no_error(folder: Path) -> None:
    address, other = save(a_request(), content), save(a_request(), content)
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
    save(a_request(), content)
    before = names(folder)

    def is_refused(address: Any) -> None:
        with pytest.raises(UnknownAddress) as caught:
            remove(address)
        assert names(folder) == before
        assert "passwd" not in str(caught.value)
        with pytest.raises(ExportUnavailable):
            open_for(ready(address))

    check_each([(repr(address), address) for address in OUTSIDE], is_refused, undo=False)


# -- reading --------------------------------------------------------------------------------------


def ready(file_url: Any, expires_at: datetime | None = None) -> DataExportRequest:
    request = a_request()
    request.status, request.file_url = "ready", file_url
    request.expires_at = expires_at or now() + HOUR
    return request


def test_a_ready_file_is_read() -> None:
    with open_for(ready(save(a_request(), content))) as stream:
        assert stream.read() == b"all of it"


def test_a_file_is_not_read_after_its_end() -> None:
    request = ready(save(a_request(), content))
    open_for(request, clock=lambda: request.expires_at - timedelta(microseconds=1)).close()
    with pytest.raises(ExportUnavailable):
        open_for(request, clock=lambda: request.expires_at)


@pytest.mark.parametrize("status", ["requested", "processing", "failed"])
def test_a_request_that_is_not_ready_has_no_file(status: str) -> None:
    request = ready(save(a_request(), content))
    request.status = status
    with pytest.raises(ExportUnavailable) as caught:
        open_for(request)
    assert str(caught.value) == f"export_unavailable (status={status})"


def test_a_file_that_is_gone_is_said_so() -> None:
    address = save(a_request(), content)
    remove(address)
    with pytest.raises(ExportUnavailable):
        open_for(ready(address))


def test_a_link_to_elsewhere_is_not_followed(folder: Path, tmp_path: Path) -> None:
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
def test_files_stay_while_a_request_names_them_and_go_at_its_end(folder: Path) -> None:
    noon = now()
    address = save(a_request(), content)
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
def test_an_expired_file_goes_however_young_it_is(folder: Path) -> None:
    address = save(a_request(), content)
    DataExportRequestFactory(ready=True, file_url=address, expires_at=now())
    assert sweep(now() + timedelta(seconds=1)) == 1
    assert names(folder) == []


@pytest.mark.django_db
@pytest.mark.parametrize("suffix", ["", ".part"], ids=["finished", "unfinished"])
def test_what_a_dead_run_left_goes_after_an_hour(folder: Path, suffix: str) -> None:
    for age in (HOUR - timedelta(minutes=1), HOUR + timedelta(minutes=1)):
        address = save(a_request(), content)
        name = aged(folder, address, age)
        (folder / name).rename(folder / f"{name}{suffix}")
    assert sweep(now()) == 1
    (left,) = folder.iterdir()
    assert now().timestamp() - left.stat().st_mtime < HOUR.total_seconds()
    assert sweep(now()) == 0


@pytest.mark.django_db
def test_files_of_requests_that_are_gone_go_too(folder: Path) -> None:
    address = save(a_request(), content)
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
    DataExportRequestFactory(ready=True, file_url="/exports/elsewhere.zip")
    assert sweep(now()) == 0
    assert len(names(folder)) == 4


@pytest.mark.django_db
def test_without_a_folder_there_is_nothing_to_sweep(folder: Path) -> None:
    assert sweep(now()) == 0
    assert not folder.exists()


# -- settings -------------------------------------------------------------------------------------

SHOW = "from django.conf import settings; print(settings.EXPORTS_DIR, settings.EXPORTS_URL)"


@pytest.mark.slow
def test_files_are_kept_beside_the_other_data_unless_said_otherwise(tmp_path: Path) -> None:
    usual = {"EBALANCE_DATA_DIR": str(tmp_path), "EXPORTS_URL": None}
    shell = ("shell", "--no-imports", "-c", SHOW)
    beside = manage(*shell, **usual, EXPORTS_DIR=None)
    assert beside.stdout.split() == [str(tmp_path / "exports"), "exports/"], beside.stderr
    elsewhere = manage(*shell, **usual, EXPORTS_DIR=str(tmp_path / "else"))
    assert elsewhere.stdout.split()[0] == str(tmp_path / "else")


def test_an_address_without_a_slash_at_its_end_is_a_wrong_setting() -> None:
    refused = manage("check", EXPORTS_URL="https://example.com/exports")
    assert refused.returncode == 1
    assert "EXPORTS_URL ends with a slash." in refused.stderr
