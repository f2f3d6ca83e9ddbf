"""Bulk writes of rows that may have sealed columns."""

from django.db import models, transaction

from .encryption.fields import SealedField, UnsealedValue
from .encryption.protected import protected_fields
from .encryption.rows import ready_to_save, together


class EntityQuerySet[Row: models.Model](models.QuerySet[Row]):
    """Bulk writes that seal row by row, or refuse (privacy.md §2)."""

    def update(self, **values):
        """Raises UnsealedValue for a protected column, unless the value is NULL."""
        for field in protected_fields(self.model):
            if field.name not in values:
                continue
            # bulk_update() calls this method with an expression, which has one value per row.
            if not (values[field.name] is None or field.is_bulk_update(values[field.name])):
                del values
                raise UnsealedValue(
                    f"{field.qualified_name} is written row by row: use save() or bulk_update()."
                )
            if values[field.name] is None and isinstance(field, SealedField):
                values |= {index.name: None for index in field.indexes}
        written = [name for name, value in values.items() if value is not None]
        if left_out := set(together(self.model, written)) - values.keys():
            del values
            raise UnsealedValue(f"{', '.join(left_out)} would not fit any more: use save().")
        return self._update_checked(values)

    def _update_checked(self, values):
        """Check payloads against the changed columns, such as the status of a form."""
        fields = [
            field
            for field in protected_fields(self.model)
            if isinstance(field, SealedField) and field.name not in values
            if not values.keys().isdisjoint(field.checked_by)
        ]
        if not fields:
            return super().update(**values)
        with transaction.atomic(using=self.db):
            for row in self.select_for_update(of=("self",), no_key=True):
                for field in fields:
                    changed = {n: v for n, v in values.items() if n in field.checked_by}
                    field.check_payload(row, changed)
            return super().update(**values)

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_update(self, objs, fields, batch_size=None):
        objs, fields = tuple(objs), [*fields]
        for instance in objs:
            fields += ready_to_save(instance)
        return super().bulk_update(objs, together(self.model, fields), batch_size)

    bulk_update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(
        self,
        objs,
        batch_size=None,
        ignore_conflicts=False,
        update_conflicts=False,
        update_fields=None,
        unique_fields=None,
    ):
        objs = [*objs]
        for instance in objs:
            if instance.pk is not None:
                ready_to_save(instance)
        if update_fields:
            update_fields = together(self.model, update_fields)
            sealed = {f.name for f in protected_fields(self.model)} & {*update_fields}
            by_key = {*(unique_fields or ())} <= {"pk", self.model._meta.pk.name}
            if sealed and not by_key:
                raise UnsealedValue(
                    f"{self.model._meta.db_table}: a value sealed for a new row does not open "
                    "in the row that it meets; only a conflict of keys can update sealed columns."
                )
        return super().bulk_create(
            objs, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields
        )

    bulk_create.alters_data = True  # type: ignore[attr-defined]
