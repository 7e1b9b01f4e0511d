"""What is wrong, or odd, in label tables: a row per problem, with what to do about it.

The films themselves are checked in `film_audit`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pandas as pd

from chexmodel.labels import DISEASES, NO_FINDING, OBSERVATIONS, PARENTS
from chexmodel.language import mark
from chexmodel.schema import FIRST_ROW, SEXES, STUDY

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = (mark("error"), mark("warning"), mark("note"))


class Kind(NamedTuple):
    """A kind of problem: how bad it is, the rule that finds it, and what to do; all of it messages."""

    severity: Severity
    rule: str
    remedy: str


TABLE_KINDS: Final[dict[str, Kind]] = {
    mark("unreadable cell"): Kind(
        "error",
        mark(
            "a path without patient<number>/study<number>, a label that is none of 1, 0, −1 and blank, an "
            "age that is no number from 0 to 120, a view that is neither Frontal nor Lateral"
        ),
        mark("correct the cell or remove the row; training refuses the table"),
    ),
    mark("repeated path"): Kind(
        "error",
        mark("the path is that of an earlier row too"),
        mark("keep one row of the film; training refuses the table"),
    ),
    mark("patient in several splits"): Kind(
        "error",
        mark("the patient has films in several tables, or under several folders (train, valid, test)"),
        mark("move all films of the patient to one split: scores are too good otherwise"),
    ),
    mark("patient of two sexes"): Kind(
        "warning",
        mark("the patient's rows name more than one sex"),
        mark("check whether two patients share the number"),
    ),
    mark("No Finding with a finding"): Kind(
        "warning",
        mark("No Finding is positive, and one of the other observations but support devices is too"),
        mark("read the report, and correct one of the two"),
    ),
    mark("finding whose parent is negative"): Kind(
        "warning",
        mark("a finding is positive while its parent in the labeler's hierarchy is explicitly negative"),
        mark("make the parent positive, or leave it out: the network is taught a contradiction"),
    ),
    mark("finding whose parent is blank or uncertain"): Kind(
        "note",
        mark("a finding is positive while its parent in the labeler's hierarchy is blank or uncertain"),
        mark("know that --blank negative makes such a blank parent a negative"),
    ),
    mark("age 0"): Kind(
        "warning",
        mark("the age is 0"),
        mark("take the age for unknown: it stands for a missing one as a rule"),
    ),
    mark("age above 100"): Kind(
        "warning",
        mark("the age is above 100; CheXpert itself caps ages at 90"),
        mark("check the age"),
    ),
    mark("age below 18"): Kind(
        "note",
        mark("the age is above 0 and below 18; CheXpert is of adults"),
        mark("leave children out, or say so"),
    ),
    mark("sex not stated"): Kind(
        "note",
        mark("the sex is neither Female nor Male"),
        mark("leave the film out of comparisons of the sexes"),
    ),
    mark("frontal film without AP or PA"): Kind(
        "warning",
        mark("the view is Frontal, and the projection is neither AP nor PA"),
        mark("look at the film: it may be no frontal one"),
    ),
    mark("view contradicts path"): Kind(
        "warning",
        mark("the path says frontal and the column Lateral, or the reverse"),
        mark("look at the film, and correct the column"),
    ),
    mark("film without any label"): Kind(
        "note",
        mark("all 14 observations are blank"),
        mark("leave the film out: with blanks as negatives it teaches 14 negatives that no report states"),
    ),
}
"""What `audit` looks for, the worst first within a subject."""

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

_BLANK_CELL: Final = mark("{column} is blank")
_BAD_CELL: Final = mark("{column} is “{cell}”")
_OTHER_CELL: Final = mark("{column} is {cell}")
_EARLIER: Final = mark("as in row {row} of {file}")
_POSITIVE_TOO: Final = mark("positive too: {observations}")
_BELOW_NEGATIVE: Final = mark("{child} is positive, {parent} negative")
_BELOW_BLANK: Final = mark("{child} is positive, {parent} blank")
_BELOW_UNCERTAIN: Final = mark("{child} is positive, {parent} uncertain")
_YEARS: Final = mark("{age} years")
_NOTHING: Final = mark("no observation has a value")

TABLE_MESSAGES: Final = (
    _BELOW_NEGATIVE,
    _BELOW_BLANK,
    _BELOW_UNCERTAIN,
    _BLANK_CELL,
    _BAD_CELL,
    _OTHER_CELL,
    _EARLIER,
    _POSITIVE_TOO,
    _YEARS,
    _NOTHING,
)
"""What the column `what` is made from, by `str.format`: a frame of problems is English, as its CSV is."""

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
        problems("film without any label", films[unlabelled], _NOTHING),
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
            (_BLANK_CELL if pd.isna(cell) or cell == "nan" else _BAD_CELL).format(column=column, cell=cell)
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
        _EARLIER.format(row=row, file=file) for file, row in zip(earlier["file"], earlier["row"], strict=True)
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
    said = [_POSITIVE_TOO.format(observations=", ".join(names[positive])) for positive in ill[wrong]]
    yield problems("No Finding with a finding", films[wrong], said)
    negative, open_ = [], []
    for child, parent in PARENTS.items():
        positive, above = labels[child] == 1, labels[parent]
        negative.append(
            problems(
                "finding whose parent is negative",
                films[positive & (above == 0)],
                _BELOW_NEGATIVE.format(child=child, parent=parent),
            )
        )
        for message, there in ((_BELOW_BLANK, above.isna()), (_BELOW_UNCERTAIN, above == -1)):
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
        yield problems(kind, films[odd], [_YEARS.format(age=f"{age:g}") for age in ages[odd]])
    said = films["Sex"].fillna("blank")
    unknown = ~said.isin(SEXES)
    yield problems(
        "sex not stated",
        films[unknown],
        [_OTHER_CELL.format(column="Sex", cell=sex) for sex in said[unknown]],
    )
    frontal = films["Frontal/Lateral"] == "Frontal"
    projection = films["AP/PA"].fillna("blank")
    odd = frontal & ~projection.isin(["AP", "PA"])
    yield problems(
        "frontal film without AP or PA",
        films[odd],
        [_OTHER_CELL.format(column="AP/PA", cell=text) for text in projection[odd]],
    )
    name = films["Path"].str.lower()
    wrong = (frontal & name.str.contains("lateral", regex=False)) | (
        (films["Frontal/Lateral"] == "Lateral") & name.str.contains("frontal", regex=False)
    )
    yield problems(
        "view contradicts path",
        films[wrong],
        [_OTHER_CELL.format(column="Frontal/Lateral", cell=v) for v in films.loc[wrong, "Frontal/Lateral"]],
    )
