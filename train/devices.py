"""Several devices: that they train one network together, and that batch norm sees the films of all."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning import Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from timm.layers.norm_act import convert_sync_batchnorm
from torch.distributed import DistError

from chexmodel.errors import ChexError
from chexmodel.network import Network


def require_one_training(trainer: Trainer) -> None:
    """Refuse processes that torchrun or SLURM started and Lightning was not told of.

    Each would train a network of its own, into the same directory.

    Raises:
        ChexError: there are more or fewer processes than devices.
    """
    for name, environment in (("torchrun", TorchElasticEnvironment), ("SLURM", SLURMEnvironment)):
        if environment.detect() and environment().world_size() != trainer.world_size:
            raise ChexError(
                f"{name} started {environment().world_size()} processes for {trainer.world_size} device(s): "
                "give --devices the processes of a machine, and --num-nodes the machines"
            )


def synchronise_batch_norm(network: Network, trainer: Trainer) -> None:
    """Take the statistics of batch norm over the films of all GPUs; on other devices PyTorch can't.

    By timm's conversion: PyTorch's own, which is Lightning's, would drop the activations that timm's batch
    norms carry.
    """
    if trainer.world_size > 1 and trainer.strategy.root_device.type == "cuda":
        convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]


@contextmanager
def connected() -> Iterator[None]:
    """Leave the word to the process that something happened to.

    Raises:
        ChexError: instead of what the others raise, which only see that it is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, DistError) and "gloo" not in str(error):
            raise
        raise ChexError("another process of the training ended or can't be reached: see its words") from error
