from __future__ import annotations

import dataclasses
import json
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils.module_loading import import_string

from audit.models import OutboxEvent
from audit.services.relay import DEFAULT_BATCH, Relay
from audit.services.senders import Sender
from ebalance.commands import Number, OperatorCommand, StopSignals

LARGEST_BATCH = 1_000
LONGEST_LEASE = 3600.0  # seconds


class Command(OperatorCommand):
    help = (
        "Send the events of the outbox until stopped (SIGTERM, Ctrl-C). Any number of relays may "
        "run. Each event is delivered at least once, the events of one row in their order. Fails "
        "if an event could not be claimed or its outcome could not be stored."
    )
    numbers = (
        Number(
            "batch",
            "events",
            DEFAULT_BATCH,
            most=LARGEST_BATCH,
            help="claimed at once (%(default)s)",
        ),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--once", action="store_true", help="send what is due, and end")
        parser.add_argument(
            "--lease",
            default=str(settings.OUTBOX_LEASE_SECONDS),
            metavar="SECONDS",
            help="after which another relay takes over the claims of this one (%(default)s)",
        )
        parser.add_argument(
            "--sender",
            default=settings.OUTBOX_SENDER,
            metavar="CLASS",
            help="dotted path (%(default)s)",
        )
        parser.add_argument(
            "--status", action="store_true", help="print the unsent events, send nothing"
        )
        parser.add_argument("--json", action="store_true", help="the status as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["status"]:
            self.write_status(as_json=options["json"])
            return
        if options["json"]:
            raise CommandError("--json needs --status.")
        lease = _lease(options["lease"])
        sender = _sender(options["sender"])
        try:
            with StopSignals() as stop:
                relay = _relay(sender, batch=options["batch"], lease=lease, stop=stop.asked.is_set)
                relay.drain() if options["once"] else relay.run()
        finally:
            sender.close()
        self.list_skipped(relay.skipped, OutboxEvent._meta.db_table)
        self.fail_if_skipped(len(relay.skipped))

    def write_status(self, *, as_json: bool) -> None:
        lag = OutboxEvent.objects.lag()
        if as_json:
            self.stdout.write(json.dumps(dataclasses.asdict(lag)))
            return
        for name, value in dataclasses.asdict(lag).items():
            shown = f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
            self.stdout.write(f"{name.replace('_', ' '):<22} {shown:>12}")


def _sender(path: str) -> Sender:
    try:
        sender = import_string(path)()
    except (ImportError, TypeError) as error:
        raise CommandError(f"{path!r} is no sender: {error}.") from None
    has_all = callable(getattr(sender, "send", None)) and callable(getattr(sender, "close", None))
    if not has_all or not isinstance(getattr(sender, "timeout", None), int | float):
        raise CommandError(f"{path!r} is no sender: it needs send, close and timeout.")
    return sender


def _relay(sender: Sender, **options: Any) -> Relay:
    try:
        return Relay(sender, **options)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _lease(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_LEASE:
        raise CommandError(
            f"{text!r} is no lease: a number of seconds above 0, up to {LONGEST_LEASE:,.0f}."
        )
    return seconds
