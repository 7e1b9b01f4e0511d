"""What is wrong, or odd, in label tables: a row per problem, with what to do about it.

The films themselves are checked in `film_audit`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from chexmodel import audit_kinds as words
from chexmodel.audit_kinds import TABLE_KINDS, Kind
from chexmodel.labels import DISEASES, NO_FINDING, OBSERVATIONS, PARENTS
from chexmodel.language import mark
from chexmodel.schema import FIRST_ROW, SEXES, STUDY

COLUMNS: Final = (
    mark("kind"),
    mark("severity"),
    mark("file"),
    mark("row"),
    mark("Path"),
    mark("patient"),
    mark("what"),
    mark("remedy"),
)
"""Columns of a frame of problems; `row` as a spreadsheet counts, the header being row 1."""

_NEEDED: Final = ["Path", "patient", "Sex", "Age", "Frontal/Lateral", "AP/PA"]


def audit(
    tables: Mapping[str, pd.DataFrame], *, broken: Mapping[str, pd.DataFrame] | None = None
) -> pd.DataFrame:
    """Look for problems in the tables of one data set.

    Args:
        tables: file's name → rows of `read_table`, or of `read_loosely`. Two tables are two splits.
        broken: file's name → broken cells, as `read_loosely` gives them.

    Returns:
        A row per problem, in the columns `COLUMNS` and the order of `TABLE_KINDS`. A film can have several.
    """
    rows = [table[_NEEDED].assign(file=name, row=table.index + FIRST_ROW) for name, table in tables.items()]
    films = pd.concat(rows, ignore_index=True)
    labels = pd.concat([table[list(OBSERVATIONS)] for table in tables.values()], ignore_index=True)
    unlabelled = labels.isna().all(axis=1)
    for name, cells in (broken or {}).items():  # a label that can't be read is not a blank
        unlabelled &= ~((films["file"] == name) & films["row"].isin(cells["row"] + FIRST_ROW))
    found = [
        *_broken(broken or {}, films),
        *_patients(films),
        *_contradictions(films, labels),
        *_odd(films),
        problems("film without any label", films[unlabelled], words.NOTHING),
    ]
    return in_order(found)


def problems(
    kind: str,
    films: pd.DataFrame,
    what: str | list[str],
    *,
    kinds: Mapping[str, Kind] = TABLE_KINDS,
) -> pd.DataFrame:
    """Make rows of a kind of problem from films with the columns file, row, Path and patient."""
    known = kinds[kind]
    cells = films[["file", "row", "Path", "patient"]]
    return cells.assign(kind=kind, severity=known.severity, what=what, remedy=known.remedy)


def in_order(found: list[pd.DataFrame]) -> pd.DataFrame:
    """Join frames of problems, in their order; an empty frame has the columns too."""
    some = [frame for frame in found if len(frame)]
    if not some:
        return pd.DataFrame({name: pd.Series(dtype="int64" if name == "row" else "str") for name in COLUMNS})
    return pd.concat(some, ignore_index=True)[list(COLUMNS)]


def count(found: pd.DataFrame, kinds: Mapping[str, Kind] = TABLE_KINDS) -> dict[str, int]:
    """Count the problems of each kind that was looked for, 0 included."""
    numbers = found["kind"].value_counts()
    return {kind: int(numbers.get(kind, 0)) for kind in kinds}


def _broken(broken: Mapping[str, pd.DataFrame], films: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for name, cells in broken.items():
        if not len(cells):
            continue
        paths = films[films["file"] == name].set_index("row")[["Path", "patient"]].astype(object)
        named = cells.assign(file=name, row=cells["row"].astype("int64") + FIRST_ROW).join(paths, on="row")
        said = [
            (words.BLANK_CELL if pd.isna(cell) or cell == "nan" else words.BAD_CELL).format(
                column=column, cell=cell
            )
            for column, cell in zip(cells["column"], cells["cell"], strict=True)
        ]
        yield problems("unreadable cell", named.fillna({"Path": "", "patient": ""}), said)


def _splits(films: pd.DataFrame) -> "pd.Series[Any]":
    """Give each film its table and the folder that its patients lie in."""
    folders = films["Path"].str.replace(f"/?{STUDY}.*", "", regex=True).astype("category")
    if len(films["file"].unique()) == 1:
        return folders
    return films["file"].str.cat(folders.astype("str"), sep=": ").astype("category")


def _patients(films: pd.DataFrame) -> Iterator[pd.DataFrame]:
    repeated = films[films.duplicated("Path")]
    first = films[films["Path"].isin(repeated["Path"])].drop_duplicates("Path").set_index("Path")
    earlier = first.loc[repeated["Path"]]
    said = [
        words.EARLIER.format(row=row, file=file)
        for file, row in zip(earlier["file"], earlier["row"], strict=True)
    ]
    yield problems("repeated path", repeated, said)
    for kind, values in (
        ("patient in several splits", _splits(films)),
        ("patient of two sexes", films["Sex"].astype("category")),
    ):
        pairs = pd.DataFrame({"patient": films["patient"], "value": values}).dropna().drop_duplicates()
        pairs = pairs[pairs.duplicated("patient", keep=False)]
        sets = pairs.groupby("patient")["value"].agg(lambda texts: "; ".join(sorted(texts)))
        part = films[films["patient"].isin(sets.index)]
        yield problems(kind, part, part["patient"].map(sets).tolist())


def _contradictions(films: pd.DataFrame, labels: pd.DataFrame) -> Iterator[pd.DataFrame]:
    healthy = (labels[NO_FINDING] == 1).to_numpy()
    ill = (labels[list(DISEASES)] == 1).to_numpy()
    wrong = healthy & ill.any(axis=1)
    names = np.array(DISEASES)
    said = [words.POSITIVE_TOO.format(observations=", ".join(names[positive])) for positive in ill[wrong]]
    yield problems("No Finding with a finding", films[wrong], said)
    negative, open_ = [], []
    for child, parent in PARENTS.items():
        positive, above = labels[child] == 1, labels[parent]
        negative.append(
            problems(
                "finding whose parent is negative",
                films[positive & (above == 0)],
                words.BELOW_NEGATIVE.format(child=child, parent=parent),
            )
        )
        for message, there in ((words.BELOW_BLANK, above.isna()), (words.BELOW_UNCERTAIN, above == -1)):
            open_.append(
                problems(
                    "finding whose parent is blank or uncertain",
                    films[positive & there],
                    message.format(child=child, parent=parent),
                )
            )
    yield from (*negative, *open_)


def _odd(films: pd.DataFrame) -> Iterator[pd.DataFrame]:
    ages = films["Age"]
    for kind, odd in (
        ("age 0", ages == 0),
        ("age above 100", ages > 100),
        ("age below 18", (ages > 0) & (ages < 18)),
    ):
        yield problems(kind, films[odd], [words.YEARS.format(age=f"{age:g}") for age in ages[odd]])
    said = films["Sex"].fillna("blank")
    unknown = ~said.isin(SEXES)
    yield problems(
        "sex not stated",
        films[unknown],
        [words.ODD_SEX.format(cell=sex) for sex in said[unknown]],
    )
    frontal = films["Frontal/Lateral"] == "Frontal"
    projection = films["AP/PA"].fillna("blank")
    odd = frontal & ~projection.isin(["AP", "PA"])
    yield problems(
        "frontal film without AP or PA",
        films[odd],
        [words.ODD_PROJECTION.format(cell=text) for text in projection[odd]],
    )
    name = films["Path"].str.lower()
    wrong = (frontal & name.str.contains("lateral", regex=False)) | (
        (films["Frontal/Lateral"] == "Lateral") & name.str.contains("frontal", regex=False)
    )
    yield problems(
        "view contradicts path",
        films[wrong],
        [words.ODD_VIEW.format(cell=v) for v in films.loc[wrong, "Frontal/Lateral"]],
    )
