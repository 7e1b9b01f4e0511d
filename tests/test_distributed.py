"""Two processes train what one does: the same curve, the same weights, one set of files."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import load_file
from torch import distributed

from chexmodel import bundle, network
from chexmodel.errors import BundleError, ChexError
from train.config import FitConfig
from train.devices import connected, require_one_training, synchronise_batch_norm
from train.fit import fit
from train.module import Classifier
from train.pointing import GRID
from train.run import _trainer
from train.sampling import EpochSampler

ROOT = Path(__file__).resolve().parents[1]
CURVES = ["train_loss", "val_loss", "val_accuracy", "val_auroc", "learning_rate"]
# 19 films to learn from and 11 to validate on: neither is a multiple of two, and the last step has three.
# Group norm: batch norm would see half the batch.
OPTIONS = {
    "backbone": "test_efficientnet_gn",
    "weights": "none",
    "image_size": 64,
    "validation": 0.4,
    "seed": 6,
    "epochs": 2,
    "learning_rate": 3e-3,
    "workers": 0,
    "accelerator": "cpu",
    "weights_dtype": "float32",
}
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
STOPPED = """
import sys
from train.__main__ import main
from train.module import Classifier

plain = Classifier.training_step

class Stopped(BaseException):
    pass

def training_step(self, batch, index):
    if self.trainer.global_step == 4:
        raise Stopped
    return plain(self, batch, index)

Classifier.training_step = training_step
try:
    main(sys.argv[1:])
except Stopped:
    Classifier.training_step = plain
    sys.exit(main([*sys.argv[1:], "--resume"]))
