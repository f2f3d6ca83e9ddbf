"""The files that three operations pass through, in the order shown in docs/architecture.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from booking.models import Service
from booking.services import book_appointment
from ebalance.actor import acting_as
from ebalance.privacy.erasure import erase_user
from tests.factories import (
    AvailabilitySlotFactory,
    LeadIdentityFactory,
    ServiceFactory,
    UserFactory,
)
from tools.structure import PACKAGES

pytestmark = pytest.mark.django_db

DOCUMENT = Path(settings.BASE_DIR, "docs", "architecture.md")
ROOT = f"{settings.BASE_DIR}/"
# From the roofs to the ground (pyproject.toml has the same order for imports).
LAYERS = [
    ("ebalance/dev/", "ebalance/admin/"),
    ("ebalance/privacy/",),
    ("ugc/",),
    ("booking/",),
    ("crm/",),
    ("interactive/",),
    ("content/",),
    ("identity/",),
    ("audit/",),
    ("ebalance/services.py", "ebalance/redaction/"),
    ("ebalance/db/",),
    ("ebalance/actor.py", "ebalance/commands.py", "ebalance/settings.py"),
]


def layer_of(file: str) -> int:
    return next(n for n, prefixes in enumerate(LAYERS) if file.startswith(prefixes))


class Walk:
    """Records the application's files in the order in which they are entered."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.upwards: list[tuple[str, str]] = []
        self._names: dict[CodeType, str | None] = {}

    def name(self, code: CodeType) -> str | None:
        if code not in self._names:
            name = code.co_filename.removeprefix(ROOT)
            is_ours = name.split("/")[0] in PACKAGES and not name.endswith("__init__.py")
            self._names[code] = name if is_ours else None
        return self._names[code]

    def caller(self, frame: FrameType) -> str | None:
        """The calling file, without the decorator ``transactional`` between two files."""
        at = frame.f_back
        while at is not None:
            name = self.name(at.f_code)
            is_decorator = name == "ebalance/services.py" and at.f_code.co_name in ("run", "retry")
            if name is not None and not is_decorator:
                return name
            at = at.f_back
        return None

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        name = self.name(frame.f_code) if event == "call" else None
        # Lambdas of a field are declarations, called by the reader of the declaration.
        if name is None or frame.f_code.co_name == "<lambda>":
            return
        caller = self.caller(frame)
        if caller is not None and layer_of(name) < layer_of(caller):
            self.upwards.append((caller, name))
        if name not in self.files:
            self.files.append(name)


@contextmanager
def walking() -> Iterator[Walk]:
    walk = Walk()
    before = sys.getprofile()
    sys.setprofile(walk)
    try:
        yield walk
    finally:
        sys.setprofile(before)


def book() -> Callable[[], object]:
    service, client = ServiceFactory(published=True), UserFactory()
    slot = AvailabilitySlotFactory()
    return lambda: book_appointment(
        service,
        client=client,
        slot=slot,
        timezone="Europe/Moscow",
        format="online",
        client_request_id=f"data-walk-{client.pk}",
    )


def erase() -> Callable[[], object]:
    user = UserFactory()
    LeadIdentityFactory(user=user)
    return lambda: erase_user(user, method="admin")


def audited_update() -> Callable[[], object]:
    service, owner = ServiceFactory(), UserFactory(role="owner")

    def update() -> None:
        with acting_as(owner):
            Service.objects.filter(pk=service.pk).update(price_amount=4_200)
            connection.check_constraints()

    return update


WALKS = {"book_appointment": book, "erase_user": erase, "audited UPDATE": audited_update}


def documented(name: str) -> list[str]:
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"### {name}\n")[2].partition("\n#")[0]
    return re.findall(r"^\| \d+ \| `([\w/.]+\.py)` \|", section, re.MULTILINE)


@pytest.mark.parametrize("name", WALKS)
def test_data_walk_is_downward_and_documented(name: str) -> None:
    WALKS[name]()()  # fills the caches of the process
    operation = WALKS[name]()
    with walking() as walk:
        operation()
    assert walk.upwards == []
    table = "\n".join(f"| {n} | `{file}` |" for n, file in enumerate(walk.files, start=1))
    assert documented(name) == walk.files, f"docs/architecture.md, {name}:\n{table}"
