"""A real training, small: fit, evaluate, resume, reload, and the errors on the way."""

import json
import shutil
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from chexmodel import bundle, images
from chexmodel.errors import BundleError, ChexError, DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.predictor import Predictor
from chexmodel.preprocessing import Preprocessing
from chexmodel.scores import interval
from chexmodel.table import image_paths, read_table
from train import evaluate as judging
from train.__main__ import main
from train.commands import EvaluateConfig
from train.config import FitConfig
from train.dataset import load_splits
from train.evaluate import evaluate
from train.films import Films, augmentation
from train.fit import fit
from train.module import Classifier
from train.run import _devices, epoch_weights
from train.sampling import Draw


def config(data: Path, out: Path, **options: Any) -> FitConfig:
    small = {"backbone": "resnet10t", "weights": "none", "image_size": 64, "batch_size": 8, "workers": 0}
    run = {"epochs": 1, "validation": 0.4, "accelerator": "cpu", "seed": 3}
    return FitConfig(data=data, out=out, **(small | run | options))


@pytest.fixture(scope="module")
def run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train two epochs and judge them, once for all tests that only look at the result."""
    out = fit(config(tiny_data, tmp_path_factory.mktemp("runs") / "tiny", epochs=2))
    page = out.parent / "page.html"
    evaluate(EvaluateConfig(bundle=out, data=tiny_data, bootstrap=50, workers=0, html=page))
    return out


def test_the_report_is_that_of_the_bundle(run: Path) -> None:
    page = (run.parent / "page.html").read_text()
    loaded = bundle.load(run)
    assert loaded.manifest.weights_sha256 in page
    assert interval(loaded.metrics().splits["test"].scores[3].auroc) in unescape(page)
    assert "--html" not in loaded.metrics().command


def test_a_run_leaves_a_whole_bundle(run: Path) -> None:
    expected = {"bundle.json", "model.safetensors", "calibration.json", "thresholds.json", "metrics.json"}
    expected |= {"predictions.parquet", "history.csv", "curves.png", "card.md"}
    expected |= {"reliability.json", "subgroups.json", "localisation.json"}
    assert expected <= {file.name for file in run.iterdir()}
    loaded = bundle.load(run)
    assert set(loaded.manifest.not_trained) >= {"Fracture", "Pneumonia"}
    assert "Lung Opacity" not in loaded.manifest.not_trained
    assert sum(loaded.manifest.data.films.values()) == 36
    assert not torch.equal(loaded.network.head.weight, torch.zeros_like(loaded.network.head.weight))


def test_fits_see_validation_alone_and_every_interval_the_patients(
    run: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On so few films all is a default: what the fits are given tells whether the test split is kept out."""
    copy = Path(shutil.copytree(run, tmp_path / run.name))
    seen: dict[str, list[tuple[np.ndarray, list[str]]]] = {}

    def watched(module: Any, name: str) -> None:
        function = getattr(module, name)

        def spy(targets: np.ndarray, *rest: Any, **options: Any) -> Any:
            seen.setdefault(name, []).append((targets, list(options["patients"])))
            return function(targets, *rest, **options)

        monkeypatch.setattr(module, name, spy)

    for name in ("fit_calibrations", "fit_thresholds", "reliability"):
        watched(judging, name)
    watched(judging.metrics, "evaluate")
    evaluate(EvaluateConfig(bundle=copy, data=tiny_data, bootstrap=5, workers=0))
    rows = bundle.load(copy).predictions()
    split = {name: rows[rows["split"] == name] for name in ("validation", "test")}
    assert seen.keys() == {"fit_calibrations", "fit_thresholds", "reliability", "evaluate"}
    for name, calls in seen.items():
        expected = ["validation"] if name.startswith("fit_") else ["validation", "test"]
        for (targets, patients), films in zip(calls, expected, strict=True):
            assert patients == split[films]["patient"].tolist()
            for k, observation in enumerate(OBSERVATIONS):
                known = ~np.isnan(targets[:, k])
                labels = split[films][f"target {observation}"].to_numpy()
                np.testing.assert_array_equal(targets[known, k], labels[known])


