"""Names of the methods that draw maps."""

from typing import Final, Literal, get_args

Method = Literal["Grad-CAM", "Grad-CAM++", "LayerCAM", "HiResCAM", "EigenCAM"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
EXACT: Final[Method] = "Grad-CAM"
"""The method computed in one pass with a unit (raw log-odds); the others are relative, 0 to 1."""
