"""The Dataset page: what it shows is what the table says, for the shipped counts, an upload and a folder."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from apps import ran
from chexpert_rows import film, row, write
from streamlit.testing.v1 import AppTest

from chexmodel.labels import OBSERVATIONS
from chexmodel.policies import explain_policy
from chexmodel.statistics import jaccard, load_statistics
from chexmodel.table import read_table
from chexmodel.ui.conclusions import conclusions

ROOT = Path(__file__).resolve().parents[1]
KNOWN = load_statistics(ROOT / "assets" / "statistics" / "chexpert.json")
POLICY_COLUMNS = ["positives", "negatives", "masked", "pos_weight", "sampling factor"]


def opened() -> AppTest:
    return ran(AppTest.from_file(str(ROOT / "chexmodel" / "ui" / "dataset.py"), default_timeout=60))


def uploaded(name: str, data: bytes) -> AppTest:
    at = opened()
    at.radio(key="dataset-source").set_value("A CSV of mine")
    ran(at)
    at.file_uploader(key="dataset-upload").set_value([(name, data, "text/csv")])
    return ran(at)


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def text(at: AppTest) -> str:
    kinds = (at.markdown, at.caption, at.subheader, at.info)
    return "\n".join(element.value for kind in kinds for element in kind)


def frame(at: AppTest, column: str):
    """The first table that has a column."""
    return next(table.value for table in at.dataframe if column in table.value)


def test_a_table_above_the_limit_is_refused_by_the_server_too() -> None:
    """The browser holds the widget's limit; what is sent by hand goes round it."""
    at = uploaded("mine.csv", b"x" * (50 * 2**20 + 1))
    assert [error.value for error in at.error] == [
        "This table is more than 50 MB: split it, or count it with `python -m chexmodel statistics`"
    ]


def test_what_a_table_quotes_fetches_nothing() -> None:
    table = b"Path,Sex,Age,Frontal/Lateral,AP/PA\n![x](http://a.example/p.png),Male,3,Frontal,AP\n"
    shown = " ".join(error.value for error in uploaded("![y](z).csv", table).error)
    assert shown
    assert "](" not in shown
    header = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *OBSERVATIONS])
    age = '"a\n\n![x][y]\r\n\r\n[y]: http://a.example/p.png\n\n"'  # the address on a line of its own
    table = f"{header}\npatient1/study1/a.jpg,Male,{age},Frontal,AP{',1' * len(OBSERVATIONS)}\n".encode()
    shown = " ".join(error.value for error in uploaded("mine.csv", table).error)
    assert "[y]: http" in shown
    assert not {"\n", "\r"} & set(shown)


def own_table(directory: Path) -> Path:
    rows = [
        row(film(1), Edema="1", Fracture="0"),
        row(film(2), Edema="0", Fracture="1", Sex=""),
        row(film(3), Edema="1", Lung_Opacity="0"),
    ]
    return write(directory / "train.csv", rows)


# ----------------------------------------------------------------------------------- the shipped counts


def test_what_the_audit_found_is_said_in_full() -> None:
    said = text(opened())
    assert "**finding whose parent is negative**, 1,696 (warning): a finding is positive while its" in said
    assert "What to do: make the parent positive" in said
    assert "**repeated path**" not in said  # there is none


def test_it_shows_the_committed_counts() -> None:
    at = opened()
    assert metrics(at)["Films"] == f"{KNOWN.films:,}" == "223,414"
    assert metrics(at)["Patients"] == "64,540"
    assert frame(at, "uncertain")["positive"].tolist() == KNOWN.states()["positive"].tolist()
    assert KNOWN.provenance is not None
    assert KNOWN.provenance.sha256 in text(at)
    assert "7,579 films from 90 years on" in text(at)
    assert "Left out, under 20 films: 0–9 (3)" in text(at)
    assert len(at.get("plotly_chart")) == 9
    assert "The data folder" not in at.radio(key="dataset-source").options


def test_every_chart_can_be_saved_in_the_chosen_format() -> None:
    at = opened()

    def options() -> list[dict[str, object]]:
        configs = [json.loads(chart.proto.config) for chart in at.get("plotly_chart")]
        return [config["toImageButtonOptions"] for config in configs]

    assert {option["format"] for option in options()} == {"svg"}
    assert len({option["filename"] for option in options()}) == 9
    choice = next(one for one in at.get("button_group") if one.label == "Save charts as")
    choice.set_value("png")
    ran(at)
    assert {option["format"] for option in options()} == {"png"}


def test_every_table_can_be_saved() -> None:
    at = opened()
    assert len(at.get("download_button")) == len(at.dataframe)


