"""The rules for every table (data-model.md §0): one test each, over the live catalog.

A new model that breaks a convention fails here, with the file and the declaration to edit;
exceptions are listed, not inferred.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.db import models

from booking.models import Appointment
from content.models import ContentItemTopic
from ebalance.db import fields
from ebalance.db.on_delete import DB_CASCADE, DB_RESTRICT, DB_SET_NULL
from tests.advice import advises, of_class, of_column, of_field, of_function, of_rule, of_table
from tests.db import catalog

pytestmark = pytest.mark.django_db
THIS_FILE = "tests/db/test_conventions.py"

# data-model.md §0: "Exceptions".
TEXT_KEYS = {
    "roles": "code",
    "topics": "code",
    "deep_links": "deep_link_id",
    "tracking_events": "event_name",
    "system_settings": "key",
}
# Calendar days, and the wall-clock time of working hours: not points in time.
DAYS_AND_HOURS = {
    ("schedule_rules", "valid_from"): "date",
    ("schedule_rules", "valid_until"): "date",
    ("schedule_rules", "start_local"): "time without time zone",
    ("schedule_rules", "end_local"): "time without time zone",
    ("diary_entries", "entry_date"): "date",
    ("interactive_run_totals", "day"): "date",
    ("moderation_totals", "day"): "date",
}
# Column name to the suffix of the CHECK that every such column has.
CHECK_BY_NAME = {
    r"slug": "is_slug",
    r"title|name|display_name|seo_title|subject": "not_blank",
    r"timezone": "is_iana_zone",
    r"anonymous_id|deep_link_id": "is_opaque",
    r"action|entity_type|event_type|aggregate_type|last_error|key|code|event_name": "is_code",
    r"(provider_\w+|client_request|external_\w+)_id|idempotency_key": "is_external_id",
    r"public_url|canonical_url": "is_address",
    r"object_key|file_url": "is_object_key",
    r"(?!public_|canonical_|file_)\w+_url": "is_https",
    r".*_encrypted": "is_sealed",
    r".*_bidx": "is_blind_index",
}
# Columns in which such a name means something else.
OTHER_MEANING = {
    ("roles", "code"),  # a closed set
    ("payment_webhook_events", "last_error"),  # a closed set
    ("ugc_moderation_actions", "action"),  # a closed set
    ("payment_webhook_events", "event_type"),  # the provider's dotted name
    ("tracking_event_params", "name"),  # a|b, its own rule
    ("backfill_jobs", "name"),  # names a migration, its own rule
    ("migration_steps", "name"),  # names a migration, its own rule
    ("leases", "name"),  # a code with the id of a row, its own rule
    # Foreign keys to tracking_events.
    ("tracking_event_params", "event_name"),
    ("lead_timeline_events", "event_name"),
    ("analytics_events", "event_name"),
}


def table_checks() -> set[tuple[str, str]]:
    return {(row["table"], row["name"]) for row in catalog.constraints() if row["kind"] == "c"}


@advises
def test_tables_have_explicit_names_without_an_app_prefix() -> Iterator[str]:
    for model in catalog.project_models():
        table = model._meta.db_table
        if (
            model._meta.original_attrs.get("db_table") != table
            or not re.fullmatch(r"[a-z]+(_[a-z]+)*", table)
            or table == f"{model._meta.app_label}_{model._meta.model_name}"
        ):
            yield of_class(model)(
                "set Meta.db_table to a plural in snake_case without the app's name in",
                f"the table is {table}",
            )


@advises
def test_keys_are_uuid_version_7_from_the_database_and_from_python() -> Iterator[str]:
    by_name = {(c["table"], c["name"]): c for c in catalog.columns()}
    for model in catalog.project_models():
        table, key = model._meta.db_table, model._meta.pk
        column = by_name[table, key.column]
        actual = (key.column, column["type"], column["default"])
        if table in TEXT_KEYS:
            if actual != (TEXT_KEYS[table], "text", None):
                yield of_field(key)(
                    f"declare the text key {TEXT_KEYS[table]} (see TEXT_KEYS in {THIS_FILE}) as",
                    f"it is {actual}",
                )
            continue
        if actual != ("id", "uuid", "uuid7()"):
            yield of_class(model)(
                f"inherit from Entity (or list the table in TEXT_KEYS in {THIS_FILE})",
                f"it is {actual}",
            )
            continue
        first, second = key.get_default(), key.get_default()
        if (first.version, first < second) != (7, True):
            yield of_field(key)("set default=uuid7 on", f"the default makes {first}, {second}")
    for table in {*TEXT_KEYS} - {*catalog.project_tables()}:
        yield f"{THIS_FILE}: remove `{table}` from TEXT_KEYS: there is no such table"


@advises
def test_times_are_timestamptz_and_finite() -> Iterator[str]:
    definitions: dict[str, str] = {}
    for row in catalog.constraints():
        definitions[row["table"]] = definitions.get(row["table"], "") + row["definition"]
    seen = set()
    for column in catalog.columns():
        where = (column["table"], column["name"])
        if not column["type"].startswith(("timestamp", "date", "time")):
            continue
        seen.add(where)
        expected = DAYS_AND_HOURS.get(where, "timestamp with time zone")
        if column["type"] != expected:
            yield of_column(*where)(
                f"make a DateTimeField of (or list it in DAYS_AND_HOURS in {THIS_FILE})",
                f"the type is {column['type']}, not {expected}",
            )
        elif expected != "time without time zone" and not re.search(
            rf"is_finite\(\(?{column['name']}\b", definitions.get(column["table"], "")
        ):
            yield of_column(*where)(
                "add the column to rules.finite() in Meta.constraints, for",
                "no CHECK refuses infinity",
            )
    for table, column in DAYS_AND_HOURS.keys() - seen:
        yield f"{THIS_FILE}: remove `{table}.{column}` from DAYS_AND_HOURS: there is no such column"


@advises
def test_database_sets_created_at_and_updated_at() -> Iterator[str]:
    touched = {t["table"] for t in catalog.triggers() if t["function"] == "touch_updated_at"}
    updated = set()
    for column in catalog.columns():
        where = (column["table"], column["name"])
        if column["name"] in {"created_at", "updated_at"} and (
            column["default"],
            column["not_null"],
        ) != ("now()", True):
            yield of_column(*where)(
                f"declare it by {column['name']}() of ebalance/db/fields.py:",
                f"default {column['default']}, NOT NULL {column['not_null']}",
            )
        if column["name"] == "updated_at":
            updated.add(column["table"])
    for table in updated - touched:
        yield of_table(table)(
            f'add triggers.touch_updated_at("{table}") to Meta.triggers of', "nothing sets it"
        )
    for table in touched - updated:
        yield of_table(table)(
            "remove touch_updated_at() from Meta.triggers of", "no column is called updated_at"
        )


@advises
def test_names_state_the_rule() -> Iterator[str]:
    """No generated names: ``appointments_no_overlap``, not ``appointments_a1b2c3``."""
    for row in [*catalog.constraints(), *catalog.indexes(), *catalog.triggers()]:
        name, table = row["name"], row["table"]
        wanted = ""
        if row.get("kind") == "f":
            column = re.match(r"FOREIGN KEY \((\w+)\)", row["definition"])[1]
            wanted = f"{table}_{column}_fk"
        elif row.get("kind") == "p":
            wanted = f"{table}_pkey"
        generated = re.search(r"_[0-9a-f]{6,}(_|$)|_(uniq|idx|check\d*|like)$", name)
        if wanted and name != wanted:
            yield of_rule(table, name)(f"rename to {wanted}")
        elif not name.startswith(f"{table}_") or len(name) > 63 or generated:
            yield of_rule(table, name)(
                f"rename to {table}_ and the rule in words, at most 63 letters,"
            )


@advises
def test_indexes_are_valid_and_serve_a_query() -> Iterator[str]:
    """Except indexes of keys and rules."""
    for index in catalog.indexes():
        location = of_rule(index["table"], index["name"])
        if not index["is_valid"]:
            yield location("build again (DROP, CREATE INDEX CONCURRENTLY) in a migration")
        by_itself = not index["of_constraint"] and not index["is_unique"]
        if by_itself and len(index["comment"] or "") <= 5:
            yield location(
                "name the query in serves= of the Index", f"the comment is {index['comment']!r}"
            )


@advises
def test_foreign_keys_have_an_index_for_deletes() -> Iterator[str]:
    """The delete action of the parent finds its children by index."""
    leading = {
        (row["table"], row["first"])
        for row in catalog.execute(
            """
            SELECT t.relname AS "table", a.attname AS first
            FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid
            JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = x.indkey[0]
            """
        )
    }
    for row in catalog.constraints():
        if row["kind"] == "f":
            column = re.match(r"FOREIGN KEY \((\w+)\)", row["definition"])[1]
            if (row["table"], column) not in leading:
                yield of_column(row["table"], column)(
                    "declare an Index(…, serves=…) that starts with", "no index does"
                )


@advises
def test_tables_and_columns_have_a_comment_with_their_class() -> Iterator[str]:
    """Includes Django's tables: every column has a privacy class."""
    columns = catalog.execute(
        """
        SELECT c.relname AS "table", a.attname AS name, col_description(c.oid, a.attnum) AS comment,
               obj_description(c.oid) AS meaning
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
          AND a.attnum > 0 AND NOT a.attisdropped
        """
    )
    assert {column["table"] for column in columns} > set(catalog.project_tables())
    for column in columns:
        if not re.match(r"P[012] · \S.{2,}", column["comment"] or ""):
            yield of_column(column["table"], column["name"])(
                "declare p0()/p1()/p2() beside", f"the comment is {column['comment']!r}"
            )
        if not column["meaning"]:
            yield of_table(column["table"])(
                "describe a row in Meta.db_table_comment of", "the table has no comment"
            )


