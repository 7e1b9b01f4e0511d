import numpy as np
import pytest
import torch
from pydantic import ValidationError

from chexmodel.geometry import to_square8
from chexmodel.preprocessing import Preprocessing

RGB = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}


def test_normalising_is_mean_and_std_of_the_unit_scale() -> None:
    square = torch.arange(256, dtype=torch.uint8).view(16, 16)
    expected = torch.stack(
        [(square / 255 - mean) / std for mean, std in zip(RGB["mean"], RGB["std"], strict=True)]
    )
    for given in (square, square / 255):
        normalised = Preprocessing(size=32, **RGB).normalise(given)
        assert normalised.dtype == torch.float32
        torch.testing.assert_close(normalised, expected, atol=1e-6, rtol=0)


def test_one_channel_for_a_grey_network() -> None:
    grey = Preprocessing(size=48, mean=(0.5,), std=(0.25,))
    film = np.random.default_rng(0).random((60, 40), dtype=np.float32)
    assert grey.tensor(film).shape == (1, 48, 48)
    assert torch.equal(grey.tensor(film), grey.normalise(to_square8(film, 48)))
    assert Preprocessing.model_validate_json(grey.model_dump_json()) == grey


def test_the_film_s_type_does_not_matter() -> None:
    film = np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)
    rule = Preprocessing(size=64, **RGB)
    assert torch.equal(rule.tensor(film), rule.tensor((film / 255).astype(np.float32)))


def test_what_was_first_asked_for_in_inference_mode_serves_gradients_too() -> None:
    rule = Preprocessing(size=32, mean=(0.123,), std=(0.456,))
    with torch.inference_mode():
        rule.normalise(torch.zeros(32, 32))
    square = torch.zeros(32, 32, requires_grad=True)
    rule.normalise(square).sum().backward()
    torch.testing.assert_close(square.grad, torch.full((32, 32), 1 / 0.456))


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5,), (0.5, 0.5, 0.5)), ((0.5, 0.5), (0.5, 0.5)), ((), ()), ((0.5,), (0.0,))]
)
def test_channels_that_do_not_fit_are_refused(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Preprocessing.model_validate({"mean": mean, "std": std})
