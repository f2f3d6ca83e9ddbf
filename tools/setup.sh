#!/bin/sh
# Find Python 3.12 or newer with the modules of a virtual environment, and run tools/setup.py with it.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
# The environment is usually up to date: then no other Python is needed.
if [ -x "$here/../.venv/bin/python" ] && "$here/../.venv/bin/python" -I "$here/setup.py" --check 2>/dev/null; then
    exit 0
fi

check='import sys
if sys.version_info < (3, 12): sys.exit(1)
import ensurepip, ssl, venv
print(getattr(sys, "_base_executable", sys.executable) or sys.executable)'

old=
for candidate in "${PYTHON3:-}" python3.13 python3.14 python3.12 python3 python \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[24]*/bin/python3 \
    /opt/homebrew/bin/python3 /usr/local/bin/python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    if found=$("$candidate" -c "$check" 2>/dev/null) && [ -n "$found" ]; then
        exec "$found" "$here/setup.py" "$@"
    fi
    old="$old $candidate"
done
if [ -n "$old" ]; then
    echo "Python 3.12 or newer with the modules venv and ensurepip is needed; found only:$old." >&2
else
    echo "Python 3.12 or newer is needed, and no Python was found." >&2
fi
echo "Install it (on Debian and Ubuntu: python3 and python3-venv), or name one: make setup PYTHON3=/path/to/python3" >&2
exit 1
