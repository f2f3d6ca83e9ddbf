"""The smoke queries of the request (FEAT-PLT-02 §12.2), by plain SQL and by the ORM."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.utils import timezone
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from booking.models import Appointment, Payment, Service
from content.models import ContentItem
from identity.models import User
from interactive.models import InteractiveDefinition, InteractiveRun
from tests.databases import Database

START = datetime(2027, 3, 1, 7, 0, tzinfo=UTC)
END = START + timedelta(minutes=50)


class PlainClient:
    """Another service: plain psycopg with the column names of data-model.md, no Django."""

    def __init__(self, session: psycopg.Connection[dict[str, Any]]) -> None:
        self.session = session
        self.numbers = itertools.count()

    def insert(self, table: str, **row: Any) -> UUID:
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        values = [Jsonb(v) if isinstance(v, dict) else v for v in row.values()]
        written = self.session.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", values
        )
        return written.fetchone()["id"]

    def read(self, table: str, key: UUID) -> dict[str, Any]:
        # Commit first, so that the read returns stored data.
        self.session.commit()
        return self.session.execute(f"SELECT * FROM {table} WHERE id = %s", [key]).fetchone()

    def user(self) -> UUID:
        number = next(self.numbers)
        return self.insert("users", email=f"client{number}@example.com", display_name="Анна")


@pytest.fixture(scope="module")
def plain_client(module_database: Database) -> Iterator[PlainClient]:
    """One database for all tests of this module, which commit rows with separate keys."""
    with module_database.connect(row_factory=dict_row) as session:
        yield PlainClient(session)


def assert_fresh(key: UUID, *times: datetime) -> None:
    """The key is a UUID version 7, and the key and the times are recent."""
    assert key.version == 7
    made = datetime.fromtimestamp((key.int >> 80) / 1000, UTC)
    for time in (made, *times):
        assert abs(timezone.now() - time) < timedelta(minutes=5)


class TestInSql:
    def test_user_is_written_and_read(self, plain_client: PlainClient) -> None:
        key = plain_client.insert(
            "users", email="anna@example.com", display_name="Анна", timezone="Europe/Moscow"
        )
        row = plain_client.read("users", key)
        assert (row["email"], row["display_name"]) == ("anna@example.com", "Анна")
        assert (row["status"], row["deleted_at"], row["is_superuser"]) == ("active", None, False)
        assert row["updated_at"] == row["created_at"]
        assert_fresh(row["id"], row["created_at"])

    def test_content_item_is_written_and_read(self, plain_client: PlainClient) -> None:
        author = plain_client.user()
        key = plain_client.insert(
            "content_items",
            content_type="article",
            slug="opora-na-sebya",
            title="Опора на себя",
            body_markdown="# Опора на себя\n",
            author_user_id=author,
        )
        plain_client.insert("content_item_topics", content_item_id=key, topic_code="selfesteem")
        row = plain_client.read("content_items", key)
        assert (row["content_type"], row["slug"]) == ("article", "opora-na-sebya")
        assert (row["title"], row["author_user_id"]) == ("Опора на себя", author)
        assert (row["status"], row["published_at"]) == ("draft", None)
        assert_fresh(row["id"], row["created_at"], row["updated_at"])

    def test_interactive_run_with_a_result_level_is_written_and_read(
        self, plain_client: PlainClient
    ) -> None:
        quiz = plain_client.insert(
            "interactive_definitions",
            interactive_type="quiz",
            slug="test-na-vygoranie",
            title="Тест на выгорание",
            topic_code="burnout",
        )
        plain_client.insert(
            "interactive_versions",
            interactive_definition_id=quiz,
            version=1,
            config={"questions": []},
        )
        key = plain_client.insert(
            "interactive_runs", interactive_definition_id=quiz, anonymous_id="visitor-000001"
        )
        started = plain_client.read("interactive_runs", key)
        assert (started["status"], started["result_level"]) == ("in_progress", None)
        assert (started["crisis_triggered"], started["user_id"]) == (False, None)
        assert_fresh(started["id"], started["started_at"])
        plain_client.session.execute(
            "UPDATE interactive_runs SET status = 'completed', completed_at = now(), "
            "result_level = 'moderate', duration_ms = 90000 WHERE id = %s",
            [key],
        )
        row = plain_client.read("interactive_runs", key)
        assert (row["status"], row["result_level"]) == ("completed", "moderate")
        assert (row["interactive_definition_id"], row["duration_ms"]) == (quiz, 90_000)

    def test_appointment_with_a_payment_is_written_and_read(
        self, plain_client: PlainClient
    ) -> None:
        client = plain_client.user()
        service = plain_client.insert(
            "services",
            slug="konsultaciya",
            title="Консультация",
            description_markdown="Встреча с психологом.",
            format="online",
            duration_minutes=50,
            price_amount=5000,
            deposit_amount=1000,
        )
        offered = plain_client.read("services", service)
        assert (offered["status"], offered["position"]) == ("draft", 0)
        key = plain_client.insert(
            "appointments",
            service_id=service,
            client_user_id=client,
            start_at_utc=START,
            end_at_utc=END,
            timezone="Europe/Moscow",
            format="online",
            hold_expires_at=timezone.now() + timedelta(minutes=15),
            price_amount=5000,
            deposit_amount=1000,
        )
        payment = plain_client.insert(
            "payments",
            appointment_id=key,
            idempotency_key="payment-1",
            purpose="deposit",
            amount=1000,
        )
        row = plain_client.read("appointments", key)
        assert (row["start_at_utc"], row["end_at_utc"]) == (START, END)
        assert (row["client_user_id"], row["price_amount"]) == (client, 5000)
        assert (row["status"], row["buffer_minutes"]) == ("pending_payment", 0)
        assert_fresh(row["id"], row["created_at"], row["updated_at"])
        paid = plain_client.read("payments", payment)
        assert (paid["appointment_id"], paid["amount"], paid["purpose"]) == (key, 1000, "deposit")
        assert (paid["provider"], paid["currency"]) == ("yookassa", "RUB")
        assert (paid["status"], paid["confirmed_at"]) == ("pending", None)
        assert_fresh(paid["id"], paid["created_at"])


@pytest.mark.django_db
class TestThroughTheOrm:
    """Each row is read again, so that defaults are the database's, not the instance's."""

    def user(self) -> User:
        return User.objects.create(email="anna@example.com", display_name="Анна")

    def test_user_is_written_and_read(self) -> None:
        user = User.objects.get(pk=self.user().pk)
        assert (user.email, user.display_name) == ("anna@example.com", "Анна")
        assert (user.status, user.deleted_at, user.is_superuser) == ("active", None, False)
        assert user.updated_at == user.created_at
        assert_fresh(user.id, user.created_at)

    def test_content_item_is_written_and_read(self) -> None:
        written = ContentItem.objects.create(
            content_type="article",
            slug="opora-na-sebya",
            title="Опора на себя",
            body_markdown="# Опора на себя\n",
            author=self.user(),
        )
        written.topics.add("selfesteem")
        item = ContentItem.objects.get(topics__title="Самооценка")
        assert (item.content_type, item.slug) == ("article", "opora-na-sebya")
        assert (item.title, item.author.display_name) == ("Опора на себя", "Анна")
        assert (item.status, item.published_at) == ("draft", None)
        assert_fresh(item.id, item.created_at, item.updated_at)

    def test_interactive_run_with_a_result_level_is_written_and_read(self) -> None:
        quiz = InteractiveDefinition.objects.create(
            interactive_type="quiz",
            slug="test-na-vygoranie",
            title="Тест на выгорание",
            topic_id="burnout",
        )
        quiz.versions.create(version=1, config={"questions": []})
        run = quiz.runs.create(anonymous_id="visitor-000001")
        run = InteractiveRun.objects.get(pk=run.pk)
        assert (run.status, run.result_level) == ("in_progress", None)
        assert (run.crisis_triggered, run.user) == (False, None)
        assert_fresh(run.id, run.started_at)
        run.status, run.completed_at = "completed", timezone.now()
        run.result_level, run.duration_ms = "moderate", 90_000
        run.save()
        run = InteractiveRun.objects.get(result_level="moderate")
        assert (run.status, run.duration_ms) == ("completed", 90_000)
        assert run.interactive_definition == quiz

    def test_appointment_with_a_payment_is_written_and_read(self) -> None:
        client = self.user()
        service = Service.objects.create(
            slug="konsultaciya",
            title="Консультация",
            description_markdown="Встреча с психологом.",
            format="online",
            duration_minutes=50,
            price_amount=5000,
            deposit_amount=1000,
        )
        service.refresh_from_db()
        assert (service.status, service.position) == ("draft", 0)
        written = service.appointments.create(
            client=client,
            start_at_utc=START,
            end_at_utc=END,
            timezone="Europe/Moscow",
            format="online",
            hold_expires_at=timezone.now() + timedelta(minutes=15),
            price_amount=5000,
            deposit_amount=1000,
        )
        written.payments.create(idempotency_key="payment-1", purpose="deposit", amount=1000)
        appointment = Appointment.objects.get(client=client)
        assert (appointment.start_at_utc, appointment.end_at_utc) == (START, END)
        assert (appointment.service, appointment.price_amount) == (service, 5000)
        assert (appointment.status, appointment.buffer_minutes) == ("pending_payment", 0)
        assert_fresh(appointment.id, appointment.created_at, appointment.updated_at)
        payment = Payment.objects.get(appointment=appointment)
        assert (payment.amount, payment.purpose) == (1000, "deposit")
        assert (payment.provider, payment.currency) == ("yookassa", "RUB")
        assert (payment.status, payment.confirmed_at) == ("pending", None)
        assert_fresh(payment.id, payment.created_at)
