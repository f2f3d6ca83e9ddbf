"""The work of the processes that tests/crm/test_services_under_load.py starts.

A started process imports this module, which sets Django up on the database of the test.
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
    """Called once in each process; ``environments`` is a queue with one for each."""
    global _start
    _start = start
    os.environ |= {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "ebalance.settings"}
    os.environ |= environments.get()
    import django

    django.setup()


def starts(**person: Any) -> UUID:
    """Record the start of a booking; return whose it is."""
    from crm.services import record_event
    from ebalance.db.encryption.fields import Plaintext

    if "email" in person:
        person["contact"] = {"email": Plaintext(person.pop("email"))}
    found = record_event("booking_start", page=PAGE, acquisition=ACQUISITION, **person)
    assert found is not None
    return found.pk


def first_contacts(seed: int, people: list[dict[str, str]]) -> dict[str, UUID]:
    """The first event of each person, who says an e-mail address and something more or not."""
    dice = random.Random(seed)
    people = dice.sample(people, len(people))
    _start.wait()
    found = {}
    for person in people:
        said = {k: v for k, v in person.items() if k == "email" or dice.random() < 0.5}
        found[person["email"]] = starts(**said)
    return found


def same_events(seed: int, events: list[UUID]) -> list[UUID]:
    _start.wait()
    return [starts(event_id=key, anonymous_id=f"visitor-{key}") for key in events]


def merges_and_events(seed: int, pairs: list[tuple[UUID, UUID]]) -> tuple[int, list[str]]:
    """Even processes record events, odd ones merge the pairs, half of them the other way round.

    Return how many events were recorded, and what was refused.
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
            starts(**person)
            recorded += 1
    return recorded, refused
