"""Triggers that refuse, each named after its rule."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import pgtrigger
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.utils.translation import gettext as _
from pgtrigger import compiler

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
    """A trigger named after its rule.

    A rule with a ``message`` refuses; ``column`` is the column of the refusal (by default the
    primary key). The trigger has one of these actions:

    * by default, it refuses every row that meets ``condition``;
    * ``body``: PL/pgSQL, in which ``REFUSE;`` refuses;
    * ``execute``: the call of a shared function;
    * ``refuse``: a shared function that decides and refuses, called with rule, column and sentence.

    A rule that refuses new rows fires AFTER INSERT unless ``when`` is given: a row that
    ``ON CONFLICT`` leaves out is not new. All others fire before the write.

    ``broken(instance)`` tests in Python whether the row breaks the rule, for ``full_clean()``.
    ``withholds`` names the privileges on the table that the application does not get because of
    the rule (schema/grants.py); a rule may still allow exceptions for the owner of the table.
    SQL names tables and functions with their schema, and a body sets its search_path: a caller's
    temporary table, type or operator must not replace the real one.
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
        when=None,
        condition: str | None = None,
        level=pgtrigger.Row,
        timing=None,
        broken: Callable[[Any], bool] | None = None,
        refuse: str = "refuse",
        withholds: Collection[str] = (),
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
        self.withholds = withholds
        if when is None:
            refuses_new_rows = message is not None and "INSERT" in str(operation)
            when = pgtrigger.After if refuses_new_rows else pgtrigger.Before
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
        # pgtrigger reserves room for a prefix and a hash, which these names do not have.
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
        """The sentence of each rule with which this trigger may refuse."""
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


def withheld(declared: Iterable[Rule]) -> set[str]:
    """The privileges that the rules of a table withhold from the application."""
    # The state of a migration has compiled triggers, which no longer name privileges.
    return {privilege for rule in declared for privilege in getattr(rule, "withholds", ())}


def is_immutable(declared: Iterable[Rule]) -> bool:
    """Whether the rows of a table never change, as in versions and append-only tables."""
    return "UPDATE" in withheld(declared)