@advises
def test_sealed_columns_are_personal_and_sensitive_columns_sealed() -> Iterator[str]:
    for column in catalog.columns():
        sealed = column["name"].endswith(("_encrypted", "_bidx"))
        privacy = (column["comment"] or "")[:2]
        location = of_column(column["table"], column["name"])
        if sealed and privacy not in {"P1", "P2"}:
            yield location(
                "declare p1() or p2() beside", "a sealed column is personal or sensitive"
            )
        if privacy == "P2" and not sealed:
            yield location(
                "make a SealedField called *_encrypted of", "a sensitive column is stored sealed"
            )


TYPES = {
    "text",
    "text[]",
    "uuid",
    "boolean",
    "integer",
    "smallint",
    "bigint",
    "jsonb",
    "numeric(12,2)",
    "numeric[]",
    "bytea",
    "inet",
    "date",
    "time without time zone",
    "timestamp with time zone",
}


@advises
def test_columns_have_allowed_types() -> Iterator[str]:
    """No varchar with a limit hidden in the type, and no enum types, which cannot lose a value."""
    for column in catalog.columns():
        if column["type"] not in TYPES:
            yield of_column(column["table"], column["name"])(
                f"use SingleLineTextField, Text or another type of TYPES in {THIS_FILE} for",
                f"the type is {column['type']}",
            )
    for row in catalog.execute(
        "SELECT typname AS name FROM pg_type WHERE typtype = 'e' "
        "AND typnamespace = 'public'::regnamespace"
    ):
        yield f"<app>/migrations/: replace the enum type `{row['name']}` by a ClosedSet"


