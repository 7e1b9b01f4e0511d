"""`python -m chexmodel read`: the reader without a browser."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from reports import rejected
from tiny_bundle import UNTRAINED, write_tiny_bundle

from chexmodel import phantom
from chexmodel.__main__ import main
from chexmodel.labels import OBSERVATIONS
from chexmodel.predictor import Predictor


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    file = tmp_path / "film.png"
    file.write_bytes(phantom.png(size=96))
    return file


def test_read_prints_and_writes_what_the_predictor_says(
    made: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, picture = tmp_path / "out" / "findings.csv", tmp_path / "out" / "overlay.png"
    assert (
        main(["read", str(film), "--model", str(made), "--csv", str(table), "--overlay", str(picture)]) == 0
    )
    expected = Predictor.from_bundle(made).predict(film)
    written = pd.read_csv(table)
    assert written["observation"].tolist() == list(OBSERVATIONS)
    assert np.allclose(written["probability"], expected.probabilities, equal_nan=True)
    assert written.set_index("observation").loc[UNTRAINED, ["probability", "threshold"]].isna().all()
    shown = capsys.readouterr()
    best = OBSERVATIONS[int(np.nanargmax(expected.probabilities))]
    assert shown.out.splitlines()[1].strip().startswith(best)
    assert "not trained in this model" in shown.out
    assert "no check of what it is shown" in shown.err
    painted = np.asarray(Image.open(BytesIO(picture.read_bytes())))
    assert np.array_equal(painted, np.asarray(expected.overlay(best, 0.55)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--overlay", "o.png", "--finding", "Fever"], "there is no observation 'Fever'"),
        (["--overlay", "o.png", "--finding", UNTRAINED], "was not trained in this model"),
        (["--overlay", "o.png", "--alpha", "3"], "between 0 and 1"),
        (["--csv", "/dev/null/findings.csv"], "can't be written"),
    ],
)
def test_what_can_not_be_done_is_a_sentence(
    made: Path, film: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read", str(film), "--model", str(made), *arguments]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence in message
    assert "Traceback" not in message
    assert not Path("o.png").exists()


def test_an_interruption_is_a_word(
    made: Path, film: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "from_bundle", interrupted)
    assert main(["read", str(film), "--model", str(made)]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_missing_film_and_a_missing_model_are_sentences(
    made: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read", str(tmp_path / "none.png"), "--model", str(made)]) == 2
    assert "none.png" in capsys.readouterr().err
    assert main(["read", str(film), "--model", str(tmp_path / "none")]) == 2
    assert "there is no bundle" in capsys.readouterr().err


@pytest.mark.shared
def test_the_shipped_model_reads_both_dicoms_of_a_film_alike(shared: Path) -> None:
    predictor = Predictor.from_bundle(Path(__file__).resolve().parents[1] / "assets" / "models" / "demo")
    one, two = (
        predictor.predict(shared / "dicom" / f"{name}.dcm") for name in ("mono1_uncompressed", "mono2_jpeg")
    )
    assert np.allclose(one.logits, two.logits, atol=1e-3, equal_nan=True)
    assert one.audit.photometric == "MONOCHROME1"


@pytest.mark.shared
def test_the_shipped_model_beats_a_constant_on_the_test_films(shared: Path) -> None:
    """The published logits are those of the shipped weights, and its mean AUROC is above chance."""
    root = Path(__file__).resolve().parents[1] / "assets" / "models" / "demo"
    predictor = Predictor.from_bundle(root)
    published = predictor.bundle.predictions().query("split == 'test'")
    for row in published.iloc[::20].to_dict("records"):
        path = shared / "xrays" / str(row["id"]).partition("/")[2]
        logits = [row[f"logit {name}"] for name in OBSERVATIONS]
        assert np.allclose(predictor.predict(path).logits, logits, atol=1e-3, equal_nan=True)
    assert predictor.bundle.metrics().splits["test"].macro["auroc"].low > 0.5


def test_a_rejected_film_gets_scores_only_on_insistence(
    made: Path, film: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    withheld = rejected(Predictor.from_bundle(made).predict(film))
    monkeypatch.setattr(Predictor, "predict", lambda *_, **__: withheld)
    assert main(["read", str(film), "--model", str(made)]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert withheld.gate is not None
    assert withheld.gate.reason in shown.err
    assert "--insist" in shown.err
    assert main(["read", str(film), "--model", str(made), "--insist"]) == 0
    assert OBSERVATIONS[3] in capsys.readouterr().out
