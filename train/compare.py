"""Runs side by side: the options that differ, their metrics, and paired differences to the first one."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chexmodel.comparison import compare_judged
from chexmodel.errors import BundleError, ChexError
from chexmodel.runs import Finished, read_finished, read_history, read_options
from train.commands import CompareConfig
from train.compare_html import html
from train.compare_report import Report
from train.html_page import write_page


def compare(config: CompareConfig) -> Report:
    """Compare runs, print the tables, and write the page that was asked for.

    Args:
        config: which runs, the first of them the baseline. A run that can't be compared is listed with what
            to do, and left out.

    Returns:
        What was found.

    Raises:
        ChexError: no run is left, or the page can't be written.
    """
    report = _report(config)
    print(_text(report))
    if config.html is not None:
        write_page(config.html, html(report))
    return report


def _report(config: CompareConfig) -> Report:
    found: dict[str, tuple[Path, Finished]] = {}
    left_out = {}
    for name, path in _named(config.runs).items():
        try:
            found[name] = path, read_finished(path, config.split, name=name)
        except BundleError as error:
            left_out[name] = str(error)
    if not found:
        reasons = "\n".join(f"- {reason}" for reason in left_out.values())
        raise BundleError(f"none of these can be compared:\n{reasons}")
    (baseline, (_, first)), *others = found.items()
    comparisons, incomparable = {}, {}
    for name, (_, second) in others:
        try:
            comparisons[name] = compare_judged(
                first.judged, second.judged, bootstrap=config.bootstrap, seed=config.seed
            )
        except ChexError as error:
            incomparable[name] = str(error)
    return Report(
        command=_command(config),
        split=config.split,
        baseline=baseline,
        left_out=left_out,
        options={name: read_options(path) for name, (path, _) in found.items()},
        evaluations={name: run.evaluation for name, (_, run) in found.items()},
        comparisons=comparisons,
        incomparable=incomparable,
        histories=_histories({name: path for name, (path, _) in found.items()}),
    )


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Call a run by its directory's name, or by its path where two have the same name."""
    names = [path.resolve().name for path in paths]
    return {
        name if names.count(name) == 1 else str(path): path for name, path in zip(names, paths, strict=True)
    }


def _histories(paths: dict[str, Path]) -> dict[str, pd.DataFrame]:
    """Read the curves of the runs that have some: imported weights were never trained here."""
    histories = {}
    for name, path in paths.items():
        try:
            histories[name] = read_history(path)
        except BundleError:
            continue
    return histories


def _command(config: CompareConfig) -> str:
    chosen = config.model_dump(mode="json", exclude_defaults=True, exclude={"runs", "html"})
    flags = [word for name, value in chosen.items() for word in (f"--{name}", str(value))]
    return shlex.join(["python", "-m", "train", "compare", *map(str, config.runs), *flags])


def _text(report: Report) -> str:
    blocks = [f"left out: {name}: {reason}" for name, reason in report.left_out.items()]
    for title, text, table in report.sections():
        cells = [] if table is None else [table.rename_axis(None).to_string()]
        blocks.append("\n".join([f"## {title}", *([text] if text else []), *cells]))
    blocks += [f"{name} is not compared: {reason}" for name, reason in report.incomparable.items()]
    return "\n\n".join(blocks)
