"""Finds the rows of each table that belong to a person: export opens them, erasure removes them.

It follows the declarations beside the fields. Columns declared with ``of_person`` lead from a
person, or from a row of theirs, to more rows. Browsers and contacts lead to unattributed rows.
``unreachable_tables()`` lists the tables with personal columns to which no column leads; a test
fails if there are some.

Erasure covers more than an export if no other person loses data (``is_erasure``): it empties shared
browser ids in unattributed rows that are kept, and the origin of anonymous requests about the
person's rows in the audit log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property, reduce
from operator import or_
from typing import Any, cast
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery

from ebalance.db import contacts
from ebalance.db.auditing import Audited
from ebalance.db.contacts import ContactInvalid
from ebalance.db.encryption.envelope import SealingError
from ebalance.db.encryption.fields import BlindIndex, SealedField
from ebalance.db.encryption.values import BlindToken, Sealed
from ebalance.db.schema.data_map import Column, Table, tables

from .links import (
    BROWSER,
    LEADS,
    PEOPLE,
    TELEGRAM,
    attname,
    carriers_of,
    field_of,
    has_browser,
    links,
    model_of,
    parent_of,
    table_named,
    unindexed_contacts,
)
from .subject import AccountSubject


class Unreadable:
    """Replaces a sealed value that cannot be decrypted; ``reason`` is the error's type."""

    def __init__(self, error: SealingError) -> None:
        self.reason = type(error).__name__

    def __repr__(self) -> str:
        return f"<unreadable: {self.reason}>"