@advises
def test_closed_sets_have_one_source() -> Iterator[str]:
    checks = table_checks()
    for model in catalog.project_models():
        table = model._meta.db_table
        for field in model._meta.concrete_fields:
            location = of_field(field)
            if not isinstance(field, fields.ClosedSet):
                if field.choices:
                    yield location("make a ClosedSet of", "it lists choices of its own")
            elif (table, f"{table}_{field.column}_in_set") not in checks:
                yield location(
                    "make a migration with the CHECK of the ClosedSet",
                    f"{table}_{field.column}_in_set is missing",
                )
            elif [*field.members.values] != [value for value, _label in field.flatchoices]:
                yield location("leave the choices to the TextChoices of", "they differ")


@advises
def test_columns_have_the_check_of_their_name() -> Iterator[str]:
    checks = table_checks()
    seen = set()
    for column in catalog.columns():
        where = (column["table"], column["name"])
        for pattern, suffix in CHECK_BY_NAME.items():
            if where not in OTHER_MEANING and re.fullmatch(pattern, column["name"]):
                seen.add(pattern)
                rule = f"{where[0]}_{where[1]}_{suffix}"
                if (where[0], rule) not in checks:
                    yield of_column(*where)(
                        f"declare the CHECK {rule} (see ebalance/db/rules.py), or list the column "
                        f"in OTHER_MEANING in {THIS_FILE}, for",
                        "columns of this name have it",
                    )
    for pattern in CHECK_BY_NAME.keys() - seen:
        yield f"{THIS_FILE}: remove `{pattern}` from CHECK_BY_NAME: no column has such a name"


