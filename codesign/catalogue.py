"""Names and files to objects: spaces, tasks and hardware models, found through entry points."""

import importlib
import importlib.util
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, cast

from codesign.errors import CodesignError, ConfigError, raised_at
from codesign.hardware import HardwareModel
from codesign.space import SearchSpace, SpaceDefinition

__all__ = ["Kind", "hardware_model", "load", "names", "search_space"]

Kind = Literal["search_spaces", "tasks", "hardware_models"]


def names(kind: Kind) -> list[str]:
    """Names registered under the entry-point group ``codesign.<kind>``."""
    return sorted({point.name for point in _points(kind)})


def load(kind: Kind, name: str) -> Any:
    """What a name stands for: a registered one, ``package.module``, ``file.py``, or an attribute of these.

    The last is written ``package.module:Name`` or ``file.py:Name``.
    """
    for point in _points(kind):
        if point.name == name:
            return _guarded(name, point.load)
    if "." in name or ":" in name:
        module, _, attribute = name.partition(":")
        file = module.endswith(".py")
        loaded = _from_file(Path(module)) if file else _guarded(name, lambda: importlib.import_module(module))
        if not attribute:
            return loaded
        if not hasattr(loaded, attribute):
            raise ConfigError(f"{module} has no {attribute!r}")
        return getattr(loaded, attribute)
    what = kind.replace("_", " ")
    raise ConfigError(f"no {what[:-1]} is named {name!r}; there are {', '.join(names(kind)) or 'none'}")


def search_space(given: str | SpaceDefinition) -> SpaceDefinition:
    """A space's definition: by name, by module, by Python file, or the object itself."""
    definition: Any = given
    if isinstance(given, str):
        definition = load("search_spaces", given)
    if not isinstance(getattr(definition, "SPACE", None), SearchSpace):
        raise ConfigError(f"search space {given!r} has no SPACE that is a SearchSpace; define one in it")
    if not callable(getattr(definition, "build", None)):
        raise ConfigError(f"search space {given!r} has no function build(candidate) -> Network; define one")
    return cast(SpaceDefinition, definition)


def hardware_model(given: str | HardwareModel, calibration: str | Path | None = None) -> HardwareModel:
    """A hardware model: by name, or the object itself; corrected by a calibration file if one is given."""
    model: Any = given
    if isinstance(given, str):
        model = _guarded(given, load("hardware_models", given))
    if not (callable(getattr(model, "price", None)) and callable(getattr(model, "estimate", None))):
        raise ConfigError(f"hardware model {given!r} has no price and estimate; name a class that has")
    if calibration is None:
        return cast(HardwareModel, model)
    from codesign.calibration import CalibratedModel, Calibration

    return CalibratedModel(model, Calibration.load(calibration))


def _points(kind: Kind) -> list[EntryPoint]:
    return list(entry_points(group=f"codesign.{kind}"))


def _from_file(path: Path) -> Any:
    import cloudpickle

    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    specification = importlib.util.spec_from_file_location(f"codesign_user_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise ConfigError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    name = specification.name
    _guarded(str(path), lambda: cast(Any, specification.loader).exec_module(module), name)
    cloudpickle.register_pickle_by_value(module)  # processes cannot import it
    return module


def _guarded(name: str, action: Any, module: str = "") -> Any:
    """Run code of others; whatever it raises is said in one line, with its place in a module."""
    try:
        return action()
    except CodesignError:
        raise
    except (Exception, SystemExit) as error:
        place = raised_at(error, {module})
        at = f" (at {place})" if place else ""
        raise ConfigError(f"cannot load {name}: {type(error).__name__}: {error}{at}") from error
