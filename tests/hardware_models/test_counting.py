from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import UnsupportedLayerError
from codesign.fixedpoint import FixedPoint, Overflow, Rounding
from codesign.network import Conv, Dense, Flatten, Layer, MaxPool, Network, ReLU, Thresholds, Upsample
from hardware_models.adders import adders, signed_width
from hardware_models.counting import Stage, _needed, _ranges, count
from search_spaces import econt_float
from tests.export.designs import DESIGNS, fixed, randomised, rounded
from tests.export.small import CORNERS, TINY

examples = settings(deadline=None, max_examples=40)
CORNER_NAMES = [name for name in CORNERS if name not in ("nothing", "no weights")]
NETWORKS = {**DESIGNS, "tiny": TINY, **{name: CORNERS[name] for name in CORNER_NAMES}}


def drawn(rng: np.random.Generator) -> Network:
    """A small random network: ReLU of any rounding, and pooling, over the edge, before or behind it."""

    def activation(name: str) -> ReLU:
        roundings: tuple[Rounding, ...] = ("half_up", "half_even", "truncate")
        overflows: tuple[Overflow, ...] = ("saturate", "wrap")
        signed = bool(rng.integers(2))
        output = FixedPoint(
            int(rng.integers(-1, 3)),
            int(rng.integers(2, 10)),
            signed=signed,
            rounding=roundings[rng.integers(3)],
            overflow=overflows[rng.integers(2)],
        )
        return ReLU(name, output if rng.random() < 0.8 else None)

    conv = Conv("conv", 2, kernel=int(rng.integers(1, 4)), stride=int(rng.integers(1, 3)), **fixed(4))
    pool: list[Layer] = [MaxPool("pool", 2, partial=bool(rng.integers(2)))]
    before, behind = ((pool, []), ([], pool), ([], []))[rng.integers(3)]
    layers: tuple[Layer, ...] = (
        conv,
        *before,
        activation("first"),
        *behind,
        Flatten("flatten"),
        Dense("dense", 3, **fixed(int(rng.integers(2, 6)))),
        activation("second"),
    )
    network = Network((5, 4, 2), layers, FixedPoint(0, 3, signed=bool(rng.integers(2))))
    return randomised(network, int(rng.integers(1 << 30)))


def one_dense(matrix: Any, bias: Any, output: FixedPoint | None = None, bits: int = 3) -> Network:
    """``x @ matrix + bias`` of unsigned integers, and a ReLU."""
    weights = {"d.weight": np.array(matrix), "d.bias": np.array(bias)}
    whole = FixedPoint(7, 0)
    layers = (Dense("d", len(bias), weight=whole, bias=whole), ReLU("r", output))
    return Network((len(matrix),), layers, FixedPoint(bits, 0, signed=False), weights=weights)


def only(network: Network) -> Stage:
    (stage,) = count(network)
    return stage


def require_within_ranges(chip: Network, rng: np.random.Generator, number: int = 200) -> None:
    given = chip.input_format
    assert given is not None
    codes = rng.integers(given.minimum, given.maximum + 1, (number, *chip.input_shape))
    codes[0], codes[1] = given.minimum, given.maximum
    steps = list(chip.trace(given.dequantise(codes)))
    for (name, values), edge in zip(steps, _ranges(chip), strict=True):
        assert (edge.low <= values).all(), name
        assert (values <= edge.high).all(), name


@pytest.mark.parametrize("name", NETWORKS)
def test_ranges_hold_what_the_interpreter_gives(name: str) -> None:
    require_within_ranges(NETWORKS[name].chip, np.random.default_rng(0), 50)


@given(st.integers(0, 2**32 - 1))
@examples
def test_ranges_hold_what_the_interpreter_gives_of_random_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    require_within_ranges(drawn(rng).chip, rng)


def test_ranges_are_reached_where_weights_are_powers_of_two() -> None:
    matrix = np.array([[4, -2], [-1, -8]])
    chip = one_dense(matrix, [5, 60])
    low, high = (side.tolist() for side in (_ranges(chip)[1].low, _ranges(chip)[1].high))
    values = np.array([[0, 0], [7, 0], [0, 7], [7, 7]]) @ matrix + [5, 60]
    assert (low, high) == (values.min(axis=0).tolist(), values.max(axis=0).tolist())


