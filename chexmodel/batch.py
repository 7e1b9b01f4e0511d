"""Many films one after another: a result each, whatever becomes of the others; their table and overlays.

Of a film its scores, decisions and a thumbnail are kept, never its pixels: overlays read it again.
"""

import io
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chexmodel.batch_pictures import file_name, overlay_png, thumbnail_png
from chexmodel.containers import Entry, Refusal
from chexmodel.errors import ChexError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr
from chexmodel.predictor import Prediction, Predictor
from chexmodel.quality import view_hint
from chexmodel.spreadsheet import inert

Status = Literal["read", "withheld", "not read"]
Findings = Sequence[str]
"""Observations to paint overlays of; none named means those at or above their threshold."""

CALLED: Final = "at or above threshold"
"""The decision, as `Prediction.frame` words it, of a finding that gets an overlay."""
SCORES: Final = tuple(f"{what} {name}" for name in OBSERVATIONS for what in ("probability", "decision"))
"""Columns of a table of films: a probability and a decision per observation."""
MAX_OVERLAYS: Final = 500 * 2**20
"""Most bytes of overlays in one ZIP."""
_RECENT: Final = 20  # films from which the time left is estimated: sizes and formats come in runs


@dataclass(frozen=True, eq=False)
class Result:
    """What is kept of one film.

    status: "read"; "withheld": the gate rejected it; "not read".
    reason: why it is withheld or not read, a sentence; "" if read.
    gated: whether the model has a gate at all.
    probabilities: (14,) calibrated, NaN where not trained; all NaN unless read.
    decisions: in words, as `Prediction.frame` has them; "" unless read.
    warnings: what to know before trusting it. thumbnail: a PNG; empty if not read, or not asked for.
    overlays: (observation, PNG) of those asked for. seconds: it took.
    """

    entry: Entry
    status: Status
    reason: str
    gated: bool
    probabilities: NDArray[np.float64]
    decisions: tuple[str, ...]
    warnings: tuple[str, ...]
    thumbnail: bytes = b""
    overlays: tuple[tuple[str, bytes], ...] = ()
    seconds: float = 0.0

    def with_decision(self, decision: str) -> list[str]:
        """Observations of a decision, in their order."""
        return [name for name, said in zip(OBSERVATIONS, self.decisions, strict=True) if said == decision]


class Reads(Protocol):
    """What reads a film: a `Predictor`, or something around one."""

    def predict(self, image: bytes, /) -> Prediction:
        """Read one film; raise `ChexError` where that can't be done."""


def read_films(predictor: Reads, entries: Iterable[Entry]) -> Iterator[Result]:
    """Read films one by one; each gives a result, and one at a time is in memory."""
    for entry in entries:
        yield read_film(predictor, entry, thumbnail=True)


def read_film(
    predictor: Reads, entry: Entry, *, thumbnail: bool = False, findings: Findings | None = None
) -> Result:
    """Read one film; whatever goes wrong is told in the result.

    Args:
        predictor: reads it.
        entry: the film.
        thumbnail: make one.
        findings: paint the overlays of these; None paints none.
    """
    started = time.perf_counter()
    try:
        prediction = predictor.predict(entry.data)
        result = _judged(entry, prediction)
        if thumbnail:
            result = replace(result, thumbnail=thumbnail_png(prediction))
        if findings is not None:
            painted = [(name, overlay_png(prediction, name)) for name in _wanted(result, findings)]
            result = replace(result, overlays=tuple(painted))
    except ChexError as error:
        result = unread(entry, str(error))
    except Exception as error:  # a defect of ours must not take the other films along
        reason = tr(
            "Reading this film failed unexpectedly ({error}): try it alone; if it fails again, report it.",
            error=type(error).__name__,
        )
        result = unread(entry, reason)
    return replace(result, seconds=time.perf_counter() - started)


def _judged(entry: Entry, prediction: Prediction) -> Result:
    gate = prediction.gate
    rejected = gate is not None and not gate.accepted
    reason = gate.reason if gate is not None and rejected else ""
    warnings = [warning for warning in prediction.warnings if warning != reason]
    if prediction.audit.view is None and (hint := view_hint(entry.view)) is not None:
        warnings.append(hint)
    return Result(
        entry=entry,
        status="withheld" if rejected else "read",
        reason=reason,
        gated=gate is not None,
        probabilities=np.full(len(OBSERVATIONS), np.nan) if rejected else prediction.probabilities,
        decisions=("",) * len(OBSERVATIONS) if rejected else tuple(prediction.frame()["decision"]),
        warnings=tuple(warnings),
    )


