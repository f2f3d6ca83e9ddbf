"""The migrations of the worked example, and clients of the releases before and after.

docs/worked-example.md explains them: ``services.title`` becomes ``services.heading``.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from tests.processes import eventually

# Release 1.1, first file: the new column, its rules, and a trigger for writers of both releases.
HEAD = '''
import ebalance.db.triggers

KEEP_EQUAL = """
CREATE FUNCTION public.services_heading_follows_title() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.heading := coalesce(NEW.heading, NEW.title);
        NEW.title := coalesce(NEW.title, NEW.heading);
    ELSIF NEW.heading IS DISTINCT FROM OLD.heading THEN
        NEW.title := NEW.heading;
    ELSE
        NEW.heading := NEW.title;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER services_heading_follows_title BEFORE INSERT OR UPDATE ON public.services
    FOR EACH ROW EXECUTE FUNCTION public.services_heading_follows_title()
"""
STOP_KEEPING = """
DROP TRIGGER services_heading_follows_title ON public.services;
DROP FUNCTION public.services_heading_follows_title()
"""


def delete_audited(*columns):
    """The trigger of the audit log, as makemigrations writes it when a column is added."""
    arguments = ", ".join(f"'{name}'" for name in ("service_deleted", "id", *columns))
    return pgtrigger.compiler.Trigger(
        name="services_delete_audited",
        sql=ebalance.db.triggers.RuleTriggerSql(
            constraint="CONSTRAINT",
            execute=f"public.audit_change({arguments})",
            func="",
            hash="0" * 40,
            operation="DELETE",
            pgid="services_delete_audited",
            table="services",
            timing="DEFERRABLE INITIALLY DEFERRED",
            when="AFTER",
        ),
    )


REST = ("description_markdown", "format", "offline_address", "duration_minutes", "price_amount",
        "deposit_amount", "cancel_free_hours", "cancel_partial_hours", "reschedule_min_hours",
        "reschedule_max_count", "status", "topic_code", "position", "created_at", "updated_at")
'''
EXPAND = """
migrations.AddField("service", "heading", models.TextField(null=True, db_comment="P0 · title")),
migrations.RunSQL(KEEP_EQUAL, STOP_KEEPING),
AddCheck("service", models.CheckConstraint(
    condition=Q(models.Func(F("heading"), function="is_visible",
                            output_field=models.BooleanField())),
    name="services_heading_not_blank")),
AddCheck("service", models.CheckConstraint(
    condition=Q(heading__length__lte=200), name="services_heading_has_length")),
pgtrigger.migrations.RemoveTrigger("service", "services_delete_audited"),
pgtrigger.migrations.AddTrigger("service", delete_audited("slug", "title", "heading", *REST)),
# `migrate` grants new columns of the models itself. The models of this tree have no heading.
migrations.RunSQL("GRANT SELECT (heading) ON public.services TO ebalance_analyst", ""),
"""
# Release 1.1, second file.
FILL = """
Backfill("services", set="heading = title", where="heading IS NULL"),
"""
# Release 1.2.
REQUIRE = """
SetNotNull("service", "heading", models.TextField(db_comment="P0 · title")),
"""
DROP = """
migrations.RunSQL(STOP_KEEPING, KEEP_EQUAL),
pgtrigger.migrations.RemoveTrigger("service", "services_delete_audited"),
pgtrigger.migrations.AddTrigger("service", delete_audited("slug", "heading", *REST)),
migrations.RemoveConstraint("service", "services_title_has_length"),
migrations.RemoveConstraint("service", "services_title_not_blank"),
migrations.RemoveField("service", "title"),
"""
CONTRACT = (
    """
Contract(
    expand="booking.0390",
    released="1.1.0",
    check="SELECT slug FROM services WHERE heading IS DISTINCT FROM title",
    drops=["trigger services.services_heading_follows_title",
           "function services_heading_follows_title()"],
),"""
    + DROP
)

# -- clients --------------------------------------------------------------------------------------

INSERT = """
    INSERT INTO services (slug, {column}, description_markdown, format, duration_minutes,
                          price_amount)
    VALUES (%s, %s, 'Text', 'online', 50, 5000) RETURNING id::text
"""


@dataclass
class Clients:
    """Clients of one release, which know the column by the name ``column`` only."""

    conninfo: str
    column: str
    failures: list[str] = field(default_factory=list)
    work: dict[str, int] = field(default_factory=lambda: {"insert": 0, "update": 0, "read": 0})
    # The ledger of what was written, by row: the committed values in their order. A client writes
    # its own rows only, so that the last value of a row is known.
    written: dict[str, list[str]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, number: int) -> None:
        self.threads = [threading.Thread(target=self._work, args=(n,)) for n in range(number)]
        for thread in self.threads:
            thread.start()

    def works(self) -> bool:
        """Whether every kind of work is done, after a call, without a failure."""
        before = dict(self.work)
        return eventually(
            lambda: self.failures or all(self.work[kind] > before[kind] + 5 for kind in before)
        )

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _work(self, number: int) -> None:
        dice, values = random.Random(number), itertools.count()
        own: list[str] = []
        with psycopg.connect(self.conninfo, autocommit=True, prepare_threshold=0) as connection:
            while not self.stop.is_set():
                kind = dice.choice([*self.work]) if own else "insert"
                value = f"{self.column} {number} {next(values)}"
                try:
                    if kind == "insert":
                        own.append(self._insert(connection, value))
                    elif kind == "update":
                        self._update(connection, dice.choice(own), value)
                    else:
                        self._read(connection, dice.choice(own))
                except psycopg.Error as error:
                    self.failures.append(f"{kind}: {error}")
                self.work[kind] += 1

    def _insert(self, connection: psycopg.Connection, value: str) -> str:
        sql = INSERT.format(column=self.column)
        slug = value.replace(" ", "-")
        (key,) = connection.execute(sql, [slug, value]).fetchone() or ("",)
        self.written[key] = [value]
        return key

    def _update(self, connection: psycopg.Connection, key: str, value: str) -> None:
        connection.execute(f"UPDATE services SET {self.column} = %s WHERE id = %s", [value, key])
        self.written[key].append(value)

    def _read(self, connection: psycopg.Connection, key: str) -> None:
        sql = f"SELECT {self.column} FROM services WHERE id = %s"
        row = connection.execute(sql, [key]).fetchone()
        if row != (self.written[key][-1],):
            self.failures.append(f"read: {row} in place of {self.written[key][-1]}")
        # Rows of every writer, the stored ones of earlier releases among them.
        empty = connection.execute(
            f"SELECT id FROM services WHERE {self.column} IS NULL LIMIT 1"
        ).fetchone()
        if empty:
            self.failures.append(f"read: {empty} has no {self.column}")


@contextmanager
def clients(conninfo: str, column: str, number: int = 3) -> Iterator[Clients]:
    """Clients that insert, update and read rows until the block ends, or ``end()`` is called."""
    started = Clients(conninfo, column)
    started.start(number)
    try:
        yield started
    finally:
        started.end()
