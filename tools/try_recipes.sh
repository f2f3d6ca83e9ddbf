#!/bin/sh
# Follow two recipes of CONTRIBUTING.md in a fresh clone: a column (services.languages) and a status
# (leads: on_hold). Runs the checks of each step, then prints the changed files. Exits 1 at the first
# failed check. The clone has the last commit, and uses .venv of this checkout if there is one.
#
#     sh tools/try_recipes.sh [FOLDER]      # FOLDER keeps the clone; otherwise it is temporary
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -gt 0 ]; then
    clone=$1
else
    parent=$(mktemp -d "${TMPDIR:-/tmp}/ebalance-recipes-XXXXXX")
    # The user of the bundled server must be able to read it.
    chmod 755 "$parent"
    clone=$parent/clone
    trap 'rm -rf "$parent"' EXIT
fi
unset DATABASE_URL EBALANCE_DATA_DIR
git clone --quiet "$root" "$clone"
cd "$clone"
if [ -x "$root/.venv/bin/python" ]; then
    ln -s "$root/.venv" .venv
    target() { make --old-file=setup --no-print-directory "$@"; }
else
    target() { make --no-print-directory "$@"; }
    make setup
fi
echo "/.venv" >>.git/info/exclude
manage() { .venv/bin/python manage.py "$@"; }
check() { .venv/bin/python -m pytest -q -n 2 "$@"; }
step() { printf '\n== %s\n' "$1"; }

# Replace OLD by NEW in FILE. Fails unless OLD occurs exactly once.
edit() { # FILE OLD NEW
    .venv/bin/python - "$@" <<'PYTHON'
import sys
from pathlib import Path

path, old, new = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
text = path.read_text(encoding="utf-8")
if text.count(old) != 1:
    sys.exit(f"{path}: found {text.count(old)} times, not once: {old!r}")
path.write_text(text.replace(old, new), encoding="utf-8")
PYTHON
}

# Replace the first comment of a generated migration by a docstring.
docstring() { # FILE TEXT
    .venv/bin/python - "$@" <<'PYTHON'
import sys
from pathlib import Path

path, text = Path(sys.argv[1]), sys.argv[2]
_comment, _newline, code = path.read_text(encoding="utf-8").partition("\n")
path.write_text(f'"""{text}\n"""\n{code}', encoding="utf-8")
PYTHON
}

translate() { # TEXT RUSSIAN
    target messages >/dev/null 2>&1 || true # fails: it names the text without Russian
    edit locale/ru/LC_MESSAGES/django.po "msgid \"$1\"
msgstr \"\"" "msgid \"$1\"
msgstr \"$2\""
    target messages
}

commit_changes() {
    git add --all
    git diff --cached --name-only | sed 's/^/  /'
    git -c user.name=recipe -c user.email=recipe@localhost commit --quiet --message "$1"
}

# ---- Add a column ------------------------------------------------------------------------------

step "column 1: the field"
edit booking/models/services.py '    status = ClosedSet(
        PublicationStatus' '    languages = SingleLineTextField(
        max_length=lengths.TITLE,
        null=True,
        blank=True,
        db_comment=p0("languages of a session, in words"),
    )
    status = ClosedSet(
        PublicationStatus'
edit booking/models/services.py '    "reschedule_max_count",
)' '    "reschedule_max_count",
    "languages",
)'
manage check

step "column 2: the migration"
manage makemigrations booking --name service_languages
docstring booking/migrations/*_service_languages.py "The languages of a session, in the audit log.

Rollback note: unapplying drops the languages of all services."
target format
manage makemigrations --check --dry-run
check tests/db/test_migration_files.py

step "column 3: the data model"
edit tests/db/data_model.txt 'reschedule_max_count  int?
' 'reschedule_max_count  int?
languages             text?
'
check tests/db/test_data_model.py tests/db/test_classification.py
edit tests/db/test_texts.py 'r"title|seo_title' 'r"languages|title|seo_title'
edit tests/db/test_texts.py '    ("services", "offline_address"),' '    ("services", "languages"),
    ("services", "offline_address"),'
check tests/db/test_texts.py

step "column 4: the data dictionary and the schema"
manage data_dictionary
manage schema --write
check tests/db/test_data_dictionary.py tests/db/test_schema_listing.py

step "column 5: the translation"
translate languages языки
check tests/test_messages.py

step "column 6: the audit log"
edit tests/audit/audit_cases.py '    service("on offer", status="published"),' '    service("languages", languages="ru, en"),
    service("on offer", status="published"),'
edit tests/audit/audit_cases.py '    "reschedule_max_count",
    "status",' '    "reschedule_max_count",
    "languages",
    "status",'
check tests/audit/test_capture.py

step "files that the column changed"
commit_changes "Add the languages of a service"

# ---- Add a status ------------------------------------------------------------------------------

step "status 1: the member"
edit crm/models/leads.py '        INACTIVE = "inactive", _("inactive")' '        ON_HOLD = "on_hold", _("on hold")
        INACTIVE = "inactive", _("inactive")'
edit crm/models/leads.py 'STAFF_STATUSES = ("follow_up_needed", "inactive")' 'STAFF_STATUSES = ("follow_up_needed", "on_hold", "inactive")'
manage check

step "status 2: the migrations"
manage makemigrations crm --name lead_on_hold
made=$(echo crm/migrations/*_lead_on_hold.py)
docstring "$made" "Leads may be on hold.

Rollback note: set status to follow_up_needed where it is on_hold; the difference is lost."
edit "$made" 'from django.db import migrations, models' 'from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models'
edit "$made" 'migrations.AddConstraint(' 'AddConstraintNotValid('
name=$(basename "$made" .py)
number=$(printf '%04d' $((1${name%%_*} - 10000 + 1)))
cat >"crm/migrations/${number}_lead_on_hold_valid.py" <<MIGRATION
"""Check the rows that existed before leads could be on hold.

Rollback note: nothing is undone; the constraint stays as it is.
"""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("crm", "$name")]

    operations = [ValidateConstraint("lead", "leads_status_in_set")]
MIGRATION
target format
manage makemigrations --check --dry-run
check tests/db/test_migration_files.py

step "status 3: the data model"
edit tests/db/data_model.txt 'completed_session follow_up_needed inactive}' 'completed_session follow_up_needed on_hold inactive}'
check tests/db/test_data_model.py tests/test_states.py tests/crm/test_merged_leads.py

step "status 4: the translation"
translate "on hold" "отложен"
check tests/test_messages.py

step "files that the status changed"
commit_changes "Let leads be on hold"

step "conventions of all tables"
check -m "not slow" tests/db/test_conventions.py tests/test_every_rule.py
target lint
