import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from codesign.errors import ConfigError, DataError
from codesign.metrics import emd
from codesign.metrics.trigger_cells import BLOCKS, DISTANCES
from codesign.tasks.concentrator import (
    ALGORITHMS,
    CELLS_KEPT,
    FOURS,
    autoencoder_bits,
    best_choice,
    repeater,
    short_float,
    super_trigger_cells,
    threshold,
)
from codesign.tasks.generator import generate

CHARGES = hnp.arrays(np.int64, st.tuples(st.integers(1, 5), st.just(48)), elements=st.integers(0, 5000))


@given(CHARGES)
def test_every_algorithm_gives_charges_and_bits_of_every_wafer(calq):
    for algorithm in ALGORITHMS:
        received = algorithm.send(calq)
        assert received.calq.shape == calq.shape
        assert (received.calq >= 0).all()
        assert received.bits.shape == (len(calq),)
        assert (received.bits > 0).all()


@given(CHARGES, st.integers(1, 48))
def test_best_choice_keeps_the_largest_charges_and_nothing_else(calq, cells):
    kept = best_choice(calq, cells).calq
    assert ((kept == 0) | (kept == calq)).all()
    assert (np.count_nonzero(kept, axis=1) <= cells).all()
    assert (kept.sum(axis=1) == np.sort(calq, axis=1)[:, -cells:].sum(axis=1)).all()


@given(CHARGES, st.sampled_from([4, 16]), st.booleans())
def test_super_trigger_cells_keep_the_sum_of_each_group(calq, size, shared):
    groups = FOURS if size == 4 else BLOCKS
    received = super_trigger_cells(calq, size, shared=shared).calq
    np.testing.assert_allclose(received[:, groups].sum(axis=2), calq[:, groups].sum(axis=2))


def test_a_group_of_four_is_four_neighbours_and_all_cells_are_in_one():
    assert sorted(FOURS.ravel()) == list(range(48))
    assert DISTANCES[FOURS[:, :, None], FOURS[:, None, :]].max() < 2 * 3**0.5 + 1e-4


def test_of_equal_charges_the_super_trigger_cell_takes_the_last():
    calq = np.zeros((1, 48), dtype=np.int64)
    calq[0, [0, 5]] = 7
    assert np.flatnonzero(super_trigger_cells(calq, 4).calq[0]).tolist() == [5]


@given(st.integers(0, (16 << 14) - 1))
def test_short_floats_are_within_half_of_what_is_cut_off(value):
    sent = int(short_float(np.array([value]), 4, 3)[0])
    step = 1 << max(value.bit_length() - 4, 0)
    assert abs(sent - value) <= step / 2
    assert sent == value or value > 15


def test_short_floats_saturate():
    beyond = short_float(np.array([16 << 14, 1 << 40]), 4, 3)
    assert (beyond == (15 << 14) + (1 << 13)).all()


def test_bits_are_those_of_the_words_on_the_chip():
    calq = np.full((1, 48), 100, dtype=np.int64)
    assert threshold(calq, 2.0).bits.tolist() == [48 + 48 * 7 + 8]
    assert {n: best_choice(calq, n).bits[0] for n in CELLS_KEPT.values()} == {4: 60, 6: 86, 9: 119, 14: 154}
    assert super_trigger_cells(calq, 4).bits.tolist() == [12 * 9]
    assert super_trigger_cells(calq, 16).bits.tolist() == [3 * 13]
    assert repeater(calq).bits.tolist() == [336]
    assert [autoencoder_bits(links) for links in (2, 3, 4, 5)] == [57, 89, 121, 153]


def test_scores_are_those_known_of_generated_wafers():
    """Measured once on 110,000 wafers of the same parameters by another program."""
    calq = generate(20_000, seed=3).calq
    expected = {
        "best choice 4": 1.169,
        "best choice 6": 0.709,
        "best choice 9": 0.399,
        "best choice 14": 0.194,
        "super trigger cells 4": 0.443,
        "super trigger cells 4, shared": 1.284,
        "super trigger cells 16": 1.598,
    }
    found = {a.name: float(emd(calq, a.send(calq).calq).mean()) for a in ALGORITHMS if a.name in expected}
    assert found == pytest.approx(expected, rel=0.05)


def test_bad_charges_and_settings_are_refused():
    calq = np.zeros((1, 48), dtype=np.int64)
    with pytest.raises(DataError, match="shape"):
        threshold(calq[:, :47], 1.0)
    with pytest.raises(DataError, match="integers"):
        repeater(calq.astype(float))
    with pytest.raises(ConfigError, match="1 to 48"):
        best_choice(calq, 49)
    with pytest.raises(ConfigError, match="4 or 16"):
        super_trigger_cells(calq, 8)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="links"):
        autoencoder_bits(6)
