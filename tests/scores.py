"""Targets and probabilities for tests: 14 observations of every kind, with ties and gaps."""

import numpy as np


def random_scores(films: int = 80, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Targets (N, 14) in {0, 1, −1, NaN}, and probabilities in twentieths that follow them a little.

    Column 13 has one class only, column 12 no known label; every other column has both classes.
    """
    rng = np.random.default_rng(seed)
    targets = (rng.random((films, 14)) < np.linspace(0.15, 0.6, 14)).astype(float)
    targets[0], targets[1] = 0, 1
    probs = np.clip(0.2 * targets + 0.8 * rng.random((films, 14)), 0, 1)
    probs = np.round(20 * probs) / 20
    gaps = rng.random((films, 14))
    gaps[:2] = 1
    targets[gaps < 0.1], targets[(gaps >= 0.1) & (gaps < 0.2)] = np.nan, -1
    targets[:, 12] = np.nan
    targets[:, 13] = 0
    return targets, probs