def test_history_has_a_full_row_per_epoch(run: Path) -> None:
    history = bundle.read_history(run)
    assert history["epoch"].tolist() == [1, 2]
    wanted = ["train_loss", "val_loss", "val_accuracy", "val_recall", "val_auroc", "learning_rate", "seconds"]
    assert np.isfinite(history[wanted].to_numpy()).all()
    assert history["learning_rate"].iloc[-1] < history["learning_rate"].iloc[0]  # one cycle ends low


def test_reloaded_bundle_gives_the_published_logits(run: Path, tiny_data: Path) -> None:
    predictor = Predictor.from_bundle(run)
    published = predictor.bundle.predictions()
    test = published[published["split"] == "test"]
    paths = image_paths(read_table(tiny_data / "valid.csv"), tiny_data / "valid.csv")
    assert len(test) == len(paths) > 0
    for row, path in zip(test.to_dict("records"), paths, strict=True):
        logits = np.array([row[f"logit {name}"] for name in OBSERVATIONS])
        assert np.allclose(predictor.predict(path).logits, logits, atol=1e-4, equal_nan=True)


def test_no_patient_is_in_two_splits_and_uncertain_is_masked(run: Path) -> None:
    predictions = bundle.load(run).predictions()
    assert predictions.groupby("patient")["split"].nunique().max() == 1
    assert set(predictions["target Edema"].dropna().unique()) <= {0.0, 1.0}
    assert predictions["target Edema"].isna().any()
    assert predictions["target Fracture"].isna().all()


def test_metrics_name_their_conditions(run: Path) -> None:
    metrics = bundle.load(run).metrics()
    test = metrics.splits["test"]
    fracture = test.scores[OBSERVATIONS.index("Fracture")]
    assert fracture.undefined == "not trained in this model"
    assert np.isnan(fracture.auroc.value)
    assert (
        json.loads((run / "metrics.json").read_text())["splits"]["test"]["scores"][12]["auroc"]["value"]
        is None
    )
    assert test.macro["auroc"].observations < len(OBSERVATIONS)
    assert metrics.weights_sha256 == bundle.load(run).manifest.weights_sha256
    card = (run / "card.md").read_text()
    assert "Not a medical device" in card
    assert "--backbone resnet10t" in card


