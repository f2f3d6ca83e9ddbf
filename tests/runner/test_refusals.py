"""Migrations that production refuses, each with a safe twin (migrations.md)."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from .support import SERVICE, Project

TEXT = "models.TextField(null=True, blank=True)"


class Refusal(NamedTuple):
    """``operations`` are refused with ``reason`` and ``advice``; ``twin`` is taken."""

    name: str
    operations: str
    reason: str
    advice: str
    twin: str
    in_plan: bool = True  # seen before the first statement
    before: str = ""  # a migration of an earlier run
    head: str = ""


CONTRACT = 'Contract(expand="booking.0390", released="1.1.0"{}),'
SET_NOT_NULL = (
    'SetNotNull("service", "deposit_amount", '
    'models.IntegerField(db_comment="P0 · deposit, whole roubles"))'
)
REFUSALS = [
    Refusal(
        "drop a column",
        'migrations.RemoveField("service", "old")',
        "drops column services.old",
        "Contract(",
        CONTRACT.format("") + 'migrations.RemoveField("service", "old")',
        before=f'migrations.AddField("service", "old", {TEXT})',
    ),
    Refusal(
        "drop a column in SQL",
        'migrations.RunSQL("ALTER TABLE services DROP COLUMN old", "")',
        "drops column services.old",
        "Contract(",
        CONTRACT.format(', drops=["column services.old"]')
        + 'migrations.RunSQL("ALTER TABLE services DROP COLUMN old", "")',
        in_plan=False,
        before='migrations.RunSQL("ALTER TABLE services ADD COLUMN old text", "")',
    ),
    Refusal(
        "drop a table in Python",
        "migrations.RunPython(drop, drop)",
        "drops table drafts",
        "Contract(",
        CONTRACT.format(', drops=["table drafts"]') + "migrations.RunPython(drop, drop)",
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (id int)", "")',
        head='def drop(apps, editor):\n    editor.execute("DROP TABLE drafts")',
    ),
    Refusal(
        "drop an index in a DO block",
        "migrations.RunSQL(\"DO $$ BEGIN DROP INDEX drafts_by_id; END $$\", '')",
        "drops index drafts_by_id",
        "Contract(",
        CONTRACT.format(', drops=["index drafts_by_id"]')
        + "migrations.RunSQL(\"DO $$ BEGIN DROP INDEX drafts_by_id; END $$\", '')",
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (id int); '
        'CREATE INDEX drafts_by_id ON drafts (id)", "")',
    ),
    Refusal(
        "drop a rule",
        'migrations.RemoveConstraint("service", "services_slug_is_slug")',
        "drops constraint services.services_slug_is_slug",
        "Contract(",
        CONTRACT.format("") + 'migrations.RemoveConstraint("service", "services_slug_is_slug")',
        before=f'migrations.AddField("service", "other", {TEXT})',
    ),
    Refusal(
        "drop a trigger in SQL",
        'migrations.RunSQL("DROP TRIGGER services_touch_updated_at ON services", "")',
        "drops trigger services.services_touch_updated_at",
        "Contract(",
        CONTRACT.format(', drops=["trigger services.services_touch_updated_at"]')
        + 'migrations.RunSQL("DROP TRIGGER services_touch_updated_at ON services", "")',
        in_plan=False,
        before=f'migrations.AddField("service", "other", {TEXT})',
    ),
    Refusal(
        "disable a trigger",
        'migrations.RunSQL("ALTER TABLE services DISABLE TRIGGER services_touch_updated_at", "")',
        "disables trigger services.services_touch_updated_at",
        "Contract(",
        CONTRACT.format(', drops=["trigger services.services_touch_updated_at"]')
        + 'migrations.RunSQL("ALTER TABLE services DISABLE TRIGGER services_touch_updated_at", "")',
        in_plan=False,
        before=f'migrations.AddField("service", "other", {TEXT})',
    ),
    Refusal(
        "drop a function",
        'migrations.RunSQL("DROP FUNCTION extra()", "")',
        "drops function extra()",
        "Contract(",
        CONTRACT.format(', drops=["function extra()"]')
        + 'migrations.RunSQL("DROP FUNCTION extra()", "")',
        in_plan=False,
        before="migrations.RunSQL(\"CREATE FUNCTION extra() RETURNS int RETURN 1\", '')",
    ),
    Refusal(
        "take a privilege back",
        'migrations.RunSQL("REVOKE SELECT ON drafts FROM PUBLIC", "")',
        "takes back PUBLIC=r on table drafts",
        "Contract(",
        CONTRACT.format(', drops=["grant drafts"]')
        + 'migrations.RunSQL("REVOKE SELECT ON drafts FROM PUBLIC", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (id int); '
        'GRANT SELECT ON drafts TO PUBLIC", "")',
    ),
    Refusal(
        "drop a view",
        'migrations.RunSQL("DROP VIEW cheap", "")',
        "drops view cheap",
        "Contract(",
        CONTRACT.format(', drops=["view cheap"]') + 'migrations.RunSQL("DROP VIEW cheap", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE VIEW cheap AS SELECT slug FROM services", "")',
    ),
    Refusal(
        "drop a type",
        'migrations.RunSQL("DROP TYPE mood", "")',
        "drops type mood",
        "Contract(",
        CONTRACT.format(', drops=["type mood"]') + 'migrations.RunSQL("DROP TYPE mood", "")',
        in_plan=False,
        before="migrations.RunSQL(\"CREATE TYPE mood AS ENUM ('calm')\", '')",
    ),
    Refusal(
        "drop a policy",
        'migrations.RunSQL("DROP POLICY own ON drafts", "")',
        "drops policy drafts.own",
        "Contract(",
        CONTRACT.format(', drops=["policy drafts.own"]')
        + 'migrations.RunSQL("DROP POLICY own ON drafts", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (id int); '
        'CREATE POLICY own ON drafts USING (id > 0)", "")',
    ),
    Refusal(
        "move a table to another schema",
        'migrations.RunSQL("ALTER TABLE drafts SET SCHEMA elsewhere", "")',
        "drops table drafts",
        "Contract(",
        CONTRACT.format(', drops=["table drafts"]')
        + 'migrations.RunSQL("ALTER TABLE drafts SET SCHEMA elsewhere", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (id int); CREATE SCHEMA elsewhere", "")',
    ),
    Refusal(
        "drop the default of a required column",
        'migrations.AlterField("service", "extra", models.IntegerField())',
        "drops default services.extra",
        "Contract(",
        CONTRACT.format("") + 'migrations.AlterField("service", "extra", models.IntegerField())',
        before='migrations.AddField("service", "extra", models.IntegerField(db_default=0))',
    ),
    Refusal(
        "drop the default of a required column in SQL",
        'migrations.RunSQL("ALTER TABLE drafts ALTER n DROP DEFAULT", "")',
        "removes the default of column drafts.n",
        "Contract(",
        CONTRACT.format(', drops=["default drafts.n"]')
        + 'migrations.RunSQL("ALTER TABLE drafts ALTER n DROP DEFAULT", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (n int NOT NULL DEFAULT 0)", "")',
    ),
    Refusal(
        "a loss behind a savepoint",
        'migrations.RunSQL("DO $$ BEGIN BEGIN ALTER TABLE services DROP COLUMN old; '
        'EXCEPTION WHEN division_by_zero THEN NULL; END; END $$", "")',
        "drops column services.old",
        "Contract(",
        CONTRACT.format(', drops=["column services.old"]')
        + 'migrations.RunSQL("ALTER TABLE services DROP COLUMN old", "")',
        in_plan=False,
        before='migrations.RunSQL("ALTER TABLE services ADD COLUMN old text", "")',
    ),
    Refusal(
        "take back a privilege that everyone has by default",
        'migrations.RunSQL("REVOKE EXECUTE ON FUNCTION is_code(text) FROM PUBLIC", "")',
        "takes back PUBLIC=X on function is_code(value text)",
        "Contract(",
        CONTRACT.format(', drops=["grant is_code(value text)"]')
        + 'migrations.RunSQL("REVOKE EXECUTE ON FUNCTION is_code(text) FROM PUBLIC", "")',
        in_plan=False,
        before=f'migrations.AddField("service", "other", {TEXT})',
    ),
    Refusal(
        "take the schema away",
        'migrations.RunSQL("REVOKE USAGE ON SCHEMA public FROM PUBLIC", "")',
        "takes back PUBLIC=U on schema public",
        "Contract(",
        CONTRACT.format(', drops=["grant public"]')
        + 'migrations.RunSQL("REVOKE USAGE ON SCHEMA public FROM PUBLIC", "")',
        in_plan=False,
        before=f'migrations.AddField("service", "other", {TEXT})',
    ),
    Refusal(
        "drop a sequence",
        'migrations.RunSQL("DROP SEQUENCE tickets", "")',
        "drops sequence tickets",
        "Contract(",
        CONTRACT.format(', drops=["sequence tickets"]')
        + 'migrations.RunSQL("DROP SEQUENCE tickets", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE SEQUENCE tickets", "")',
    ),
    Refusal(
        "delete rows",
        'migrations.RunSQL("DELETE FROM drafts", "")',
        "deletes 3 rows of table drafts",
        "Contract(",
        CONTRACT.format(', drops=["rows drafts"]') + 'migrations.RunSQL("DELETE FROM drafts", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts AS '
        'SELECT n FROM generate_series(1, 3) n", "")',
    ),
    Refusal(
        "truncate a table",
        'migrations.RunSQL("TRUNCATE drafts", "")',
        "rewrites or truncates table drafts",
        "Add a new column",
        'migrations.RunSQL("INSERT INTO drafts VALUES (1)", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (id int)", "")',
    ),
    Refusal(
        "update many rows",
        'migrations.RunSQL("UPDATE drafts SET n = n + 1", "")',
        "updates 1,200 rows of table drafts at once",
        "Backfill",
        'migrations.RunSQL("UPDATE drafts SET n = n + 1 WHERE n < 100", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts AS '
        'SELECT n FROM generate_series(1, 1200) n", "")',
    ),
    Refusal(
        "rename a column",
        'migrations.RenameField("service", "title", "heading")',
        "renames column services.title",
        "Add the new one, backfill it",
        f'migrations.AddField("service", "heading", {TEXT})',
    ),
    Refusal(
        "rename a column in SQL",
        'migrations.RunSQL("ALTER TABLE services RENAME title TO heading", "")',
        "renames column services.title to services.heading",
        "Add the new one, backfill it",
        'migrations.RunSQL("ALTER TABLE services ADD heading text", "")',
        in_plan=False,
    ),
    Refusal(
        "rename a table",
        'migrations.AlterModelTable("service", "consultations")',
        "renames table services",
        "Add the new one, backfill it",
        'migrations.AlterModelTable("service", "services")',
    ),
    Refusal(
        "NOT NULL with a default of Python",
        'migrations.AddField("service", "extra", models.TextField(default=""))',
        "adds column services.extra NOT NULL without a default of the database",
        "db_default",
        'migrations.AddField("service", "extra", models.TextField(db_default="", default=""))',
    ),
    Refusal(
        "NOT NULL without a default in SQL",
        'migrations.RunSQL("ALTER TABLE drafts ADD n int NOT NULL", "")',
        "adds column drafts.n NOT NULL without a default",
        "db_default",
        'migrations.RunSQL("ALTER TABLE drafts ADD n int NOT NULL DEFAULT 0", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (id int)", "")',
    ),
    Refusal(
        "a stored column becomes NOT NULL",
        'migrations.AlterField("service", "deposit_amount", models.IntegerField())',
        "makes column services.deposit_amount NOT NULL",
        "SetNotNull",
        SET_NOT_NULL,
    ),
    Refusal(
        "NOT NULL in SQL",
        'migrations.RunSQL("ALTER TABLE services ALTER deposit_amount SET NOT NULL", "")',
        "makes column services.deposit_amount NOT NULL",
        "SetNotNull",
        SET_NOT_NULL,
        in_plan=False,
    ),
    Refusal(
        "NOT NULL in SQL, with a CHECK that is not validated",
        'migrations.RunSQL("ALTER TABLE services ADD CONSTRAINT filled '
        'CHECK (deposit_amount IS NOT NULL) NOT VALID", ""),'
        'migrations.RunSQL("ALTER TABLE services ALTER deposit_amount SET NOT NULL", "")',
        "makes column services.deposit_amount NOT NULL",
        "SetNotNull",
        'AddIndexConcurrently("service", models.Index(fields=["price_amount"], name="by_price")),'
        'migrations.RunSQL("ALTER TABLE services ADD CONSTRAINT filled '
        'CHECK (deposit_amount IS NOT NULL) NOT VALID", ""),'
        'migrations.RunSQL("ALTER TABLE services VALIDATE CONSTRAINT filled", ""),'
        'migrations.RunSQL("ALTER TABLE services ALTER deposit_amount SET NOT NULL", ""),'
        'migrations.RunSQL("ALTER TABLE services DROP CONSTRAINT filled", "")',
        in_plan=False,
    ),
    Refusal(
        "a CHECK that says more than NOT NULL",
        'migrations.RunSQL("ALTER TABLE drafts DROP CONSTRAINT positive", "")',
        "drops constraint drafts.positive",
        "Contract(",
        'migrations.RunSQL("ALTER TABLE drafts DROP CONSTRAINT filled", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (n int NOT NULL '
        'CONSTRAINT positive CHECK (n > 0) CONSTRAINT filled CHECK (n IS NOT NULL))", "")',
    ),
    Refusal(
        "a shorter number",
        'migrations.RunSQL("ALTER TABLE drafts ALTER n TYPE numeric(10,3)", "")',
        "drafts",
        "Add a new column",
        'migrations.RunSQL("ALTER TABLE drafts ALTER n TYPE numeric(12,2)", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (n numeric(10,2))", "")',
    ),
    Refusal(
        "a unique rule in SQL",
        'migrations.RunSQL("ALTER TABLE services ADD CONSTRAINT one_title UNIQUE (title)", "")',
        "builds index one_title while its table is locked",
        "AddIndexConcurrently",
        'AddIndexConcurrently("service", models.Index(fields=["price_amount"], name="by_price")),'
        'migrations.RunSQL("CREATE UNIQUE INDEX CONCURRENTLY titles ON services (title)", ""),'
        'migrations.RunSQL("ALTER TABLE services ADD CONSTRAINT one_title '
        'UNIQUE USING INDEX titles", "")',
        in_plan=False,
    ),
    Refusal(
        "NOT NULL is removed in SQL",
        'migrations.RunSQL("ALTER TABLE services ALTER title DROP NOT NULL", "")',
        "removes NOT NULL from column services.title",
        "Contract(",
        'migrations.AlterField("service", "title", models.TextField(null=True))',
        in_plan=False,
    ),
    Refusal(
        "a volatile default",
        'migrations.AddField("service", "token", models.UUIDField(db_default='
        'models.Func(function="uuid7", output_field=models.UUIDField())))',
        "volatile default uuid7()",
        "rewritten",
        'migrations.AddField("service", "token", models.UUIDField(null=True)),'
        'migrations.AlterField("service", "token", models.UUIDField(null=True, db_default='
        'models.Func(function="uuid7", output_field=models.UUIDField())))',
    ),
    Refusal(
        "a volatile default in SQL",
        'migrations.RunSQL("ALTER TABLE services ADD token uuid DEFAULT uuid7()", "")',
        "rewrites or truncates table services",
        "Add a new column",
        'migrations.RunSQL("ALTER TABLE services ADD token uuid; '
        'ALTER TABLE services ALTER token SET DEFAULT uuid7()", "")',
        in_plan=False,
    ),
    Refusal(
        "another type",
        'migrations.AlterField("service", "price_amount", models.BigIntegerField())',
        "changes column services.price_amount from integer to bigint",
        "Add a new column",
        'migrations.AddField("service", "price", models.BigIntegerField(null=True))',
    ),
    Refusal(
        "another type in SQL",
        'migrations.RunSQL("ALTER TABLE drafts ALTER id TYPE bigint", "")',
        "rewrites or truncates table drafts",
        "Add a new column",
        'migrations.RunSQL("ALTER TABLE drafts ADD big bigint", "")',
        in_plan=False,
        before='migrations.RunSQL("CREATE TABLE drafts (id int)", "")',
    ),
    Refusal(
        "a plain index",
        'migrations.AddIndex("service", rules.Index("services_by_price", "price_amount", '
        'serves="the list by price"))',
        "builds index services_by_price of services under a lock",
        "AddIndexConcurrently",
        'AddIndexConcurrently("service", rules.Index("services_by_price", "price_amount", '
        'serves="the list by price"))',
    ),
    Refusal(
        "a plain index in SQL",
        'migrations.RunSQL("CREATE INDEX services_by_price ON services (price_amount)", "")',
        "builds index services_by_price while its table is locked",
        "AddIndexConcurrently",
        'AddIndexConcurrently("service", rules.Index("services_by_price", "price_amount", '
        'serves="the list by price"))',
        in_plan=False,
    ),
    Refusal(
        "a unique rule",
        'migrations.AddConstraint("service", models.UniqueConstraint(fields=["title"], '
        'name="services_title_unique"))',
        "builds the index of services.services_title_unique under a lock",
        "AddUnique",
        'AddUnique("service", models.UniqueConstraint(fields=["title"], '
        'name="services_title_unique"))',
    ),
    Refusal(
        "a unique rule with a condition",
        'migrations.AddConstraint("service", models.UniqueConstraint(fields=["title"], '
        'condition=Q(status="published"), name="services_title_unique"))',
        "builds the index of services.services_title_unique under a lock",
        "AddUnique",
        'AddUnique("service", models.UniqueConstraint(fields=["title"], '
        'condition=Q(status="published"), name="services_title_unique"))',
    ),
    Refusal(
        "a CHECK",
        'migrations.AddConstraint("service", models.CheckConstraint('
        'condition=Q(price_amount__lt=10**7), name="services_price_limit"))',
        "checks all rows for services.services_price_limit under a lock",
        "AddCheck",
        'AddCheck("service", models.CheckConstraint('
        'condition=Q(price_amount__lt=10**7), name="services_price_limit"))',
    ),
    Refusal(
        "a CHECK in SQL",
        'migrations.RunSQL("ALTER TABLE services ADD CONSTRAINT services_price_limit '
        'CHECK (price_amount < 10000000)", "")',
        "checks all rows for constraint services.services_price_limit under a lock",
        "AddCheck",
        'migrations.RunSQL("ALTER TABLE services ADD CONSTRAINT services_price_limit '
        'CHECK (price_amount < 10000000) NOT VALID", "")',
        in_plan=False,
    ),
    Refusal(
        "the set of a CHECK in place",
        'migrations.RemoveConstraint("service", "services_format_in_set"),'
        'migrations.AddConstraint("service", models.CheckConstraint(condition=Q('
        'format__in=["online", "offline", "hybrid", "walk"]), name="services_format_in_set"))',
        "changes constraint services.services_format_in_set in place",
        "ReplaceCheck",
        'ReplaceCheck("service", models.CheckConstraint(condition=Q('
        'format__in=["online", "offline", "hybrid", "walk"]), name="services_format_in_set"))',
    ),
    Refusal(
        "the set of a CHECK in place, in SQL",
        'migrations.RunSQL("ALTER TABLE services DROP CONSTRAINT services_format_in_set; '
        "ALTER TABLE services ADD CONSTRAINT services_format_in_set "
        "CHECK (format IN ('online', 'offline', 'hybrid', 'walk')) NOT VALID\", '')",
        "changes constraint services.services_format_in_set in place",
        "ReplaceCheck",
        'ReplaceCheck("service", models.CheckConstraint(condition=Q('
        'format__in=["online", "offline", "hybrid", "walk"]), name="services_format_in_set"))',
        in_plan=False,
    ),
    Refusal(
        "the function of a CHECK",
        'migrations.RunSQL("CREATE OR REPLACE FUNCTION is_code(value text) RETURNS boolean '
        "LANGUAGE sql IMMUTABLE RETURN value ~ '^[a-z][a-z0-9_.]*$'\", '')",
        "replaces is_code(value text), which",
        "ReplaceFunction",
        'ReplaceFunction("is_code", "CREATE OR REPLACE FUNCTION is_code(value text) '
        "RETURNS boolean LANGUAGE sql IMMUTABLE RETURN value ~ '^[a-z][a-z0-9_.]*$'\")",
        in_plan=False,
    ),
    Refusal(
        "the function of a generated column",
        'migrations.RunSQL("CREATE OR REPLACE FUNCTION twice(n int) RETURNS int IMMUTABLE '
        "RETURN 3 * n\", '')",
        "replaces twice(n integer), which doubled uses",
        "ReplaceFunction",
        'migrations.RunSQL("CREATE OR REPLACE FUNCTION other(n int) RETURNS int IMMUTABLE '
        "RETURN 3 * n\", '')",
        in_plan=False,
        before='migrations.RunSQL("CREATE FUNCTION twice(n int) RETURNS int IMMUTABLE '
        "RETURN 2 * n; CREATE FUNCTION other(n int) RETURNS int IMMUTABLE RETURN 2 * n; "
        'CREATE TABLE drafts (n int, doubled int GENERATED ALWAYS AS (twice(n)) STORED)", "")',
    ),
    Refusal(
        "ReplaceFunction of the function of a generated column",
        'ReplaceFunction("twice", "CREATE OR REPLACE FUNCTION twice(n int) RETURNS int IMMUTABLE '
        'RETURN 3 * n")',
        "replaces twice, which computes the stored column drafts.doubled",
        "Add a new column",
        'ReplaceFunction("other", "CREATE OR REPLACE FUNCTION other(n int) RETURNS int IMMUTABLE '
        'RETURN 3 * n")',
        before='migrations.RunSQL("CREATE FUNCTION twice(n int) RETURNS int IMMUTABLE '
        "RETURN 2 * n; CREATE FUNCTION other(n int) RETURNS int IMMUTABLE RETURN 2 * n; "
        'CREATE TABLE drafts (n int, doubled int GENERATED ALWAYS AS (twice(n)) STORED)", "")',
    ),
    Refusal(
        "a foreign key",
        'migrations.AddField("service", "owner", models.ForeignKey("identity.User", null=True, '
        'on_delete=models.RESTRICT, related_name="+", db_index=False))',
        "adds column services.owner and checks its foreign key under a lock",
        "AddForeignKey",
        'AddForeignKey("service", "owner", models.ForeignKey("identity.User", null=True, '
        'on_delete=models.RESTRICT, related_name="+", db_index=False))',
    ),
    Refusal(
        "an EXCLUDE on a table with rows",
        'migrations.AddConstraint("service", ExclusionConstraint(name="services_apart", '
        'expressions=[("slug", "=")], index_type="hash"))',
        "adds services.services_apart, an EXCLUDE, to a table that has rows",
        "new table",
        'migrations.AddConstraint("schedulerule", ExclusionConstraint(name="rules_apart", '
        'expressions=[("id", "=")], index_type="hash"))',
    ),
    Refusal(
        "COMMIT in SQL",
        'migrations.RunSQL("CREATE TABLE a (id int); COMMIT; DROP TABLE services", "")',
        "begins or ends a transaction",
        "Remove BEGIN and COMMIT",
        "migrations.RunSQL(\"CREATE TABLE a (id int); -- COMMIT;\\nSELECT ';COMMIT;'\", '')",
    ),
    Refusal(
        "Python outside of a transaction",
        "migrations.RunPython(nothing, nothing, atomic=False)",
        "runs Python outside of a transaction",
        "Remove atomic=False",
        "migrations.RunPython(nothing, nothing)",
        head="def nothing(apps, editor):\n    pass",
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_production_refuses(project: Project, case: Refusal) -> None:
    project.execute(SERVICE)
    project.execute("UPDATE services SET deposit_amount = 100")
    if case.before:
        project.add("booking", "0390_before", case.before)
        project.migrate()
    before = project.applied("booking")
    project.add("booking", "0391_harmless", f'migrations.AddField("service", "fine", {TEXT})')
    project.add("booking", "0392_refused", case.operations, head=case.head)
    refusal = project.refusal()
    assert case.reason in refusal
    assert case.advice in refusal
    assert "0392_refused" in refusal
    # A fault in the plan stops the whole run; otherwise earlier migrations stay.
    assert project.applied("booking") == [*before, *([] if case.in_plan else ["0391_harmless"])]

    project.path("booking", "0392_refused").unlink()
    project.add("booking", "0392_twin", case.twin, head=case.head)
    assert project.refusal() == ""
    assert project.applied("booking")[-1] == "0392_twin"