"""

needs_gloo = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this torch has no gloo, by which processes without a GPU talk to each other",
)


def two_processes(program: list[str], data: Path, out: Path, **options: object) -> str:
    """Train with two devices, four films each a step; what is said on stderr."""
    given = {"data": data, "out": out, "devices": 2, "batch_size": 4} | OPTIONS | options
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = subprocess.run(
        [sys.executable, *program, "fit", *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def single(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "single"
    return fit(FitConfig(data=tiny_data, out=out, batch_size=8, **OPTIONS))


def assert_same_run(run: Path, single: Path) -> None:
    history, expected = bundle.read_history(run), bundle.read_history(single)
    assert history["epoch"].tolist() == [1, 2]
    pd.testing.assert_frame_equal(history[CURVES], expected[CURVES], rtol=0, atol=1e-6)
    weights, wanted = (load_file(path / "model.safetensors") for path in (run, single))
    assert weights.keys() == wanted.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, wanted[name], rtol=0, atol=1e-4)
    written, alone = ({str(file.relative_to(out)) for file in out.rglob("*")} for out in (run, single))
    assert written == alone


@needs_gloo
def test_two_processes_train_what_one_does(single: Path, tiny_data: Path, tmp_path: Path) -> None:
    said = two_processes(["-m", "train"], tiny_data, tmp_path / "run")
    assert_same_run(tmp_path / "run", single)
    for line in ("train: 19 films", "on cpu, precision", "next: python -m train evaluate"):
        assert said.count(line) == 1
    assert "recommended to use" not in said


@needs_gloo
def test_under_torchrun_they_go_on_where_they_were_stopped(
    single: Path, tiny_data: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(STOPPED)
    two_processes([*TORCHRUN, str(program)], tiny_data, tmp_path / "run", checkpoint_steps=1)
    assert_same_run(tmp_path / "run", single)


def classifier(world: int = 2, rank: int = 0, step: int = 0, **options: object) -> Classifier:
    config = FitConfig(data=Path("data"), out=Path("out"), **(OPTIONS | options))
    torch.manual_seed(0)
    made = Classifier(network.build(config.backbone), config, alpha=None)
    made.log = lambda *_, **__: None
    made._trainer = SimpleNamespace(world_size=world, global_rank=rank, global_step=step)
    return made


def gradients(
    model: Classifier, batch: list[torch.Tensor], films: slice, total: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Of all weights, in one step of a rank to which all ranks' counts are given."""
    model._over_ranks = total
    model.zero_grad()
    model.training_step(tuple(part[films] for part in batch), 0).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def one_after_another(counts: list[torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    left = iter(counts)
    return lambda _: next(left)


@pytest.mark.parametrize("boxes", [False, True])
def test_the_ranks_gradients_average_to_those_of_the_whole_batch(boxes: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(8, 14, generator=generator).round()
    targets[:4, 3:] = torch.nan
    batch = [torch.randn(8, 3, 64, 64, generator=generator), targets]
    if boxes:
        inside = torch.full((8, 14, GRID, GRID), torch.nan)
        for film, observation in ((0, 0), (5, 1), (6, 1), (7, 2)):
            inside[film, observation] = torch.rand(GRID, GRID, generator=generator).round()
        batch.append(inside)
    one, rank, halves = classifier(world=1), classifier(world=2), (slice(4), slice(4, None))
    counts: list[torch.Tensor] = []

    def noted(count: torch.Tensor) -> torch.Tensor:
        counts.append(count)
        return count

    expected = gradients(one, batch, slice(None), noted)
    shares = [gradients(rank, batch, half, one_after_another(counts)) for half in halves]
    torch.testing.assert_close(sum(shares) / 2, expected, rtol=1e-4, atol=1e-6)
    means = [gradients(one, batch, half, lambda count: count) for half in halves]
    assert (sum(means) / 2 - expected).abs().max() > 1e-3


def test_dropout_differs_between_ranks_and_steps_alone() -> None:
    def drawn(**place: int) -> torch.Tensor:
        model = classifier(**place)
        model.on_train_batch_start((), 0)
        return torch.rand(4)

    draws = [drawn(rank=rank, step=step) for step in (0, 1) for rank in (0, 1)]
    assert not any(torch.equal(one, other) for one, other in pairwise([*draws, draws[0]]))
    assert torch.equal(drawn(rank=1, step=1), draws[-1])
    model = classifier(world=1)
    state = torch.get_rng_state()
    model.on_train_batch_start((), 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_goes_on_only_with_as_many_devices() -> None:
    saved: dict[str, Any] = {}
    classifier(world=2).on_save_checkpoint(saved)
    classifier(world=2).on_load_checkpoint(saved)
    with pytest.raises(BundleError, match=r"started on 2 device.*equal to 2"):
        classifier(world=1).on_load_checkpoint(saved)


def test_batch_norm_is_synchronised_on_gpus_with_its_activation() -> None:
    def devices(kind: str, world: int) -> Any:
        return SimpleNamespace(world_size=world, strategy=SimpleNamespace(root_device=torch.device(kind)))

    plain = network.build("test_efficientnet").eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for kind, world, expected in (("cpu", 2, False), ("cuda", 1, False), ("cuda", 2, True)):
        net = copy.deepcopy(plain)
        synchronise_batch_norm(net, devices(kind, world))
        norms = [part for part in net.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
        assert norms
        assert all(isinstance(norm, torch.nn.SyncBatchNorm) == expected for norm in norms)
        assert net.state_dict().keys() == plain.state_dict().keys()
        torch.testing.assert_close(net(images)[0], plain(images)[0])


def started(monkeypatch: pytest.MonkeyPatch, *, devices: str, **variables: str) -> Any:
    """A trainer in a process with these variables of its environment."""
    monkeypatch.setattr(rank_zero_only, "rank", rank_zero_only.rank)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = FitConfig(data=Path("data"), out=Path("out"), devices=devices, accelerator="cpu")
    return _trainer(config, EpochSampler(torch.ones(4).numpy(), seed=0, batch_size=2), "best")


SLURM = {
    "SLURM_JOB_NAME": "train",
    "SLURM_JOB_ID": "1",
    "SLURM_NTASKS": "2",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "0",
}
ELASTIC = {"TORCHELASTIC_RUN_ID": "1", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}


@pytest.mark.parametrize("variables", [SLURM, ELASTIC], ids=["SLURM", "torchrun"])
def test_a_started_process_takes_its_place(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = started(monkeypatch, devices="2", **variables)
    assert (trainer.global_rank, trainer.world_size) == (1, 2)
    require_one_training(trainer)


@pytest.mark.parametrize("variables", [SLURM, ELASTIC], ids=["SLURM", "torchrun"])
def test_processes_that_would_train_each_their_own_are_refused(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ChexError, match=r"started 2 processes for 1 device.*--devices"):
        require_one_training(started(monkeypatch, devices="1", **variables))


def test_only_the_process_that_failed_says_why() -> None:
    gone = RuntimeError("[…/gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:27347")
    for error in (gone, distributed.DistBackendError("NCCL communicator was aborted")):
        with pytest.raises(ChexError, match="another process"), connected():
            raise error
    with pytest.raises(RuntimeError, match="shapes"), connected():
        raise RuntimeError("shapes do not fit")