@pytest.mark.parametrize("measure", ["films", "conditional", "jaccard"])
def test_it_offers_three_measures_of_coming_together(measure: str) -> None:
    at = opened()
    at.radio(key="dataset-measure").set_value(measure)
    ran(at)
    # Its columns are the observations themselves, and it has nothing else.
    shown = next(
        t.value for t in at.dataframe if list(t.value.columns) == list(OBSERVATIONS) and len(t.value) == 14
    )
    counts = KNOWN.cooccurrence()
    value = shown.loc["Edema", "Pneumonia"]
    expected = {
        "films": counts.loc["Edema", "Pneumonia"],
        "conditional": counts.loc["Edema", "Pneumonia"] / counts.loc["Edema", "Edema"],
        "jaccard": jaccard(counts).loc["Edema", "Pneumonia"],
    }
    assert value == pytest.approx(expected[measure])


# ------------------------------------------------------------------------------------------- policies


@pytest.mark.parametrize(("blank", "views"), [("negative", "all"), ("ignore", "all"), ("ignore", "frontal")])
@pytest.mark.parametrize("uncertain", ["ignore", "smooth"])
def test_policies_of_the_shipped_table(uncertain: str, blank: str, views: str) -> None:
    at = opened()
    at.selectbox(key="policy-uncertain").set_value(uncertain)
    at.radio(key="policy-blank").set_value(blank)
    at.radio(key="policy-views").set_value(views)
    ran(at)
    effect = KNOWN.policy(uncertain=uncertain, blank=blank, views=views)
    shown, expected = frame(at, "pos_weight"), effect.frame()
    assert shown.columns.tolist() == [*POLICY_COLUMNS, "positives, weighted", "F1 of constant yes"]
    np.testing.assert_allclose(shown["positives, weighted"], expected["drawn"])
    np.testing.assert_allclose(shown["pos_weight"], expected["pos_weight"])
    f1, over = effect.macro_constant_yes()
    assert metrics(at)["Macro F1 of a constant “yes”"] == f"{f1:.3f} over {over}"
    assert f"**{f1:.3f}** over 14 observations" in text(at)
    assert ("No negative is left for No Finding" in text(at)) == (blank == "ignore")
    assert ("`evaluate` masks −1" in text(at)) == (uncertain != "ignore")


def test_it_says_what_a_constant_yes_gets() -> None:
    at = opened()
    assert metrics(at)["Macro F1 of a constant “yes”"] == "0.262 over 14"
    assert metrics(at)["… with blanks masked"] == "0.816 over 14"
    assert "would get 0.816" in text(at)
    assert "No Finding would keep no negative at all" in text(at)


def test_the_weight_is_capped_uncapped_or_off() -> None:
    at = opened()
    at.number_input(key="policy-cap").set_value(20.0)
    assert frame(ran(at), "pos_weight")["pos_weight"].max() == 20
    at.radio(key="policy-pos-weight").set_value("on")
    assert frame(ran(at), "pos_weight").loc["Pleural Other", "pos_weight"] == pytest.approx(61.66, abs=0.01)
    at.radio(key="policy-pos-weight").set_value("off")
    assert set(frame(ran(at), "pos_weight")["pos_weight"]) == {1.0}


def test_the_sampler_of_an_upload_can_be_changed(tmp_path: Path) -> None:
    rows = [row(film(n), Edema="1" if n == 0 else "0") for n in range(40)]
    csv = write(tmp_path / "t.csv", rows)
    at = uploaded("t.csv", csv.read_bytes())
    table = read_table(csv)
    assert frame(at, "pos_weight").loc["Edema", "sampling factor"] == pytest.approx(2)
    at.slider(key="policy-rare").set_value(0.4)
    at.slider(key="policy-factor").set_value(3.0)
    shown = frame(ran(at), "pos_weight").loc["Edema"]
    edema = explain_policy(table, rare=0.4, factor_cap=3).observations["Edema"]
    assert shown["sampling factor"] == 3
    assert shown["positives, weighted"] == pytest.approx(edema.drawn) == pytest.approx(40 * 3 / 42)
    assert opened().slider(key="policy-rare").disabled


def test_conclusions_follow_from_the_numbers(tmp_path: Path) -> None:
    table = read_table(own_table(tmp_path))
    negative, ignore = (explain_policy(table, blank=blank) for blank in ("negative", "ignore"))
    said = "\n".join(conclusions(ignore, negative))
    assert "No negative is left" not in said
    assert "No positive: No Finding" in said
    assert "the epoch is only shuffled" in said
    assert f"**{(0.8 + 2 / 3) / 2:.3f}** over 2 observations" in said


