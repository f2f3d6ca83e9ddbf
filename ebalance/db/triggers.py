"""Rules that a CHECK cannot express, as triggers of SQLSTATE class 23.

Built on django-pgtrigger's migrations, with two differences: there is no
``pgtrigger.ignore`` escape (a rule that a session setting can switch off is not a rule),
and the refusal itself is the shared function ``refuse()``, so that most rules are only a
WHEN condition and cost nothing until they are broken.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pgtrigger
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _
from pgtrigger import compiler


class RuleTriggerSql(compiler.UpsertTriggerSql):
    """Installation template, version 1. Migrations refer to it: add a version, never edit."""

    def get_template(self) -> str:
        return (
            "{func}DROP TRIGGER IF EXISTS {pgid} ON {table}; "
            "CREATE {constraint} TRIGGER {pgid} {when} {operation} ON {table} "
            "{timing} {referencing} FOR EACH {level} {condition} EXECUTE FUNCTION {execute}; "
            "COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';"
        )


def _literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


class Rule(pgtrigger.Trigger):
    """A trigger called after its rule.

    ``execute`` is a call of a shared function; ``body`` instead is PL/pgSQL of its own.
    ``validate(instance)``, when given, says the same in Python for ``full_clean()``.
    Tables and functions in SQL are named with their schema: a temporary table of the same
    name must not stand in for the real one.
    """

    def __init__(
        self,
        name: str,
        *,
        operation,
        execute: str | None = None,
        body: str | None = None,
        when=pgtrigger.Before,
        condition: str | None = None,
        level=pgtrigger.Row,
        timing=None,
        validate: Callable[[models.Model], None] | None = None,
    ):
        if (execute is None) == (body is None):
            raise ValueError("a Rule has either a shared function or a body")
        self.rule = name
        self.execute = execute
        self.body = body
        if validate is not None:
            self.validate = validate
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
        func = ""
        if self.body is not None:
            func = (
                f"CREATE OR REPLACE FUNCTION public.{self.rule}() RETURNS trigger "
                f"LANGUAGE plpgsql AS $rule$ {self.body.strip()} $rule$; "
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
                execute=self.execute or f"public.{self.rule}()",
            ),
        )


def refusal(rule: str, column: str, message: str, *, function: str = "refuse") -> str:
    """The call that refuses: rule name, column, and a sentence a person understands."""
    return f"public.{function}({_literal(rule)}, {_literal(column)}, {_literal(message)})"


def stored(instance: models.Model, *columns: str) -> dict | None:
    """The row as the database has it now, or None when it is new."""
    if instance._state.adding:
        return None
    return type(instance)._base_manager.filter(pk=instance.pk).values(*columns).first()


def touch_updated_at(table: str) -> Rule:
    """Keep ``updated_at`` current, whoever writes."""
    return Rule(
        f"{table}_touch_updated_at",
        operation=pgtrigger.Update,
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
    rule = f"{table}_{field}_transition"

    def validate_move(instance: models.Model) -> None:
        row = stored(instance, field)
        new = getattr(instance, field)
        if row and row[field] != new and (row[field], new) not in allowed:
            raise ValidationError(
                {
                    field: ValidationError(
                        _("The status cannot go from “%(old)s” to “%(new)s”."),
                        code=rule,
                        params={"old": row[field], "new": new},
                    )
                }
            )

    pairs = ", ".join(f"({_literal(old)}, {_literal(new)})" for old, new in allowed)
    rules = [
        Rule(
            rule,
            operation=pgtrigger.UpdateOf(field),
            condition=f"OLD.{field} IS DISTINCT FROM NEW.{field} "
            f"AND NOT ((OLD.{field}, NEW.{field}) IN ({pairs}))",
            execute=refusal(
                rule, field, "This change of status is not allowed", function="refuse_transition"
            ),
            validate=validate_move,
        )
    ]
    if initial is not None:
        rules.append(initial_states(table, initial, field=field))
    return rules


def initial_states(table: str, states: Sequence[str], *, field: str = "status") -> Rule:
    """A new row starts in one of ``states``."""
    rule = f"{table}_{field}_initial"

    def validate_initial(instance: models.Model) -> None:
        if instance._state.adding and getattr(instance, field) not in states:
            raise ValidationError(
                {field: ValidationError(_("A new record cannot start in this status."), code=rule)}
            )

    return Rule(
        rule,
        operation=pgtrigger.Insert,
        condition=f"NEW.{field} NOT IN ({', '.join(map(_literal, states))})",
        execute=refusal(rule, field, "A new row cannot start in this status"),
        validate=validate_initial,
    )


def frozen(
    table: str, rule: str, columns: Sequence[str], *, when: str | None = None, message: str
) -> Rule:
    """These columns keep the value they were inserted with (while ``when`` holds)."""
    name = f"{table}_{rule}"
    changed = " OR ".join(f"OLD.{c} IS DISTINCT FROM NEW.{c}" for c in columns)
    condition = f"({changed})" + (f" AND ({when})" if when else "")

    def validate_frozen(instance: models.Model) -> None:
        row = stored(instance, *columns)
        if not row or when:  # a condition in SQL is left to the database
            return
        by_column = {f.column: f for f in instance._meta.concrete_fields}
        for column in columns:
            field = by_column[column]
            if row[column] != getattr(instance, field.attname):
                raise ValidationError(
                    {field.name: ValidationError(_("This cannot be changed any more."), code=name)}
                )

    return Rule(
        name,
        operation=pgtrigger.Update,
        condition=condition,
        execute=refusal(name, columns[0], message),
        validate=validate_frozen,
    )


def no_update(table: str, *, message: str = "This row is immutable") -> Rule:
    """A written row is never changed."""
    name = f"{table}_immutable"

    def validate_immutable(instance: models.Model) -> None:
        if not instance._state.adding:
            raise ValidationError(_("This record cannot be changed."), code=name)

    return Rule(
        name,
        operation=pgtrigger.Update,
        execute=refusal(name, "", message),
        validate=validate_immutable,
    )


def no_truncate(table: str) -> Rule:
    """TRUNCATE would go around every row trigger."""
    name = f"{table}_no_truncate"
    return Rule(
        name,
        operation=pgtrigger.Truncate,
        level=pgtrigger.Statement,
        execute=refusal(name, "", "This table cannot be truncated"),
    )


def no_delete(
    table: str, *, message: str = "These rows are kept as evidence", condition: str | None = None
) -> Rule:
    name = f"{table}_no_delete"
    return Rule(
        name,
        operation=pgtrigger.Delete,
        condition=condition,
        execute=refusal(name, "", message),
    )


def append_only(table: str) -> list[Rule]:
    """Rows are written once: no update, no delete, no truncate, for anyone."""
    return [
        no_update(table, message="This table is append-only"),
        no_delete(table, message="This table is append-only"),
        no_truncate(table),
    ]


def versions(table: str, parent: str, column: str) -> list[Rule]:
    """Immutable versions of a parent: they go only together with it."""
    name = f"{table}_no_delete"
    return [
        no_update(table),
        Rule(
            name,
            operation=pgtrigger.Delete,
            body=f"""
