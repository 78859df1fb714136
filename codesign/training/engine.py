"""Which engine trains."""

from dataclasses import replace

from codesign import native
from codesign.errors import ConfigError, MissingToolError
from codesign.tasks import OwnLoss
from codesign.training.recipe import COMPILED_LOSSES, LOSS_NAMES, Recipe

__all__ = ["with_engine"]


def with_engine(recipe: Recipe, loss: str | OwnLoss, *, conditional: bool = False) -> tuple[Recipe, str]:
    """The recipe with its engine named; and why that is torch, where the recipe had left it open.

    Raises
    ------
    MissingToolError
        If the recipe names the compiled engine, and its kernels were not built.
    ConfigError
        For an unknown loss, or if the recipe names the compiled engine and it lacks the loss or conditions.
    """
    if loss not in LOSS_NAMES and not callable(loss):
        raise ConfigError(f"loss is one of {', '.join(LOSS_NAMES)}, got {loss!r}")
    what = "the task's own" if callable(loss) else repr(loss)
    lacks = f"the compiled engine has the losses {', '.join(COMPILED_LOSSES)}, not {what}"
    absent = "" if native.available() else native.absence()
    single = "the compiled engine has no second input, for conditions" if conditional else ""
    why = absent or ("" if loss in COMPILED_LOSSES else lacks) or single
    if recipe.engine == "native" and why:
        raise (MissingToolError if absent else ConfigError)(f"{why}; engine torch does the same work")
    if recipe.engine is not None:
        return recipe, ""
    return replace(recipe, engine="torch" if why else "native"), why
