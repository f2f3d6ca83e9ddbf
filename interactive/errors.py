"""Refusals of the services of interactives. ``code`` is part of the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from ebalance.services import InvalidInput, Refused

if TYPE_CHECKING:
    from .configs import Problem

SHOWN = 10  # problems that a sentence names

# The mistakes in a configuration, by code.
SENTENCES = {
    "not_json": _("this is not plain JSON, or too much of it"),
    "unknown_key": _("there is a key that is not known here"),
    "missing": _("this is missing"),
    "wrong_type": _("a value of another type is expected"),
    "not_allowed": _("this is not one of the possible values"),
    "too_few": _("there are too few of these"),
    "too_many": _("there are too many of these"),
    "too_long": _("the text is too long"),
    "bad_text": _("the text is empty or not of the expected form"),
    "too_large": _("the number is too large"),
    "too_small": _("the number is too small"),
    "repeated": _("this has been used before"),
    "empty_range": _("the upper end is below the lower end"),
    "gap": _("there is a gap before this level"),
    "overlap": _("this level overlaps the one before"),
    "does_not_begin": _("the lowest level does not begin at the lowest possible score"),
    "does_not_end": _("the highest level does not end at the highest possible score"),
    "next_or_result": _("a choice leads either to a step or to a result"),
    "dangling": _("there is no such step"),
    "unreachable": _("no path leads here"),
    "cycle": _("from this step a path leads back to it"),
    "text_missing": _("a profile that can be reached has no text"),
}


class ConfigInvalid(InvalidInput):
    """The configuration breaks the rules of its kind.

    Each of ``problems`` is a code and a JSON path of declared names and indices, without texts.
    """

    code = "config_invalid"
    sentence_template = _("The configuration has mistakes: %(mistakes)s.")

    def __init__(self, *, problems: Sequence[Problem]) -> None:
        super().__init__(field="config", problems=[f"{p.path} {p.code}" for p in problems])
        self.problems = tuple(problems)

    @property
    def sentence(self) -> str:
        mistakes = [f"{p.path} — {SENTENCES.get(p.code, p.code)}" for p in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            mistakes.append("…")
        return str(self.sentence_template) % {"mistakes": "; ".join(mistakes)}


class NotPublished(Refused):
    """Only a published interactive can be run."""

    code = "not_published"
    sentence_template = _("This interactive is not available at the moment.")


class ResultNotPossible(InvalidInput):
    """The version that was shown cannot end with this result, or not without one."""

    code = "result_not_possible"
    sentence_template = _("This interactive cannot end with such a result.")