@given(st.lists(st.integers(-127, 127), min_size=1, max_size=6))
@examples
def test_the_range_of_a_sum_is_as_wide_as_its_adders_make_it(column: list[int]) -> None:
    """7 x is 8 x - x, which has a sign; one that is negative alone is negated behind its adders."""
    odd = [*column, 1]  # so that no lowest bits of the sum are 0
    matrix = np.array(odd)[:, None]
    sums = _ranges(one_dense(matrix, [0]))[1]
    graph = adders(matrix, np.zeros(len(odd), np.int64), np.full(len(odd), 7))
    if graph.count:
        made = {signed_width(*ends).item() for ends in ((sums.low, sums.high), (-sums.high, -sums.low))}
        assert graph.sums[-1, -1] in made


@given(st.integers(0, 2**32 - 1))
@examples
def test_what_is_not_needed_changes_no_output(seed: int) -> None:
    """Values that nobody needs are replaced by others of their range."""
    rng = np.random.default_rng(seed)
    chip = drawn(rng).chip
    given = chip.input_format
    assert given is not None
    needed = _needed(chip, _ranges(chip))
    assert [each.shape for each in needed] == [tuple(shape) for shape in chip.shapes]
    codes, others = rng.integers(given.minimum, given.maximum + 1, (2, 50, *chip.input_shape))
    changed = np.where(needed[0], codes, others)
    np.testing.assert_array_equal(*(chip.codes(given.dequantise(each)) for each in (codes, changed)))


def test_a_unit_that_no_output_has_a_weight_for_costs_nothing() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(-7, 8, (6, 4)), rng.integers(-7, 8, (4, 3))
    second[2] = 0
    kept = [0, 1, 3]

    def chip(units: list[int]) -> Network:
        layers = (Dense("a", len(units), **fixed(4)), ReLU("r", rounded(5)), Dense("b", 3, **fixed(4)))
        weights = {
            "a.weight": first[:, units],
            "a.bias": np.arange(4)[units],
            "b.weight": second[units],
            "b.bias": np.zeros(3),
        }
        return Network((6,), layers, FixedPoint(1, 3, signed=False), weights=weights)

    assert count(chip([0, 1, 2, 3])) == count(chip(kept))


def test_inputs_that_do_not_vary_cost_only_a_constant() -> None:
    """The first layer's sums are 3 and -1 whatever comes in."""
    layers = (
        Dense("a", 2, **fixed(4)),
        ReLU("r"),
        Dense("b", 2, weight=FixedPoint(3, 0), bias=FixedPoint(3, 0)),
    )
    weights = {"a.weight": np.zeros((2, 2)), "a.bias": np.array([3, -1]), "b.weight": np.full((2, 2), 5)}
    chip = Network((2,), layers, FixedPoint(2, 0), weights={**weights, "b.bias": np.array([1, 2])})
    for stage in count(chip):
        assert (stage.adder_bits, stage.increment_bits, stage.gate_bits, stage.depth) == (0, 0, 0, 0)
        assert (stage.constant_bits, stage.rounding_bits) == (0, 0)


def test_products_of_known_inputs_are_added_with_the_bias() -> None:
    """The second sum is a varying input and 5 times a known 3: a constant of 16, or of 15, is added."""
    whole = {"weight": FixedPoint(7, 0), "bias": FixedPoint(7, 0)}

    def chip(bias: int) -> Network:
        weights = {
            "a.weight": np.array([[1, 0]]),
            "a.bias": np.array([0, 3]),
            "b.weight": np.array([[1], [5]]),
            "b.bias": np.array([bias]),
        }
        layers = (Dense("a", 2, **whole), Dense("b", 1, **whole))
        return Network((1,), layers, FixedPoint(3, 0, signed=False), weights=weights)

    first, second = count(chip(0))
    assert (first.adder_bits, first.increment_bits, first.constant_bits) == (0, 0, 0)
    assert (second.adder_bits, second.increment_bits, second.constant_bits) == (0, 0, 5)  # 15 to 22: 5 bits
    assert count(chip(1))[1].constant_bits == 1  # 16 to 23: from the place of 16 on
    assert count(chip(-15))[1].constant_bits == 0