def test_an_interrupted_run_resumes_to_the_same_weights(
    tiny_data: Path, tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(tiny_data, tmp_path / "tiny", epochs=2)
    step = Classifier.training_step

    def interrupted(self: Classifier, batch: Any, index: int) -> torch.Tensor:
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(Classifier, "training_step", interrupted)
    with pytest.raises(ChexError, match="--resume"):
        fit(wanted)
    monkeypatch.setattr(Classifier, "training_step", step)
    with pytest.raises(BundleError, match=r"another configuration.*gamma"):
        fit(wanted.model_copy(update={"resume": True, "gamma": 0.5}))
    fit(wanted.model_copy(update={"resume": True}))
    resumed, straight = (bundle.read_manifest(path) for path in (wanted.out, run))
    assert resumed.weights_sha256 == straight.weights_sha256
    columns = ["epoch", "train_loss", "val_loss", "val_auroc", "learning_rate"]
    pd.testing.assert_frame_equal(bundle.read_history(wanted.out)[columns], bundle.read_history(run)[columns])


def test_output_is_not_overwritten(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"not empty.*--resume"):
        fit(config(tiny_data, run))
    with pytest.raises(BundleError, match="no finished epoch"):
        fit(config(tiny_data, tmp_path / "new", resume=True))


def test_groups_of_films_are_those_of_the_tables(run: Path, tiny_data: Path) -> None:
    found = bundle.load(run).subgroups()
    assert list(found) == ["validation", "test"]
    assert [column.name for column in found["test"].columns] == ["Sex", "Age", "AP/PA"]
    films = pd.concat([pd.read_csv(tiny_data / name) for name in ("train.csv", "valid.csv")])
    films = films.set_index("Path").loc[bundle.load(run).predictions().set_index("split").loc["test", "id"]]
    counted = {group.name: group.films for group in found["test"].columns[0].groups}
    assert counted == films["Sex"].value_counts().to_dict()
    opacity = {group.name: group.scores[3].positives for group in found["test"].columns[0].groups}
    assert opacity == films.groupby("Sex")["Lung Opacity"].sum().to_dict()


@pytest.mark.parametrize(("column", "why"), [("Ward", "no column “Ward”"), ("Site", "not every table")])
def test_a_column_that_is_not_there_stops_before_the_films_are_read(
    run: Path, copied_data: Path, column: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_csv(copied_data / "train.csv", dtype=str, keep_default_na=False)
    table.assign(Site="A").to_csv(copied_data / "train.csv", index=False)
    monkeypatch.setattr("train.held_out.predict", None)
    monkeypatch.setattr("train.evaluate.require_same_data", lambda *_: None)  # one table has a column more
    with pytest.raises(DatasetError, match=why):
        evaluate(EvaluateConfig(bundle=run, data=copied_data, by=(column,), workers=0))


def test_other_data_are_refused(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    table = pd.read_csv(tiny_data / "train.csv")
    table.to_csv(tmp_path / "train.csv", index=False, float_format="%.2f")
    (tmp_path / "train").symlink_to(tiny_data / "train")
    with pytest.raises(DatasetError, match="is not the data"):
        evaluate(EvaluateConfig(bundle=run, data=tmp_path, workers=0))


def test_missing_films_stop_or_are_counted(tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "train").symlink_to(tiny_data / "train")
    table = pd.read_csv(tiny_data / "train.csv")
    lost = table.iloc[[0, 1]].assign(
        Path=["train/patient90000/study1/view1_frontal.jpg", "train/patient90001/study1/view1_frontal.jpg"]
    )
    pd.concat([table, lost]).to_csv(tmp_path / "train.csv", index=False)
    wanted = config(tmp_path, tmp_path / "run", test=0.2)
    with pytest.raises(DatasetError, match=r"2 of 32 films are missing"):
        load_splits(wanted)
    splits = load_splits(wanted.model_copy(update={"skip_missing": True}))
    assert splits.fingerprint.missing_images == 2
    assert sum(splits.fingerprint.films.values()) == 30
    assert set(splits.fingerprint.films) == {"train", "validation", "test"}


def test_a_patient_in_both_files_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "train").symlink_to(tiny_data / "train")
    table = pd.read_csv(tiny_data / "train.csv")
    table.to_csv(tmp_path / "train.csv", index=False)
    table.head(2).to_csv(tmp_path / "valid.csv", index=False)
    with pytest.raises(DatasetError, match="patient00000"):
        load_splits(config(tmp_path, tmp_path / "run"))


def test_validation_without_two_classes_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "train").symlink_to(tiny_data / "train")
    table = pd.read_csv(tiny_data / "train.csv")
    table[list(OBSERVATIONS)] = 0.0
    table.to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(DatasetError, match="mean AUROC is undefined"):
        fit(config(tmp_path, tmp_path / "run"))


def test_augmentation_is_a_function_of_the_draw(tiny_data: Path, tmp_path: Path) -> None:
    wanted = config(tiny_data, tmp_path / "run")
    split = load_splits(wanted).pairs[0].train
    preprocessing = Preprocessing(size=64, mean=(0.5,) * 3, std=(0.5,) * 3)
    films = Films(split, split.targets, preprocessing, augmentation(wanted))
    state = torch.get_rng_state()
    first, again, other = (films[Draw(0, seed)][0] for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())
    plain = Films(split, split.targets, preprocessing)
    assert torch.equal(plain[0][0], plain[Draw(0, 7)][0])


def test_command_line_says_it_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err
    assert "no train.csv" in message
    assert "Traceback" not in message
    assert main(["evaluate", str(tmp_path / "none"), "--data", str(tmp_path)]) == 2
    assert "there is no bundle" in capsys.readouterr().err


def test_a_corrupt_film_is_named(tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv(tiny_data / "train.csv")
    for name in table["Path"]:
        file = tmp_path / name.partition("/")[2]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\xff\xd8\xff\xe0 no film")
    table.to_csv(tmp_path / "train.csv", index=False)
    options = ["--backbone", "resnet10t", "--weights", "none", "--image-size", "64", "--workers", "1"]
    command = ["fit", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--accelerator", "cpu"]
    assert main([*command, *options, "--validation", "0.4"]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("film ")
    assert "can't be read" in message


def test_a_machine_that_is_not_there_is_a_sentence(tiny_data: Path, tmp_path: Path) -> None:
    wanted = config(tiny_data, tmp_path / "run", accelerator="warp")
    with pytest.raises(ChexError, match="can't run with accelerator 'warp'"):
        fit(wanted)
    assert not wanted.out.exists()  # nothing was started, so that the corrected command runs


def test_a_run_without_a_finished_epoch_may_be_started_again(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> torch.Tensor:
        raise KeyboardInterrupt

    wanted = config(tiny_data, tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "training_step", interrupted)
        with pytest.raises(ChexError, match="start again"):
            fit(wanted)
    assert bundle.read_history(fit(wanted))["epoch"].tolist() == [1]


def test_sampling_factors_can_be_set(tiny_data: Path, tmp_path: Path) -> None:
    wanted = config(tiny_data, tmp_path / "run", factors={"Lung Opacity": 3.0}, rare=0.001)
    split = load_splits(wanted).pairs[0].train
    opaque = split.targets[:, OBSERVATIONS.index("Lung Opacity")] == 1
    weights = epoch_weights(split, wanted)
    assert np.allclose(weights[opaque], 3.0)
    assert np.allclose(weights[~opaque], 1.0)
    assert (epoch_weights(split, wanted.model_copy(update={"sampler": "shuffle"})) == 1).all()


@pytest.mark.parametrize(
    ("text", "given"), [("auto", "auto"), ("2", 2), ("-1", -1), ("0,1", [0, 1]), ("0,", [0])]
)
def test_devices_are_passed_as_lightning_reads_them(text: str, given: object) -> None:
    assert _devices(text) == given


def test_training_folder_and_app_see_the_same_input(tiny_data: Path, tmp_path: Path) -> None:
    splits = load_splits(config(tiny_data, tmp_path / "run"))
    preprocessing = Preprocessing(size=64, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    films = Films(splits.test, splits.test.truth, preprocessing)
    for position in (0, len(films) - 1):
        data = splits.test.sources[position].read_bytes()
        assert torch.equal(films[position][0], preprocessing.tensor(images.read(data).pixels))


def test_a_moved_run_still_becomes_a_bundle(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(run, tmp_path / "moved"))
    fit(config(tiny_data, moved, epochs=2, resume=True))
    assert bundle.read_manifest(moved).weights_sha256 == bundle.read_manifest(run).weights_sha256


def test_damaged_configurations_are_sentences(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    spoilt = Path(shutil.copytree(run, tmp_path / "spoilt"))
    (spoilt / "config.json").write_text("{")
    with pytest.raises(BundleError, match=r"config\.json is damaged"):
        fit(config(tiny_data, spoilt, epochs=2, resume=True))
    manifest = json.loads((spoilt / "bundle.json").read_text())
    manifest["config"]["gamma"] = "strong"
    (spoilt / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"does not fit this program \(gamma\)"):
        evaluate(EvaluateConfig(bundle=spoilt, data=tiny_data, workers=0))


def test_an_untrained_observation_has_no_threshold_in_the_scores(run: Path) -> None:
    for score in bundle.load(run).metrics().splits["test"].scores:
        assert np.isnan(score.threshold) == (score.undefined == "not trained in this model")


def test_the_last_epoch_is_kept_also_when_it_is_no_better(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([0.9, 0.8, 0.7])

    def judged(*_: Any, **__: Any) -> SimpleNamespace:
        value = SimpleNamespace(value=next(falling))
        return SimpleNamespace(macro=dict.fromkeys(("precision", "recall", "f1", "auroc"), value))

    monkeypatch.setattr("train.module.evaluate", judged)
    out = fit(config(tiny_data, tmp_path / "run", epochs=3))
    epochs = {
        name: torch.load(out / "checkpoints" / f"{name}.ckpt", weights_only=True)["epoch"]
        for name in ("best", "last")
    }
    assert epochs == {"best": 0, "last": 2}
    assert sorted(file.name for file in (out / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
