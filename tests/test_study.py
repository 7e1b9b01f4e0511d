"""The study: its plan, its trainings one by one, and the table made of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from chexmodel.errors import BundleError, ChexError, DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.studies import read_study
from train import study as studies
from train.commands import StudyConfig
from train.module import Classifier
from train.study import CHANGES, Run, fit_config, plan, study
from train.study_summary import summarise


def config(out: Path, data: Path | None = None, **options: Any) -> StudyConfig:
    small = {"backbone": "test_resnet", "second_backbone": "resnet10t", "image_size": 64, "epochs": 1}
    none = {"weights": "none", "second_weights": "none", "accelerator": "cpu", "bootstrap": 20}
    return StudyConfig(data=data or out, out=out, **(small | none | options))


def test_the_plan_has_each_training_once_and_changes_one_thing(tmp_path: Path) -> None:
    wanted = config(tmp_path)
    runs = plan(wanted)
    assert len(runs) == len(set(runs)) == len({run.file for run in runs}) == 8 * 2 * 3
    base = fit_config(wanted, Run("base", 0, 0))
    for name in CHANGES:
        other = fit_config(wanted, Run(name, 0, 0))
        changed = {key for key in type(base).model_fields if getattr(base, key) != getattr(other, key)}
        assert len(changed) == (0 if name == "base" else 1), (name, changed)


def test_a_stopped_study_goes_on_and_ends_in_a_table(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(studies, "CHANGES", {"base": {}, "moving average": {"ema": 0.5}})
    monkeypatch.setattr("train.study_summary.MIN_POSITIVES", 5)
    wanted = config(tmp_path / "study", tiny_data, seeds=1, folds=2)
    real, calls = studies.train, []

    def counted(settings: StudyConfig, run: Run) -> dict[str, Any]:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(run)
        return real(settings, run)

    monkeypatch.setattr(studies, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        study(wanted)
    assert len(list(wanted.out.glob("*.fold-*.json"))) == 3
    monkeypatch.setattr(studies, "train", real)
    kept = {file: file.stat().st_mtime_ns for file in wanted.out.glob("*.fold-*.json")}
    study(wanted)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept  # what was done is not done again
    assert not (wanted.out / "now").exists()
    found = read_study(wanted.out / "summary.json")
    assert [row.name for row in found.rows] == ["base", "moving average"]
    assert (found.films, found.folds, found.seeds, found.epochs, found.image_size) == (30, 2, 1, 1, 64)
    assert found.rows[1].changes == {"ema": 0.5}
    assert found.rows[0].difference is None
    printed = capsys.readouterr().out
    assert "moving average" in printed
    assert "30 films of 20 patients" in printed
    result = json.loads((wanted.out / Run("base", 0, 0).file).read_text())
    assert set(result["id"]).isdisjoint(json.loads((wanted.out / Run("base", 0, 1).file).read_text())["id"])


def test_a_training_that_is_stopped_says_how_the_study_goes_on(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:  # as Lightning does on Ctrl-C
        raise SystemExit

    monkeypatch.setattr(Classifier, "training_step", stopped)
    with pytest.raises(ChexError, match=r"stopped; .* the same command goes on") as raised:
        study(config(tmp_path / "study", tiny_data))
    assert "--resume" not in str(raised.value)


def made_up(rng: np.random.Generator, skill: float, truth: np.ndarray) -> list[dict[str, Any]]:
    """Results of two folds of a configuration."""
    logits = rng.normal(size=truth.shape) + skill * truth
    options = {"seed": 0, "weights": "w", "folds": 2, "epochs": 1, "image_size": 64, "loss": str(skill)}
    half = len(truth) // 2
    return [
        {
            "options": options,
            "seconds": 1.0,
            "id": [f"film{i:03d}" for i in part],
            "patient": [f"p{i // 2}" for i in part],
            "targets": truth[part].astype(int).tolist(),
            "logits": logits[part].tolist(),
        }
        for part in (np.arange(half), np.arange(half, len(truth)))
    ]


def test_the_table_is_scikit_learns_and_its_differences_are_paired() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((200, 14))
    truth[:, 3], truth[:, 5] = rng.random(200) < 0.5, rng.random(200) < 0.3
    truth[:, 8] = np.arange(200) < 5  # too few
    results = {
        name: [made_up(rng, skill, truth) for _ in range(2)]
        for name, skill in (("base", 0.5), ("better", 2.0))
    }
    found = summarise(results, bootstrap=200, command="study")
    assert found.observations == [["Lung Opacity"], ["Edema"]]
    base, better = found.rows
    by_seed = []
    for folds in results["better"]:
        logits = np.concatenate([run["logits"] for run in folds])
        by_seed.append(np.mean([roc_auc_score(truth[:, k], logits[:, k]) for k in (3, 5)]))
    assert better.by_seed == pytest.approx(by_seed, abs=1e-12)
    assert better.auroc.value == pytest.approx(np.mean(by_seed), abs=1e-12)
    assert better.difference is not None
    assert better.difference.value == pytest.approx(better.auroc.value - base.auroc.value, abs=1e-12)
    assert better.difference.low > 0
    assert better.changes == {"loss": "2.0"}
    frame = found.frame()
    assert frame["excludes zero"].tolist() == ["—", "yes"]
    same = summarise({"base": results["base"], "twin": results["base"]}, bootstrap=50, command="study").rows[
        1
    ]
    assert same.difference is not None
    assert (same.difference.value, same.difference.low, same.difference.high) == (0, 0, 0)
    assert set(better.by_observation) == {OBSERVATIONS[3], OBSERVATIONS[5]}


def test_damaged_results_are_sentences(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = np.tile(np.eye(14), (8, 1))
    lacking = made_up(rng, 1.0, truth)
    lacking[0]["id"] = lacking[1]["id"]
    with pytest.raises(DatasetError, match="score different films"):
        summarise({"base": [made_up(rng, 1.0, truth)], "other": [lacking]}, bootstrap=5, command="study")
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(BundleError, match="can't be read"):
        read_study(tmp_path / "summary.json")
