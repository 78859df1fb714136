"""Training: a network as data becomes a torch module, is fitted, and comes back with integer weights.

Importing this package does not import torch; its modules ``build``, ``fit``, ``losses`` and
``quantisers`` do.
"""

from codesign.training.recipe import COMPILED_LOSSES, Recipe

__all__ = ["COMPILED_LOSSES", "Recipe"]
