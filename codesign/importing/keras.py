"""Weights that Keras wrote as HDF5, to a network of the same architecture. No TensorFlow is needed.

The layout of Keras 2 (``save_weights`` and ``save`` with a name that ends in ``.h5`` or ``.hdf5``)::

    /                  attribute layer_names: the layers of the model, in its order
    /conv2d            attribute weight_names: ["conv2d/kernel:0", "conv2d/bias:0"]
    /conv2d/conv2d/kernel:0, /conv2d/conv2d/bias:0
    /encoder           a model inside the model: weight_names of all its layers, in its order
    /model_weights     all of this, in the file of a whole model

Keras loads such a file by order: the n-th layer with weights takes the n-th weights, whatever their names,
which number the layers of a session. So does this module; shapes must agree. QKeras keeps the real values
that it trains, by the same layout: a network with formats takes them rounded, as QKeras computes with them.

Source: ``save_weights_to_hdf5_group`` in ``keras/saving/legacy/hdf5_format.py`` of `keras-team/keras`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from codesign.errors import NetworkError
from codesign.fixedpoint import FixedPoint
from codesign.network import Conv, ConvTranspose, Dense, Flatten, Network, Reshape, Shape

__all__ = ["KerasWeights", "load_keras"]

_ROLES: Final = {"weight": "kernel", "bias": "bias"}
"""Roles of arrays in a network, and what Keras calls them."""
_KERAS_3: Final = ("_layer_checkpoint_dependencies", "layers", "vars")


@dataclass(frozen=True, slots=True)
class KerasWeights:
    """A network with weights of Keras.

    Parameters
    ----------
    network
        Fitted.
    sources
        Name of each layer with weights to that of the layer in the file.
    notes
        What is worth knowing: weights that lay outside their format.
    """

    network: Network
    sources: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A layer in a file: its name, and its arrays by their name in Keras."""

    name: str
    arrays: Mapping[str, h5py.Dataset]

    def __str__(self) -> str:
        shapes = ", ".join(f"{role} {array.shape}" for role, array in self.arrays.items())
        return f"{self.name} ({shapes})"


def load_keras(
    network: Network, *paths: str | Path, channels_first: bool = False, what: str = "the network"
) -> KerasWeights:
    """Put weights that Keras wrote into a network of the same architecture.

    Parameters
    ----------
    network
        Its layers with weights, in order, take those of the files. Where it has formats, the real values are
        rounded into them.
    paths
        The file of an autoencoder; or those of its parts, in order.
    channels_first
        Whether Keras computed on images ``(channels, height, width)``: then the rows of the dense layer
        behind the image, and the columns of the one before it, lie in another order.
    what
        What messages call the network.

    Raises
    ------
    NetworkError
        For a file that cannot be read or is not of this form, and for layers or shapes that do not fit.
    """
    with ExitStack() as stack:
        stored = [layer for path in paths for layer in stack.enter_context(_opened(Path(path)))]
        layers = [layer for layer in network.layers if isinstance(layer, Conv | ConvTranspose | Dense)]
        label = " and ".join(map(str, paths))
        _require_as_many(stored, [layer.name for layer in layers], label, what)
        real: dict[str, NDArray[np.float64]] = {}
        for source, (name, shapes) in zip(stored, _wanted(network), strict=True):
            for role, shape in shapes.items():
                array = source.arrays[_ROLES[role]]
                if array.shape != shape:
                    raise NetworkError(
                        f"{label}: the {_ROLES[role]} of layer {source.name!r} has shape {array.shape}, "
                        f"layer {name!r} of {what} needs {shape}; give the candidate that was trained"
                    )
                real[f"{name}.{role}"] = _values(array, source.name, label)
    if channels_first:
        real |= _channels_last(network, real)
    sources = {layer.name: source.name for layer, source in zip(layers, stored, strict=True)}
    codes, notes = _rounded(network, real)
    return KerasWeights(network.with_weights(codes), sources, notes)


# --- what a file holds


@contextmanager
def _opened(path: Path) -> Iterator[list[_Stored]]:
    """The layers with weights of a file, which stays open; what HDF5 has to say of it is said in words."""
    try:
        with h5py.File(path, "r") as file:
            yield _layers(file, path)
    except OSError as error:
        raise NetworkError(f"{path}: {_reason(path, error)}") from error
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise NetworkError(f"{path}: the file is damaged: {error}") from error


def _reason(path: Path, error: OSError) -> str:
    if not path.is_file():
        return "there is no such file" if not path.exists() else "this is no file"
    with path.open("rb") as stream:
        start = stream.read(8)
    if start == b"\x89HDF\r\n\x1a\n":
        return f"the file is damaged or was not written to its end ({error}); get it again"
    hint = (
        "; it is a zip archive: of Keras 3 give what model.save('weights.h5') writes"
        if start[:2] == b"PK"
        else ""
    )
    return f"this is no HDF5 file, as Keras writes weights to{hint}"


def _layers(file: h5py.File, path: Path) -> list[_Stored]:
    root = file.get("model_weights", file)
    names = _names(root, "layer_names")
    if names is None:
        if any(name in root for name in _KERAS_3):
            raise NetworkError(
                f"{path}: these are weights in the form of Keras 3, which does not say the order of the "
                "layers; give what model.save('weights.h5') writes"
            )
        raise NetworkError(f"{path}: these are no weights of Keras: the attribute layer_names is missing")
    return [layer for name in names for layer in _of_group(file, root, name, path)]