@pytest.mark.parametrize(("bias", "half"), [(0, 0), (1, 4), (2, 3), (8, 1), (-1, 4)])
def test_a_bias_costs_half_adders_from_its_lowest_bit_on(bias: int, half: int) -> None:
    stage = only(one_dense([[1]], [bias]))
    assert stage.constant_bits == half
    assert stage.depth == (bias != 0)


@pytest.mark.parametrize(
    ("bias", "output", "gates", "half"),
    [
        (0, FixedPoint(3, 0, signed=False), 0, 0),
        (-4, FixedPoint(3, 0, signed=False), 2, 1),  # -4 to 3: a mask over the 2 bits above 0
        (4, FixedPoint(3, 0, signed=False), 4, 2),  # 4 to 11 saturates at 7
        (4, FixedPoint(3, 0, signed=False, overflow="wrap"), 0, 2),
        (8, FixedPoint(3, 0, signed=False), 0, 0),  # 8 to 15 is always 7
        (0, FixedPoint(4, -1, signed=False, rounding="half_up"), 0, 3),
        (0, FixedPoint(3, -1, signed=False, rounding="half_up"), 3, 3),  # 7 / 2 is rounded to 4, above 3
        (0, FixedPoint(3, -1, signed=False, rounding="truncate"), 0, 0),
        (0, FixedPoint(2, -1, signed=False, rounding="truncate"), 2, 0),  # 3 of at most 1
        (0, FixedPoint(2, 1, signed=False), 4, 0),  # finer: 14 of at most 7
        (0, FixedPoint(3, 1, signed=False), 0, 0),
    ],
)
def test_an_activation_worked_by_hand(bias: int, output: FixedPoint, gates: int, half: int) -> None:
    """Of a value of 0 to 7 and a bias."""
    stage = only(one_dense([[1]], [bias], output))
    assert (stage.gate_bits, stage.constant_bits + stage.rounding_bits) == (gates, half)
    assert (stage.adder_bits, stage.increment_bits) == (0, 0)


def test_pooling_costs_a_comparison_less_than_its_window_for_each_output() -> None:
    weights = {"c.weight": np.ones((1, 1, 1, 1)), "c.bias": np.zeros(1)}
    whole = FixedPoint(3, 0)
    layers = (Conv("c", 1, kernel=1, weight=whole, bias=whole), MaxPool("p"))
    stage = only(Network((4, 4, 1), layers, FixedPoint(3, 0, signed=False), weights=weights))
    assert stage.maximum_bits == 4 * 3 * 3
    assert (stage.adder_bits, stage.increment_bits) == (0, 0)


def image(kernel: int, stride: int = 1) -> Network:
    conv = Conv("c", 3, kernel=kernel, stride=stride, **fixed(5))
    return randomised(Network((5, 6, 2), (conv,), FixedPoint(1, 3, signed=False)))


def test_a_kernel_of_one_is_a_dense_layer_for_each_pixel() -> None:
    chip = image(1)
    matrix = chip.weights["c.weight"].astype(np.int64).reshape(2, 3)
    graph = adders(matrix, np.zeros(2, np.int64), np.full(2, 15))
    stage = only(replace(chip, weights={**chip.weights, "c.bias": np.zeros(3)}))
    assert (stage.adder_bits, stage.increment_bits) == (30 * graph.bits, 30 * graph.carries)


@pytest.mark.parametrize("stride", [1, 2])
def test_windows_at_the_border_are_cheaper(stride: int) -> None:
    """And the others cost what they do where no window hangs over."""
    chip = image(3, stride)
    conv = chip.layers[0]
    assert isinstance(conv, Conv)
    inner = replace(chip, layers=(replace(conv, padding=(0, 0, 0, 0)),), weights=dict(chip.weights))
    windows, inside = (int(np.prod(each.shapes[-1][:2])) for each in (chip, inner))
    padded, plain = only(chip), only(inner)
    assert plain.adder_bits % inside == 0
    assert plain.adder_bits < padded.adder_bits < plain.adder_bits // inside * windows


def test_groups_see_their_own_channels() -> None:
    """Two groups of one filter each are two convolutions of one channel."""
    grouped = Conv("c", 2, kernel=3, groups=2, **fixed(4))
    one = FixedPoint(1, 3, signed=False)
    chip = randomised(Network((4, 4, 2), (grouped,), one))
    parts = [
        only(
            Network(
                (4, 4, 1),
                (replace(grouped, units=1, groups=1),),
                one,
                weights={
                    "c.weight": chip.weights["c.weight"][..., [unit]],
                    "c.bias": chip.weights["c.bias"][[unit]],
                },
            )
        )
        for unit in range(2)
    ]
    for name in ("adder_bits", "increment_bits"):
        assert getattr(only(chip), name) == sum(getattr(part, name) for part in parts)


