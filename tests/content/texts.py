"""Texts of content that are ready to be published."""

from __future__ import annotations

from content.checklist import DISCLAIMER

CTA = "[Записаться на встречу](/booking)"
LINKS = [
    "[дыхание](/articles/dyhanie)",
    "[опоры](/notes/opory)",
    "[дневник](/resources/dnevnik)",
]
IMAGE = "![Рассвет над озером](/media/rassvet.webp)"


def ready(
    *, disclaimer: str = DISCLAIMER, cta: str = CTA, links: list[str] = LINKS, image: str = IMAGE
) -> str:
    """A text that lacks nothing, but for what is given as ""."""
    return "\n\n".join(["# Тревожный вечер", *links, image, cta, f"> {disclaimer}"]) + "\n"
