"""The README's commands exist, its files are there, and its figures are those of the shipped bundle."""

import json
import re
import shlex
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import tyro

from chexmodel import bundle
from chexmodel.correction import Correction
from chexmodel.evaluation_tables import best_constant
from chexmodel.gate_rates import ALL_PLACED, AS_THEY_ARE, GateRates
from chexmodel.localisation_words import summary
from chexmodel.methods import EXACT
from chexmodel.protocol import load_table_protocols
from chexmodel.protocol_scores import MODEL
from chexmodel.scores import interval
from chexmodel.studies import read_study
from train.config import MACHINE, FitConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
DEMO = ROOT / "assets" / "models" / "demo"


def commands() -> list[str]:
    """Every line of the pages' shell blocks, continuation lines joined, comments dropped."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```(?:bash|sh)\n(.*?)```", page.read_text(), flags=re.DOTALL):
            joined = re.sub(r"\\\n\s*", " ", block)
            found += [re.sub(r"\s+#.*", "", line).strip() for line in joined.splitlines() if line.strip()]
    return [line for line in found if not line.startswith("#")]


@cache
def help_of(module: str, command: str) -> str:
    """The `--help` of a subcommand."""
    return subprocess.run(
        [sys.executable, "-m", module, command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "PATH": ""},
    ).stdout


def test_readme_begins_with_the_two_commands() -> None:
    top = commands()[:2]
    assert top == [
        "pip install -r requirements.txt && streamlit run app.py",
        "pip install -r requirements-dev.txt && pytest",
    ]


@pytest.mark.parametrize(
    "line", [line for line in commands() if "python -m train" in line or "chexmodel " in line]
)
def test_commands_and_their_options_exist(line: str) -> None:
    words = shlex.split(line)
    at = words.index("-m")
    module, command = words[at + 1 : at + 3]
    text = help_of(module, command)
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert re.search(rf"(^|[\s,]){option}\b", text), f"{module} {command} has no {option}"


def test_files_that_the_pages_name_exist() -> None:
    for page in PAGES:
        text = page.read_text()
        links = re.findall(r"\]\((?!https?://|#)([^)#]+)\)", text) + re.findall(r"src=\"([^\"]+)\"", text)
        for target in links:
            assert (ROOT / target).exists(), f"{page.name} links to {target}"
        for target in re.findall(r"`((?:chexmodel|train|assets|tests|\.streamlit)/[\w./-]+)`", text):
            assert (ROOT / target).exists(), f"{page.name} names {target}"


def test_readme_figures_are_those_of_the_shipped_bundle() -> None:
    readme = (ROOT / "README.md").read_text()
    test = bundle.load(DEMO).metrics().splits["test"]
    rows = [score for score in test.scores if not score.undefined]
    assert rows
    for score in rows:
        row = re.search(rf"^\| {score.observation} \|(.*)\|$", readme, flags=re.MULTILINE)
        assert row, f"README has no row for {score.observation}"
        shown = [score.average_precision.value, score.f1.value, best_constant(score, "f1")]
        assert [cell.strip() for cell in row.group(1).split("|")] == [
            *(str(score.positives), str(score.negatives), interval(score.auroc)),
            *(f"{value:.2f}" for value in shown),
            interval(score.lift["f1"], signed=True),
        ]
    text = " ".join(readme.split())
    for average in (test.macro["auroc"], test.macro_distinct["auroc"], test.macro["f1"], test.micro["f1"]):
        assert re.search(rf"{re.escape(interval(average))}( over|, of a constant|\.)", text)
    weak = [score.observation for score in rows if score.auroc.low <= 0.5]
    assert f"No skill is shown for {', '.join(weak[:-1])} and {weak[-1]} (interval reaching 0.50)" in text


def test_readme_says_of_the_maps_what_was_measured() -> None:
    readme = (ROOT / "README.md").read_text()
    text = " ".join(readme.split())
    for score in bundle.load(DEMO).localisation().scores:
        if score.split == "all":
            margin = interval(score.hit_margin.difference, signed=True) if score.hit_margin else "—"
            assert f"| {score.method} | {interval(score.hit)} | {margin} | {interval(score.iou)} |" in readme
        elif score.method == EXACT:
            assert re.search(rf"on {re.escape(interval(score.hit))} of (the )?{score.films} ", text)
    best = bundle.load(DEMO).localisation().of("Lung Opacity", "all")[0]
    assert best.hit_margin is not None
    assert not best.hit_margin.beaten  # else the README's sentence in bold is to be changed
    scores = bundle.load(DEMO).localisation().of("Lung Opacity", "all")
    assert summary(scores, "hit") in (DEMO / "card.md").read_text()


def test_readme_says_of_both_protocols_what_was_measured() -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    table = load_table_protocols(ROOT / "assets" / "statistics" / "reference_protocol.json")
    shipped = bundle.load(DEMO).reference_protocol()
    assert shipped is not None
    for judgement in (table.reference, table.ours):
        assert interval(judgement.answer("constant yes").macro["f1"], digits=3) in text
    for judgement in (shipped.reference, shipped.ours):
        macro, yes = (judgement.answer(name).macro["f1"] for name in (MODEL, "constant yes"))
        assert f"{interval(macro, digits=3)} over {macro.observations}" in text
        assert f'a constant "yes" {yes.value:.3f}' in text
    assert f"{table.leak.shared_patients:,} of its {table.leak.scored_patients:,} scored patients" in text


def test_readme_says_of_views_what_was_measured() -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    views = next(c for c in bundle.load(DEMO).subgroups()["validation"].columns if c.name == "AP/PA")
    for metric, highest in (("recall", "PA"), ("specificity", "AP")):
        gap = next(g for g in views.gaps if (g.observation, g.metric) == ("Atelectasis", metric))
        assert gap.highest == highest
        assert f"{interval(gap.gap)} higher on {highest} films" in text


def test_readme_trains_the_shipped_model_as_it_was_trained() -> None:
    """Its command and the card's give the bundle's configuration, but for the text of the card."""
    shipped = bundle.load(DEMO).manifest.config
    card = re.search(r"```\n(python -m train fit .*)\n", (DEMO / "card.md").read_text())
    assert card
    readme = [line for line in commands() if "train fit" in line and "--out runs/demo" in line]
    assert len(readme) == 1
    for line in (*readme, card.group(1)):
        given = tyro.cli(tyro.conf.OmitArgPrefixes[FitConfig], args=shlex.split(line)[4:])
        chosen = json.loads(given.model_dump_json(exclude=set(MACHINE)))
        assert chosen | {"description": shipped["description"]} == shipped


def test_readme_figures_are_those_of_the_study() -> None:
    readme = (ROOT / "README.md").read_text()
    study = read_study(ROOT / "assets" / "study.json")
    columns = ["configuration", "changes", "mean AUROC", "by seed", "difference to the base"]
    for row in study.frame()[columns].itertuples(index=False):
        assert f"| {' | '.join(row)} |" in readme
    text = " ".join(readme.split())
    assert f"{study.films:,} films of {study.patients:,} patients, {study.folds} patient-wise folds" in text
    assert f"{study.seeds} seeds, {study.epochs} epochs at {study.image_size} px" in text
    assert f"over the {len(study.observations)} observations" in text


def test_readme_says_of_the_input_check_what_was_measured() -> None:
    readme = (ROOT / "README.md").read_text()
    rates = GateRates.model_validate_json((DEMO / "gate.json").read_text()).rates
    mirrored = Correction(mirror=True).words()
    films = product(("valid.csv", "external"), (AS_THEY_ARE, ALL_PLACED, mirrored))
    wanted = [*films, ("unseen", AS_THEY_ARE)]
    for source, shown in wanted:
        rate = next(rate for rate in rates if (rate.source, rate.shown) == (source, shown))
        right = round(rate.right.value * rate.pictures)
        of = f" of {rate.pictures:,}" if shown == ALL_PLACED else ""
        figures = f"{rate.right.value:.3f}, {rate.right.low:.3f}–{rate.right.high:.3f}"
        assert f"| {right:,}{of} ({figures}) |" in readme
        if shown == ALL_PLACED:
            assert f"{rate.corrected:,} of the {rate.pictures:,}" in readme