BEGIN
    IF EXISTS (SELECT FROM public.{parent} WHERE id = OLD.{column}) THEN
        PERFORM public.raise_refusal('{name}', TG_TABLE_NAME, '{column}',
            'A version is deleted only together with what it is a version of');
    END IF;
    RETURN OLD;
END""",
        ),
        no_truncate(table),
    ]


def existing_version(table: str, column: str, versions: str, parent: str, *, state: str) -> Rule:
    """The version number in ``column`` is one of the row's versions while it is in ``state``."""
    name = f"{table}_{column}_exists"

    def validate(instance: Any) -> None:
        number = getattr(instance, column)
        if number is not None and not instance.versions.filter(version=number).exists():
            raise ValidationError(
                {column: ValidationError(_("There is no such version."), code=name)}
            )

    return Rule(
        name,
        operation=pgtrigger.Insert | pgtrigger.Update,
        condition=f"NEW.{column} IS NOT NULL",
        body=f"""
BEGIN
    IF NOT EXISTS (SELECT FROM public.{versions}
                   WHERE {parent} = NEW.id AND version = NEW.{column}) THEN
        PERFORM public.raise_refusal('{name}', TG_TABLE_NAME, '{column}',
            'There is no such version; it must exist before it is {state}');
    END IF;
    RETURN NEW;
END""",
        validate=validate,
    )
