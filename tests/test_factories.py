"""The factories make the declared rows, and the tables require no other columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import factory
import pytest
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction

from content.models import Topic
from crm.models import Lead
from identity.models import Role, User
from interactive import configs
from interactive.models import InteractiveDefinition
from tests.advice import advises, of_class
from tests.factories import (
    FACTORIES,
    AppointmentFactory,
    EntityFactory,
    InteractiveDefinitionFactory,
    InteractiveVersionFactory,
    LeadFactory,
    MessageTemplateFactory,
    ModerationActionFactory,
    ReviewFactory,
    TopicFactory,
    UserFactory,
)
from tests.support import case_loop, columns_of, execute, insert_sql, save_related

pytestmark = pytest.mark.django_db


each_model = pytest.mark.parametrize(
    ("model", "factory_class"),
    [pytest.param(m, f, id=m._meta.db_table) for m, f in FACTORIES.items()],
)


def traits(factory_class: type[EntityFactory]) -> list[str]:
    parameters = factory_class._meta.parameters.items()
    return [name for name, value in parameters if isinstance(value, factory.Trait)]


def each_trait() -> Any:
    return pytest.mark.parametrize(
        ("factory_class", "trait"),
        [
            pytest.param(f, trait, id=f"{m._meta.db_table}: {trait}")
            for m, f in FACTORIES.items()
            for trait in traits(f)
        ],
    )


def each_status() -> Any:
    """Every member of every closed set called status."""
    return pytest.mark.parametrize(
        ("factory_class", "status"),
        [
            pytest.param(f, status, id=f"{m._meta.db_table}: {status}")
            for m, f in FACTORIES.items()
            if "status" in {x.name for x in m._meta.fields}
            for status in m._meta.get_field("status").members.values
        ],
    )


def without_seeds(model: type[models.Model]) -> None:
    """All four roles are seeded, so a new one needs a deleted one."""
    if model is Role:
        Role.objects.all().delete()


@advises
def test_every_model_has_a_factory() -> Iterator[str]:
    folders = [path.parent for path in settings.BASE_DIR.glob("[!.]*/**/apps.py")]
    ours = [app for app in apps.get_app_configs() if Path(app.path) in folders]
    expected = {model for app in ours for model in app.get_models() if model._meta.managed}
    assert len(expected) > 40
    for model in expected - FACTORIES.keys():
        location = of_class(model)
        yield (
            f"tests/factories/{model._meta.app_label}.py: declare `{model.__name__}Factory` "
            f"for the model `{location.declaration}` ({location.file})"
        )
    for model, factory_class in FACTORIES.items():
        if model not in expected or factory_class.__name__ != f"{model.__name__}Factory":
            yield of_class(factory_class)(
                "rename or remove the factory", f"it makes rows of `{model.__name__}`"
            )


def test_model_without_a_factory_is_named_with_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {*test_every_model_has_a_factory.__wrapped__()}
    monkeypatch.delitem(FACTORIES, Lead)
    (line,) = {*test_every_model_has_a_factory.__wrapped__()} - before
    assert line.startswith(
        "tests/factories/crm.py: declare `LeadFactory` for the model `Lead` (crm/"
    )


@each_model
def test_factory_makes_valid_rows(
    model: type[models.Model],
    factory_class: type[EntityFactory],
    django_assert_num_queries: Any,
) -> None:
    with case_loop() as case:
        with case("build() asks no database"):
            with django_assert_num_queries(0):
                instance = factory_class.build()
            assert instance._state.adding
            for f in model._meta.concrete_fields:
                if f.is_relation and f.is_cached(instance) and getattr(instance, f.name):
                    assert getattr(instance, f.name)._state.adding, f"{f.name} is a row already"
        with case("full_clean() accepts a new row, and the database its INSERT"):
            without_seeds(model)
            instance = factory_class.build()
            save_related(instance)
            instance.full_clean()
            insert_sql(instance)
            connection.check_constraints()
            assert model._base_manager.filter(pk=instance.pk).exists()
        with case("create_batch() makes different rows"):
            without_seeds(model)
            before = model._base_manager.count()
            factory_class.create_batch(3)
            connection.check_constraints()
            assert model._base_manager.count() >= before + 3
        with case("full_clean() accepts a written row"):
            created = factory_class()
            for instance in (created, model._base_manager.get(pk=created.pk)):
                check_written_row(instance)
        with case("a created instance may be saved again without a new read"):
            instance = factory_class()
            if rules := frozen_rules(model):
                with pytest.raises(IntegrityError) as caught, transaction.atomic():
                    instance.save()
                assert caught.value.__cause__.diag.constraint_name in rules
            else:
                instance.save()


def check_written_row(instance: models.Model) -> None:
    """``full_clean()`` accepts the row, except in tables without updates."""
    rules = frozen_rules(type(instance))
    if not rules:
        instance.full_clean()
        return
    with pytest.raises(ValidationError) as caught:
        instance.full_clean()
    codes = {e.code for errors in caught.value.error_dict.values() for e in errors}
    assert codes <= rules


def frozen_rules(model: type[models.Model]) -> set[str]:
    """The rule against updates of the table, which refuses every validation for an update."""
    names = {trigger.name for trigger in getattr(model._meta, "triggers", ())}
    return names & {f"{model._meta.db_table}_{rule}" for rule in ("immutable", "append_only")}


with_traits = {m: f for m, f in FACTORIES.items() if traits(f)}
with_status = {
    m: f for m, f in FACTORIES.items() if "status" in {field.name for field in m._meta.fields}
}


@pytest.mark.parametrize("model", with_traits, ids=lambda model: model._meta.db_table)
def test_traits_of_a_factory_work(model: type[models.Model]) -> None:
    factory_class = FACTORIES[model]
    with case_loop() as case:
        for trait in traits(factory_class):
            with case(trait):
                instance = factory_class(**{trait: True})
                connection.check_constraints()
                written = model._base_manager.get(pk=instance.pk)
                for name, value in factory_class._meta.parameters[trait].overrides.items():
                    is_column = name in {f.name for f in written._meta.fields}
                    if is_column and isinstance(value, str | int | None):
                        assert getattr(written, name) == value


@pytest.mark.parametrize("model", with_status, ids=lambda model: model._meta.db_table)
def test_factory_reaches_each_status(model: type[models.Model]) -> None:
    factory_class = FACTORIES[model]
    with case_loop() as case:
        for status in model._meta.get_field("status").members.values:
            with case(status):
                values = {status: True} if status in traits(factory_class) else {"status": status}
                instance = factory_class(**values)
                connection.check_constraints()
                written = model._base_manager.get(pk=instance.pk)
                assert (instance.status, written.status) == (status, status)
                written.full_clean()


def test_factory_keeps_given_values_through_its_steps() -> None:
    service = AppointmentFactory().service
    done = AppointmentFactory(completed=True, service=service, outcome_reason_category="other")
    done.refresh_from_db()
    assert (done.outcome, done.outcome_reason_category) == ("attended", "other")
    assert done.confirmed_at < done.start_at_utc < done.outcome_recorded_at
    assert done.service == service
    assert done.hold_expires_at is None


def test_factory_writes_the_rows_that_a_state_requires() -> None:
    assert ReviewFactory(published=True).publication_consents.get().granted
    assert InteractiveDefinitionFactory(published=True).versions.get().version == 1
    template = MessageTemplateFactory(active=True, telegram=True, active_version=3)
    assert template.versions.get().version == 3
    assert template.versions.get().subject is None


def test_factory_makes_a_valid_configuration_of_each_kind() -> None:
    with case_loop() as case:
        for kind in InteractiveDefinition.Type.values:
            with case(kind):
                version = InteractiveVersionFactory(interactive_definition__interactive_type=kind)
                assert configs.problems(kind, version.config) == []


def test_appointments_do_not_overlap_even_with_the_longest_break() -> None:
    AppointmentFactory.create_batch(5, confirmed=True, buffer_minutes=120)
    AppointmentFactory.create_batch(5, buffer_minutes=120)


def test_seeded_parent_may_be_replaced_by_a_row() -> None:
    topic = TopicFactory()
    assert LeadFactory(topic=topic).topic_id == topic.pk
    assert LeadFactory(topic=None).topic_id is None
    assert Lead.objects.get(pk=LeadFactory().pk).topic == Topic.objects.get(code="anxiety")


def test_factory_grants_a_role() -> None:
    assert UserFactory(role="owner").is_staff
    assert not UserFactory().user_roles.exists()


def test_moderation_action_accepts_its_target() -> None:
    review = ReviewFactory(pending=True)
    action = ModerationActionFactory(of_review=True, ugc=review)
    assert (action.ugc_type, action.ugc_id) == ("review", review.pk)


# Columns that an INSERT must set because of rules, besides NOT NULL columns without a default.
RULES_ASK: dict[str, list[str]] = {
    "users": ["email"],
    "consents": ["user_id"],
    "media_assets": ["alt_text"],
    "curated_items": ["content_item_id"],
    "interactive_runs": ["anonymous_id"],
    "appointments": ["client_user_id", "hold_expires_at"],
    "lead_identities": ["email_encrypted", "email_bidx"],
    "lead_timeline_events": ["properties"],
    "analytics_events": ["properties"],
    "message_template_versions": ["subject"],
    "diary_entries": ["payload_encrypted"],
}
# NOT NULL without a default, but filled by a trigger, so an INSERT leaves them out.
TRIGGERS_FILL = {
    "deep_links": ["expires_at"],
    "audit_log_entries": ["seq", "prev_hash", "row_hash"],
}


def minimal_row(instance: models.Model) -> dict[str, Any]:
    table = instance._meta.db_table
    required = execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND table_name = %s AND is_nullable = 'NO' AND column_default IS NULL",
        [table],
    )
    names = [c["column_name"] for c in required] + RULES_ASK.get(table, [])
    row = columns_of(instance)
    return {name: row[name] for name in names if name not in TRIGGERS_FILL.get(table, [])}


def insert_row(table: str, row: dict[str, Any]) -> None:
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    values = f"({names}) VALUES ({marks})" if row else "DEFAULT VALUES"
    execute(f"INSERT INTO {table} {values}", list(row.values()))


@each_model
def test_required_columns_and_database_defaults_suffice(
    model: type[models.Model], factory_class: type[EntityFactory]
) -> None:
    without_seeds(model)
    instance = factory_class.build()
    save_related(instance)
    table = model._meta.db_table
    row = minimal_row(instance)
    for optional in RULES_ASK.get(table, []):
        partial = {name: value for name, value in row.items() if name != optional}
        with pytest.raises(IntegrityError), transaction.atomic():
            insert_row(table, partial)
    before = set(model._base_manager.values_list("pk", flat=True))
    insert_row(table, row)
    connection.check_constraints()
    written = model._base_manager.exclude(pk__in=before).get()
    if isinstance(written.pk, UUID):
        assert written.pk.version == 7
    for f in model._meta.concrete_fields:
        if f.column not in row and f.has_default() and not f.primary_key:
            # The defaults of Django and of the database agree.
            assert getattr(written, f.attname) == f.get_default(), f.column
    if not frozen_rules(model):
        written.full_clean()


def test_person_needs_only_an_address() -> None:
    """The shortest INSERT, on which other services rely, and all resulting values."""
    execute("INSERT INTO users (email) VALUES ('a@example.com')")
    user = User.objects.get(email="a@example.com")
    assert (user.status, user.password, user.is_superuser) == ("active", "", False)
    assert user.id.version == 7
