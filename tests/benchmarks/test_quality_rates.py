"""How often the hints of quality speak on real films, and on films that were spoilt.

`pytest tests/benchmarks/test_quality_rates.py -m benchmark -s`
"""

from pathlib import Path

import pytest

from chexmodel.gate_rates import AS_THEY_ARE
from train.gate_measure import external
from train.hints import hint_rates

pytestmark = [pytest.mark.benchmark, pytest.mark.shared]


@pytest.mark.parametrize("part", ["xrays/train", "xrays/valid", "external"])
def test_hints_speak_on_spoilt_films_and_on_no_others(shared: Path, part: str) -> None:
    print()
    for rate in hint_rates(external(shared / part)):
        print(f"{part}, {rate.shown}: {rate.check or 'any hint'} on {rate.spoken} of {rate.films}")
        assert rate.spoken == 0 if rate.shown == AS_THEY_ARE else rate.share.value > 0.7