def _of_group(file: h5py.File, root: h5py.Group, group: str, path: Path) -> list[_Stored]:
    """Layers with weights of one layer of the model, which may be a model itself."""
    if group not in root:
        raise NetworkError(f"{path}: layer {group!r} is named but missing; the file is damaged, get it again")
    found: dict[str, dict[str, h5py.Dataset]] = {}
    for name in _names(root[group], "weight_names") or []:
        layer, _, last = name.rpartition("/")
        array = root[group].get(name)
        if not isinstance(array, h5py.Dataset):
            raise NetworkError(
                f"{path}: array {name!r} of {group!r} is named but missing; the file is damaged, get it again"
            )
        if array.file.filename != file.filename or array.is_virtual or array.external:
            raise NetworkError(f"{path}: array {name!r} of {group!r} lies in another file, which is not read")
        found.setdefault(layer, {})[last.partition(":")[0]] = array
    layers = [_Stored(_full_name(group, layer), arrays) for layer, arrays in found.items()]
    for stored in layers:
        if set(stored.arrays) != set(_ROLES.values()):
            raise NetworkError(
                f"{path}: layer {stored.name!r} holds {', '.join(stored.arrays)}; it must be a convolution "
                "or dense layer with kernel and bias, as in all of these architectures"
            )
    return layers


def _full_name(group: str, layer: str) -> str:
    return layer if layer.startswith(group) or not layer else f"{group}/{layer}"


def _names(group: h5py.Group, attribute: str) -> list[str] | None:
    """Names in an attribute, which Keras splits into numbered ones if there are very many."""
    attributes = group.attrs
    if attribute in attributes:
        parts: list[Any] = [attributes[attribute]]
    elif f"{attribute}0" in attributes:
        count = sum(1 for name in attributes if name.startswith(attribute))
        parts = [attributes[f"{attribute}{number}"] for number in range(count)]
    else:
        return None
    return [
        name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in np.ravel(part)
    ]


def _values(array: h5py.Dataset, name: str, label: str) -> NDArray[np.float64]:
    if array.dtype.kind != "f":
        raise NetworkError(
            f"{label}: layer {name!r} holds values of type {array.dtype}, expected real numbers"
        )
    values: NDArray[np.float64] = array[()].astype(np.float64)
    wrong = int(np.count_nonzero(~np.isfinite(values)))
    if wrong:
        raise NetworkError(
            f"{label}: {wrong} of {values.size} values of layer {name!r} are not finite: the training "
            "diverged; give weights of another one"
        )
    return values


# --- what the network needs


def _wanted(network: Network) -> Iterator[tuple[str, dict[str, Shape]]]:
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        if wanted := layer.weight_shapes(shape):
            yield layer.name, wanted


def _require_as_many(stored: Sequence[_Stored], names: Sequence[str], label: str, what: str) -> None:
    if len(stored) == len(names):
        return
    if len(stored) < len(names):
        left = f"{', '.join(names[len(stored) :])} would have none"
    else:
        left = f"{', '.join(layer.name for layer in stored[len(names) :])} would be left over"
    raise NetworkError(
        f"{label}: {len(stored)} layers with weights, {'; '.join(map(str, stored)) or 'none'}; {what} has "
        f"{len(names)}, {', '.join(names)}: {left}; give the candidate that was trained, and "
        "the file of the whole autoencoder or those of its parts"
    )


def _channels_last(network: Network, real: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Weights of the dense layers around images, of a network that has its channels first."""
    turned: dict[str, NDArray[Any]] = {}
    last = ""
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Dense):
            last, before = layer.name, network.layers[index - 1] if index else None
            if isinstance(before, Flatten):
                weight = real[f"{last}.weight"]
                turned[f"{last}.weight"] = weight[_first_to_last(network.shapes[index - 1])]
        elif isinstance(layer, Reshape) and last:
            order = _first_to_last(layer.shape)
            for role in _ROLES:
                name = f"{last}.{role}"
                turned[name] = turned.get(name, real[name])[..., order]
    return turned


def _first_to_last(shape: Shape) -> NDArray[np.intp]:
    """Position in ``(channels, height, width)`` of each value of ``(height, width, channels)``."""
    height, width, channels = shape
    return np.arange(height * width * channels).reshape(channels, height, width).transpose(1, 2, 0).ravel()


def _rounded(
    network: Network, real: Mapping[str, NDArray[np.float64]]
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """Codes where a layer has formats; and what was outside of them."""
    weights: dict[str, NDArray[Any]] = dict(real)
    notes = []
    for layer in network.layers:
        for role in _ROLES:
            fixed: FixedPoint | None = getattr(layer, role, None)
            if fixed is None:
                continue
            values = real[f"{layer.name}.{role}"]
            weights[f"{layer.name}.{role}"] = fixed.quantise(values)
            low, high = (fixed.dequantise(np.array(code)) for code in (fixed.minimum, fixed.maximum))
            outside = int(
                np.count_nonzero((values < low - fixed.scale / 2) | (values > high + fixed.scale / 2))
            )
            if outside:
                notes.append(
                    f"layer {layer.name!r}: {outside} of {values.size} values of its {_ROLES[role]} lie "
                    f"outside {low:g} to {high:g} and are cut to that"
                )
    return weights, tuple(notes)
