"""The declarations of tables that the project does not define: Django's own.

The migration audit.0602 wrote their comments. A column that a later version of Django adds needs a
line in this module and a migration with its comment.
"""

from dataclasses import dataclass

from .classification import DELETE, Classified, by_staff, p0, p1
from .retention import Retention, goes_with, kept, purged, until


@dataclass(frozen=True)
class Declared:
    """A table's meaning (its comment in the database), its columns and their retention."""

    meaning: str
    columns: dict[str, Classified]
    retention: Retention


TABLES = {
    "auth_group": Declared(
        "Django's groups; not used, roles grant access",
        {"id": p0("key"), "name": p0("name")},
        kept("empty"),
    ),
    "auth_group_permissions": Declared(
        "Permissions of groups; not used",
        {"id": p0("key"), "group_id": p0("group"), "permission_id": p0("permission")},
        goes_with("group"),
    ),
    "auth_permission": Declared(
        "Names of permissions; roles decide who has them",
        {
            "id": p0("key"),
            "name": p0("label"),
            "content_type_id": p0("model"),
            "codename": p0("code"),
        },
        kept("as long as the code names it"),
    ),
    "django_admin_log": Declared(
        "Actions in admin: keys and names of fields, never names or values",
        {
            "id": p0("key"),
            "action_time": p0("when, UTC"),
            "object_id": p0("key of the row"),
            "object_repr": p0("key of the row once more, never its text"),
            "action_flag": p0("1 added, 2 changed, 3 deleted"),
            "change_message": p0("names of the changed fields, JSON"),
            "content_type_id": p0("model of the row"),
            "user_id": by_staff("who"),
        },
        purged("3 years", after="action_time"),  # as the audit log
    ),
    "django_content_type": Declared(
        "Names of models",
        {"id": p0("key"), "app_label": p0("app"), "model": p0("model")},
        kept("as long as the code names it"),
    ),
    "django_migrations": Declared(
        "Applied migrations",
        {
            "id": p0("key"),
            "app": p0("app"),
            "name": p0("migration"),
            "applied": p0("when, UTC"),
        },
        kept("as the history of the schema"),
    ),
    # Secrets of a browser, which sign in: they are not exported.
    "django_session": Declared(
        "Sessions of admin",
        {
            "session_key": p1("secret that identifies a browser", erasure=DELETE, export=False),
            "session_data": p1("who is signed in, signed", erasure=DELETE, export=False),
            "expire_date": p0("end of validity, UTC"),
        },
        until("expire_date"),
    ),
}
