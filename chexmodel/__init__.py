"""Read chest X-rays with a multi-label classifier and explain each score."""

from typing import TYPE_CHECKING, Any

from chexmodel.version import __version__

if TYPE_CHECKING:
    from chexmodel.predictor import Predictor

__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: the tables and statistics do without it.
    if name == "Predictor":
        from chexmodel.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
