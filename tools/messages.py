"""Update the Russian catalogue from the code (`make messages`); `--check` only reports differences.

The catalogue must have the messages of the project's Python code and templates, the labels made
from field names, and the messages of installed apps without a Russian translation. It may have
another translation of a message of Django. Other messages are removed.
"""

import argparse
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import django
from babel.messages import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
PO = ROOT / "locale" / "ru" / "LC_MESSAGES" / "django.po"
MO = PO.with_suffix(".mo")

SHAPES: dict = {
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
KEYWORDS = {f"{name}{kind}": shape for name, shape in SHAPES.items() for kind in ("", "_lazy")}
KEYWORDS |= {"_": None, "gettext_noop": None, "noop": None, "_noop": None}

PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{\w*\}|</?\w+")
ENDINGS = (".", "!", "?", ":", "…")


class Russian(Catalog):
    """A catalogue without author, date and project in its header."""

    mime_headers = [
        ("Language", "ru"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", "8bit"),
        ("Plural-Forms", Catalog(locale="ru").plural_forms),
    ]

    def __init__(self) -> None:
        super().__init__(
            locale="ru",
            header_comment="# `make messages` keeps the list; the Russian is written here by hand.",
            fuzzy=False,
        )


def entries(catalog: Catalog) -> list[Message]:
    """The messages of the catalogue, without the header."""
    return [message for message in catalog if message.id]


def project_models() -> list[type]:
    from django.apps import apps

    from ebalance.db.apps import PROJECT_APPS

    return [made for label in PROJECT_APPS for made in apps.get_app_config(label).get_models()]


def closed_sets() -> list[type]:
    """All TextChoices of the project. Tests may define others."""
    from django.db.models import TextChoices

    return [m for m in TextChoices.__subclasses__() if m.__module__.split(".")[0] in _ours()]


def field_labels() -> Iterator[str]:
    """Labels of fields without a verbose_name: the name as words (ebalance/db/apps.py)."""
    for model in project_models():
        for field in (*model._meta.local_fields, *model._meta.local_many_to_many):
            if field._verbose_name is None:
                yield field.name.replace("_", " ")


def extracted(folder: Path, *, without: tuple[str, ...] = ()) -> Iterator[tuple]:
    """(message, context) of the Python files and templates below ``folder``."""
    from django.utils.translation.template import templatize

    for path in sorted(folder.rglob("*")):
        if {"__pycache__", *without} & set(path.relative_to(folder).parts):
            continue
        if path.suffix == ".py":
            source = path.read_text(encoding="utf-8")
        elif path.suffix in {".html", ".txt"} and "templates" in path.parts:
            # Dummy words with calls between them; in brackets, because their indentation is
            # arbitrary.
            source = f"({templatize(path.read_text(encoding='utf-8'), origin=str(path))}\n)"
        else:
            continue
        for _line, message, _comments, context in extract(
            "python", io.BytesIO(source.encode()), KEYWORDS
        ):
            yield message, context


def third_party_messages() -> Catalog:
    """The messages of Django and of installed apps with catalogues, with their translations."""
    from django.apps import apps

    folders = [Path(django.__file__).parent / "conf"]
    folders += [Path(config.path) for config in apps.get_app_configs() if not _is_ours(config)]
    third_party = Catalog(locale="ru")
    for folder in folders:
        for language in ("en", "ru"):
            path = folder / "locale" / language / "LC_MESSAGES" / "django.po"
            if path.is_file():
                with path.open("rb") as file:
                    for message in entries(read_po(file, locale=language)):
                        third_party.delete(_one(message.id), message.context)
                        third_party[message.id] = message
    return third_party


def wanted() -> Catalog:
    """All messages that the project must translate."""
    from django.apps import apps
    from django.conf import settings

    required = Catalog(locale="ru")
    templates = [Path(folder) for engine in settings.TEMPLATES for folder in engine["DIRS"]]
    for folder in [*(ROOT / name for name in _ours()), *templates]:
        for message, context in extracted(folder):
            required.add(message, context=context)
    for label in field_labels():
        required.add(label)

    third_party = third_party_messages()
    for message in entries(third_party):
        if not _is_translated(message):
            required.add(message.id, context=message.context)
    for config in apps.get_app_configs():
        folder = Path(config.path)
        if not _is_ours(config) and not (folder / "locale").is_dir():
            # Folders called contrib are apps of their own.
            for message, context in extracted(folder, without=("contrib",)):
                other = third_party.get(_one(message), context)
                if message and not (other and _is_translated(other)):
                    required.add(message, context=context)
    return required


def written() -> Catalog:
    """The catalogue in the repository."""
    if not PO.is_file():
        return Russian()
    with PO.open("rb") as file:
        return read_po(file, locale="ru")


def merged(current: Catalog, required: Catalog) -> Russian:
    """The required messages with their translations, and the other messages that may stay."""
    third_party = third_party_messages()
    result = Russian()
    for message in entries(required):
        old = current.get(_one(message.id), message.context)
        same = old is not None and bool(old.pluralizable) == bool(message.pluralizable)
        result.add(
            message.id,
            old.string if same else "",
            flags={"fuzzy"} if old and old.fuzzy else (),
            user_comments=old.user_comments if old else (),
            context=message.context,
        )
    for message in entries(current):
        name = (_one(message.id), message.context)
        if _is_translated(message) and not result.get(*name) and third_party.get(*name):
            result[message.id] = message
    return result


def po_bytes(catalog: Catalog) -> bytes:
    file = io.BytesIO()
    write_po(file, catalog, width=100, no_location=True, sort_output=True, ignore_obsolete=True)
    return file.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def faults(message: Message) -> Iterator[str]:
    """The faults of one translation."""
    if not _is_translated(message):
        yield "is not translated"
        return
    if message.fuzzy:
        yield "is marked as fuzzy"
    source = message.id[-1] if message.pluralizable else message.id
    for string in _strings(message):
        if set(PLACEHOLDER.findall(string)) != set(PLACEHOLDER.findall(source)):
            yield f"has other placeholders or tags in {string!r}"
        if source.endswith(ENDINGS) != string.endswith(ENDINGS):
            yield f"ends otherwise than {string!r}"


def problems() -> list[str]:
    """One line for each problem. Writes nothing."""
    required, current = wanted(), written()
    lines = [
        f"{_name(message)} is missing from {PO.name}"
        for message in entries(required)
        if not current.get(_one(message.id), message.context)
    ]
    for message in entries(current):
        lines += [f"{_name(message)} {fault}" for fault in faults(message)]
    kept = merged(current, required)
    lines += [
        f"{_name(message)} is used nowhere"
        for message in entries(current)
        if not kept.get(_one(message.id), message.context)
    ]
    if not lines and PO.read_bytes() != po_bytes(kept):
        lines.append(f"{PO.name} is not in the form that `make messages` gives it")
    if not MO.is_file() or MO.read_bytes() != mo_bytes(kept):
        lines.append(f"{MO.name} is not in step with {PO.name}: run `make messages`")
    return lines


def _ours() -> tuple[str, ...]:
    from ebalance.db.apps import PROJECT_APPS

    return ("ebalance", *PROJECT_APPS)


def _is_ours(config) -> bool:
    return config.name.split(".")[0] in _ours()


def _strings(message: Message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple) else (message.string,)


def _is_translated(message: Message) -> bool:
    return all(_strings(message))


def _one(message: str | tuple | list) -> str:
    return message if isinstance(message, str) else message[0]


def _name(message: Message) -> str:
    name = repr(_one(message.id))
    return f"{name} of {message.context}" if message.context else name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on a problem")
    options = parser.parse_args()
    if not options.check:
        catalog = merged(written(), wanted())
        PO.parent.mkdir(parents=True, exist_ok=True)
        PO.write_bytes(po_bytes(catalog))
        MO.write_bytes(mo_bytes(catalog))
        print(f"{len(catalog)} messages in {PO.relative_to(ROOT)}")
    lines = problems()
    print("".join(f"{line}\n" for line in lines), end="")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")
    django.setup()
    sys.exit(main())
