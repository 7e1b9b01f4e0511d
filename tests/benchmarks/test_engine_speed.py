"""A reading with all its maps, against peers in the same run: `pytest tests/benchmarks -m benchmark -s`.

Peers: the bare forward pass of the same backbone by eager PyTorch; torchxrayvision's DenseNet-121; the
grad-cam package for 14 findings. Weights are random, which costs the same. Nothing here fails for being slow.
"""

import io
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import timm
import torch
from dicom_files import dataset, dicom, written
from PIL import Image
from pydicom.pixels import apply_windowing
from pydicom.uid import JPEG2000Lossless
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from timing import measured, report

from chexmodel import Predictor, bundle, machine, network, onnx_export, onnx_file, phantom
from chexmodel.engine import OnnxEngine
from chexmodel.preprocessing import Preprocessing

pytestmark = pytest.mark.benchmark
ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "assets" / "models" / "demo"
CORES = machine.cores()


@pytest.fixture(autouse=True)
def all_cores():
    """Both sides get all cores."""
    torch.set_num_threads(CORES)
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("threads", sorted({1, CORES}))
@pytest.mark.parametrize("backbone", ["densenet121", "tf_efficientnet_lite0"])
def test_a_reading_with_14_maps(backbone: str, threads: int) -> None:
    """With one thread, as a server of two cores reads, and with all."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    net = network.build(backbone).eval().requires_grad_(False)
    loaded = bundle.load(DEMO)
    preprocessing = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)
    made = bundle.Bundle(
        loaded.path,
        loaded.manifest.model_copy(update={"preprocessing": preprocessing}),
        net,
        loaded.calibrations,
        loaded.thresholds,
    )
    model = onnx_export.to_onnx(made)
    engine = OnnxEngine.of(model, threads=threads)
    image = torch.rand(3, 224, 224)
    batch = image.unsqueeze(0)
    mine, passed = measured(lambda: engine.run(image), rounds=20)
    assert passed.maps.shape == (14, 7, 7)
    with torch.inference_mode():
        bare, _ = measured(lambda: net(batch), rounds=20)
    print(f"\n{backbone}, threads: {threads}; logits and 14 maps by ONNX Runtime")
    report("  against the bare forward", mine, "eager PyTorch, same backbone", bare)
    if backbone == "densenet121":
        xrv = pytest.importorskip("torchxrayvision", reason="torchxrayvision is not installed")
        peer = xrv.models.DenseNet(weights=None, num_classes=14).eval()
        grey = torch.rand(1, 1, 224, 224)
        with torch.inference_mode():
            theirs, _ = measured(lambda: peer(grey), rounds=20)
        report("  against the other reader's forward", mine, "torchxrayvision DenseNet-121", theirs)

    plain = timm.create_model(backbone, num_classes=14).eval()
    last = plain.features.norm5 if backbone == "densenet121" else plain.bn2

    def fourteen() -> None:
        with GradCAM(model=plain, target_layers=[last]) as cam:
            for k in range(14):
                cam(input_tensor=batch, targets=[ClassifierOutputTarget(k)])

    package, _ = measured(fourteen, rounds=2)
    report("  against maps for 14 findings", mine, "grad-cam", package)


def test_from_bytes_to_a_prediction(tmp_path: Path) -> None:
    """Files of 2,500×2,000 px: the whole, against plain decoding and the network alone.

    torch has one thread, as in the app on two cores: its others, idle, would take the network's for a while.
    """
    torch.set_num_threads(1)
    path = Path(shutil.copytree(DEMO, tmp_path / "demo"))
    loaded = bundle.load(path)
    model, record = onnx_export.make(loaded, onnx_export.phantoms(2), source="phantoms", real=True)
    onnx_file.write(path, model, record)
    predictor = Predictor.from_bundle(path, engine="onnx")
    image = predictor.predict(phantom.draw(size=224))._input
    alone, _ = measured(lambda: predictor._engine.run(image), rounds=20)
    deep = phantom.draw(size=2500, seed=1)[:2000]
    grey = (deep >> 8).astype(np.uint8)
    packed = dataset(deep >> 4)
    packed.compress(JPEG2000Lossless)
    files = {
        "JPEG": (encoded(grey, "JPEG", quality=92), _pillow),
        "PNG, 8 bits": (encoded(grey, "PNG"), _pillow),
        "PNG, 16 bits": (encoded(deep, "PNG"), _pillow),
        "DICOM, stored values": (dicom(deep), _stored),
        "DICOM, windowed": (dicom(deep, WindowCenter=32768, WindowWidth=65536), _windowed),
        "DICOM, JPEG 2000": (written(packed), _stored),
    }
    print(f"\n2,500×2,000 px, the shipped model of three members, {CORES} threads; ms, the best of 10")
    print(f"{'':20}{'plain':>8}{'network':>9}{'sum':>7}{'all':>7}{'ratio':>8}   read, network, check")
    for name, (data, decode) in files.items():
        plain, _ = measured(lambda data=data, decode=decode: decode(data), rounds=10)
        whole, prediction = measured(lambda data=data: predictor.predict(data), rounds=10)
        stages = ", ".join(f"{1e3 * seconds:.0f}" for seconds in prediction.seconds.values())
        print(
            f"{name:20}{1e3 * plain:8.0f}{1e3 * alone:9.0f}{1e3 * (plain + alone):7.0f}{1e3 * whole:7.0f}"
            f"{whole / (plain + alone):8.2f}   {stages}"
        )


def encoded(pixels: np.ndarray, kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def _stored(data: bytes) -> np.ndarray:
    return pydicom.dcmread(io.BytesIO(data)).pixel_array


def _windowed(data: bytes) -> np.ndarray:
    """Grey values for the eye, as a decoded JPEG or PNG has them."""
    header = pydicom.dcmread(io.BytesIO(data))
    return apply_windowing(header.pixel_array, header)


def _pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))
