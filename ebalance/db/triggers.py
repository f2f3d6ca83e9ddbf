"""Rules that a CHECK cannot express, as triggers of SQLSTATE class 23.

Built on django-pgtrigger's migrations, with two differences: there is no
``pgtrigger.ignore`` escape (a rule that a session setting can switch off is not a rule),
and the refusal itself is the shared function ``refuse()``, so that most rules are only a
WHEN condition and cost nothing until they are broken.

A rule's sentence is written once, in English, marked with ``gettext_noop``: the database
says it as it is, ``full_clean()`` and admin say it in the reader's language.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pgtrigger
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from pgtrigger import compiler

IMMUTABLE = gettext_noop("This record cannot be changed any more")
APPEND_ONLY = gettext_noop("These records are only added, never changed or deleted")
NOT_TRUNCATED = gettext_noop("This table cannot be emptied")
ERASED = gettext_noop("This person was erased; nothing more is written of them")
EVIDENCE = gettext_noop("These records are kept as evidence and are not deleted")

# In a Rule's body: raise the rule's refusal.
REFUSE = "REFUSE;"


class RuleTriggerSql(compiler.UpsertTriggerSql):
    """Installation template, version 1. Migrations refer to it: add a version, never edit."""

    def get_template(self) -> str:
        return (
            "{func}DROP TRIGGER IF EXISTS {pgid} ON {table}; "
            "CREATE {constraint} TRIGGER {pgid} {when} {operation} ON {table} "
            "{timing} {referencing} FOR EACH {level} {condition} EXECUTE FUNCTION {execute}; "
            "COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';"
        )


def literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


class Rule(pgtrigger.Trigger):
    """A trigger called after its rule.

    ``message`` makes it a rule that refuses; ``column`` is where the refusal points (the
    primary key unless given). What it does is one of:

    * nothing more: every row that meets ``condition`` is refused;
    * ``body``: PL/pgSQL, in which ``REFUSE;`` refuses;
    * ``execute``: the call of a shared function;
    * ``refuse``: the shared function that refuses in its own way, with rule, column, sentence.

    ``broken(instance)`` says in Python whether the row breaks the rule, for ``full_clean()``.
    Tables and functions in SQL are named with their schema, and a body sets its search_path:
    a caller's temporary table, type or operator must not stand in for the real one.
    """

    frozen_columns: tuple[str, ...] = ()  # columns that never change after the INSERT

    def __init__(
        self,
        name: str,
        *,
        operation,
        message: str | None = None,
        column: str | None = None,
        execute: str | None = None,
        body: str | None = None,
        when=pgtrigger.Before,
        condition: str | None = None,
        level=pgtrigger.Row,
        timing=None,
        broken: Callable[[Any], bool] | None = None,
        refuse: str = "refuse",
    ):
        if body is not None and execute is not None:
            raise ValueError("a Rule has a body or a shared function, not both")
        if message is None and body is None and execute is None:
            raise ValueError("a Rule that only refuses has a message")
        self.rule = name
        self.message = message
        self.column = column
        self.execute = execute
        self.body = body
        self.broken = broken
        self.refuse = refuse
        super().__init__(
            name=name,
            operation=operation,
            when=when,
            level=level,
            timing=timing,
            condition=pgtrigger.Condition(f"({condition})") if condition else None,
            func="-- see body",
        )

    def validate_name(self) -> None:
        # pgtrigger keeps room for a prefix and a hash, which these names do without.
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", self.rule):
            raise ValueError(
                f"trigger name {self.rule!r} is no lower-case name of up to 63 characters"
            )

    def get_pgid(self, model) -> str:
        return self.rule

    def compile(self, model) -> compiler.Trigger:
        column = self.column or model._meta.pk.column
        arguments = f"{literal(self.rule)}, {{}}{literal(column)}, {literal(self.message)}"
        func = ""
        execute = self.call(model) or f"public.{self.refuse}({arguments.format('')})"
        if self.body is not None:
            refusal = f"PERFORM public.raise_refusal({arguments.format('TG_TABLE_NAME, ')});"
            execute = f"public.{self.rule}()"
            func = (
                f"CREATE OR REPLACE FUNCTION {execute} RETURNS trigger LANGUAGE plpgsql "
                f"SET search_path = pg_catalog, pg_temp "
                f"AS $rule$ {self.body.strip().replace(REFUSE, refusal)} $rule$; "
            )
        return compiler.Trigger(
            name=self.name,
            sql=RuleTriggerSql(
                pgid=self.rule,
                func=func,
                table=model._meta.db_table,
                constraint="CONSTRAINT" if self.timing else "",
                when=self.when,
                operation=self.operation,
                timing=f"DEFERRABLE INITIALLY {self.timing}" if self.timing else "",
                level=self.level,
                condition=self.render_condition(model),
                execute=execute,
            ),
        )

    def call(self, model) -> str | None:
        """The call of the shared function, if there is one."""
        return self.execute

    @property
    def messages(self) -> Mapping[str, str]:
        """The sentence of every rule that this trigger may name in a refusal."""
        return {self.rule: self.message} if self.message else {}

    def validate(self, instance: models.Model) -> None:
        """Raise the ValidationError that the database would raise as an IntegrityError."""
        if self.broken and self.broken(instance):
            raise self.violation(instance, self.rule, self.message or "", self.column)

    @staticmethod
    def violation(
        instance: models.Model, rule: str, message: str, column: str | None
    ) -> ValidationError:
        """``message`` in the reader's language, at the field that owns ``column``."""
        by_column = {f.column: f.name for f in instance._meta.concrete_fields}
        field = by_column.get(column or "", NON_FIELD_ERRORS)
        return ValidationError({field: ValidationError(_(message) + ".", code=rule)})


