"""Sixteen processes send reminders while others cancel and withdraw, and two are killed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from booking.models import MessageDelivery
from booking.services import claim_due_messages
from tests.booking import message_senders
from tests.booking.load_checks import OPEN_TRANSACTIONS, count_deadlocks, keys, rows
from tests.booking.messaging import due_message, session
from tests.booking.worker_pool import Worker, running
from tests.databases import Database
from tests.factories import MessageTemplateVersionFactory, ServiceFactory
from tests.processes import eventually
from tests.scale import scaled
from tests.services import committing

pytestmark = pytest.mark.slow

SENDERS, KILLED = 14, 2
SESSIONS = scaled(300)  # a third of them is canceled, and of a third the client withdraws

SENT_TWICE = "SELECT dedupe_key FROM sends GROUP BY 1 HAVING count(*) > 1"
SENT_AFTER_ITS_END = """
SELECT s.dedupe_key FROM sends s
JOIN message_deliveries m USING (dedupe_key)
JOIN endings e ON e.appointment_id = m.appointment_id AND m.kind = 'reminder_24h'
               OR e.user_id = m.user_id
WHERE s.claim_began > e.ended
"""
SENT_WITHOUT_A_RECORD = """
SELECT s.dedupe_key FROM sends s JOIN message_deliveries m USING (dedupe_key)
WHERE m.status <> 'sent' AND m.id NOT IN (SELECT delivery_id FROM held)
"""
RECORDED_WITHOUT_A_SEND = """
SELECT dedupe_key FROM message_deliveries
WHERE status = 'sent' AND dedupe_key NOT IN (SELECT dedupe_key FROM sends)
"""


@pytest.fixture
def database(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    with committing(fresh_database, django_db_blocker):
        yield fresh_database


def test_message_is_sent_at_most_once_and_never_after_its_end(database: Database) -> None:
    service = ServiceFactory(published=True)
    sessions = [session(service=service) for _ in range(SESSIONS)]
    reminders = [due_message(each) for each in sessions]
    template = MessageTemplateVersionFactory()
    canceled = [each.pk for each in sessions[::3]]
    withdrawn = [each.pk for each in sessions[1::3]]
    with database.connect(autocommit=True) as watch:
        watch.execute(message_senders.TABLES)
        doomed = [Worker(database.url, message_senders.hold_claims) for _ in range(KILLED)]
        with running(doomed) as killed:
            assert eventually(
                lambda: keys(watch, "SELECT count(DISTINCT pid) FROM held") == [KILLED]
            )
            work = [
                *(
                    Worker(database.url, message_senders.send_messages, seed, template.pk)
                    for seed in range(SENDERS)
                ),
                Worker(database.url, message_senders.cancel_sessions, 0, canceled),
                Worker(database.url, message_senders.withdraw_consents, 1, withdrawn),
            ]
            with running(work) as workers:
                for worker in killed:
                    worker.process.kill()
                for worker in workers:
                    worker.result()
        assert rows(watch, OPEN_TRANSACTIONS) == []
        # The cancellations of the last moment have left their own messages.
        message_senders.send_messages(SENDERS, template.pk)

        held = keys(watch, "SELECT delivery_id FROM held")
        in_flight = MessageDelivery.objects.filter(pk__in=held)
        assert set(in_flight.values_list("status", flat=True)) == {"sending"}
        over = timezone.now() + timedelta(minutes=5)
        assert claim_due_messages(clock=lambda: over) == []
        ends = set(in_flight.values_list("status", "last_error"))
        assert ends == {("failed", "outcome_unknown")}

        assert rows(watch, SENT_TWICE) == []
        assert rows(watch, SENT_AFTER_ITS_END) == []
        assert rows(watch, SENT_WITHOUT_A_RECORD) == []
        assert rows(watch, RECORDED_WITHOUT_A_SEND) == []
    stored = MessageDelivery.objects.filter(pk__in=[row.pk for row in reminders])
    assert set(stored.values_list("status", flat=True)) == {
        "sent",
        "canceled",
        "suppressed",
        "failed",
    }
    connection.close()
    assert count_deadlocks(database) == 0
