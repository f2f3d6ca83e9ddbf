"""The functions that the processes of tests/crm/test_services_under_load.py run.

set_up() configures Django in each process for the database of the test.
"""

from __future__ import annotations

import os
import random
from typing import Any
from uuid import UUID

PAGE = {"page_path": "/book"}
ACQUISITION = {"entry_point": "seo"}
_start: Any = None


def set_up(url: str, environments: Any, start: Any) -> None:
    """Set Django up, once in each process; ``environments`` is a queue with one per process."""
    global _start
    _start = start
    os.environ |= {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "ebalance.settings"}
    os.environ |= environments.get()
    import django

    django.setup()


def record_start(**person: Any) -> UUID:
    """Record the start of a booking; return the key of its lead."""
    from crm.services import record_event
    from ebalance.db.encryption.fields import Plaintext

    if "email" in person:
        person["contact"] = {"email": Plaintext(person.pop("email"))}
    lead = record_event("booking_start", page=PAGE, acquisition=ACQUISITION, **person)
    assert lead is not None
    return lead.pk


def record_first_events(seed: int, people: list[dict[str, str]]) -> dict[str, UUID]:
    """Record the first event of each person, by e-mail address and random other identifiers."""
    dice = random.Random(seed)
    people = dice.sample(people, len(people))
    _start.wait()
    leads = {}
    for person in people:
        given = {k: v for k, v in person.items() if k == "email" or dice.random() < 0.5}
        leads[person["email"]] = record_start(**given)
    return leads


def record_same_events(seed: int, events: list[UUID]) -> list[UUID]:
    _start.wait()
    return [record_start(event_id=key, anonymous_id=f"visitor-{key}") for key in events]


def merge_or_record(seed: int, pairs: list[tuple[UUID, UUID]]) -> tuple[int, list[str]]:
    """Even processes record events, odd ones merge the pairs, half of them in reverse.

    Return the number of recorded events and the codes of the refusals.
    """
    from crm.services import merge_leads
    from ebalance.services import Refused

    dice = random.Random(seed)
    recorded, refused = 0, []
    _start.wait()
    if seed % 2:
        for one, other in dice.sample(pairs, len(pairs)):
            first, second = (one, other) if seed % 4 == 1 else (other, one)
            try:
                merge_leads(first, into=second)
            except Refused as error:
                refused.append(error.code)
        return recorded, refused
    for one, other in dice.sample(pairs, len(pairs)):
        for person in [
            {"lead": one},
            {"lead": other},
            {"anonymous_id": f"visitor-{one}"},
            {"anonymous_id": f"visitor-{other}"},
        ]:
            record_start(**person)
            recorded += 1
    return recorded, refused