class Transition(Rule):
    """A move of the state machine that is not listed in ``moves``."""

    moves: Mapping[str, Sequence[str]] = {}

    def validate(self, instance: models.Model) -> None:
        if self.broken and self.broken(instance):
            column = self.column or ""
            old = (stored(instance, column) or {}).get(column)
            field: Any = instance._meta.get_field(column)
            labels = dict(field.flatchoices)
            raise ValidationError(
                {
                    field.name: ValidationError(
                        _("The status cannot go from “%(old)s” to “%(new)s”."),
                        code=self.rule,
                        params={
                            "old": labels.get(old, old),
                            "new": labels.get(field.value_from_object(instance)),
                        },
                    )
                }
            )


def stored(instance: models.Model, *columns: str) -> dict[str, Any] | None:
    """The row as the database has it now, or None when it is new."""
    if instance._state.adding:
        return None
    fields = {f.column: f.attname for f in instance._meta.concrete_fields}
    row = (
        type(instance)
        ._base_manager.filter(pk=instance.pk)
        .values(*(fields[column] for column in columns))
        .first()
    )
    return row and {column: row[fields[column]] for column in columns}


def not_resealed(table: str, column: str) -> str:
    """SQL: this is not a batch of rotate_keys that moves the value to another key."""
    return f"public.is_resealing({literal(table)}, OLD.{column}, NEW.{column}) IS NOT TRUE"


def touch_updated_at(table: str, *, resealed: Sequence[str] = ()) -> Rule:
    """Keep ``updated_at`` current, whoever writes.

    Nobody has written anything when ``resealed`` columns only move to another key.
    """
    return Rule(
        f"{table}_touch_updated_at",
        operation=pgtrigger.Update,
        condition=" AND ".join(not_resealed(table, column) for column in resealed) or None,
        execute="public.touch_updated_at()",
    )


