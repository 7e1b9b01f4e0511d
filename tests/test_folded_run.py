"""A real training in folds, small: each film is scored by the network that did not learn from its patient."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from chexmodel import bundle
from chexmodel.errors import BundleError, ChexError, DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.network import Network
from chexmodel.predictor import Predictor
from chexmodel.runs import read_finished
from chexmodel.table import image_paths, read_table
from train.commands import EvaluateConfig
from train.config import FitConfig
from train.dataset import Split, Splits, load_splits, untrained
from train.evaluate import evaluate
from train.fit import fit, members_of
from train.module import Classifier
from train.predict import predict

FOLDS = 2
LOGITS = [f"logit {name}" for name in OBSERVATIONS]


def config(data: Path, out: Path, **options: Any) -> FitConfig:
    small = {"backbone": "test_resnet", "weights": "none", "image_size": 64, "batch_size": 8, "workers": 0}
    run = {"epochs": 2, "folds": FOLDS, "accelerator": "cpu", "seed": 3, "weights_dtype": "float32"}
    run["learning_rate"] = 1e-2  # the members begin alike and should end apart
    return FitConfig(data=data, out=out, **(small | run | options))


@pytest.fixture(scope="module")
def run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = fit(config(tiny_data, tmp_path_factory.mktemp("runs") / "folded"))
    evaluate(EvaluateConfig(bundle=out, data=tiny_data, bootstrap=20, workers=0))
    return out


@pytest.fixture(scope="module")
def splits(run: Path, tiny_data: Path) -> Splits:
    return load_splits(config(tiny_data, run))


def scored(net: Network, split: Split, run: Path, data: Path) -> np.ndarray:
    """Logits (N, 14) as a bundle publishes them: NaN where nothing was trained."""
    manifest = bundle.read_manifest(run)
    logits = predict(net, split, manifest.preprocessing, config(data, run), name="test")
    logits[:, [OBSERVATIONS.index(name) for name in manifest.not_trained]] = np.nan
    return logits


def test_every_film_but_the_tests_is_held_out_once(run: Path, tiny_data: Path, splits: Splits) -> None:
    table = bundle.load(run).predictions()
    held_out, test = (table[table["split"] == name] for name in ("validation", "test"))
    assert sorted(held_out["id"]) == sorted(read_table(tiny_data / "train.csv")["Path"])
    assert sorted(test["id"]) == sorted(read_table(tiny_data / "valid.csv")["Path"])
    assert held_out["fold"].tolist() == [
        number for number, pair in enumerate(splits.pairs, start=1) for _ in range(len(pair.validation))
    ]
    assert set(held_out["fold"]) == {1, 2}
    assert pd.api.types.is_integer_dtype(table["fold"])
    assert test["fold"].isna().all()
    assert table.groupby("patient")["fold"].nunique().max() == 1


def test_a_film_is_scored_by_the_member_that_did_not_learn_from_its_patient(
    run: Path, tiny_data: Path, splits: Splits
) -> None:
    table = bundle.load(run).predictions().set_index("id")
    members = bundle.load_members(run, bundle.read_manifest(run))
    assert len(members) == FOLDS
    for member, other, pair in zip(members, members[::-1], splits.pairs, strict=True):
        assert not set(pair.train.patients) & set(pair.validation.patients)
        published = table.loc[pair.validation.ids, LOGITS].to_numpy()
        found = scored(member, pair.validation, run, tiny_data)
        np.testing.assert_allclose(published, found, atol=1e-4)
        wrong = scored(other, pair.validation, run, tiny_data)
        assert np.nanmax(np.abs(published - wrong)) > 1e-2  # a hundred times what the above lets pass


def test_a_member_is_the_network_that_was_trained_without_its_fold(run: Path) -> None:
    """Weights of member K are those of fold K's last checkpoint: the numbers of both agree."""
    for number, member in enumerate(bundle.load_members(run, bundle.read_manifest(run)), start=1):
        file = run / f"fold-{number:02d}" / "checkpoints" / "last.ckpt"
        state = torch.load(file, weights_only=True)["state_dict"]
        for name, value in member.state_dict().items():
            torch.testing.assert_close(value, state[f"network.{name}"], rtol=0, atol=0)


def test_test_films_are_scored_by_the_mean_of_the_members(run: Path, tiny_data: Path, splits: Splits) -> None:
    table = bundle.load(run).predictions().set_index("id")
    members = bundle.load_members(run, bundle.read_manifest(run))
    mean = np.mean([scored(net, splits.test, run, tiny_data) for net in members], axis=0)
    np.testing.assert_allclose(table.loc[splits.test.ids, LOGITS].to_numpy(), mean, atol=1e-4)
    predictor = Predictor.from_bundle(run)
    paths = image_paths(read_table(tiny_data / "valid.csv"), tiny_data / "valid.csv")
    for path, logits in zip(paths, mean, strict=True):
        np.testing.assert_allclose(predictor.predict(path).logits, logits, atol=1e-3, equal_nan=True)


