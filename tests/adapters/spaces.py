"""Random small spaces with conditions and repetition."""

from collections.abc import Sequence

from hypothesis import strategies as st

from codesign.space import Item, Parameter, Repeat, SearchSpace, When, categorical, integer, ordinal, real


@st.composite
def parameters(draw: st.DrawFn, name: str, floats: bool) -> Parameter:
    kind = draw(
        st.sampled_from(("integer", "ordinal", "names", "flag", "one", *(["float"] if floats else [])))
    )
    if kind == "integer":
        low, step = draw(st.integers(-2, 2)), draw(st.integers(1, 3))
        return integer(name, low, low + step * draw(st.integers(1, 2)), step=step)
    if kind == "ordinal":
        return ordinal(name, draw(st.sampled_from(((1, 2, 5), (0.5, 2.0), (4, 8, 64), (-1, 0)))))
    if kind == "names":
        return categorical(name, draw(st.sampled_from((("a", "b"), ("x", "y", "1"), ("z",)))))
    if kind == "float":
        return real(name, 0.01, 1.0, levels=draw(st.integers(2, 4)), log=draw(st.booleans()))
    return categorical(name, (False, True)) if kind == "flag" else integer(name, 3, 3)


@st.composite
def _items(
    draw: st.DrawFn, names: list[str], around: Sequence[Parameter], depth: int, rich: bool, floats: bool
) -> list[Item]:
    items: list[Item] = []
    parents = list(around)
    for _ in range(draw(st.integers(1, 3 if depth == 0 else 2))):
        kind = draw(st.sampled_from(("parameter", "when", "repeat")))
        if kind == "when" and parents and depth < 3:
            parent = draw(st.sampled_from(parents))
            most = len(parent.values) if rich else 1
            values = draw(st.lists(st.sampled_from(parent.values), min_size=1, max_size=most, unique=True))
            inner = draw(_items(names, parents, depth + 1, rich, floats))
            items.append(When(parent.name, tuple(values), tuple(inner)))
            continue
        name = f"p{len(names)}"
        names.append(name)
        if kind == "repeat" and rich and depth < 2:
            first = draw(parameters(f"{name}a", floats))
            value = draw(st.sampled_from(first.values))
            second = When(first.name, (value,), (draw(parameters(f"{name}b", floats)),))
            low = draw(st.integers(0, 1))
            group = Repeat(
                name, (first, second)[: draw(st.integers(1, 2))], low, low + draw(st.integers(0, 1))
            )
            items.append(group)
            parents.append(group.count)
        else:
            made = draw(parameters(name, floats))
            items.append(made)
            parents.append(made)
    return items


@st.composite
def spaces(draw: st.DrawFn, *, rich: bool = True, floats: bool = True, most: int = 600) -> SearchSpace:
    """At most ``most`` candidates; ``rich``: groups that repeat, and conditions on several values."""
    space = SearchSpace("drawn", tuple(draw(_items([], (), 0, rich, floats))))
    while space.bound > most:
        space = SearchSpace("drawn", space.items[:-1])
    return space


def same(one: SearchSpace, other: SearchSpace) -> bool:
    """Whether two spaces have the same candidates."""
    return one.count() == other.count() and set(one.enumerate()) == set(other.enumerate())