# -------------------------------------------------------------------------------------------- uploads


@pytest.mark.parametrize("packed", [False, True])
def test_it_reads_an_upload(tmp_path: Path, packed: bool) -> None:
    data = own_table(tmp_path).read_bytes()
    at = uploaded("mine.csv.gz", gzip.compress(data)) if packed else uploaded("mine.csv", data)
    assert metrics(at)["Patients"] == "3"
    assert "`mine.csv" in text(at)
    # Edema: 2·2/(2·2+1) = 0.8; Fracture: 2/(2+1); blanks negative: Fracture has two negatives, 2/(2+2).
    assert metrics(at)["… with blanks masked"] == "0.733 over 2"
    assert metrics(at)["Macro F1 of a constant “yes”"] == "0.650 over 2"
    assert "No positive: No Finding" in text(at)
    assert "capped" not in text(at).lower().replace("uncapped", "")
    problems = frame(at, "Path")
    assert problems["kind"].tolist() == [
        "finding whose parent is negative",
        "finding whose parent is blank or uncertain",
        "sex not stated",
    ]
    assert "not possible without the films" in text(at)


def test_the_limit_and_where_the_file_stays_are_said() -> None:
    at = opened()
    at.radio(key="dataset-source").set_value("A CSV of mine")
    uploader = ran(at).file_uploader(key="dataset-upload")
    assert "up to 200 MB" in uploader.label or "up to 50 MB" in uploader.label
    assert "not written to the server's disk" in uploader.help
    assert not at.text_input  # no path is taken from a visitor


def test_one_upload_is_kept_and_the_next_replaces_it(tmp_path: Path) -> None:
    data = own_table(tmp_path).read_bytes()
    at = uploaded("mine.csv", data)
    first = at.session_state["dataset-loaded"]
    assert ran(at).session_state["dataset-loaded"] is first
    at.file_uploader(key="dataset-upload").set_value(
        [("other.csv", data.splitlines(True)[0] + data.splitlines(True)[1], "text/csv")]
    )
    assert metrics(ran(at))["Films"] == "1"
    assert at.session_state["dataset-loaded"].key != first.key


def test_a_table_that_breaks_rules_is_audited(tmp_path: Path) -> None:
    csv = write(
        tmp_path / "t.csv", [row(film(1), Edema="2"), row(film(2), Fracture="1"), row(film(2), Fracture="1")]
    )
    at = uploaded("mine.csv", csv.read_bytes())
    assert at.error[0].value.startswith("mine.csv: row 2, column Edema")
    assert not at.metric
    assert frame(at, "Path")["kind"].tolist() == [
        "unreadable cell",
        "repeated path",
    ]


@pytest.mark.parametrize(
    "data",
    [b"a,b\n1,2\n", b"", b"\x1f\x8b broken", b"PK\x03\x04", gzip.compress(b"x", mtime=0)[:-4], b"\xff\xfe\0"],
)
def test_what_can_not_be_read_is_a_sentence(data: bytes) -> None:
    at = uploaded("mine.csv", data)
    assert len(at.error) == 1
    assert at.error[0].value.startswith("mine.csv")
    assert not at.metric


def test_problems_are_filtered_by_kind(tmp_path: Path) -> None:
    at = uploaded("mine.csv", own_table(tmp_path).read_bytes())
    at.multiselect(key="dataset-kinds").set_value(["sex not stated"])
    assert frame(ran(at), "Path")["kind"].tolist() == ["sex not stated"]


# ------------------------------------------------------------------------------------- the data folder


def test_the_data_folder_and_its_films(copied_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHEXMODEL_DATA", str(copied_data))
    gone = sorted(copied_data.glob("train/*/*/*.jpg"))[0]
    gone.unlink()
    at = opened()
    at.radio(key="dataset-source").set_value("The data folder")
    ran(at)
    assert metrics(at)["Films"] == str(len(read_table(copied_data)))
    assert "missing film" not in frame(at, "rule").index
    next(button for button in at.button if button.label == "Check the films too").click()
    ran(at)
    assert frame(at, "rule").loc["missing film", "rows"] == 1
    rows = frame(at, "Path")
    assert (
        rows.loc[rows["kind"] == "missing film", "Path"]
        .iloc[0]
        .endswith(gone.relative_to(copied_data).as_posix())
    )
    assert str(copied_data) not in text(at)


def test_a_data_folder_that_is_gone_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHEXMODEL_DATA", str(tmp_path / "gone"))
    at = opened()
    at.radio(key="dataset-source").set_value("The data folder")
    said = ran(at).error[0].value
    assert said.startswith("the data folder does not exist")
    assert str(tmp_path) not in said
