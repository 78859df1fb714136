"""Tables of a guide that a script writes: between ``<!-- NAME: command -->`` and ``<!-- end of NAME -->``."""

from collections.abc import Sequence

from codesign.errors import DataError

__all__ = ["with_section"]


def with_section(text: str, name: str, lines: Sequence[str]) -> str:
    """The guide with the section of that name made anew; ``DataError`` if it has none."""
    begin, end = f"<!-- {name}: ", f"<!-- end of {name} -->"
    if begin not in text or end not in text:
        raise DataError(f"the guide has no lines {begin!r} and {end!r} to write between")
    head, rest = text.split(begin, 1)
    comment, rest = rest.split("\n", 1)
    tail = rest.split(end, 1)[1]
    return "\n".join([f"{head}{begin}{comment}", "", *lines, "", f"{end}{tail}"])
