import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import DataError
from codesign.metrics import Summary


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=50))
def test_four_numbers(values: list[float]) -> None:
    summary = Summary.of(values)
    assert summary.n == len(values)
    assert summary.mean == pytest.approx(sum(values) / len(values), abs=1e-9)
    spread = np.sqrt(sum((value - summary.mean) ** 2 for value in values) / len(values))
    assert summary.std == pytest.approx(spread, abs=1e-9)
    assert summary.stderr == pytest.approx(spread / np.sqrt(len(values)), abs=1e-9)


def test_special_values_enter_the_mean() -> None:
    assert Summary.of([-0.5, 1.5]).mean == 0.5


def test_goes_through_json() -> None:
    summary = Summary.of(np.array([1, 2, 4], dtype=np.float32))
    assert Summary(**json.loads(json.dumps(summary.to_dict()))) == summary


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"values has shape \(0,\); it must be \(n,\) with n >= 1"),
        ([[1.0]], r"values has shape \(1, 1\)"),
        ([1.0, np.nan], r"values\[1\] is nan"),
        ([np.inf], r"values\[0\] is inf"),
    ],
)
def test_what_has_no_mean_is_refused(values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Summary.of(values)


def test_no_wafers_are_refused() -> None:
    with pytest.raises(DataError, match="at least 1 value, got 0"):
        Summary(mean=0.0, std=0.0, stderr=0.0, n=0)
