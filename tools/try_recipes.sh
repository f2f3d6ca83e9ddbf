#!/bin/sh
# Follow recipes of CONTRIBUTING.md in a fresh clone: a column (services.languages), a status (leads:
# on_hold), then NOT NULL, an index and its removal. Runs the checks of each step, and prints the
# changed files of the first two. Exits 1 at the first failed check. The clone has the last commit, and uses .venv of this checkout if there is one.
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

# Complete the docstring of a written migration.
docstring() { # FILE TEXT
    .venv/bin/python - "$@" <<'PYTHON'
import sys
from pathlib import Path

path, text = Path(sys.argv[1]), sys.argv[2]
_before, skeleton, code = path.read_text(encoding="utf-8").split('"""', 2)
if "TODO" not in skeleton:
    sys.exit(f"{path}: makemigrations wrote no docstring to complete")
path.write_text(f'"""{text}\n"""{code}', encoding="utf-8")
PYTHON
}

# The checks of "Write a migration".
check_migration() { # FILE OPERATION…
    target format
    file=$1
    shift
    for operation in "$@"; do
        grep -q "$operation(" "$file" || { echo "$file: no $operation" >&2 && exit 1; }
    done
    manage makemigrations --check --dry-run
    .venv/bin/python tools/squawk.py
    check tests/db/test_migration_files.py
    check tests/runner/test_releases.py -k note
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
made=$(echo booking/migrations/*_service_languages.py)
docstring "$made" "The languages of a session, in the audit log.

Rollback note: run \`ALTER TABLE services DROP COLUMN languages\` after the audit triggers of the
previous release; the languages of all services are lost."
check_migration "$made" AddField AddCheck AddTrigger

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

step "status 2: the migration"
manage makemigrations crm --name lead_on_hold
made=$(echo crm/migrations/*_lead_on_hold.py)
docstring "$made" "Leads may be on hold.

Rollback note: run \`UPDATE leads SET status = 'follow_up_needed' WHERE status = 'on_hold'\`; it is
lost which leads were on hold."
check_migration "$made" ReplaceCheck
manage schema --write
check tests/db/test_schema_listing.py

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

# ---- NOT NULL, an index and its removal: their migrations --------------------------------------

step "NOT NULL"
manage makemigrations booking --empty --name fill_languages
made=$(echo booking/migrations/*_fill_languages.py)
docstring "$made" "Fill the languages of services.

Rollback note: run \`UPDATE services SET languages = NULL\`; the languages are lost."
edit "$made" 'from django.db import migrations' 'from django.db import migrations

from ebalance.db.operations import Backfill'
edit "$made" 'operations = [
' "operations = [
        Backfill(\"services\", set=\"languages = 'ru'\", where=\"languages IS NULL\"),
"
check_migration "$made" Backfill
edit booking/models/services.py '        null=True,
        blank=True,
        db_comment=p0("languages' '        db_comment=p0("languages'
manage makemigrations booking --name languages_required
made=$(echo booking/migrations/*_languages_required.py)
docstring "$made" "Each service has languages.

Rollback note: run \`ALTER TABLE services ALTER languages DROP NOT NULL\`; nothing is lost."
check_migration "$made" SetNotNull

step "an index"
edit booking/models/services.py '        indexes = [' '        indexes = [
            rules.Index("services_by_price", "price_amount", serves="the list by price"),'
manage makemigrations booking --name services_by_price
made=$(echo booking/migrations/*_services_by_price.py)
docstring "$made" "The list of services by price.

Rollback note: run \`DROP INDEX CONCURRENTLY services_by_price\`; nothing is lost."
check_migration "$made" AddIndexConcurrently

step "a dropped index"
edit booking/models/services.py '
            rules.Index("services_by_price", "price_amount", serves="the list by price"),' ''
manage makemigrations booking --name no_list_by_price | tee output
grep "Check its Contract" output
made=$(echo booking/migrations/*_no_list_by_price.py)
docstring "$made" "No list of services by price.

Rollback note: run \`CREATE INDEX CONCURRENTLY services_by_price ON services (price_amount)\`; nothing
is lost."
check_migration "$made" Contract RemoveIndexConcurrently
