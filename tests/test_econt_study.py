"""What is recorded of the ECON-T study, and what of it can be counted."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "econt-study.json"


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """The modules of ``benchmarks/quality`` as they are run: from their own folder."""
    sys.path.insert(0, str(ROOT / "benchmarks" / "quality"))
    import econt_claims
    import econt_exact
    import econt_report

    yield {"claims": econt_claims, "exact": econt_exact, "report": econt_report}
    sys.path.pop(0)


def test_every_published_size_is_counted_here(scripts: dict[str, ModuleType]) -> None:
    rows = scripts["exact"].sizes()
    assert len(rows) == 7
    for row in rows:
        for what, published, counted in row.values:
            assert counted == published, (row.name, what)


def test_claims_that_need_no_training_are_made_without_any(scripts: dict[str, ModuleType]) -> None:
    found = {claim.claim: claim for claim in scripts["claims"].claims({})}
    assert found["distinct float networks of the space"].ratio == 1
    assert found["bits of the weights of the flight chip"].ours == 12_864
    lost_digit = found["c64 S1 has more operations than c8 S2 by"]
    assert lost_digit.ours == pytest.approx(3092.4, abs=0.1)
    assert "a digit was lost" in lost_digit.remark
    assert found["distinct rows of Ax's best that have a decoder"].ours == 2


def test_the_guide_shows_what_was_recorded(scripts: dict[str, ModuleType]) -> None:
    guide = (ROOT / "docs" / "econt-study.md").read_text()
    assert scripts["report"].with_networks(guide, json.loads(RESULTS.read_text())) == guide
