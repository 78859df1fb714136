import numpy as np

from codesign.hardware import Workload
from codesign.testing import check_search_space
from search_spaces import econt, econt_training


def test_the_space_is_as_a_space_has_to_be():
    check_search_space(econt_training)


def test_training_is_searched_and_costs_no_hardware():
    space = econt_training.SPACE
    candidate = space.candidate(
        {**econt.BASELINE, "loss": "emd", "learning_rate": space.candidate({})["learning_rate"]}
    )
    recipe = econt_training.recipe(candidate)
    assert recipe["loss"] == "emd"
    assert recipe["learning_rate"] == candidate["learning_rate"]
    plain = econt.SPACE.candidate(econt.BASELINE)
    mine = econt_training.workload(space.encode([candidate]))
    np.testing.assert_array_equal(mine.weights, econt.workload(econt.SPACE.encode([plain])).weights)
    assert econt_training.build(candidate) == econt.build(plain)
    assert isinstance(mine, Workload)