class PersonalRows:
    """The rows of an account's person, as querysets by table."""

    def __init__(
        self, user_id: UUID, *, remembered: Iterable[UUID] = (), is_erasure: bool = False
    ) -> None:
        self.user_id = user_id
        self.is_erasure = is_erasure
        self.subject = AccountSubject(user_id, remembered=remembered, is_erasure=is_erasure)

    def of(self, table: Table | str) -> models.QuerySet:
        """The rows of the table. Raises LookupError for a table without rows about people."""
        table = table_named(table) if isinstance(table, str) else table
        rows = self.rows(table)
        if rows is None:
            raise LookupError(table.name)
        return rows

    def rows(self, table: Table) -> models.QuerySet | None:
        """The rows of the table; None for a table without rows about people."""
        if table.model is None:
            return None
        if finder := FINDERS.get(table.name):
            return finder(self, table)
        parts = [self._linked(table), self._recognised(table), self._carried(table)]
        conditions = [part for part in parts if part is not None]
        return table.model._base_manager.filter(any_of(conditions)) if conditions else None

    def export(self) -> Iterator[tuple[Table, Iterator[dict[str, Any]]]]:
        """The rows by table, each with its exported columns; sealed values are opened.

        A value that cannot be decrypted is ``Unreadable``. Call it in one REPEATABLE READ
        transaction, so that all tables have the same snapshot.
        """
        for table in tables():
            columns = [column for column in table.columns if column.in_export]
            rows = self.rows(table) if columns else None
            if rows is not None:
                yield table, _opened(rows, columns)

    # -- browsers ---------------------------------------------------------------------------------

    @cached_property
    def browsers(self) -> frozenset[str]:
        """The browsers that only this person used.

        A lead that is known by a contact alone does not prove who used its browser.
        """
        browsers: set[str] = set()
        for own, rows in self._rows_with_browser():
            own &= self._registered(table_named(rows.model._meta.db_table))
            browsers |= set(rows.filter(own).values_list(BROWSER, flat=True).distinct())
        browsers.discard(cast("str", None))
        for own, rows in self._rows_with_browser():
            if browsers:
                used = rows.filter(**{f"{BROWSER}__in": browsers})
                others = used.exclude(own | _unattributed(rows.model))
                browsers -= set(others.values_list(BROWSER, flat=True))
        return frozenset(browsers)

    @cached_property
    def shared_browsers(self) -> frozenset[str]:
        """All browsers of the person, also those that other people used."""
        browsers: set[str] = set()
        for own, rows in self._rows_with_browser():
            browsers |= set(rows.filter(own).values_list(BROWSER, flat=True).distinct())
        browsers.discard(cast("str", None))
        return frozenset(browsers)

    def _registered(self, table: Table) -> Q:
        """Rows that name the account, or a lead that has it among its identities."""
        conditions = [Q(**{attname(column): self.user_id}) for column in links(table, PEOPLE)]
        conditions += [
            Q(**{f"{attname(column)}__in": self.subject.registered})
            for column in links(table, LEADS)
        ]
        return any_of(conditions)

    def _rows_with_browser(self) -> Iterator[tuple[Q, models.QuerySet]]:
        for table in tables():
            named = [c for parent in (PEOPLE, LEADS) for c in links(table, parent)]
            if table.model and named and has_browser(table):
                yield self._linked(table) or Q(pk__in=[]), table.model._base_manager.order_by()

    # -- conditions -------------------------------------------------------------------------------

    def _linked(self, table: Table) -> Q | None:
        """The account, its leads, and rows that refer to these or to another row of the person.

        A row that names an account belongs to that account alone, also if it names a lead.
        """
        leads = self.subject.leads
        own = {PEOPLE: Q(pk=self.user_id), LEADS: Q(pk__in=leads)}
        conditions = [own[table.name]] if table.name in own else []
        for column in table.columns:
            if not column.declared.links_person:
                continue
            name, parent = attname(column), parent_of(column)
            if parent == PEOPLE:
                conditions.append(Q(**{name: self.user_id}))
            elif parent == LEADS:
                conditions.append(Q(**{f"{name}__in": leads}) & _is_null(links(table, PEOPLE)))
            else:
                conditions.append(Q(**{f"{name}__in": self.of(parent).values("pk")}))
        return any_of(conditions) if conditions else None

    def _recognised(self, table: Table) -> Q | None:
        """Unattributed rows with a browser or a contact of the person.

        A contact also counts in a row that names only a lead of doubtful ownership.
        """
        known: dict[str, Any] = {}
        for column in table.columns:
            if isinstance(column.field, BlindIndex):
                known[f"{column.field.name}__in"] = self.subject.tokens
            elif column.name == TELEGRAM and table.name != PEOPLE:
                known[f"{TELEGRAM}__in"] = self.subject.telegram_ids
        by_contact = [Q(**{name: values}) for name, values in known.items() if values]
        by_contact += [Q(pk__in=self._decrypted(table, f)) for f in unindexed_contacts(table)]
        if not (known or by_contact or has_browser(table)):
            return None
        nameless = _unattributed(table.model)
        condition = any_of(by_contact) & nameless
        if lead_columns := links(table, LEADS):
            doubtful = self.subject.shared | self.subject.doubtful
            of_doubtful = any_of(Q(**{f"{attname(c)}__in": doubtful}) for c in lead_columns)
            no_account = _is_null(links(table, PEOPLE))
            condition = any_of(by_contact) & (nameless | (of_doubtful & no_account))
        takes_shared = self.is_erasure and not table.rows_go
        if has_browser(table):
            browsers = self.shared_browsers if takes_shared else self.browsers
            condition |= Q(**{f"{BROWSER}__in": browsers}) & nameless
        return condition

    def _decrypted(self, table: Table, field: SealedField) -> list[UUID]:
        """Unattributed rows with a contact of the person in a column without an index.

        There are few of them: such columns are not kept for long. A row whose value cannot be
        decrypted stays unattributed.
        """
        rows = cast("type[models.Model]", table.model)._base_manager
        sealed = rows.filter(_unattributed(table.model), **{f"{field.name}__isnull": False})
        keys = []
        known = {text for token in self.subject.tokens for text in token.candidates}
        for key, value in sealed.values_list("pk", field.name).iterator():
            with suppress(SealingError):
                text = str(value.open(row_id=key))
                if any(_blind_indexes(channel, text) & known for channel in contacts.READERS):
                    keys.append(key)
        return keys

    def _carried(self, table: Table) -> Q | None:
        """Rows whose last occupant is a row of the person, such as a session's slot."""
        conditions = []
        for column in carriers_of(table.name):
            own = self.of(column.table)
            every = cast("type[models.Model]", column.table.model)._base_manager
            last = every.filter(**{field_of(column).name: OuterRef("pk")}).order_by("-pk")
            carried = cast("type[models.Model]", table.model)._base_manager.filter(
                pk__in=own.values(attname(column))
            )
            mine = carried.annotate(last=Subquery(last.values("pk")[:1]))
            conditions.append(Q(pk__in=mine.filter(last__in=own.values("pk")).values("pk")))
        return any_of(conditions) if conditions else None


