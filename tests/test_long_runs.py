"""Numbers as arguments of commands; stops and progress are tried with each command."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from ebalance.commands import whole_number


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("500", 500), ("007", 7)])
def test_a_number_within_its_bounds_is_taken(text: str, number: int) -> None:
    assert whole_number(text, "batch", of="rows", most=500) == number


@pytest.mark.parametrize("text", ["", "0", "501", "-1", "1.5", "1e2", "x", " 1", "9" * 5000])
def test_any_other_text_is_refused_in_one_line_that_says_what_it_may_be(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        whole_number(text, "batch", of="rows", most=500, returncode=2)
    said = f"{text[:20]!r} is no batch: a number of rows from 1 to 500."
    assert (str(caught.value), caught.value.returncode) == (said, 2)


def test_without_an_upper_bound_it_says_so() -> None:
    assert whole_number("0", "limit", of="exports", least=0) == 0
    with pytest.raises(CommandError, match="a number of exports, 2 or more"):
        whole_number("1", "limit", of="exports", least=2)