def transitions(
    table: str,
    moves: Mapping[str, Sequence[str]],
    *,
    initial: Sequence[str] | None = None,
    field: str = "status",
) -> list[Rule]:
    """The state machine of ``table`` (states.md): every move not listed is refused.

    ``initial`` lists the states a row may be inserted in; None leaves that to its checks.
    """
    allowed = [(old, new) for old, targets in moves.items() for new in targets]

    def is_move_refused(instance: models.Model) -> bool:
        row = stored(instance, field)
        if row is None:
            return False
        old, new = row[field], getattr(instance, field)
        return old != new and (old, new) not in allowed

    pairs = ", ".join(f"({literal(old)}, {literal(new)})" for old, new in allowed)
    move = Transition(
        f"{table}_{field}_transition",
        operation=pgtrigger.UpdateOf(field),
        condition=f"OLD.{field} IS DISTINCT FROM NEW.{field} "
        f"AND NOT ((OLD.{field}, NEW.{field}) IN ({pairs}))",
        message=gettext_noop("This change of status is not allowed"),
        column=field,
        broken=is_move_refused,
        refuse="refuse_transition",
    )
    move.moves = moves
    return [move] if initial is None else [move, initial_states(table, initial, field=field)]


def initial_states(table: str, states: Sequence[str], *, field: str = "status") -> Rule:
    """A new row starts in one of ``states``."""
    return Rule(
        f"{table}_{field}_initial",
        operation=pgtrigger.Insert,
        condition=f"NEW.{field} NOT IN ({', '.join(map(literal, states))})",
        message=gettext_noop("A new record cannot start in this status"),
        column=field,
        broken=lambda row: row._state.adding and getattr(row, field) not in states,
    )


def frozen(
    table: str,
    rule: str,
    columns: Sequence[str],
    *,
    message: str,
    once: str | None = None,
    status: str | None = None,
    resealed: Sequence[str] = (),
    emptied: Mapping[str, str] | None = None,
) -> Rule:
    """These columns keep the value they were inserted with.

    With ``once``, from when that column has a value; with ``status``, while the row is in it.
    Those of them in ``resealed`` may still move to another key, with their value. Those in
    ``emptied`` may become NULL where the column that they name there is or becomes so too.
    """
    changes = {c: f"OLD.{c} IS DISTINCT FROM NEW.{c}" for c in columns}
    changes |= {c: f"({changes[c]} AND {not_resealed(table, c)})" for c in resealed}
    emptied = emptied or {}
    changes |= {
        c: f"({changes[c]} AND (NEW.{c} IS NOT NULL OR NEW.{other} IS NOT NULL))"
        for c, other in emptied.items()
    }
    condition = f"({' OR '.join(changes.values())})"
    if once:
        condition += f" AND OLD.{once} IS NOT NULL"
    if status:
        condition += f" AND OLD.status = {literal(status)}"

    def is_changed(instance: models.Model) -> bool:
        guards = [column for column, used in ((once, once), ("status", status)) if used and column]
        row = stored(instance, *columns, *guards)
        if not row or (once and row[once] is None) or (status and row["status"] != status):
            return False
        attributes = {f.column: f.attname for f in instance._meta.concrete_fields}
        now = {c: getattr(instance, attributes[c]) for c in (*columns, *emptied.values())}
        return any(
            row[c] != now[c] and not (c in emptied and now[c] is None and now[emptied[c]] is None)
            for c in columns
        )

    made = Rule(
        f"{table}_{rule}",
        operation=pgtrigger.Update,
        condition=condition,
        message=message,
        column=columns[0],
        broken=is_changed,
    )
    if not (once or status):
        made.frozen_columns = tuple(columns)
    return made


def key_stays(table: str, column: str) -> Rule:
    """A row's key is not given away: other rows, versions and sealed values go by it."""
    return Rule(
        f"{table}_{column}_stays",
        operation=pgtrigger.UpdateOf(column),
        condition=f"OLD.{column} IS DISTINCT FROM NEW.{column}",
        message=gettext_noop("The key of a record never changes"),
        column=column,
    )


def no_update(table: str, *, message: str = IMMUTABLE) -> Rule:
    """A written row is never changed."""
    return Rule(
        f"{table}_immutable",
        operation=pgtrigger.Update,
        message=message,
        broken=lambda row: not row._state.adding,
    )


