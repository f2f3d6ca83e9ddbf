"""Records refused pages in the audit log (access.md §3)."""

from __future__ import annotations

from uuid import UUID

from django.contrib.admin.utils import unquote
from django.db import models
from django.http import HttpRequest

from audit.services import record_entry

NO_TABLE = "admin_page"  # recorded for pages without a table


def refused(request: HttpRequest, model: type[models.Model] | None = None) -> None:
    """Record that a logged-in user requested a page that their roles do not allow.

    The entry has the name of the page and the UUID of the row. The rest of the address is not
    stored, since a user can type anything there.
    """
    match = request.resolver_match
    named = match.kwargs if match else {}
    key = uuid_in(named.get("object_id") or named.get("id"))
    record_entry(
        "access_refused",
        model(pk=key) if model and key else None,
        entity_type=model._meta.db_table if model else NO_TABLE,
        values={"page": match and match.url_name, "is_post": request.method == "POST"},
    )


def uuid_in(text: object) -> UUID | None:
    try:
        return UUID(unquote(str(text)))
    except ValueError:
        return None
