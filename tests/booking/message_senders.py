"""Processes of the load test of messages: senders, and people who cancel and withdraw meanwhile.

A send is a row of ``sends``, committed at once and apart from every claim: what is outside of the
database does not roll back either. All times are the database's.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import django
from django.apps import apps

if not apps.ready:
    django.setup()

from django.db import connection

from booking.models import Appointment, MessageDelivery
from booking.services import cancel_appointment, claim_due_messages, mark_failed, mark_sent
from ebalance.privacy.consents import withdraw_consent
from tests.processes import HANG_TIMEOUT

TABLES = """
CREATE TABLE sends (dedupe_key text, claim_began timestamptz);
CREATE TABLE held (pid int, delivery_id uuid);
CREATE TABLE endings (appointment_id uuid, user_id uuid, ended timestamptz);
"""
FIRST_ENDINGS = 10  # the senders start together, while others cancel and withdraw


def execute(statement: str, *params: object) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchone() if cursor.description else None


def send_messages(seed: int, template: UUID) -> int:
    """Claim, send and report until no message waits. Returns the number of sends."""
    dice, sent = random.Random(seed), 0
    while execute("SELECT count(*) FROM endings") < (FIRST_ENDINGS,):
        time.sleep(0.01)
    while MessageDelivery.objects.filter(status="scheduled").exists():
        (began,) = execute("SELECT clock_timestamp()")
        for claimed in claim_due_messages(dice.randint(1, 4)):
            row = claimed.delivery
            if dice.random() < 0.1:
                mark_failed(row, error="mailbox_full", temporary=True)
                continue
            execute("INSERT INTO sends VALUES (%s, %s)", row.dedupe_key, began)
            mark_sent(row, template_version=template)
            sent += 1
    return sent


def hold_claims() -> None:
    """Claim, send the first message, and report nothing. Waits to be killed."""
    (began,) = execute("SELECT clock_timestamp()")
    while not (claims := claim_due_messages(3)):
        time.sleep(0.01)
    first = claims[0].delivery
    execute("INSERT INTO sends VALUES (%s, %s)", first.dedupe_key, began)
    for claimed in claims:
        execute("INSERT INTO held VALUES (pg_backend_pid(), %s)", claimed.delivery.pk)
    time.sleep(HANG_TIMEOUT)


def cancel_sessions(seed: int, sessions: Sequence[UUID]) -> None:
    dice = random.Random(seed)
    for key in dice.sample(sessions, len(sessions)):
        cancel_appointment(key, by="provider")
        execute("INSERT INTO endings VALUES (%s, NULL, clock_timestamp())", key)


def withdraw_consents(seed: int, sessions: Sequence[UUID]) -> None:
    dice = random.Random(seed)
    for key in dice.sample(sessions, len(sessions)):
        user = Appointment.objects.values_list("client", flat=True).get(pk=key)
        withdraw_consent(user=user, consent_type="communications")
        execute("INSERT INTO endings VALUES (NULL, %s, clock_timestamp())", user)