def unread(entry: Entry, reason: str) -> Result:
    """Return the result of a film that could not be read."""
    return Result(
        entry=entry,
        status="not read",
        reason=reason,
        gated=False,
        probabilities=np.full(len(OBSERVATIONS), np.nan),
        decisions=("",) * len(OBSERVATIONS),
        warnings=(),
    )


def seconds_left(results: Sequence[Result], films: int) -> float:
    """Estimate the time for `films` more from the last ones read; NaN before the first."""
    recent = [result.seconds for result in results[-_RECENT:]]
    return films * float(np.mean(recent)) if recent else float("nan")


def to_csv(results: Iterable[Result], refused: Iterable[Refusal], predictor: Predictor) -> bytes:
    """Write one row per film, and per file of the upload that is none.

    Columns: file; status ("read", "withheld", "not read"); reason; view; frames; study, series (numbers
    within the upload); gate ("accepted", "rejected"; empty without a gate, or if not read); warnings,
    separated by " | "; model; weights_sha256; then for each observation `probability NAME` in [0, 1], empty
    where it was not trained or the film not read, and `decision NAME` in words. A name that a spreadsheet
    would take for a formula gets an apostrophe before it.
    """
    manifest = predictor.bundle.manifest
    model = {"model": inert(manifest.name), "weights_sha256": manifest.weights_sha256}
    rows = [
        {"file": inert(result.entry.name), "study": result.entry.study, "series": result.entry.series}
        | facts(result)
        | model
        | scores(result)
        for result in results
    ]
    not_read = {"status": "not read", **model}
    rows += [{"file": inert(name), "reason": reason, **not_read} for name, reason in refused]
    return pd.DataFrame(rows, columns=[*_COLUMNS, *model, *SCORES]).to_csv(index=False).encode()


_COLUMNS: Final = ("file", "status", "reason", "view", "frames", "study", "series", "gate", "warnings")


def facts(result: Result) -> dict[str, object]:
    """Give the cells of a film's row that say what became of it."""
    gate = {"read": "accepted", "withheld": "rejected", "not read": ""}[result.status]
    return {
        "status": result.status,
        "reason": result.reason,
        "view": result.entry.view,
        "frames": result.entry.frames,
        "gate": gate if result.gated else "",
        "warnings": " | ".join(result.warnings),
    }


def scores(result: Result) -> dict[str, object]:
    """Give the cells under `SCORES` of a film's row."""
    both = zip(result.probabilities.tolist(), result.decisions, strict=True)
    return dict(zip(SCORES, (cell for pair in both for cell in pair), strict=True))


def overlays(
    predictor: Predictor, results: Iterable[Result], *, finding: str | None = None
) -> Iterator[list[tuple[str, bytes]]]:
    """Paint heatmaps of the films that were read, reading each again: for each its (file name, PNG) pairs.

    Args:
        predictor: the one that gave the results.
        results: of the films; those that were not read, or withheld, give an empty list.
        finding: paint this one on every film; None paints those at or above their threshold.
    """
    for number, result in enumerate(results, 1):
        wanted = _wanted(result, () if finding is None else [finding])
        if not wanted:
            yield []
            continue
        prediction = predictor.predict(result.entry.data)
        yield [
            (f"{number:03d}-{file_name(result.entry.name, name)}", overlay_png(prediction, name))
            for name in wanted
        ]


def _wanted(result: Result, findings: Findings) -> Findings:
    return (findings or result.with_decision(CALLED)) if result.status == "read" else ()


def zipped(pictures: Iterable[Sequence[tuple[str, bytes]]]) -> bytes:
    """Put the pictures of `overlays` into a ZIP, in memory.

    Raises:
        ChexError: they are more than `MAX_OVERLAYS`.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
        for some in pictures:
            for name, data in some:
                archive.writestr(name, data)
            if stream.tell() > MAX_OVERLAYS:
                raise ChexError(
                    tr(
                        "The overlays are more than {most} MB: choose one finding, or fewer films.",
                        most=MAX_OVERLAYS // 2**20,
                    )
                )
    return stream.getvalue()
