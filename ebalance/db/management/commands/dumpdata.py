import contextlib
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import dumpdata
from django.db import models

from ebalance.db.schema.data_map import is_personal
from ebalance.db.views import View


class Command(dumpdata.Command):
    """dumpdata that leaves personal columns out, sealed ones included, unless asked for them."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--with-personal-data",
            action="store_true",
            help="Put columns of class P1 and P2 in. The output is then as sensitive as the "
            "database itself.",
        )

    def handle(self, *labels: str, **options: Any) -> None:
        # A view's rows are those of tables, and nothing can be loaded into it.
        views = [model._meta.label for model in apps.get_models() if issubclass(model, View)]
        options["exclude"] = [*options["exclude"], *views]
        if options["with_personal_data"]:
            super().handle(*labels, **options)
            return
        if options["use_natural_foreign_keys"] or options["use_natural_primary_keys"]:
            raise CommandError(
                "Natural keys of people are their e-mail addresses: --natural-foreign and "
                "--natural-primary need --with-personal-data."
            )
        # A key cannot be left out, so tables with a personal key are.
        rows = [m for m in apps.get_models() if is_personal(m._meta.pk)]
        columns = [
            f
            for model in apps.get_models()
            if model not in rows
            for f in model._meta.local_fields
            if is_personal(f)
        ]
        options["exclude"] = [*options["exclude"], *(model._meta.label for model in rows)]
        with _not_serialized(columns):
            super().handle(*labels, **options)
        names = [m._meta.db_table for m in rows if _is_dumped(m, labels)]
        names += [
            f"{f.model._meta.db_table}.{f.column}" for f in columns if _is_dumped(f.model, labels)
        ]
        if names and options["verbosity"]:
            self.stderr.write(
                f"Left out as personal: {', '.join(sorted(names))}. "
                "--with-personal-data puts them in."
            )


@contextlib.contextmanager
def _not_serialized(columns: list[Any]) -> Iterator[None]:
    """Exclude columns from serializers, which have no option for columns of several models."""
    usual = [(field, field.serialize) for field in columns]
    for field in columns:
        field.serialize = False
    try:
        yield
    finally:
        for field, serialize in usual:
            field.serialize = serialize


def _is_dumped(model: type[models.Model], labels: tuple[str, ...]) -> bool:
    chosen = {label.lower() for label in labels}
    return not chosen or bool(chosen & {model._meta.app_label, model._meta.label_lower})
