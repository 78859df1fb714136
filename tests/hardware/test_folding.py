"""Folding keeps the interval with the fewest multipliers, and changes no integer."""

import numpy as np
import pytest

from codesign.errors import ConfigError, NetworkError
from codesign.hardware.folding import fold, frame_cycles, unfolded
from codesign.network import Conv, Dense, Folding, Network
from tests.export.designs import DESIGNS


@pytest.mark.parametrize("interval", [64, 100, 167, 2048])
@pytest.mark.parametrize("name", DESIGNS)
def test_every_layer_keeps_the_interval_and_none_could_do_with_fewer(name: str, interval: int) -> None:
    network = fold(DESIGNS[name], interval)
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        if isinstance(layer, Conv | Dense):
            assert layer.folding is not None
            assert frame_cycles(layer, shape) <= interval
            multipliers = layer.folding.pe * layer.folding.simd
            least = -(-frame_cycles(layer, shape) * multipliers // interval)
            divisors = [
                pe * simd
                for pe in range(1, layer.units + 1)
                for simd in range(1, layer.fan_in(shape) + 1)
                if layer.units % pe == 0 and layer.fan_in(shape) % simd == 0
            ]
            assert not [count for count in divisors if least <= count < multipliers]


def test_folding_changes_neither_integers_nor_the_unfolded_digest() -> None:
    network = DESIGNS["baseline"]
    inputs = np.random.default_rng(0).random((5, 8, 8, 1))
    folded = fold(network, 200)
    np.testing.assert_array_equal(folded.codes(inputs), network.codes(inputs))
    assert folded.digest != network.digest
    assert unfolded(folded).digest == network.digest
    assert Network.from_dict(folded.to_dict()) == folded


def test_an_interval_below_the_pixels_is_refused() -> None:
    with pytest.raises(ConfigError, match="'conv_1' needs 16 cycles"):
        fold(DESIGNS["baseline"], 15)


def test_reuse_factor_is_products_by_multipliers() -> None:
    layer = Dense("dense", 16, folding=Folding(4, 8))
    assert layer.reuse_factor((128,)) == 64
    assert Dense("dense", 16).reuse_factor((128,)) == 1


@pytest.mark.parametrize(("pe", "simd", "named"), [(3, 8, "pe=3"), (4, 7, "simd=7"), (0, 8, "pe=0")])
def test_a_folding_that_does_not_divide_is_refused(pe: int, simd: int, named: str) -> None:
    with pytest.raises(NetworkError, match=named):
        Network((128,), (Dense("dense", 16, folding=Folding(pe, simd)),))
