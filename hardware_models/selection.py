"""What the selection of the largest of some words costs: best choice, beside which a network stands.

Each pair of words is compared, each word counts the comparisons that it won, and a word that is among the
first is sent with its place: every output takes, by its rank, one of all words. Registers hold what is sent.
Units as in ``hardware_models.units``. Not: the code of the charges and the sum of the module, which every
algorithm has.
"""

from math import ceil, log2

from codesign.errors import ConfigError
from codesign.hardware import Device
from hardware_models.technology import load

__all__ = ["selection_amounts", "selection_costs"]


def selection_amounts(words: int, width: int, kept: int) -> dict[str, int]:
    """Units of a selection, by the names of ``hardware_models.units.AMOUNTS``.

    Parameters
    ----------
    words, width
        How many there are, and bits of each.
    kept
        How many are sent.

    Returns
    -------
    amounts
        ``adder_bits``: a full adder a bit of each comparison, and to count what a word won, the bits that
        enter less those of the count. ``gate_bits``: a gate a bit to choose a word, and one to join it to the
        others, of every output. ``register_bits``: the outputs and their places.

    Raises
    ------
    ConfigError
        If not 1 to ``words`` are kept.
    """
    if not 1 <= kept <= words:
        raise ConfigError(f"of {words} words 1 to {words} can be kept, got {kept}")
    place = max(ceil(log2(words)), 1)
    comparisons = words * (words - 1) // 2
    counted = words * max(words - 1 - place, 0)
    sent = width + place
    return {
        "adder_bits": comparisons * width + counted,
        "gate_bits": 2 * kept * words * sent,
        "register_bits": kept * sent,
    }


def selection_costs(words: int, width: int, kept: int, device: Device) -> dict[str, float]:
    """Area, power and energy of a selection each clock cycle, by their names in ``COST_UNITS``.

    Registers are triplicated where the device's redundancy is ``all``; their voters are not counted.
    """
    technology = load(device.technology)
    amounts = selection_amounts(words, width, kept)
    registers = amounts["register_bits"] * (3 if device.redundancy == "all" else 1)
    logic = amounts["adder_bits"] * technology.adder_area + amounts["gate_bits"] * technology.gate_area
    energy_pj = (
        amounts["adder_bits"] * technology.adder_energy + amounts["gate_bits"] * technology.gate_energy
    )
    energy_pj += registers * technology.register_energy
    leakage = registers * technology.register_leakage + logic * technology.logic_leakage
    power = energy_pj * 1e-3 * device.clock_mhz + leakage
    return {
        "area_um2": logic + registers * technology.register_area,
        "power_mw": power,
        "leakage_mw": leakage,
        "energy_nj": power / device.clock_mhz,
    }
