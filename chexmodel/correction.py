"""What brings a film upright: quarter turns, a mirroring, and black for white; and how it is said."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chexmodel.language import mark, tr

# By (quarter turns, mirror): what applying it does, and how a film looks that needs it.
_PLACED: Final[dict[tuple[int, bool], tuple[str, str]]] = {
    (1, False): (
        mark("Turn it by 90° counter-clockwise."),
        mark("The film seems to be turned by 90° clockwise."),
    ),
    (2, False): (mark("Turn it by 180°."), mark("The film seems to be upside down: turned by 180°.")),
    (3, False): (
        mark("Turn it by 90° clockwise."),
        mark("The film seems to be turned by 90° counter-clockwise."),
    ),
    (0, True): (
        mark("Mirror it left to right."),
        mark(
            "The film seems to be mirrored left to right. A patient whose heart lies on the right "
            "(dextrocardia) looks alike: look at the side marker."
        ),
    ),
    (1, True): (
        mark("Turn it by 90° counter-clockwise and mirror it left to right."),
        mark("The film seems to be mirrored and turned by 90°."),
    ),
    (2, True): (
        mark("Flip it top to bottom."),
        mark("The film seems to be flipped top to bottom: mirrored and upside down."),
    ),
    (3, True): (
        mark("Turn it by 90° clockwise and mirror it left to right."),
        mark("The film seems to be mirrored and turned by 90°."),
    ),
}
_INVERTED: Final = (
    mark("Invert black and white."),
    mark("It seems that black and white are inverted: bone is dark and air is bright."),
)


@dataclass(frozen=True)
class Correction:
    """What brings a film upright, bone white; the identity does nothing.

    quarter_turns: counter-clockwise quarter turns to apply, 0 to 3. mirror: left-right, after the turns.
    invert: black for white.
    """

    quarter_turns: int = 0
    mirror: bool = False
    invert: bool = False

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Correct a film (H, W) of uint8 or float in [0, 1]; an odd number of turns makes it (W, H)."""
        turned = np.rot90(pixels, self.quarter_turns)
        if self.mirror:
            turned = np.fliplr(turned)
        if self.invert:
            white = np.iinfo(turned.dtype).max if turned.dtype.kind == "u" else turned.dtype.type(1)
            turned = white - turned
        return np.ascontiguousarray(turned)

    def inverse(self) -> "Correction":
        """What undoes it."""
        # A mirroring after turns is a reflection, which undoes itself.
        turns = self.quarter_turns if self.mirror else -self.quarter_turns % 4
        return Correction(turns, self.mirror, self.invert)

    def after(self, first: "Correction") -> "Correction":
        """What does as much as `first` and then this one."""
        probe = np.arange(4, dtype=np.uint8).reshape(2, 2)
        wanted = self.apply(first.apply(probe))
        return next(one for one in CORRECTIONS if np.array_equal(one.apply(probe), wanted))

    def words(self) -> str:
        """Say what applying it does."""
        return _sentences(self, 0) or tr("Leave it as it is.")

    def complaint(self) -> str:
        """Say how a film looks that needs it; empty for the identity."""
        return _sentences(self, 1)


def _sentences(correction: Correction, kind: int) -> str:
    placed = _PLACED.get((correction.quarter_turns, correction.mirror))
    found = [*([placed] if placed else []), *([_INVERTED] if correction.invert else [])]
    return " ".join(tr(pair[kind]) for pair in found)


CORRECTIONS: Final = tuple(
    Correction(turns, mirror, invert)
    for invert in (False, True)
    for mirror in (False, True)
    for turns in range(4)
)
"""All sixteen, the identity first: the eight ways to lay a square, in both polarities."""
UPRIGHT: Final = CORRECTIONS[0]
