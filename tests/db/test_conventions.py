"""The rules for every table (data-model.md §0): one test each, over the live catalog.

A new model that breaks a convention fails here; exceptions are listed, not inferred.
"""

from __future__ import annotations

import re

import pytest
from django.db import models

from ebalance.db import fields
from ebalance.db.on_delete import DB_CASCADE, DB_RESTRICT, DB_SET_NULL
from tests.db import catalog

pytestmark = pytest.mark.django_db

# data-model.md §0: "Exceptions".
TEXT_KEYS = {
    "roles": "code",
    "topics": "code",
    "deep_links": "deep_link_id",
    "tracking_events": "event_name",
    "system_settings": "key",
}
# Calendar days, and the wall time of working hours: not moments.
DAYS_AND_HOURS = {
    ("schedule_rules", "valid_from"): "date",
    ("schedule_rules", "valid_until"): "date",
    ("schedule_rules", "start_local"): "time without time zone",
    ("schedule_rules", "end_local"): "time without time zone",
    ("diary_entries", "entry_date"): "date",
    ("interactive_run_totals", "day"): "date",
}
# Column name to the suffix of the CHECK that it has wherever it stands.
CHECK_BY_NAME = {
    r"slug": "is_slug",
    r"title|name|display_name|seo_title|subject": "not_blank",
    r"timezone": "is_iana_zone",
    r"anonymous_id|deep_link_id": "is_opaque",
    r"action|entity_type|event_type|aggregate_type|last_error|key|code|event_name": "is_code",
    r".*_encrypted": "is_sealed",
    r".*_bidx": "is_blind_index",
}
# Names that mean something else there.
OTHER_MEANING = {
    ("roles", "code"),  # a closed set
    ("payment_webhook_events", "last_error"),  # a closed set
    ("ugc_moderation_actions", "action"),  # a closed set
    ("payment_webhook_events", "event_type"),  # the provider's dotted name
    ("tracking_event_params", "name"),  # a|b, its own rule
    # Foreign keys to tracking_events.
    ("tracking_event_params", "event_name"),
    ("lead_timeline_events", "event_name"),
    ("analytics_events", "event_name"),
}


def names(rows: list[dict], kind: str | None = None) -> set[str]:
    return {row["name"] for row in rows if kind is None or row["kind"] == kind}


def test_tables_have_explicit_names_without_an_app_prefix() -> None:
    for model in catalog.project_models():
        table = model._meta.db_table
        assert model._meta.original_attrs.get("db_table") == table, model
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", table)
        assert table != f"{model._meta.app_label}_{model._meta.model_name}"


def test_keys_are_uuid_version_7_from_the_database_and_from_python() -> None:
    found = {(c["table"], c["name"]): c for c in catalog.columns()}
    for model in catalog.project_models():
        table, key = model._meta.db_table, model._meta.pk
        column = found[table, key.column]
        if table in TEXT_KEYS:
            assert (key.column, column["type"], column["default"]) == (
                TEXT_KEYS[table],
                "text",
                None,
            )
        else:
            assert (key.column, column["type"], column["default"]) == ("id", "uuid", "uuid7()")
            first, second = key.get_default(), key.get_default()
            assert (first.version, first < second) == (7, True)
    assert set(TEXT_KEYS) <= set(catalog.project_tables())


def test_moments_are_timestamptz_and_finite() -> None:
    definitions: dict[str, str] = {}
    for row in catalog.constraints():
        definitions[row["table"]] = definitions.get(row["table"], "") + row["definition"]
    seen = set()
    for column in catalog.columns():
        where = (column["table"], column["name"])
        if not column["type"].startswith(("timestamp", "date", "time")):
            continue
        if where in DAYS_AND_HOURS:
            seen.add(where)
            assert column["type"] == DAYS_AND_HOURS[where]
            if column["type"] != "date":
                continue
        else:
            assert column["type"] == "timestamp with time zone", where
        assert re.search(rf"is_finite\(\(?{column['name']}\b", definitions[column["table"]]), where
    assert seen == set(DAYS_AND_HOURS)


