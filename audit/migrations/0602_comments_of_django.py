"""Comments, with their privacy class, on the tables that Django brings along.

Rollback note: nothing to do and nothing lost; the comments stay.
"""

from django.db import migrations

TABLES = {
    "auth_group": ("Django's groups; not used, roles grant access", {"id": "key", "name": "name"}),
    "auth_group_permissions": (
        "Permissions of groups; not used",
        {"id": "key", "group_id": "group", "permission_id": "permission"},
    ),
    "auth_permission": (
        "Names of permissions; roles decide who has them",
        {"id": "key", "name": "label", "content_type_id": "model", "codename": "code"},
    ),
    "django_admin_log": (
        "What was done in admin: keys and names of fields, never names or values",
        {
            "id": "key",
            "action_time": "when, UTC",
            "object_id": "key of the row",
            "object_repr": "key of the row once more, never its text",
            "action_flag": "1 added, 2 changed, 3 deleted",
            "change_message": "names of the changed fields, JSON",
            "content_type_id": "model of the row",
            "user_id": "who",
        },
    ),
    "django_content_type": (
        "Names of models",
        {"id": "key", "app_label": "app", "model": "model"},
    ),
    "django_migrations": (
        "Applied migrations",
        {"id": "key", "app": "app", "name": "migration", "applied": "when, UTC"},
    ),
    "django_session": (
        "Sessions of admin",
        {"expire_date": "end of validity, UTC"},
    ),
}
PERSONAL = {
    ("django_session", "session_key"): "secret that identifies a browser",
    ("django_session", "session_data"): "who is signed in, signed",
}


def comments():
    def quoted(text):
        return "'" + text.replace("'", "''") + "'"

    for table, (meaning, columns) in TABLES.items():
        yield f"COMMENT ON TABLE public.{table} IS {quoted(meaning)}"
        for column, text in columns.items():
            yield f"COMMENT ON COLUMN public.{table}.{column} IS {quoted('P0 · ' + text)}"
    for (table, column), text in PERSONAL.items():
        yield f"COMMENT ON COLUMN public.{table}.{column} IS {quoted('P1 · ' + text)}"


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0601_audit"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions", "0001_initial"),
    ]
    operations = [migrations.RunSQL([("; ".join(comments()), None)], migrations.RunSQL.noop)]
