"""The report of an evaluation: the figures of the bundle's files, on one page without a network."""

import json
import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from test_evaluation_sections import grouped
from tiny_bundle import RARE, UNTRAINED, write_tiny_bundle

from chexmodel import bundle
from chexmodel.comparison_tables import FLATTERED
from chexmodel.errors import ChexError
from chexmodel.labels import OBSERVATIONS
from chexmodel.localisation import FILM_COLUMNS, Localisation, summarise
from chexmodel.scores import interval
from train.evaluate_html import html
from train.html_page import write_page


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture(scope="module")
def page(tiny: Path) -> str:
    return html(bundle.load(tiny))


def test_it_has_every_figure_of_the_table(tiny: Path, page: str) -> None:
    text = unescape(page)
    for evaluation in bundle.load(tiny).metrics().splits.values():
        for score in evaluation.scores:
            assert interval(score.auroc) in text
            assert interval(score.brier, digits=3) in text
        for average in evaluation.micro.values():
            assert interval(average) in text
    for point in bundle.load(tiny).thresholds:
        if point.reason is None:
            assert f"{point.low:.3f}–{point.high:.3f}" in text
    assert f"{RARE}</td>" in page
    assert UNTRAINED in text.split("Not trained: ")[1].split("<")[0]


def test_it_needs_no_network(page: str) -> None:
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", outside)
    assert "Plotly.newPlot" in page
    assert "nan" not in re.sub(r"<[^>]*>", "", outside).lower().split()


def test_it_draws_every_defined_observation_of_both_splits(page: str) -> None:
    for split, defined in (("test", 12), ("validation", 13)):
        part = page.split(f"{split.capitalize()} split: curves")[1].split("<h2>")[0]
        assert part.count("plotly-graph-div") == 2 * defined


def test_names_are_escaped(tiny: Path) -> None:
    loaded = bundle.load(tiny)
    manifest = loaded.manifest.model_copy(update={"name": "<script>alert(1)</script>"})
    assert "<script>alert" not in html(bundle.Bundle(**{**vars(loaded), "manifest": manifest}))


def test_a_bundle_without_reliability_and_with_former_maps_has_the_rest(tmp_path: Path) -> None:
    made = write_tiny_bundle(tmp_path / "tiny")
    (made / "reliability.json").unlink()
    rows = [("a", "1", "Edema", "test", None, "Grad-CAM", True, True, 0.5, 0.3)]
    scores = summarise(pd.DataFrame(rows, columns=list(FILM_COLUMNS)), bootstrap=0, seed=0)
    old = Localisation(weights_sha256="0" * 64, scores=scores)
    (made / "localisation.json").write_bytes(bundle.to_json(old, Localisation))
    page = html(bundle.load(made))
    assert "split: calibration" not in page
    assert "Test split: curves" in page
    # There are maps, but of other weights: not the same as films that nobody marked.
    assert "Not measured for these weights: evaluate the bundle anew." in page
    assert "no film of these data is marked" not in page


def test_groups_are_drawn_where_they_are_scored(tmp_path: Path) -> None:
    made = write_tiny_bundle(tmp_path / "tiny")
    found = grouped(made)
    page = html(bundle.load(made))
    part = unescape(page.split("Test split: by Sex")[1].split("<h2>")[0])
    for gap in found["test"].columns[0].gaps:
        assert interval(gap.gap, signed=True) in part
    assert FLATTERED not in part
    assert FLATTERED in page.split("Validation split: by Sex")[1].split("<h2>")[0]
    assert "by Each</h2><p>as written in the table. No two groups are scored." in page


def test_one_class_throughout_has_no_curves(tmp_path: Path) -> None:
    made = write_tiny_bundle(tmp_path / "tiny")
    predictions = bundle.load(made).predictions()
    predictions[[f"target {name}" for name in OBSERVATIONS]] = 0.0
    predictions.to_parquet(made / "predictions.parquet")
    assert html(bundle.load(made)).count("split: curves") == 2


def test_a_page_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ChexError, match="can't be written"):
        write_page(tmp_path / "nowhere" / "page.html", "x")


def test_every_number_in_the_charts_is_json(page: str) -> None:
    charts = re.findall(r'Plotly\.newPlot\(\s*"[^"]+",\s*(\[.*?\]),\s*\{', page, flags=re.DOTALL)
    assert len(charts) == page.count("plotly-graph-div")
    for found in charts:
        json.loads(found, parse_constant=lambda name: pytest.fail(f"{name} in a chart"))


def test_every_section_of_the_films_of_the_fit_says_so(page: str) -> None:
    sections = [part for part in page.split("<h2>") if " split: " in part.split("</h2>")[0]]
    for part in sections:
        assert (FLATTERED in part) == part.startswith("Validation split"), part[:60]
    assert len(sections) == 6
