"""The network: feature extractor → global average pooling → one linear layer.

This form is what makes the explanation exact: with the last feature map F and the linear layer (w, b),
`logit[k] = mean_xy(Σ_c w[k,c]·F[c]) + b[k]`. A backbone that ends otherwise is refused.
"""

import difflib

import timm
import torch
from torch import nn

from chexmodel.errors import BundleError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr

_PROBE_SIDE = 128  # px; enough for a stride of 32 to leave a map of several cells, without padding too


class Network(nn.Module):
    """A timm backbone, average pooling and a linear layer.

    `forward` takes (B, 1 or 3, H, W) normalised images and gives (logits (B, K), features (B, C, h, w)).
    """

    def __init__(self, backbone: nn.Module, channels: int, observations: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(channels, observations)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (logits (B, K), features (B, C, h, w)) of (B, 1 or 3, H, W) normalised images."""
        features: torch.Tensor = self.backbone.forward_features(images)  # type: ignore[operator]
        return self.classify(features), features

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (B, K) of features (B, C, h, w): the mean over the map, then the linear layer."""
        logits: torch.Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def build(
    backbone: str,
    *,
    pretrained: bool = False,
    observations: int = len(OBSERVATIONS),
    channels: int = 3,
) -> Network:
    """Make a network on a timm backbone.

    Args:
        backbone: name of a timm model that ends in average pooling and a linear layer.
        pretrained: True downloads timm's ImageNet weights; False starts from random weights.
        observations: number of logits, K.
        channels: of the input; 3 for RGB, 1 for grey.

    Returns:
        The network in training mode.

    Raises:
        BundleError: unknown backbone, one whose maps would not add up to the logit, weights that can't
            be had or do not fit.
    """
    # Checked first: create_model would take "hf-hub:…" too and fetch what a stranger's bundle names.
    if not timm.is_model(backbone.split(".")[0]):
        near = ", ".join(difflib.get_close_matches(backbone, timm.list_models(), n=4)) or "densenet121"
        raise BundleError(
            tr("timm has no backbone {name!r}: choose another, such as {near}", name=backbone, near=near)
        )
    try:
        body = timm.create_model(backbone, pretrained=pretrained, num_classes=0, in_chans=channels)
    except RuntimeError as error:
        raise BundleError(
            tr("backbone {backbone!r} can't be made: {error}", backbone=backbone, error=error)
        ) from error
    except OSError as error:
        raise BundleError(
            tr(
                "the ImageNet weights of {backbone!r} can't be downloaded ({kind}): connect to the "
                "network, give a local file (--weights FILE), or start from random weights (--weights "
                "none)",
                backbone=backbone,
                kind=type(error).__name__,
            )
        ) from error
    _require_average_pooling(body, backbone, channels)
    return Network(body, int(body.num_features), observations)  # type: ignore[arg-type]


class _Parallel(nn.Module):
    """Several backbones beside each other; their feature maps are stacked channel after channel."""

    def __init__(self, backbones: list[nn.Module]) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbones)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([body.forward_features(images) for body in self.backbones], dim=1)  # type: ignore[operator]


def ensemble(members: list[Network]) -> Network:
    """Join networks to one whose logits are the mean of theirs.

    It is of the same form as its members (stacked feature maps, average pooling, one linear layer with their
    weights side by side, divided by their number), so that its map of an observation, the mean of the
    members' maps, adds up to its logit as theirs do.

    Args:
        members: networks with the same number of logits and maps of the same size, in evaluation mode.

    Returns:
        The ensemble, in evaluation mode, without gradients; it shares its members' backbones. Of one member
        that member.
    """
    if len(members) == 1:
        return members[0]
    weight = torch.cat([member.head.weight for member in members], dim=1) / len(members)
    bias = torch.stack([member.head.bias for member in members]).mean(dim=0)
    joined = Network(_Parallel([member.backbone for member in members]), weight.shape[1], weight.shape[0])
    with torch.no_grad():
        joined.head.weight.copy_(weight)
        joined.head.bias.copy_(bias)
    return joined.eval().requires_grad_(False)


def input_normalisation(network: Network) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per RGB channel (0–1 scale) with which the backbone was pretrained."""
    config = network.backbone.pretrained_cfg
    return tuple(config["mean"]), tuple(config["std"])  # type: ignore[index]


def _require_average_pooling(backbone: nn.Module, name: str, channels: int) -> None:
    """Refuse a backbone whose pooled output is not the plain mean of its last feature map."""
    was_training = backbone.training
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            reason = _inexact(backbone.eval(), torch.rand(1, channels, _PROBE_SIDE, _PROBE_SIDE))
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = f"it does not take images of any size ({error})"
    finally:
        backbone.train(was_training)
    if reason:
        raise BundleError(
            tr(
                "backbone {name!r} is refused: {reason}. Choose one that ends in average pooling and a "
                "linear layer, for example densenet121, resnet50, tf_efficientnet_lite0 or regnety_016",
                name=name,
                reason=reason,
            )
        )


def _inexact(backbone: nn.Module, probe: torch.Tensor) -> str:
    """Say why a map over the image would not add up to the logit; nothing where it would."""
    consequence = ", so a map over the image would not add up to the logit"
    if getattr(backbone, "num_prefix_tokens", 0):  # asked first: most of these stumble over the probe's size
        return f"it has a class token or registers beside the tokens of the image{consequence}"
    features = backbone.forward_features(probe)  # type: ignore[operator]
    if features.ndim != 4:
        return f"its features have {features.ndim} dimensions, not (B, C, h, w){consequence}"
    pooled = backbone.forward_head(features)  # type: ignore[operator]
    mean = features.mean(dim=(2, 3))
    if pooled.shape != mean.shape or not torch.allclose(pooled, mean, rtol=1e-4, atol=1e-5):
        return f"what it gives to its classifier is not the plain mean of its last feature map{consequence}"
    return ""