def unreachable_tables() -> list[str]:
    """Tables with columns to export or to erase, to which no column leads."""
    no_person = PersonalRows(UUID(int=0))
    return [
        table.name
        for table in tables()
        if any(
            c.privacy != "P0" or c.in_export or c.erasure.action != "keep" for c in table.columns
        )
        and no_person.rows(table) is None
    ]


def any_of(conditions: Iterable[Q]) -> Q:
    return reduce(or_, conditions, Q(pk__in=[]))


def _is_null(columns: list[Column]) -> Q:
    return Q(**{f"{attname(column)}__isnull": True for column in columns})


def _unattributed(model: Any) -> Q:
    """Rows that name no existing account or lead.

    A column without a foreign key may name a deleted account or lead.
    """
    condition = Q()
    for parent in (PEOPLE, LEADS):
        for column in links(table_named(model._meta.db_table), parent):
            named = Q(**{f"{attname(column)}__isnull": False})
            if field_of(column).related_model is None:
                rows = model_of(parent)._base_manager.filter(pk=OuterRef(attname(column)))
                named &= Q(Exists(rows))
            condition &= ~named
    return condition


def _blind_indexes(channel: str, text: str) -> set[str]:
    try:
        return set(BlindToken.of(channel, text).candidates)
    except ContactInvalid:
        return set()
    finally:
        del text


def _opened(rows: models.QuerySet, columns: list[Column]) -> Iterator[dict[str, Any]]:
    names = [attname(column) for column in columns]
    for key, *values in rows.order_by("pk").values_list("pk", *names).iterator():
        yield {
            column.name: _open(value, key) if isinstance(value, Sealed) else value
            for column, value in zip(columns, values, strict=True)
        }


def _open(value: Sealed, key: UUID) -> Any:
    try:
        return value.open(row_id=key)
    except SealingError as error:
        return Unreadable(error)


# -- tables to which no column leads --------------------------------------------------------------


def _audit_entries(person: PersonalRows, table: Table) -> models.QuerySet:
    """The account's actions and failed logins; for erasure also anonymous actions on its rows."""
    about = Q(entity_type=PEOPLE, entity_id=person.user_id)
    for other in tables() if person.is_erasure else ():
        if other.name in FINDERS or other.name == PEOPLE or not _is_audited(other):
            continue
        if (rows := person.rows(other)) is not None:
            keys = list(rows.values_list("pk", flat=True))  # the log has an index for keys
            about |= Q(entity_type=other.name, entity_id__in=keys)
    return model_of(table.name)._base_manager.filter(
        Q(actor=person.user_id) | (Q(actor__isnull=True) & about)
    )


def _is_audited(table: Table) -> bool:
    triggers = getattr(table.model and table.model._meta, "triggers", ())
    return any(isinstance(trigger, Audited) for trigger in triggers)


def _sessions(person: PersonalRows, table: Table) -> models.QuerySet:
    """The sessions of the account. The user of a session is inside its signed text."""
    sessions = cast("type[models.Model]", table.model)._base_manager
    own = [
        session.pk
        for session in sessions.iterator()
        if session.get_decoded().get("_auth_user_id") == str(person.user_id)  # type: ignore[attr-defined]
    ]
    return sessions.filter(pk__in=own)


FINDERS: dict[str, Callable[[PersonalRows, Table], models.QuerySet]] = {
    "audit_log_entries": _audit_entries,
    "django_session": _sessions,
}
