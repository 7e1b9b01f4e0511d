"""Every film by a network that did not learn from its patient: scores, and maps where films are marked."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chexmodel.bundle import Manifest
from chexmodel.labels import OBSERVATIONS
from chexmodel.methods import Method
from chexmodel.network import Network, ensemble
from chexmodel.regions import read_regions
from train.config import FitConfig
from train.dataset import Split, Splits, together
from train.localise import Part, localise
from train.predict import predict

FITTING: Final = "validation"
TEST: Final = "test"


class HeldOut(NamedTuple):
    """The members, each with validation films that it did not see, and the model that is their mean."""

    members: list[Network]
    model: Network
    manifest: Manifest
    splits: Splits

    @classmethod
    def of(cls, members: list[Network], manifest: Manifest, splits: Splits) -> "HeldOut":
        """Join the members to the model."""
        return cls(members, ensemble(members), manifest, splits)

    def films(self) -> dict[str, Split]:
        """The films of both splits, validation first and fold after fold."""
        return {FITTING: together([pair.validation for pair in self.splits.pairs]), TEST: self.splits.test}

    def logits(self, fitted: FitConfig) -> dict[str, NDArray[np.float64]]:
        """Raw logits (N, 14) of both splits; NaN where not trained."""
        preprocessing = self.manifest.preprocessing
        held_out = [
            predict(member, pair.validation, preprocessing, fitted, name=FITTING)
            for member, pair in zip(self.members, self.splits.pairs, strict=True)
        ]
        tested = predict(self.model, self.splits.test, preprocessing, fitted, name=TEST)
        logits = {FITTING: np.concatenate(held_out), TEST: tested}
        untrained = [OBSERVATIONS.index(name) for name in self.manifest.not_trained]
        for values in logits.values():
            values[:, untrained] = np.nan
        return logits

    def localised(self, data: Path, methods: tuple[Method, ...]) -> pd.DataFrame:
        """Measure the maps of every marked film: a row per film and method, in `FILM_COLUMNS`."""
        folded = len(self.splits.pairs) > 1
        parts = [
            Part(member, pair.validation, FITTING, number if folded else None)
            for number, (member, pair) in enumerate(
                zip(self.members, self.splits.pairs, strict=True), start=1
            )
        ]
        return localise(
            [*parts, Part(self.model, self.splits.test, TEST)],
            [pair.train for pair in self.splits.pairs],
            read_regions(data),
            self.manifest.preprocessing,
            not_trained=list(self.manifest.not_trained),
            methods=methods,
        )