@pytest.mark.parametrize("name", [*DESIGNS, "tiny"])
def test_a_register_in_front_holds_the_inputs_that_are_needed(name: str) -> None:
    chip = NETWORKS[name].chip
    needed, edges = _needed(chip, _ranges(chip)), _ranges(chip)
    stages = count(chip)
    assert stages[0].live[0] == edges[0].widths[needed[0]].sum()
    last = stages[-1].levels
    alive = [sum(stage.live[level] for stage in stages if level < len(stage.live)) for level in range(last)]
    assert all(bits > 0 for bits in alive)
    assert max(len(stage.live) for stage in stages) == last


def test_an_input_that_is_an_output_is_held_while_others_are_added() -> None:
    """In the corner a window of 2 x 2 has one value and no addition, in the middle four and two."""
    ones = {"c.weight": np.ones((2, 2, 1, 1)), "c.bias": np.zeros(1)}
    conv = Conv("c", 1, kernel=2, weight=FixedPoint(3, 0), bias=FixedPoint(3, 0))
    stage = only(Network((2, 2, 1), (conv,), FixedPoint(1, 0, signed=False), weights=ones))
    assert stage.depth == 2
    # four inputs, and the corner's as an output; then two sums of the middle, two of the edges, the corner's
    assert stage.live == [4 + 1, 2 * 2 + 2 * 2 + 1]


@pytest.mark.parametrize(
    ("output", "levels", "live"),
    [
        (FixedPoint(4, 0, signed=False), 0, []),
        (FixedPoint(4, -1, signed=False, rounding="half_up"), 0, []),
        (FixedPoint(4, -1, signed=False, rounding="half_even"), 1, [4]),
        (FixedPoint(3, 0, signed=False), 2, [4, 4]),  # 8 to 11: all four bits, then three and whether over
    ],
)
def test_a_bias_takes_no_level_saturation_two(output: FixedPoint, levels: int, live: list[int]) -> None:
    stage = only(one_dense([[1]], [4], output))
    assert (stage.levels, stage.live) == (levels, live)


FLOAT = econt_float.build(econt_float.SPACE.candidate(econt_float.BASELINE)).chip
IMAGE = FixedPoint(1, 3, signed=False)
STEPS = Thresholds("steps", FixedPoint(2, 0, signed=False), FixedPoint(9, 7), 3)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (FLOAT, "the network's input is a float; quantise it"),
        (Network((2, 2, 1), (Conv("c", 1),), IMAGE), "layer 'c' computes in float"),
        (
            Network((2, 2, 1), (Conv("c", 1, **fixed(4)), Upsample("up")), IMAGE),
            r"layer 'up' \(Upsample\) cannot be priced here",
        ),
        (
            Network(
                (2, 2, 1), (Conv("c", 1, **fixed(4)), replace(STEPS, thresholds=FixedPoint(9, 6))), IMAGE
            ),
            r"layer 'steps' \(Thresholds\) cannot be priced here",
        ),
        (Network((2,), (ReLU("r"), Dense("d", 1, **fixed(4))), IMAGE), "layer 'r' is counted with the"),
        (Network((2, 2, 1), (MaxPool("p"),), IMAGE), "layer 'p' is counted with the"),
    ],
)
def test_a_layer_that_cannot_be_counted_is_named(network: Network, message: str) -> None:
    with pytest.raises(UnsupportedLayerError, match=message):
        count(network if network.input_format is None or not network.shapes else fitted(network))


def fitted(network: Network) -> Network:
    """With weights of 0, and thresholds of 0."""
    weights = {
        f"{layer.name}.{role}": np.ones(shape) if role == "sign" else np.zeros(shape)
        for layer, given in zip(network.layers, network.shapes, strict=False)
        for role, shape in layer.weight_shapes(given).items()
    }
    return network.with_weights(weights)


def test_a_network_without_layers_has_no_stages() -> None:
    assert count(CORNERS["nothing"]) == []
