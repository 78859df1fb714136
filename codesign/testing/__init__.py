"""Suites that authors of extensions inherit: each raises ``AssertionError`` naming the law that is broken.

def test_my_space():
    check_search_space(my_space)
"""

from codesign.testing.checks import check_hardware_model, check_optimiser, check_search_space

__all__ = ["check_hardware_model", "check_optimiser", "check_search_space"]
