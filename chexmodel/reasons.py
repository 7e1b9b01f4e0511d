"""Why a figure is undefined, or a default stands: bundles keep these sentences, in English."""

from typing import Final

from chexmodel.language import mark
from chexmodel.retelling import retold

NOT_TRAINED: Final = mark("not trained in this model")
TOO_FEW: Final = mark(
    "{positives} positives and {negatives} negatives in the {split} split; {needed} of each are needed"
)
ONE_CLASS: Final = mark("{positives} positives and {negatives} negatives among these films")
FEW_POSITIVES: Final = mark("fewer than {least} positives")
FEW_NEGATIVES: Final = mark("fewer than {least} negatives")
NO_SKILL: Final = mark("the scores rank the {split} split no better than chance (AUROC {auroc:.2f})")
NO_BETTER: Final = mark("no method lowers the log-loss on other patients of the {split} split")
NO_OTHERS: Final = mark(
    "in the {split} split too few patients have films of a class to try a method on others"
)
INVERTED: Final = mark(
    "the best fit in the {split} split does not rise with the logit: it would turn the ranking round"
)
NO_LABEL: Final = mark("no label in the training data")
NO_POSITIVE: Final = mark("no positive among the {labels} labels of the training data")
NO_NEGATIVE: Final = mark("no negative among the {labels} labels of the training data")
NO_POSITIVE_IN_FOLD: Final = mark("no positive among the {labels} labels of the training data of fold {fold}")
NO_NEGATIVE_IN_FOLD: Final = mark("no negative among the {labels} labels of the training data of fold {fold}")
NO_OUTPUT: Final = mark("not among the outputs of {model}")
NO_CUTOFF: Final = mark("for {films} films no film of another patient gives a cut-off")
FORMER_HITS: Final = mark("a former version measured the hit rate alone: evaluate the bundle again")
UNTRAINED_IN_ONE: Final = mark("not trained in {model}")
UNTRAINED_IN_BOTH: Final = mark("not trained in {first} and {second}")

_ALL: Final = (
    NOT_TRAINED,
    TOO_FEW,
    ONE_CLASS,
    FEW_POSITIVES,
    FEW_NEGATIVES,
    NO_SKILL,
    NO_BETTER,
    NO_OTHERS,
    INVERTED,
    NO_LABEL,
    NO_POSITIVE_IN_FOLD,
    NO_NEGATIVE_IN_FOLD,
    NO_POSITIVE,
    NO_NEGATIVE,
    NO_OUTPUT,
    NO_CUTOFF,
    FORMER_HITS,
    UNTRAINED_IN_BOTH,
    UNTRAINED_IN_ONE,
)


def told(reason: str | None) -> str:
    """Tell a reason that a bundle keeps in the language in use; "" where there is none.

    One that this version of the program does not give stays as it is written.
    """
    return retold(reason or "", _ALL)
