import numpy as np
import pytest

from codesign.errors import DataError
from codesign.tasks.conditions import CONDITIONS, module_conditions
from codesign.tasks.generator import generate
from codesign.tasks.wafers import Wafers

COLUMNS = {"eta": 1.86, "waferu": 3, "waferv": 6, "layer": 9}


def one(**columns: float) -> Wafers:
    calq = np.zeros((1, 48), dtype=np.int64)
    calq[0, :2] = 50, 49
    return Wafers(calq, {name: np.array([value]) for name, value in columns.items()}, "one.csv")


def test_conditions_are_scaled_as_in_the_successor() -> None:
    found = module_conditions(one(**COLUMNS, wafertype=2))
    assert found.dtype == np.float32
    expected = [[0.6, 0.5, 0.25, 0, 0, 1, np.log(100), 8 / 46]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(CONDITIONS) == found.shape[1] == 8


@pytest.mark.parametrize(("u", "v", "kind"), [(3, 1, 0), (5, 0, 1), (5, 5, 1), (4, 8, 1), (8, 0, 2)])
def test_without_a_type_the_distance_from_the_beam_decides(u: int, v: int, kind: int) -> None:
    found = module_conditions(one(**{**COLUMNS, "waferu": u, "waferv": v}))
    np.testing.assert_array_equal(found[0, 3:6], np.eye(3)[kind])


def test_generated_wafers_have_all_conditions() -> None:
    found = module_conditions(generate(500, seed=0))
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:, 3:6].sum(axis=1), 1)
    assert (found[:, 3:6].sum(axis=0) > 0).all()


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_a_missing_column_is_named(name: str) -> None:
    with pytest.raises(DataError, match=rf"one.csv: .*column {name}.*it has "):
        module_conditions(one(**{key: value for key, value in COLUMNS.items() if key != name}))


def test_types_that_are_none() -> None:
    with pytest.raises(DataError, match="wafertype is 0, 1 or 2, row 0 has 3"):
        module_conditions(one(**COLUMNS, wafertype=3))
    with pytest.raises(DataError, match="column eta holds values that are not finite"):
        module_conditions(one(**{**COLUMNS, "eta": np.nan}))
