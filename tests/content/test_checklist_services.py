"""The checklist before publication, and the CommonMark parser that it uses."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from content import markdown
from content.checklist import (
    ALT_TEXT_MISSING,
    CTA_MISSING,
    DISCLAIMER,
    DISCLAIMER_MISSING,
    TOO_FEW_INTERNAL_LINKS,
    offences,
)
from tests.content.texts import CTA, IMAGE, LINKS, ready
from tests.support import execute

SLUG = "trevozhnyj-vecher"


def missing(text: str) -> list[str]:
    return offences(text, slug=SLUG)


def test_complete_text_has_no_offences() -> None:
    assert missing(ready()) == []


def test_empty_text_lacks_everything_but_images() -> None:
    assert missing("") == [DISCLAIMER_MISSING, CTA_MISSING, TOO_FEW_INTERNAL_LINKS]


def test_each_missing_part_is_reported_alone() -> None:
    assert missing(ready(disclaimer="Берегите себя.")) == [DISCLAIMER_MISSING]
    assert missing(ready(cta="Напишите нам.")) == [CTA_MISSING]
    assert missing(ready(links=LINKS[:1])) == [TOO_FEW_INTERNAL_LINKS]
    assert missing(ready(image="![](/media/rassvet.webp)")) == [ALT_TEXT_MISSING]


# -- disclaimer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "paragraph",
    [
        DISCLAIMER,
        f"> {DISCLAIMER}",
        "**Важно:** материал не заменяет помощь врача или психолога.",
        "ВАЖНО. Эти упражнения *не заменят*\nконсультации специалиста.",
        "Важно! Тест не является заменой психотерапии.",
        "Важно: статья не может заменить разговор с врачом.",
        f"- {DISCLAIMER}\n\n- второе",
    ],
)
def test_disclaimer_is_recognised(paragraph: str) -> None:
    assert missing(ready(disclaimer="") + "\n" + paragraph) == []


@pytest.mark.parametrize(
    "paragraph",
    [
        f"    {DISCLAIMER}",
        f"```\n{DISCLAIMER}\n```",
        f"`{DISCLAIMER}`",
        f"## {DISCLAIMER}",
        f"<!-- {DISCLAIMER} -->",
        f"<div>{DISCLAIMER}</div>",
        f"[важно]: /articles/a '{DISCLAIMER}'",
        f"![{DISCLAIMER}](/media/a.webp)",
        "Важно: этот материал заменяет консультацию специалиста.",
        "Этот материал не заменяет консультацию специалиста.",
        "Важно: ничего не заменяйте.",
        "Важно отдыхать.\n\nНе заменяет консультацию специалиста.",
        "Неважно: не заменяет консультацию специалиста.",
    ],
)
def test_other_paragraphs_are_no_disclaimer(paragraph: str) -> None:
    text = ready(disclaimer="Берегите себя.") + "\n" + paragraph
    assert missing(text) == [DISCLAIMER_MISSING]


# -- call to action -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        "[Записаться](/booking)",
        "[Записаться](/booking/individualnaya?utm_source=article#time)",
        "[Услуги](/services/)",
        "[Услуги][ссылка]\n\n[ссылка]: /services/para 'Услуги'",
        "[В Telegram](https://t.me/ebalance_bot?start=plan_7d)",
        "<https://t.me/ebalance_bot>",
        "[![Записаться](/media/b.webp)](/booking)",
    ],
)
def test_call_to_action_is_recognised(link: str) -> None:
    assert missing(ready(cta=link)) == []


@pytest.mark.parametrize(
    "link",
    [
        "`[Записаться](/booking)`",
        "    [Записаться](/booking)",
        "\\[Записаться](/booking)",
        "[](/booking)",
        "[ ](/booking)",
        "[Записаться](/booking-rules)",
        "[Записаться](/articles/booking)",
        "[Записаться](booking)",
        "[Записаться](//booking)",
        "[Записаться](https://evil.example/booking)",
        "[Записаться](https://t.me)",
        "[Записаться](https://t.me/)",
        "[Записаться](http://t.me/bot)",
        "[Записаться](https://t.me.evil.example/bot)",
        "[Записаться](https://evil.example/t.me/bot)",
        "[Записаться][нет такой]",
        "![Записаться](/booking)",
        '<a href="/booking">Записаться</a>',
        "/booking",
    ],
)
def test_other_links_are_no_call_to_action(link: str) -> None:
    assert missing(ready(cta=link)) == [CTA_MISSING]


# -- internal links -----------------------------------------------------------------------------

TWO = ["[раз](/articles/raz)", "[два](/articles/dva)"]


def with_third(link: str) -> str:
    """A text with two internal links and ``link``. Its call to action leads to Telegram."""
    return ready(links=[*TWO, link], cta="[бот](https://t.me/ebalance_bot)")


@pytest.mark.parametrize(
    "link",
    [
        "[три](/articles/tri)",
        "[три](</articles/tri>)",
        '[три](/articles/tri "Третье")',
        "[три][]\n\n[три]: /articles/tri",
        "[*три*](/articles/tri#a)",
        "[`три`](/articles/tri)",
        "| а | б |\n|---|---|\n| [три](/articles/tri) | - |",
        "[главная](/)",
        "[три](/статьи/три)",
        "[три](/articles/[три)",
    ],
)
def test_an_internal_link_is_counted(link: str) -> None:
    assert missing(with_third(link)) == []


@pytest.mark.parametrize(
    "link",
    [
        "",
        "[раз ещё раз](/articles/raz)",
        "[раз ещё раз](/articles/raz/)",
        "[раз ещё раз](/articles/raz#konec)",
        "[раз ещё раз](/articles/raz?utm_source=a)",
        "[раз ещё раз](/articles/x/../raz)",
        "[раз ещё раз](/articles/r%61z)",
        f"[сам](/articles/{SLUG})",
        f"[сам](/{SLUG}/)",
        f"[сам](/articles/{SLUG}#b)",
        "[место](#konec)",
        "[относительная](articles/tri)",
        "[чужая](//evil.example/a)",
        "[чужая](/\\evil.example)",
        "[чужая](/&#47;evil.example)",
        "[чужая](/%2Fevil.example/a)",
        "[чужая](https://example.org/articles/tri)",
        "[скрипт](javascript:alert(1))",
        "`[три](/articles/tri)`",
        "```\n[три](/articles/tri)\n```",
        "![три](/articles/tri)",
        "![[три](/articles/tri)](/media/a.webp)",
        "<!-- [три](/articles/tri) -->",
        '<a href="/articles/tri">три</a>',
        "[три]: /articles/tri",
        "[\u200b](/articles/tri)",
        "[сломанная](//[tri/a)",
    ],
)
def test_other_links_are_no_third_internal_link(link: str) -> None:
    assert missing(with_third(link)) == [TOO_FEW_INTERNAL_LINKS]


def test_a_call_to_action_on_the_site_is_an_internal_link_too() -> None:
    assert missing(ready(links=TWO, cta=CTA)) == []


# -- alt texts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [
        "",
        IMAGE,
        "![*Рассвет*](/media/a.webp)",
        "![Рассвет][р]\n\n[р]: /media/a.webp",
        '<img src="/media/a.webp" alt="Рассвет">',
        "`![](/media/a.webp)`",
        "```\n![](/media/a.webp)\n```",
        '<!-- <img src="/media/a.webp"> -->',
        "<div>\n<img src=/media/a.webp title='a > b' ALT=Рассвет>\n</div>",
        "<div>\n<imgs>\n</div>",
    ],
)
def test_described_images_and_code_pass(image: str) -> None:
    assert missing(ready(image=image)) == []


@pytest.mark.parametrize(
    "image",
    [
        "![](/media/a.webp)",
        "![ ](/media/a.webp)",
        "![\u200b](/media/a.webp)",
        "![][р]\n\n[р]: /media/a.webp",
        f"{IMAGE}\n\nи ещё ![](/media/b.webp) одно",
        "[![](/media/a.webp)](/articles/a)",
        '<img src="/media/a.webp">',
        '<img src="/media/a.webp" alt="">',
        '<div>\n<p><IMG SRC="/media/a.webp" alt=" "></p>\n</div>',
        'в строке <img src="/media/a.webp"/> одно',
        '<div>\n<img title=\'alt="Рассвет"\' src="/media/a.webp">\n</div>',
        '<div>\n<img alt="&nbsp;" src="/media/a.webp">\n</div>',
        "<div title=it's>\n<img src=\"/media/a.webp\"> it's\n</div>",
        '<div>\n<img src="/media/a.webp\n</div>',
        '<!--> <img src="/media/a.webp"> -->',
        "| а |\n|---|\n| ![](/media/a.webp) |",
    ],
)
def test_image_without_a_description_is_reported(image: str) -> None:
    assert ALT_TEXT_MISSING in missing(ready(image=image))


@contextmanager
def processor_limit(seconds: float) -> Iterator[None]:
    """Abort after ``seconds`` of CPU time of this process, whatever the load of the machine."""

    def end(*_: Any) -> None:
        raise AssertionError(f"no answer after {seconds} s of processor time")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_hostile_text_is_parsed_in_bounded_time() -> None:
    """Each text is parsed in milliseconds. Earlier versions needed minutes for some."""
    texts = ["[" * 5_000, "> " * 500 + "a", "![" * 2_000, "<" * 5_000, "*a " * 5_000, "\0"]
    html = ["<img ", "<!--", "<![", "</", "<a ", '<img a="', "<img a='", "<img alt= ", "="]
    texts += ["<div>\n" + piece * 20_000 for piece in html]
    texts += ["Важно " + "не заменяет " * 20_000]
    failed = {}
    for text in texts:
        name = ascii(f"{text[:10]}...{text[-10:]}")
        try:
            with processor_limit(30):
                reported = missing(text)
        except Exception as error:
            failed[name] = repr(error)
        else:
            if DISCLAIMER_MISSING not in reported:
                failed[name] = repr(reported)
    assert failed == {}


def test_visible_characters_agree_with_the_database(db: None) -> None:
    odd = [chr(n) for n in (*range(1, 0x3100), 0x3164, *range(0xFE00, 0xFFFF))]
    rows = execute("SELECT c, public.is_visible(c) AS shown FROM unnest(%s::text[]) AS c", [odd])
    differing = [f"{ord(r['c']):X}" for r in rows if r["shown"] != markdown.is_visible(r["c"])]
    assert differing == []
