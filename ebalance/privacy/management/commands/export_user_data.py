from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from audit.services import record_entry
from ebalance.commands import SHOWN, OperatorCommand
from ebalance.privacy.exports import document, export_user_data
from ebalance.privacy.lookup import PersonNotFound, find_person

STANDARD_OUTPUT = "-"


class Command(OperatorCommand):
    help = (
        "Write all stored data of a person, decrypted, to a file that only you can read. The audit "
        "log records it. Fails if a value could not be decrypted; the file then marks that value."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="id, e-mail, phone or Telegram id")
        parser.add_argument(
            "--output",
            metavar="FILE",
            help="a new file, or - for standard output (default: export-<id> in this folder)",
        )
        parser.add_argument(
            "--format",
            choices=["zip", "json"],
            default="zip",
            help="zip: with a page to read, in Russian (default); json: the data alone",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = find_person(options["user"])
        except PersonNotFound as error:
            raise CommandError(str(error)) from None
        kind = options["format"]
        target = options["output"] or f"export-{user.pk}.{kind}"
        if target == STANDARD_OUTPUT:
            if kind == "zip" and sys.stdout.isatty():
                raise CommandError("A ZIP is not for a terminal: name a file, or --format json.")
        elif os.path.lexists(target):
            raise _occupied(target)
        made = export_user_data(user)
        content = _rendered(made, kind)
        with transaction.atomic():
            record_entry(
                "data_exported", about=user, values={"export_type": "user_data", "format": kind}
            )
        if target == STANDARD_OUTPUT:
            self.to_standard_output(content)
        else:
            _write(Path(target), content)
            self.stdout.write(f"Written: {target}")
        self.complain([*document.unreadable_in(made)])

    def to_standard_output(self, content: bytes) -> None:
        raw = getattr(self.stdout, "buffer", None)  # a test's stdout has no buffer
        if raw is None:
            self.stdout.write(content.decode("utf-8"), ending="")
        else:
            self.stdout.flush()
            raw.write(content)
            raw.flush()

    def complain(self, unreadable: list[document.Location]) -> None:
        for location in unreadable[:SHOWN]:
            self.stderr.write(f"  {location}: could not be opened.")
        if unreadable:
            raise CommandError(f"{len(unreadable):,} values could not be opened and are not in it.")


def _rendered(made: document.Document, kind: str) -> bytes:
    if kind == "json":
        return document.render_json(made)
    stream = io.BytesIO()
    document.render_zip(made, stream)
    return stream.getvalue()


def _write(target: Path, content: bytes) -> None:
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(target, flags, 0o600)
    except FileExistsError:
        raise _occupied(str(target)) from None
    except OSError as error:
        raise CommandError(f"{target} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise CommandError(f"{target} cannot be written: {error.strerror}.") from None
        raise


def _occupied(target: str) -> CommandError:
    return CommandError(f"{target} exists already; nothing was written.")
