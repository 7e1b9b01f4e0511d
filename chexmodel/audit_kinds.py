"""What the audit of a label table looks for, and the sentences that it says of a row."""

from typing import Final, Literal, NamedTuple

from chexmodel.language import mark

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

BLANK_CELL: Final = mark("{column} is blank")
BAD_CELL: Final = mark("{column} is “{cell}”")
ODD_SEX: Final = mark("Sex is {cell}")
ODD_PROJECTION: Final = mark("AP/PA is {cell}")
ODD_VIEW: Final = mark("Frontal/Lateral is {cell}")
EARLIER: Final = mark("as in row {row} of {file}")
POSITIVE_TOO: Final = mark("positive too: {observations}")
BELOW_NEGATIVE: Final = mark("{child} is positive, {parent} negative")
BELOW_BLANK: Final = mark("{child} is positive, {parent} blank")
BELOW_UNCERTAIN: Final = mark("{child} is positive, {parent} uncertain")
YEARS: Final = mark("{age} years")
NOTHING: Final = mark("no observation has a value")

TABLE_MESSAGES: Final = (
    BELOW_NEGATIVE,
    BELOW_BLANK,
    BELOW_UNCERTAIN,
    BLANK_CELL,
    BAD_CELL,
    ODD_SEX,
    ODD_PROJECTION,
    ODD_VIEW,
    EARLIER,
    POSITIVE_TOO,
    YEARS,
    NOTHING,
)
"""What the column `what` is made from, by `str.format`: a frame of problems is English, as its CSV is."""
