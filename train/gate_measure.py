"""How often the check of the input is right: on films, in all 16 placings, and on other pictures."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd
from tqdm import tqdm

from chexmodel import images
from chexmodel.correction import CORRECTIONS, UPRIGHT, Correction
from chexmodel.errors import DatasetError, ImageError
from chexmodel.film import Grey
from chexmodel.gate import Gate, GateResult, Look, judge
from chexmodel.gate_rates import ALL_PLACED, AS_THEY_ARE, GateRate, wilson
from chexmodel.network import Network
from chexmodel.preprocessing import Preprocessing
from chexmodel.scores import UNKNOWN
from train.dataset import Split
from train.gate_seen import features_of
from train.pack import PackedFilm, Source

DESCRIPTION: Final = "SOURCE.txt"
"""In a folder of other pictures: what they are and where they are from."""


class Watch(NamedTuple):
    """A gate, and the network and preprocessing whose films it judges."""

    gate: Gate
    network: Network
    preprocessing: Preprocessing

    def looks(self, films: Iterable[Grey]) -> list[Look]:
        """Look at films (H, W) one by one."""
        batches = features_of(self.network, self.preprocessing, films)
        return [self.gate.look(features) for batch in batches for features in batch]

    def judged(self, film: Grey) -> GateResult:
        """Judge a film (H, W) as `Predictor` does."""
        return judge(self.gate, lambda made: self.looks([made.apply(film)])[0])


class Folder(NamedTuple):
    """Pictures of one source: paths, the patient of each, and what is said of them."""

    name: str
    files: Sequence[Source]
    patients: Sequence[str]
    description: str = ""


def unseen(split: Split, name: str) -> Folder:
    """The films of a split."""
    return Folder(name, split.sources, split.patients, f"the films of {name}")


def external(folder: Path) -> Folder:
    """The films of a folder, at any depth; a metadata.csv may give image_id (a file's stem) and patient_id.

    Raises:
        DatasetError: there are none.
    """
    files = _pictures(folder)
    known: dict[str, str] = {}
    if (folder / "metadata.csv").is_file():
        table = pd.read_csv(folder / "metadata.csv", dtype=str)
        if {"image_id", "patient_id"} <= set(table.columns):
            known = dict(zip(table["image_id"], table["patient_id"], strict=True))
    patients = [known.get(file.stem, file.name) for file in files]
    said = _description(folder) or "upright frontal films, as the folder gives them"
    return Folder(folder.name, files, patients, said)


def others(parent: Path) -> list[Folder]:
    """The folders of a folder, one a source, in their order.

    Raises:
        DatasetError: there are none, or one is empty.
    """
    folders = sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
    if not folders:
        raise DatasetError(f"{parent} has no folders of pictures: make one a source, or leave it out")
    found = []
    for folder in folders:
        files = _pictures(folder)
        name = f"{parent.name}/{folder.name}"
        found.append(Folder(name, files, [str(file) for file in files], _description(folder)))
    return found


def film_rates(watch: Watch, folder: Folder) -> list[GateRate]:
    """Rates on frontal films: as they are, in each of the 15 other placings, and in these taken together."""
    accepted, mended = Counter[Correction](), Counter[Correction]()
    for source in tqdm(folder.files, desc=folder.name, unit="film", file=sys.stderr):
        film = _film(source, watch.preprocessing.size)
        # A film in need of a correction is the upright one with that correction undone.
        shown = watch.looks(needed.inverse().apply(film) for needed in CORRECTIONS)
        looks = dict(zip(CORRECTIONS, shown, strict=True))
        for needed in CORRECTIONS:
            result = judge(watch.gate, partial(_corrected, looks, needed))
            accepted[needed] += result.accepted
            mended[needed] += result.correction == needed

    def rate(shown: str, needed: Sequence[Correction]) -> GateRate:
        films, patients = len(folder.files), len(set(folder.patients))
        count, kept = films * len(needed), sum(accepted[one] for one in needed)
        clicks = sum(mended[one] for one in needed)
        upright = needed == [UPRIGHT]
        return GateRate(
            kind="films",
            source=folder.name,
            description=folder.description,
            shown=shown,
            pictures=count,
            patients=patients,
            accepted=kept,
            corrected=clicks,
            right=wilson(kept if upright else count - kept, count, patients),
            mended=UNKNOWN if upright else wilson(clicks, count, patients),
        )

    rows = [rate(AS_THEY_ARE if one == UPRIGHT else one.words(), [one]) for one in CORRECTIONS]
    return [rows[0], rate(ALL_PLACED, list(CORRECTIONS[1:])), *rows[1:]]


def other_rate(watch: Watch, folder: Folder) -> GateRate:
    """Rate on pictures that are no chest films; those that are refused as files are counted apart."""
    kept = clicks = read = 0
    for source in tqdm(folder.files, desc=folder.name, unit="picture", file=sys.stderr):
        try:
            film = _film(source, watch.preprocessing.size)
        except ImageError:
            continue
        read += 1
        result = watch.judged(film)
        kept += result.accepted
        clicks += result.correction is not None
    return GateRate(
        kind="others",
        source=folder.name,
        description=folder.description,
        shown=AS_THEY_ARE,
        pictures=read,
        patients=read,
        accepted=kept,
        corrected=clicks,
        right=wilson(read - kept, read),
        mended=UNKNOWN,
        unreadable=len(folder.files) - read,
    )


def together(parent: str, rates: Sequence[GateRate]) -> GateRate:
    """Rate on all sources of a folder of other pictures."""
    pictures, kept = (sum(getattr(rate, name) for rate in rates) for name in ("pictures", "accepted"))
    return GateRate(
        kind="others",
        source=parent,
        description=f"all {len(rates)} sources of {parent}",
        shown=AS_THEY_ARE,
        pictures=pictures,
        patients=pictures,
        accepted=kept,
        corrected=sum(rate.corrected for rate in rates),
        right=wilson(pictures - kept, pictures),
        mended=UNKNOWN,
        unreadable=sum(rate.unreadable for rate in rates),
    )


def _corrected(looks: Mapping[Correction, Look], needed: Correction, made: Correction) -> Look:
    """Find the look at a film after a correction was made, by what the film is then in need of."""
    return looks[made.after(needed.inverse()).inverse()]


def _film(source: Source, size: int) -> Grey:
    if isinstance(source, PackedFilm):
        return source.square(size).numpy()
    # The reader refuses a CT before the gate sees it; the gate is held to it all the same.
    return images.read(source, any_class=True).grey


def _pictures(folder: Path) -> list[Path]:
    skipped = {".txt", ".csv", ".json", ".md"}
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() not in skipped
    )
    if not files:
        raise DatasetError(f"{folder} has no pictures: check the path")
    return files


def _description(folder: Path) -> str:
    file = folder / DESCRIPTION
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""
