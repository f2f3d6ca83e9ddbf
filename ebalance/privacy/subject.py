"""Which rows are a person's: what an export has and what erasure removes (privacy.md §5).

It follows from the declarations beside the fields: ``of_person`` columns lead from a person, or
from a row of theirs, to more rows; browsers and contacts lead to rows that name nobody. A table
with something personal to which nothing leads is named by ``unreached()``, and a test fails.

What is theirs is what they are surely known by. A lead is, that has their account among its
identities, or else is named beside it in a row, or has a contact of the account and none that the
account has not (two contacts in one lead anybody may have typed), unless it is known as somebody
else's. A browser is, that nobody else was seen with; which browser wrote of a lead that is
known by a contact alone, says nothing. A contact is, that the account has. A row that names an
account is that one's alone, whatever lead stands beside it. Once a lead was two people's, what
nobody can say whose it is stays nobody's, also when one of them is erased.

Erasure goes further than an export where it takes nothing from anybody (``is_erasure``): browsers
that others were seen with too are taken out of rows that name nobody and stay; what the log says
of where requests about their rows came from goes, though a stranger may have made them; and of a
lead that was two people's goes all, when both are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property, reduce
from itertools import product
from operator import or_
from typing import Any, cast
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery

from ebalance.db import contacts
from ebalance.db.auditing import Audited
from ebalance.db.contacts import ContactInvalid
from ebalance.db.encryption.fields import BlindIndex, SealedField, SealingError
from ebalance.db.encryption.values import BlindToken, Sealed
from ebalance.db.schema.data_map import Column, Table, tables

PEOPLE, LEADS = "users", "leads"
# Of an account: channel of a contact to column.
CONTACTS = {"email": "email", "phone": "phone", "telegram": "telegram_user_id"}
BROWSER, TELEGRAM = "anonymous_id", "telegram_user_id"
SHARED = "lead_shared"  # event of a lead that was two people's when one of them was erased


class Unreadable:
    """In the place of a sealed value that does not open; ``reason`` says why, not what."""

    def __init__(self, error: SealingError) -> None:
        self.reason = type(error).__name__

    def __repr__(self) -> str:
        return f"<unreadable: {self.reason}>"


class Person:
    """A user and everything that is theirs, as it is when it is asked for the first time.

    Whose a lead, a browser or a contact is, is found out once. ``rows()`` are querysets.
    """

    def __init__(
        self, user_id: UUID, *, remembered: Iterable[UUID] = (), is_erasure: bool = False
    ) -> None:
        """``remembered``: leads that are known to have been theirs, from somewhere else."""
        self.user_id = user_id
        self.remembered = frozenset(remembered)
        self.is_erasure = is_erasure

    # -- known by -------------------------------------------------------------------------------

    @cached_property
    def leads(self) -> frozenset[UUID]:
        """Their leads, those included that were merged into them, as long as it is known."""
        identities = _model("lead_identities")._base_manager
        guessed = (self._by_contact - self.doubtful) | self._beside(user=self.user_id)
        guessed |= self.remembered
        guessed -= self._registered
        others = identities.filter(lead__in=guessed, user__isnull=False)
        guessed -= set(others.values_list("lead", flat=True))
        guessed -= self._beside(leads=guessed)
        return frozenset(with_merged(guessed | (self._registered - self.shared)))

    @cached_property
    def _by_contact(self) -> set[UUID]:
        """Leads that have a contact of the account, whoever typed it."""
        known = _model("lead_identities")._base_manager.filter(
            Q(email_bidx__in=self.tokens)
            | Q(phone_bidx__in=self.tokens)
            | Q(telegram_user_id__in=self.telegram_ids)
        )
        return set(known.values_list("lead", flat=True))

    @cached_property
    def doubtful(self) -> frozenset[UUID]:
        """Leads of nobody's account with a contact of this one, and one which it has not."""
        found = _model("lead_identities")._base_manager.filter(lead__in=self._by_contact)
        foreign = found.filter(
            (Q(email_bidx__isnull=False) & ~Q(email_bidx__in=self.tokens))
            | (Q(phone_bidx__isnull=False) & ~Q(phone_bidx__in=self.tokens))
            | (Q(telegram_user_id__isnull=False) & ~Q(telegram_user_id__in=self.telegram_ids))
        )
        return frozenset(set(foreign.values_list("lead", flat=True)) - self._registered)

    @cached_property
    def _registered(self) -> set[UUID]:
        """The leads that have the account among their identities."""
        identities = _model("lead_identities")._base_manager.filter(user=self.user_id)
        return set(identities.values_list("lead", flat=True))

    @cached_property
    def shared(self) -> frozenset[UUID]:
        """Leads that are known as somebody else too: of these only what is surely theirs."""
        identities = _model("lead_identities")._base_manager.filter(lead__in=self._registered)
        others = identities.filter(user__isnull=False).exclude(user=self.user_id)
        now = frozenset(others.values_list("lead", flat=True))
        if self.is_erasure:
            return now
        told = apps.get_model("audit.OutboxEvent")._base_manager.filter(
            aggregate_type=LEADS, aggregate_id__in=self._registered, event_type=SHARED
        )
        return now | set(told.values_list("aggregate_id", flat=True))

    def _beside(self, *, user: UUID | None = None, leads: set[UUID] | None = None) -> set[UUID]:
        """Leads that rows name beside ``user``; of ``leads`` those beside somebody else."""
        found: set[UUID] = set()
        for table in tables():
            to_person, to_lead = links(table, PEOPLE), links(table, LEADS)
            if not (table.model and to_person and to_lead) or leads == set():
                continue
            for person, lead in product(map(_attname, to_person), map(_attname, to_lead)):
                rows = table.model._base_manager.order_by().filter(**{f"{lead}__isnull": False})
                if leads is None:
                    rows = rows.filter(**{person: user})
                else:
                    rows = rows.filter(**{f"{lead}__in": leads, f"{person}__isnull": False})
                    rows = rows.exclude(**{person: self.user_id})
                found |= set(rows.values_list(lead, flat=True).distinct())
        return found

    @cached_property
    def browsers(self) -> frozenset[str]:
        """That nobody else was seen with."""
        found: set[str] = set()
        for own, rows in self._seen_with_browsers():
            own &= self._sure(_table(rows.model._meta.db_table))
            found |= set(rows.filter(own).values_list(BROWSER, flat=True).distinct())
        found.discard(None)
        for own, rows in self._seen_with_browsers():
            if found:
                others = rows.filter(**{f"{BROWSER}__in": found}).exclude(
                    own | _unnamed(rows.model)
                )
                found -= set(others.values_list(BROWSER, flat=True))
        return frozenset(found)

    @cached_property
    def shared_browsers(self) -> frozenset[str]:
        """That they were seen with, whoever else was."""
        found: set[str] = set()
        for own, rows in self._seen_with_browsers():
            found |= set(rows.filter(own).values_list(BROWSER, flat=True).distinct())
        found.discard(None)
        return frozenset(found)

    @cached_property
    def tokens(self) -> frozenset[BlindToken]:
        """The blind indexes of the account's contacts."""
        found: set[BlindToken] = set()
        for channel, text in self._account.items():
            with suppress(ContactInvalid):  # the account may be older than what a contact is now
                found.add(BlindToken.of(channel, text))
        return frozenset(found)

    @cached_property
    def telegram_ids(self) -> frozenset[str]:
        return frozenset(text for channel, text in self._account.items() if channel == "telegram")

    @cached_property
    def _account(self) -> dict[str, str]:
        row = _model(PEOPLE)._base_manager.filter(pk=self.user_id).values(*CONTACTS.values())
        found = row.first() or {}
        return {c: found[name] for c, name in CONTACTS.items() if found.get(name) is not None}

    def _sure(self, table: Table) -> Q:
        """Rows that name the account, or a lead that has it among its identities."""
        ways = [Q(**{_attname(column): self.user_id}) for column in links(table, PEOPLE)]
        ways += [
            Q(**{f"{_attname(column)}__in": self._registered}) for column in links(table, LEADS)
        ]
        return _any(ways)

    def _seen_with_browsers(self) -> Iterator[tuple[Q, models.QuerySet]]:
        for table in tables():
            named = [c for parent in (PEOPLE, LEADS) for c in links(table, parent)]
            if table.model and named and BROWSER in {c.name for c in table.columns}:
                yield self._named(table) or Q(pk__in=[]), table.model._base_manager.order_by()

    # -- rows -----------------------------------------------------------------------------------

    def rows(self, table: Table) -> models.QuerySet | None:
        """Their rows of the table; None where nobody can have any."""
        if table.model is None:
            return None
        if finder := FINDERS.get(table.name):
            return finder(self, table)
        ways = [self._named(table), self._recognised(table), self._carried(table)]
        found = [way for way in ways if way is not None]
        if not found:
            return None
        return table.model._base_manager.filter(_any(found))

    def _named(self, table: Table) -> Q | None:
        """Rows that are the person or a lead of theirs, or refer to one, or to a row of theirs."""
        own = {PEOPLE: Q(pk=self.user_id), LEADS: Q(pk__in=self.leads)}
        found = [own[table.name]] if table.name in own else []
        for column in table.columns:
            if not column.declared.links_person:
                continue
            name, parent = _attname(column), parent_of(column)
            if parent == PEOPLE:
                found.append(Q(**{name: self.user_id}))
            elif parent == LEADS:
                found.append(Q(**{f"{name}__in": self.leads}) & _empty(links(table, PEOPLE)))
            else:
                rows = self.rows(_table(parent))
                found.append(Q(**{f"{name}__in": cast(models.QuerySet, rows).values("pk")}))
        return _any(found) if found else None

    def _recognised(self, table: Table) -> Q | None:
        """Rows that have a browser or a contact of theirs, and name nobody; a contact also in what
        names no more than a lead of which nobody can say whose it is.
        """
        known: dict[str, Any] = {}
        for column in table.columns:
            if isinstance(column.field, BlindIndex):
                known[f"{column.field.name}__in"] = self.tokens
            elif column.name == TELEGRAM and table.name != PEOPLE:
                known[f"{TELEGRAM}__in"] = self.telegram_ids
        by_contact = [Q(**{name: values}) for name, values in known.items() if values]
        by_contact += [Q(pk__in=self._by_opened(table, field)) for field in contacts_of(table)]
        has_browser = BROWSER in {column.name for column in table.columns}
        if not (known or by_contact or has_browser):
            return None
        unnamed = _unnamed(table.model)
        doubtful = self.shared | self.doubtful
        shared = [Q(**{f"{_attname(c)}__in": doubtful}) for c in links(table, LEADS)]
        found = _any(by_contact) & (
            unnamed | (_any(shared) & _empty(links(table, PEOPLE))) if shared else unnamed
        )
        takes_all = self.is_erasure and not table.rows_go
        if has_browser and (browsers := self.shared_browsers if takes_all else self.browsers):
            found |= Q(**{f"{BROWSER}__in": browsers}) & unnamed
        return found

    def _by_opened(self, table: Table, field: SealedField) -> list[UUID]:
        """Rows that name nobody and whose sealed contact, which has no index, is theirs.

        They are few: what cannot be searched is not kept for long. One that does not open is
        nobody's.
        """
        rows = cast(type[models.Model], table.model)._base_manager
        sealed = rows.filter(_unnamed(table.model), **{f"{field.name}__isnull": False})
        found = []
        known = {text for token in self.tokens for text in token.candidates}
        for key, value in sealed.values_list("pk", field.name).iterator():
            with suppress(SealingError):
                text = str(value.open(row_id=key))
                if any(_token(channel, text) & known for channel in contacts.READERS):
                    found.append(key)
        return found

    def _carried(self, table: Table) -> Q | None:
        """Rows that last carried a row of theirs: the slot of a session."""
        found = []
        for column in _carrying(table.name):
            own = cast(models.QuerySet, self.rows(column.table))
            every = cast(type[models.Model], column.table.model)._base_manager
            name = cast(models.Field, column.field).name
            last = every.filter(**{name: OuterRef("pk")}).order_by("-pk").values("pk")[:1]
            carriers = cast(type[models.Model], table.model)._base_manager.filter(
                pk__in=own.values(_attname(column))
            )
            mine = carriers.annotate(last=Subquery(last)).filter(last__in=own.values("pk"))
            found.append(Q(pk__in=mine.values("pk")))
        return _any(found) if found else None

    # -- export ---------------------------------------------------------------------------------

    def export(self) -> Iterator[tuple[Table, Iterator[dict[str, Any]]]]:
        """Table by table their rows, each as its exported columns; sealed values opened.

        Values are as Python has them; what does not open is ``Unreadable``. Read them in one
        transaction, REPEATABLE READ for one moment of all tables.
        """
        for table in tables():
            columns = [column for column in table.columns if column.in_export]
            rows = self.rows(table) if columns else None
            if rows is not None:
                yield table, _opened(rows, columns)


