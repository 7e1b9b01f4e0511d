"""Pictures of a run and of an evaluation, for files; the app draws its own."""

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from chexmodel.labels import OBSERVATIONS
from chexmodel.metrics import Evaluation

_HISTORY = (
    ("Loss", {"train_loss": "training", "val_loss": "validation"}),
    (
        "Validation metrics (macro, threshold 0.5)",
        {
            "val_auroc": "AUROC",
            "val_f1": "F1",
            "val_precision": "precision",
            "val_recall": "recall",
            "val_accuracy": "accuracy (all entries)",
        },
    ),
    ("Learning rate", {"learning_rate": "end of epoch"}),
)


def history_png(history: pd.DataFrame) -> bytes:
    """Draw losses, validation metrics and learning rate over the epochs of `history.csv`."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, 3), _HISTORY, strict=True):
        for column, label in lines.items():
            axes.plot(history["epoch"], history[column], marker="o", markersize=3, label=label)
        axes.set(title=title, xlabel="epoch")
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    return _png(figure)


def operating_png(
    targets: NDArray[np.floating], probs: NDArray[np.floating], evaluation: Evaluation, *, title: str
) -> bytes:
    """Draw the ROC and the precision-recall curve of every observation that has both classes.

    Args:
        targets: (N, 14) in {0, 1} or NaN.
        probs: (N, 14) in [0, 1]; NaN columns are not trained.
        evaluation: of the same films, for the legend.
        title: names bundle and split.
    """
    figure = Figure(figsize=(13, 6), layout="constrained")
    roc, pr = figure.subplots(1, 2)
    colours = mpl.colormaps["tab20"].colors  # type: ignore[attr-defined]
    for k, score in enumerate(evaluation.scores):
        if score.undefined:
            continue
        known = ~np.isnan(targets[:, k])
        labels, scores = targets[known, k], probs[known, k]
        fpr, tpr, _ = roc_curve(labels, scores)
        precision, recall, _ = precision_recall_curve(labels, scores)
        counted = f"{OBSERVATIONS[k]} ({score.positives}+)"
        roc.plot(fpr, tpr, color=colours[k], label=f"{counted} {score.auroc.value:.2f}")
        pr.plot(recall, precision, color=colours[k], label=f"{counted} {score.average_precision.value:.2f}")
    roc.plot([0, 1], [0, 1], color="grey", linestyle=":")
    roc.set(title="ROC, with AUROC", xlabel="1 − specificity", ylabel="sensitivity")
    pr.set(title="Precision-recall, with average precision", xlabel="recall", ylabel="precision")
    for axes in (roc, pr):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(frameon=False, fontsize=7)
    figure.suptitle(title)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