def test_created_at_and_updated_at_are_the_databases() -> None:
    touched = {t["table"] for t in catalog.triggers() if t["function"] == "touch_updated_at"}
    updated = set()
    for column in catalog.columns():
        if column["name"] in {"created_at", "updated_at"}:
            assert (column["default"], column["not_null"]) == ("now()", True), column
        if column["name"] == "updated_at":
            updated.add(column["table"])
    assert updated == touched


def test_names_state_the_rule() -> None:
    """No generated names: ``appointments_no_overlap``, not ``appointments_a1b2c3``."""
    for row in [*catalog.constraints(), *catalog.indexes(), *catalog.triggers()]:
        name, table = row["name"], row["table"]
        assert name.startswith(f"{table}_"), name
        assert len(name) <= 63
        assert not re.search(r"_[0-9a-f]{6,}(_|$)|_(uniq|idx|check\d*|like)$", name), name
        if row.get("kind") == "f":
            column = re.match(r"FOREIGN KEY \((\w+)\)", row["definition"])[1]
            assert name == f"{table}_{column}_fk"
        elif row.get("kind") == "p":
            assert name == f"{table}_pkey"


def test_every_index_says_which_query_it_serves() -> None:
    for index in catalog.indexes():
        assert index["is_valid"], index
        if not index["of_constraint"] and not index["is_unique"]:
            assert index["comment"], index
            assert len(index["comment"]) > 5, index


def test_every_foreign_key_that_a_delete_looks_up_has_an_index() -> None:
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
            assert (row["table"], column) in leading, row["name"]


def test_every_table_and_column_has_a_comment_that_starts_with_its_class() -> None:
    """Those of Django too: of every column somebody has decided what it holds."""
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
        assert re.match(r"P[012] · \S.{2,}", column["comment"] or ""), column
        assert column["meaning"], column["table"]


def test_sealed_columns_are_personal_or_sensitive_and_nothing_sensitive_is_open() -> None:
    for column in catalog.columns():
        sealed = column["name"].endswith(("_encrypted", "_bidx"))
        if sealed:
            assert column["comment"].startswith(("P1", "P2")), column
        if column["comment"].startswith("P2"):
            assert sealed, column


def test_text_is_text() -> None:
    """No varchar with a limit hidden in the type, no enum types that cannot lose a value."""
    allowed = {
        "text",
        "text[]",
        "uuid",
        "boolean",
        "integer",
        "smallint",
        "bigint",
        "jsonb",
        "numeric(12,2)",
        "bytea",
        "inet",
        "date",
        "time without time zone",
        "timestamp with time zone",
    }
    assert {c["type"] for c in catalog.columns()} <= allowed
    enums = catalog.execute(
        "SELECT typname FROM pg_type WHERE typtype = 'e' AND typnamespace = 'public'::regnamespace"
    )
    assert enums == []


def test_closed_sets_have_one_source() -> None:
    checks = names(catalog.constraints(), "c")
    for model in catalog.project_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, fields.ClosedSet):
                assert f"{model._meta.db_table}_{field.column}_in_set" in checks
                assert list(field.members.values) == [value for value, _label in field.flatchoices]
            else:
                assert not field.choices, f"{field} lists choices without being a ClosedSet"


@pytest.mark.parametrize(("pattern", "suffix"), CHECK_BY_NAME.items(), ids=CHECK_BY_NAME.values())
def test_columns_of_a_name_have_their_check(pattern: str, suffix: str) -> None:
    checks = names(catalog.constraints(), "c")
    found = [
        (c["table"], c["name"])
        for c in catalog.columns()
        if re.fullmatch(pattern, c["name"]) and (c["table"], c["name"]) not in OTHER_MEANING
    ]
    assert found
    for table, column in found:
        assert f"{table}_{column}_{suffix}" in checks


def test_deletes_are_decided_in_the_database() -> None:
    actions = {DB_CASCADE: "c", DB_RESTRICT: "r", DB_SET_NULL: "n"}
    in_catalog = {row["name"]: row for row in catalog.constraints() if row["kind"] == "f"}
    for model in catalog.project_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey):
                row = in_catalog.pop(f"{model._meta.db_table}_{field.column}_fk")
                assert row["on_delete"] == actions[field.remote_field.on_delete]
                assert row["is_validated"]
                assert row["is_deferrable"]
    assert not in_catalog