def test_the_bundle_says_what_it_is(run: Path) -> None:
    manifest = bundle.read_manifest(run)
    assert (manifest.members, manifest.config["folds"], manifest.format_version) == (2, 2, 2)
    assert set(manifest.data.films) == set(manifest.data.patients) == {"train", "test"}
    assert sum(manifest.data.films.values()) == 36
    assert [file.name for file in (run / "members").iterdir()] == ["01.safetensors"]
    metrics = bundle.load(run).metrics()
    assert metrics.splits["validation"].films == manifest.data.films["train"]
    card = (run / "card.md").read_text()
    assert "2 members, one a fold" in card
    assert "--folds 2" in card
    rows = bundle.load(run).predictions().query("split == 'validation'").groupby("fold")
    for number, films in rows:
        assert f"fold {number:.0f} has {len(films)} films of {films['patient'].nunique()} patients" in card
    assert len(rows) == 2
    finished = read_finished(run, "validation", name="folded")  # what comparisons read
    assert len(finished.judged.ids) == manifest.data.films["train"]


def test_history_is_the_mean_of_the_members(run: Path) -> None:
    history = bundle.read_history(run)
    single = [bundle.read_history(run / f"fold-{number:02d}") for number in (1, 2)]
    assert history["epoch"].tolist() == [1, 2]
    for column in ("train_loss", "val_loss", "val_auroc", "learning_rate", "seconds"):
        expected = (single[0][column] + single[1][column]) / 2
        np.testing.assert_allclose(history[column], expected, rtol=1e-12)
    assert (single[0]["val_loss"] != single[1]["val_loss"]).all()


def test_what_one_fold_can_not_learn_the_model_has_not_learned(tiny_data: Path, tmp_path: Path) -> None:
    """The only patient with a consolidation is held out once: that member never saw one."""
    (tmp_path / "train").symlink_to(tiny_data / "train")
    (tmp_path / "valid").symlink_to(tiny_data / "valid")
    shutil.copy(tiny_data / "valid.csv", tmp_path)
    table = pd.read_csv(tiny_data / "train.csv")
    table.loc[table["Path"].str.contains("patient00003"), "Consolidation"] = 1.0
    table.to_csv(tmp_path / "train.csv", index=False)
    pairs = load_splits(config(tmp_path, tmp_path / "run")).pairs
    without = [
        number for number, pair in enumerate(pairs, start=1) if "patient00003" not in pair.train.patients
    ]
    assert len(without) == 1
    reasons = untrained(pairs, OBSERVATIONS)
    assert reasons["Consolidation"].endswith(f"of the training data of fold {without[0]}")
    assert reasons["Fracture"] == "no label in the training data"
    assert "Lung Opacity" not in reasons


def test_an_interrupted_fold_is_gone_on_with(
    run: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second epoch of the second fold; the first fold is not trained again."""
    wanted = config(tiny_data, tmp_path / "folded")
    again = wanted.model_copy(update={"resume": True})
    step = Classifier.training_step
    trained: list[tuple[str, int]] = []

    def watched(self: Classifier, batch: Any, index: int) -> torch.Tensor:
        trained.append((self.config.out.name, self.current_epoch))
        return step(self, batch, index)

    def interrupted(self: Classifier, batch: Any, index: int) -> torch.Tensor:
        if self.config.out.name == "fold-02" and self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    with pytest.raises(BundleError, match="start without --resume"):
        fit(again)
    monkeypatch.setattr(Classifier, "training_step", interrupted)
    with pytest.raises(ChexError, match="--resume"):
        fit(wanted)
    assert not (wanted.out / "bundle.json").exists()
    with pytest.raises(DatasetError, match=r"not empty.*--resume"):
        fit(wanted)
    with pytest.raises(BundleError, match=r"another configuration.*folds 2 → 3"):
        fit(again.model_copy(update={"folds": 3}))
    monkeypatch.setattr(Classifier, "training_step", watched)
    fit(again)
    assert set(trained) == {("fold-02", 1)}
    assert bundle.read_manifest(wanted.out).weights_sha256 == bundle.read_manifest(run).weights_sha256


def test_folds_do_not_overwrite_another_run(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in run.rglob("*"))
    with pytest.raises(DatasetError, match="not empty"):
        fit(config(tiny_data, run))
    assert sorted(path.name for path in run.rglob("*")) == before
    (tmp_path / "bundle.json").write_text("{}")  # of a run without folds
    for wanted in (config(tiny_data, tmp_path), config(tiny_data, run, folds=0)):
        with pytest.raises(DatasetError, match="not empty"):
            fit(wanted)
    assert members_of(config(tiny_data, tmp_path / "new", folds=0)) == [
        config(tiny_data, tmp_path / "new", folds=0)
    ]


def test_a_fold_without_two_classes_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "train").symlink_to(tiny_data / "train")
    table = pd.read_csv(tiny_data / "train.csv")
    table[list(OBSERVATIONS)] = 0.0
    table.to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(DatasetError, match="choose fewer --folds, or take another --seed"):
        fit(config(tmp_path, tmp_path / "run"))
    with pytest.raises(DatasetError, match="patients can't be dealt out to 99 folds"):
        fit(config(tmp_path, tmp_path / "run", folds=99))


def test_members_that_the_configuration_does_not_make_are_a_sentence(
    run: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Else a film would be scored by a member that learned from it."""
    spoilt = Path(shutil.copytree(run, tmp_path / "spoilt"))
    content = json.loads((spoilt / "bundle.json").read_text())
    content["config"]["folds"] = 3
    (spoilt / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match="2 members, which its configuration of 3 folds"):
        evaluate(EvaluateConfig(bundle=spoilt, data=tiny_data, workers=0))
