"""A model that is spoilt, replaced or changed for another while the server reads with it."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from analysing import header, press, upload
from apps import ran
from faults import (
    FILM,
    FILMS,
    READ_ALL,
    Events,
    assert_no_turn_is_held,
    click,
    numbers,
    scores,
    statuses,
    whole,
)
from streamlit.testing.v1 import AppTest
from test_journal import opened
from tiny_bundle import write_tiny_bundle

from chexmodel import atomic, bundle
from chexmodel.predictor import Predictor
from chexmodel.ui import bundles, service


def _without_thresholds(path: Path) -> None:
    (path / "thresholds.json").unlink()


def _cut(path: Path) -> None:
    weights = path / bundle.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shutil.rmtree, "The chosen model is not there any more"),
        (_cut, "a file is damaged or was replaced"),
        (_without_thresholds, "lacks thresholds.json"),
    ],
)
def test_a_model_that_is_spoilt_while_serving_is_told_and_one_that_is_put_back_reads_on(
    tiny: Path, tiny_bundle: Path, events: Events, spoil: Callable[[Path], None], said: str
) -> None:
    at = upload(opened(tiny), FILM)
    before = scores(at)
    spoil(tiny)
    (error,) = ran(at).error
    assert said in error.value
    assert not header(at)
    assert events("model")[-1] | {"outcome": "refused", "exception": "BundleError"} == events("model")[-1]
    shutil.copytree(tiny_bundle, tiny, dirs_exist_ok=True)
    assert scores(ran(at)) == before
    assert not at.error


def test_many_films_go_on_with_the_model_that_is_loaded(tiny: Path, during: Any, events: Events) -> None:
    at = upload(opened(tiny), *FILMS)
    away = tiny.parent / ".away"
    given = during(2, lambda: tiny.rename(away))
    press(at, READ_ALL)
    assert len(given) == len(FILMS)
    assert events("batch")[0] | {"films": len(FILMS), "read": len(FILMS)} == events("batch")[0]
    assert ["not there any more" in error.value for error in at.error] == [True]
    away.rename(tiny)
    assert statuses(ran(at)) == ["read"] * len(FILMS)
    assert_no_turn_is_held()


def test_a_model_that_is_replaced_while_serving_is_read_with_at_once(tiny: Path, tmp_path: Path) -> None:
    at = upload(opened(tiny), FILM)
    before = scores(at)
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    bundle.save(tiny, {file.name: file.read_bytes() for file in other.iterdir()})
    after = scores(ran(at))
    assert after == pytest.approx(whole(other))
    assert after != pytest.approx(before)


@pytest.mark.parametrize("weights_too", [True, False])
def test_nothing_is_read_with_half_of_a_model_and_half_of_another(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: Events, weights_too: bool
) -> None:
    """It is replaced after its thresholds were read and before its weights are."""
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    loaded = bundle.load(other)
    names = [file.name for file in other.iterdir()] if weights_too else ["calibration.json"]
    plain, calls = bundle.load_network, iter(range(100))

    def replacing(path: Path, manifest: bundle.Manifest) -> Any:
        if path == tiny and next(calls) == 0:
            bundle.save(tiny, {name: (other / name).read_bytes() for name in names})
        return plain(path, manifest)

    monkeypatch.setattr(bundle, "load_network", replacing)
    at = upload(opened(tiny), FILM)
    assert next(calls) == 2  # loaded once more, and kept
    assert not at.error
    assert [event["outcome"] for event in events("model")] == ["loaded"]
    assert scores(at) == pytest.approx(whole(tiny))
    assert bundle.load(tiny).calibrations == loaded.calibrations


def test_a_model_that_never_stands_still_is_a_sentence(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = service.load

    def moving(path: str) -> Predictor:
        (tiny / "card.md").write_bytes((tiny / "card.md").read_bytes() + b"\n")
        return plain(path)

    monkeypatch.setattr(service, "load", moving)
    at = upload(opened(tiny), FILM)
    assert ["was replaced while it was being loaded" in error.value for error in at.error] == [True]
    monkeypatch.undo()
    monkeypatch.setenv("CHEXMODEL_RUNS", str(tiny.parent))
    assert scores(ran(at))


def test_a_file_that_goes_while_the_others_are_looked_at(tiny: Path) -> None:
    (tiny / "gone.txt").symlink_to(tiny / "nothing")
    at = upload(opened(tiny), FILM)
    assert scores(at)
    state = bundles._state(str(tiny))
    (tiny / "thresholds.json").touch()
    assert bundles._state(str(tiny)) != state
    assert bundles._state(str(tiny / "nowhere")) == ()


def test_another_member_of_an_ensemble_is_another_model(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "two", members=2)
    state = bundles._state(str(path))
    member = path / "members" / "01.safetensors"
    kept = member.stat()
    shutil.copyfile(member, fresh := member.with_suffix(".fresh"))
    os.utime(fresh, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # and as old, as `cp -p` leaves it
    fresh.replace(member)
    assert bundles._state(str(path)) != state


def test_what_a_bundle_is_built_in_is_no_model_to_choose(tiny: Path) -> None:
    before = bundles.bundle_choices()
    for name in (".tiny.new-x1", ".tiny.old"):
        shutil.copytree(tiny, tiny.parent / name)
    assert tiny in before
    assert bundles.bundle_choices() == before


def test_two_who_replace_one_directory_wait_for_each_other(tmp_path: Path) -> None:
    path, versions = tmp_path / "cache" / "weights", [b"a" * 1000, b"b" * 1000]
    failed: list[OSError] = []

    def work(data: bytes) -> None:
        for _ in range(30):
            try:
                atomic.replace_directory(path, {"model": data, "record": data})
            except OSError as error:
                failed.append(error)

    workers = [threading.Thread(target=work, args=(data,)) for data in versions]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failed == []
    model, record = (path / "model").read_bytes(), (path / "record").read_bytes()
    assert model == record
    assert model in versions
    assert [file.name for file in path.parent.iterdir()] == ["weights"]


# ------------------------------------------------------------------------------ another model


@pytest.fixture
def two(tiny: Path) -> tuple[Path, Path]:
    return tiny, write_tiny_bundle(tiny.parent / "other", seed=1)


def choose(at: AppTest, model: Path) -> AppTest:
    next(box for box in at.sidebar.selectbox if box.label == "Model").set_value(str(model))
    return at


def shown_by(at: AppTest) -> tuple[list[float], list[float]]:
    """Scores and thresholds on the page of one film."""
    return scores(at), numbers(at, "threshold")


def test_a_model_chosen_while_a_film_is_read_shows_its_own_reading(two: Any, during: Any) -> None:
    alone = [shown_by(upload(opened(path), FILM)) for path in two]
    assert alone[0] != alone[1]
    at = opened(two[0])
    given = during(1, lambda: click(choose(at, two[1])))
    upload(at, FILM)
    assert len(given) == 2  # by each of them
    assert shown_by(at) == alone[1]
    assert shown_by(ran(choose(at, two[0]))) == alone[0]
    assert shown_by(ran(choose(at, two[1]))) == alone[1]


def test_a_model_chosen_while_many_films_are_read_starts_its_own_table(two: Any, during: Any) -> None:
    at = upload(opened(two[0]), *FILMS)
    during(3, lambda: click(choose(at, two[1])))
    press(at, READ_ALL)

    def assert_read_by(model: Path, count: int) -> None:
        predictor = Predictor.from_bundle(model)
        table = at.dataframe[0].value
        done = table[table["status"] == "read"]
        assert len(done) == count
        named = at.selectbox(key="many-finding").value
        for name, score in zip(done["name"], done["score"], strict=True):
            frame = predictor.predict(dict(FILMS)[name]).frame().set_index("observation")
            assert score == pytest.approx(frame.loc[named, "probability"])

    assert_read_by(two[1], len(FILMS))
    ran(choose(at, two[0]))
    assert_read_by(two[0], 3)  # the third was read when the other one was chosen
    assert_no_turn_is_held()
