"""What a task's own code raises is said with its place; what codesign raises is left as it is."""

import numpy as np
import pytest

from codesign.errors import ConfigError, DataError
from codesign.metrics import Summary
from codesign.tasks import inputs_of
from codesign.tasks.called import called
from codesign.tasks.econt import EcontTask


class Own:
    def score(self) -> object:
        return self.deeper()

    def deeper(self) -> object:
        return np.eye(3)[np.array([3])]


def test_the_last_line_of_the_tasks_own_code_is_named() -> None:
    line = Own.deeper.__code__.co_firstlineno + 1
    with (
        pytest.raises(
            ConfigError,
            match=rf"task 'own' raised IndexError: index 3 .* at test_called.py:{line}, in deeper; mend it",
        ),
        called("own", Own),
    ):
        Own().score()


def test_errors_in_words_and_errors_of_codesign_are_left_as_they_are() -> None:
    with pytest.raises(DataError, match="shape"), called("own", Own):
        Summary.of(np.zeros((0,)))
    heir = type("Heir", (EcontTask,), {"__module__": "mine"})
    for owner in (EcontTask, heir):
        with pytest.raises(ZeroDivisionError), called("econt", owner):
            1 / 0  # noqa: B018


def test_inputs_of_a_task_that_raises() -> None:
    class Short(Own):
        name = "short"

        @property
        def validation(self) -> object:
            raise KeyError("x")

    with pytest.raises(
        ConfigError, match=r"task 'short' raised KeyError: 'x' at test_called.py:\d+, in valid"
    ):
        inputs_of(Short(), 3)  # type: ignore[arg-type]