@advises
def test_database_performs_delete_actions() -> Iterator[str]:
    actions = {DB_CASCADE: "c", DB_RESTRICT: "r", DB_SET_NULL: "n"}
    in_catalog = {row["name"]: row for row in catalog.constraints() if row["kind"] == "f"}
    for model in catalog.project_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey):
                location = of_field(field)
                row = in_catalog.pop(f"{model._meta.db_table}_{field.column}_fk", None)
                action = actions.get(field.remote_field.on_delete)
                if action is None:
                    yield location(
                        "use DB_CASCADE, DB_RESTRICT or DB_SET_NULL (ebalance/db/on_delete.py) for"
                    )
                elif row is None:
                    yield location("make a migration with the foreign key of", "it is missing")
                elif row["on_delete"] != action:
                    yield location(
                        "make a migration for on_delete of",
                        f"the database has {row['on_delete']}, the model {action}",
                    )
                elif not (row["is_validated"] and row["is_deferrable"]):
                    yield location("validate and defer in a migration the foreign key of")
    for row in in_catalog.values():
        yield of_rule(row["table"], row["name"])(
            "declare a RestrictForeignKey for", "no field has this key"
        )


@advises
def test_join_tables_have_their_own_key_and_a_unique_pair() -> Iterator[str]:
    unique = {(r["table"], r["definition"]) for r in catalog.constraints() if r["kind"] == "u"}
    fields_with_joins = [
        field for model in catalog.project_models() for field in model._meta.local_many_to_many
    ]
    assert fields_with_joins
    for field in fields_with_joins:
        join = field.remote_field.through
        if join._meta.auto_created:
            yield of_field(field)("declare a model for through= of", "Django makes the table")
            continue
        pair = ", ".join(f.column for f in join._meta.concrete_fields if f.is_relation)
        if join._meta.pk.column != "id":
            yield of_class(join)("inherit from Entity, for the key `id`, in")
        if (join._meta.db_table, f"UNIQUE ({pair})") not in unique:
            yield of_class(join)(f"declare rules.Unique over ({pair}) in")


# raise_refusal() itself, and a function that asks for a retry or names an unknown actor.
RAISING = {"raise_refusal", "record_audit_entry", "take_lock"}


@advises
def test_triggers_are_enabled_and_refuse_through_one_function() -> Iterator[str]:
    for trigger in catalog.triggers():
        if trigger["enabled"] != "O":
            yield of_rule(trigger["table"], trigger["name"])("enable in a migration the trigger")
    for function in catalog.functions():
        location = of_function(function["name"])
        raises = re.search(r"\bRAISE\s+EXCEPTION\b", function["source"], re.IGNORECASE)
        if bool(raises) != (function["name"] in RAISING):
            yield location(
                "refuse by raise_refusal() and no RAISE EXCEPTION "
                f"(or see RAISING in {THIS_FILE}) in"
            )
        if "pgtrigger" in function["source"]:
            yield location("remove pgtrigger.ignore from", "no session setting switches a rule off")


# Called only by functions that set the search_path, or by no rule (uuid7).
INNER = {"is_p0_value", "is_p0_envelope", "is_p0_envelope_value", "event_offence", "uuid7"}


@advises
def test_search_path_of_the_caller_changes_no_function() -> Iterator[str]:
    """A body is either parsed at its creation, or sets its own search_path."""
    for function in catalog.functions():
        location = of_function(function["name"])
        if function["name"] in INNER:
            declared = function["source"].split("BEGIN")[0]
            if re.search(r"\b(?<!\.)(text|jsonb|uuid|date|inet)\b.*(:=|;)", declared):
                yield location("write pg_catalog. before the types of the variables in")
        elif function["name"] == "touch_updated_at":
            if function["source"].split() != (
                ["BEGIN", "NEW.updated_at", ":=", "pg_catalog.now();", "RETURN", "NEW;", "END"]
            ):
                yield location("set nothing but updated_at in", "it does without a search_path")
        elif function["is_parsed_late"] and (
            "search_path=pg_catalog, pg_temp" not in function["settings"]
        ):
            yield location("write SET search_path = pg_catalog, pg_temp in")


