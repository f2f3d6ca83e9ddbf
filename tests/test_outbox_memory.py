"""The outbox is a queue: docs/adr/0018-outbox-memory.md lists the services that still read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from tests.advice import advises
from tools.structure import PACKAGES

DOCUMENT = "docs/adr/0018-outbox-memory.md"
READS = re.compile(r"\bOutboxEvent\.objects|\b(?:FROM|JOIN) (?:public\.)?outbox_events\b")
# The outbox itself, and demo data.
OWN = ("audit/", "ebalance/dev/")


def readers() -> set[str]:
    names = set()
    for package in PACKAGES:
        for path in Path(settings.BASE_DIR, package).rglob("*.py"):
            name = str(path.relative_to(settings.BASE_DIR))
            is_own = name.startswith(OWN) or "/migrations/" in name
            if not is_own and READS.search(path.read_text(encoding="utf-8")):
                names.add(name)
    return names


def documented() -> set[str]:
    text = Path(settings.BASE_DIR, DOCUMENT).read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([\w/]+\.py)` \|", text, re.MULTILINE))


@advises
def test_services_that_read_old_events_are_listed() -> Iterator[str]:
    for name in sorted(readers() - documented()):
        yield f"{name}: store the fact in a column instead of reading old events"
    for name in sorted(documented() - readers()):
        yield f"{DOCUMENT}: remove the row of {name}, which does not read the outbox"


def test_reader_of_old_events_is_detected() -> None:
    assert READS.search('OutboxEvent.objects.filter(event_type="lead_merged")')
    assert READS.search("SELECT payload FROM outbox_events")
    assert not READS.search("from audit.models import OutboxEvent")
