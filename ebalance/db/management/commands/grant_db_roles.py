from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from ebalance.db import checks
from ebalance.db.schema import exposures, grants, roles
from ebalance.db.server import QUIET_LOG

DONE = "The roles have exactly the privileges that they need."


class Command(BaseCommand):
    help = (
        "Make the roles ebalance_owner, ebalance_app and ebalance_analyst and grant them exactly "
        "the privileges that they need. Run it after every `migrate`."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="change nothing; fail when a grant differs"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self.check_grants()
        else:
            self.grant()

    def check_grants(self) -> None:
        lines = grants.differences()
        if not any(line.startswith("missing: the role") for line in lines):
            # A session that may not revoke them is only warned.
            findings = exposures.findings()
            may_revoke = exposures.is_superuser()
            lines += [one.text for one in findings if may_revoke or not one.needs_superuser]
            self.warn([one.text for one in findings if not may_revoke and one.needs_superuser])
            if names := checks.loud_settings():
                self.warn_of_log(names)
                lines += [f"missing: {name} of the database" for name in names if may_revoke]
        for line in lines:
            self.stdout.write(line)
        if lines:
            raise CommandError(
                f"Grants differ in {len(lines)} places: run `manage.py grant_db_roles`."
            )
        self.stdout.write(DONE)

    def grant(self) -> None:
        try:
            roles.set_up()
        except roles.NotSetUp as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            if (refusal := explain(error)) is None:
                raise
            raise CommandError(refusal) from None
        if names := checks.loud_settings():
            try:
                roles.keep_values_out_of_the_log()
            except DatabaseError as error:
                if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                    raise
                self.warn_of_log(names)
        self.warn([one.text for one in exposures.findings()])
        self.stdout.write(DONE)

    def warn(self, lines: list[str]) -> None:
        for line in lines:
            self.stderr.write(self.style.WARNING(f"Warning: not removed: {line}"))

    def warn_of_log(self, names: list[str]) -> None:
        """Only a superuser can change these settings; the grants are made in any case."""
        wanted = ", ".join(f"{name} = {QUIET_LOG[name]}" for name in names)
        text = (
            f"Warning: the server's log may quote rows and parameters; a superuser sets {wanted}."
        )
        self.stderr.write(self.style.WARNING(text))


def explain(error: DatabaseError) -> str | None:
    """A sentence for a missing privilege or a locked table; None for any other error."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error):
        return None
    reason = " ".join((cause.diag.message_primary or "").split())
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return (
            f"{connected_role()} may not set up the roles: {reason}. A superuser may, or a member "
            f"of {grants.OWNER} once one has."
        )
    if isinstance(cause, psycopg.errors.LockNotAvailable):
        return f"Another session uses these tables, try again: {reason}."
    return None


def connected_role() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (name,) = cursor.fetchone()
    return name
