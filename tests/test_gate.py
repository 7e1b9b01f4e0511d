"""The check of the input: corrections, the order of its questions, its file, and what it is worth."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from scipy.stats import binomtest

from chexmodel import Predictor, bundle, images
from chexmodel.correction import CORRECTIONS, UPRIGHT, Correction
from chexmodel.errors import BundleError
from chexmodel.gate import GATE, PLACINGS, Gate, GateFit, GateResult, Look, judge
from chexmodel.gate_rates import GateRates, wilson

SHIPPED = Path(__file__).resolve().parents[1] / "assets" / "models" / "demo"
FILM = np.random.default_rng(0).integers(0, 256, (5, 8), dtype=np.uint8)
MIRROR = Correction(mirror=True)
CHANNELS = 6


def gate(sha: str = "0" * 64, channels: int = CHANNELS, **limits: float) -> Gate:
    """A gate of random weights."""
    rng = torch.Generator().manual_seed(0)
    chosen = {"farthest": 0.2, "least_upright": 0.5, "clearly_faced": 0.5, "least_faced": 0.0} | limits
    return Gate(
        GateFit(weights_sha256=sha, films=3, patients=2, **chosen),
        torch.rand(channels, generator=rng),
        torch.randn(8, channels, 2, 2, generator=rng),
        1e-4 * torch.randn(channels, 3, 3, generator=rng),
        torch.randn(9, generator=rng),
    )


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_the_inverse_undoes_a_correction(correction: Correction) -> None:
    for film in (FILM, FILM / 255, np.float32(FILM) / np.float32(255)):
        applied = correction.apply(film)
        assert applied.dtype == film.dtype
        assert applied.flags.c_contiguous
        assert applied.shape == (film.shape[::-1] if correction.quarter_turns % 2 else film.shape)
        np.testing.assert_allclose(correction.inverse().apply(applied), film, atol=1e-6)
    assert correction.after(correction.inverse()) == UPRIGHT


def test_a_correction_turns_mirrors_and_inverts() -> None:
    np.testing.assert_array_equal(Correction(1).apply(FILM), np.rot90(FILM))
    np.testing.assert_array_equal(MIRROR.apply(FILM), FILM[:, ::-1])
    np.testing.assert_array_equal(Correction(3, mirror=True).apply(FILM), np.rot90(FILM, 3)[:, ::-1])
    np.testing.assert_array_equal(Correction(invert=True).apply(FILM), 255 - FILM)
    np.testing.assert_allclose(Correction(invert=True).apply(FILM / 255), 1 - FILM / 255)


def test_one_correction_after_another_is_one_of_the_sixteen() -> None:
    assert len(set(CORRECTIONS)) == 16
    for first, then in itertools.product(CORRECTIONS, CORRECTIONS):
        both = then.after(first)
        assert both in CORRECTIONS
        np.testing.assert_array_equal(both.apply(FILM), then.apply(first.apply(FILM)))


def test_corrections_are_told_in_whole_sentences() -> None:
    assert UPRIGHT.complaint() == ""
    assert UPRIGHT.words() == "Leave it as it is."
    assert len({one.words() for one in CORRECTIONS}) == 16
    assert Correction(1).words() == "Turn it by 90° counter-clockwise."
    assert Correction(1).complaint() == "The film seems to be turned by 90° clockwise."
    assert "dextrocardia" in MIRROR.complaint()
    both = Correction(2, invert=True)
    assert both.words() == "Turn it by 180°. Invert black and white."
    assert "upside down" in both.complaint()
    assert "black and white are inverted" in both.complaint()


class Watched:
    """Looks at a film that needs a correction, and counts them."""

    def __init__(self, needed: Correction, *, facing: float = 0.9, distance: float = 0.1) -> None:
        self.needed, self.facing, self.distance = needed, facing, distance
        self.made: list[Correction] = []

    def __call__(self, made: Correction) -> Look:
        self.made.append(made)
        left = self.needed.after(made.inverse())  # what the film is still in need of
        turns = replace(left, mirror=False)
        upright = turns == UPRIGHT
        return Look(
            distance=self.distance,
            upright=0.9 if upright else 0.1,
            placing=turns,
            facing=(-self.facing if left.mirror else self.facing) if upright else 0.0,
        )


@pytest.mark.parametrize("needed", CORRECTIONS)
def test_what_a_film_needs_is_offered(needed: Correction) -> None:
    see = Watched(needed)
    result = judge(gate(), see)
    assert result == GateResult(needed == UPRIGHT, needed.complaint(), None if needed == UPRIGHT else needed)
    assert see.made[0] == UPRIGHT
    assert len(see.made) == 1 + (replace(needed, mirror=False) != UPRIGHT) + needed.mirror


def test_a_film_of_unclear_side_is_compared_with_its_mirror_image() -> None:
    see = Watched(UPRIGHT, facing=0.2)
    assert judge(gate(), see).accepted
    assert see.made == [UPRIGHT, MIRROR]
    assert not judge(gate(), Watched(MIRROR, facing=0.2)).accepted
    assert judge(gate(least_faced=-0.5), Watched(MIRROR, facing=0.2)).accepted


def test_nothing_is_offered_where_it_would_not_be_accepted() -> None:
    result = judge(gate(), Watched(UPRIGHT, distance=0.3))
    assert result == GateResult(False, result.reason, None)
    assert "does not look like a frontal chest film" in result.reason
    see = Watched(Correction(1), distance=0.3)
    assert judge(gate(), see).correction is None
    assert len(see.made) <= 3
    result = judge(gate(), lambda _: Look(0.1, 0.2, PLACINGS[3], 0.9))
    assert "does not look like an upright frontal chest film" in result.reason
    assert result.correction is None

    def only_as_it_is(made: Correction) -> Look:
        return Look(0.1, 0.9 if made == UPRIGHT else 0.1, UPRIGHT, -0.9 if made == UPRIGHT else 0.9)

    result = judge(gate(), only_as_it_is)
    assert "mirrored" in result.reason
    assert result.correction is None


def test_a_look_is_a_distance_and_linear_scores() -> None:
    made = gate()
    features = torch.rand(CHANNELS, 6, 6)
    look = made.look(features)
    mean = features.mean(dim=(1, 2))
    assert look.distance == pytest.approx(1 - (mean @ made.centre / mean.norm() / made.centre.norm()).item())
    quarters = features.reshape(CHANNELS, 2, 3, 2, 3).mean(dim=(2, 4))
    scores = (made.placed * quarters).sum(dim=(1, 2, 3)) + made.biases[:8]
    assert look.upright == pytest.approx(scores[0].item(), rel=1e-4)
    assert look.placing == PLACINGS[int(scores.argmax())]
    ninths = features.reshape(CHANNELS, 3, 2, 3, 2).mean(dim=(2, 4))
    assert look.facing == pytest.approx(((made.facing * ninths).sum() + made.biases[8]).item(), rel=1e-4)
    assert made.look(3 * features).distance == pytest.approx(look.distance, abs=1e-6)


def test_it_is_read_as_it_was_written() -> None:
    made = gate()
    again = Gate.from_bytes(made.to_bytes())
    assert again.fit == made.fit
    torch.testing.assert_close(again.centre, made.centre, rtol=0, atol=0)
    for a, b in ((again.placed, made.placed), (again.facing, made.facing)):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))
    assert again.to_bytes() == Gate.from_bytes(again.to_bytes()).to_bytes()


@pytest.fixture
def gated(tiny: Path) -> Path:
    """The tiny bundle with a gate of its weights."""
    manifest = bundle.read_manifest(tiny)
    channels = bundle.load_network(tiny, manifest).head.in_features
    (tiny / GATE).write_bytes(gate(manifest.weights_sha256, channels).to_bytes())
    return tiny


def test_a_bundle_has_a_gate_or_has_none(tiny: Path, gated: Path) -> None:
    loaded = bundle.load(gated)
    assert loaded.gate is not None
    assert loaded.gate.fit.films == 3
    assert bundle.load(gated, gate=False).gate is None
    (gated / GATE).unlink()
    assert bundle.load(tiny).gate is None


def spoilt(data: bytes, **changes: torch.Tensor | None) -> bytes:
    """The file with tensors replaced, or left out where None."""
    tensors = load_tensors(data) | {k: v for k, v in changes.items() if v is not None}
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    kept = {name: value for name, value in tensors.items() if changes.get(name, value) is not None}
    return save_tensors(kept, header["__metadata__"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda data: data[: len(data) // 2],
        lambda _: b"{" * 200,
        lambda data: save_tensors(load_tensors(data)),
        lambda data: save_tensors(load_tensors(data), {"fit": "{}"}),
        lambda data: spoilt(data, centre=None),
        lambda data: spoilt(data, facing_scale=None),
        lambda data: spoilt(data, placed=torch.zeros(2)),
        lambda data: spoilt(data, biases=torch.zeros(3)),
        lambda data: spoilt(data, biases=torch.full((9,), torch.nan)),
        lambda data: spoilt(data, centre=torch.zeros(3)),
    ],
)
def test_a_damaged_gate_is_said_to_be(gated: Path, spoil) -> None:
    (gated / GATE).write_bytes(spoil((gated / GATE).read_bytes()))
    with pytest.raises(BundleError, match=r"gate\.safetensors of bundle .* is damaged"):
        bundle.load(gated)


def test_a_gate_of_other_weights_is_refused(gated: Path) -> None:
    manifest = bundle.read_manifest(gated)
    channels = bundle.load(gated).network.head.in_features
    for foreign in (gate("1" * 64, channels), gate(manifest.weights_sha256, channels + 1)):
        (gated / GATE).write_bytes(foreign.to_bytes())
        with pytest.raises(BundleError, match=r"other weights: run `python -m train gate .* --data DIR`"):
            bundle.load(gated)


def test_rates_of_other_weights_are_not_shown(gated: Path) -> None:
    assert bundle.load(gated).gate_rates() is None
    sha = bundle.read_manifest(gated).weights_sha256
    for of, shown in ((sha, True), ("1" * 64, False)):
        rates = GateRates(command="", weights_sha256=of, fitted_films=3, fitted_patients=2)
        (gated / "gate.json").write_bytes(bundle.to_json(rates, GateRates))
        assert (bundle.load(gated).gate_rates() == rates) is shown
    (gated / "gate.json").write_text("[]")
    with pytest.raises(BundleError, match=r"gate\.json .*damaged"):
        bundle.load(gated).gate_rates()


def test_intervals_are_wilson_s() -> None:
    for successes, trials in ((0, 5), (5, 5), (3, 7), (150, 156)):
        found = wilson(successes, trials)
        expected = binomtest(successes, trials).proportion_ci(method="wilson")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
        assert found.value == successes / trials
    wider = wilson(150, 156, 112)
    assert wider.value == 150 / 156
    assert wider.low < wilson(150, 156).low
    assert np.isnan(wilson(0, 0).value)


@pytest.mark.shared
@pytest.mark.slow
def test_the_shipped_gate_on_unseen_films(shared: Path) -> None:
    """A sample of `valid.csv`: wide margins, as the figures are in the card."""
    if not (SHIPPED / GATE).is_file():
        pytest.skip("the shipped bundle has no gate")
    predictor = Predictor.from_bundle(SHIPPED)
    root = shared / "xrays"
    chosen = pd.read_csv(root / "valid.csv")["Path"].iloc[::7].head(20)
    films = [images.read(root.joinpath(*Path(path).parts[1:])).grey for path in chosen]
    assert sum(predictor.predict(film).gate.accepted for film in films) >= 18
    for needed in (Correction(invert=True), Correction(1), Correction(2, mirror=True, invert=True)):
        results = [predictor.predict(needed.inverse().apply(film)).gate for film in films[:10]]
        assert sum(not result.accepted for result in results) == 10
        assert sum(result.correction == needed for result in results) >= 8
    noise = np.random.default_rng(0).integers(0, 256, (200, 300), dtype=np.uint8)
    for picture in (
        noise,
        np.full((99, 99), 200, np.uint8),
        np.tile(np.arange(256, dtype=np.uint8), (256, 1)),
    ):
        prediction = predictor.predict(picture)
        assert prediction.withheld
        assert prediction.gate.correction is None


def test_the_shipped_gate_is_small_and_of_its_weights(tmp_path: Path) -> None:
    if not (SHIPPED / GATE).is_file():
        pytest.skip("the shipped bundle has no gate")
    copy = Path(shutil.copytree(SHIPPED, tmp_path / "demo"))
    loaded = bundle.load(copy)
    assert (copy / GATE).stat().st_size < 1_000_000
    rates = loaded.gate_rates()
    assert rates is not None
    assert rates.rates
    assert "## Input check" in loaded.card()
    assert "Nothing checks" not in loaded.card()
