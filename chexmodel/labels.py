"""The 14 CheXpert observations: order, hierarchy, the competition five, and per-observation policies.

Source: Irvin J. et al., *CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels and Expert
Comparison*, AAAI 2019, arXiv:1901.07031.
"""

from typing import Final, Literal

from chexmodel.language import mark

NO_FINDING: Final = mark("No Finding")

OBSERVATIONS: Final[tuple[str, ...]] = (
    NO_FINDING,
    mark("Enlarged Cardiomediastinum"),
    mark("Cardiomegaly"),
    mark("Lung Opacity"),
    mark("Lung Lesion"),
    mark("Edema"),
    mark("Consolidation"),
    mark("Pneumonia"),
    mark("Atelectasis"),
    mark("Pneumothorax"),
    mark("Pleural Effusion"),
    mark("Pleural Other"),
    mark("Fracture"),
    mark("Support Devices"),
)
"""The observations in the column order of CheXpert's CSV. Every array of length 14 is in this order.
They are the data's own names; where one is shown, `language.tr` translates it."""

DISEASES: Final = OBSERVATIONS[1:-1]
"""The twelve that exclude No Finding: support devices do not (the labeler's own rule)."""

SHORT_NAMES: Final[dict[str, str]] = {
    "Enlarged Cardiomediastinum": mark("Enl. Cardiomed."),
    "Pleural Effusion": mark("Pleural Eff."),
    "Support Devices": mark("Devices"),
}
"""Display names of those that are too long for an axis on a phone."""

ALIASES: Final[dict[str, str]] = {"Effusion": "Pleural Effusion", "Pleural_Thickening": "Pleural Other"}
"""Names in ChestX-ray14 and torchxrayvision → observation. Pleural Other is wider than thickening alone."""

CHEXLOCALIZE_NAMES: Final[dict[str, str]] = {"Airspace Opacity": "Lung Opacity"}
"""Names in CheXlocalize's masks that are not CheXpert's → observation."""

COMPETITION: Final[tuple[str, ...]] = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Pleural Effusion",
)
"""The five observations that the CheXpert competition scores."""

PARENTS: Final[dict[str, str]] = {
    "Cardiomegaly": "Enlarged Cardiomediastinum",
    "Lung Lesion": "Lung Opacity",
    "Edema": "Lung Opacity",
    "Consolidation": "Lung Opacity",
    "Atelectasis": "Lung Opacity",
    "Pneumonia": "Consolidation",
}
"""Child → parent in the labeler's hierarchy (figure 1 of the paper)."""

UncertainPolicy = Literal["ignore", "ones", "zeros", "smooth", "mixed"]
BlankPolicy = Literal["negative", "ignore"]

MIXED_UNCERTAIN: Final[dict[str, Literal["ignore", "ones", "zeros"]]] = {
    "Atelectasis": "ones",
    "Cardiomegaly": "zeros",
    "Consolidation": "ignore",
    "Edema": "ones",
    "Pleural Effusion": "ones",
}
"""What `uncertain="mixed"` does with −1; an observation that is not listed is ignored.

For the competition five: the best of U-Ignore, U-Zeros and U-Ones in table 3 of the paper (validation
AUROC; the differences for Consolidation and Pleural Effusion are within its intervals). The paper does
not measure the other nine.
"""

SMOOTH_INTERVAL: Final = (0.55, 0.85)
"""What `uncertain="smooth"` draws from, uniformly: U-Ones with label smoothing regularisation, Pham H. H.
et al., *Interpreting chest X-rays via CNNs that exploit hierarchical disease dependencies and uncertainty
labels*, Neurocomputing 2021, arXiv:1911.06475."""
