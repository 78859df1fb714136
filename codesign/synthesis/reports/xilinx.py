"""Names of Xilinx parts, as Vivado takes them, from the ways its reports spell them."""

import re
from typing import Final

__all__ = ["part_name"]

_PART: Final = re.compile(
    r"(?:xc)?(?P<device>7[aksvz][xh]?\d+(?:ti|t|s|i)?|[kv]u\d+[a-z]?|zu\d+[a-z]{2}|au\d+p|u\d+)"
    r"-?(?P<package>[a-z]{2,4}\d{3,4})(?:-(?P<speed>\d[A-Za-z]*))?(?:-(?P<grade>[a-z]))?"
)


def part_name(stated: str, speed: str | None = None, grade: str | None = None) -> str:
    """Vivado's name of a part; a name of another form is kept.

    Parameters
    ----------
    stated
        As ``7z020clg400-1`` (utilisation), ``xcku3p-ffva676`` (timing) or ``xc7z020-clg400-1`` (HLS).
    speed, grade
        Speed and temperature grade, where the report states them apart.

    Examples
    --------
    >>> part_name("7z020-clg400", "-1"), part_name("xczu7ev-ffvc1156", "-2", "E")
    ('xc7z020clg400-1', 'xczu7ev-ffvc1156-2-e')
    """
    found = _PART.fullmatch(stated.strip())
    if found is None:
        return stated.strip()
    joint = "" if found["device"].startswith("7") else "-"
    grades = (found["speed"] or (speed or "").strip("- "), found["grade"] or (grade or "").lower())
    return "-".join([f"xc{found['device']}{joint}{found['package']}", *(word for word in grades if word)])
