"""A program that writes while tests/test_rotation.py rotates keys.

Reads rows, mostly those that the rotation is about to move, and saves them, half of them with a new
text. Ends when its input is closed and it has changed enough rows. Prints the last text that it
wrote into each row, as JSON.
"""

from __future__ import annotations

import bisect
import json
import os
import random
import select
import sys
import time

import django

LEAST = 101  # rows


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")
    django.setup()
    from audit.models import KeyRotation
    from crm.models import LeadIdentity, LeadNote
    from ebalance.db.encryption.fields import Plaintext

    dice, last, n = random.Random(1), {}, 0
    ids = {m: sorted(m.objects.values_list("pk", flat=True)) for m in (LeadIdentity, LeadNote)}

    def next_to_move(model):
        """One of the rows after the last batch, else any row."""
        table = KeyRotation.objects.filter(table_name=model._meta.db_table, finished_at=None)
        cursor = table.values_list("cursor", flat=True).first()
        start = bisect.bisect(ids[model], cursor) if cursor else len(ids[model])
        return dice.choice(ids[model][start : start + 30] or ids[model])

    print("writing", flush=True)
    while len(last) < LEAST or not select.select([sys.stdin], [], [], 0)[0]:
        for model, column, text in (
            (LeadIdentity, "email_encrypted", f"new{n}@example.com"),
            (LeadNote, "note_encrypted", f"Новая заметка {n}"),
        ):
            row = model.objects.get(pk=next_to_move(model))
            if dice.random() < 0.3:
                time.sleep(dice.random() / 100)  # a batch may run in between
            if dice.random() < 0.5:
                setattr(row, column, Plaintext(text))
                last[str(row.pk)] = text
            row.save()
        n += 1
    json.dump(last, sys.stdout)


if __name__ == "__main__":
    main()
