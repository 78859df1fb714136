import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cloudpickle
import pytest

from codesign import catalogue
from codesign.catalogue import Kind, hardware_model, load, names, search_space
from codesign.errors import ConfigError, SpaceError
from codesign.tasks.econt import EcontTask
from hardware_models.asic import AsicModel
from search_spaces import econt

GOOD = """
from codesign.network import Dense, Network
from codesign.space import SearchSpace, integer

SPACE = SearchSpace("mine", (integer("units", 1, 3),))


def build(candidate):
    return Network((2,), (Dense("dense", int(candidate["units"])),))
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "my-space.py"
    sys.modules.pop("codesign_user_my-space", None)


def refused(given: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        search_space(given)
    return str(raised.value)


def test_what_is_built_in_is_listed() -> None:
    assert set(names("search_spaces")) >= {"econt", "econt-float"}
    assert "econt" in names("tasks")
    assert "asic" in names("hardware_models")


@pytest.mark.parametrize("kind", ["search_spaces", "tasks", "hardware_models"])
def test_every_listed_name_can_be_loaded(kind: Kind) -> None:
    assert all(load(kind, name) for name in names(kind))


def test_a_name_a_module_and_an_attribute() -> None:
    assert load("search_spaces", "econt") is econt
    assert load("search_spaces", "search_spaces.econt") is econt
    assert load("tasks", "codesign.tasks.econt:EcontTask") is EcontTask
    assert search_space("econt") is econt
    assert search_space("search_spaces.econt") is econt
    assert search_space(econt) is econt


def test_a_name_that_another_package_registers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = EntryPoint("theirs", "search_spaces.econt", "codesign.search_spaces")
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [theirs])
    assert names("search_spaces") == ["theirs"]
    assert search_space("theirs") is econt


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("search_spaces", "ecnot", "no search space is named 'ecnot'; there are econt, "),
        ("tasks", "nope", "no task is named 'nope'; there are econt"),
        ("hardware_models", "fpga", "no hardware model is named 'fpga'; there are asic"),
        ("search_spaces", "", "no search space is named ''; there are "),
        ("search_spaces", "no.such", "cannot load no.such: ModuleNotFoundError: No module named 'no'"),
        ("search_spaces", ".econt", "cannot load .econt: TypeError: the 'package' argument is required"),
        ("tasks", "codesign.tasks.econt:Nope", "codesign.tasks.econt has no 'Nope'"),
    ],
)
def test_an_unknown_name_is_answered_with_those_there_are(kind: Kind, name: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(kind, name)
    assert str(raised.value).startswith(message)


def test_nothing_registered_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [])
    with pytest.raises(ConfigError, match="no task is named 'econt'; there are none"):
        load("tasks", "econt")


def test_a_python_file_is_a_search_space(file: Path) -> None:
    file.write_text(GOOD)
    definition = search_space(str(file))
    assert definition.SPACE.count() == 3
    network = definition.build(definition.SPACE.candidate({"units": 2}))
    assert network.output_shape == (2,)


def test_a_changed_file_is_read_again(file: Path) -> None:
    file.write_text(GOOD)
    search_space(str(file))
    file.write_text(GOOD.replace("1, 3", "1, 10"))
    assert search_space(str(file)).SPACE.count() == 10


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (GOOD.replace("def build", "def make"), "has no function build(candidate) -> Network; define one"),
        (GOOD.replace("SPACE =", "SPACES ="), "has no SPACE that is a SearchSpace; define one in it"),
        ("SPACE = 5\ndef build(candidate): ...", "has no SPACE that is a SearchSpace; define one in it"),
        (f"{GOOD}\nbuild = 5", "has no function build(candidate) -> Network; define one"),
    ],
)
def test_a_file_without_a_space_or_build_says_what_to_define(file: Path, source: str, message: str) -> None:
    file.write_text(source)
    assert refused(str(file)) == f"search space {str(file)!r} {message}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError: invalid syntax"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_file_that_raises_is_named_with_what_it_raised(file: Path, source: str, message: str) -> None:
    file.write_text(source)
    assert refused(str(file)).startswith(f"cannot load {file}: {message}")


def test_an_error_of_the_space_itself_is_passed_on(file: Path) -> None:
    file.write_text(GOOD.replace("1, 3", "3, 1"))
    with pytest.raises(SpaceError, match="parameter 'units' has no values"):
        search_space(str(file))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refused(str(tmp_path / "no.py")) == f"there is no file {tmp_path / 'no.py'}"
    (tmp_path / "folder.py").mkdir()
    assert refused(str(tmp_path / "folder.py")).startswith("there is no file")


def test_an_object_is_checked_as_a_module_is() -> None:
    good = SimpleNamespace(SPACE=econt.SPACE, build=econt.build)
    assert search_space(good) is good
    assert "has no SPACE that is a SearchSpace" in refused(ModuleType("empty"))
    assert "has no function build" in refused(SimpleNamespace(SPACE=econt.SPACE))


def test_a_hardware_model_by_name_and_as_an_object() -> None:
    assert isinstance(hardware_model("asic"), AsicModel)
    assert isinstance(hardware_model("hardware_models.asic:AsicModel"), AsicModel)
    model = AsicModel()
    assert hardware_model(model) is model


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "hardware_models.asic",
            "cannot load hardware_models.asic: TypeError: 'module' object is not callable",
        ),
        ("builtins:dict", "hardware model 'builtins:dict' has no price and estimate; name a class that has"),
        (5, "hardware model 5 has no price and estimate"),
        ("nope", "no hardware model is named 'nope'"),
    ],
)
def test_what_is_no_hardware_model_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        hardware_model(given)
    assert str(raised.value).startswith(message)


def test_a_class_of_a_file_is_named_behind_it_and_needs_no_import_in_another_process(file: Path) -> None:
    file.write_text("class Mine:\n    def answer(self) -> int:\n        return 42\n")
    made = load("tasks", f"{file}:Mine")()
    sent = cloudpickle.dumps(made)
    program = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).answer())"
    found = subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True, check=False)
    assert found.stdout.decode().strip() == "42", found.stderr.decode()
    with pytest.raises(ConfigError, match="has no 'Yours'"):
        load("tasks", f"{file}:Yours")