def _opened(rows: models.QuerySet, columns: list[Column]) -> Iterator[dict[str, Any]]:
    names = [_attname(column) for column in columns]
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


# -- what the declarations say ---------------------------------------------------------------------


def parent_of(column: Column) -> str:
    """The table that the column refers to; without a foreign key its name says it."""
    if column.field is not None and column.field.related_model is not None:
        return column.field.related_model._meta.db_table
    return {"user_id": PEOPLE, "lead_id": LEADS}[column.name]


def links(table: Table, parent: str) -> list[Column]:
    return [c for c in table.columns if c.declared.links_person and parent_of(c) == parent]


def contacts_of(table: Table) -> list[SealedField]:
    """Sealed P1 columns that no blind index can find."""
    return [
        column.field
        for column in table.columns
        if column.privacy == "P1" and isinstance(column.field, SealedField)
        if not column.field.indexes
    ]


def unreached() -> list[str]:
    """Tables with something personal, or that erasure changes, to which nothing leads."""
    nobody = Person(UUID(int=0))
    return [
        table.name
        for table in tables()
        if any(c.privacy != "P0" or c.erasure.action != "keep" for c in table.columns)
        and nobody.rows(table) is None
    ]


def _carrying(table: str) -> list[Column]:
    """The columns by which people's rows say that they take up one of ``table``."""
    return [
        column
        for other in tables()
        for column in other.columns
        if column.declared.is_carried and parent_of(column) == table
    ]


