"""One comparison of ours with a reference as plain data, and a script's report of them."""

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

from codesign import native

Row = dict[str, Any]


def compared(
    work: str, ours: str, reference: str, rates: Iterable[tuple[float, float]], unit: str, floor: float
) -> Row:
    """Medians of the turns' rates, as (reference, ours), and of the turns' ratios."""
    turns = list(rates)
    return {
        "work": work,
        "ours": ours,
        "reference": reference,
        "reference_rate": median(slow for slow, _ in turns),
        "our_rate": median(fast for _, fast in turns),
        "unit": unit,
        "ratio": median(fast / slow for slow, fast in turns),
        "floor": floor,
    }


def failures(rows: Iterable[Row]) -> list[str]:
    """What is slower than its floor or takes more memory than its bound, in words."""
    found = []
    for r in rows:
        if r["ratio"] < r["floor"]:
            found.append(f"{r['work']}, {r['ours']}: ratio {r['ratio']:.2f}, floor {r['floor']:g}")
        if r.get("resident_megabytes", 0.0) > r.get("most_megabytes", 0.0):
            found.append(f"{r['work']}: {r['resident_megabytes']:.0f} MB, at most {r['most_megabytes']:.0f}")
    return found


def report(measure: Callable[[], list[Row]]) -> int:
    """Measure and print a table; 1 if something failed or the kernels are not there."""
    if not native.available():
        print(native.absence())
        return 1
    rows = measure()
    print(f"medians of alternating turns; {native.instruction_set()}")
    heads = ("work", "ours", "reference")
    wide = [max(len(head), *(len(r[head]) for r in rows)) for head in heads]
    names = "  ".join(f"{head:{width}}" for head, width in zip(heads, wide, strict=True))
    print(f"{names}{'reference':>12}{'ours':>12}{'ratio':>7}{'floor':>7}  unit of the rates")
    for r in rows:
        names = "  ".join(f"{r[head]:{width}}" for head, width in zip(heads, wide, strict=True))
        rates = f"{r['reference_rate']:12,.0f}{r['our_rate']:12,.0f}"
        print(f"{names}{rates}{r['ratio']:7.2f}{r['floor']:7.1f}  {r['unit']}")
        if "resident_megabytes" in r:
            print(f"resident memory of a worker: {r['resident_megabytes']:.0f} MB")
    failed = failures(rows)
    for each in failed:
        print(f"failed: {each}")
    return int(bool(failed))
