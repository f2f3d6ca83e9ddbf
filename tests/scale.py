"""The size of the load tests, from one environment variable."""

from __future__ import annotations

import os

# EBALANCE_TEST_SCALE=5 makes each load test five times as long; the nightly run does so.
SCALE = float(os.environ.get("EBALANCE_TEST_SCALE") or 1)


def scaled(number: int) -> int:
    """A number of rounds, rows or kills at this scale, at least 1."""
    return max(1, round(number * SCALE))
