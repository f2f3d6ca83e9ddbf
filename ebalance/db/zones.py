"""Names of time zones: the current name of an old one, and the names that the server knows.

The IANA database renames zones and keeps the old names as links: Asia/Calcutta is Asia/Kolkata now.
Browsers still send the old names, and a distribution may install them separately. The package
tzdata has the links; it may be newer than the zone files of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import connection

from .storable import UNSTORABLE

# Names of zone.tab, and these, are current names even where they are links.
STANDARD = {"UTC", "GMT"}
# Links to a zone that only keeps the same time, mapped to the renamed place itself, as the comments
# of the IANA file `backward` do. US/Pacific-New existed until 2020.
SAME_CITY = {
    "Africa/Asmera": "Africa/Asmara",
    "Africa/Timbuktu": "Africa/Bamako",
    "America/Coral_Harbour": "America/Atikokan",
    "America/Virgin": "America/St_Thomas",
    "Antarctica/South_Pole": "Antarctica/McMurdo",
    "Atlantic/Jan_Mayen": "Europe/Oslo",
    "Iceland": "Atlantic/Reykjavik",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
    "Pacific/Yap": "Pacific/Chuuk",
    "US/Pacific-New": "America/Los_Angeles",
}


@cache
def list_renamed() -> Mapping[str, str]:
    """The current name of each old name."""
    folder = files("tzdata") / "zoneinfo"
    lines = (folder / "tzdata.zi").read_text(encoding="utf-8").splitlines()
    links = {old: current for _l, current, old in (s.split() for s in lines if s[:2] == "L ")}
    rows = (folder / "zone.tab").read_text(encoding="utf-8").splitlines()
    kept = {row.split("\t")[2] for row in rows if not row.startswith("#")} | STANDARD
    return {old: links[old] for old in links.keys() - kept} | SAME_CITY


@cache
def _by_lower_case() -> Mapping[str, str]:
    return {old.lower(): current for old, current in list_renamed().items()}


@cache
def _earlier_names() -> Mapping[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for old, current in sorted(list_renamed().items()):
        names[current.lower()] = (*names.get(current.lower(), ()), old)
    return names


def is_old_name(name: str) -> bool:
    return name.lower() in _by_lower_case()


def list_names(name: str) -> list[str]:
    """The names to try for the zone ``name``: its current name, ``name``, other old names."""
    current = _by_lower_case().get(name.lower(), name)
    return [*dict.fromkeys([current, name, *_earlier_names().get(current.lower(), ())])]


def find_zone(name: object) -> str | None:
    """The name under which the zone is stored: its current one, else one that the server knows.

    The case of letters does not matter. None if the server knows no name of the zone.
    """
    if not isinstance(name, str) or not name or UNSTORABLE.search(name):
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT public.find_time_zone(%s::text[])", [list_names(name)])
        (known,) = cursor.fetchone()
    return known


def is_unknown(name: str) -> bool:
    """Whether the name has the form of a zone's, but the server does not know it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT public.is_zone_form(%s) AND NOT public.is_time_zone(%s)", [name, name]
        )
        (unknown,) = cursor.fetchone()
    return unknown


def renew_name(name: str) -> str:
    """The name with which the zone of a stored row is copied or published.

    Asks the server only about old names. A name that nobody knows stays as it is.
    """
    return (find_zone(name) or name) if is_old_name(name) else name


def get_zone_info(name: str) -> ZoneInfo:
    """The zone under any of its names. Raises ZoneInfoNotFoundError."""
    for spelling in list_names(name):
        try:
            return ZoneInfo(spelling)
        except (LookupError, ValueError, OSError):
            continue
    raise ZoneInfoNotFoundError(name)
