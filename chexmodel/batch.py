"""Many films one after another: a result each, whatever becomes of the others; their table and overlays.

Of a film its scores, decisions and a thumbnail are kept, never its pixels: overlays read it again.
"""

import io
import re
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from chexmodel import explain
from chexmodel.containers import Entry, Refusal
from chexmodel.errors import ChexError
from chexmodel.geometry import to_film
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr
from chexmodel.predictor import Prediction, Predictor
from chexmodel.quality import view_hint
from chexmodel.spreadsheet import inert

Status = Literal["read", "withheld", "not read"]

CALLED: Final = "at or above threshold"
"""The decision, as `Prediction.frame` words it, of a finding that gets an overlay."""
THUMBNAIL: Final = 96
"""Longest side of a thumbnail, px."""
OVERLAY_SIDE: Final = 1024
"""Longest side of an overlay, px: larger films are reduced, so that those of 200 films can be held."""
MAX_OVERLAYS: Final = 500 * 2**20
"""Most bytes of overlays in one ZIP."""
_RECENT: Final = 20  # films from which the time left is estimated: sizes and formats come in runs
_ALPHA: Final = 0.55


@dataclass(frozen=True, eq=False)
class Result:
    """What is kept of one film.

    status: "read"; "withheld": the gate rejected it; "not read".
    reason: why it is withheld or not read, a sentence; "" if read.
    gated: whether the model has a gate at all.
    probabilities: (14,) calibrated, NaN where not trained; all NaN unless read.
    decisions: in words, as `Prediction.frame` has them; "" unless read.
    warnings: what to know before trusting it. thumbnail: a PNG; empty if not read. seconds: it took.
    """

    entry: Entry
    status: Status
    reason: str
    gated: bool
    probabilities: NDArray[np.float64]
    decisions: tuple[str, ...]
    warnings: tuple[str, ...]
    thumbnail: bytes
    seconds: float

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
        started = time.perf_counter()
        try:
            result = _kept(entry, predictor.predict(entry.data), started)
        except ChexError as error:
            result = _unread(entry, str(error), started)
        except Exception as error:  # a defect of ours must not take the other films along
            reason = tr("Reading this film failed unexpectedly ({error}).", error=type(error).__name__)
            result = _unread(entry, reason, started)
        yield result


def _kept(entry: Entry, prediction: Prediction, started: float) -> Result:
    gate = prediction.gate
    rejected = gate is not None and not gate.accepted
    warnings = list(prediction.audit.warnings)
    if prediction.audit.view is None and (hint := view_hint(entry.view)) is not None:
        warnings.append(hint)
    return Result(
        entry=entry,
        status="withheld" if rejected else "read",
        reason=gate.reason if gate is not None and rejected else "",
        gated=gate is not None,
        probabilities=np.full(len(OBSERVATIONS), np.nan) if rejected else prediction.probabilities,
        decisions=("",) * len(OBSERVATIONS) if rejected else tuple(prediction.frame()["decision"]),
        warnings=tuple(warnings),
        thumbnail=_png(_reduced(prediction.film, THUMBNAIL)),
        seconds=time.perf_counter() - started,
    )


def _unread(entry: Entry, reason: str, started: float) -> Result:
    return Result(
        entry=entry,
        status="not read",
        reason=reason,
        gated=False,
        probabilities=np.full(len(OBSERVATIONS), np.nan),
        decisions=("",) * len(OBSERVATIONS),
        warnings=(),
        thumbnail=b"",
        seconds=time.perf_counter() - started,
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
    rows = [_row(result) | model | _scores(result) for result in results]
    unread = {"status": "not read", **model}
    rows += [{"file": inert(name), "reason": reason, **unread} for name, reason in refused]
    scores = [f"{what} {name}" for name in OBSERVATIONS for what in ("probability", "decision")]
    return pd.DataFrame(rows, columns=[*_COLUMNS, *model, *scores]).to_csv(index=False).encode()


_COLUMNS: Final = ("file", "status", "reason", "view", "frames", "study", "series", "gate", "warnings")


def _row(result: Result) -> dict[str, object]:
    entry = result.entry
    gate = {"read": "accepted", "withheld": "rejected", "not read": ""}[result.status]
    return {
        "file": inert(entry.name),
        "status": result.status,
        "reason": result.reason,
        "view": entry.view,
        "frames": entry.frames,
        "study": entry.study,
        "series": entry.series,
        "gate": gate if result.gated else "",
        "warnings": " | ".join(result.warnings),
    }


def _scores(result: Result) -> dict[str, object]:
    scores = dict[str, object]()
    for name, probability, decision in zip(OBSERVATIONS, result.probabilities, result.decisions, strict=True):
        scores |= {f"probability {name}": probability, f"decision {name}": decision}
    return scores


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
        wanted = result.with_decision(CALLED) if finding is None else [finding]
        if result.status != "read" or not wanted:
            yield []
            continue
        prediction = predictor.predict(result.entry.data)
        stem = re.sub(r"[^\w.-]+", "_", PurePosixPath(result.entry.name).stem)[:60]
        yield [
            (f"{number:03d}-{stem}-{name.lower().replace(' ', '-')}.png", _overlay(prediction, name))
            for name in wanted
        ]


def _overlay(prediction: Prediction, finding: str) -> bytes:
    import torch

    film = _reduced(prediction.film, OVERLAY_SIDE)
    grid = torch.from_numpy(prediction.heatmaps[OBSERVATIONS.index(finding)])
    heat = to_film(grid, film.shape).numpy() / explain.strength(prediction.heatmaps)
    return _png(explain.paint(film, heat, alpha=_ALPHA))


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


def _reduced(film: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    height, width = film.shape
    scale = side / max(height, width)
    if scale >= 1:
        return film
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = Image.fromarray(film).resize(size, Image.Resampling.BOX)
    return np.asarray(resized).clip(0, 1).astype(np.float32)


def _png(pixels: NDArray[np.floating] | NDArray[np.uint8]) -> bytes:
    if pixels.dtype != np.uint8:
        pixels = np.round(pixels * 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
