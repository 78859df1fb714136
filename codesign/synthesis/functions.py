"""Functions of Liberty: ``!(A&B)``, ``(A' B) + C``, ``A^B`` evaluated on bits or words of bits.

Precedence, from the tightest: ``'`` and ``!``; ``^``; ``&``, ``*`` or a space; ``+`` or ``|`` (Liberty
Reference Manual, ``function``).
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from codesign.errors import ConfigError

__all__ = ["compiled", "evaluated", "variables"]

_TOKEN: Final = re.compile(r"\s*([A-Za-z_]\w*(?:\[\d+\])?|[01]|[!'^&*+|()])")
Node = tuple[Any, ...]
"""``("var", name)``, ``("const", 0 or 1)``, ``("!", node)``, or ``(operator, node, node)`` of ``^ & |``."""


@lru_cache(maxsize=4096)
def compiled(function: str) -> Node:
    """The function as a tree; raise ``ConfigError`` for what is no function."""
    tokens = list(_tokens(function))
    node, at = _either(tokens, 0, function)
    if at != len(tokens):
        raise _wrong(function)
    return node


def variables(function: str) -> tuple[str, ...]:
    """Names in a function, each once, sorted."""
    found = set()
    waiting = [compiled(function)]
    while waiting:
        node = waiting.pop()
        if node[0] == "var":
            found.add(str(node[1]))
        else:
            waiting.extend(part for part in node[1:] if isinstance(part, tuple))
    return tuple(sorted(found))


def evaluated(function: str, values: Mapping[str, int]) -> int:
    """The function of single bits.

    Examples
    --------
    >>> evaluated("!(A B) + C^1", {"A": 1, "B": 1, "C": 0})
    1
    """

    def value(node: Node) -> int:
        match node:
            case ("var", name):
                return values[name]
            case ("const", bit):
                return int(bit)
            case ("!", part):
                return 1 - value(part)
            case ("&", first, second):
                return value(first) & value(second)
            case ("|", first, second):
                return value(first) | value(second)
        return value(node[1]) ^ value(node[2])

    return value(compiled(function))


def _tokens(function: str) -> Iterator[str]:
    at = 0
    words = function.strip()
    while at < len(words):
        found = _TOKEN.match(words, at)
        if found is None:
            raise _wrong(function)
        at = found.end()
        yield found[1]


def _either(tokens: list[str], at: int, function: str) -> tuple[Node, int]:
    node, at = _both(tokens, at, function)
    while at < len(tokens) and tokens[at] in "+|":
        other, at = _both(tokens, at + 1, function)
        node = ("|", node, other)
    return node, at


def _both(tokens: list[str], at: int, function: str) -> tuple[Node, int]:
    node, at = _differing(tokens, at, function)
    while at < len(tokens) and tokens[at] not in "+|)":
        other, at = _differing(tokens, at + (tokens[at] in "&*"), function)
        node = ("&", node, other)
    return node, at


def _differing(tokens: list[str], at: int, function: str) -> tuple[Node, int]:
    node, at = _single(tokens, at, function)
    while at < len(tokens) and tokens[at] == "^":
        other, at = _single(tokens, at + 1, function)
        node = ("^", node, other)
    return node, at


def _single(tokens: list[str], at: int, function: str) -> tuple[Node, int]:
    if at >= len(tokens):
        raise _wrong(function)
    word = tokens[at]
    node: Node
    if word == "!":
        node, at = _single(tokens, at + 1, function)
        return ("!", node), at
    if word == "(":
        node, at = _either(tokens, at + 1, function)
        if at >= len(tokens) or tokens[at] != ")":
            raise _wrong(function)
    elif word in "01":
        node = ("const", int(word))
    elif word[0].isalpha() or word[0] == "_":
        node = ("var", word)
    else:
        raise _wrong(function)
    at += 1
    while at < len(tokens) and tokens[at] == "'":
        node, at = ("!", node), at + 1
    return node, at


def _wrong(function: str) -> ConfigError:
    return ConfigError(f"{function!r} is no function of a Liberty cell, as '!(A & B) | C'")
