"""Numbers as arguments of commands; the tests of each command cover stops and progress."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from ebalance.commands import whole_number


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("500", 500), ("007", 7)])
def test_number_within_its_bounds_is_accepted(text: str, number: int) -> None:
    assert whole_number(text, "batch", of="rows", most=500) == number


@pytest.mark.parametrize("text", ["", "0", "501", "-1", "1.5", "1e2", "x", " 1", "9" * 5000])
def test_other_text_is_refused_with_the_allowed_range(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        whole_number(text, "batch", of="rows", most=500, returncode=2)
    message = f"{text[:20]!r} is no batch: a number of rows from 1 to 500."
    assert (str(caught.value), caught.value.returncode) == (message, 2)


def test_missing_upper_bound_is_stated() -> None:
    assert whole_number("0", "limit", of="exports", least=0) == 0
    with pytest.raises(CommandError, match="a number of exports, 2 or more"):
        whole_number("1", "limit", of="exports", least=2)
