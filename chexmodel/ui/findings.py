"""The findings of a reading as a ranked list of bars; pure text in, text out."""

from html import escape
from typing import Final

import numpy as np

from chexmodel.calibration import Calibration
from chexmodel.predictor import Prediction

STYLE: Final = """<style>
.cx-findings{display:flex;flex-direction:column;gap:.55rem}
.cx-findings .row{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 .5rem;font-size:.9rem;
  line-height:1.25}
.cx-findings .called{font-weight:650}
.cx-findings .word{white-space:nowrap;margin-left:auto;font-variant-numeric:tabular-nums}
.cx-findings .bar{position:relative;height:.55rem;border-radius:.3rem;margin-top:.15rem;
  background:color-mix(in srgb,currentColor 14%,transparent)}
.cx-findings .fill{position:absolute;inset:0 auto 0 0;border-radius:.3rem;
  background:color-mix(in srgb,currentColor 45%,transparent)}
.cx-findings .called .fill{background:#0e8aae}
.cx-findings .band{position:absolute;top:-.18rem;bottom:-.18rem;border:1px dashed currentColor;
  border-radius:.1rem;background:color-mix(in srgb,currentColor 18%,transparent)}
.cx-findings .tick{position:absolute;top:-.18rem;bottom:-.18rem;width:.18rem;margin-left:-.09rem;
  background:currentColor;border-radius:.1rem}
.cx-findings .off{opacity:.6}
.cx-findings small{opacity:.75}
</style>"""


def ranked(prediction: Prediction) -> list[str]:
    """Trained observations, the most probable first."""
    order = np.argsort(-np.nan_to_num(prediction.probabilities, nan=-1.0), kind="stable")
    return [
        prediction.observations[k] for k in order if prediction.observations[k] not in prediction.not_trained
    ]


def decision_words(prediction: Prediction, observation: str) -> str:
    """Say of one trained observation what its score is and on which side of its threshold it lies."""
    k = prediction.observations.index(observation)
    if prediction.indeterminate[k]:
        low, high = prediction.bands[k]
        return f"{prediction.probabilities[k]:.2f} · indeterminate ({low:.2f}–{high:.2f})"
    side = "at or above" if prediction.decisions[k] else "below"
    return f"{prediction.probabilities[k]:.2f} · {side} {prediction.thresholds[k]:.2f}"


def findings_html(prediction: Prediction, calibrations: list[Calibration]) -> str:
    """Draw the list: score as a bar, threshold as a tick in its band, decision in words; untrained ones last.

    Args:
        prediction: of the film.
        calibrations: of the bundle, in the order of the observations; scores without one are marked, as
            they can't be compared with the others.
    """
    items = [_item(prediction, name, calibrations) for name in ranked(prediction)]
    items += [
        f'<div role="listitem" class="off"><div class="row"><span>{escape(name)}</span>'
        f'<span class="word" title="{escape(reason)}">not trained in this model</span></div></div>'
        for name, reason in prediction.not_trained.items()
    ]
    return f'{STYLE}<div role="list" class="cx-findings">{"".join(items)}</div>'


def _item(prediction: Prediction, observation: str, calibrations: list[Calibration]) -> str:
    k = prediction.observations.index(observation)
    words = decision_words(prediction, observation)
    note, reason = "", calibrations[k].reason
    if reason is not None:
        note = f' <small title="{escape(reason)}">uncalibrated</small>'
    called = prediction.decisions[k] and not prediction.indeterminate[k]
    mark = "▲\u00a0" if called else "◇\u00a0" if prediction.indeterminate[k] else ""
    name = f"{mark}{escape(observation)}{note}"
    low, high = prediction.bands[k]
    band = ""
    if np.isfinite(low):
        band = f'<span class="band" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></span>'
    return (
        f'<div role="listitem" class="{"called" if called else "quiet"}">'
        f'<div class="row"><span>{name}</span><span class="word">{words}</span></div>'
        f'<div class="bar" aria-hidden="true">'
        f'<span class="fill" style="width:{100 * prediction.probabilities[k]:.1f}%"></span>'
        f'{band}<span class="tick" style="left:{100 * prediction.thresholds[k]:.1f}%"></span></div></div>'
    )
