"""`manage.py run`: prepares the database and serves admin, for development (`make run`)."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.servers.basehttp import (
    ThreadedWSGIServer,
    WSGIRequestHandler,
    get_internal_wsgi_application,
)
from django.db import connection, connections

from ebalance.cli import forget_reader
from ebalance.db.backend.direct import use_direct_connection
from ebalance.dev import bundled, demo

OWNER_EMAIL = "owner@localhost"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PREPARE_LOCK = 0x6562_616C_0001  # advisory: two runs on one database prepare it one after the other


class Command(BaseCommand):
    help = "Start the database, bring it up to date, and serve admin until Ctrl-C. For development."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", default=os.environ.get("PORT") or "8000", help="default: PORT or 8000"
        )
        parser.add_argument(
            "--bind", default="127.0.0.1", help="address to listen on (default: %(default)s)"
        )
        parser.add_argument("--no-demo", action="store_true", help="do not add demo data")

    def handle(self, *args: Any, **options: Any) -> None:
        address, port = options["bind"], _port(options["port"])
        server = _listen(address, port)  # refuses before the database is touched
        for number in STOP_SIGNALS:
            signal.signal(number, _interrupt)  # also if the shell started us with SIGINT ignored
        is_serving = False
        try:
            self.prepare(demo_data=not options["no_demo"])
            server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
            is_serving = True
            shown = "localhost" if address in {"127.0.0.1", "0.0.0.0"} else address
            self.write_line(f"Admin is served at http://{shown}:{port}/admin/ — Ctrl-C ends it.")
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            self.write_line("\nStopping …")
            if not is_serving:
                sys.exit(130)
        finally:
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # nothing below takes long
            server.server_close()
            connections.close_all()
            bundled.leave(wait=True)

    def write_line(self, text: str) -> None:
        # A closed terminal or a broken pipe must not prevent the clean-up.
        try:
            self.stdout.write(text)
            self.stdout.flush()
        except OSError:
            forget_reader()

    def prepare(self, *, demo_data: bool) -> None:
        use_direct_connection(connection)
        with _one_at_a_time():
            self.write_line("Bringing the database up to date …")
            started = time.monotonic()
            call_command("migrate", interactive=False)
            self.write_line(
                f"The database is up to date ({time.monotonic() - started:.1f} s). Loading seeds …"
            )
            call_command("loaddata", "seeds", verbosity=0)
            self.make_owner()
            if demo_data and (added := demo.load_demo()):
                self.write_line(f"Added demo data: {added}.")

    def make_owner(self) -> None:
        owner = demo.active_owner()
        if owner is not None and owner.email != OWNER_EMAIL:
            self.write_line(f"Sign in as {owner.email}.")
        elif owner is not None:
            self.write_line(
                f"Sign in as {OWNER_EMAIL}; the password was shown when the account was made. "
                f"A new one: manage.py changepassword {OWNER_EMAIL}"
            )
        else:
            password = secrets.token_urlsafe(12)
            get_user_model().objects.create_superuser(email=OWNER_EMAIL, password=password)
            self.write_line("A development owner was made. The password is shown only this once.")
            self.write_line(f"  address:  {OWNER_EMAIL}\n  password: {password}")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise CommandError(f"{text!r} is not a port: a number from 1 to 65535.")
    return int(text)


def _listen(address: str, port: int) -> ThreadedWSGIServer:
    """Listen on the port. Browsers that connect before the database is ready wait."""
    try:
        server = ThreadedWSGIServer((address, port), WSGIRequestHandler)
    except OSError as error:
        raise CommandError(
            {
                errno.EADDRINUSE: f"Port {port} on {address} is in use; choose another: "
                f"make run PORT={port + 1}",
                errno.EACCES: f"Port {port} on {address} is not permitted; choose one above 1023.",
            }.get(
                error.errno or 0,
                f"Cannot listen on {address}:{port}: {error.strerror or error}.",
            )
        ) from None
    server.daemon_threads = True
    return server


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold an advisory lock on a connection of its own.

    The lock is polled: a statement that waits has a snapshot, and an index that `migrate` builds
    concurrently would wait for that snapshot for ever.
    """
    keeper = connection.copy()
    try:
        with keeper.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [PREPARE_LOCK])
            while cursor.fetchone() == (False,):
                time.sleep(0.1)
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [PREPARE_LOCK])
        yield
    finally:
        keeper.close()