def test_join_tables_have_a_key_of_their_own_and_a_unique_pair() -> None:
    unique = [row["definition"] for row in catalog.constraints() if row["kind"] == "u"]
    joins = {
        field.remote_field.through
        for model in catalog.project_models()
        for field in model._meta.local_many_to_many
    }
    assert joins
    for join in joins:
        assert not join._meta.auto_created, f"{join} has no model"
        pair = [f.column for f in join._meta.concrete_fields if f.is_relation]
        assert join._meta.pk.column == "id"
        assert f"UNIQUE ({', '.join(pair)})" in unique


# Beside the one: it asks to be tried again, and says of an actor what the foreign key would.
RAISING = {"raise_refusal", "record_audit_entry"}


def test_triggers_are_on_and_refuse_through_one_function() -> None:
    assert {t["enabled"] for t in catalog.triggers()} == {"O"}
    for function in catalog.functions():
        raises = re.search(r"\bRAISE\s+EXCEPTION\b", function["source"], re.IGNORECASE)
        assert bool(raises) == (function["name"] in RAISING), function["name"]
        assert "pgtrigger" not in function["source"], "no session setting switches a rule off"


# Called only by functions that set the search_path, or by nobody's rule (uuid7).
INNER = {"is_p0_value", "is_p0_envelope", "is_p0_envelope_value", "event_offence", "uuid7"}


def test_a_callers_search_path_changes_no_function() -> None:
    """A body parsed at its creation is bound; one parsed when it runs sets its own path."""
    for function in catalog.functions():
        if function["name"] in INNER:
            declared = function["source"].split("BEGIN")[0]
            assert not re.search(r"\b(?<!\.)(text|jsonb|uuid|date|inet)\b.*(:=|;)", declared)
        elif function["name"] == "touch_updated_at":
            assert function["source"].split() == (
                ["BEGIN", "NEW.updated_at", ":=", "pg_catalog.now();", "RETURN", "NEW;", "END"]
            )
        elif function["is_parsed_late"]:
            assert "search_path=pg_catalog, pg_temp" in function["settings"], function["name"]


def test_functions_name_their_schema() -> None:
    """A temporary table of the same name must not stand in for the real one."""
    tables = "|".join([*catalog.project_tables(), "[a-z_]*refus[a-z_]*"])
    for function in catalog.functions():
        code = re.sub(r"'[^']*'|--[^\n]*", "", function["source"])
        bare = re.search(rf"(?:FROM|JOIN|INTO|UPDATE|PERFORM)\s+(?:{tables})\b", code)
        assert not bare, (function["name"], bare and bare[0])


def test_the_catalog_holds_what_the_models_declare_and_no_more() -> None:
    declared = {"c": set(), "u": set(), "x": set()}
    unique_indexes = set()
    for model in catalog.project_models():
        for constraint in model._meta.constraints:
            if isinstance(constraint, models.CheckConstraint):
                declared["c"].add(constraint.name)
            elif isinstance(constraint, models.UniqueConstraint):
                plain = not (constraint.condition or constraint.expressions)
                (declared["u"] if plain else unique_indexes).add(constraint.name)
            else:
                declared["x"].add(constraint.name)
    rows = catalog.constraints()
    assert {kind: names(rows, kind) for kind in declared} == declared
    assert unique_indexes == {
        i["name"] for i in catalog.indexes() if i["is_unique"] and not i["of_constraint"]
    }
    assert names(catalog.indexes()) >= {
        index.name for model in catalog.project_models() for index in model._meta.indexes
    }
    assert names(catalog.triggers()) == {
        trigger.rule
        for model in catalog.project_models()
        for trigger in getattr(model._meta, "triggers", [])
    }


def test_models_say_what_a_row_is() -> None:
    for model in catalog.project_models():
        assert model.__doc__, model
        assert not model.__doc__.startswith(f"{model.__name__}("), f"{model} has no docstring"
        assert len(model.__doc__.strip().splitlines()) <= 6
        assert "__str__" in vars(model), model
