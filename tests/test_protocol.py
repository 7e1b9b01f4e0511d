"""The reference project's way to score beside ours: splits, constant answers, lifts, commands."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from apps import ran
from chexpert_rows import film, labelled, real_table, row, write
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from streamlit.testing.v1 import AppTest
from tiny_bundle import UNTRAINED, write_tiny_bundle

from chexmodel import bundle
from chexmodel.__main__ import main
from chexmodel.bundle import Fingerprint, Manifest
from chexmodel.errors import BundleError, DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.metrics import evaluate
from chexmodel.protocol import image_split, labels_of, leak, load_table_protocols, prevalence, table_protocols
from chexmodel.protocol_scores import CONSTANTS, MODEL, Judgement, Way, judge
from chexmodel.protocol_tables import both_ways, leak_sentence, macro_table, observation_table, one_class
from chexmodel.statistics import provenance_of
from chexmodel.table import read_table, split_by_patient
from chexmodel.ui.bundles import MODEL_KEY
from train.__main__ import main as train_main
from train.commands import EvaluateConfig
from train.pack import checksums
from train.reference import reference_protocol

NAN = np.nan
ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ROOT / "assets" / "statistics" / "reference_protocol.json"
YES, NO, PREVALENCE = CONSTANTS


def random_labels(seed: int = 0, films: int = 150) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (N, 14), calls (N, 14) and patients; column 11 all positive, 12 all negative, 13 unknown."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((films, 14)) < np.linspace(0.1, 0.9, 14)).astype(float)
    calls = rng.random((films, 14)) < 0.3 + 0.4 * labels
    labels[rng.random((films, 14)) < 0.2] = NAN
    labels[rng.random((films, 14)) < 0.05] = -1
    labels[:, 11], labels[:, 12], labels[:, 13] = 1, 0, NAN
    return labels, calls, np.array([f"p{i // 2}" for i in range(films)], dtype=object)


def judged(
    labels: np.ndarray, calls: np.ndarray | None = None, way: Way = "reference", **options: object
) -> Judgement:
    patients = np.arange(len(labels)).astype(object)
    given = {"base": np.full(14, 0.5), "patients": patients, "bootstrap": 30} | options
    return judge(labels, calls, way=way, **given)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- splits


def test_the_image_split_takes_a_share_of_films_whoever_they_are() -> None:
    table = labelled(np.zeros((200, 14)), [i // 4 for i in range(200)])
    scored = image_split(table, fraction=0.15, seed=0)
    assert scored.sum() == 30
    assert image_split(table.iloc[:101], fraction=0.15, seed=0).sum() == 16  # rounded up
    assert (image_split(table, fraction=0.15, seed=1) != scored).any()
    order = np.random.default_rng(0).permutation(200)
    assert (image_split(table.iloc[order], fraction=0.15, seed=0) == scored[order]).all()


def test_the_leak_counted_by_hand() -> None:
    table = labelled(np.zeros((6, 14)), [1, 1, 2, 3, 3, 3])
    found = leak(table, np.array([True, False, True, True, True, False]))
    assert (found.training_films, found.scored_films) == (2, 4)
    assert (found.scored_patients, found.shared_patients, found.shared_films) == (3, 2, 3)
    assert "2 of the 3 scored patients (67 %)" in leak_sentence(found)
    assert "3 of the 4 scored films (75 %)" in leak_sentence(found)


def test_a_split_by_patient_leaks_none() -> None:
    table = labelled(np.zeros((60, 14)), [i // 3 for i in range(60)])
    part = split_by_patient(table, fractions={"train": 0.7, "test": 0.3}, seed=2)["test"]
    assert leak(table, table.index.isin(part.index)).shared_patients == 0


@pytest.mark.parametrize(("films", "fraction"), [(1, 0.15), (10, 1.0), (10, 0.0)])
def test_a_split_without_two_parts_is_an_error(films: int, fraction: float) -> None:
    with pytest.raises(DatasetError, match="no two parts"):
        image_split(labelled(np.zeros((films, 14))), fraction=fraction)


# -------------------------------------------------------------------------------------------- by hand


def test_constant_answers_by_hand() -> None:
    labels = np.full((4, 14), NAN)
    labels[:, 0] = [1, 1, 1, NAN]  # no negative
    labels[:, 1] = [1, 0, 0, -1]
    labels[:, 2] = [0, 0, NAN, NAN]  # no positive
    base = np.full(14, NAN)
    base[:3] = 1.0, 1 / 3, 0.0
    reference = judged(labels, base=base)
    assert [estimate.value for estimate in reference.answer(YES).scores["f1"]][:4] == [1, 0.5, 0, 0]
    assert reference.answer(YES).macro["f1"].value == pytest.approx(1.5 / 14)
    assert reference.answer(YES).macro["f1"].observations == 14
    assert [estimate.value for estimate in reference.answer(PREVALENCE).scores["f1"]][:3] == [1, 0, 0]
    accuracy = reference.answer(NO).macro["accuracy"]
    assert (accuracy.value, accuracy.observations) == (pytest.approx((0 + 2 / 3 + 1) / 3), 3)
    assert (reference.positives[:3], reference.negatives[:3]) == ((3, 1, 0), (0, 2, 2))
    assert reference.masked[:4] == (1, 1, 2, 4)
    ours = judged(labels, way="ours", base=base)
    assert ours.answer(YES).macro["f1"].observations == 1
    assert ours.answer(YES).macro["f1"].value == 0.5
    assert np.isnan(ours.answer(NO).macro["precision"].value)
    assert np.isnan(ours.answer(YES).scores["f1"][0].value)
    assert one_class(ours) == (
        f"No Finding (no negative, left out); Cardiomegaly (no positive, left out); "
        f"{', '.join(OBSERVATIONS[3:])} (no label, left out)"
    )
    assert "No Finding (no negative, F1 1 to “yes”)" in one_class(reference)


def test_the_reference_way_is_scikit_learn_with_zero_division_0() -> None:
    labels, calls, _ = random_labels()
    found = judged(labels, calls)
    for name, answer in ((MODEL, calls), (YES, np.ones_like(calls)), (NO, np.zeros_like(calls))):
        for k in range(13):
            known = np.isin(labels[:, k], (0, 1))
            y, called = labels[known, k], answer[known, k]
            expected = {
                "f1": f1_score(y, called, zero_division=0),
                "precision": precision_score(y, called, zero_division=0),
                "recall": recall_score(y, called, zero_division=0),
                "accuracy": accuracy_score(y, called),
            }
            scores = {metric: found.answer(name).scores[metric][k].value for metric in expected}
            assert scores == pytest.approx(expected, abs=1e-12)
        values = [estimate.value for estimate in found.answer(name).scores["f1"]]
        assert values[13] == 0  # no label at all
        assert found.answer(name).macro["f1"].value == pytest.approx(np.mean(values), abs=1e-12)


def test_our_way_is_our_evaluation() -> None:
    labels, calls, patients = random_labels()
    found = judged(labels, calls, "ours", patients=patients, bootstrap=80, seed=3).answer(MODEL)
    expected = evaluate(labels, calls.astype(float), thresholds=0.5, patients=patients, bootstrap=80, seed=3)
    for k, score in enumerate(expected.scores):
        for metric in ("f1", "precision", "recall", "accuracy"):
            ours, theirs = found.scores[metric][k], getattr(score, metric)
            np.testing.assert_allclose(
                (ours.value, ours.low, ours.high), (theirs.value, theirs.low, theirs.high), atol=1e-12
            )
    assert found.macro["f1"].value == pytest.approx(expected.macro["f1"].value, abs=1e-12)
    assert found.macro["f1"].low == pytest.approx(expected.macro["f1"].low, abs=1e-12)


def test_lift_is_over_the_best_constant_answer() -> None:
    labels, calls, patients = random_labels()
    base = prevalence(labels)
    found = judged(labels, calls, base=base, patients=patients)
    model = found.answer(MODEL)
    for metric in ("f1", "accuracy"):
        for k in range(13):
            best = max(found.answer(name).scores[metric][k].value for name in CONSTANTS)
            lift = model.lifts[metric][k].value
            assert lift == pytest.approx(model.scores[metric][k].value - best, abs=1e-12)
        best = max(CONSTANTS, key=lambda name: found.answer(name).macro[metric].value)
        assert model.over[metric] == best
        gained = model.macro[metric].value - found.answer(best).macro[metric].value
        assert model.macro_lift[metric].value == pytest.approx(gained, abs=1e-12)
        assert model.macro_lift[metric].low <= model.macro_lift[metric].value <= model.macro_lift[metric].high
    same = judged(labels, np.ones_like(calls), base=base).answer(MODEL).macro_lift["f1"]
    assert (same.value, same.low, same.high) == (0, 0, 0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 100), st.sampled_from(["reference", "ours"]), st.randoms(use_true_random=False))
def test_neither_order_nor_masked_entries_matter(seed: int, way: Way, random: object) -> None:
    labels, calls, patients = random_labels(seed, 40)
    order = np.arange(40)
    random.shuffle(order)  # type: ignore[attr-defined]
    spoilt = np.where(np.isin(labels, (0, 1)), calls, ~calls)
    first = judged(labels, calls, way, patients=patients)
    second = judged(labels[order], spoilt[order], way, patients=patients[order])
    assert first.model_dump_json() == second.model_dump_json()


def test_no_films_is_an_error() -> None:
    with pytest.raises(DatasetError, match="no films"):
        judged(np.zeros((0, 14)))


# ------------------------------------------------------------------------------------------ the tables


def test_a_table_both_ways(tmp_path: Path) -> None:
    rows = [
        row(film(i // 2, study=1 + i % 2), Edema="1" if i % 3 else "", Fracture=str(i % 2)) for i in range(80)
    ]
    csv = write(tmp_path / "train.csv", rows)
    table = read_table(csv)
    found = table_protocols(table, provenance=provenance_of(csv, command="x"), bootstrap=20, seed=4)
    assert (found.reference.films, found.leak.scored_films) == (12, 12)
    # Edema has no explicit negative: masked blanks leave yes alone, negative blanks do not.
    k = OBSERVATIONS.index("Edema")
    assert found.reference.answer(YES).scores["f1"][k].value == 1
    assert found.ours.answer(YES).scores["f1"][k].value < 1
    assert found.ours.negatives[k] > 0 == found.reference.negatives[k]
    both = both_ways(found.reference, found.ours)
    assert both.index.tolist() == list(CONSTANTS)
    assert not any("lift" in column for column in both.columns)
    with pytest.raises(DatasetError, match="too few patients"):
        table_protocols(table.iloc[:2], provenance=found.provenance)


def test_tables_show_the_lift_beside_a_model() -> None:
    labels, calls, _ = random_labels()
    found = judged(labels, calls)
    lift = "lift over the best constant answer"
    shown = macro_table(found).loc[MODEL, lift]
    assert shown.startswith(f"{found.answer(MODEL).macro_lift['f1'].value:+.3f}".replace("-", "−"))
    assert shown.endswith(f"({found.answer(MODEL).over['f1']})")
    assert macro_table(found).loc[YES, lift] == ""
    assert observation_table(found).loc["Edema", "masked"] == str(found.masked[5])
    assert lift in observation_table(found).columns


# --------------------------------------------------------------------------------------- CheXpert itself


@pytest.fixture(scope="module")
def chexpert() -> pd.DataFrame:
    return read_table(real_table())


@pytest.mark.slow
def test_constant_yes_gets_0_816_on_the_real_table_with_blanks_masked(chexpert: pd.DataFrame) -> None:
    table = chexpert
    patients = table["patient"].to_numpy(dtype=object)
    whole = judge(
        labels_of(table, "reference"), way="reference", base=np.ones(14), patients=patients, bootstrap=0
    ).answer(YES)
    assert whole.macro["f1"].value == pytest.approx(0.816, abs=5e-4)
    f1 = {name: round(score.value, 2) for name, score in zip(OBSERVATIONS, whole.scores["f1"], strict=True)}
    assert (f1["No Finding"], f1["Lung Opacity"], f1["Support Devices"]) == (1.00, 0.97, 0.97)
    scored = image_split(table)
    assert leak(table, scored) == load_table_protocols(COMMITTED).leak


@pytest.mark.slow
def test_the_committed_scores_are_those_of_the_table(chexpert: pd.DataFrame) -> None:
    csv = real_table()
    committed = load_table_protocols(COMMITTED)
    assert provenance_of(csv, command="").sha256 == committed.provenance.sha256
    again = table_protocols(chexpert, provenance=committed.provenance, bootstrap=0)
    for way in ("reference", "ours"):
        for name in CONSTANTS:
            then, now = (getattr(result, way).answer(name) for result in (committed, again))
            values = [[score.value for score in answer.scores["f1"]] for answer in (then, now)]
            np.testing.assert_allclose(*values, atol=1e-12)


def test_the_committed_scores_name_no_patient() -> None:
    committed = load_table_protocols(COMMITTED)
    assert "patient0" not in COMMITTED.read_text()
    assert committed.provenance.command == "python -m chexmodel protocol chexpert_train.csv.gz"
    assert committed.reference.answer(YES).macro["f1"].value == pytest.approx(0.817, abs=5e-4)
    assert committed.leak.shared_patients / committed.leak.scored_patients > 0.8


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
def test_a_wrong_file_says_how_to_write_one(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "p.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match="python -m chexmodel protocol"):
        load_table_protocols(path)


# ----------------------------------------------------------------------------------------- the commands


def test_the_command_prints_both_ways_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(film(i // 2, study=1 + i % 2), Edema=str(i % 2)) for i in range(80)]
    csv, out = write(tmp_path / "mine.csv", rows), tmp_path / "p.json"
    assert main(["protocol", str(csv), "--out", str(out), "--bootstrap", "10", "--seed", "4"]) == 0
    printed = capsys.readouterr().out
    assert "Reference's way" in printed
    assert "Our way" in printed
    assert "of patients whom a model has seen" in printed
    assert load_table_protocols(out).reference.bootstrap == 10
    assert "--bootstrap 10 --seed 4" in load_table_protocols(out).provenance.command
    assert str(tmp_path) not in out.read_text()


@dataclass(frozen=True)
class Evaluated:
    """A bundle with made-up predictions, and the tables that its films are of."""

    bundle: Path
    data: Path

    def config(self, **options: object) -> EvaluateConfig:
        return EvaluateConfig(bundle=self.bundle, data=self.data, bootstrap=20, **options)  # type: ignore[arg-type]


@pytest.fixture
def evaluated(tmp_path: Path) -> Evaluated:
    """120 validation films in train.csv, 80 test films in valid.csv, labels as in the predictions."""
    path, data = write_tiny_bundle(tmp_path / "tiny"), tmp_path / "data"
    rows = bundle.load(path).predictions()
    first = {"validation": 0, "test": 1000}
    patients = [
        first[split] + int(patient[1:]) for split, patient in zip(rows["split"], rows["patient"], strict=True)
    ]
    rows["id"] = [film(patient, study=1 + i % 2) for i, patient in enumerate(patients)]
    rows["patient"] = [f"patient{patient:05d}" for patient in patients]
    rows.to_parquet(path / "predictions.parquet")
    for split, name in (("validation", "train.csv"), ("test", "valid.csv")):
        cells = []
        for _, line in rows[rows["split"] == split].iterrows():
            labels = {
                o: "" if np.isnan(line[f"target {o}"]) else str(line[f"target {o}"]) for o in OBSERVATIONS
            }
            cells.append(row(line["id"]) | labels)
        write(data / name, cells)
    manifest = bundle.read_manifest(path)
    fingerprint: Fingerprint = manifest.data.model_copy(update={"files": checksums(data)})
    changed = manifest.model_copy(update={"data": fingerprint})
    (path / "bundle.json").write_bytes(bundle.to_json(changed, Manifest))
    return Evaluated(path, data)


def test_a_model_is_scored_both_ways(evaluated: Evaluated, capsys: pytest.CaptureFixture[str]) -> None:
    found = reference_protocol(evaluated.config())
    stored = bundle.load(evaluated.bundle).reference_protocol()
    assert stored is not None
    assert stored.model_dump_json() == found.model_dump_json()
    table = read_table(evaluated.data / "train.csv")
    scored = image_split(table)
    assert found.reference.films == scored.sum() == found.own.leak.scored_films == 18
    rows = bundle.load(evaluated.bundle).predictions()
    mine = rows[(rows["split"] == "validation")].set_index("id").loc[table["Path"][scored]]
    for k, name in enumerate(OBSERVATIONS):
        known = mine[f"target {name}"].notna()
        called = mine[f"logit {name}"][known].fillna(-9) >= 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = f1_score(mine[f"target {name}"][known], called, zero_division=0)
        assert found.reference.answer(MODEL).scores["f1"][k].value == pytest.approx(expected, abs=1e-12)
    # Our way is what `evaluate` wrote.
    judged = bundle.load(evaluated.bundle).metrics().splits["test"]
    ours = found.ours.answer(MODEL)
    assert ours.macro["f1"].value == pytest.approx(judged.macro["f1"].value, abs=1e-12)
    assert ours.macro["f1"].observations == judged.macro["f1"].observations
    yes = found.ours.answer(YES).macro["f1"].value
    assert yes == pytest.approx(judged.macro["f1_constant_yes"].value, abs=1e-12)
    assert np.isnan(ours.scores["f1"][OBSERVATIONS.index(UNTRAINED)].value)
    assert found.other is None
    assert f"{ours.macro['f1'].value:.3f}" in capsys.readouterr().out


def test_a_further_table_is_for_the_constant_answers(
    evaluated: Evaluated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(film(i // 2, study=1 + i % 2), Edema=str(i % 2)) for i in range(60)]
    csv = write(tmp_path / "other.csv", rows)
    command = ["evaluate", str(evaluated.bundle), "--data", str(evaluated.data), "--protocol", "reference"]
    assert train_main([*command, "--table", str(csv), "--bootstrap", "5", "--seed", "4"]) == 0
    found = bundle.load(evaluated.bundle).reference_protocol()
    assert found is not None
    assert found.other is not None
    assert found.other.provenance.source == "other.csv"
    assert found.command == (
        "python -m train evaluate runs/tiny --data DIR --protocol reference --table other.csv --bootstrap 5 "
        "--seed 4"
    )
    assert str(tmp_path) not in (evaluated.bundle / "reference_protocol.json").read_text()
    assert "other.csv" in capsys.readouterr().out


def test_the_page_shows_the_file(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHEXMODEL_RUNS", str(evaluated.bundle.parent))
    found = reference_protocol(evaluated.config())
    at = AppTest.from_file(str(ROOT / "chexmodel" / "ui" / "evaluation.py"), default_timeout=60)
    at.session_state[MODEL_KEY] = str(evaluated.bundle)
    at.session_state["evaluation-section"] = "Reference protocol"
    ran(at)
    assert not at.error
    ways = [table.value for table in at.dataframe if table.value.index.name == "answer"]
    shown = ways[1].loc[MODEL]
    assert shown["macro F1, our way"].startswith(f"{found.ours.answer(MODEL).macro['f1'].value:.3f} (")
    lift = found.reference.answer(MODEL).macro_lift["f1"].value
    assert shown["lift, reference's way"].startswith(f"{lift:+.3f}".replace("-", "−"))
    assert "18 of the 18 scored patients" in "\n".join(line.value for line in at.markdown)
    file = evaluated.bundle / "reference_protocol.json"
    file.write_text(file.read_text().replace(found.weights_sha256, "0" * 64))
    assert "of other weights" in ran(at).error[0].value


def test_what_does_not_fit_is_said(evaluated: Evaluated) -> None:
    manifest = bundle.read_manifest(evaluated.bundle)
    (evaluated.data / "train.csv").write_text((evaluated.data / "train.csv").read_text() + "\n")
    with pytest.raises(DatasetError, match="not the data"):
        reference_protocol(evaluated.config())
    assert not (evaluated.bundle / "reference_protocol.json").exists()
    trained = manifest.model_copy(
        update={"data": manifest.data.model_copy(update={"files": checksums(evaluated.data)})}
    )
    (evaluated.bundle / "bundle.json").write_bytes(bundle.to_json(trained, Manifest))
    rows = bundle.load(evaluated.bundle).predictions()
    rows["id"] = rows["id"].str.replace("train/", "elsewhere/")
    rows.to_parquet(evaluated.bundle / "predictions.parquet")
    with pytest.raises(DatasetError, match=r"120 films .* not in the train\.csv"):
        reference_protocol(evaluated.config())
    (evaluated.bundle / "predictions.parquet").unlink()
    with pytest.raises(BundleError, match=r"lacks predictions\.parquet"):
        reference_protocol(evaluated.config())


def test_a_table_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="--protocol reference"):
        EvaluateConfig(bundle=Path("x"), data=Path("y"), table=Path("z"))


def test_a_bundle_that_is_not_evaluated_is_refused(evaluated: Evaluated) -> None:
    text = (evaluated.bundle / "metrics.json").read_text()
    digest = bundle.read_manifest(evaluated.bundle).weights_sha256
    (evaluated.bundle / "metrics.json").write_text(text.replace(digest, "0" * 64))
    with pytest.raises(BundleError, match="trained again"):
        reference_protocol(evaluated.config())
    (evaluated.bundle / "metrics.json").unlink()
    with pytest.raises(BundleError, match=r"lacks metrics\.json"):
        reference_protocol(evaluated.config())