def _attname(column: Column) -> str:
    return cast(models.Field, column.field).attname


def _any(ways: Any) -> Q:
    return reduce(or_, ways, Q(pk__in=[]))


def _empty(columns: list[Column]) -> Q:
    return Q(**{f"{_attname(column)}__isnull": True for column in columns})


def _unnamed(model: Any) -> Q:
    """Rows that name neither a person nor a lead; or, without a foreign key, one that is gone."""
    found = Q()
    for parent in (PEOPLE, LEADS):
        for column in links(_table(model._meta.db_table), parent):
            name = _attname(column)
            named = Q(**{f"{name}__isnull": False})
            if cast(models.Field, column.field).related_model is None:
                named &= Q(Exists(_model(parent)._base_manager.filter(pk=OuterRef(name))))
            found &= ~named
    return found


def _token(channel: str, text: str) -> set[str]:
    try:
        return set(BlindToken.of(channel, text).candidates)
    except ContactInvalid:
        return set()
    finally:
        del text


def with_merged(found: set[UUID]) -> set[UUID]:
    """With the leads that were merged into these; the outbox remembers (privacy.md §4).

    One that is in use again is no merged one (crm.services.recognition).
    """
    merges = apps.get_model("audit.OutboxEvent")._base_manager.filter(event_type="lead_merged")
    known = _model("lead_identities")._base_manager.filter(lead=OuterRef("pk"))
    in_use = _model(LEADS)._base_manager.filter(~Q(status="inactive") | Q(Exists(known)))
    new = found
    while new:
        into = merges.filter(payload__into__in=[str(key) for key in new])
        merged = set(into.values_list("aggregate_id", flat=True)) - found
        new = merged - set(in_use.filter(pk__in=merged).values_list("pk", flat=True))
        found = found | new
    return found


