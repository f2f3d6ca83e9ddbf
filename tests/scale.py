"""The size of the load tests, from one environment variable."""

from __future__ import annotations

import os

# .ci/run sets 0.5, .ci/nightly 5; `make test-all` leaves it at 1.
SCALE = float(os.environ.get("EBALANCE_TEST_SCALE") or 1)


def scaled(number: int) -> int:
    """A number of rounds, rows or kills at this scale, at least 1."""
    return max(1, round(number * SCALE))
