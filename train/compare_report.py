"""What a comparison of runs found, in the order in which it is read."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from chexmodel.comparison import Comparison, differences, options
from chexmodel.comparison_tables import (
    FLATTERED,
    READING,
    auroc_table,
    averages_table,
    conditions,
    differences_table,
)
from chexmodel.scores import Evaluation


@dataclass(frozen=True)
class Report:
    """What a comparison found; `left_out` and `incomparable` say why, per run."""

    command: str
    split: str
    baseline: str
    left_out: dict[str, str]
    options: dict[str, dict[str, Any]]
    evaluations: dict[str, Evaluation]
    comparisons: dict[str, Comparison]
    incomparable: dict[str, str]
    histories: dict[str, pd.DataFrame]

    def sections(self) -> list[tuple[str, str, pd.DataFrame | None]]:
        """Title, text and table of each part, in reading order."""
        parts: list[tuple[str, str, pd.DataFrame | None]] = []
        table = options(self.options)
        shown, same = table, ""
        if len(self.options) > 1:
            shown = differences(table)
            same = f"Only what differs; {len(table) - len(shown)} further options are the same."
        parts.append(("Options", same, None if shown.empty else shown))
        own = f"Each run on its own films of the {self.split} split; “over” is the number of observations."
        own += f" {FLATTERED}" * (self.split == "validation")
        parts.append(("Macro averages", own, averages_table(self.evaluations)))
        parts.append(("AUROC per observation", READING, auroc_table(self.evaluations)))
        for run, comparison in self.comparisons.items():
            title = f"{run} minus {self.baseline}, {self.split} split"
            parts.append((title, conditions(comparison), differences_table(comparison)))
        return parts