def no_truncate(table: str) -> Rule:
    """TRUNCATE would go around every row trigger."""
    return Rule(
        f"{table}_no_truncate",
        operation=pgtrigger.Truncate,
        level=pgtrigger.Statement,
        message=NOT_TRUNCATED,
    )


def no_delete(table: str, *, message: str = EVIDENCE, condition: str | None = None) -> Rule:
    return Rule(
        f"{table}_no_delete", operation=pgtrigger.Delete, condition=condition, message=message
    )


def append_only(table: str) -> list[Rule]:
    """Rows are written once: no update, no delete, no truncate, for anyone."""
    return [
        no_update(table, message=APPEND_ONLY),
        no_delete(table, message=APPEND_ONLY),
        no_truncate(table),
    ]


def stays_as_written(declared: Iterable[Rule]) -> bool:
    """Whether rows are never changed, by the name of a rule: versions, append-only tables.

    The rule itself may leave maintenance its exceptions (the events of an erased person).
    """
    return any(rule.rule.endswith(("_immutable", "_append_only")) for rule in declared)


def not_erased(table: str, column: str) -> Rule:
    """Nothing new is written of a person who was erased. Brought along by the reference (Ref)."""
    return Rule(
        f"{table}_{column}_not_erased",
        operation=pgtrigger.Insert | pgtrigger.UpdateOf(column),
        condition=f"NEW.{column} IS NOT NULL",
        refuse="refuse_for_erased_person",
        message=ERASED,
        column=column,
        broken=lambda row: is_newly_of_erased(row, column),
    )


def is_newly_of_erased(row: models.Model, column: str) -> bool:
    field = next(f for f in row._meta.concrete_fields if f.column == column)
    person = getattr(row, field.attname)
    if person is None or (stored(row, column) or {}).get(column) == person:
        return False
    people: Any = field.related_model
    return people._base_manager.filter(pk=person, status="deleted").exists()


def is_never_deleted(declared: Iterable[Rule]) -> bool:
    """Whether a rule keeps the rows as evidence. Retention may have its exceptions."""
    return any(rule.operation == pgtrigger.Delete and rule.message == EVIDENCE for rule in declared)


def versions(table: str, parent: str, column: str) -> list[Rule]:
    """Immutable versions of a parent: they go only together with it."""
    return [
        no_update(table),
        Rule(
            f"{table}_no_delete",
            operation=pgtrigger.Delete,
            message=gettext_noop("A version is deleted only together with what it belongs to"),
            column=column,
            body=f"""
BEGIN
    IF EXISTS (SELECT FROM public.{parent} WHERE id = OLD.{column}) THEN
        {REFUSE}
    END IF;
    RETURN OLD;
END""",
        ),
        no_truncate(table),
    ]


def existing_version(table: str, column: str, versions: str, parent: str) -> Rule:
    """The number in ``column`` is one of the row's versions.

    As a foreign key would, it looks after the statement, or at the end of the transaction for
    a writer who says ``SET CONSTRAINTS … DEFERRED`` and inserts parent and version in any order.
    """
    return Rule(
        f"{table}_{column}_exists",
        operation=pgtrigger.Insert | pgtrigger.UpdateOf(column),
        when=pgtrigger.After,
        timing=pgtrigger.Immediate,
        condition=f"NEW.{column} IS NOT NULL",
        message=gettext_noop("There is no such version; it must exist before it is used"),
        column=column,
        body=f"""
BEGIN
    IF EXISTS (SELECT FROM public.{table} WHERE id = NEW.id AND {column} = NEW.{column})
       AND NOT EXISTS (SELECT FROM public.{versions}
                       WHERE {parent} = NEW.id AND version = NEW.{column}) THEN
        {REFUSE}
    END IF;
    RETURN NULL;
END""",
        broken=lambda row: (
            getattr(row, column) is not None
            and not row.versions.filter(version=getattr(row, column)).exists()
        ),
    )