def _table(name: str) -> Table:
    return next(table for table in tables() if table.name == name)


def _model(name: str) -> type[models.Model]:
    return cast(type[models.Model], _table(name).model)


# -- tables whose declarations do not lead there ---------------------------------------------------


def _entries(person: Person, table: Table) -> models.QuerySet:
    """What they did, and failed logins of theirs, by which nobody acted; for erasure also what
    nobody is known to have done to a row of theirs.
    """
    about = Q(entity_type=PEOPLE, entity_id=person.user_id)
    for other in tables() if person.is_erasure else ():
        if other.name in FINDERS or other.name == PEOPLE or not _is_audited(other):
            continue
        if (rows := person.rows(other)) is not None:
            keys = list(rows.values_list("pk", flat=True))  # by these the log has an index
            about |= Q(entity_type=other.name, entity_id__in=keys)
    return _model(table.name)._base_manager.filter(
        Q(actor=person.user_id) | (Q(actor__isnull=True) & about)
    )


def _is_audited(table: Table) -> bool:
    triggers = getattr(table.model and table.model._meta, "triggers", ())
    return any(isinstance(trigger, Audited) for trigger in triggers)


def _sessions(person: Person, table: Table) -> models.QuerySet:
    """Who is signed in stands inside the signed text."""
    sessions = cast(type[models.Model], table.model)._base_manager
    own = [
        session.pk
        for session in sessions.iterator()
        if session.get_decoded().get("_auth_user_id") == str(person.user_id)  # type: ignore[attr-defined]
    ]
    return sessions.filter(pk__in=own)


FINDERS: dict[str, Callable[[Person, Table], models.QuerySet]] = {
    "audit_log_entries": _entries,
    "django_session": _sessions,
}
