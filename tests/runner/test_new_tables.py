"""A table that refers to stored tables is made in several steps (runner/recording.py)."""

from __future__ import annotations

from .support import SERVICE, Project, one

TABLE = """
migrations.CreateModel(
    "Draft",
    [
        ("id", models.IntegerField(primary_key=True)),
        ("user", models.ForeignKey("identity.User", models.RESTRICT, related_name="+")),
        ("service", models.ForeignKey("booking.Service", models.RESTRICT)),
    ],
    options={"db_table": "drafts"},
),
AddCheck(
    "service",
    models.CheckConstraint(condition=Q(price_amount__lt=100), name="services_price_limit"),
)
"""


def test_new_table_is_made_across_steps(project: Project) -> None:
    project.execute(SERVICE)
    project.add("booking", "0390_drafts", TABLE)
    # The rows refuse the last step, after the steps that have made the table.
    assert "failed and was rolled back" in project.refusal()
    assert one(project.execute("SELECT count(*) FROM pg_class WHERE relname = 'drafts'")) == 1
    assert project.applied("booking")[-1] != "0390_drafts"

    project.execute("UPDATE services SET price_amount = 50")
    assert project.refusal() == ""
    assert project.applied("booking")[-1] == "0390_drafts"
    foreign_keys = (
        "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass"
    )
    assert one(project.execute(foreign_keys, ["drafts"])) == 2


def test_stored_table_is_no_new_table(project: Project) -> None:
    project.add("booking", "0390_drafts", TABLE.partition("AddCheck")[0])
    project.migrate()
    project.add(
        "booking",
        "0391_rule",
        "migrations.RunSQL(\"ALTER TABLE drafts ADD CHECK (id > 0)\", '')",
    )
    assert "checks all rows for constraint drafts." in project.refusal()
