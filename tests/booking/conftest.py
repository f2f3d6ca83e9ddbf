"""The services of booking get clocks of many years: the clock of the rules is later than all."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _late_clock(late_clock: None) -> None:
    pass