@advises
def test_functions_name_their_schema() -> Iterator[str]:
    """A temporary table must not replace a table of the same name."""
    tables = "|".join([*catalog.project_tables(), "[a-z_]*refus[a-z_]*"])
    for function in catalog.functions():
        code = re.sub(r"'[^']*'|--[^\n]*", "", function["source"])
        bare = re.search(rf"(?:FROM|JOIN|INTO|UPDATE|PERFORM)\s+(?:{tables})\b", code)
        if bare:
            yield of_function(function["name"])(f"write public. in `{bare[0]}` of")


@advises
def test_catalog_holds_exactly_the_declared_objects() -> Iterator[str]:
    declared: dict[str, set[tuple[str, str]]] = {
        kind: set() for kind in ("CHECK", "UNIQUE", "EXCLUDE", "UNIQUE INDEX", "INDEX", "TRIGGER")
    }
    for model in catalog.project_models():
        table = model._meta.db_table
        for constraint in model._meta.constraints:
            if isinstance(constraint, models.CheckConstraint):
                kind = "CHECK"
            elif isinstance(constraint, models.UniqueConstraint):
                plain = not (constraint.condition or constraint.expressions)
                kind = "UNIQUE" if plain else "UNIQUE INDEX"
            else:
                kind = "EXCLUDE"
            declared[kind].add((table, constraint.name))
        declared["INDEX"] |= {(table, index.name) for index in model._meta.indexes}
        declared["TRIGGER"] |= {(table, t.rule) for t in getattr(model._meta, "triggers", [])}
    indexes = catalog.indexes()
    actual = {
        kind: {(r["table"], r["name"]) for r in catalog.constraints() if r["kind"] == letter}
        for kind, letter in [("CHECK", "c"), ("UNIQUE", "u"), ("EXCLUDE", "x")]
    }
    actual["UNIQUE INDEX"] = {
        (i["table"], i["name"]) for i in indexes if i["is_unique"] and not i["of_constraint"]
    }
    actual["TRIGGER"] = {(t["table"], t["name"]) for t in catalog.triggers()}
    # Foreign keys have indexes that no model lists.
    actual["INDEX"] = {(i["table"], i["name"]) for i in indexes} & declared["INDEX"]
    for kind in declared:
        for table, name in declared[kind] - actual[kind]:
            yield of_rule(table, name)(
                f"run makemigrations for the {kind}", "the database has none"
            )
        for table, name in actual[kind] - declared[kind]:
            yield of_rule(table, name)(
                f"declare in Meta of the model (or drop in a migration) the {kind}",
                f"only the table {table} has it",
            )


@advises
def test_models_describe_a_row() -> Iterator[str]:
    for model in catalog.project_models():
        text = model.__doc__ or ""
        generated = text.startswith(f"{model.__name__}(")
        if not text or generated or len(text.strip().splitlines()) > 6:
            yield of_class(model)("describe a row in a docstring of one to six lines in")
        if "__str__" not in vars(model):
            yield of_class(model)("define __str__() in")


# -- the advice -----------------------------------------------------------------------------------

