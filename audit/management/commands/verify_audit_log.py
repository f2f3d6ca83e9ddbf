from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.models import AuditLogEntry
from audit.services.chain import BATCH, Stopped, UnknownKey, Verification, Verified
from audit.services.checkpoints import BadFile, CheckpointFile, can_be_written
from audit.services.damage import Damaged
from ebalance.commands import Number, OperatorCommand, StopSignals, progress

LARGEST_BATCH = 100_000
UNUSABLE = 2  # exit code when the log was not verified; 1 is a damaged log


class Command(OperatorCommand):
    help = (
        "Verify the hash chain of the audit log while the application runs. Prints the first entry "
        "that differs from what was written, with exit code 1. Detects a cut tail or a rewritten "
        "chain only with a checkpoint file that was written earlier."
    )
    wrong_number = UNUSABLE
    numbers = (
        Number(
            "batch",
            "entries",
            BATCH,
            most=LARGEST_BATCH,
            help="entries per statement (%(default)s)",
        ),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--checkpoint", metavar="FILE", help="compare the log with this checkpoint file"
        )
        parser.add_argument(
            "--write-checkpoint",
            metavar="FILE",
            help="store the verified end of the log; first compare with the file to be replaced",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        target = _path(options["write_checkpoint"])
        try:
            files = _read_files(_path(options["checkpoint"]), target)
            verified = self.verify(batch=options["batch"], files=files, marking=target is not None)
            if target:
                verified.as_file().write(target)
        except (BadFile, UnknownKey) as error:
            raise CommandError(str(error), returncode=UNUSABLE) from None
        for file in files:
            self.report_removed(file, verified)
        if target:
            self.stdout.write(f"{target} is written.")

    def verify(self, **options: Any) -> Verified:
        began = time.monotonic()
        with StopSignals() as stop, progress("audit_log_entries", _estimate_entries()) as tick:
            try:
                verified = Verification(stop=stop.asked.is_set, tick=tick, **options).run()
            except Stopped:
                raise CommandError(
                    "Stopped; the entries verified so far are whole.", returncode=128 + stop.number
                ) from None
            except Damaged as damage:
                raise CommandError(str(damage)) from None
        self.report(verified, time.monotonic() - began)
        return verified

    def report(self, verified: Verified, seconds: float) -> None:
        if not verified.entries:
            self.stdout.write("The audit log is empty.")
            return
        rate = verified.entries / max(seconds, 0.001)
        self.stdout.write(
            f"The audit log is whole: {verified.entries:,} entries, seq {verified.first} to "
            f"{verified.last}, {rate:,.0f} entries/s, the last hash is {verified.row_hash.hex()}."
        )
        if verified.removed_to:
            self.stdout.write(
                f"Retention removed the entries up to seq {verified.removed_to}, and signed a "
                "checkpoint."
            )

    def report_removed(self, file: CheckpointFile, verified: Verified) -> None:
        if 0 < file.seq < verified.first:
            self.stdout.write(
                f"Retention has removed the entry of {file.path} (seq {file.seq}): only the signed "
                f"checkpoint vouches for the entries before seq {verified.first}."
            )


def _estimate_entries() -> int:
    """The approximate number of entries, from both ends of an index."""
    numbers = AuditLogEntry.objects.order_by("seq").values_list("seq", flat=True)
    first, last = numbers.first(), numbers.last()
    return last - first + 1 if first is not None and last is not None else 0


def _read_files(given: Path | None, target: Path | None) -> list[CheckpointFile]:
    """The files with which the log is compared. Raises BadFile."""
    files = [CheckpointFile.read(given)] if given else []
    if target:
        if target.exists() and not (given and target.samefile(given)):
            # Only this file may know a tail that was cut since.
            files.append(CheckpointFile.read(target))
        can_be_written(target)
    return files


def _path(text: str | None) -> Path | None:
    if text is not None and (not text or "\0" in text):
        raise CommandError("A checkpoint needs the name of a file.", returncode=UNUSABLE)
    return None if text is None else Path(text)
