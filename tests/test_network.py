import pytest
import timm
import torch
from networks import lively
from torch import nn

from chexmodel import network
from chexmodel.errors import BundleError
from chexmodel.network import build, input_normalisation

SMALL = "test_resnet"


def body() -> nn.Module:
    return timm.create_model(SMALL, num_classes=0)


def test_logits_and_features() -> None:
    net = lively(SMALL)
    images = torch.randn(2, 3, 64, 96)
    logits, features = net(images)
    assert logits.shape == (2, 14)
    assert features.shape == (2, net.head.in_features, 2, 3)
    torch.testing.assert_close(logits, net.classify(features))
    torch.testing.assert_close(net.backbone(images), features.mean(dim=(2, 3)))
    assert build(SMALL, observations=3)(images)[0].shape == (2, 3)


def test_grey_input() -> None:
    logits, features = build(SMALL, channels=1).eval()(torch.randn(2, 1, 64, 96))
    assert (logits.shape, features.shape[2:]) == ((2, 14), (2, 3))


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [
        ("convnext_atto", "not the plain mean"),  # a layer norm stands between mean and classifier
        ("mobilenetv3_small_050", "not the plain mean"),  # a whole layer does
        ("vit_tiny_patch16_224", "class token"),
        ("deit_tiny_distilled_patch16_224", "class token"),
        ("test_vit", "class token"),
        ("resmlp_12_224", "images of any size"),
        ("twins_svt_small", "3 dimensions"),  # tokens, as the transformers have them
    ],
)
def test_a_backbone_whose_maps_would_not_add_up_is_refused(backbone: str, reason: str) -> None:
    with pytest.raises(BundleError, match=reason) as caught:
        build(backbone)
    assert f"{backbone!r} is refused" in str(caught.value)
    assert "densenet121" in str(caught.value)
    assert ("would not add up to the logit" in str(caught.value)) == ("any size" not in reason)


@pytest.mark.parametrize(
    "backbone",
    ["resnet10t", "tf_efficientnet_lite0", "regnety_002", "densenet121", "mobilenetv2_050", "inception_v3"],
)
def test_a_backbone_that_ends_in_average_pooling_is_taken(backbone: str) -> None:
    """Its own classifier sees the mean of the map, and so does the head that it gets here."""
    net = build(backbone).eval()
    images = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        logits, features = net(images)
        own = net.backbone.forward_head(features, pre_logits=True)
    assert features[0, 0].numel() > 1  # on a single cell every pooling is the mean
    torch.testing.assert_close(own, features.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits, net.head(own), rtol=1e-4, atol=1e-5)


class GeneralisedMean(nn.Module):
    """Radenović F. et al., arXiv:1711.02512; timm has it for none of its networks."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.clamp(min=1e-6).pow(3).mean(dim=(2, 3)).pow(1 / 3)


@pytest.mark.parametrize("backbone", [SMALL, "inception_v3"])
@pytest.mark.parametrize("pooling", ["max", "avgmax", "catavgmax", "gem"])
def test_other_pooling_is_refused(backbone: str, pooling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def pooled(name: str, **options: object) -> nn.Module:
        if pooling != "gem":
            return create(name, global_pool=pooling, **options)
        made = create(name, **options)
        made.global_pool = GeneralisedMean()
        return made

    monkeypatch.setattr(timm, "create_model", pooled)
    with pytest.raises(BundleError, match=r"not the plain mean.*would not add up to the logit"):
        build(backbone)


def test_checking_a_backbone_leaves_no_trace() -> None:
    torch.manual_seed(0)
    create = body()
    torch.manual_seed(0)
    checked = build(SMALL)
    assert checked.training
    for name, value in create.state_dict().items():
        torch.testing.assert_close(checked.backbone.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "near"), [("densenet_121", "densenet121"), ("resnet5", "resnet50"), ("", "densenet121")]
)
def test_an_unknown_backbone_suggests_others(name: str, near: str) -> None:
    with pytest.raises(BundleError, match=near):
        build(name)


def test_an_unknown_set_of_weights_is_refused() -> None:
    with pytest.raises(BundleError, match=r"resnet10t\.no_such_set"):
        build("resnet10t.no_such_set", pretrained=True)


@pytest.mark.parametrize(
    "name", ["hf-hub:timm/resnet18.a1_in1k", "hf_hub:someone/else", "local-dir:/tmp/model"]
)
def test_nothing_is_fetched_for_a_name_that_is_an_address(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*arguments: object, **options: object) -> None:
        pytest.fail(f"timm was asked for {arguments}")

    monkeypatch.setattr(timm, "create_model", touched)
    with pytest.raises(BundleError, match="no backbone"):
        build(name)


def test_without_a_network_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(BundleError, match=r"can't be downloaded.*--weights FILE.*--weights none"):
        build(SMALL, pretrained=True)


def test_the_normalisation_is_that_of_the_pretrained_weights() -> None:
    mean, std = input_normalisation(build("resnet10t"))
    assert mean == pytest.approx((0.485, 0.456, 0.406))
    assert std == pytest.approx((0.229, 0.224, 0.225))


def test_the_probe_is_larger_than_one_cell() -> None:
    """On a map of one cell every pooling looks like the mean."""
    features = body().eval().forward_features(torch.zeros(1, 3, network._PROBE_SIDE, network._PROBE_SIDE))
    assert min(features.shape[2:]) > 1