A = "booking/models/appointments.py:{line}: "
FUNCTION = "CREATE FUNCTION {} RETURNS trigger LANGUAGE plpgsql SET search_path = {} AS $$ {} $$"
PATH = "pg_catalog, pg_temp"
# A fault in the database, the test that detects it, and its advice.
FAULTS: dict[str, tuple[str, Callable[[], None], str]] = {
    "a type with a limit": (
        "ALTER TABLE appointments ADD jotting varchar(20)",
        test_columns_have_allowed_types,
        A + f"use SingleLineTextField, Text or another type of TYPES in {THIS_FILE} for "
        "`Appointment.jotting`: the type is character varying(20)",
    ),
    "an enum": (
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        test_columns_have_allowed_types,
        "<app>/migrations/: replace the enum type `mood` by a ClosedSet",
    ),
    "a column without a class": (
        "ALTER TABLE appointments ADD jotting text",
        test_tables_and_columns_have_a_comment_with_their_class,
        A + "declare p0()/p1()/p2() beside `Appointment.jotting`: the comment is None",
    ),
    "a column of Django without a class": (
        "ALTER TABLE django_session ADD jotting text",
        test_tables_and_columns_have_a_comment_with_their_class,
        "ebalance/db/schema/third_party.py: declare p0()/p1()/p2() beside "
        '`TABLES["django_session"].jotting`',
    ),
    "a table without a comment": (
        "CREATE TABLE notes (id uuid)",
        test_tables_and_columns_have_a_comment_with_their_class,
        "<app>/models/: describe a row in Meta.db_table_comment of "
        '`a model with db_table = "notes"`',
    ),
    "another key": (
        "ALTER TABLE appointments ALTER id DROP DEFAULT",
        test_keys_are_uuid_version_7_from_the_database_and_from_python,
        A + f"inherit from Entity (or list the table in TEXT_KEYS in {THIS_FILE}) `Appointment`",
    ),
    "a moment without a zone": (
        "ALTER TABLE appointments ADD noted_at timestamp",
        test_times_are_timestamptz_and_finite,
        A + f"make a DateTimeField of (or list it in DAYS_AND_HOURS in {THIS_FILE}) "
        "`Appointment.noted_at`",
    ),
    "a moment that may be infinite": (
        "ALTER TABLE appointments ADD noted_at timestamptz",
        test_times_are_timestamptz_and_finite,
        A + "add the column to rules.finite() in Meta.constraints, for `Appointment.noted_at`",
    ),
    "updated_at of the writer": (
        "ALTER TABLE appointments ALTER updated_at DROP DEFAULT",
        test_database_sets_created_at_and_updated_at,
        A + "declare it by updated_at() of ebalance/db/fields.py: `Appointment.updated_at`",
    ),
    "updated_at that nothing sets": (
        "DROP TRIGGER appointments_touch_updated_at ON appointments",
        test_database_sets_created_at_and_updated_at,
        A + 'add triggers.touch_updated_at("appointments") to Meta.triggers of `Appointment`',
    ),
    "a generated name": (
        "ALTER TABLE appointments ADD CONSTRAINT appointments_a1b2c3d4_check CHECK (true)",
        test_names_state_the_rule,
        A + "rename to appointments_ and the rule in words, at most 63 letters, "
        "`appointments_a1b2c3d4_check`",
    ),
    "the name of a foreign key": (
        "ALTER TABLE appointments RENAME CONSTRAINT appointments_lead_id_fk TO appointments_lead",
        test_names_state_the_rule,
        A + "rename to appointments_lead_id_fk `appointments_lead`",
    ),
    "an index without a query": (
        "CREATE INDEX appointments_by_zone ON appointments (timezone)",
        test_indexes_are_valid_and_serve_a_query,
        A + "name the query in serves= of the Index `appointments_by_zone`",
    ),
    "a reference without an index": (
        "ALTER TABLE appointments ADD tag_id uuid "
        "CONSTRAINT appointments_tag_id_fk REFERENCES tags",
        test_foreign_keys_have_an_index_for_deletes,
        A + "declare an Index(…, serves=…) that starts with `Appointment.tag_id`",
    ),
    "a sensitive column in the open": (
        "COMMENT ON COLUMN appointments.location_text IS 'P2 · where'",
        test_sealed_columns_are_personal_and_sensitive_columns_sealed,
        A + "make a SealedField called *_encrypted of `Appointment.location_text`",
    ),
    "a sealed column that is safe": (
        "ALTER TABLE appointments ADD note_encrypted text; "
        "COMMENT ON COLUMN appointments.note_encrypted IS 'P0 · a note'",
        test_sealed_columns_are_personal_and_sensitive_columns_sealed,
        A + "declare p1() or p2() beside `Appointment.note_encrypted`",
    ),
    "a set without its CHECK": (
        "ALTER TABLE appointments DROP CONSTRAINT appointments_format_in_set",
        test_closed_sets_have_one_source,
        A + "make a migration with the CHECK of the ClosedSet `Appointment.format`",
    ),
    "a slug without its CHECK": (
        "ALTER TABLE appointments ADD slug text",
        test_columns_have_the_check_of_their_name,
        A + "declare the CHECK appointments_slug_is_slug (see ebalance/db/rules.py), or list the "
        f"column in OTHER_MEANING in {THIS_FILE}, for `Appointment.slug`",
    ),
    "another delete action": (
        "ALTER TABLE appointments DROP CONSTRAINT appointments_lead_id_fk, ADD CONSTRAINT "
        "appointments_lead_id_fk FOREIGN KEY (lead_id) REFERENCES leads ON DELETE CASCADE",
        test_database_performs_delete_actions,
        A + "make a migration for on_delete of `Appointment.lead`: the database has c, the model r",
    ),
    "a reference without a field": (
        "ALTER TABLE appointments ADD tag_id uuid "
        "CONSTRAINT appointments_tag_id_fk REFERENCES tags",
        test_database_performs_delete_actions,
        A + "declare a RestrictForeignKey for `appointments_tag_id_fk`",
    ),
    "a pair that is not unique": (
        "ALTER TABLE content_item_topics DROP CONSTRAINT content_item_topics_once",
        test_join_tables_have_their_own_key_and_a_unique_pair,
        "content/models/items.py:{join}: declare rules.Unique over (content_item_id, topic_code) "
        "in `ContentItemTopic`",
    ),
    "a trigger that is off": (
        "ALTER TABLE appointments DISABLE TRIGGER appointments_status_transition",
        test_triggers_are_enabled_and_refuse_through_one_function,
        A + "enable in a migration the trigger `appointments_status_transition`",
    ),
    "a function that raises by itself": (
        FUNCTION.format("note()", PATH, "BEGIN RAISE EXCEPTION 'no'; END"),
        test_triggers_are_enabled_and_refuse_through_one_function,
        "<app>/migrations/sql/: refuse by raise_refusal() and no RAISE EXCEPTION "
        f"(or see RAISING in {THIS_FILE}) in `public.note()`",
    ),
    "the caller's search_path": (
        "ALTER FUNCTION appointments_replaces_rescheduled() RESET search_path",
        test_search_path_of_the_caller_changes_no_function,
        A + "write SET search_path = pg_catalog, pg_temp in `appointments_replaces_rescheduled`",
    ),
    "a table without its schema": (
        FUNCTION.format("note()", PATH, "BEGIN PERFORM 1 FROM tags; RETURN NULL; END"),
        test_functions_name_their_schema,
        "<app>/migrations/sql/: write public. in `FROM tags` of `public.note()`",
    ),
    "a function of a migration": (
        "ALTER FUNCTION guard_p0_event() RESET search_path",
        test_search_path_of_the_caller_changes_no_function,
        "identity/migrations/sql/0001_functions.sql: write SET search_path = pg_catalog, "
        "pg_temp in `public.guard_p0_event()`",
    ),
    "a rule of the database alone": (
        "ALTER TABLE appointments ADD CONSTRAINT appointments_short CHECK (true)",
        test_catalog_holds_exactly_the_declared_objects,
        A + "declare in Meta of the model (or drop in a migration) the CHECK `appointments_short`",
    ),
    "a rule of the model alone": (
        "DROP TRIGGER appointments_status_transition ON appointments",
        test_catalog_holds_exactly_the_declared_objects,
        A + "run makemigrations for the TRIGGER `appointments_status_transition`",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_advice_names_file_and_declaration(fault: str) -> None:
    statement, test, advice = FAULTS[fault]
    for mark, model in [("{line}", Appointment), ("{join}", ContentItemTopic)]:
        advice = advice.replace(mark, of_class(model).file.rpartition(":")[2])
    catalog.execute(statement)
    lines = [*test.__wrapped__()]
    assert [line for line in lines if line.startswith(advice)], lines


def test_advice_about_models_names_file_and_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults of the models only; one message holds all lines of a run."""
    monkeypatch.setattr(Appointment._meta, "original_attrs", {})
    monkeypatch.setattr(Appointment, "__doc__", None)
    monkeypatch.delattr(Appointment, "__str__")
    file = of_class(Appointment).file
    with pytest.raises(pytest.fail.Exception) as caught:
        test_models_describe_a_row()
    title, *lines = str(caught.value).splitlines()
    assert title == "To do:"
    assert {*lines} >= {
        f"{file}: define __str__() in `Appointment`",
        f"{file}: describe a row in a docstring of one to six lines in `Appointment`",
    }
    lines = [*test_tables_have_explicit_names_without_an_app_prefix.__wrapped__()]
    do = "set Meta.db_table to a plural in snake_case without the app's name in `Appointment`"
    assert f"{file}: {do}: the table is appointments" in lines
