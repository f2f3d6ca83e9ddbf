"""The glossary: each synonym and each link occurs once."""

from __future__ import annotations

from typing import Any

import pytest

from content.models import GlossaryTerm, GlossaryTermLink
from tests.factories import (
    ContentItemFactory,
    GlossaryTermFactory,
    GlossaryTermLinkFactory,
    GlossaryTermSynonymFactory,
)
from tests.rule_cases import ALL_WRITE_PATHS, Change
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
)
from tests.support import Case, execute, refuses

pytestmark = pytest.mark.django_db

SYNONYM, LINK = "glossary_term_synonyms_once_per_term", "glossary_term_links_once"


def beside(synonym: str) -> Any:
    return lambda: GlossaryTermSynonymFactory(synonym=synonym).term


@case_groups(
    *[
        Case(
            f"{first} and {second}",
            GlossaryTermSynonymFactory,
            {"term": beside(first), "synonym": second},
            SYNONYM,
        )
        for first, second in [
            ("границы", "границы"),
            ("границы", "Границы"),
            ("ГРАНИЦЫ", "границы"),
            ("Ёжик", "ёжик"),
            ("boundaries", "BOUNDARIES"),
            ("café", "CAFÉ"),
        ]
    ],
    *[
        Case(
            f"{first} and {second}",
            GlossaryTermSynonymFactory,
            {"term": beside(first), "synonym": second},
        )
        for first, second in [("границы", "граница"), ("ёжик", "ежик")]
    ],
    Case(
        "of another term",
        GlossaryTermSynonymFactory,
        {"synonym": lambda: GlossaryTermSynonymFactory().synonym},
    ),
)
def test_synonym_is_unique_regardless_of_case(group: CaseGroup) -> None:
    check_case_group(group)


@change_groups(
    Change(
        "word",
        GlossaryTermSynonymFactory,
        {"term": beside("Границы"), "synonym": "рамки"},
        {"synonym": "ГРАНИЦЫ"},
        SYNONYM,
    ),
    Change(
        "term",
        GlossaryTermSynonymFactory,
        {"synonym": "границы"},
        {"term_id": lambda _: beside("Границы")().pk},
        SYNONYM,
    ),
    Change("its own case", GlossaryTermSynonymFactory, {"synonym": "рамки"}, {"synonym": "Рамки"}),
    write_paths=ALL_WRITE_PATHS,
)
def test_a_synonym_changes_by_the_same_rule(group: ChangeGroup) -> None:
    check_change_group(group)


def test_one_statement_does_not_insert_two_spellings() -> None:
    term = GlossaryTermFactory()
    with refuses(SYNONYM, "glossary_term_synonyms"):
        execute(
            "INSERT INTO glossary_term_synonyms (term_id, synonym) "
            "VALUES (%(term)s, 'границы'), (%(term)s, 'Границы')",
            {"term": term.pk},
        )


SAME_PAIR = {
    "term": lambda: GlossaryTermLinkFactory().term,
    "content_item": lambda: GlossaryTermLink.objects.get().content_item,
}


@case_groups(
    Case("twice", GlossaryTermLinkFactory, SAME_PAIR, LINK),
    Case("in another way", GlossaryTermLinkFactory, {**SAME_PAIR, "link_type": "mentioned_in"}),
    Case(
        "to another item",
        GlossaryTermLinkFactory,
        {**SAME_PAIR, "content_item": ContentItemFactory},
    ),
    Case(
        "from another term",
        GlossaryTermLinkFactory,
        {"content_item": lambda: GlossaryTermLinkFactory().content_item},
    ),
)
def test_link_is_unique(group: CaseGroup) -> None:
    check_case_group(group)


@change_groups(
    Change(
        "the other way",
        GlossaryTermLinkFactory,
        {**SAME_PAIR, "link_type": "mentioned_in"},
        {"link_type": "recommended"},
        LINK,
    ),
    Change("the only one", GlossaryTermLinkFactory, {}, {"link_type": "mentioned_in"}),
    write_paths=ALL_WRITE_PATHS,
)
def test_a_link_changes_by_the_same_rule(group: ChangeGroup) -> None:
    check_change_group(group)


def test_deleted_term_deletes_its_synonyms_and_links() -> None:
    link = GlossaryTermLinkFactory()
    GlossaryTermSynonymFactory(term=link.term)
    link.term.delete()
    assert not GlossaryTerm.objects.exists()
    for table in ["glossary_term_synonyms", "glossary_term_links"]:
        assert execute(f"SELECT * FROM {table}") == []
