"""Tiles take turns that are long enough to search in, spread over the numbers of layers."""

from collections import Counter
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from codesign.optimisers.grid_bo import TURN, _by_turn, _spread
from codesign.optimisers.proposing import START

tilings = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(
    lambda sizes: list(product(*map(range, sizes)))
)


@given(tilings, st.data())
def test_each_tile_comes_once_the_farthest_first(tiles: list[tuple[int, ...]], data: st.DataObject) -> None:
    first = data.draw(st.sampled_from(tiles))
    order = _spread(tiles, first)
    assert order[0] == first
    assert sorted(order) == sorted(tiles)

    def away(tile: tuple[int, ...], others: list[tuple[int, ...]]) -> int:
        return min(sum((a - b) ** 2 for a, b in zip(tile, other, strict=True)) for other in others)

    for index in range(1, len(order)):
        distances = [away(tile, order[:index]) for tile in order[index:]]
        assert distances[0] == max(distances)


@given(tilings, st.integers(0, 200))
def test_any_number_of_designs_is_whole_turns_and_one_begun(tiles: list[tuple[int, ...]], count: int) -> None:
    """So that all but one of the tiles that were looked at were searched in."""
    known: Counter[tuple[int, ...]] = Counter()
    for _ in range(count):
        known[_by_turn(tiles, known)[0]] += 1
    assert sum(number % TURN > 0 for number in known.values()) <= 1
    turns = [known[tile] // TURN for tile in tiles]
    assert max(turns) - min(turns) <= 1
    assert TURN > START
    assert [tile for tile in tiles if known[tile]] == tiles[: len(known)]
