"""Functions of Liberty evaluate as Python does, with Liberty's precedence."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ConfigError
from codesign.synthesis.functions import evaluated, variables

NAMES = ("A", "B1", "_c", "D[0]")
LEVELS = {"or": 0, "and": 1, "xor": 2, "not": 3, "leaf": 4}
"""How tight a form of Liberty binds."""

Form = tuple[str, str, int]
"""Text of Liberty, fully bracketed text of Python, and how tight the former binds."""


def bracketed(form: Form, level: int) -> str:
    return form[0] if form[2] >= level else f"({form[0]})"


@st.composite
def joined(draw: st.DrawFn, parts: st.SearchStrategy[Form]) -> Form:
    kind, signs, python = draw(
        st.sampled_from(
            [("or", ("+", " | "), "|"), ("and", ("&", " * ", " "), "&"), ("xor", ("^", " ^ "), "^")]
        )
    )
    first, second, level = draw(parts), draw(parts), LEVELS[kind]
    text = bracketed(first, level) + draw(st.sampled_from(signs)) + bracketed(second, level + 1)
    return text, f"({first[1]} {python} {second[1]})", level


@st.composite
def inverted(draw: st.DrawFn, parts: st.SearchStrategy[Form]) -> Form:
    part = draw(parts)
    inner = bracketed(part, LEVELS["leaf"])
    text = draw(st.sampled_from([f"!{inner}", f"{inner}'", f"! {inner}"]))
    return text, f"(1 - {part[1]})", LEVELS["not"]


leaves = st.sampled_from([*((name, f"v[{name!r}]", 4) for name in NAMES), ("0", "0", 4), ("1", "1", 4)])
forms = st.recursive(leaves, lambda parts: joined(parts) | inverted(parts), max_leaves=12)


@given(forms)
def test_truth_tables_are_pythons(form: Form) -> None:
    text, python, _ = form
    for bits in product((0, 1), repeat=len(NAMES)):
        values = dict(zip(NAMES, bits, strict=True))
        assert evaluated(text, values) == eval(python, {"v": values})
    assert variables(text) == tuple(name for name in sorted(NAMES) if f"v[{name!r}]" in python)


@pytest.mark.parametrize(
    "text", ["", "A &", "& A", "(A", "A)", "A # B", "!", "'A", "A + + B", "A ^", "()", "2"]
)
def test_what_is_no_function_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is no function of a Liberty cell, as '!\(A & B\) \| C'"):
        variables(text)
