#!/usr/bin/env python
"""Django's command line. Common errors (no server, wrong address) are printed as one line."""

import os
import sys


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")
    try:
        from ebalance.cli import run
    except ModuleNotFoundError as error:
        if error.name not in {"django", "environ", "psycopg"}:
            raise
        print(f"The package {error.name} is not installed: run `make setup`.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while importing
        return 130
    return run(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
